// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/page.h"
#include "logserver/plot.h"
#include "logserver/series.h"

static struct record memory_sample(const char *host, int64_t time_ms, double used_kib)
{
	struct record record = { .kind = RECORD_MEMORY, .time_ms = time_ms };

	strcpy(record.host, host);
	record.memory = (struct record_memory){ 1000, 1000 - used_kib, used_kib, -1 };
	return record;
}

static struct record kill_of(const char *name, const char *image, int64_t time_ms)
{
	struct record record = { .kind = RECORD_KILL, .time_ms = time_ms };

	snprintf(record.kill.name, sizeof(record.kill.name), "%s", name);
	snprintf(record.kill.image, sizeof(record.kill.image), "%s", image);
	record.kill.class = RECORD_CLASS_LOW;
	record.kill.memory_kib = 2048;
	return record;
}

/* Whatever comes in: no more bins than there are, and every sample in one of them. */
static void test_bins_are_bounded(void **state)
{
	struct series *series = calloc(1, sizeof(*series));
	const struct series_memory *memory;
	const int samples = LIMITS_SERIES_BINS * 10;
	double used = 0, expected = 0;
	uint64_t count = 0;

	(void)state;
	for (int i = 0; i < samples; i++) {
		struct record record = memory_sample("h", (int64_t)i * 10000, i % 100);

		assert_int_equal(series_add(series, &record), 0);
		expected += i % 100;
	}
	memory = series_newest_host(series);
	assert_in_range(memory->bin_count, LIMITS_SERIES_BINS / 4, LIMITS_SERIES_BINS);
	for (size_t i = 0; i < memory->bin_count; i++) {
		count += memory->bins[i].count;
		used += memory->bins[i].used_kib;
		if (i)
			assert_true(memory->bins[i - 1].index < memory->bins[i].index);
	}
	assert_int_equal(count, samples);
	assert_true(used == expected);
	assert_true(memory->least_used_kib == 0 && memory->most_used_kib == 99);
	assert_true(memory->last_used_kib == (samples - 1) % 100);
	assert_int_equal(memory->last_ms, (int64_t)(samples - 1) * 10000);
	series_free(series);
	free(series);
}

static void test_order_does_not_matter(void **state)
{
	struct series *forward = calloc(1, sizeof(*forward));
	struct series *backward = calloc(1, sizeof(*backward));
	const int samples = LIMITS_SERIES_BINS * 3;

	(void)state;
	for (int i = 0; i < samples; i++) {
		struct record record = memory_sample("h", (int64_t)i * 2000, i % 7);

		series_add(forward, &record);
		record = memory_sample("h", (int64_t)(samples - 1 - i) * 2000, (samples - 1 - i) % 7);
		series_add(backward, &record);
	}
	assert_int_equal(forward->hosts[0]->width_ms, backward->hosts[0]->width_ms);
	assert_int_equal(forward->hosts[0]->bin_count, backward->hosts[0]->bin_count);
	assert_memory_equal(forward->hosts[0]->bins, backward->hosts[0]->bins,
			    forward->hosts[0]->bin_count * sizeof(forward->hosts[0]->bins[0]));
	series_free(forward);
	series_free(backward);
	free(forward);
	free(backward);
}

/* One sample decades away must not blur the others. */
static void test_outlier_keeps_resolution(void **state)
{
	struct series *series = calloc(1, sizeof(*series));
	struct record record = memory_sample("h", 0, 1);

	(void)state;
	series_add(series, &record);
	for (int i = 0; i < 500; i++) {
		record = memory_sample("h", 1795416001000 + (int64_t)i * 1000, 1);
		series_add(series, &record);
	}
	assert_int_equal(series->hosts[0]->width_ms, 1000);
	assert_int_equal(series->hosts[0]->bin_count, 501);
	series_free(series);
	free(series);
}

static void test_hosts(void **state)
{
	struct series *series = calloc(1, sizeof(*series));
	char host[LIMITS_HOST_BYTES];

	(void)state;
	assert_null(series_newest_host(series));
	for (int i = 0; i < LIMITS_SERIES_HOSTS + 5; i++) {
		struct record record;

		snprintf(host, sizeof(host), "h%d", i);
		record = memory_sample(host, i == 3 ? 9000 : i, 1);
		assert_int_equal(series_add(series, &record), 0);
	}
	assert_int_equal(series->host_count, LIMITS_SERIES_HOSTS);
	assert_int_equal(series->not_followed, 5);
	assert_string_equal(series_newest_host(series)->host, "h3");
	series_free(series);
	free(series);
}

