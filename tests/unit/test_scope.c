// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fnmatch.h>

#include "tests/unit/host.h"
#include "userspace/core/scope.h"

static void globs(void **state)
{
	static const struct {
		const char *glob, *text;
		bool match;
	} cases[] = {
		{ "web", "web", true },		{ "web", "web1", false },
		{ "web", "we", false },		{ "web*", "web", true },
		{ "web*", "web-1", true },	{ "*web", "my-web", true },
		{ "*", "", true },		{ "?", "", false },
		{ "?", "x", true },		{ "a*b*c", "a-b-b-c", true },
		{ "a*b*c", "a-b-b-d", false },	{ "*ab", "aab", true },
		{ "**", "x", true },		{ "", "", true },
		{ "", "x", false },		{ "[a]", "a", false },
		{ "[a]", "[a]", true },		{ "\\*", "*", false },
		{ "*\xff*", "a\xffz", true },	{ "key=*", "key=a=b\n", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		if (scope_glob(cases[i].glob, cases[i].text) != cases[i].match)
			fail_msg("'%s' and '%s'", cases[i].glob, cases[i].text);
}

/* All patterns and texts of up to five of these letters: as fnmatch(3) has it. */
static void as_fnmatch(void **state)
{
	char glob[6], text[6];
	unsigned int i, j, at, rest;

	(void)state;
	for (i = 0; i < 1024; i++) {
		for (at = 0, rest = i; at < 5; at++, rest /= 4)
			glob[at] = "ab*?"[rest % 4];
		for (glob[i % 6] = '\0', j = 0; j < 32; j++) {
			for (at = 0, rest = j; at < 5; at++, rest /= 2)
				text[at] = "ab"[rest % 2];
			text[j % 6] = '\0';
			if (scope_glob(glob, text) == !!fnmatch(glob, text, FNM_NOESCAPE))
				fail_msg("'%s' and '%s'", glob, text);
		}
	}
}

static void patterns(void **state)
{
	char longest[SCOPE_GLOB_SIZE + 8];
	struct scope s = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(scope_add(&s, "name:web-*"), 0);
	assert_int_equal(s.patterns[0].kind, SCOPE_NAME);
	assert_string_equal(s.patterns[0].glob, "web-*");
	assert_int_equal(scope_add(&s, "label:a:b=c"), 0);
	assert_string_equal(s.patterns[1].glob, "a:b=c");
	assert_int_equal(scope_add(&s, "name:"), -EINVAL);
	assert_int_equal(scope_add(&s, "name"), -EINVAL);
	assert_int_equal(scope_add(&s, "names:x"), -EINVAL);
	assert_int_equal(scope_add(&s, ":x"), -EINVAL);
	assert_int_equal(scope_add(&s, ""), -EINVAL);
	assert_int_equal(scope_add(&s, "name:a\nb"), -EINVAL);
	assert_int_equal(scope_add(&s, "name:a\x7f"), -EINVAL);
	assert_int_equal(scope_add(&s, "name:a "), -EINVAL);
	assert_int_equal(scope_add(&s, "name:a ;b"), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "image:", 6);
	longest[6 + SCOPE_GLOB_SIZE] = '\0';
	assert_int_equal(scope_add(&s, longest), -E2BIG);
	longest[6 + SCOPE_GLOB_SIZE - 1] = '\0';
	assert_int_equal(scope_add(&s, longest), 0);
	for (i = s.count; i < SCOPE_MAX; i++)
		assert_int_equal(scope_add(&s, "runtime:docker"), 0);
	assert_int_equal(scope_add(&s, "runtime:docker"), -ENOSPC);
}

static void meant(void **state)
{
	static char labels[] = "team=web\0empty=\0tier=front\0";
	const struct scope_pattern *found = NULL;
	struct scope s = { 0 }, none = { 0 };
	struct model_container c = { .runtime_name = "docker",
				     .runtime = { .name = "db-1", .image = "registry/db:1",
						  .labels = labels, .labels_len = sizeof(labels) - 1 } };
	static const char *const hits[] = { "label:tier=*", "label:team=web", "label:empty=",
					    "name:db-?", "image:registry/*", "runtime:docker" };
	static const char *const misses[] = { "label:tier", "label:web", "label:front*", "name:db",
					      "image:db*", "runtime:podman", "name:registry*" };
	size_t i;

	(void)state;
	assert_int_equal(scope_find(&none, &c, &found), SCOPE_NO);
	for (i = 0; i < COUNT(misses); i++)
		assert_int_equal(scope_add(&s, misses[i]), 0);
	assert_int_equal(scope_find(&s, &c, &found), SCOPE_NO);
	assert_null(found);
	for (i = 0; i < COUNT(hits); i++) {
		assert_int_equal(scope_add(&s, hits[i]), 0);
		assert_int_equal(scope_find(&s, &c, &found), SCOPE_YES);
		assert_ptr_equal(found, &s.patterns[s.count - 1]);
		s.count--;
	}
	/* Labels that aren't known may be any. */
	c.runtime.labels_cut = true;
	c.runtime.labels_len = 0;
	assert_int_equal(scope_find(&s, &c, NULL), SCOPE_UNSURE);
	assert_int_equal(scope_add(&s, "name:db-1"), 0);
	assert_int_equal(scope_find(&s, &c, NULL), SCOPE_YES);
	none.count = 0;
	assert_int_equal(scope_add(&none, "name:x"), 0);
	assert_int_equal(scope_find(&none, &c, NULL), SCOPE_NO);
	/* So may the rest of a name, and the name of an image that has lost it. */
	c.runtime.name_cut = true;
	assert_int_equal(scope_find(&none, &c, NULL), SCOPE_UNSURE);
	c.runtime.name_cut = false;
	c.runtime.image_unsure = true;
	assert_int_equal(scope_find(&none, &c, NULL), SCOPE_NO);
	assert_int_equal(scope_add(&none, "image:x"), 0);
	assert_int_equal(scope_find(&none, &c, NULL), SCOPE_UNSURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs),
		cmocka_unit_test(as_fnmatch),
		cmocka_unit_test(patterns),
		cmocka_unit_test(meant),
	};

	return RUN(tests);
}
