// SPDX-License-Identifier: GPL-2.0
#include "record.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "timestamp.h"
#include "utf8.h"

enum field_type {
	FIELD_STRING = 1,
	FIELD_INTEGER = 2,
	FIELD_NUMBER = 4,
	FIELD_BOOLEAN = 8,
	FIELD_TIME = 16,
};

struct field {
	const char *name;
	unsigned int types;  /* any of these; null too, where it is not required */
	bool required;       /* the reference system's fields are, ours are not */
	double max;          /* numbers: 0 to this */
	size_t max_bytes;    /* strings: 1 to this */
};

static const struct field kill_fields[] = {
	{ "pid", FIELD_INTEGER, true, LIMITS_PID, 0 },
	{ "container_id", FIELD_STRING, true, 0, LIMITS_WORD_BYTES },
	{ "name", FIELD_STRING, true, 0, LIMITS_NAME_BYTES },
	{ "vsz", FIELD_INTEGER, true, LIMITS_INTEGER, 0 },
	{ "rss", FIELD_INTEGER, true, LIMITS_INTEGER, 0 },
	{ "memory_usage", FIELD_NUMBER, true, LIMITS_PERCENT, 0 },
	{ "cpu_usage", FIELD_NUMBER, true, LIMITS_PERCENT, 0 },
	{ "action", FIELD_STRING, true, 0, LIMITS_WORD_BYTES },
	{ "timestamp", FIELD_TIME, true, 0, 0 },
	{ "event_id", FIELD_STRING, false, 0, LIMITS_EVENT_ID_BYTES },
	{ "host", FIELD_STRING, false, 0, LIMITS_HOST_BYTES },
	{ "boot_id", FIELD_STRING, false, 0, LIMITS_WORD_BYTES },
	{ "image", FIELD_STRING, false, 0, LIMITS_IMAGE_BYTES },
	{ "class", FIELD_STRING, false, 0, LIMITS_WORD_BYTES },
	{ "reason", FIELD_STRING, false, 0, LIMITS_STRING_BYTES },
	{ "memory_current", FIELD_INTEGER, false, LIMITS_INTEGER, 0 },
	{ "verified", FIELD_BOOLEAN, false, 0, 0 },
	/* "SIGKILL" or 9 */
	{ "signal", FIELD_STRING | FIELD_INTEGER, false, 64, LIMITS_WORD_BYTES },
	{ "kill_latency_ms", FIELD_NUMBER, false, LIMITS_INTEGER, 0 },
	{ "sequence", FIELD_INTEGER, false, LIMITS_INTEGER, 0 },
	{ "witness", FIELD_STRING, false, 0, LIMITS_WORD_BYTES },
	{ "outcome", FIELD_STRING, false, 0, LIMITS_STRING_BYTES },
	{ "dry_run", FIELD_BOOLEAN, false, 0, 0 },
	{ 0 }
};

static const struct field memory_fields[] = {
	{ "total_ram", FIELD_INTEGER, true, LIMITS_INTEGER, 0 },
	{ "free_ram", FIELD_INTEGER, true, LIMITS_INTEGER, 0 },
	{ "used_ram", FIELD_INTEGER, true, LIMITS_INTEGER, 0 },
	{ "timestamp", FIELD_TIME, true, 0, 0 },
	{ "event_id", FIELD_STRING, false, 0, LIMITS_EVENT_ID_BYTES },
	{ "host", FIELD_STRING, false, 0, LIMITS_HOST_BYTES },
	{ "boot_id", FIELD_STRING, false, 0, LIMITS_WORD_BYTES },
	{ "available_ram", FIELD_INTEGER, false, LIMITS_INTEGER, 0 },
	{ 0 }
};

static const struct field *const fields_of[RECORD_KINDS] = {
	[RECORD_KILL] = kill_fields,
	[RECORD_MEMORY] = memory_fields,
};

const char *record_field_name(enum record_kind kind, size_t i)
{
	return fields_of[kind][i].name;
}

static const char *const class_names[RECORD_CLASSES] = { "high", "low", "unknown" };

