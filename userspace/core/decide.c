// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/decide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rule_text(enum rule rule)
{
	switch (rule) {
	case RULE_SELF:
		return "the monitor runs in it";
	case RULE_LOG_SERVER:
		return "the log server";
	case RULE_PROTECTED:
		return "label sysinfo.protect=true";
	case RULE_DYING:
		return "its kill is not over yet";
	case RULE_UNKNOWN:
		return "not known to the runtime";
	case RULE_NOT_RUNNING:
		return "paused, restarting or being removed";
	case RULE_SPARED:
		return "protected by the policy";
	case RULE_OUT_OF_SCOPE:
		return "not governed by the policy";
	case RULE_LABELS:
		return "its labels, name or image, which the policy asks for, are not known whole";
	case RULE_COMES_BACK:
		return "comes back however often it is killed; end what starts it, or protect it";
	case RULE_NEW:
		return "new: not seen for a whole window";
	case RULE_YOUNG:
		return "below the minimum age";
	case RULE_UNREADABLE:
		return "memory.current is not readable";
	case RULE_DISPUTED:
		return "disputed: the sources disagree";
	case RULE_KEPT:
		return "within the quota";
	case RULE_SURPLUS:
		return "surplus";
	}
	return "";
}

static bool is_young(const struct model *m, const struct model_container *c, uint64_t min_age_us)
{
	return c->start_us > m->boot_time_us || m->boot_time_us - c->start_us < min_age_us;
}

/* The rule that speaks for keeping it, whatever its class; else RULE_KEPT. */
static enum rule keeping_rule(const struct model *m, struct decision *d,
			      const struct decide_policy *policy)
{
	const struct model_container *c = d->container;
	enum scope_answer spared, governed;

	if (c->self)
		return RULE_SELF;
	if (c->runtime.log_server)
		return RULE_LOG_SERVER;
	if (c->runtime.is_protected)
		return RULE_PROTECTED;
	if (c->dying)
		return RULE_DYING;
	if (!c->runtime.known)
		return RULE_UNKNOWN;
	if (!c->runtime.running || c->cgroup.frozen)
		return RULE_NOT_RUNNING;
	spared = scope_find(&policy->protect, c, &d->pattern);
	if (spared == SCOPE_YES)
		return RULE_SPARED;
	governed = policy->scope.count ? scope_find(&policy->scope, c, NULL) : SCOPE_YES;
	if (governed == SCOPE_NO)
		return RULE_OUT_OF_SCOPE;
	if (spared == SCOPE_UNSURE || governed == SCOPE_UNSURE)
		return RULE_LABELS;
	if (policy->give_up && c->comebacks >= policy->give_up)
		return RULE_COMES_BACK;
	if (!d->measure->whole)
		return RULE_NEW;
	if (is_young(m, c, policy->min_age_us))
		return RULE_YOUNG;
	if (!d->measure->has_memory)
		return RULE_UNREADABLE;
	if (d->measure->disputed)
		return RULE_DISPUTED;
	return RULE_KEPT;
}

/* By class, high first; then by weight: of the high the heaviest, of the low the lightest first. */
static int by_class_and_rank(const void *a, const void *b)
{
	const struct decision *p = a, *q = b;
	const struct classify_item i = { p->container, p->measure }, j = { q->container, q->measure };

	if (p->class != q->class)
		return p->class > q->class ? -1 : 1;
	if (p->class == CLASS_HIGH)
		return classify_heavier(&i, &j);
	/* As heavy: the older stays first in either class. */
	if (p->measure->cpu_centi == q->measure->cpu_centi &&
	    p->measure->memory_bytes == q->measure->memory_bytes)
		return classify_heavier(&i, &j);
	return classify_heavier(&j, &i);
}

int decide(const struct model *m, const struct measure *measures, const enum class *classes,
	   const struct reconcile_books *books, const struct decide_policy *policy,
	   struct plan **ret)
{
	uint32_t ranked[CLASS_HIGH + 1] = { 0 };
	struct plan *plan;
	size_t i;

	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	plan->decisions = calloc(m->container_count + 1, sizeof(*plan->decisions));
	if (!plan->decisions) {
		free(plan);
		return -ENOMEM;
	}
	plan->generation = (struct generation){
		.sequence = m->sequence,
		.boot_time_us = m->boot_time_us,
	};
	memcpy(plan->generation.boot_id, m->boot_id, sizeof(m->boot_id));
	memcpy(plan->generation.instance, m->instance, sizeof(m->instance));
	plan->count = m->container_count;
	for (i = 0; i < m->container_count; i++)
		plan->decisions[i] = (struct decision){
			.container = &m->containers[i],
			.books = &books[i],
			.measure = &measures[i],
			.class = classes[i],
		};
	qsort(plan->decisions, plan->count, sizeof(*plan->decisions), by_class_and_rank);

	for (i = 0; i < plan->count; i++) {
		struct decision *d = &plan->decisions[i];

		d->quota = d->class == CLASS_HIGH ? policy->keep_high : policy->keep_low;
		d->rule = keeping_rule(m, d, policy);
		if (d->rule != RULE_KEPT)
			continue;
		d->rank = ++ranked[d->class];
		if (d->rank > d->quota) {
			d->rule = RULE_SURPLUS;
			plan->kills++;
		}
	}
	*ret = plan;
	return 0;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->decisions);
	free(p);
}
