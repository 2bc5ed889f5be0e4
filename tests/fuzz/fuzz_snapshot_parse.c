// SPDX-License-Identifier: GPL-2.0
/*
 * A document becomes a model, the model a plan, and the plan what is kept on disk. Two
 * looks at the same document, with the first one's clock set back, make the window.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/core/escape.h"
#include "userspace/core/judge.h"
#include "userspace/core/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)           \
	do {                       \
		if (!(condition))  \
			abort();   \
	} while (0)

static void check_model(const struct model *m)
{
	size_t i, processes = 0;

	for (i = 0; i < m->container_count; i++) {
		const struct model_container *c = &m->containers[i];

		CHECK(*c->id && c->process_count);
		CHECK(!i || strcmp(m->containers[i - 1].id, c->id) < 0);
		CHECK(model_find(m, c->id) == c);
		processes += c->process_count;
	}
	CHECK(processes == m->process_count);
	for (i = 0; i < m->process_count; i++) {
		CHECK(m->processes[i].container < m->container_count);
		CHECK(model_find_process(m, m->processes[i].pid, m->processes[i].start_us));
	}
}

/* What the readers of the world would fill in, so that every rule has its turn. */
static void fill_in(struct model *m)
{
	size_t i;

	for (i = 0; i < m->container_count; i++) {
		struct model_container *c = &m->containers[i];
		unsigned int what = (unsigned char)c->id[strlen(c->id) - 1];

		c->cgroup = (struct model_cgroup){
			.known = what & 1, .has_memory = true, .has_cpu = true, .inode = i + 1,
			.memory_bytes = c->rss_kib,
		};
		c->runtime.known = c->runtime.running = true;
		c->runtime.is_protected = !(what & 14);
	}
}

static void check_plan(const struct model *m, const struct plan *plan,
		       const struct decide_policy *policy)
{
	const struct record_origin from = {
		.host = "h", .boot_id = "b", .instance = plan->generation.instance, .sequence = plan->generation.sequence,
	};
	size_t i, kills = 0, kept = 0;

	CHECK(plan->count == m->container_count);
	for (i = 0; i < plan->count; i++) {
		const struct decision *d = &plan->decisions[i];
		const struct model_container *c = d->container;
		char shown[4 * MODEL_ID_SIZE + 1];
		const char *at;
		cJSON *intent;

		kept += d->rule == RULE_KEPT;
		for (at = escape(c->name, shown, sizeof(shown)); *at; at++)
			CHECK(*at >= 0x20 && *at < 0x7f);
		if (d->rule != RULE_SURPLUS)
			continue;
		kills++;
		CHECK(c->has_window && c->cgroup.known && c->cgroup.has_memory && !c->self);
		CHECK(c->runtime.known && c->runtime.running && !c->runtime.is_protected);
		intent = record_intent(&from, d, &(struct record_times){ 0 });
		CHECK(intent);
		cJSON_Delete(intent);
	}
	CHECK(kills == plan->kills && kept <= policy->keep_high + policy->keep_low);
}

static void judge(struct model *m, struct model *last)
{
	const struct judge_sight now = { .model = m }, before = { .model = last };
	struct judge_policy policy = {
		.classify = { .cpu_centi = 1000, .memory_bytes = 100 },
		.decide = { .keep_high = 1, .keep_low = 1 },
		.reconcile = { 50, 20000 },
		.brake = { 1000, 1000, 1000 },
	};
	int classifier;

	for (classifier = CLASSIFIER_THRESHOLD; classifier <= CLASSIFIER_RANK; classifier++) {
		struct judgement g;
		struct judge j = { 0 };

		policy.classify.classifier = (enum classifier)classifier;
		CHECK(!judge_step(&j, &policy, &now, &before, &g));
		if (g.plan)
			check_plan(m, g.plan, &policy.decide);
		judgement_free(&g);
		judge_forget(&j);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[SNAPSHOT_REASON_SIZE] = "";
	struct model *m, *last;
	struct snapshot *s;
	size_t i;

	if (snapshot_parse((const char *)data, size, &s, reason)) {
		CHECK(*reason);
		return 0;
	}
	CHECK(!model_new(s, &m) && !model_new(s, &last));
	snapshot_free(s);
	check_model(m);
	fill_in(m);
	fill_in(last);
	m->sequence++;
	m->boot_time_us++;
	last->boot_time_us /= 2;
	for (i = 0; i < last->process_count; i++)
		last->processes[i].cpu_us /= 2;
	judge(m, last);
	model_free(last);
	model_free(m);
	return 0;
}
