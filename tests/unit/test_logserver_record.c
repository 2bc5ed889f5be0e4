// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/record.h"
#include "logserver/utf8.h"

/* As the reference system sends them: its fields only, in its time format. */
#define KILL_HEAD "\"pid\":4242,\"container_id\":\"4f1c9a0e77d2\",\"name\":\"heavy_cpu\"," \
		  "\"vsz\":10240,\"rss\":2048,\"memory_usage\":1.5,\"cpu_usage\":98.7"
#define KILL_REFERENCE KILL_HEAD ",\"action\":\"stopped\",\"timestamp\":\"23/11/2026 06:40:01\""
#define MEMORY_REFERENCE "\"total_ram\":8388608,\"free_ram\":6291456,\"used_ram\":2097152," \
			 "\"timestamp\":\"23/11/2026 06:40:01\""
#define KILL_OURS KILL_HEAD ",\"action\":\"killed\",\"timestamp\":\"2026-11-23T06:40:01.123Z\"," \
	"\"event_id\":\"host:boot:1\",\"host\":\"build-1\",\"boot_id\":\"b-1\"," \
	"\"image\":\"warden/cpu\",\"class\":\"high\",\"reason\":\"more than 2 high\"," \
	"\"memory_current\":1048576,\"verified\":true,\"signal\":\"SIGKILL\"," \
	"\"kill_latency_ms\":12.5,\"sequence\":7,\"witness\":\"agreed\""

static int read_one(enum record_kind kind, const char *json, struct record *record, char *line,
		    struct record_error *error)
{
	size_t line_len;

	return record_read(kind, json, strlen(json), 0, record, line, &line_len, error);
}

static void test_reference_records(void **state)
{
	char line[RECORD_LINE_BYTES];
	struct record_error error;
	struct record record;

	(void)state;
	assert_int_equal(read_one(RECORD_KILL, "{" KILL_REFERENCE "}", &record, line, &error), 0);
	assert_string_equal(line, "{" KILL_REFERENCE "}\n");
	assert_int_equal(record.time_ms, 1795416001000);
	assert_string_equal(record.event_id, "");
	assert_string_equal(record.host, "");
	assert_string_equal(record.kill.name, "heavy_cpu");
	assert_int_equal(record.kill.class, RECORD_CLASS_UNKNOWN);
	assert_true(record.kill.memory_kib == 2048);
	assert_true(record.kill.cpu_percent == 98.7);

	assert_int_equal(read_one(RECORD_MEMORY, "{" MEMORY_REFERENCE "}", &record, line, &error), 0);
	assert_string_equal(line, "{" MEMORY_REFERENCE "}\n");
	assert_true(record.memory.used_kib == 2097152);
	assert_true(record.memory.available_kib < 0);
}

static void test_our_records(void **state)
{
	char line[RECORD_LINE_BYTES];
	struct record_error error;
	struct record record;

	(void)state;
	assert_int_equal(read_one(RECORD_KILL, " {\n" KILL_OURS "\t} ", &record, line, &error), 0);
	assert_string_equal(line, "{" KILL_OURS "}\n");
	assert_int_equal(record.time_ms, 1795416001123);
	assert_string_equal(record.event_id, "host:boot:1");
	assert_string_equal(record.host, "build-1");
	assert_string_equal(record.kill.image, "warden/cpu");
	assert_string_equal(record.kill.container, "4f1c9a0e77d2");
	assert_int_equal(record.kill.class, RECORD_CLASS_HIGH);
	/* memory_current is in bytes. */
	assert_true(record.kill.memory_kib == 1024);
}

