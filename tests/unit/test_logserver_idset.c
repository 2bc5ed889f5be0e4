// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "logserver/idset.h"

static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

static struct hash number(uint64_t i)
{
	return hash_bytes(key, &i, sizeof(i));
}

static void test_once(void **state)
{
	struct idset set;

	(void)state;
	idset_init(&set, 99);
	assert_false(idset_has(&set, number(0)));
	assert_int_equal(idset_reserve(&set, 50000), 0);
	for (size_t i = 0; i < 50000; i++) {
		assert_false(idset_has(&set, number(i)));
		idset_add(&set, number(i));
	}
	for (size_t i = 0; i < 50000; i++)
		assert_true(idset_has(&set, number(i)));
	assert_false(idset_has(&set, number(50000)));
	idset_free(&set);
}

static void test_undo(void **state)
{
	struct idset set;

	(void)state;
	idset_init(&set, 99);
	idset_reserve(&set, 900);
	for (size_t i = 0; i < 900; i++)
		idset_add(&set, number(i));
	for (size_t i = 900; i-- > 400;)
		idset_undo(&set, number(i));
	for (size_t i = 0; i < 900; i++)
		assert_int_equal(idset_has(&set, number(i)), i < 400);
	idset_free(&set);
}

/* While the old ones are on their way to the index, both are known. */
static void test_turn(void **state)
{
	struct hash *old;
	struct idset set;
	size_t count;

	(void)state;
	idset_init(&set, 99);
	for (size_t round = 0; round < 10; round++) {
		for (size_t i = 0; i < 1000; i++) {
			assert_int_equal(idset_reserve(&set, 1), 0);
			idset_add(&set, number(round * 1000 + i));
		}
		idset_turn(&set);
		assert_int_equal(idset_reserve(&set, 1), 0);
		idset_add(&set, number(1000000 + round));
		for (size_t i = 0; i < 1000; i++)
			assert_true(idset_has(&set, number(round * 1000 + i)));
		assert_int_equal(idset_old(&set, &old, &count), 0);
		assert_int_equal(count, round ? 1001 : 1000);
		for (size_t i = 1; i < count; i++)
			assert_true(old[i - 1].half[0] < old[i].half[0]);
		free(old);
		idset_forget_old(&set);
		assert_false(idset_has(&set, number(round * 1000)));
		assert_true(idset_has(&set, number(1000000 + round)));
	}
	assert_true(set.young.slot_count <= 2048);
	idset_free(&set);
}

/* Ids that differ only in the number do not pile up in the table. */
static void test_numbers_spread(void **state)
{
	struct idset set;
	char id[32];

	(void)state;
	idset_init(&set, 0x9e3779b97f4a7c15);
	idset_reserve(&set, 20000);
	for (int i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "h:b:%d", i << 12);
		idset_add(&set, hash_event_id(key, id));
	}
	assert_int_equal(set.young.used, 20000);
	idset_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_turn),
		cmocka_unit_test(test_numbers_spread),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