static void test_kills(void **state)
{
	struct series *series = calloc(1, sizeof(*series));
	struct series_kill *recent = calloc(LIMITS_SERIES_KILLS, sizeof(*recent));
	const int kills = LIMITS_SERIES_KILLS + 200;
	char name[RECORD_SHORT_BYTES];
	struct record record;

	(void)state;
	for (int i = 0; i < kills; i++) {
		snprintf(name, sizeof(name), "%d", i);
		record = kill_of(name, i % 2 ? "odd" : "even", i);
		series_add(series, &record);
	}
	assert_int_equal(series_drawn(series), kills);
	assert_int_equal(series->by_class[RECORD_CLASS_LOW], kills);
	assert_int_equal(series->image_count, 2);
	assert_int_equal(series->images[0].count + series->images[1].count, kills);
	assert_int_equal(series_recent_count(series), LIMITS_SERIES_KILLS);
	series_recent(series, recent);
	for (int i = 0; i < LIMITS_SERIES_KILLS; i++)
		assert_int_equal(recent[i].time_ms, 200 + i);

	/* One that waited in a spool stands where its time belongs. */
	record = kill_of("late", "odd", 450);
	series_add(series, &record);
	series_recent(series, recent);
	assert_string_equal(recent[250].kill.name, "late");
	for (int i = 0; i < LIMITS_SERIES_IMAGES; i++) {
		snprintf(name, sizeof(name), "image %d", i);
		record = kill_of("x", name, 1);
		series_add(series, &record);
	}
	assert_int_equal(series->image_count, LIMITS_SERIES_IMAGES);
	assert_int_equal(series->other_images, 2);
	free(recent);
	series_free(series);
	free(series);
}

/* What nobody removed is counted and kept apart. */
static void test_outcomes(void **state)
{
	struct series *series = calloc(1, sizeof(*series));
	struct series_kill *kills = calloc(LIMITS_SERIES_KILLS, sizeof(*kills));
	struct record record;

	(void)state;
	for (int i = 0; i < 4 * (LIMITS_SERIES_OTHERS + 2); i++) {
		record = kill_of("x", "image", i);
		record.kill.outcome = (enum record_outcome)(i % RECORD_OUTCOMES);
		series_add(series, &record);
	}
	for (int i = 0; i < RECORD_OUTCOMES; i++)
		assert_int_equal(series->by_outcome[i], LIMITS_SERIES_OTHERS + 2);
	assert_int_equal(series->by_class[RECORD_CLASS_LOW], LIMITS_SERIES_OTHERS + 2);
	assert_int_equal(series->images[0].count, LIMITS_SERIES_OTHERS + 2);
	assert_int_equal(series_drawn(series), 2 * (LIMITS_SERIES_OTHERS + 2));
	series_recent(series, kills);
	for (size_t i = 0; i < series_recent_count(series); i++)
		assert_in_range(kills[i].kill.outcome, RECORD_REMOVED, RECORD_DRY_RUN);
	assert_int_equal(series_others_count(series), LIMITS_SERIES_OTHERS);
	series_others(series, kills);
	for (size_t i = 0; i < series_others_count(series); i++)
		assert_in_range(kills[i].kill.outcome, RECORD_SURVIVED, RECORD_GONE);
	assert_int_equal(kills[LIMITS_SERIES_OTHERS - 1].time_ms, 4 * (LIMITS_SERIES_OTHERS + 2) - 1);
	free(kills);
	series_free(series);
	free(series);
}

static void test_labels(void **state)
{
	char label[12];

	(void)state;
	plot_label("a`b$(c)'\"\\\t\n@{}", label, sizeof(label));
	assert_string_equal(label, "a_b__c_____");
	plot_label("caf\xc3\xa9 1/2:3+4", label, sizeof(label));
	assert_string_equal(label, "caf_ 1/2:3+");
	plot_label("", label, sizeof(label));
	assert_string_equal(label, "");
}

/* The script is the same whatever the records say their names are. */
static void test_names_are_never_script(void **state)
{
	static const char *const names[] = {
		"plain", "'; system(\"id\") #", "`id`", "\n!id\n", "\"\tx\t", "{/=90 x}", "EOD", "?",
	};
	struct plot_job first, job;

	(void)state;
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			struct series *series = calloc(1, sizeof(*series));
			struct record record = kind == RECORD_KILL ?
				kill_of(names[i], names[i], 5000) : memory_sample(names[i], 5000, 1);

			series_add(series, &record);
			assert_int_equal(plot_describe(kind, false, series, &job), 0);
			if (i == 0) {
				first = job;
			} else {
				assert_string_equal(job.script, first.script);
				assert_null(strpbrk(job.data, "`'\"\\;!{}"));
				plot_job_free(&job);
			}
			series_free(series);
			free(series);
		}
		plot_job_free(&first);
	}
}

static void test_page_escapes(void **state)
{
	struct series *series = calloc(1, sizeof(*series));
	struct page_picture none = { 0 };
	struct record record = kill_of("<script>alert(1)</script>", "\"><img src=x>", 5000);
	char *page = NULL;
	size_t len;
	FILE *out = open_memstream(&page, &len);

	(void)state;
	strcpy(record.kill.reason, "a&b'\x01");
	series_add(series, &record);
	record = memory_sample("<b>", 5000, 1);
	series_add(series, &record);
	record = memory_sample("</i>", 6000, 1);
	series_add(series, &record);
	assert_int_equal(page_write(out, series, &none, &none, "nonce", 0), 0);
	fclose(out);
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "<img"));
	assert_null(strstr(page, "</i>"));
	assert_non_null(strstr(page, "&lt;script&gt;alert(1)&lt;/script&gt;"));
	assert_non_null(strstr(page, "&quot;&gt;&lt;img src=x&gt;"));
	assert_non_null(strstr(page, "a&amp;b&#39;\xef\xbf\xbd"));
	free(page);
	series_free(series);
	free(series);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bins_are_bounded),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_outlier_keeps_resolution),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_names_are_never_script),
		cmocka_unit_test(test_page_escapes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
