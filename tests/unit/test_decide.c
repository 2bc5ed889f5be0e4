// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/host.h"

static void quotas(void **state)
{
	static const char *const stay[] = { "h4", "h3", "l1", "l2", "l3" };
	static const char *const go[] = { "h1", "h2", "l4", "l5" };
	struct host h;
	size_t i;

	(void)state;
	host_init(&h);
	host_add(&h, "h1", 1100, 1);
	host_add(&h, "l5", 900, 1);
	host_add(&h, "h2", 0, 200);	/* by memory alone; the order is by CPU first */
	host_add(&h, "l4", 500, 1);
	host_add(&h, "h3", 3000, 1);
	host_add(&h, "l2", 100, 1);
	host_add(&h, "h4", 9000, 1);
	host_add(&h, "l3", 100, 2);
	host_add(&h, "l1", 0, 50);
	host_decide(&h, &host_quotas);
	assert_int_equal(h.plan->kills, COUNT(go));
	for (i = 0; i < COUNT(stay); i++)
		assert_int_equal(host_decision(&h, stay[i])->rule, RULE_KEPT);
	for (i = 0; i < COUNT(go); i++)
		assert_int_equal(host_decision(&h, go[i])->rule, RULE_SURPLUS);
	assert_int_equal(h.plan->generation.sequence, 7);
	assert_string_equal(h.plan->generation.instance, "instance");
	plan_free(h.plan);
}

/* Whatever speaks for keeping one does so before any quota, and fills none. */
static void kept(void **state)
{
	static const struct decide_policy none = { .keep_high = 0, .keep_low = 0, .give_up = 3 };
	struct host h;

	(void)state;
	host_init(&h);
	host_add(&h, "self", 9000, 900)->self = true;
	host_add(&h, "server", 9000, 900)->runtime.log_server = true;
	host_add(&h, "protected", 9000, 900)->runtime.is_protected = true;
	host_add(&h, "stranger", 9000, 900)->runtime.known = false;
	host_add(&h, "paused", 9000, 900)->runtime.running = false;
	host_measure(&h, host_add(&h, "new", 9000, 900))->whole = false;
	host_measure(&h, host_add(&h, "unreadable", 9000, 900))->has_memory = false;
	host_measure(&h, host_add(&h, "disputed", 9000, 900))->disputed = 1;
	host_add(&h, "agreed", 9000, 900);
	host_add(&h, "dying", 9000, 900)->dying = true;
	host_add(&h, "back", 9000, 900)->comebacks = 3;
	host_add(&h, "twice", 9000, 900)->comebacks = 2;
	h.books[8].verdict = RECONCILE_AGREED;
	host_add(&h, "unwitnessed", 0, 0);
	host_add(&h, "frozen", 9000, 900)->cgroup.frozen = true;
	host_decide(&h, &none);
	assert_int_equal(host_decision(&h, "self")->rule, RULE_SELF);
	assert_int_equal(host_decision(&h, "server")->rule, RULE_LOG_SERVER);
	assert_int_equal(host_decision(&h, "protected")->rule, RULE_PROTECTED);
	assert_int_equal(host_decision(&h, "stranger")->rule, RULE_UNKNOWN);
	assert_int_equal(host_decision(&h, "paused")->rule, RULE_NOT_RUNNING);
	assert_int_equal(host_decision(&h, "frozen")->rule, RULE_NOT_RUNNING);
	assert_int_equal(host_decision(&h, "new")->rule, RULE_NEW);
	assert_int_equal(host_decision(&h, "unreadable")->rule, RULE_UNREADABLE);
	assert_int_equal(host_decision(&h, "disputed")->rule, RULE_DISPUTED);
	assert_int_equal(host_decision(&h, "dying")->rule, RULE_DYING);
	assert_int_equal(host_decision(&h, "back")->rule, RULE_COMES_BACK);
	assert_int_equal(host_decision(&h, "twice")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "agreed")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "unwitnessed")->rule, RULE_SURPLUS);
	assert_int_equal(h.plan->kills, 3);
	plan_free(h.plan);
}

/*
 * Frozen by whomever, whatever the runtime says of it: it can't use CPU, so what it used is no
 * ground to judge it by, and it has no place in a quota.  What comes before keeps its say.
 */
