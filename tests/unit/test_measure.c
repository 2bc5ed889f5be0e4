// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/measure.h"

#define MIB(n) ((uint64_t)(n) << 20)

/* One container, cycle by cycle. */
struct life {
	struct model model;
	struct model_container container;
	struct reconcile_books books;
	struct measure_policy policy;
	struct measure_state state;
	struct measure got;
};

static void begin(struct life *l, uint32_t window, enum measure_memory memory)
{
	memset(l, 0, sizeof(*l));
	strcpy(l->container.id, "c");
	l->container.has_window = true;
	l->container.cgroup = (struct model_cgroup){ .known = true, .has_memory = true, .inode = 7 };
	l->model.containers = &l->container;
	l->model.container_count = 1;
	l->model.window_us = 1000000;
	l->policy = (struct measure_policy){ window, memory };
}

static const struct measure *step(struct life *l, uint64_t cpu_us, uint64_t memory_bytes)
{
	l->container.cpu_window_us = cpu_us;
	l->container.cgroup.memory_bytes = memory_bytes;
	assert_int_equal(measure_step(&l->state, &l->model, &l->books, &l->policy, &l->got), 0);
	return &l->got;
}

static void one_cycle(void **state)
{
	const struct measure *m;
	struct life l;

	(void)state;
	begin(&l, 0, MEASURE_CURRENT);
	m = step(&l, 123456, MIB(5) + 1);
	assert_true(m->whole && m->has_memory && !m->was_high && !m->disputed);
	assert_int_equal(m->cycles, 1);
	assert_int_equal(m->cpu_centi, 1234);
	assert_int_equal(m->memory_bytes, MIB(5) + 1);
	m = step(&l, 0, 0);
	assert_int_equal(m->cpu_centi, 0);
	assert_int_equal(m->memory_bytes, 0);
	/* More than any counter can say. */
	m = step(&l, UINT64_MAX, UINT64_MAX);
	assert_true(m->cpu_centi == UINT32_MAX && m->memory_bytes == UINT64_MAX);
	measure_forget(&l.state);
}

/* Who forks short processes is seen by what the scheduler gave, once the sources agree on it. */
static void died_in_between(void **state)
{
	struct life l;

	(void)state;
	begin(&l, 1, MEASURE_CURRENT);
	l.books = (struct reconcile_books){ .verdict = RECONCILE_AGREED, .scheduler_us = 510000 };
	assert_int_equal(step(&l, 10000, 0)->cpu_centi, 5100);
	/* Of two that agree, what both bear out; and not what processes come to, with the lost. */
	l.books = (struct reconcile_books){ .verdict = RECONCILE_AGREED, .scheduler_us = 510000,
					    .has_cgroup = true, .cgroup_us = 500000, .exited_us = 900000 };
	assert_int_equal(step(&l, 10000, 0)->cpu_centi, 5000);
	l.books.cgroup_us = UINT64_MAX;
	assert_int_equal(step(&l, 10000, 0)->cpu_centi, 5100);
	l.books.scheduler_us = UINT64_MAX;
	assert_int_equal(step(&l, 10000, 0)->cpu_centi, UINT32_MAX);
	l.books = (struct reconcile_books){ .verdict = RECONCILE_DISPUTED, .scheduler_us = 510000 };
	assert_int_equal(step(&l, 10000, 0)->cpu_centi, 100);
	l.books.verdict = RECONCILE_NONE;
	assert_int_equal(step(&l, 10000, 0)->cpu_centi, 100);
	measure_forget(&l.state);
}

