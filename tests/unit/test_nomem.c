// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of core/ fails once, at each place in turn: it is said, nothing is
 * decided, what was there before stays usable, and nothing leaks (under a sanitizer).
 */
#include <cjson/cJSON.h>
#include <errno.h>

#include "tests/property/world.h"
#include "tests/unit/unit.h"
#include "userspace/core/comeback.h"
#include "userspace/core/crontab.h"
#include "userspace/core/death.h"
#include "userspace/core/look.h"
#include "userspace/core/record.h"

/* How many allocations succeed before one fails; negative: all do. */
static long left = -1;
static bool fired;

static bool fails_now(void)
{
	if (left < 0 || left--)
		return false;
	fired = true;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

/* Runs @step again and again, each time with the next allocation failing. */
static void at_each_place(int (*step)(void *ctx), void *ctx)
{
	long n;

	for (n = 0;; n++) {
		int err;

		left = n;
		fired = false;
		err = step(ctx);
		left = -1;
		if (!fired)
			break;
		if (err != -ENOMEM)
			fail_msg("%d after allocation %ld failed", err, n);
	}
	assert_true(n > 0);
	assert_int_equal(step(ctx), 0);
}

static int parse(void *text)
{
	char reason[SNAPSHOT_REASON_SIZE];
	struct model *m = NULL;
	struct snapshot *s;
	int err = snapshot_parse(text, strlen(text), &s, reason);

	/* cJSON tells a want of memory from a mistake no more than we can. */
	if (err)
		return fired ? -ENOMEM : err;
	err = model_new(s, &m);
	snapshot_free(s);
	model_free(m);
	return err;
}

static void snapshots(void **state)
{
	static char text[] =
		"{\"SchemaVersion\":1,\"Instance\":\"i\",\"Sequence\":1,\"BootTimeUs\":1,\"CollectUs\":1,"
		"\"TotalRAM\":1,\"FreeRAM\":1,\"UsedRAM\":1,\"AvailableRAM\":1,\"CPUs\":1,\"Processes\":[{"
		"\"PID\":1,\"PPID\":1,\"Name\":\"n\",\"ContainerID\":\"\",\"Runtime\":\"\",\"Cgroup\":\"/\","
		"\"CgroupID\":1,\"State\":\"S\",\"Threads\":1,\"StartTimeUs\":1,\"Vsz\":1,\"Rss\":1,\"CPUTimeUs\":1,"
		"\"MemoryUsage\":1,\"CPUUsage\":1}]}";

	(void)state;
	at_each_place(parse, text);
}

static struct world world;

struct steps {
	struct judge_sight last, now;
	struct ledger_sum *sums;
	bool rank;
	bool dies[12];		/* with all memory, by place in the model */
	bool known;
};

/* Without memory for a death the ledger goes on, and disputes: nobody else may die. */
static void check_victims(struct steps *s, const struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->count; i++) {
		bool dies = plan->decisions[i].rule == RULE_SURPLUS;
		bool *before = &s->dies[plan->decisions[i].container - s->now.model->containers];

		if (!s->known)
			*before = dies;
		else if (dies && !*before)
			fail_msg("%s dies for want of memory", plan->decisions[i].container->id);
	}
	s->known = true;
}

/* Of a state of its own each time. */
static int judge(void *ctx)
{
	struct steps *s = ctx;
	struct judge j = { 0 };
	struct judgement g;
	int err, i;

	world.policy.classify.classifier = s->rank ? CLASSIFIER_RANK : CLASSIFIER_THRESHOLD;
	for (i = 0; i < 2; i++) {
		err = judge_step(&j, &world.policy, i ? &s->now : &s->last, i ? &s->last : NULL, &g);
		if (err && (g.plan || g.brake.act))
			fail_msg("a plan without memory");
		if (!err && g.plan)
			check_victims(s, g.plan);
		judgement_free(&g);
		if (err)
			break;
	}
	judge_forget(&j);
	return err || !fired ? err : -ENOMEM;
}

