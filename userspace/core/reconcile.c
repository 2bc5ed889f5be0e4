// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/reconcile.h"

#include <stdlib.h>
#include <string.h>

const char *reconcile_verdict_name(enum reconcile_verdict verdict)
{
	switch (verdict) {
	case RECONCILE_AGREED:
		return "agreed";
	case RECONCILE_DISPUTED:
		return "disputed";
	case RECONCILE_NONE:
		break;
	}
	return "none";
}

const char *reconcile_source_name(enum reconcile_source source)
{
	switch (source) {
	case RECONCILE_SCHEDULER:
		return "scheduler";
	case RECONCILE_CGROUP:
		return "cgroup";
	case RECONCILE_MODULE:
		break;
	}
	return "module";
}

static const struct reconcile_sum *find_sum(const struct reconcile_witness *w, uint64_t id)
{
	size_t i;

	for (i = 0; i < w->sum_count; i++)
		if (w->sums[i].container_cgroup_id == id)
			return &w->sums[i];
	return NULL;
}

/*
 * What a process that died in the window used in it: all, less what the last snapshot
 * had counted, and less what this one counts itself (it died after being collected, or
 * is a zombie still).
 */
static void add_exit(struct reconcile_books *b, const struct reconcile_exit *ev,
		     const struct model *m, const struct model *last)
{
	const struct model_process *p = model_find_process(m, ev->pid, ev->start_us);

	b->exits++;
	if (!p)
		p = model_find_process(last, ev->pid, ev->start_us);
	if (!p) {
		b->exited_us += ev->cpu_us;
		b->joined_us += ev->cpu_us;
	} else if (ev->cpu_us > p->cpu_us) {
		b->exited_us += ev->cpu_us - p->cpu_us;
	}
}

/* How far @us is from what the module and the exits explain. */
static uint64_t unexplained(const struct reconcile_books *b, uint64_t us)
{
	uint64_t most = b->module_us + b->exited_us, least = most - b->joined_us;

	if (us < least)
		return least - us;
	return us > most ? us - most : 0;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void judge(struct reconcile_books *b, bool has_cgroup, uint64_t skew_us,
		  const struct reconcile_policy *policy)
{
	uint64_t explained = b->module_us + b->exited_us;
	uint64_t largest = explained > b->scheduler_us ? explained : b->scheduler_us;
	uint64_t ms = unexplained(b, b->scheduler_us);
	uint64_t mc = 0, sc = 0;

	b->apart_us = ms;
	b->odd = RECONCILE_MODULE;
	if (has_cgroup) {
		mc = unexplained(b, b->cgroup_us);
		sc = apart(b->scheduler_us, b->cgroup_us);
		if (b->cgroup_us > largest)
			largest = b->cgroup_us;
		if (mc > b->apart_us)
			b->apart_us = mc;
		if (sc > b->apart_us)
			b->apart_us = sc;
		/* The pair that is nearest to each other leaves the odd one out. */
		if (ms <= mc && ms <= sc)
			b->odd = RECONCILE_CGROUP;
		else if (mc <= ms && mc <= sc)
			b->odd = RECONCILE_SCHEDULER;
	}
	b->tolerance_us = policy->tolerance_us + largest * policy->tolerance_permille / 1000 + skew_us;
	b->verdict = b->apart_us <= b->tolerance_us ? RECONCILE_AGREED : RECONCILE_DISPUTED;
}

void reconcile(const struct model *m, const struct model *last,
	       const struct reconcile_witness *now, const struct reconcile_witness *then,
	       const struct reconcile_exit *exits, size_t exit_count, uint64_t skew_us,
	       const struct reconcile_policy *policy, struct reconcile_books *ret)
{
	size_t i, e;

	memset(ret, 0, m->container_count * sizeof(*ret));
	for (i = 0; i < m->container_count; i++) {
		const struct model_container *c = &m->containers[i];
		const struct reconcile_sum *sum, *sum_then;
		struct reconcile_books *b = &ret[i];

		if (!c->has_window)
			continue;
		b->module_us = c->cpu_window_us;
		b->joined_us = c->cpu_new_us;
		b->cgroup_us = c->has_cgroup_window ? c->cgroup_window_us : 0;
		if (!now || !then)
			continue;
		sum = find_sum(now, c->cgroup.inode);
		sum_then = find_sum(then, c->cgroup.inode);
		/* One that never ran since the witness began has no sum. */
		b->scheduler_us = sum ? sum->cpu_us : 0;
		if (sum && sum_then)
			b->scheduler_us = sum->cpu_us > sum_then->cpu_us ?
						  sum->cpu_us - sum_then->cpu_us : 0;
		for (e = 0; e < exit_count; e++) {
			if (exits[e].container_cgroup_id != c->cgroup.inode ||
			    exits[e].exit_us <= last->boot_time_us ||
			    exits[e].exit_us > m->boot_time_us)
				continue;
			add_exit(b, &exits[e], m, last);
		}
		judge(b, c->has_cgroup_window, skew_us, policy);
	}
}
