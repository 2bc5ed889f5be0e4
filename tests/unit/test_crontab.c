// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/crontab.h"

/* In and out again: every byte of the others is as it was. */
static void there_and_back(void **state)
{
	static const char *const tables[] = {
		"",
		"0 1 * * * /bin/true\n",
		"# comment\n\nMAILTO=me\n7 * * * 2 x 50\\% y\n",
		"# BEGIN sysinfo monitor, gone when it ends\nnot ended: somebody else's\n",
		"# END sysinfo monitor\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(tables); i++) {
		char *with = crontab_with(tables[i], "* * * * * x");
		char *again = crontab_with(with, "* * * * * y");
		char *without = crontab_without(again);

		assert_non_null(strstr(with, "* * * * * x\n"));
		assert_null(strstr(again, "* * * * * x\n"));
		assert_non_null(strstr(again, "* * * * * y\n"));
		assert_string_equal(without, tables[i]);
		free(with);
		free(again);
		free(without);
	}
}

/* In the middle, left by a monitor that was killed. */
static void left_behind(void **state)
{
	char *ours = crontab_with("", "* * * * * x"), *text = NULL, *without;

	(void)state;
	assert_true(asprintf(&text, "before\n%safter\n", ours) > 0);
	without = crontab_without(text);
	assert_string_equal(without, "before\nafter\n");
	free(ours);
	free(text);
	free(without);
}

static void quotes(void **state)
{
	static const struct {
		const char *word, *quoted;
	} cases[] = {
		{ "/a/b", "'/a/b'" },
		{ "/a b/$c", "'/a b/$c'" },
		{ "it's", "'it'\\''s'" },
		{ "50%", "'50\\%'" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		char *quoted = crontab_quote(cases[i].word);

		assert_string_equal(quoted, cases[i].quoted);
		free(quoted);
	}
	assert_null(crontab_quote("a\nb"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(left_behind),
		cmocka_unit_test(quotes),
	};

	return RUN(tests);
}
