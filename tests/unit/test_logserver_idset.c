// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/idset.h"

static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

/* From the authors' own table, vectors_sip128. */
static void test_siphash_vectors(void **state)
{
	static const struct {
		size_t len;
		unsigned char hash[16];
	} cases[] = {
		{ 0, { 0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
		       0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93 } },
		{ 1, { 0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44,
		       0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45 } },
	};
	unsigned char data[16];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct idset_hash hash = idset_hash(key, data, cases[i].len);

		assert_memory_equal(&hash, cases[i].hash, 16);
	}
}

static struct idset_hash number(size_t i)
{
	return idset_hash(key, &i, sizeof(i));
}

static void test_once(void **state)
{
	struct idset set;

	(void)state;
	idset_init(&set, 100000, key);
	assert_int_equal(idset_reserve(&set, 50000), 0);
	for (size_t i = 0; i < 50000; i++)
		assert_true(idset_add(&set, number(i)));
	for (size_t i = 0; i < 50000; i++)
		assert_false(idset_add(&set, number(i)));
	idset_free(&set);
}

static void test_undo(void **state)
{
	struct idset set;

	(void)state;
	idset_init(&set, 100000, key);
	idset_reserve(&set, 900);
	for (size_t i = 0; i < 400; i++)
		idset_add(&set, number(i));
	for (size_t i = 400; i < 900; i++)
		assert_true(idset_add(&set, number(i)));
	for (size_t i = 900; i-- > 400;)
		idset_undo(&set, number(i));
	for (size_t i = 0; i < 400; i++)
		assert_false(idset_add(&set, number(i)));
	for (size_t i = 400; i < 900; i++)
		assert_true(idset_add(&set, number(i)));
	idset_free(&set);
}

/* Memory stays bounded; at least the last generation is remembered. */
static void test_generations(void **state)
{
	struct idset set;

	(void)state;
	idset_init(&set, 1000, key);
	for (size_t i = 0; i < 100000; i++) {
		assert_int_equal(idset_reserve(&set, 1), 0);
		assert_true(idset_add(&set, number(i)));
		if (i >= 1000)
			assert_false(idset_add(&set, number(i - 999)));
	}
	assert_true(set.young.slot_count <= 2048 && set.old.slot_count <= 2048);
	assert_true(idset_add(&set, number(0)));
	idset_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash_vectors),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_generations),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
