// SPDX-License-Identifier: GPL-2.0
#include "csv.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t put_string(char *row, const char *text)
{
	size_t put = 0;

	row[put++] = '"';
	if (*text && strchr("=+-@\t\r", *text))
		row[put++] = '\'';
	for (; *text; text++) {
		if (*text == '"')
			row[put++] = '"';
		row[put++] = *text;
	}
	row[put++] = '"';
	return put;
}

static size_t put_number(char *row, double value)
{
	/* 17 digits give every double back; the shorter form where it does as well. */
	char text[32];

	snprintf(text, sizeof(text), "%.15g", value);
	if (strtod(text, NULL) != value)
		snprintf(text, sizeof(text), "%.17g", value);
	strcpy(row, text);
	return strlen(text);
}

size_t csv_heading(enum record_kind kind, char *row)
{
	size_t put = 0;
	const char *name;

	for (size_t i = 0; (name = record_field_name(kind, i)); i++)
		put += (size_t)sprintf(row + put, "%s%s", i ? "," : "", name);
	memcpy(row + put, "\r\n", 2);
	return put + 2;
}

size_t csv_row(enum record_kind kind, const char *line, size_t len, char *row)
{
	cJSON *object = cJSON_ParseWithLength(line, len);
	size_t put = 0;
	const char *name;

	for (size_t i = 0; (name = record_field_name(kind, i)); i++) {
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

		if (i)
			row[put++] = ',';
		if (cJSON_IsString(item))
			put += put_string(row + put, item->valuestring);
		else if (cJSON_IsNumber(item))
			put += put_number(row + put, item->valuedouble);
		else if (cJSON_IsBool(item))
			put += (size_t)sprintf(row + put, cJSON_IsTrue(item) ? "true" : "false");
	}
	cJSON_Delete(object);
	memcpy(row + put, "\r\n", 2);
	return put + 2;
}
