// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <math.h>

#include "tests/unit/host.h"
#include "userspace/core/look.h"
#include "userspace/core/receipt.h"

static char labels[] = "team=web\0empty=\0";

static struct model_process processes[] = {
	{ .pid = 5, .container = 1, .start_us = 1, .cpu_us = 2, .state = 'Z' },
	{ .pid = 5, .container = 0, .start_us = 3, .cpu_us = UINT64_MAX },
	{ .pid = 4194304, .container = 1, .start_us = 0, .cpu_us = 0 },
};
static const struct ledger_sum sums[] = {
	{ .id = "a", .container_cgroup_id = 7, .cpu_us = 8, .exits = 9, .exits_lost = 10, .lost_us = 11,
	  .oom_exits = 12 },
	{ .id = "c", .container_cgroup_id = UINT64_MAX, .cpu_us = 1, .removed = true },
};
static const struct ledger_exit exits[] = {
	{ 7, 9, 10, 11, 12, 13, .exit_code = -1, .signal = 9, .oom = true, .init = false },
	{ 7, 9, 10, 11, 12, 13, .exit_code = 255, .signal = 0, .oom = false, .init = true },
};

/* Every field with a value of its own. */
static struct look make(struct host *h)
{
	struct look l = {
		.unix_ms = 1792653601123, .cycle = 300, .seen = true, .hand = "DAD",
		.sight = { .model = &h->model, .witness = true, .reading = { 77, sums, COUNT(sums), 78 },
			   .exits = exits, .exit_count = COUNT(exits), 
			   .skew_us = 1234, .slept_before_us = 5678, .slept_after_us = 91 },
	};
	struct model_container *c;

	host_init(h);
	strcpy(h->model.boot_id, "boot");
	strcpy(h->model.instance, "i");
	h->model.processes = processes;
	h->model.process_count = COUNT(processes);
	h->model.cpus = 4;
	h->model.total_ram_kib = 1;
	h->model.free_ram_kib = 2;
	h->model.used_ram_kib = 3;
	h->model.available_ram_kib = 4;
	c = host_add(h, "a", 0, 77);
	strcpy(c->runtime_name, "docker");
	strcpy(c->path, "/docker/a");
	strcpy(c->name, "n\xff\n");
	c->pid = 6;
	c->process_count = 8;
	c->thread_count = 11;
	c->vsz_kib = 9;
	c->rss_kib = 10;
	c->memory_percent = 12.5;
	c->self = c->dying = true;
	c->comebacks = 5;
	c->cgroup = (struct model_cgroup){ .known = true, .has_cpu = true, .inode = 1,
					   .memory_bytes = 2, .inactive_bytes = 3, .cpu_us = 4,
					   .has_oom = true, .oom_kills = 5, .pids = 6, .frozen = true };
	c->runtime = (struct model_runtime){ .known = true, .is_protected = true, .name = "x",
					     .image = "y", .labels = labels,
					     .labels_len = sizeof(labels) - 1 };
	c = host_add(h, "b", 0, 0);
	c->cgroup = (struct model_cgroup){ .has_memory = true, .has_inactive = true,
					   .has_pids = true };
	c->runtime = (struct model_runtime){ .running = true, .log_server = true, .labels_cut = true,
		.name_cut = true };
	return l;
}

static void same_container(const struct model_container *a, const struct model_container *b)
{
#define SAME(field) assert_true(a->field == b->field)
#define SAME_TEXT(field) assert_string_equal(a->field, b->field)
	SAME_TEXT(id);
	SAME_TEXT(runtime_name);
	SAME_TEXT(path);
	SAME_TEXT(name);
	SAME(pid);
	SAME(start_us);
	SAME(process_count);
	SAME(vsz_kib);
	SAME(rss_kib);
	SAME(memory_percent);
	SAME(self);
	SAME(dying);
	SAME(comebacks);
	SAME(cgroup.known);
	SAME(cgroup.has_memory);
	SAME(cgroup.has_cpu);
	SAME(cgroup.has_inactive);
	SAME(cgroup.inode);
	SAME(cgroup.memory_bytes);
	SAME(cgroup.inactive_bytes);
	SAME(cgroup.has_oom);
	SAME(cgroup.has_pids);
	SAME(cgroup.frozen);
	SAME(cgroup.oom_kills);
	SAME(cgroup.pids);
	SAME(thread_count);
	SAME(cgroup.cpu_us);
	SAME(runtime.known);
	SAME(runtime.running);
	SAME(runtime.is_protected);
	SAME(runtime.log_server);
	SAME(runtime.labels_cut);
	SAME(runtime.name_cut);
	SAME(runtime.image_unsure);
	SAME_TEXT(runtime.name);
	SAME_TEXT(runtime.image);
	SAME(runtime.labels_len);
	if (a->runtime.labels_len)
		assert_memory_equal(a->runtime.labels, b->runtime.labels, a->runtime.labels_len);
}

