// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/classify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *class_name(enum class class)
{
	switch (class) {
	case CLASS_HIGH:
		return "high";
	case CLASS_LOW:
		return "low";
	case CLASS_UNKNOWN:
		break;
	}
	return "unknown";
}

int classify_heavier(const void *a, const void *b)
{
	const struct classify_item *p = a, *q = b;

	if (p->measure->cpu_centi != q->measure->cpu_centi)
		return p->measure->cpu_centi > q->measure->cpu_centi ? -1 : 1;
	if (p->measure->memory_bytes != q->measure->memory_bytes)
		return p->measure->memory_bytes > q->measure->memory_bytes ? -1 : 1;
	if (p->container->start_us != q->container->start_us)
		return p->container->start_us < q->container->start_us ? -1 : 1;
	return strcmp(p->container->id, q->container->id);
}

static bool can_judge(const struct measure *m)
{
	return m->whole && m->has_memory;
}

uint32_t classify_cpu_line(const struct classify_policy *policy, const struct measure *m)
{
	uint64_t slack = (uint64_t)policy->cpu_centi * policy->hysteresis_permille / 1000;

	return m->was_high ? policy->cpu_centi - (uint32_t)slack : policy->cpu_centi;
}

uint64_t classify_memory_line(const struct classify_policy *policy, const struct measure *m)
{
	/* At most 2^50, by the configuration's bound: it fits. */
	uint64_t slack = policy->memory_bytes * policy->hysteresis_permille / 1000;

	return m->was_high ? policy->memory_bytes - slack : policy->memory_bytes;
}

static int by_rank(const struct model *m, const struct measure *measures, enum class *ret)
{
	struct classify_item *order;
	size_t i, n = 0;

	order = calloc(m->container_count + 1, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (i = 0; i < m->container_count; i++)
		if (can_judge(&measures[i]))
			order[n++] = (struct classify_item){ &m->containers[i], &measures[i] };
	qsort(order, n, sizeof(*order), classify_heavier);
	for (i = 0; i < n; i++)
		ret[order[i].measure - measures] = i < n / 2 ? CLASS_HIGH : CLASS_LOW;
	free(order);
	return 0;
}

int classify(const struct model *m, const struct measure *measures,
	     const struct classify_policy *policy, enum class *ret)
{
	size_t i;

	for (i = 0; i < m->container_count; i++) {
		const struct measure *c = &measures[i];

		if (!can_judge(c))
			ret[i] = CLASS_UNKNOWN;
		else if (c->cpu_centi >= classify_cpu_line(policy, c) ||
			 c->memory_bytes >= classify_memory_line(policy, c))
			ret[i] = CLASS_HIGH;
		else
			ret[i] = CLASS_LOW;
	}
	return policy->classifier == CLASSIFIER_RANK ? by_rank(m, measures, ret) : 0;
}
