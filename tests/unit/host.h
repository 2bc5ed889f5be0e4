/* SPDX-License-Identifier: GPL-2.0 */
/* A made-up host for tests of core/: containers that are what a test says. */
#ifndef TESTS_UNIT_HOST_H
#define TESTS_UNIT_HOST_H

#include "tests/unit/unit.h"
#include "userspace/core/decide.h"

#define HOST_MAX 32

struct host {
	struct model model;
	struct model_container containers[HOST_MAX];
	struct measure measures[HOST_MAX];
	struct reconcile_books books[HOST_MAX];
	enum class classes[HOST_MAX];
	struct plan *plan;
};

static const struct classify_policy host_lines = {
	.cpu_centi = 1000, .memory_bytes = 100ULL << 20,
};
static const struct decide_policy host_quotas = { .keep_high = 2, .keep_low = 3 };

static inline void host_init(struct host *h)
{
	memset(h, 0, sizeof(*h));
	strcpy(h->model.instance, "instance");
	h->model.sequence = 7;
	h->model.boot_time_us = 1000000000;
	h->model.window_us = 10000000;
	h->model.containers = h->containers;
}

/* Well known, running, measured: nothing speaks for keeping it. */
static inline struct model_container *host_add(struct host *h, const char *id, uint32_t cpu_centi,
					       uint64_t memory_mib)
{
	struct measure *measure = &h->measures[h->model.container_count];
	struct model_container *c = &h->containers[h->model.container_count++];

	snprintf(c->id, sizeof(c->id), "%s", id);
	c->start_us = 1000 * h->model.container_count;
	c->has_window = true;
	*measure = (struct measure){ .cycles = 1, .whole = true, .has_memory = true,
				     .cpu_centi = cpu_centi, .memory_bytes = memory_mib << 20 };
	c->cgroup.known = c->cgroup.has_memory = c->cgroup.has_cpu = true;
	c->cgroup.memory_bytes = memory_mib << 20;
	c->runtime.known = c->runtime.running = true;
	return c;
}

static inline struct measure *host_measure(struct host *h, const struct model_container *c)
{
	return &h->measures[c - h->containers];
}

static inline const struct plan *host_decide(struct host *h, const struct decide_policy *quotas)
{
	assert_int_equal(classify(&h->model, h->measures, &host_lines, h->classes), 0);
	assert_int_equal(decide(&h->model, h->measures, h->classes, h->books, quotas, &h->plan), 0);
	return h->plan;
}

static inline const struct decision *host_decision(const struct host *h, const char *id)
{
	size_t i;

	for (i = 0; i < h->plan->count; i++)
		if (!strcmp(h->plan->decisions[i].container->id, id))
			return &h->plan->decisions[i];
	fail_msg("no decision on %s", id);
	return NULL;
}

#endif
