// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/comeback.h"

static struct model_container container(const char *id, const char *name, const char *image)
{
	struct model_container c = { 0 };

	strcpy(c.id, id);
	strcpy(c.runtime.name, name);
	strcpy(c.runtime.image, image);
	return c;
}

static int note(struct comebacks *b, const struct model_container *c, uint64_t now_us)
{
	struct comeback_who who;

	comeback_who(c, &who);
	return comebacks_note(b, &who, now_us);
}

/* The names outlive the model that they are from, as long as they can be. */
static void who_it_is(void **state)
{
	struct model_container c = container("a", "web", "nginx");
	struct comeback_who who;

	(void)state;
	memset(&who, 'x', sizeof(who));
	comeback_who(&c, &who);
	assert_string_equal(who.id, "a");
	assert_string_equal(who.name, "web");
	assert_string_equal(who.image, "nginx");
	memset(c.id, 'i', sizeof(c.id) - 1);
	memset(c.runtime.name, 'n', sizeof(c.runtime.name) - 1);
	memset(c.runtime.image, 'm', sizeof(c.runtime.image) - 1);
	comeback_who(&c, &who);
	assert_string_equal(who.id, c.id);
	assert_string_equal(who.name, c.runtime.name);
	assert_string_equal(who.image, c.runtime.image);
}

static void who_is_the_same(void **state)
{
	static const struct {
		const char *id, *name, *image;
		uint32_t count;
	} cases[] = {
		{ "a", "web", "nginx", 1 },
		/* Restarted under its id, whatever it is called now. */
		{ "a", "other", "other", 1 },
		/* Made anew by whoever wants it there. */
		{ "b", "web", "nginx", 1 },
		/* A name or an image alone may be anybody's. */
		{ "b", "web", "redis", 0 },
		{ "b", "db", "nginx", 0 },
		{ "b", "", "nginx", 0 },
	};
	struct model_container c = container("a", "web", "nginx");
	struct comebacks b = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(note(&b, &c, 1), 0);
	for (i = 0; i < COUNT(cases); i++) {
		c = container(cases[i].id, cases[i].name, cases[i].image);
		if (comebacks_count(&b, &c, 2) != cases[i].count)
			fail_msg("case %zu: %u", i, comebacks_count(&b, &c, 2));
	}
	comebacks_forget(&b);
	/* Nameless ones are not all the same. */
	c = container("x", "", "nginx");
	assert_int_equal(note(&b, &c, 1), 0);
	c = container("y", "", "nginx");
	assert_int_equal(comebacks_count(&b, &c, 1), 0);
	comebacks_forget(&b);
}

static void counts_and_forgets(void **state)
{
	struct model_container c = container("a", "web", "nginx");
	struct comebacks b = { 0 };
	uint32_t i;

	(void)state;
	for (i = 1; i <= 3; i++) {
		snprintf(c.id, sizeof(c.id), "%u", i);
		assert_int_equal(note(&b, &c, i), 0);
		assert_int_equal(comebacks_count(&b, &c, i), i);
	}
	assert_int_equal(comebacks_count(&b, &c, 2 + COMEBACK_MEMORY_US), 3);
	assert_int_equal(comebacks_count(&b, &c, 3 + COMEBACK_MEMORY_US), 0);
	assert_int_equal(note(&b, &c, 3 + COMEBACK_MEMORY_US), 0);
	assert_int_equal(comebacks_count(&b, &c, 3 + COMEBACK_MEMORY_US), 1);
	comebacks_forget(&b);
}

/* Beyond its bound the oldest goes, whoever makes containers by the thousand. */
static void is_bounded(void **state)
{
	struct model_container c = container("", "", ""), first = container("0", "", "");
	struct comebacks b = { 0 };
	uint32_t i;

	(void)state;
	for (i = 0; i <= COMEBACK_MAX; i++) {
		snprintf(c.id, sizeof(c.id), "%u", i);
		assert_int_equal(note(&b, &c, i + 1), 0);
	}
	assert_int_equal(b.count, COMEBACK_MAX);
	assert_int_equal(comebacks_count(&b, &first, i), 0);
	assert_int_equal(comebacks_count(&b, &c, i), 1);
	comebacks_forget(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_it_is),
		cmocka_unit_test(who_is_the_same),
		cmocka_unit_test(counts_and_forgets),
		cmocka_unit_test(is_bounded),
	};

	return RUN(tests);
}