static void long_window(void **state)
{
	const struct measure *m;
	struct life l;

	(void)state;
	begin(&l, 3, MEASURE_CURRENT);
	m = step(&l, 900000, MIB(9));
	assert_false(m->whole);
	m = step(&l, 0, MIB(9));
	assert_false(m->whole);
	assert_int_equal(m->cycles, 2);
	l.model.window_us = 2000000;
	m = step(&l, 100000, MIB(3));
	assert_true(m->whole);
	assert_int_equal(m->cpu_centi, 2500);	/* 1 s of 4 */
	assert_int_equal(m->memory_bytes, MIB(7));
	m = step(&l, 100000, MIB(3));
	assert_int_equal(m->cycles, 3);
	assert_int_equal(m->cpu_centi, 400);	/* 0.2 s of 5 */
	assert_int_equal(m->memory_bytes, MIB(5));
	/* A policy with another window takes from what there is. */
	l.policy.window = 2;
	assert_int_equal(step(&l, 100000, MIB(3))->cycles, 2);
	l.policy.window = 4;
	m = step(&l, 100000, MIB(3));
	assert_int_equal(m->cycles, 3);
	assert_false(m->whole);
	assert_true(step(&l, 100000, MIB(3))->whole);
	/* Sums that would not fit. */
	for (int i = 0; i < 4; i++)
		m = step(&l, UINT64_MAX, UINT64_MAX - 1);
	assert_true(m->memory_bytes == UINT64_MAX - 1);
	measure_forget(&l.state);
}

static void bad_cycles_stay_in_the_window(void **state)
{
	const struct measure *m;
	struct life l;
	int i;

	(void)state;
	begin(&l, 2, MEASURE_CURRENT);
	step(&l, 0, 0);
	l.books.verdict = RECONCILE_DISPUTED;
	assert_int_equal(step(&l, 0, 0)->disputed, 1);
	l.books.verdict = RECONCILE_AGREED;
	assert_int_equal(step(&l, 0, 0)->disputed, 1);
	assert_int_equal(step(&l, 0, 0)->disputed, 0);
	l.container.cgroup.has_memory = false;
	assert_false(step(&l, 0, 0)->has_memory);
	l.container.cgroup.has_memory = true;
	assert_false(step(&l, 0, 0)->has_memory);
	assert_true(step(&l, 0, 0)->has_memory);
	/* What breaks the chain: no window of its own, none at all, its absence. */
	for (i = 0; i < 3; i++) {
		assert_true(l.got.whole);
		measure_note_class(&l.state, 0, true);
		l.container.has_window = i != 0;
		l.model.window_us = i != 1 ? 1000000 : 0;
		l.model.container_count = i != 2;
		m = step(&l, 0, 0);
		l.container.has_window = true;
		l.model.window_us = 1000000;
		l.model.container_count = 1;
		if (i != 2)
			assert_int_equal(m->cycles, 0);
		assert_int_equal(step(&l, 0, 0)->cycles, 1);
		assert_false(l.got.whole);
		assert_false(l.got.was_high);
		step(&l, 0, 0);
	}
	measure_forget(&l.state);
}

static void working_set(void **state)
{
	const struct measure *m;
	struct life l;

	(void)state;
	begin(&l, 1, MEASURE_WORKING_SET);
	l.container.cgroup.inactive_bytes = MIB(3);
	assert_false(step(&l, 0, MIB(5))->has_memory);
	l.container.cgroup.has_inactive = true;
	m = step(&l, 0, MIB(5));
	assert_true(m->has_memory);
	assert_int_equal(m->memory_bytes, MIB(2));
	assert_int_equal(step(&l, 0, MIB(1))->memory_bytes, 0);
	l.policy.memory = MEASURE_CURRENT;
	assert_int_equal(step(&l, 0, MIB(5))->memory_bytes, MIB(5));
	measure_forget(&l.state);
}

static void class_is_remembered(void **state)
{
	struct life l;

	(void)state;
	begin(&l, 1, MEASURE_CURRENT);
	assert_false(step(&l, 0, 0)->was_high);
	measure_note_class(&l.state, 0, true);
	assert_true(step(&l, 0, 0)->was_high);
	assert_true(step(&l, 0, 0)->was_high);
	measure_note_class(&l.state, 0, false);
	assert_false(step(&l, 0, 0)->was_high);
	measure_forget(&l.state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_cycle),
		cmocka_unit_test(died_in_between),
		cmocka_unit_test(long_window),
		cmocka_unit_test(bad_cycles_stay_in_the_window),
		cmocka_unit_test(working_set),
		cmocka_unit_test(class_is_remembered),
	};

	return RUN(tests);
}
