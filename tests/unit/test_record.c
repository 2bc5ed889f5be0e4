// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/host.h"
#include "userspace/core/record.h"

static const struct record_origin origin = {
	.host = "h", .boot_id = "b", .instance = "i", .sequence = 12,
};

static const char *text(const cJSON *o, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static double number(const cJSON *o, const char *key)
{
	return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static void times(void **state)
{
	char buf[RECORD_TIME_SIZE];

	(void)state;
	record_time(0, buf);
	assert_string_equal(buf, "1970-01-01T00:00:00.000Z");
	record_time(1792653601123, buf);
	assert_string_equal(buf, "2026-10-22T07:20:01.123Z");
	record_time(4102444799999, buf);
	assert_string_equal(buf, "2099-12-31T23:59:59.999Z");
}

/* What whoever finds an intent after a crash needs, and nobody else. */
static const char *const private_keys[] = {
	RECORD_CGROUP, RECORD_INTENDED_US, RECORD_INTENDED_MS, RECORD_GRACE_US, RECORD_BY_RUNTIME, RECORD_POLICY,
	RECORD_RETRIES,
};

static void add_private(cJSON *o)
{
	size_t i;

	for (i = 0; i < COUNT(private_keys); i++)
		if (!cJSON_HasObjectItem(o, private_keys[i]))
			cJSON_AddNumberToObject(o, private_keys[i], 1);
}

static void check_private_gone(const cJSON *o)
{
	size_t i;

	for (i = 0; i < COUNT(private_keys); i++)
		if (cJSON_HasObjectItem(o, private_keys[i]))
			fail_msg("%s is told", private_keys[i]);
	assert_non_null(cJSON_GetObjectItem(o, RECORD_CGROUP_ID));
}

/* The caller frees it. */
static cJSON *intent(void)
{
	static const struct decide_policy none = { .keep_high = 0, .keep_low = 0 };
	static const struct record_times now = { .unix_ms = 1500, .boottime_us = 77000000 };
	struct model_container *c;
	struct host h;
	cJSON *o;

	host_init(&h);
	c = host_add(&h, "0123456789abcdef", 1234, 5);
	c->pid = 42;
	strcpy(c->name, "na\"me");
	strcpy(c->path, "/docker/0123456789abcdef");
	c->cgroup.inode = 99;
	c->memory_percent = 0.125;
	host_decide(&h, &none);
	o = record_intent(&origin, &h.plan->decisions[0], &now);
	plan_free(h.plan);
	assert_non_null(o);
	return o;
}

static void intent_record(void **state)
{
	cJSON *o = intent();

	(void)state;
	assert_string_equal(text(o, "action"), "intent");
	assert_null(cJSON_GetObjectItem(o, "verified"));
	assert_null(cJSON_GetObjectItem(o, "seen_by"));
	assert_string_equal(text(o, "timestamp"), "1970-01-01T00:00:01.500Z");
	assert_string_equal(text(o, "event_id"), "i-12-0123456789abcdef");
	assert_string_equal(text(o, "container_id"), "0123456789abcdef");
	assert_string_equal(text(o, "name"), "na\"me");
	assert_string_equal(text(o, "class"), "high");
	assert_string_equal(text(o, "reason"), "surplus high: rank 1, cpu 12.34 %, memory 5.0 MiB");
	assert_string_equal(text(o, "witness"), "none");
	assert_true(number(o, "pid") == 42);
	assert_true(number(o, "cpu_usage") == 12.34);
	assert_true(number(o, "memory_usage") == 0.13);
	assert_true(number(o, "memory_current") == 5 << 20);
	assert_string_equal(text(o, RECORD_CGROUP), "/docker/0123456789abcdef");
	assert_true(number(o, RECORD_CGROUP_ID) == 99);
	assert_true(number(o, RECORD_INTENDED_US) == 77000000);
	/* By the wall clock, which may be set, nothing is timed. */
	assert_null(cJSON_GetObjectItem(o, RECORD_INTENDED_MS));
	cJSON_Delete(o);
}

static void kill_record(void **state)
{
	static const struct receipt killed = {
		.found = RECEIPT_FOUND, .killed = true, .act_us = 1000, .empty_us = 2237,
		.has_memory = true, .memory_before = 9 << 20, .memory_after = 1 << 20,
		.reason = "the runtime: \x1b\xff", .outcome = RECEIPT_VERIFIED,
	};
	cJSON *o = intent();

	(void)state;
	add_private(o);
	assert_int_equal(record_complete(o, &killed, 1000), 0);
	assert_string_equal(text(o, "action"), "killed");
	assert_string_equal(text(o, "timestamp"), "1970-01-01T00:00:01.000Z");
	assert_string_equal(text(o, "event_id"), "i-12-0123456789abcdef");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "verified")));
	assert_string_equal(text(o, "seen_by"), "witness");
	assert_true(number(o, "kill_latency_ms") == 1.24);
	assert_true(number(o, "memory_freed") == 8 << 20);
	assert_true(number(o, "signal") == 9);
	assert_string_equal(text(o, "outcome"), "killed and verified");
	/* What a runtime says may be any bytes. */
	assert_string_equal(text(o, "evidence"), "cgroup.kill; no witness; populated right before, "
			    "empty after 1.2 ms; 8.0 MiB given back; the runtime: \\x1b\\xff");
	check_private_gone(o);
	assert_null(cJSON_GetObjectItem(o, "processes"));
	cJSON_Delete(o);
}

