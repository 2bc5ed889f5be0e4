// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/model.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct snapshot_process process(uint32_t pid, const char *id, const char *cgroup,
				       uint64_t start_us, uint64_t cpu_us)
{
	return (struct snapshot_process){
		.pid = pid, .name = "p", .container_id = id, .runtime = "docker", .cgroup = cgroup,
		.start_us = start_us, .cpu_us = cpu_us, .vsz_kib = 10, .rss_kib = 1,
	};
}

static struct model *make(uint64_t sequence, uint64_t boot_us, struct snapshot_process *p, size_t n)
{
	struct snapshot s = {
		.instance = "x", .sequence = sequence, .boot_time_us = boot_us, .cpus = 2,
		.processes = p, .process_count = n,
	};
	struct model *m;
	size_t i;

	assert_int_equal(model_new(&s, &m), 0);
	for (i = 0; i < m->container_count; i++) {
		m->containers[i].cgroup.known = true;
		m->containers[i].cgroup.inode = 1000 + (uint64_t)*m->containers[i].id;
	}
	return m;
}

static void groups(void **state)
{
	struct snapshot_process p[] = {
		process(30, B, "/docker/" B, 500, 1),
		process(21, A, "/docker/" A "/nested/docker/" B, 300, 2),
		process(5, "", "/system.slice", 1, 9),
		process(20, A, "/docker/" A, 200, 3),
	};
	struct model *m = make(1, 1000, p, COUNT(p));
	struct model_container *a = model_find(m, A);

	(void)state;
	assert_int_equal(m->container_count, 2);
	assert_int_equal(m->process_count, 3);
	assert_int_equal(a->pid, 20);
	assert_int_equal(a->start_us, 200);
	assert_int_equal(a->process_count, 2);
	assert_int_equal(a->rss_kib, 2);
	assert_string_equal(a->path, "/docker/" A);
	assert_string_equal(model_find(m, B)->path, "/docker/" B);
	assert_null(model_find(m, "c"));
	model_free(m);
}

/* The id must be what the path says, and one id must be one container. */
static void contradictions(void **state)
{
	struct snapshot_process lie[] = { process(1, B, "/docker/" A, 1, 1) };
	struct snapshot_process twice[] = {
		process(1, A, "/docker/" A, 1, 1),
		process(2, A, "/user.slice/docker-" A ".scope", 2, 1),
		process(3, B, "/docker/" B, 2, 1),
	};
	struct model *m = make(1, 1, lie, 1);

	(void)state;
	assert_int_equal(m->container_count, 0);
	assert_int_equal(m->process_count, 0);
	model_free(m);
	m = make(1, 1, twice, 3);
	assert_int_equal(m->container_count, 1);
	assert_string_equal(m->containers[0].id, B);
	assert_int_equal(m->process_count, 1);
	assert_int_equal(m->processes[0].container, 0);
	model_free(m);
}

static void windows(void **state)
{
	struct snapshot_process before[] = {
		process(1, A, "/docker/" A, 10, 1000),
		process(2, A, "/docker/" A, 20, 5000),
		process(9, A, "/docker/" A, 30, 700),
	};
	struct snapshot_process after[] = {
		process(1, A, "/docker/" A, 10, 1600),		/* grew by 600 */
		process(2, A, "/docker/" A, 20, 4000),		/* went back: 0 */
		process(3, A, "/docker/" A, 1500, 50),		/* born in the window: all 50 */
		process(5, A, "/docker/" A, 1000, 11),		/* born as it began: all 11 */
		process(4, A, "/docker/" A, 5, 90000),		/* older, came from elsewhere: not known */
		process(9, A, "/docker/" A, 1700, 7),		/* the pid again, another process: 7 */
		process(8, B, "/docker/" B, 1600, 5),
	};
	struct model *last = make(1, 1000, before, COUNT(before));
	struct model *m = make(2, 2000, after, COUNT(after));

	(void)state;
	model_compare(m, last);
	assert_int_equal(m->window_us, 1000);
	assert_true(model_find(m, A)->has_window);
	assert_int_equal(model_find(m, A)->cpu_window_us, 668);
	assert_false(model_find(m, B)->has_window);
	model_free(m);

	/* Another cgroup under the same id: a restart in between. */
	m = make(2, 2000, after, COUNT(after));
	model_find(m, A)->cgroup.inode++;
	model_compare(m, last);
	assert_false(model_find(m, A)->has_window);
	model_free(m);

	/* Its cgroup could not be read. */
	m = make(2, 2000, after, COUNT(after));
	model_find(m, A)->cgroup.known = false;
	model_compare(m, last);
	assert_false(model_find(m, A)->has_window);
	model_free(last);
	model_free(m);
}

static void dropped(void **state)
{
	struct snapshot_process p[] = {
		process(1, A, "/docker/" A, 10, 1), process(2, B, "/docker/" B, 10, 2),
		process(3, A, "/docker/" A, 10, 3), process(4, B, "/docker/" B, 10, 4),
	};
	struct model *m = make(1, 1000, p, COUNT(p));
	bool gone[2] = { false, false };

	(void)state;
	assert_int_equal(model_drop(m, gone), 0);
	assert_int_equal(m->container_count, 2);
	gone[strcmp(m->containers[0].id, B) ? 0 : 1] = true;
	assert_int_equal(model_drop(m, gone), 0);
	assert_int_equal(m->container_count, 1);
	assert_string_equal(m->containers[0].id, B);
	assert_int_equal(m->process_count, 2);
	assert_int_equal(m->processes[0].pid, 2);
	assert_int_equal(m->processes[1].pid, 4);
	assert_int_equal(m->processes[1].container, 0);
	model_free(m);
}

static void no_window(void **state)
{
	struct snapshot_process p[] = { process(1, A, "/docker/" A, 10, 1000) };
	static const struct {
		const char *instance;
		uint64_t sequence, boot_us;
	} lasts[] = {
		{ "other", 1, 1000 },	/* the module was loaded anew */
		{ "x", 2, 1000 },	/* the same collection */
		{ "x", 3, 1000 },	/* an older one */
		{ "x", 1, 2000 },	/* no time went by */
		{ "x", 1, 3000 },
	};
	struct model *m = make(2, 2000, p, 1);
	size_t i;

	(void)state;
	model_compare(m, NULL);
	assert_int_equal(m->window_us, 0);
	for (i = 0; i < COUNT(lasts); i++) {
		struct model *last = make(lasts[i].sequence, lasts[i].boot_us, p, 1);

		strcpy(last->instance, lasts[i].instance);
		model_compare(m, last);
		assert_int_equal(m->window_us, 0);
		assert_false(m->containers[0].has_window);
		model_free(last);
	}
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(windows),
		cmocka_unit_test(dropped),
		cmocka_unit_test(no_window),
	};

	return RUN(tests);
}