const char *record_class_name(enum record_class class)
{
	return class_names[class];
}

__attribute__((format(printf, 3, 4)))
static int refuse(struct record_error *error, const char *field, const char *format, ...)
{
	va_list args;

	utf8_copy(error->field, sizeof(error->field), field);
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return -EINVAL;
}

/* cJSON ends a string at an escaped NUL and would store the rest as lost. */
static bool has_escaped_nul(const char *json, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (json[i] != '\\')
			continue;
		if (len - i >= 6 && memcmp(json + i, "\\u0000", 6) == 0)
			return true;
		i++;
	}
	return false;
}

static const struct field *find_field(enum record_kind kind, const char *name)
{
	for (const struct field *field = fields_of[kind]; field->name; field++) {
		if (strcmp(field->name, name) == 0)
			return field;
	}
	return NULL;
}

static bool is_integer(double value)
{
	return value == floor(value);
}

static int check_known(const struct field *field, const cJSON *item, struct record_error *error)
{
	unsigned int types = field->types;

	if (cJSON_IsNull(item) && !field->required)
		return 0;
	if (cJSON_IsString(item) && (types & FIELD_STRING)) {
		size_t len = strlen(item->valuestring);

		if (len < 1 || len > field->max_bytes)
			return refuse(error, field->name, "must be 1 to %zu bytes long",
				      field->max_bytes);
		return 0;
	}
	if (cJSON_IsNumber(item) && (types & (FIELD_INTEGER | FIELD_NUMBER))) {
		double value = item->valuedouble;

		if (!(value >= 0 && value <= field->max) ||
		    ((types & FIELD_INTEGER) && !is_integer(value)))
			return refuse(error, field->name, "must be %s from 0 to %.0f",
				      types & FIELD_INTEGER ? "an integer" : "a number",
				      field->max);
		return 0;
	}
	if (cJSON_IsBool(item) && (types & FIELD_BOOLEAN))
		return 0;
	if (cJSON_IsString(item) && (types & FIELD_TIME))
		return 0;  /* read once, in summarise() */

	return refuse(error, field->name, "must be %s",
		      types == FIELD_STRING  ? "a string" :
		      types == FIELD_INTEGER ? "an integer" :
		      types == FIELD_NUMBER  ? "a number" :
		      types == FIELD_BOOLEAN ? "true or false" :
		      types == FIELD_TIME    ? "a string with a time" :
					       "a string or an integer");
}

static int check_name(const cJSON *object, const cJSON *item, struct record_error *error)
{
	if (strlen(item->string) > LIMITS_FIELD_NAME_BYTES)
		return refuse(error, item->string, "a field's name has at most %d bytes",
			      LIMITS_FIELD_NAME_BYTES);
	for (const cJSON *earlier = object->child; earlier != item; earlier = earlier->next) {
		if (strcmp(earlier->string, item->string) == 0)
			return refuse(error, item->string, "stands twice in the record");
	}
	return 0;
}

/*
 * A field that we don't know is kept as it is, within limits: a newer monitor's extra
 * fields are evidence too, but nothing is stored that a reader of the lines could choke
 * on. @name is the field's, also of what is inside it; @left what may still come.
 */
static int check_unknown(const cJSON *item, const char *name, int depth, int *left,
			 struct record_error *error)
{
	const cJSON *inner;
	int err;

	if (--*left < 0)
		return refuse(error, name, "unknown fields have at most %d values",
			      LIMITS_UNKNOWN_VALUES);
	if (cJSON_IsBool(item) || cJSON_IsNull(item))
		return 0;
	if (cJSON_IsNumber(item))
		return isfinite(item->valuedouble) ?
		       0 : refuse(error, name, "is a number out of range");
	if (cJSON_IsString(item))
		return strlen(item->valuestring) <= LIMITS_STRING_BYTES ?
		       0 : refuse(error, name, "must be at most %d bytes long",
				  LIMITS_STRING_BYTES);
	if (depth == LIMITS_UNKNOWN_DEPTH)
		return refuse(error, name, "must be nested at most %d deep", LIMITS_UNKNOWN_DEPTH);
	cJSON_ArrayForEach(inner, item) {
		err = cJSON_IsObject(item) ? check_name(item, inner, error) : 0;
		if (!err)
			err = check_unknown(inner, name, depth + 1, left, error);
		if (err)
			return err;
	}
	return 0;
}

