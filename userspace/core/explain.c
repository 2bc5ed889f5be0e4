// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/explain.h"

#include <errno.h>
#include <stdio.h>

#include "userspace/core/escape.h"

static bool by_cpu(const struct decision *d)
{
	return d->measure->cpu_centi >= d->cpu_line_centi;
}

static bool by_memory(const struct decision *d)
{
	return d->measure->memory_bytes >= d->memory_line_bytes;
}

/* As measure_step() takes it. */
static bool by_scheduler(const struct decision *d)
{
	return d->books->verdict == RECONCILE_AGREED;
}

const char *explain_source(const struct decision *d)
{
	switch (d->rule) {
	case RULE_SELF:
	case RULE_DYING:
	case RULE_COMES_BACK:
		return "monitor";
	case RULE_LOG_SERVER:
	case RULE_PROTECTED:
	case RULE_UNKNOWN:
	case RULE_NOT_RUNNING:
		return "runtime";
	case RULE_SPARED:
	case RULE_OUT_OF_SCOPE:
	case RULE_LABELS:
	case RULE_YOUNG:
		return "policy";
	case RULE_NEW:
		return "module";
	case RULE_UNREADABLE:
		return "cgroup";
	case RULE_DISPUTED:
		return reconcile_source_name(d->books->odd);
	case RULE_KEPT:
	case RULE_SURPLUS:
		break;
	}
	if (d->classifier == CLASSIFIER_RANK || d->class == CLASS_LOW || by_cpu(d) == by_memory(d))
		return by_scheduler(d) ? "scheduler and cgroup" : "module and cgroup";
	if (!by_cpu(d))
		return "cgroup";
	return by_scheduler(d) ? "scheduler" : "module";
}

/* Why it is of its class. */
static const char *class_why(const struct decision *d)
{
	if (d->classifier == CLASSIFIER_RANK)
		return d->class == CLASS_HIGH ? "of the heavier half" : "of the lighter half";
	if (d->class == CLASS_LOW)
		return "below both lines";
	if (d->held)
		return "was high, and not below the lines by the hysteresis";
	if (by_cpu(d))
		return by_memory(d) ? "by CPU and memory" : "by CPU";
	return "by memory";
}

void explain_why(const struct decision *d, char *buf)
{
	const struct reconcile_books *b = d->books;

	switch (d->rule) {
	case RULE_SPARED:
		snprintf(buf, EXPLAIN_SIZE, "protect = %s:%s", scope_kind_name(d->pattern->kind),
			 d->pattern->glob);
		break;
	case RULE_COMES_BACK:
		snprintf(buf, EXPLAIN_SIZE, "%s: killed %u times within an hour", rule_text(d->rule),
			 d->container->comebacks);
		break;
	case RULE_NEW:
		snprintf(buf, EXPLAIN_SIZE, "%s: %u of its cycles", rule_text(d->rule),
			 d->measure->cycles);
		break;
	case RULE_DISPUTED:
		if (b->verdict == RECONCILE_DISPUTED)
			snprintf(buf, EXPLAIN_SIZE, "disputed, %s is off by %.0f ms (tolerance %.0f ms)",
				 reconcile_source_name(b->odd), (double)b->apart_us / 1e3,
				 (double)b->tolerance_us / 1e3);
		else
			snprintf(buf, EXPLAIN_SIZE, "disputed in %u of its window's %u cycles",
				 d->measure->disputed, d->measure->cycles);
		break;
	case RULE_KEPT:
	case RULE_SURPLUS:
		snprintf(buf, EXPLAIN_SIZE, "%s: %s %s, rank %u of the %u that stay", rule_text(d->rule),
			 class_name(d->class), class_why(d), d->rank, d->quota);
		break;
	default:
		snprintf(buf, EXPLAIN_SIZE, "%s", rule_text(d->rule));
	}
}

int explain_add(cJSON *o, const struct decision *d)
{
	const struct measure *m = d->measure;
	bool lines = d->classifier == CLASSIFIER_THRESHOLD;
	char why[EXPLAIN_SIZE], shown[2 * EXPLAIN_SIZE];

	explain_why(d, why);
	return cJSON_AddNumberToObject(o, "rank", d->rank) &&
	       cJSON_AddNumberToObject(o, "quota", d->quota) &&
	       cJSON_AddNumberToObject(o, "window_cycles", m->cycles) &&
	       cJSON_AddNumberToObject(o, "memory", (double)m->memory_bytes) &&
	       (!lines ||
		(cJSON_AddNumberToObject(o, "cpu_line", d->cpu_line_centi / 100.0) &&
		 cJSON_AddNumberToObject(o, "cpu_distance",
					 ((double)m->cpu_centi - d->cpu_line_centi) / 100) &&
		 cJSON_AddNumberToObject(o, "memory_line", (double)d->memory_line_bytes) &&
		 cJSON_AddNumberToObject(o, "memory_distance",
					 (double)m->memory_bytes - (double)d->memory_line_bytes))) &&
	       cJSON_AddStringToObject(o, "source", explain_source(d)) &&
	       cJSON_AddStringToObject(o, "why", escape(why, shown, sizeof(shown))) ? 0 : -ENOMEM;
}