/* What is added to, or stands instead of, a good record, and what is said of it. */
static void test_validation(void **state)
{
	static const struct {
		enum record_kind kind;
		const char *json, *field;  /* field NULL: accepted */
	} cases[] = {
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"event_id\":null,\"host\":null}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"signal\":9}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"signal\":null,\"class\":\"odd\"}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":\"x\",\"n\":-1.5,\"b\":false,\"z\":null}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"event_id\":\"\\ud83d\\ude00\"}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":\"\\\\u0000\"}", NULL },
		{ RECORD_MEMORY, "{" MEMORY_REFERENCE ",\"available_ram\":0}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"event_id\":\"\"}", "event_id" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"event_id\":7}", "event_id" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"signal\":65}", "signal" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"signal\":true}", "signal" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"verified\":1}", "verified" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"sequence\":1.5}", "sequence" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"sequence\":-1}", "sequence" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"memory_current\":1e300}", "memory_current" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"memory_current\":9007199254740993}",
		  "memory_current" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"kill_latency_ms\":\"1\"}", "kill_latency_ms" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":{}}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"receipt\":[{\"pid\":7,\"by\":[9,null]}]}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":[[[[1]]]]}", NULL },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":[[[[[1]]]]]}", "new" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":[1e999]}", "new" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":{\"a\":1,\"a\":1}}", "a" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"outcome\":7}", "outcome" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"dry_run\":\"yes\"}", "dry_run" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":1e999}", "new" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"new\":1,\"new\":2}", "new" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"pid\":1}", "pid" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"host\":\"a\\u0000b\"}", "" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"host\":\"\xff\"}", "" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",\"host\":\"\\ud800\"}", "" },
		{ RECORD_KILL, "{" KILL_REFERENCE "", "" },
		{ RECORD_KILL, "{" KILL_REFERENCE "}}", "" },
		{ RECORD_KILL, "{" KILL_REFERENCE ",}", "" },
		{ RECORD_KILL, "[]", "" },
		{ RECORD_KILL, "null", "" },
		{ RECORD_KILL, "", "" },
		{ RECORD_KILL, "{}", "pid" },
		{ RECORD_KILL, "{" KILL_HEAD ",\"action\":\"a\"}", "timestamp" },
		{ RECORD_KILL, "{" KILL_HEAD ",\"action\":\"a\",\"timestamp\":1795416001}", "timestamp" },
		{ RECORD_KILL, "{" KILL_HEAD ",\"action\":\"a\",\"timestamp\":null}", "timestamp" },
		{ RECORD_KILL, "{" KILL_HEAD ",\"action\":\"a\",\"timestamp\":\"today\"}", "timestamp" },
		{ RECORD_KILL, "{" KILL_HEAD ",\"action\":\"a\",\"timestamp\":\"1960-01-01T00:00:00Z\"}",
		  "timestamp" },
		{ RECORD_KILL, "{" KILL_HEAD ",\"action\":\"\",\"timestamp\":\"23/11/2026 06:40:01\"}",
		  "action" },
		{ RECORD_KILL, "{" MEMORY_REFERENCE "}", "pid" },
		{ RECORD_MEMORY, "{" KILL_REFERENCE "}", "total_ram" },
		{ RECORD_MEMORY, "{" MEMORY_REFERENCE ",\"total_ram\":1}", "total_ram" },
		{ RECORD_MEMORY, "{" MEMORY_REFERENCE ",\"available_ram\":\"1\"}", "available_ram" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_error error = { 0 };
		char line[RECORD_LINE_BYTES];
		struct record record;
		int err = read_one(cases[i].kind, cases[i].json, &record, line, &error);

		if (!cases[i].field ? err != 0 :
		    err != -EINVAL || strcmp(error.field, cases[i].field) != 0 || !error.message[0])
			fail_msg("%s: %d, field %s, %s", cases[i].json, err, error.field,
				 error.message);
	}
}

/* A record with @field as a string of @len characters. */
static int read_with_string(const char *field, size_t len, struct record_error *error)
{
	char json[LIMITS_RECORD_BYTES * 2], line[RECORD_LINE_BYTES];
	int put = snprintf(json, sizeof(json), "{" KILL_REFERENCE ",\"%s\":\"", field);
	struct record record;

	memset(json + put, 'x', len);
	strcpy(json + put + len, "\"}");
	return read_one(RECORD_KILL, json, &record, line, error);
}

