/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cross-check: for each container and window,
 *
 *	module (live processes) + exited (witness) = scheduler (witness) = cgroup (cpu.stat)
 *
 * within the time that the sources were read apart.  A process born in the window may
 * have used part of its CPU before it joined the container's cgroup, as a runtime's own
 * init does: so much less may the other two have counted.  Pure.
 */
#ifndef CORE_RECONCILE_H
#define CORE_RECONCILE_H

#include "userspace/core/model.h"

/* The death of a process in a container, as the witness saw it. */
struct reconcile_exit {
	uint64_t container_cgroup_id;
	uint32_t pid;
	uint64_t start_us;	/* CLOCK_BOOTTIME */
	uint64_t exit_us;	/* CLOCK_BOOTTIME */
	uint64_t cpu_us;	/* all its life */
};

/* The witness's running sums for a container. */
struct reconcile_sum {
	uint64_t container_cgroup_id;
	uint64_t cpu_us;
};

/* What the witness had to say at one moment. */
struct reconcile_witness {
	const struct reconcile_sum *sums;
	size_t sum_count;
};

enum reconcile_verdict {
	RECONCILE_NONE,		/* no witness, or no window: nothing was compared */
	RECONCILE_AGREED,
	RECONCILE_DISPUTED,
};

enum reconcile_source {
	RECONCILE_MODULE,	/* with the exits */
	RECONCILE_SCHEDULER,
	RECONCILE_CGROUP,
};

/* One container's books for one window, all in µs of CPU. */
struct reconcile_books {
	enum reconcile_verdict verdict;
	enum reconcile_source odd;	/* of a dispute: the one farthest from the others */
	uint64_t module_us;
	uint64_t exited_us;
	uint64_t joined_us;		/* of those two, what may have been used elsewhere */
	uint64_t scheduler_us;
	uint64_t cgroup_us;
	uint64_t apart_us;		/* the largest difference */
	uint64_t tolerance_us;
	uint32_t exits;
};

struct reconcile_policy {
	uint32_t tolerance_permille;	/* of the largest account */
	uint64_t tolerance_us;		/* however small the accounts are */
};

const char *reconcile_verdict_name(enum reconcile_verdict verdict);
const char *reconcile_source_name(enum reconcile_source source);

/**
 * reconcile() - compare the accounts of one window
 * @m: the model, compared with @last
 * @last: the one before
 * @now: the witness at @m; NULL: there is none
 * @then: the witness at @last; NULL: there was none
 * @exits: deaths seen up to now, those after the snapshot of @m as well
 * @exit_count: their number
 * @skew_us: how long after the snapshots the other sources were read, both ends together
 * @policy: the tolerance, which @skew_us on every CPU of a container is added to
 * @ret: an array of m->container_count books
 */
void reconcile(const struct model *m, const struct model *last,
	       const struct reconcile_witness *now, const struct reconcile_witness *then,
	       const struct reconcile_exit *exits, size_t exit_count, uint64_t skew_us,
	       const struct reconcile_policy *policy, struct reconcile_books *ret);

#endif
