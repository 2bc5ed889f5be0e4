// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/host.h"
#include "userspace/core/brake.h"

#define MINUTE_US 60000000ULL
#define HOUR_US (60 * MINUTE_US)

static const struct decide_policy nothing = { .keep_high = 0, .keep_low = 0 };

/* A cycle in which these are surplus. */
static struct brake_answer cycle(struct brake *b, const struct brake_policy *policy, uint64_t now_us,
				 const char *first, unsigned int count, const char *image)
{
	struct brake_answer answer;
	struct host h;
	unsigned int i;
	char id[16];

	host_init(&h);
	for (i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "%s%02u", first, i);
		strcpy(host_add(&h, id, 9000, 1)->runtime.image, image);
	}
	strcpy(host_add(&h, "protected", 9000, 1)->runtime.image, image);
	h.containers[count].runtime.is_protected = true;
	host_decide(&h, &nothing);
	assert_int_equal(brake_check(b, h.plan, policy, now_us, &answer), 0);
	plan_free(h.plan);
	return answer;
}

static void a_cycle(void **state)
{
	static const struct brake_policy policy = { .cycle = 3, .hour = 100, .image = 100 };
	struct brake_answer a;
	struct brake b = { 0 };

	(void)state;
	a = cycle(&b, &policy, 0, "a", 3, "x");
	assert_true(a.act && a.mode == BRAKE_ARMED && !*a.reason);
	a = cycle(&b, &policy, 1, "b", 4, "x");
	assert_true(!a.act && a.mode == BRAKE_DISARMED);
	assert_string_equal(a.reason, "4 kills in this cycle (kills-per-cycle 3)");
	assert_string_equal(b.why, a.reason);
	/* It stays so, whatever comes. */
	a = cycle(&b, &policy, 2 * HOUR_US, "c", 1, "x");
	assert_true(!a.act && a.mode == BRAKE_DISARMED && !*a.reason);
	brake_arm(&b);
	assert_true(!*b.why);
	assert_true(cycle(&b, &policy, 2 * HOUR_US, "c", 1, "x").act);
	brake_forget(&b);
}

static void an_hour(void **state)
{
	static const struct brake_policy policy = { .cycle = 10, .hour = 5, .image = 100 };
	struct brake b = { 0 };
	struct brake_answer a;

	(void)state;
	assert_true(cycle(&b, &policy, 0, "a", 3, "x").act);
	/* The same again, which survived: they count once. */
	assert_true(cycle(&b, &policy, MINUTE_US, "a", 3, "x").act);
	assert_true(cycle(&b, &policy, 2 * MINUTE_US, "b", 2, "y").act);
	/* Nothing to do is always in order. */
	assert_true(cycle(&b, &policy, 3 * MINUTE_US, "c", 0, "").act);
	/* An hour after the first three there is room again: not a moment before. */
	a = cycle(&b, &policy, HOUR_US - 1, "d", 1, "z");
	assert_true(!a.act && a.mode == BRAKE_DISARMED);
	assert_string_equal(a.reason, "6 kills within an hour (kills-per-hour 5)");
	b.mode = BRAKE_ARMED;
	assert_true(cycle(&b, &policy, HOUR_US, "d", 3, "z").act);
	assert_false(cycle(&b, &policy, HOUR_US, "e", 1, "z").act);
	/* By hand the hour begins anew. */
	brake_arm(&b);
	assert_true(cycle(&b, &policy, HOUR_US, "f", 5, "z").act);
	brake_forget(&b);
}

static void an_image(void **state)
{
	static const struct brake_policy policy = { .cycle = 10, .hour = 100, .image = 3 };
	struct brake b = { 0 };
	struct brake_answer a;

	(void)state;
	assert_true(cycle(&b, &policy, 0, "a", 3, "x").act);
	assert_true(cycle(&b, &policy, 0, "b", 3, "y").act);
	assert_true(cycle(&b, &policy, 0, "c", 2, "").act);
	a = cycle(&b, &policy, 0, "d", 1, "y");
	assert_true(!a.act && a.mode == BRAKE_DISARMED);
	assert_string_equal(a.reason, "4 kills of the image y within an hour (kills-per-image 3)");
	brake_forget(&b);
}

static void modes(void **state)
{
	static const struct brake_policy policy = { .cycle = 1, .hour = 100, .image = 100 };
	struct brake dry = { .mode = BRAKE_DRY_RUN }, b = { 0 };
	struct brake_answer a;

	(void)state;
	a = cycle(&dry, &policy, 0, "a", 2, "x");
	assert_true(!a.act && a.mode == BRAKE_DRY_RUN && *a.reason);
	assert_true(cycle(&dry, &policy, 0, "a", 1, "x").act);
	brake_disarm(&dry, "by hand");
	brake_arm(&dry);
	assert_int_equal(dry.mode, BRAKE_DRY_RUN);
	brake_forget(&dry);

	brake_disarm(&b, "by hand");
	brake_disarm(&b, "again");
	assert_string_equal(b.why, "by hand");
	assert_int_equal(b.mode, BRAKE_DISARMED);
	assert_false(cycle(&b, &policy, 0, "a", 1, "x").act);
	assert_string_equal(brake_mode_name(BRAKE_ARMED), "armed");
	assert_string_equal(brake_mode_name(BRAKE_DISARMED), "disarmed");
	assert_string_equal(brake_mode_name(BRAKE_DRY_RUN), "dry run");
	brake_forget(&b);
}

/* Who was surplus within the last hour already is told apart. */
static void told(void **state)
{
	static const struct brake_policy policy = { .cycle = 10, .hour = 100, .image = 100 };
	struct brake b = { .mode = BRAKE_DRY_RUN };
	struct brake_answer answer;
	struct host h;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		host_init(&h);
		host_add(&h, "a", 9000, 1);
		if (i)
			host_add(&h, "b", 9000, 1);
		host_decide(&h, &nothing);
		assert_int_equal(brake_check(&b, h.plan, &policy, i == 3 ? HOUR_US : 0, &answer), 0);
		assert_int_equal(host_decision(&h, "a")->told, i == 1 || i == 2);
		if (i)
			assert_int_equal(host_decision(&h, "b")->told, i == 2);
		plan_free(h.plan);
	}
	brake_forget(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cycle),
		cmocka_unit_test(an_hour),
		cmocka_unit_test(an_image),
		cmocka_unit_test(modes),
		cmocka_unit_test(told),
	};

	return RUN(tests);
}
