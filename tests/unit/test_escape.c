// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/escape.h"

static void bytes(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "", "" },
		{ "plain name-1.2_3", "plain name-1.2_3" },
		{ "a\nb\r\t", "a\\x0ab\\x0d\\x09" },
		{ "\x1b[2J\x7f", "\\x1b[2J\\x7f" },
		{ "back\\slash", "back\\x5cslash" },
		{ "\xc2\x9b" "31m", "\\xc2\\x9b31m" },		/* CSI as one character */
		{ "\xe2\x80\xae" "x", "\\xe2\\x80\\xaex" },	/* right-to-left override */
		{ "\xff", "\\xff" },
	};
	char buf[64];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		assert_string_equal(escape(cases[i].text, buf, sizeof(buf)), cases[i].shown);
}

/* Never past the end, never a part of an escape. */
static void sizes(void **state)
{
	/* What fits is a beginning of this, cut between two characters. */
	static const char whole[] = "ab\\x0a\\x0acd", cuts[] = "yyynnnynnnyyy";
	char buf[16];
	size_t size;

	(void)state;
	for (size = 1; size < sizeof(buf); size++) {
		memset(buf, '!', sizeof(buf));
		escape("ab\n\ncd", buf, size);
		assert_true(strlen(buf) < size);
		assert_memory_equal(buf, whole, strlen(buf));
		assert_int_equal(cuts[strlen(buf)], 'y');
		assert_int_equal(buf[size], '!');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(sizes),
	};

	return RUN(tests);
}
