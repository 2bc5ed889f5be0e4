/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cross-check of one container's books for one window:
 *
 *	module (alive) + exited (witness) + skew = scheduler (witness) = cgroup (cpu.stat)
 *
 * The ledger fills the books, this compares them.  Pure.
 */
#ifndef CORE_RECONCILE_H
#define CORE_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	bool has_witness;		/* exited_us to scheduler_us are known */
	bool has_cgroup;
	uint64_t module_us;		/* of processes that the snapshot has */
	uint64_t exited_us;		/* of those that died, less what the module had counted */
	uint64_t dark_us;		/* of exited_us: born and died between two snapshots */
	int64_t skew_us;		/* of deaths after the snapshot but before the witness was
					   read: at this end, less at the other */
	uint64_t joined_us;		/* of module and exited, what may have been used elsewhere */
	uint64_t lost_us;		/* of events that were lost: in no other sum */
	uint64_t scheduler_us;
	uint64_t cgroup_us;
	uint64_t apart_us;		/* the largest difference */
	uint64_t tolerance_us;
	uint64_t exits;			/* deaths in exited_us */
	uint64_t exits_lost;
	uint64_t oom_exits;		/* by the OOM killer, as the witness saw it */
	uint64_t oom_kills;		/* likewise, as memory.events has it */
};

/*
 * What sources may differ by.  A running slice is counted up to the last tick of its CPU,
 * each source has its own last tick, and the sources are read one after the other.
 */
struct reconcile_policy {
	uint32_t tolerance_permille;	/* of the largest account */
	uint64_t tolerance_us;		/* however small the accounts are */
};

const char *reconcile_verdict_name(enum reconcile_verdict verdict);
const char *reconcile_source_name(enum reconcile_source source);

/**
 * reconcile() - compare the accounts, and judge
 * @b: the books; verdict, odd, apart_us and tolerance_us are filled in
 * @skew_us: CPU time that may lie between the readings of the sources, both ends together
 * @policy: the tolerance, which @skew_us is added to
 */
void reconcile(struct reconcile_books *b, uint64_t skew_us, const struct reconcile_policy *policy);

/* Adds @b's accounts to @to's, whose verdict stays. */
void reconcile_add(struct reconcile_books *to, const struct reconcile_books *b);

/**
 * reconcile_explained() - how much of the CPU is explained by processes
 * @b: the books
 * @witness: with what the witness saw; else by the snapshot alone
 *
 * Of what cpu.stat says, or the scheduler where that could not be read.  Nothing used is
 * all explained.
 *
 * Return: 1/100 %, at most 10000.
 */
uint32_t reconcile_explained(const struct reconcile_books *b, bool witness);

#endif