static void test_lengths(void **state)
{
	static const struct {
		const char *field;
		size_t limit;
	} cases[] = {
		{ "event_id", LIMITS_EVENT_ID_BYTES }, { "host", LIMITS_HOST_BYTES },
		{ "image", LIMITS_IMAGE_BYTES },       { "reason", LIMITS_STRING_BYTES },
		{ "unheard_of", LIMITS_STRING_BYTES }, { "witness", LIMITS_WORD_BYTES },
	};
	char name[LIMITS_FIELD_NAME_BYTES + 2];
	struct record_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_with_string(cases[i].field, cases[i].limit, &error), 0);
		assert_int_equal(read_with_string(cases[i].field, cases[i].limit + 1, &error),
				 -EINVAL);
		assert_string_equal(error.field, cases[i].field);
	}
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(read_with_string(name + 1, 1, &error), 0);
	assert_int_equal(read_with_string(name, 1, &error), -EINVAL);
	assert_int_equal(read_with_string("reason", LIMITS_RECORD_BYTES, &error), -EINVAL);
	assert_string_equal(error.field, "");
}

static void test_many_fields(void **state)
{
	char json[LIMITS_RECORD_BYTES], line[RECORD_LINE_BYTES];
	struct record_error error;
	struct record record;
	int known = 9, put;

	(void)state;
	for (int extra = LIMITS_RECORD_FIELDS - known; extra <= LIMITS_RECORD_FIELDS - known + 1;
	     extra++) {
		put = sprintf(json, "{" KILL_REFERENCE);
		for (int i = 0; i < extra; i++)
			put += sprintf(json + put, ",\"x%d\":%d", i, i);
		strcpy(json + put, "}");
		assert_int_equal(read_one(RECORD_KILL, json, &record, line, &error),
				 extra == LIMITS_RECORD_FIELDS - known ? 0 : -EINVAL);
	}
}

/* Unknown values are counted through all fields and depths. */
static void test_many_values(void **state)
{
	char json[LIMITS_RECORD_BYTES], line[RECORD_LINE_BYTES];
	struct record_error error;
	struct record record;
	int put;

	(void)state;
	for (int count = LIMITS_UNKNOWN_VALUES - 2; count <= LIMITS_UNKNOWN_VALUES - 1; count++) {
		put = sprintf(json, "{" KILL_REFERENCE ",\"a\":1,\"b\":[0");
		for (int i = 1; i < count; i++)
			put += sprintf(json + put, ",%d", i % 10);
		strcpy(json + put, "]}");
		assert_int_equal(read_one(RECORD_KILL, json, &record, line, &error),
				 count == LIMITS_UNKNOWN_VALUES - 2 ? 0 : -EINVAL);
	}
	assert_string_equal(error.field, "b");
}

static void test_outcomes(void **state)
{
	static const struct {
		const char *fields;
		enum record_outcome outcome;
	} cases[] = {
		{ "\"action\":\"killed\"", RECORD_REMOVED },
		{ "\"action\":\"eliminado\"", RECORD_REMOVED },
		{ "\"action\":\"would_kill\"", RECORD_DRY_RUN },
		{ "\"action\":\"killed\",\"dry_run\":true", RECORD_DRY_RUN },
		{ "\"action\":\"killed\",\"dry_run\":false", RECORD_REMOVED },
		{ "\"action\":\"died\"", RECORD_GONE },
		{ "\"action\":\"gone\",\"outcome\":\"was already gone\"", RECORD_GONE },
		{ "\"action\":\"survived\",\"outcome\":\"told to die, not dead yet\"", RECORD_SURVIVED },
	};
	struct record_error error;
	struct record record;
	char json[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(json, sizeof(json), "{" KILL_HEAD ",\"timestamp\":\"23/11/2026 06:40:01\",%s}",
			 cases[i].fields);
		assert_int_equal(record_read(RECORD_KILL, json, strlen(json), 0, &record, NULL, NULL,
					     &error), 0);
		assert_int_equal(record.kill.outcome, cases[i].outcome);
	}
}