static int check_fields(enum record_kind kind, const cJSON *object, struct record_error *error)
{
	int count = 0, left = LIMITS_UNKNOWN_VALUES, err;
	const struct field *field;
	const cJSON *item;

	cJSON_ArrayForEach(item, object) {
		if (++count > LIMITS_RECORD_FIELDS)
			return refuse(error, "", "a record has at most %d fields",
				      LIMITS_RECORD_FIELDS);
		err = check_name(object, item, error);
		if (err)
			return err;
		field = find_field(kind, item->string);
		err = field ? check_known(field, item, error) :
			      check_unknown(item, item->string, 0, &left, error);
		if (err)
			return err;
	}
	for (field = fields_of[kind]; field->name; field++) {
		if (field->required && !cJSON_GetObjectItemCaseSensitive(object, field->name))
			return refuse(error, field->name, "is missing");
	}
	return 0;
}

uint64_t record_image_hash(const char *image)
{
	const uint64_t key[2] = { 0 };

	return hash_bytes(key, image, strlen(image)).half[0] | 1;
}

static uint64_t image_hash_of(const cJSON *object)
{
	const cJSON *image = cJSON_GetObjectItemCaseSensitive(object, "image");

	return record_image_hash(cJSON_IsString(image) ? image->valuestring : "");
}

/* Copies nothing where there is no such string. */
static void copy_string(const cJSON *object, const char *name, char *to, size_t size)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (cJSON_IsString(item))
		utf8_copy(to, size, item->valuestring);
}

static double number_or(const cJSON *object, const char *name, double otherwise)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static enum record_outcome outcome_of(const cJSON *object)
{
	static const struct {
		const char *action;
		enum record_outcome outcome;
	} others[] = {
		{ "would_kill", RECORD_DRY_RUN },
		{ "survived", RECORD_SURVIVED },
		{ "gone", RECORD_GONE },
		{ "unknown", RECORD_GONE },
		{ "died", RECORD_GONE },
	};
	const cJSON *action = cJSON_GetObjectItemCaseSensitive(object, "action");

	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "dry_run")))
		return RECORD_DRY_RUN;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(action->valuestring, others[i].action) == 0)
			return others[i].outcome;
	}
	return RECORD_REMOVED;
}

static int summarise(enum record_kind kind, const cJSON *object, int zone_s,
		     struct record *record, struct record_error *error)
{
	const cJSON *time = cJSON_GetObjectItemCaseSensitive(object, "timestamp");
	char class[RECORD_SHORT_BYTES] = "";
	int err;

	memset(record, 0, sizeof(*record));
	record->kind = kind;
	err = timestamp_read(time->valuestring, zone_s, &record->time_ms);
	if (err == -ERANGE)
		return refuse(error, "timestamp", "must be from 1970 to 2200");
	if (err)
		return refuse(error, "timestamp", "must be a time like 2026-11-23T06:40:01.123Z "
						  "or 23/11/2026 06:40:01");
	copy_string(object, "event_id", record->event_id, sizeof(record->event_id));
	copy_string(object, "host", record->host, sizeof(record->host));

	if (kind == RECORD_MEMORY) {
		record->memory.total_kib = number_or(object, "total_ram", 0);
		record->memory.free_kib = number_or(object, "free_ram", 0);
		record->memory.used_kib = number_or(object, "used_ram", 0);
		record->memory.available_kib = number_or(object, "available_ram", -1);
		return 0;
	}