static void judging(void **state)
{
	struct chance order = { 1 };
	struct steps s = { 0 };
	uint64_t seed;

	(void)state;
	/* One with deaths, a window and a surplus. */
	for (seed = 1;; seed++) {
		world_begin(&world, seed, 12);
		world_step(&world);
		if (!world.seen || !world.witness || !world.exit_count)
			continue;
		s.last = world_sight(&world, &order);
		s.sums = calloc(world.sum_count + 1, sizeof(*s.sums));
		memcpy(s.sums, world.sums, world.sum_count * sizeof(*s.sums));
		s.last.reading.sums = s.sums;
		s.last.exit_count = 0;
		world_step(&world);
		if (world.window && world.witness && world.exit_count)
			break;
		model_free(s.last.model);
		free(s.sums);
	}
	s.now = world_sight(&world, &order);
	assert_int_equal(judge(&s), 0);
	at_each_place(judge, &s);
	s.rank = true;
	s.known = false;
	assert_int_equal(judge(&s), 0);
	at_each_place(judge, &s);
	model_free(s.last.model);
	model_free(s.now.model);
	free(s.sums);
}

static int keep_look(void *ctx)
{
	struct look l = { .seen = true, .sight = *(struct judge_sight *)ctx }, back;
	struct look_verdict verdicts[3] = { { 0, 0, 0 } };
	struct look_outcome o = { .decided = true, .verdicts = verdicts, .count = 3 }, o_back;
	struct look_bytes bytes = { 0 };
	bool gone[12] = { true };
	int err = 0;

	look_encode(&l, &bytes);
	if (bytes.failed)
		err = -ENOMEM;
	if (!err)
		err = look_decode(bytes.data, bytes.len, &back);
	free(bytes.data);
	if (err)
		return err;
	err = model_drop(back.sight.model, gone);
	look_free(&back);
	bytes = (struct look_bytes){ 0 };
	look_encode_outcome(&o, &bytes);
	if (bytes.failed)
		err = -ENOMEM;
	if (!err)
		err = look_decode_outcome(bytes.data, bytes.len, &o_back);
	if (!err)
		look_free_outcome(&o_back);
	free(bytes.data);
	return err;
}

static void looks(void **state)
{
	struct chance order = { 1 };
	struct judge_sight sight;
	uint64_t seed;

	(void)state;
	for (seed = 1;; seed++) {
		world_begin(&world, seed, 12);
		world_step(&world);
		if (world.seen && world.exit_count && world_find(&world, world.beings[0].id))
			break;
	}
	sight = world_sight(&world, &order);
	sight.model->containers[0].runtime.labels = realloc(sight.model->containers[0].runtime.labels, 1);
	sight.model->containers[0].runtime.labels[0] = '\0';
	sight.model->containers[0].runtime.labels_len = 1;
	at_each_place(keep_look, &sight);
	model_free(sight.model);
}

static int records(void *ctx)
{
	const struct record_origin from = { .host = "h", .boot_id = "b", .instance = "i", .sequence = 1 };
	const struct model_container c = { .id = "c", .runtime = { .name = "n", .image = "i" } };
	const struct measure measure = { .cycles = 1 };
	const struct reconcile_books books = { 0 };
	const struct decision d = { .container = &c, .measure = &measure, .books = &books,
				    .class = CLASS_HIGH, .rule = RULE_SURPLUS };
	const struct model m = { .instance = "i" };
	const struct record_times now = { .unix_ms = 1, .boottime_us = 2 };
	const struct receipt receipt = { .watched = true, .whole = true, .signal = 9, .outcome = RECEIPT_VERIFIED,
					 .act_us = 1, .empty_us = 2, .process_count = 3,
					 .has_memory = true, .memory_before = 9 };
	struct death death = { .container = c, .cause = DEATH_SIGNAL, .signal = 9 };
	cJSON *o = record_intent(&from, &d, &now), *memory;
	int err;

	(void)ctx;
	if (!o)
		return -ENOMEM;
	err = record_would(o);
	cJSON_Delete(o);
	if (err)
		return err;
	o = record_intent(&from, &d, &now);
	err = o ? record_complete(o, &receipt, 0) : -ENOMEM;
	cJSON_Delete(o);
	if (err)
		return err;
	for (; death.cause != DEATH_UNKNOWN; death.cause--) {
		death.signal = death.cause == DEATH_SIGNAL ? 9 : 0;
		o = record_death(&from, &death, 0);
		if (!o)
			return -ENOMEM;
		cJSON_Delete(o);
	}
	o = record_death(&from, &death, 0);
	if (!o)
		return -ENOMEM;
	cJSON_Delete(o);
	memory = record_memory(&from, &m, 0);
	if (!memory)
		return -ENOMEM;
	cJSON_Delete(memory);
	return 0;
}

