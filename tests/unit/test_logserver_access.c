// SPDX-License-Identifier: GPL-2.0
/* Who is let in, and how often. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/auth.h"
#include "logserver/rate.h"

#define TOKEN "0123456789abcdef"

static void test_token_files(void **state)
{
	static const struct {
		const char *text;
		size_t count, line;  /* count 0: refused, for this line */
	} cases[] = {
		{ TOKEN, 1, 0 },
		{ TOKEN "\n", 1, 0 },
		{ "# all\n\n  \n" TOKEN "\r\n" TOKEN "x host-1 \r\n", 2, 0 },
		{ TOKEN "\t\thost", 1, 0 },
		{ "", 0, 0 },
		{ "#" TOKEN "\n", 0, 0 },
		{ "short\n", 0, 1 },
		{ TOKEN "\nshort host\n", 0, 2 },
		{ " " TOKEN "\n", 0, 1 },
		{ TOKEN "\"\n", 0, 1 },
		{ TOKEN " two hosts\n", 0, 1 },
		{ TOKEN " \xff\n", 0, 1 },
		{ TOKEN " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, 1 },
		{ TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct auth auth = { 0 };
		size_t line = 99;
		int err = auth_parse(cases[i].text, &auth, &line);

		if (cases[i].count ? err || auth.count != cases[i].count
				   : err != -EINVAL || line != cases[i].line)
			fail_msg("case %zu: %d, %zu tokens, line %zu", i, err, auth.count, line);
		auth_free(&auth);
	}
}

static void test_tokens(void **state)
{
	static const struct {
		const char *header, *host;  /* host NULL: not let in */
	} cases[] = {
		{ "Bearer " TOKEN, "" },
		{ "bearer " TOKEN, "" },
		{ "Bearer " TOKEN "x", "host-1" },
		{ NULL, NULL },
		{ "", NULL },
		{ "Bearer", NULL },
		{ "Bearer ", NULL },
		{ TOKEN, NULL },
		{ "Basic " TOKEN, NULL },
		{ "Bearer 0123456789abcde", NULL },
		{ "Bearer " TOKEN "y", NULL },
		{ "Bearer " TOKEN " host-1", NULL },
		{ "Bearer  " TOKEN, NULL },
		{ "Bearer " TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN TOKEN, NULL },
	};
	struct auth auth;
	size_t line;

	(void)state;
	assert_int_equal(auth_parse(TOKEN "\n" TOKEN "x host-1\n", &auth, &line), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct auth_token *token = auth_find(&auth, cases[i].header);

		if (!token != !cases[i].host || (token && strcmp(token->host, cases[i].host) != 0))
			fail_msg("case %zu", i);
	}
	auth_free(&auth);
}

static void test_rate(void **state)
{
	struct rate *rate = calloc(1, sizeof(*rate));
	int64_t now_ms = 1000000;
	int taken = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(rate_take(rate, 1, now_ms));
	rate->per_s = 10;
	while (rate_take(rate, 1, now_ms))
		taken++;
	assert_int_equal(taken, 10 * LIMITS_RATE_BURST_S);
	assert_true(rate_take(rate, 2, now_ms));
	assert_false(rate_take(rate, 1, now_ms + 99));
	assert_true(rate_take(rate, 1, now_ms + 150));
	/* A clock that goes back gives nothing and takes nothing. */
	assert_false(rate_take(rate, 1, now_ms));
	for (taken = 0; rate_take(rate, 1, now_ms + 3600000); taken++)
		;
	assert_int_equal(taken, 10 * LIMITS_RATE_BURST_S);
	free(rate);
}

/* However many there are, the table stays as it is and the busiest is still held. */
static void test_many_clients(void **state)
{
	struct rate *rate = calloc(1, sizeof(*rate));
	int taken = 0;

	(void)state;
	rate->per_s = 1;
	for (uint64_t i = 1; i < 100000; i++) {
		rate_take(rate, i * 2654435761, (int64_t)i);
		taken += rate_take(rate, 77, (int64_t)i);
	}
	assert_in_range(taken, 100, 110);
	free(rate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token_files),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_many_clients),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
