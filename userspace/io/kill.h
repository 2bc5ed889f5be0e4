/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The act.  A victim is named by its container id and the inode of its cgroup; both are
 * checked again right before, through a descriptor that stays that group's own.
 */
#ifndef IO_KILL_H
#define IO_KILL_H

#include <stddef.h>
#include <stdint.h>

#define KILL_REASON_SIZE 512

enum kill_outcome {
	KILL_FAILED,		/* lives, and reason says why */
	KILL_VERIFIED,		/* its cgroup was seen empty and the runtime has let it go */
	KILL_UNVERIFIED,	/* it was done, but one of the two was not seen in time */
	KILL_GONE,		/* had ended by itself, or another is under its name: not touched */
	KILL_DRY,		/* would have been killed */
};

struct kill_victim {
	const char *id;
	const char *path;	/* of its cgroup, from the root of the hierarchy */
	uint64_t inode;		/* of that cgroup, as the decision saw it */

	enum kill_outcome outcome;
	double latency_ms;	/* from the act until its cgroup was seen empty; negative: was not */
	char reason[KILL_REASON_SIZE];
};

struct kill_options {
	int cgroup_root;		/* descriptor */
	const char *runtime_socket;
	long timeout_ms;		/* for the runtime to remove them */
};

/*
 * Two ways to carry out a plan: kill_for_real() and kill_dry(), which does nothing.
 * Each victim says how it went.
 */
void kill_for_real(const struct kill_options *options, struct kill_victim *victims, size_t count);
void kill_dry(struct kill_victim *victims, size_t count);

const char *kill_outcome_name(enum kill_outcome outcome);

#endif
