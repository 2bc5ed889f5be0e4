// SPDX-License-Identifier: GPL-2.0
/* How answers are written: CSV, gzip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "logserver/csv.h"
#include "logserver/gzip.h"

static void test_csv(void **state)
{
	static const struct {
		const char *line, *row;
	} cases[] = {
		{ "{}", ",,,,,,,\r\n" },
		{ "{\"total_ram\":1,\"free_ram\":9007199254740991,\"used_ram\":0.1,\"timestamp\":\"t\"}",
		  "1,9007199254740991,0.1,\"t\",,,,\r\n" },
		{ "{\"host\":\"a,\\\"b\\\"\\r\\nc\",\"extra\":1}", ",,,,,\"a,\"\"b\"\"\r\nc\",,\r\n" },
		{ "{\"host\":\"=1+1\",\"boot_id\":\"-1\",\"event_id\":\"@\"}",
		  ",,,,\"'@\",\"'=1+1\",\"'-1\",\r\n" },
		{ "{\"host\":null,\"total_ram\":true}", "true,,,,,,,\r\n" },
	};
	char row[CSV_ROW_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = csv_row(RECORD_MEMORY, cases[i].line, strlen(cases[i].line), row);

		if (len != strlen(cases[i].row) || memcmp(row, cases[i].row, len) != 0)
			fail_msg("case %zu: %.*s", i, (int)len, row);
	}
}

/* The longest row that a stored line can become. */
static void test_csv_fits(void **state)
{
	char *line = malloc(LIMITS_RECORD_BYTES + 1), row[CSV_ROW_BYTES];
	size_t len = 0, put;

	(void)state;
	len = (size_t)sprintf(line, "{\"reason\":\"");
	while (len + 4 < LIMITS_RECORD_BYTES)
		len += (size_t)sprintf(line + len, "\\\"");
	len += (size_t)sprintf(line + len, "\"}");
	put = csv_row(RECORD_KILL, line, len, row);
	assert_in_range(put, 8000, sizeof(row));
	free(line);
}

static void test_accept_encoding(void **state)
{
	static const struct {
		const char *header;
		bool accepted;
	} cases[] = {
		{ NULL, false }, { "", false }, { "gzip", true }, { "GZIP", true }, { "br, gzip", true },
		{ "deflate , gzip;q=0.5", true }, { "gzip;q=0", false }, { "gzip; q=0.0", false },
		{ "gzip;q=1", true }, { "x-gzip", false }, { "gzipped", false }, { "identity", false },
		{ ",,,", false }, { "gzip;", true }, { ";q=1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (gzip_is_accepted(cases[i].header) != cases[i].accepted)
			fail_msg("%s", cases[i].header);
	}
}

struct source {
	size_t left, step;
};

static ssize_t read_source(void *context, char *buffer, size_t size)
{
	struct source *source = context;
	size_t len = source->step < size ? source->step : size;

	if (len > source->left)
		len = source->left;
	for (size_t i = 0; i < len; i++)
		buffer[i] = (char)('a' + (source->left - i) % 23);
	source->left -= len;
	return (ssize_t)len;
}

/* Whatever the pieces, what comes out is what went in. */
static void test_stream(void **state)
{
	enum { LENGTH = 300000 };
	static char packed[LENGTH], plain[LENGTH + 1];

	(void)state;
	for (size_t out = 1; out < 70000; out = out * 7 + 3) {
		struct source source = { LENGTH, out * 3 };
		struct gzip *gzip;
		z_stream stream = { 0 };
		size_t len = 0;
		ssize_t got;

		assert_int_equal(gzip_open(read_source, &source, &gzip), 0);
		while ((got = gzip_read(gzip, packed + len, out)) > 0)
			len += (size_t)got;
		assert_int_equal(got, 0);
		gzip_close(gzip);
		assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
		stream.next_in = (Bytef *)packed;
		stream.avail_in = (uInt)len;
		stream.next_out = (Bytef *)plain;
		stream.avail_out = sizeof(plain);
		assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
		assert_int_equal(stream.total_out, LENGTH);
		for (size_t i = 0; i < LENGTH; i++)
			assert_int_equal(plain[i], 'a' + (LENGTH - i) % 23);
		inflateEnd(&stream);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_csv_fits),
		cmocka_unit_test(test_accept_encoding),
		cmocka_unit_test(test_stream),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
