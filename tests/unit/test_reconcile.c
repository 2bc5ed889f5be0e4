// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/reconcile.h"

static const struct reconcile_policy policy = { .tolerance_permille = 50, .tolerance_us = 1000 };

static struct reconcile_books books(uint64_t module_us, uint64_t scheduler_us, uint64_t cgroup_us)
{
	return (struct reconcile_books){
		.has_witness = true, .has_cgroup = true,
		.module_us = module_us, .scheduler_us = scheduler_us, .cgroup_us = cgroup_us,
	};
}

static enum reconcile_verdict judge(struct reconcile_books *b, uint64_t skew_us)
{
	reconcile(b, skew_us, &policy);
	return b->verdict;
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
		struct reconcile_books b = books(cases[i].module, cases[i].scheduler, cases[i].cgroup);

		assert_int_equal(judge(&b, 0), cases[i].verdict);
		assert_int_equal(b.odd, cases[i].odd);
	}
}

/* What is read later may have run on: the time in between is tolerated. */
static void skew(void **state)
{
	struct reconcile_books b = books(1000000, 1090000, 1090000);

	(void)state;
	assert_int_equal(judge(&b, 0), RECONCILE_DISPUTED);
	assert_int_equal(judge(&b, 50000), RECONCILE_AGREED);
	/* What is known of it needs no tolerance. */
	b.skew_us = 90000;
	assert_int_equal(judge(&b, 0), RECONCILE_AGREED);
	assert_int_equal(b.apart_us, 0);
	b.skew_us = -2000000;
	assert_int_equal(judge(&b, 0), RECONCILE_DISPUTED);
	assert_int_equal(b.apart_us, 1090000);
}

/* What a newcomer used before it joined, the others have not counted; no more than that. */
static void joined(void **state)
{
	struct reconcile_books b = books(500000, 300000, 300000);

	(void)state;
	assert_int_equal(judge(&b, 0), RECONCILE_DISPUTED);
	b.joined_us = 200000;
	assert_int_equal(judge(&b, 0), RECONCILE_AGREED);
	assert_int_equal(b.apart_us, 0);
	b.joined_us = 100000;
	assert_int_equal(judge(&b, 0), RECONCILE_DISPUTED);
	/* It is no excuse for CPU that nobody explains. */
	b = books(500000, 900000, 900000);
	b.joined_us = 500000;
	assert_int_equal(judge(&b, 0), RECONCILE_DISPUTED);
}

static void nothing_compared(void **state)
{
	struct reconcile_books b = books(0, 900000, 900000);

	(void)state;
	b.has_witness = false;
	assert_int_equal(judge(&b, 0), RECONCILE_NONE);
	/* No cpu.stat: the other two are compared. */
	b = books(0, 900000, 0);
	b.has_cgroup = false;
	assert_int_equal(judge(&b, 0), RECONCILE_DISPUTED);
	assert_int_equal(b.odd, RECONCILE_MODULE);
	b.module_us = 900000;
	assert_int_equal(judge(&b, 0), RECONCILE_AGREED);
}

static void explained(void **state)
{
	struct reconcile_books b = books(0, 0, 0), sum = { 0 };

	(void)state;
	assert_int_equal(reconcile_explained(&b, true), 10000);
	assert_int_equal(reconcile_explained(&b, false), 10000);
	b = books(30000, 1000000, 1000000);
	b.exited_us = 965000;
	b.skew_us = -5000;
	assert_int_equal(reconcile_explained(&b, true), 9900);
	assert_int_equal(reconcile_explained(&b, false), 300);
	/* Too much is a dispute's matter. */
	b.exited_us = 2000000;
	assert_int_equal(reconcile_explained(&b, true), 10000);
	b.has_cgroup = false;
	b.scheduler_us = 60000;
	assert_int_equal(reconcile_explained(&b, false), 5000);

	b = books(1, 2, 3);
	b.dark_us = 4;
	b.skew_us = -5;
	reconcile_add(&sum, &b);
	reconcile_add(&sum, &b);
	assert_true(sum.has_cgroup && sum.has_witness);
	assert_int_equal(sum.module_us, 2);
	assert_int_equal(sum.scheduler_us, 4);
	assert_int_equal(sum.cgroup_us, 6);
	assert_int_equal(sum.dark_us, 8);
	assert_int_equal(sum.skew_us, -10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(skew),
		cmocka_unit_test(joined),
		cmocka_unit_test(nothing_compared),
		cmocka_unit_test(explained),
	};

	return RUN(tests);
}
