// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/hash.h"

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
		struct hash hash = hash_bytes(key, data, cases[i].len);

		assert_memory_equal(&hash, cases[i].hash, 16);
	}
}

/* Ids that look alike are not the same. */
static void test_event_ids_differ(void **state)
{
	static const char *const ids[] = {
		"", "0", "00", "1", "01", "001", "10", "a", "a0", "a00", "a1", "a01", "a10", "1a",
		"host:boot:7", "host:boot:07", "host:boot:70", "host:boot:", "host:boot", "host:boo",
		"999999999999999", "9999999999999990", "09999999999999999", "99999999999999999999",
		"1000000000000000", "10000000000000000", "100000000000000000",
		"0e9c5d54-3c1b-4c7e-9a33-8fb0a0d90210", "0e9c5d54-3c1b-4c7e-9a33-8fb0a0d90211",
	};
	size_t count = sizeof(ids) / sizeof(ids[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct hash one = hash_event_id(key, ids[i]);

		assert_true(one.half[0] || one.half[1]);
		for (size_t j = 0; j < count; j++) {
			struct hash other = hash_event_id(key, ids[j]);

			if ((memcmp(&one, &other, sizeof(one)) == 0) != (i == j))
				fail_msg("%s and %s", ids[i], ids[j]);
		}
	}
}

/* One sender's ids are neighbours, in the order of their numbers. */
static void test_event_ids_in_order(void **state)
{
	struct hash before = hash_event_id(key, "host:boot:1");
	char id[32] = "host:boot:";

	(void)state;
	for (const char *const *number = (const char *const[]){ "2", "10", "999", "1000", "12345678901234",
								NULL }; *number; number++) {
		struct hash next;

		strcpy(id + strlen("host:boot:"), *number);
		next = hash_event_id(key, id);
		assert_true(next.half[0] == before.half[0]);
		assert_true(next.half[1] > before.half[1]);
		before = next;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash_vectors),
		cmocka_unit_test(test_event_ids_differ),
		cmocka_unit_test(test_event_ids_in_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
