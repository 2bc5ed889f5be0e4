// SPDX-License-Identifier: GPL-2.0
/* What else comes from outside: headers, token files, and every stored line as CSV. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "logserver/auth.h"
#include "logserver/csv.h"
#include "logserver/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_csv(const char *text, size_t size)
{
	char line[RECORD_LINE_BYTES], row[CSV_ROW_BYTES];
	struct record_error error;
	struct record record;
	size_t len;

	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		if (record_read(kind, text, size, 0, &record, line, &len, &error))
			continue;
		len = csv_row(kind, line, len - 1, row);
		if (len < 2 || len > sizeof(row) || memcmp(row + len - 2, "\r\n", 2) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct auth auth;
	size_t line;
	char *text;

	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	check_csv(text, size);
	gzip_is_accepted(text);
	if (auth_parse(text, &auth, &line) == 0) {
		/* No header is a token unless it is one as a whole. */
		if (auth_find(&auth, text) && strncasecmp(text, "Bearer ", 7) != 0)
			abort();
		auth_free(&auth);
	}
	free(text);
	return 0;
}
