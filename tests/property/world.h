/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A made-up host and its containers, from one number: what they are, as the test knows
 * it, and what the sources show of them, with all that can be wrong with sources.
 */
#ifndef TESTS_PROPERTY_WORLD_H
#define TESTS_PROPERTY_WORLD_H

#include "userspace/core/judge.h"

#define WORLD_CONTAINERS 2000
#define WORLD_PROCESSES 3	/* of a container, at most */
#define WORLD_WINDOW 4		/* cycles, at most */

/* splitmix64 */
struct chance {
	uint64_t state;
};

uint64_t chance_next(struct chance *c);
/* Below @n. */
uint32_t chance_below(struct chance *c, uint32_t n);
/* One time in @n. */
bool chance_one_in(struct chance *c, uint32_t n);

/* What a container did in one cycle, as the test knows it. */
struct being_cycle {
	uint64_t cpu_us;
	uint64_t window_us;
	uint64_t memory_bytes;	/* by the policy's kind */
	bool has_memory;
	bool disputed;
};

struct being {
	bool there;		/* it exists */
	bool shown;		/* in the snapshot that was just made, not contradicted */
	bool was_shown;		/* and in the one before, */
	uint64_t shown_inode;	/* by then with this inode, */
	bool was_known;		/* and its group was found */

	char id[65];
	char path[80];
	uint64_t inode;
	uint64_t start_us;
	struct being_process {
		uint32_t pid;
		uint64_t start_us;
		uint64_t cpu_us;
		uint64_t shown_us;	/* in the snapshot before; only if it was in it */
		bool was_shown;
	} processes[WORLD_PROCESSES];
	uint32_t process_count;
	uint32_t rate_centi;		/* of one CPU */
	struct model_cgroup cgroup;	/* as it is read; cpu_us is kept right */
	struct model_runtime runtime;	/* without labels */
	const char *labels;
	size_t labels_len;
	bool self, dying;
	bool frozen;			/* paused, by whomever; read while the group is found */
	uint32_t comebacks;
	uint64_t scheduler_us;
	uint64_t exits;

	/* The last cycles without a break, the newest last. */
	struct being_cycle cycles[WORLD_WINDOW];
	uint32_t streak;
	bool was_high;
};

struct world {
	struct chance chance;
	struct judge_policy policy;
	uint64_t now_us, slept_us, sequence;
	uint32_t instance;
	bool witness, was_witness, was_seen;
	bool calm;			/* nothing new happens, and nothing is wrong */
	uint32_t next_pid, next_old_pid, next_inode;
	uint32_t size;
	struct being beings[WORLD_CONTAINERS];
	/* What is shown. */
	struct snapshot_process shown[WORLD_CONTAINERS * (WORLD_PROCESSES + 1)];
	size_t shown_count;
	struct ledger_sum sums[WORLD_CONTAINERS];
	size_t sum_count;
	struct ledger_exit exits[WORLD_CONTAINERS];
	size_t exit_count;
	char instance_text[16];
	bool seen;			/* the look worked */
	bool window;			/* and follows the one before */
};

/* A new one; @size containers to begin with. */
void world_begin(struct world *w, uint64_t seed, uint32_t size);

/* Time goes on, things happen, and the sources are read. */
void world_step(struct world *w);

/*
 * The sight that it shows, its parts in an order of @order's choice.  The model is the
 * caller's, the rest the world's until its next step.
 */
struct judge_sight world_sight(struct world *w, struct chance *order);

/* Which of them this is; NULL: none. */
struct being *world_find(struct world *w, const char *id);

#endif