static void there_and_back(void **state)
{
	struct look_bytes bytes = { 0 }, again = { 0 };
	struct host h;
	struct look l = make(&h), back;
	size_t i;

	(void)state;
	look_encode(&l, &bytes);
	assert_false(bytes.failed);
	assert_int_equal(look_decode(bytes.data, bytes.len, &back), 0);
	assert_true(back.unix_ms == l.unix_ms && back.cycle == l.cycle && back.seen);
	assert_string_equal(back.hand, "DAD");
	assert_int_equal(back.sight.model->container_count, 2);
	for (i = 0; i < 2; i++)
		same_container(&back.sight.model->containers[i], &h.containers[i]);
	assert_string_equal(back.sight.model->boot_id, "boot");
	assert_int_equal(back.sight.model->process_count, COUNT(processes));
	for (i = 0; i < COUNT(processes); i++)
		assert_memory_equal(&back.sight.model->processes[i], &processes[i], sizeof(processes[i]));
	assert_true(back.sight.reading.since_us == 77 && back.sight.reading.unplaced == 78);
	assert_memory_equal(back.sight.reading.sums, sums, sizeof(sums));
	assert_memory_equal(back.sight.exits, exits, sizeof(exits));
	assert_true(back.sight.witness && back.sight.skew_us == 1234 && back.sight.slept_before_us == 5678 &&
		    back.sight.slept_after_us == 91 && back.sight.exit_count == 2);
	assert_true(back.sight.model->cpus == 4 && back.sight.model->available_ram_kib == 4);
	look_encode(&back, &again);
	assert_int_equal(bytes.len, again.len);
	assert_memory_equal(bytes.data, again.data, bytes.len);

	/* Cut anywhere, or with anything behind it, it is none. */
	look_free(&back);
	for (i = 0; i < bytes.len; i++)
		assert_int_equal(look_decode(bytes.data, i, &back), -EBADMSG);
	bytes.data = realloc(bytes.data, bytes.len + 1);
	bytes.data[bytes.len] = 0;
	assert_int_equal(look_decode(bytes.data, bytes.len + 1, &back), -EBADMSG);
	free(bytes.data);
	free(again.data);
}

/* Each alone, so that none is taken for another. */
static void flags(void **state)
{
	struct model_container c;
	bool *const all[] = {
		&c.cgroup.known, &c.cgroup.has_memory, &c.cgroup.has_cpu, &c.cgroup.has_inactive,
		&c.cgroup.has_oom, &c.cgroup.has_pids, &c.cgroup.frozen, &c.runtime.known, &c.runtime.running,
		&c.runtime.is_protected, &c.runtime.log_server, &c.runtime.labels_cut, &c.runtime.name_cut,
		&c.runtime.image_unsure, &c.self, &c.dying,
	};
	struct model m = { .containers = &c, .container_count = 1 };
	const struct look l = { .seen = true, .sight = { .model = &m } };
	struct look back;
	size_t i;

	(void)state;
	for (i = 0; i <= COUNT(all); i++) {
		struct look_bytes bytes = { 0 };

		c = (struct model_container){ .id = "a" };
		if (i < COUNT(all))
			*all[i] = true;
		look_encode(&l, &bytes);
		assert_int_equal(look_decode(bytes.data, bytes.len, &back), 0);
		same_container(&back.sight.model->containers[0], &c);
		look_free(&back);
		free(bytes.data);
	}
}

static void not_seen(void **state)
{
	const struct look l = { .unix_ms = 5, .cycle = 6 };
	struct look_bytes bytes = { 0 };
	struct look back;

	(void)state;
	look_encode(&l, &bytes);
	assert_int_equal(look_decode(bytes.data, bytes.len, &back), 0);
	assert_true(!back.seen && !back.sight.model && back.cycle == 6);
	look_free(&back);
	free(bytes.data);
}