static void json(void **state)
{
	cJSON_Hooks hooks = { .malloc_fn = __wrap_malloc, .free_fn = free };

	(void)state;
	cJSON_InitHooks(&hooks);
	at_each_place(records, NULL);
	cJSON_InitHooks(NULL);
}

static int memories(void *ctx)
{
	struct model_container c = { .id = "a", .cgroup = { .known = true, .inode = 1 } };
	const struct model last = { .containers = &c, .container_count = 1 }, now = { .containers = &c };
	const struct ledger_end end = { .id = "b", .cgroup_id = 2, .brief = true, .has_status = true };
	struct comeback_who who;
	struct comebacks comebacks = { 0 };
	struct deaths deaths = { 0 };
	int err;

	(void)ctx;
	comeback_who(&c, &who);
	err = comebacks_note(&comebacks, &who, 1);
	if (!err)
		err = deaths_find(&deaths, &last, &now);
	if (!err)
		err = deaths_add_brief(&deaths, &end);
	comebacks_forget(&comebacks);
	deaths_forget(&deaths);
	return err;
}

static void remembering(void **state)
{
	(void)state;
	at_each_place(memories, NULL);
}

/* A window in which a main process dies, one vanishes, and a container ends. */
static int ledger(void *ctx)
{
	struct model_container containers[] = {
		{ .id = "a", .cgroup = { .known = true, .inode = 1 }, .has_window = true },
	};
	struct model_process before[] = { { .pid = 1, .start_us = 1 }, { .pid = 2, .start_us = 2 } };
	const struct model last = { .boot_time_us = 10, .containers = containers, .container_count = 1,
				    .processes = before, .process_count = 2 };
	const struct model now = { .boot_time_us = 20, .containers = containers, .container_count = 1,
				   .processes = before };
	const struct ledger_exit exit = { .container_cgroup_id = 1, .pid = 1, .start_us = 1, .exit_us = 15,
					  .init = true };
	const struct ledger_sum sums[] = { { .id = "a", .container_cgroup_id = 1 },
					   { .id = "b", .container_cgroup_id = 2, .removed = true } };
	const struct ledger_reading then = { .since_us = 1, .sums = sums, .sum_count = 1 };
	const struct ledger_reading reading = { .since_us = 1, .sums = sums, .sum_count = 2 };
	struct reconcile_books books[1];
	struct ledger_window window;
	struct ledger l = { 0 };
	int err;

	(void)ctx;
	ledger_begin(&l, &last);
	ledger_note(&l, &exit);
	err = ledger_close(&l, &now, &last, &reading, &then, books, &window);
	if (!err)
		ledger_window_free(&window);
	ledger_forget(&l);
	/* An account that is missing at the beginning, or a death, is lost and told as that. */
	return err || !fired ? err : -ENOMEM;
}

static void books(void **state)
{
	(void)state;
	at_each_place(ledger, NULL);
}

static int crontab(void *ctx)
{
	char *with = crontab_with("a\n", "b"), *without = with ? crontab_without(with) : NULL;
	char *word = without ? crontab_quote("it's 100%") : NULL;

	(void)ctx;
	free(with);
	free(without);
	free(word);
	return word ? 0 : -ENOMEM;
}

static void crontabs(void **state)
{
	(void)state;
	at_each_place(crontab, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots),
		cmocka_unit_test(judging),
		cmocka_unit_test(looks),
		cmocka_unit_test(json),
		cmocka_unit_test(remembering),
		cmocka_unit_test(books),
		cmocka_unit_test(crontabs),
	};

	return RUN(tests);
}