static void test_body(void **state)
{
	static const struct {
		const char *body;
		int count, index;  /* count -1: refused, with this index */
	} cases[] = {
		{ "[]", 0, 0 },
		{ " [ \n] ", 0, 0 },
		{ "[{" MEMORY_REFERENCE "}]", 1, 0 },
		{ " [ {" MEMORY_REFERENCE "} , {" MEMORY_REFERENCE "} ] \r\n", 2, 0 },
		{ "[{" MEMORY_REFERENCE ",\"x\":\"]}[{,\\\"\"}]", 1, 0 },
		{ "", -1, -1 },
		{ "{" MEMORY_REFERENCE "}", -1, -1 },
		{ "[]x", -1, -1 },
		{ "[{" MEMORY_REFERENCE "}]]", -1, -1 },
		{ "[", -1, 0 },
		{ "[1]", -1, 0 },
		{ "[[]]", -1, 0 },
		{ "[{" MEMORY_REFERENCE "},]", -1, 1 },
		{ "[{" MEMORY_REFERENCE "} {" MEMORY_REFERENCE "}]", -1, 0 },
		{ "[{" MEMORY_REFERENCE "},{" MEMORY_REFERENCE "},{\"total_ram\":-1}]", -1, 2 },
		{ "[{" MEMORY_REFERENCE "},{", -1, 1 },
		{ "[{" MEMORY_REFERENCE ",\"x\":\"", -1, 0 },
		{ "[{" MEMORY_REFERENCE ",\"x\":\"\\", -1, 0 },
		{ "[{]}]", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Of the exact size, so that a sanitizer sees a byte read too far. */
		size_t len = strlen(cases[i].body);
		char *body = malloc(len ? len : 1);
		struct record_batch batch = { 0 };
		struct record_error error;
		int err;

		memcpy(body, cases[i].body, len);
		err = record_read_body(RECORD_MEMORY, body, len, 0, NULL, &batch, &error);
		free(body);
		if (cases[i].count < 0) {
			if (err != -EINVAL || error.index != cases[i].index || batch.count)
				fail_msg("%s: %d, index %d", cases[i].body, err, error.index);
			continue;
		}
		if (err || (int)batch.count != cases[i].count)
			fail_msg("%s: %d, %zu", cases[i].body, err, batch.count);
		if (batch.count)
			assert_int_equal(batch.line_ends[batch.count - 1], batch.lines_len);
		record_batch_free(&batch);
	}
}

static void test_too_many_records(void **state)
{
	const char *one = "{" MEMORY_REFERENCE "},";
	size_t len = strlen(one) * (LIMITS_RECORDS + 1);
	char *body = malloc(len + 2);
	struct record_batch batch;
	struct record_error error;

	(void)state;
	body[0] = '[';
	for (size_t i = 0; i <= LIMITS_RECORDS; i++)
		memcpy(body + 1 + i * strlen(one), one, strlen(one));
	body[len] = ']';
	assert_int_equal(record_read_body(RECORD_MEMORY, body, len + 1, 0, NULL, &batch, &error), -E2BIG);
	assert_int_equal(error.index, LIMITS_RECORDS);
	/* One fewer is just right. */
	body[len - strlen(one)] = ']';
	assert_int_equal(record_read_body(RECORD_MEMORY, body, len + 1 - strlen(one), 0, NULL, &batch,
					  &error), 0);
	assert_int_equal(batch.count, LIMITS_RECORDS);
	record_batch_free(&batch);
	free(body);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "", true },		     { "plain", true },
		{ "\xc3\xa9", true },	     { "\xe2\x82\xac", true },
		{ "\xf0\x9f\x98\x80", true },{ "\xf4\x8f\xbf\xbf", true },
		{ "\x80", false },	     { "\xc3", false },
		{ "\xc0\xaf", false },	     { "\xe0\x80\xaf", false },
		{ "\xed\xa0\x80", false },   { "\xf4\x90\x80\x80", false },
		{ "\xf0\x80\x80\x80", false },{ "\xf5\x80\x80\x80", false },
		{ "\xe2\x82", false },	     { "a\xff", false },
	};
	char cut[4];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(utf8_is_valid(cases[i].text, strlen(cases[i].text)),
				 cases[i].valid);
	utf8_copy(cut, sizeof(cut), "ab\xe2\x82\xac");
	assert_string_equal(cut, "ab");
	utf8_copy(cut, sizeof(cut), "\xe2\x82\xac");
	assert_string_equal(cut, "\xe2\x82\xac");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_records),
		cmocka_unit_test(test_our_records),
		cmocka_unit_test(test_validation),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_many_fields),
		cmocka_unit_test(test_many_values),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_too_many_records),
		cmocka_unit_test(test_utf8),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
