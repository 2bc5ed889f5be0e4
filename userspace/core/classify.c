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
	const struct model_container *p = *(const struct model_container *const *)a;
	const struct model_container *q = *(const struct model_container *const *)b;

	if (p->cpu_centi != q->cpu_centi)
		return p->cpu_centi > q->cpu_centi ? -1 : 1;
	if (p->cgroup.memory_bytes != q->cgroup.memory_bytes)
		return p->cgroup.memory_bytes > q->cgroup.memory_bytes ? -1 : 1;
	if (p->start_us != q->start_us)
		return p->start_us < q->start_us ? -1 : 1;
	return strcmp(p->id, q->id);
}

static bool can_judge(const struct model_container *c)
{
	return c->has_window && c->cgroup.has_memory;
}

static int by_rank(const struct model *m, enum class *ret)
{
	const struct model_container **order;
	size_t i, n = 0;

	order = calloc(m->container_count + 1, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (i = 0; i < m->container_count; i++)
		if (can_judge(&m->containers[i]))
			order[n++] = &m->containers[i];
	qsort(order, n, sizeof(*order), classify_heavier);
	for (i = 0; i < n; i++)
		ret[order[i] - m->containers] = i < n / 2 ? CLASS_HIGH : CLASS_LOW;
	free(order);
	return 0;
}

int classify(const struct model *m, const struct classify_policy *policy, enum class *ret)
{
	size_t i;

	for (i = 0; i < m->container_count; i++) {
		const struct model_container *c = &m->containers[i];

		if (!can_judge(c))
			ret[i] = CLASS_UNKNOWN;
		else if (c->cpu_centi >= policy->cpu_centi ||
			 c->cgroup.memory_bytes >= policy->memory_bytes)
			ret[i] = CLASS_HIGH;
		else
			ret[i] = CLASS_LOW;
	}
	return policy->classifier == CLASSIFIER_RANK ? by_rank(m, ret) : 0;
}