	copy_string(object, "class", class, sizeof(class));
	record->kill.class = RECORD_CLASS_UNKNOWN;
	for (int i = 0; i < RECORD_CLASS_UNKNOWN; i++) {
		if (strcmp(class, class_names[i]) == 0)
			record->kill.class = i;
	}
	record->kill.outcome = outcome_of(object);
	copy_string(object, "name", record->kill.name, sizeof(record->kill.name));
	copy_string(object, "image", record->kill.image, sizeof(record->kill.image));
	record->kill.image_hash = image_hash_of(object);
	copy_string(object, "container_id", record->kill.container,
		    sizeof(record->kill.container));
	copy_string(object, "reason", record->kill.reason, sizeof(record->kill.reason));
	record->kill.cpu_percent = number_or(object, "cpu_usage", 0);
	/* memory.current is in bytes, as cgroup v2 gives it; rss in KiB, as the module does. */
	record->kill.memory_kib = number_or(object, "memory_current", -1) / 1024;
	if (record->kill.memory_kib < 0)
		record->kill.memory_kib = number_or(object, "rss", 0);
	return 0;
}

static int print_line(const cJSON *object, char *line, size_t *ret_len)
{
	/* cJSON wants to be given five bytes more than it uses. */
	char text[RECORD_LINE_BYTES + 5];
	size_t len;

	if (!cJSON_PrintPreallocated((cJSON *)object, text, sizeof(text), false))
		return -E2BIG;
	len = strlen(text);
	if (len > LIMITS_RECORD_BYTES)
		return -E2BIG;
	memcpy(line, text, len);
	memcpy(line + len, "\n", 2);
	*ret_len = len + 1;
	return 0;
}

