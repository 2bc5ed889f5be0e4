// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/host.h"
#include "userspace/core/explain.h"

static const struct scope_pattern pattern = { SCOPE_NAME, "db-\xff*" };

static struct model_container container = { .id = "c", .comebacks = 4 };

/* One at 12.34 % and 50 MiB, of lines at 10 % and 100 MiB. */
static struct decision make(enum rule rule, struct measure *m, struct reconcile_books *b)
{
	*m = (struct measure){ .cycles = 2, .whole = true, .has_memory = true, .cpu_centi = 1234,
			       .memory_bytes = 50 << 20 };
	*b = (struct reconcile_books){ .odd = RECONCILE_SCHEDULER, .apart_us = 123456,
				       .tolerance_us = 20000 };
	return (struct decision){ .container = &container, .measure = m, .books = b, .pattern = &pattern,
				  .class = CLASS_HIGH, .rule = rule, .rank = 3, .quota = 2,
				  .cpu_line_centi = 1000, .memory_line_bytes = 100 << 20 };
}

static void rules(void **state)
{
	static const struct {
		enum rule rule;
		const char *source, *why;
	} cases[] = {
		{ RULE_SELF, "monitor", "the monitor runs in it" },
		{ RULE_LOG_SERVER, "runtime", "the log server" },
		{ RULE_PROTECTED, "runtime", "label sysinfo.protect=true" },
		{ RULE_DYING, "monitor", "its kill is not over yet" },
		{ RULE_UNKNOWN, "runtime", "not known to the runtime" },
		{ RULE_NOT_RUNNING, "runtime", "paused, restarting or being removed" },
		{ RULE_SPARED, "policy", "protect = name:db-\xff*" },
		{ RULE_OUT_OF_SCOPE, "policy", "not governed by the policy" },
		{ RULE_LABELS, "policy", "its labels, name or image, which the policy asks for, are not known whole" },
		{ RULE_COMES_BACK, "monitor", "comes back however often it is killed; end what starts it, "
					      "or protect it: killed 4 times within an hour" },
		{ RULE_NEW, "module", "new: not seen for a whole window: 2 of its cycles" },
		{ RULE_YOUNG, "policy", "below the minimum age" },
		{ RULE_UNREADABLE, "cgroup", "memory.current is not readable" },
		{ RULE_DISPUTED, "scheduler", "disputed in 0 of its window's 2 cycles" },
		{ RULE_KEPT, "module", "within the quota: high by CPU, rank 3 of the 2 that stay" },
		{ RULE_SURPLUS, "module", "surplus: high by CPU, rank 3 of the 2 that stay" },
	};
	char why[EXPLAIN_SIZE];
	struct reconcile_books b;
	struct measure m;
	size_t i;

	(void)state;
	assert_int_equal(COUNT(cases), RULE_SURPLUS + 1);
	for (i = 0; i < COUNT(cases); i++) {
		struct decision d = make(cases[i].rule, &m, &b);

		assert_string_equal(explain_source(&d), cases[i].source);
		explain_why(&d, why);
		assert_string_equal(why, cases[i].why);
	}
}

static void disputes(void **state)
{
	struct reconcile_books b;
	struct measure m;
	struct decision d = make(RULE_DISPUTED, &m, &b);
	char why[EXPLAIN_SIZE];

	(void)state;
	b.verdict = RECONCILE_DISPUTED;
	explain_why(&d, why);
	assert_string_equal(why, "disputed, scheduler is off by 123 ms (tolerance 20 ms)");
	b.verdict = RECONCILE_AGREED;
	m.disputed = 1;
	explain_why(&d, why);
	assert_string_equal(why, "disputed in 1 of its window's 2 cycles");
}

static void classes(void **state)
{
	static const struct {
		enum classifier classifier;
		enum class class;
		uint32_t cpu_centi;
		uint64_t memory_mib;
		bool held;
		const char *source, *why;
	} cases[] = {
		{ CLASSIFIER_THRESHOLD, CLASS_HIGH, 1000, 99, false, "module", "high by CPU" },
		{ CLASSIFIER_THRESHOLD, CLASS_HIGH, 999, 100, false, "cgroup", "high by memory" },
		{ CLASSIFIER_THRESHOLD, CLASS_HIGH, 1000, 100, false, "module and cgroup",
		  "high by CPU and memory" },
		{ CLASSIFIER_THRESHOLD, CLASS_LOW, 999, 99, false, "module and cgroup",
		  "low below both lines" },
		{ CLASSIFIER_THRESHOLD, CLASS_HIGH, 1000, 99, true, "module",
		  "high was high, and not below the lines by the hysteresis" },
		{ CLASSIFIER_RANK, CLASS_HIGH, 0, 0, false, "module and cgroup", "high of the heavier half" },
		{ CLASSIFIER_RANK, CLASS_LOW, 9000, 900, false, "module and cgroup",
		  "low of the lighter half" },
	};
	struct reconcile_books b;
	struct measure m;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct decision d = make(RULE_KEPT, &m, &b);
		char why[EXPLAIN_SIZE], wanted[EXPLAIN_SIZE];

		d.classifier = cases[i].classifier;
		d.class = cases[i].class;
		d.held = cases[i].held;
		m.cpu_centi = cases[i].cpu_centi;
		m.memory_bytes = cases[i].memory_mib << 20;
		snprintf(wanted, sizeof(wanted), "within the quota: %s, rank 3 of the 2 that stay", cases[i].why);
		explain_why(&d, why);
		assert_string_equal(why, wanted);
		assert_string_equal(explain_source(&d), cases[i].source);
		/* With the witness it is the scheduler's word, where all agree on it. */
		b.verdict = RECONCILE_AGREED;
		assert_string_equal(explain_source(&d), !strcmp(cases[i].source, "module") ? "scheduler" :
							!strcmp(cases[i].source, "cgroup") ? "cgroup" :
											     "scheduler and cgroup");
	}
}

static double number(const cJSON *o, const char *key)
{
	return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static void as_json(void **state)
{
	struct reconcile_books b;
	struct measure m;
	struct decision d = make(RULE_SPARED, &m, &b);
	cJSON *o = cJSON_CreateObject();

	(void)state;
	assert_int_equal(explain_add(o, &d), 0);
	assert_true(number(o, "rank") == 3 && number(o, "quota") == 2 && number(o, "window_cycles") == 2);
	assert_true(number(o, "memory") == 50 << 20 && number(o, "memory_line") == 100 << 20);
	assert_true(number(o, "cpu_line") == 10 && number(o, "memory_distance") == -(50 << 20));
	assert_true(number(o, "cpu_distance") > 2.339 && number(o, "cpu_distance") < 2.341);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "source")), "policy");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "why")), "protect = name:db-\\xff*");
	cJSON_Delete(o);
	d.classifier = CLASSIFIER_RANK;
	o = cJSON_CreateObject();
	assert_int_equal(explain_add(o, &d), 0);
	assert_null(cJSON_GetObjectItem(o, "cpu_line"));
	assert_null(cJSON_GetObjectItem(o, "memory_distance"));
	cJSON_Delete(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(disputes),
		cmocka_unit_test(classes),
		cmocka_unit_test(as_json),
	};

	return RUN(tests);
}