/* Each key once, or whoever reads it may take either. */
static void is_told_once(const cJSON *o)
{
	const cJSON *a, *b;

	cJSON_ArrayForEach(a, o)
		for (b = a->next; b; b = b->next)
			assert_string_not_equal(a->string, b->string);
}

static void dry_record(void **state)
{
	cJSON *o = intent();

	(void)state;
	add_private(o);
	assert_int_equal(record_would(o), 0);
	assert_string_equal(text(o, "action"), "would_kill");
	assert_string_equal(text(o, "timestamp"), "1970-01-01T00:00:01.500Z");
	assert_null(cJSON_GetObjectItem(o, "verified"));
	assert_null(cJSON_GetObjectItem(o, "outcome"));
	check_private_gone(o);
	is_told_once(o);
	cJSON_Delete(o);
}

/* Only what was killed is said to be; by a signal only if there was one. */
static void actions(void **state)
{
	static const struct {
		struct receipt receipt;
		const char *action, *outcome, *seen_by;
		int signal;	/* 0: none is given */
	} cases[] = {
		{ { .outcome = RECEIPT_VERIFIED, .killed = true, .signal = 9 },
		  "killed", "killed and verified", "witness", 9 },
		{ { .outcome = RECEIPT_VERIFIED, .killed = true }, "killed", "killed and verified", "witness", 9 },
		/* Another's was faster with the main process. */
		{ { .outcome = RECEIPT_VERIFIED, .killed = true, .signal = 15 },
		  "killed", "killed and verified", "witness", 15 },
		{ { .outcome = RECEIPT_VERIFIED, .stopped = true }, "killed", "killed and verified", "witness", 0 },
		{ { .outcome = RECEIPT_VERIFIED, .stopped = true, .signal = 15 },
		  "killed", "killed and verified", "witness", 15 },
		{ { .outcome = RECEIPT_UNVERIFIED, .killed = true }, "killed", "killed, not verified", "cgroup", 9 },
		/* Of which of both it died was not seen. */
		{ { .outcome = RECEIPT_UNVERIFIED, .killed = true, .stopped = true },
		  "killed", "killed, not verified", "cgroup", 0 },
		{ { .outcome = RECEIPT_UNVERIFIED, .stopped = true }, "killed", "killed, not verified", "cgroup", 0 },
		{ { .outcome = RECEIPT_UNVERIFIED, .forced = true }, "killed", "killed, not verified", "runtime", 9 },
		{ { .outcome = RECEIPT_UNVERIFIED, .forced = true, .killed = true },
		  "killed", "killed, not verified", "cgroup", 9 },
		{ { .outcome = RECEIPT_GONE }, "gone", "was already gone", "none", 0 },
		{ { .outcome = RECEIPT_GONE, .killed = true }, "gone", "was already gone", "none", 0 },
		{ { .outcome = RECEIPT_GONE, .killed = true, .signal = 11 }, "gone", "was already gone", "none", 11 },
		{ { .outcome = RECEIPT_SURVIVED }, "survived", "survived", "none", 0 },
		{ { .outcome = RECEIPT_SURVIVED, .stopped = true, .withheld = RECEIPT_FROZEN },
		  "survived", "survived", "none", 0 },
		/* Its intent is open, and if it is told all the same, then as what is known to live. */
		{ { .outcome = RECEIPT_DYING, .killed = true }, "survived", "told to die, not dead yet", "none", 0 },
		{ { .outcome = RECEIPT_UNKNOWN, .orphaned = true, .found = RECEIPT_ABSENT },
		  "unknown", "unknown", "none", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		cJSON *o = intent();

		add_private(o);
		assert_int_equal(record_complete(o, &cases[i].receipt, 0), 0);
		assert_string_equal(text(o, "action"), cases[i].action);
		assert_string_equal(text(o, "outcome"), cases[i].outcome);
		assert_string_equal(text(o, "seen_by"), cases[i].seen_by);
		if (cJSON_HasObjectItem(o, "signal") != (cases[i].signal != 0) ||
		    (cases[i].signal && number(o, "signal") != cases[i].signal))
			fail_msg("case %zu: signal %f", i, number(o, "signal"));
		assert_true(cJSON_IsBool(cJSON_GetObjectItem(o, "verified")));
		assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(o, "verified")),
				 cases[i].receipt.outcome == RECEIPT_VERIFIED);
		check_private_gone(o);
		is_told_once(o);
		cJSON_Delete(o);
	}
}

