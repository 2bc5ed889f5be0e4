// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/limits.h"
#include "logserver/timestamp.h"

/* date -u -d 2026-11-23T06:40:01 +%s */
#define MOMENT_MS (1795416001LL * 1000)

static void test_read(void **state)
{
	static const struct {
		const char *text;
		int zone_s, err;
		int64_t ms;
	} cases[] = {
		{ "2026-11-23T06:40:01.123Z", 0, 0, MOMENT_MS + 123 },
		{ "2026-11-23T06:40:01Z", -21600, 0, MOMENT_MS },
		{ "2026-11-23t06:40:01z", 0, 0, MOMENT_MS },
		{ "2026-11-23 06:40:01Z", 0, 0, MOMENT_MS },
		{ "2026-11-23T06:40:01.1Z", 0, 0, MOMENT_MS + 100 },
		{ "2026-11-23T06:40:01.123456789Z", 0, 0, MOMENT_MS + 123 },
		{ "2026-11-23T00:40:01-06:00", 0, 0, MOMENT_MS },
		{ "2026-11-23T12:10:01+05:30", 0, 0, MOMENT_MS },
		{ "23/11/2026 06:40:01", 0, 0, MOMENT_MS },
		{ "23/11/2026 00:40:01", -6 * 3600, 0, MOMENT_MS },
		{ "29/02/2024 00:00:00", 0, 0, 1709164800000 },
		{ "1970-01-01T00:00:00Z", 0, 0, 0 },
		{ "2016-12-31T23:59:60Z", 0, 0, 1483228800000 },
		{ "1969-12-31T23:59:59Z", 0, -ERANGE, 0 },
		{ "01/01/1970 00:00:00", 3600, -ERANGE, 0 },
		{ "2200-01-01T00:00:00.001Z", 0, -ERANGE, 0 },
		{ "9999-12-31T23:59:59Z", 0, -ERANGE, 0 },
		{ "", 0, -EINVAL, 0 },
		{ "now", 0, -EINVAL, 0 },
		{ "2026-11-23", 0, -EINVAL, 0 },
		{ "2026-11-23T06:40:01", 0, -EINVAL, 0 },
		{ "2026-11-23T06:40:01.Z", 0, -EINVAL, 0 },
		{ "2026-11-23T06:40Z", 0, -EINVAL, 0 },
		{ "2026-11-23T06:40:01Zulu", 0, -EINVAL, 0 },
		{ "2026-11-23T06:40:01+0100", 0, -EINVAL, 0 },
		{ "2026-11-23T06:40:01+24:00", 0, -EINVAL, 0 },
		{ "2026-13-01T00:00:00Z", 0, -EINVAL, 0 },
		{ "2026-00-01T00:00:00Z", 0, -EINVAL, 0 },
		{ "2025-02-29T00:00:00Z", 0, -EINVAL, 0 },
		{ "2100-02-29T00:00:00Z", 0, -EINVAL, 0 },
		{ "2026-11-31T00:00:00Z", 0, -EINVAL, 0 },
		{ "2026-11-23T24:00:00Z", 0, -EINVAL, 0 },
		{ "2026-11-23T23:60:00Z", 0, -EINVAL, 0 },
		{ "2026-11-23T23:59:61Z", 0, -EINVAL, 0 },
		{ "31/02/2026 06:40:01", 0, -EINVAL, 0 },
		{ "11/23/2026 06:40:01", 0, -EINVAL, 0 },
		{ "23/11/26 06:40:01", 0, -EINVAL, 0 },
		{ "23/11/2026 6:40:01", 0, -EINVAL, 0 },
		{ "23/11/2026T06:40:01", 0, -EINVAL, 0 },
		{ " 23/11/2026 06:40:01", 0, -EINVAL, 0 },
		{ "23/11/2026 06:40:01 ", 0, -EINVAL, 0 },
		{ "-026-11-23T06:40:01Z", 0, -EINVAL, 0 },
		{ "\xd9\xa2" "026-11-23T06:40:01Z", 0, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = -7;
		int err = timestamp_read(cases[i].text, cases[i].zone_s, &ms);

		if (err != cases[i].err || ms != (err ? -7 : cases[i].ms))
			fail_msg("\"%s\": %d, %lld", cases[i].text, err, (long long)ms);
	}
}

static void test_read_zone(void **state)
{
	static const struct {
		const char *text;
		int err, zone_s;
	} cases[] = {
		{ "UTC", 0, 0 },	     { "+00:00", 0, 0 },
		{ "-06:00", 0, -21600 },     { "+05:45", 0, 20700 },
		{ "America/Guatemala", -EINVAL, 0 }, { "-6", -EINVAL, 0 },
		{ "-06:00x", -EINVAL, 0 },   { "", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int zone_s = 1;
		int err = timestamp_read_zone(cases[i].text, &zone_s);

		assert_int_equal(err, cases[i].err);
		assert_int_equal(zone_s, err ? 1 : cases[i].zone_s);
	}
}

static void test_write(void **state)
{
	char text[TIMESTAMP_BYTES];

	(void)state;
	timestamp_write(MOMENT_MS + 999, text);
	assert_string_equal(text, "2026-11-23 06:40:01 UTC");
	timestamp_write(LIMITS_TIME_MS, text);
	assert_string_equal(text, "2200-01-01 00:00:00 UTC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_zone),
		cmocka_unit_test(test_write),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