/* Every record of a request whose token is a host's is of that host. */
static int bind_host(cJSON *object, const char *host, struct record_error *error)
{
	const cJSON *named = cJSON_GetObjectItemCaseSensitive(object, "host");

	if (cJSON_IsString(named) && strcmp(named->valuestring, host) == 0)
		return 0;
	if (cJSON_IsString(named)) {
		refuse(error, "host", "is another one than the token's");
		return -EACCES;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(object, "host");
	return cJSON_AddStringToObject(object, "host", host) ? 0 : -ENOMEM;
}

static size_t skip_space(const char *body, size_t len, size_t at)
{
	while (at < len && strchr(" \t\r\n", body[at]) && body[at])
		at++;
	return at;
}

static int read_record(enum record_kind kind, const char *json, size_t len, int zone_s,
		       const char *host, struct record *ret, char *line, size_t *ret_line_len,
		       struct record_error *ret_error)
{
	struct record record;
	cJSON *object = NULL;
	const char *end;
	int err;

	if (len > LIMITS_RECORD_BYTES)
		return refuse(ret_error, "", "a record has at most %d bytes", LIMITS_RECORD_BYTES);
	if (!utf8_is_valid(json, len))
		return refuse(ret_error, "", "is not valid UTF-8");
	if (has_escaped_nul(json, len))
		return refuse(ret_error, "", "has a NUL character in a string");

	object = cJSON_ParseWithLengthOpts(json, len, &end, false);
	if (!object || skip_space(json, len, (size_t)(end - json)) != len) {
		err = refuse(ret_error, "", "is not valid JSON");
		goto out;
	}
	if (!cJSON_IsObject(object)) {
		err = refuse(ret_error, "", "must be a JSON object");
		goto out;
	}
	err = check_fields(kind, object, ret_error);
	if (!err && host)
		err = bind_host(object, host, ret_error);
	if (err)
		goto out;
	err = summarise(kind, object, zone_s, &record, ret_error);
	if (err)
		goto out;
	if (line && print_line(object, line, ret_line_len)) {
		err = refuse(ret_error, "", "a record has at most %d bytes, escapes included",
			     LIMITS_RECORD_BYTES);
		goto out;
	}
	*ret = record;
out:
	cJSON_Delete(object);
	return err;
}

int record_read(enum record_kind kind, const char *json, size_t len, int zone_s,
		struct record *ret, char *line, size_t *ret_line_len, struct record_error *ret_error)
{
	return read_record(kind, json, len, zone_s, NULL, ret, line, ret_line_len, ret_error);
}

/*
 * The end of the object that starts at @at: the brace that closes it. Only
 * strings and nesting matter here; whether it is JSON is cJSON's to say.
 * 0 if it is not closed.
 */
static size_t object_end(const char *body, size_t len, size_t at)
{
	bool in_string = false;
	int depth = 0;

	for (; at < len; at++) {
		char c = body[at];

		if (in_string) {
			if (c == '\\')
				at++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && --depth == 0) {
			return at + 1;
		}
	}
	return 0;
}

static int batch_add(struct record_batch *batch, size_t *capacity, size_t *lines_capacity,
		     const struct record *record, const char *line, size_t line_len)
{
	if (batch->count == *capacity) {
		size_t grown = *capacity ? *capacity * 2 : 4;
		void *records = reallocarray(batch->records, grown, sizeof(*batch->records));
		void *ends;

		if (!records)
			return -ENOMEM;
		batch->records = records;
		ends = reallocarray(batch->line_ends, grown, sizeof(*batch->line_ends));
		if (!ends)
			return -ENOMEM;
		batch->line_ends = ends;
		*capacity = grown;
	}
	if (batch->lines_len + line_len > *lines_capacity) {
		size_t grown = *lines_capacity * 2 + line_len + 1024;
		char *lines = realloc(batch->lines, grown);

		if (!lines)
			return -ENOMEM;
		batch->lines = lines;
		*lines_capacity = grown;
	}
	memcpy(batch->lines + batch->lines_len, line, line_len);
	batch->lines_len += line_len;
	batch->records[batch->count] = *record;
	batch->line_ends[batch->count++] = batch->lines_len;
	return 0;
}

/*
 * The records are cut apart before they are parsed: so what cJSON builds at
 * one time is bounded by one record, not by a body of a million brackets, and
 * every error has an index.
 */
static int read_array(enum record_kind kind, const char *body, size_t len, int zone_s,
		      const char *host, struct record_batch *batch, struct record_error *error)
{
	size_t capacity = 0, lines_capacity = 0, line_len, end, at;
	char line[RECORD_LINE_BYTES];
	struct record record;
	int err;

	at = skip_space(body, len, 0);
	if (at == len || body[at] != '[')
		return refuse(error, "", "the body must be a JSON array of records");
	at = skip_space(body, len, at + 1);
	if (at < len && body[at] == ']')
		goto end_of_array;

	for (;;) {
		error->index = (int)batch->count;
		if (batch->count == LIMITS_RECORDS) {
			refuse(error, "", "a request has at most %d records", LIMITS_RECORDS);
			return -E2BIG;
		}
		if (at == len || body[at] != '{')
			return refuse(error, "", "must be a JSON object");
		end = object_end(body, len, at);
		if (!end)
			return refuse(error, "", "is not valid JSON: it has no end");
		err = read_record(kind, body + at, end - at, zone_s, host, &record, line,
				  &line_len, error);
		if (err)
			return err;
		err = batch_add(batch, &capacity, &lines_capacity, &record, line, line_len);
		if (err)
			return err;
		at = skip_space(body, len, end);
		if (at < len && body[at] == ']')
			break;
		if (at == len || body[at] != ',')
			return refuse(error, "", "must be followed by a comma or the array's end");
		at = skip_space(body, len, at + 1);
	}
end_of_array:
	if (skip_space(body, len, at + 1) != len) {
		error->index = -1;
		return refuse(error, "", "there is something after the array");
	}
	return 0;
}

int record_read_body(enum record_kind kind, const char *body, size_t len, int zone_s,
		     const char *host, struct record_batch *ret, struct record_error *ret_error)
{
	struct record_error error = { .index = -1 };
	struct record_batch batch = { 0 };
	int err;

	err = read_array(kind, body, len, zone_s, host, &batch, &error);
	if (err) {
		record_batch_free(&batch);
		*ret_error = error;
		return err;
	}
	*ret = batch;
	return 0;
}

void record_batch_free(struct record_batch *batch)
{
	free(batch->records);
	free(batch->line_ends);
	free(batch->lines);
	memset(batch, 0, sizeof(*batch));
}