static void outcomes(void **state)
{
	struct look_verdict verdicts[] = { { CLASS_HIGH, RULE_SURPLUS, LOOK_KILLED }, { 0, 0, 0 } };
	struct look_outcome o = { .mode = BRAKE_DISARMED, .why = "w", .decided = true,
				  .verdicts = verdicts, .count = 2 }, back;
	struct look_bytes bytes = { 0 };
	size_t i;

	(void)state;
	look_encode_outcome(&o, &bytes);
	assert_int_equal(look_decode_outcome(bytes.data, bytes.len, &back), 0);
	assert_true(back.mode == BRAKE_DISARMED && back.decided && back.count == 2);
	assert_string_equal(back.why, "w");
	assert_memory_equal(back.verdicts, verdicts, sizeof(verdicts));
	look_free_outcome(&back);
	for (i = 0; i < bytes.len; i++)
		assert_int_equal(look_decode_outcome(bytes.data, i, &back), -EBADMSG);
	bytes.data = realloc(bytes.data, bytes.len + 1);
	bytes.data[bytes.len] = 0;
	assert_int_equal(look_decode_outcome(bytes.data, bytes.len + 1, &back), -EBADMSG);
	free(bytes.data);
}

/* A report of a recording says of an outcome what its record says. */
static void fates(void **state)
{
	static const char *const expected[LOOK_FATES] = {
		[LOOK_STAYED] = "stayed",
		[LOOK_KILLED] = "killed",
		[LOOK_UNVERIFIED] = "killed, not verified",
		[LOOK_DYING] = "told to die",
		[LOOK_GONE] = "was already gone",
		[LOOK_SURVIVED] = "survived",
		[LOOK_WOULD] = "would be killed",
	};
	size_t i;

	(void)state;
	for (i = 0; i < LOOK_FATES; i++)
		assert_string_equal(look_fate_name((enum look_fate)i), expected[i]);
	assert_string_equal(look_fate_name(LOOK_UNVERIFIED), receipt_outcome_name(RECEIPT_UNVERIFIED));
	assert_string_equal(look_fate_name(LOOK_GONE), receipt_outcome_name(RECEIPT_GONE));
	assert_string_equal(look_fate_name(LOOK_SURVIVED), receipt_outcome_name(RECEIPT_SURVIVED));
}

/* What would break a judge is refused. */
static void lies(void **state)
{
	struct look_bytes bytes;
	struct look l, back;
	struct host h;
	int i;

	(void)state;
	for (i = 0; i < 11; i++) {
		struct model_process lie[COUNT(processes)];

		bytes = (struct look_bytes){ 0 };
		l = make(&h);
		memcpy(lie, processes, sizeof(lie));
		h.model.processes = lie;
		switch (i) {
		case 0: /* the order of the containers */
			strcpy(h.containers[0].id, "c");
			break;
		case 1:
			strcpy(h.containers[0].id, "b");
			break;
		case 2:
			h.containers[0].id[0] = '\0';
			break;
		case 3:
			h.containers[0].memory_percent = NAN;
			break;
		case 4:
			h.containers[0].memory_percent = -1;
			break;
		case 5: /* labels that have no end */
			h.containers[0].runtime.labels_len--;
			break;
		case 6:
			lie[0].container = 2;
			break;
		case 7:
			lie[0].pid = 6;
			break;
		case 8:
			lie[0].start_us = 4;
			break;
		case 9:
			h.model.container_count = 0;
			break;
		case 10:
			strcpy(l.hand, "AX");
			break;
		}
		look_encode(&l, &bytes);
		if (look_decode(bytes.data, bytes.len, &back) != -EBADMSG)
			fail_msg("lie %d", i);
		free(bytes.data);
	}
	/* A number of eleven groups, one beyond 64 bits, a text longer than what is there, by one
	   too, a NUL. */
	for (i = 0; i < 5; i++) {
		static const uint8_t bad[][14] = {
			{ 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 },
			{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 },
			{ 1, 1, 15, 'A' },
			{ 1, 1, 1, 0, 0 },
			{ 1, 1, 2, 'A' },
		};
		static const size_t lengths[] = { 14, 14, 14, 5, 4 };
		uint8_t *exact = malloc(lengths[i]);	/* whose end a sanitizer knows */

		memcpy(exact, bad[i], lengths[i]);
		assert_int_equal(look_decode(exact, lengths[i], &back), -EBADMSG);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(flags),
		cmocka_unit_test(not_seen),
		cmocka_unit_test(outcomes),
		cmocka_unit_test(fates),
		cmocka_unit_test(lies),
	};

	return RUN(tests);
}
