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

static void kill_record(void **state)
{
	static const struct receipt killed = {
		.found = RECEIPT_FOUND, .killed = true, .act_us = 1000, .empty_us = 2237,
		.reason = "the runtime: \x1b\xff", .outcome = RECEIPT_VERIFIED,
	};
	static const struct decide_policy none = { .keep_high = 0, .keep_low = 0 };
	struct model_container *c;
	struct host h;
	cJSON *o;

	(void)state;
	host_init(&h);
	c = host_add(&h, "0123456789abcdef", 1234, 5);
	c->pid = 42;
	strcpy(c->name, "na\"me");
	c->memory_percent = 0.125;
	host_decide(&h, &none);
	o = record_intent(&origin, &h.plan->decisions[0], 0);
	assert_non_null(o);
	assert_string_equal(text(o, "action"), "intent");
	assert_null(cJSON_GetObjectItem(o, "verified"));
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

	assert_int_equal(record_complete(o, &killed, 1000), 0);
	assert_string_equal(text(o, "action"), "killed");
	assert_string_equal(text(o, "timestamp"), "1970-01-01T00:00:01.000Z");
	assert_string_equal(text(o, "event_id"), "i-12-0123456789abcdef");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "verified")));
	assert_true(number(o, "kill_latency_ms") == 1.24);
	assert_true(number(o, "signal") == 9);
	assert_string_equal(text(o, "outcome"), "killed and verified");
	/* What a runtime says may be any bytes. */
	assert_string_equal(text(o, "evidence"), "cgroup.kill; no witness; populated 0 after 1.2 ms; "
			    "the runtime: \\x1b\\xff");
	assert_null(cJSON_GetObjectItem(o, RECORD_CGROUP));
	assert_null(cJSON_GetObjectItem(o, "processes"));
	cJSON_Delete(o);
	plan_free(h.plan);
}

/* Only what was killed is said to be; by a signal only if there was one. */
static void actions(void **state)
{
	static const struct {
		struct receipt receipt;
		const char *action;
		int signal;	/* 0: none is given */
	} cases[] = {
		{ { .outcome = RECEIPT_VERIFIED, .killed = true }, "killed", 9 },
		{ { .outcome = RECEIPT_UNVERIFIED }, "killed", 9 },
		{ { .outcome = RECEIPT_VERIFIED, .stopped = true }, "killed", 0 },
		{ { .outcome = RECEIPT_VERIFIED, .stopped = true, .signal = 15 }, "killed", 15 },
		{ { .outcome = RECEIPT_GONE }, "gone", 0 },
		{ { .outcome = RECEIPT_SURVIVED }, "survived", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		cJSON *o = cJSON_CreateObject();

		assert_int_equal(record_complete(o, &cases[i].receipt, 0), 0);
		assert_string_equal(text(o, "action"), cases[i].action);
		assert_int_equal(cJSON_HasObjectItem(o, "signal"), cases[i].signal != 0);
		if (cases[i].signal)
			assert_true(number(o, "signal") == cases[i].signal);
		assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(o, "verified")),
				 cases[i].receipt.outcome == RECEIPT_VERIFIED);
		cJSON_Delete(o);
	}
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
		cmocka_unit_test(kill_record),
		cmocka_unit_test(actions),
		cmocka_unit_test(deaths),
		cmocka_unit_test(memory_record),
	};

	return RUN(tests);
}