static void frozen(void **state)
{
	static const struct decide_policy one = { .keep_high = 1, .keep_low = 1 };
	struct model_container *c;
	struct host h;

	(void)state;
	host_init(&h);
	host_add(&h, "heaviest", 9000, 900)->cgroup.frozen = true;
	host_add(&h, "heavy", 8000, 900);
	host_add(&h, "third", 7000, 900);
	host_add(&h, "lightest", 0, 0)->cgroup.frozen = true;
	host_add(&h, "light", 1, 1);
	c = host_add(&h, "paused", 9000, 900);
	c->cgroup.frozen = true;
	c->runtime.running = false;
	c = host_add(&h, "protected", 9000, 900);
	c->cgroup.frozen = c->runtime.is_protected = true;
	c = host_add(&h, "stranger", 9000, 900);
	c->cgroup.frozen = true;
	c->runtime.known = false;
	c = host_add(&h, "new", 9000, 900);
	c->cgroup.frozen = true;
	host_measure(&h, c)->whole = false;
	host_decide(&h, &one);
	assert_int_equal(host_decision(&h, "heaviest")->rule, RULE_NOT_RUNNING);
	assert_int_equal(host_decision(&h, "heaviest")->rank, 0);
	assert_int_equal(host_decision(&h, "heavy")->rule, RULE_KEPT);
	assert_int_equal(host_decision(&h, "third")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "lightest")->rule, RULE_NOT_RUNNING);
	assert_int_equal(host_decision(&h, "light")->rule, RULE_KEPT);
	assert_int_equal(host_decision(&h, "paused")->rule, RULE_NOT_RUNNING);
	assert_int_equal(host_decision(&h, "protected")->rule, RULE_PROTECTED);
	assert_int_equal(host_decision(&h, "stranger")->rule, RULE_UNKNOWN);
	assert_int_equal(host_decision(&h, "new")->rule, RULE_NOT_RUNNING);
	assert_int_equal(h.plan->kills, 1);
	plan_free(h.plan);
}

/* Who is spared, who is governed, and who is too young, by the policy. */
static void governed(void **state)
{
	struct decide_policy policy = { .min_age_us = 1000 };
	struct host h;

	(void)state;
	assert_int_equal(scope_add(&policy.scope, "name:web-*"), 0);
	assert_int_equal(scope_add(&policy.scope, "label:team=web"), 0);
	assert_int_equal(scope_add(&policy.protect, "name:*-db"), 0);
	host_init(&h);
	strcpy(host_add(&h, "in", 9000, 900)->runtime.name, "web-1");
	strcpy(host_add(&h, "out", 9000, 900)->runtime.name, "other");
	strcpy(host_add(&h, "spared", 9000, 900)->runtime.name, "web-db");
	strcpy(host_add(&h, "young", 9000, 900)->runtime.name, "web-2");
	h.containers[3].start_us = h.model.boot_time_us - 999;
	strcpy(host_add(&h, "old enough", 9000, 900)->runtime.name, "web-3");
	h.containers[4].start_us = h.model.boot_time_us - 1000;
	strcpy(host_add(&h, "from the future", 9000, 900)->runtime.name, "web-4");
	h.containers[5].start_us = h.model.boot_time_us + 1;
	host_add(&h, "unsure", 9000, 900)->runtime.labels_cut = true;
	strcpy(h.containers[6].runtime.name, "other");
	host_decide(&h, &policy);
	assert_int_equal(host_decision(&h, "in")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "out")->rule, RULE_OUT_OF_SCOPE);
	assert_int_equal(host_decision(&h, "spared")->rule, RULE_SPARED);
	assert_ptr_equal(host_decision(&h, "spared")->pattern, &policy.protect.patterns[0]);
	assert_int_equal(host_decision(&h, "young")->rule, RULE_YOUNG);
	assert_int_equal(host_decision(&h, "old enough")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "from the future")->rule, RULE_YOUNG);
	assert_int_equal(host_decision(&h, "unsure")->rule, RULE_LABELS);
	plan_free(h.plan);

	/* Everyone is governed, but a label that may protect can't be read. */
	policy.scope.count = 0;
	assert_int_equal(scope_add(&policy.protect, "label:a=*"), 0);
	host_decide(&h, &policy);
	assert_int_equal(host_decision(&h, "out")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "unsure")->rule, RULE_LABELS);
	plan_free(h.plan);
}

/* As heavy as each other: the older stays, then the lesser id. */
static void ties(void **state)
{
	static const struct decide_policy one = { .keep_high = 1, .keep_low = 1 };
	struct host h;

	(void)state;
	host_init(&h);
	host_add(&h, "h-young", 5000, 1)->start_us = 90;
	host_add(&h, "h-old", 5000, 1)->start_us = 80;
	host_add(&h, "l-b", 0, 1)->start_us = 50;
	host_add(&h, "l-a", 0, 1)->start_us = 50;
	host_add(&h, "l-young", 0, 1)->start_us = 60;
	host_decide(&h, &one);
	assert_int_equal(host_decision(&h, "h-old")->rule, RULE_KEPT);
	assert_int_equal(host_decision(&h, "h-young")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "l-a")->rule, RULE_KEPT);
	assert_int_equal(host_decision(&h, "l-b")->rule, RULE_SURPLUS);
	assert_int_equal(host_decision(&h, "l-young")->rule, RULE_SURPLUS);
	plan_free(h.plan);
}

static void nobody(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	host_decide(&h, &host_quotas);
	assert_int_equal(h.plan->count, 0);
	assert_int_equal(h.plan->kills, 0);
	plan_free(h.plan);
	plan_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotas),
		cmocka_unit_test(kept),
		cmocka_unit_test(frozen),
		cmocka_unit_test(governed),
		cmocka_unit_test(ties),
		cmocka_unit_test(nobody),
	};

	return RUN(tests);
}