/* What was not seen is not told as 0. */
static void figures(void **state)
{
	static const struct receipt none = { .outcome = RECEIPT_UNVERIFIED, .killed = true };
	static const struct receipt all = {
		.outcome = RECEIPT_VERIFIED, .killed = true, .watched = true, .act_us = 1000, .empty_us = 1000,
		.process_count = 3, .known_dead = 2, .has_memory = true, .memory_before = 7,
	};
	static const char *const keys[] = { "memory_freed", "kill_latency_ms", "processes", "processes_dead" };
	static const double values[] = { 7, 0, 3, 2 };
	cJSON *o = cJSON_CreateObject();
	size_t i;

	(void)state;
	assert_int_equal(record_complete(o, &none, 0), 0);
	for (i = 0; i < COUNT(keys); i++)
		assert_false(cJSON_HasObjectItem(o, keys[i]));
	cJSON_Delete(o);
	o = cJSON_CreateObject();
	assert_int_equal(record_complete(o, &all, 0), 0);
	for (i = 0; i < COUNT(keys); i++)
		assert_true(number(o, keys[i]) == values[i]);
	cJSON_Delete(o);
}

/* The log server takes texts of up to 1024 bytes, also if each byte has to be escaped. */
static void longest_evidence(void **state)
{
	struct receipt r = { .outcome = RECEIPT_UNVERIFIED, .act_us = 1, .killed = true, .watched = true };
	cJSON *o = cJSON_CreateObject();

	(void)state;
	memset(r.reason, '\xff', sizeof(r.reason) - 1);
	assert_int_equal(record_complete(o, &r, 0), 0);
	assert_true(strlen(text(o, "evidence")) <= 1024);
	cJSON_Delete(o);
}

/* One that is started anew at once dies several times between two looks. */
static void deaths(void **state)
{
	struct death first = { .container = { .cgroup.inode = 0xfffffffffffffffe } }, second = first;
	const struct record_origin longest = {
		.host = "h", .boot_id = "b", .instance = "00000000-0000-0000-0000-000000000000",
		.sequence = UINT64_MAX,
	};
	cJSON *a, *b;

	(void)state;
	memset(first.container.id, 'f', 64);
	memset(second.container.id, 'f', 64);
	second.container.cgroup.inode++;
	a = record_death(&longest, &first, 0);
	b = record_death(&longest, &second, 0);
	assert_non_null(a);
	assert_non_null(b);
	assert_string_not_equal(text(a, "event_id"), text(b, "event_id"));
	/* What the log server takes. */
	assert_true(strlen(text(a, "event_id")) <= 128);
	cJSON_Delete(a);
	cJSON_Delete(b);
}

static void memory_record(void **state)
{
	struct model m = { .total_ram_kib = 10, .free_ram_kib = 4, .used_ram_kib = 6, .available_ram_kib = 5 };
	cJSON *o = record_memory(&origin, &m, 0);

	(void)state;
	assert_true(number(o, "total_ram") == 10 && number(o, "free_ram") == 4);
	assert_true(number(o, "used_ram") == 6 && number(o, "available_ram") == 5);
	assert_string_equal(text(o, "event_id"), "i-12-memory");
	assert_string_equal(text(o, "host"), "h");
	cJSON_Delete(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(intent_record),
		cmocka_unit_test(kill_record),
		cmocka_unit_test(dry_record),
		cmocka_unit_test(actions),
		cmocka_unit_test(figures),
		cmocka_unit_test(longest_evidence),
		cmocka_unit_test(deaths),
		cmocka_unit_test(memory_record),
	};

	return RUN(tests);
}
