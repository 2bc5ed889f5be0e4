// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/reconcile.h"

#define GROUP 55

/* One container, one window from 1 s to 11 s, and what each source says of it. */
struct scene {
	struct model_container container;
	struct model_process now_processes[4], last_processes[4];
	struct model now, last;
	struct reconcile_sum sum_now, sum_then;
	struct reconcile_exit exits[4];
	size_t exit_count;
	uint64_t skew_us;
	bool witness;
};

static const struct reconcile_policy policy = { .tolerance_permille = 50, .tolerance_us = 1000 };

static void init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->container.has_window = s->container.has_cgroup_window = true;
	s->container.cgroup.inode = GROUP;
	s->now = (struct model){ .containers = &s->container, .container_count = 1,
				 .boot_time_us = 11000000, .processes = s->now_processes };
	s->last = (struct model){ .boot_time_us = 1000000, .processes = s->last_processes };
	s->sum_now.container_cgroup_id = s->sum_then.container_cgroup_id = GROUP;
	s->witness = true;
}

static void add_exit(struct scene *s, uint32_t pid, uint64_t exit_us, uint64_t cpu_us)
{
	s->exits[s->exit_count++] = (struct reconcile_exit){
		.container_cgroup_id = GROUP, .pid = pid, .start_us = 10, .exit_us = exit_us,
		.cpu_us = cpu_us,
	};
}

static struct reconcile_books run(struct scene *s)
{
	const struct reconcile_witness now = { &s->sum_now, 1 }, then = { &s->sum_then, 1 };
	struct reconcile_books b;

	reconcile(&s->now, &s->last, s->witness ? &now : NULL, s->witness ? &then : NULL, s->exits,
		  s->exit_count, s->skew_us, &policy, &b);
	return b;
}

static void set(struct scene *s, uint64_t module_us, uint64_t scheduler_us, uint64_t cgroup_us)
{
	s->container.cpu_window_us = module_us;
	s->sum_then.cpu_us = 400;
	s->sum_now.cpu_us = 400 + scheduler_us;
	s->container.cgroup_window_us = cgroup_us;
}

static void verdicts(void **state)
{
	static const struct {
		uint64_t module, scheduler, cgroup;
		enum reconcile_verdict verdict;
		enum reconcile_source odd;
	} cases[] = {
		{ 0, 0, 0, RECONCILE_AGREED, RECONCILE_CGROUP },
		{ 1000000, 1000000, 1000000, RECONCILE_AGREED, RECONCILE_CGROUP },
		{ 1000000, 1051000, 1000000, RECONCILE_AGREED, RECONCILE_SCHEDULER },
		{ 1000000, 1055000, 1000000, RECONCILE_DISPUTED, RECONCILE_SCHEDULER },
		{ 0, 900000, 900000, RECONCILE_DISPUTED, RECONCILE_MODULE },
		{ 900000, 900000, 0, RECONCILE_DISPUTED, RECONCILE_CGROUP },
		{ 1, 1001, 1, RECONCILE_AGREED, RECONCILE_SCHEDULER },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct reconcile_books b;
		struct scene s;

		init(&s);
		set(&s, cases[i].module, cases[i].scheduler, cases[i].cgroup);
		b = run(&s);
		assert_int_equal(b.verdict, cases[i].verdict);
		assert_int_equal(b.odd, cases[i].odd);
	}
}

/* What is read later may have run on: the time in between is tolerated. */
static void skew(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	set(&s, 1000000, 1090000, 1090000);
	assert_int_equal(run(&s).verdict, RECONCILE_DISPUTED);
	s.skew_us = 50000;
	assert_int_equal(run(&s).verdict, RECONCILE_AGREED);
}

static void exits(void **state)
{
	struct reconcile_books b;
	struct scene s;

	(void)state;
	init(&s);
	/* Alive at the last snapshot with 300: 700 of its 1000 are this window's. */
	s.last_processes[0] = (struct model_process){ .pid = 1, .start_us = 10, .cpu_us = 300 };
	s.last.process_count = 1;
	add_exit(&s, 1, 5000000, 1000);
	/* Born and died in the window: all of it. */
	add_exit(&s, 2, 5000001, 20000);
	/* A zombie, which the snapshot lists: only what that lacks. */
	s.now_processes[0] = (struct model_process){ .pid = 3, .start_us = 10, .cpu_us = 4000 };
	s.now.process_count = 1;
	add_exit(&s, 3, 10999999, 4003);
	/* After the snapshot: the next window's. */
	add_exit(&s, 4, 11000001, 5000000);
	set(&s, 4000, 24703, 24703);
	b = run(&s);
	assert_int_equal(b.exits, 3);
	assert_int_equal(b.exited_us, 700 + 20000 + 3);
	assert_int_equal(b.apart_us, 0);
	assert_int_equal(b.verdict, RECONCILE_AGREED);
}

/* What a newcomer used before it joined, the others have not counted; no more than that. */
static void joined(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	set(&s, 500000, 300000, 300000);
	assert_int_equal(run(&s).verdict, RECONCILE_DISPUTED);
	s.container.cpu_new_us = 200000;
	assert_int_equal(run(&s).verdict, RECONCILE_AGREED);
	assert_int_equal(run(&s).apart_us, 0);
	s.container.cpu_new_us = 100000;
	assert_int_equal(run(&s).verdict, RECONCILE_DISPUTED);
	/* Born, joined and died in the window. */
	add_exit(&s, 2, 5000000, 100000);
	set(&s, 500000, 400000, 400000);
	assert_int_equal(run(&s).verdict, RECONCILE_AGREED);
	/* It is no excuse for CPU that nobody explains. */
	set(&s, 500000, 900000, 900000);
	assert_int_equal(run(&s).verdict, RECONCILE_DISPUTED);
}

static void nothing_compared(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	set(&s, 0, 900000, 900000);
	s.witness = false;
	assert_int_equal(run(&s).verdict, RECONCILE_NONE);
	s.witness = true;
	s.container.has_window = false;
	assert_int_equal(run(&s).verdict, RECONCILE_NONE);
	s.container.has_window = true;
	/* No cpu.stat: the other two are compared. */
	s.container.has_cgroup_window = false;
	assert_int_equal(run(&s).verdict, RECONCILE_DISPUTED);
	set(&s, 900000, 900000, 0);
	assert_int_equal(run(&s).verdict, RECONCILE_AGREED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(skew),
		cmocka_unit_test(exits),
		cmocka_unit_test(joined),
		cmocka_unit_test(nothing_compared),
	};

	return RUN(tests);
}
