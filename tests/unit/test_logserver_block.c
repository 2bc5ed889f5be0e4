// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/block.h"

static struct record kill_record(int64_t time_ms, const char *host, const char *container,
				 const char *image)
{
	struct record record = { .kind = RECORD_KILL, .time_ms = time_ms };

	strcpy(record.host, host);
	strcpy(record.kill.container, container);
	record.kill.image_hash = record_image_hash(image);
	return record;
}

static void test_growth(void **state)
{
	struct record record = kill_record(5000, "a", "c", "i");
	struct block block;

	(void)state;
	block_begin(&block, 1000);
	assert_false(block_is_full(&block));
	block_add(&block, 300, &record);
	record.time_ms = 2000;
	block_add(&block, 300, &record);
	block_add(&block, 50, NULL);
	assert_int_equal(block.start, 1000);
	assert_int_equal(block.length, 650);
	assert_int_equal(block.records, 2);
	assert_int_equal(block.damaged, 1);
	assert_int_equal(block.first_ms, 2000);
	assert_int_equal(block.last_ms, 5000);
	block_add(&block, LIMITS_BLOCK_BYTES, NULL);
	assert_true(block_is_full(&block));
}

static void test_times(void **state)
{
	static const struct {
		int64_t since_ms, until_ms;  /* 0: none */
		bool may, all;
	} cases[] = {
		{ 0, 0, true, true },	     { 1000, 0, true, true },
		{ 1001, 0, true, false },    { 2000, 0, true, false },
		{ 2001, 0, false, false },   { 0, 2001, true, true },
		{ 0, 2000, true, false },    { 0, 1001, true, false },
		{ 0, 1000, false, false },   { 1000, 2001, true, true },
		{ 1200, 1300, true, false },
	};
	struct record first = kill_record(1000, "a", "c", "i"), last = kill_record(2000, "a", "c", "i");
	struct block block;

	(void)state;
	block_begin(&block, 0);
	block_add(&block, 100, &last);
	block_add(&block, 100, &first);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct block_filter filter = {
			.has_since = cases[i].since_ms != 0, .since_ms = cases[i].since_ms,
			.has_until = cases[i].until_ms != 0, .until_ms = cases[i].until_ms,
		};

		if (block_may_match(&block, &filter) != cases[i].may ||
		    (cases[i].may && block_all_match(&block, &filter) != cases[i].all))
			fail_msg("case %zu", i);
	}
	/* A damaged line is never given out: the block's lines have to be looked at. */
	block_add(&block, 10, NULL);
	assert_false(block_all_match(&block, &(struct block_filter){ 0 }));
}

/* What was added is always found; what was not, nearly never. */
static void test_names(void **state)
{
	struct block_filter filter = { 0 };
	struct block block;
	int in_vain = 0;
	char name[16];

	(void)state;
	block_begin(&block, 0);
	for (int i = 0; i < 260; i++) {
		struct record record;

		snprintf(name, sizeof(name), "%012x", i);
		record = kill_record(0, "host", name, "image");
		block_add(&block, 250, &record);
	}
	for (int i = 0; i < 10260; i++) {
		snprintf(filter.container, sizeof(filter.container), "%012x", i);
		if (i < 260)
			assert_true(block_may_match(&block, &filter));
		else
			in_vain += block_may_match(&block, &filter);
	}
	assert_in_range(in_vain, 0, 60);
	assert_false(block_all_match(&block, &filter));

	memset(&filter, 0, sizeof(filter));
	strcpy(filter.host, "host");
	assert_true(block_may_match(&block, &filter));
	strcpy(filter.host, "image");
	assert_false(block_may_match(&block, &filter));
	filter.host[0] = 0;
	filter.image_hash = record_image_hash("image");
	assert_true(block_may_match(&block, &filter));
	filter.image_hash = record_image_hash("host");
	assert_false(block_may_match(&block, &filter));
}

static void test_records(void **state)
{
	struct record record = kill_record(1000, "a", "4f1c9a0e77d2", "warden/heavy");
	struct record sample = { .kind = RECORD_MEMORY, .time_ms = 1000, .host = "a" };
	struct block_filter filter = { 0 };

	(void)state;
	assert_true(block_record_matches(&record, &filter));
	strcpy(filter.host, "a");
	assert_true(block_record_matches(&record, &filter));
	assert_true(block_record_matches(&sample, &filter));
	strcpy(filter.container, "4f1c9a0e77d2");
	filter.image_hash = record_image_hash("warden/heavy");
	assert_true(block_record_matches(&record, &filter));
	assert_false(block_record_matches(&sample, &filter));
	filter.image_hash = record_image_hash("warden/light");
	assert_false(block_record_matches(&record, &filter));
	filter.image_hash = 0;
	strcpy(filter.container, "4f1c9a0e77d3");
	assert_false(block_record_matches(&record, &filter));
	filter.container[0] = 0;
	strcpy(filter.host, "ab");
	assert_false(block_record_matches(&record, &filter));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_records),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
