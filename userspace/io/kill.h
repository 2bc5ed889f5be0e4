/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The act.  A victim is named by its container id and the inode of its cgroup; both are
 * checked again right before, through a descriptor that stays that group's own.
 */
#ifndef IO_KILL_H
#define IO_KILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/core/receipt.h"
#include "userspace/io/watch.h"

struct kill_victim {
	const char *id;
	const char *path;	/* of its cgroup, from the root of the hierarchy */
	uint64_t inode;		/* of that cgroup, as the decision saw it */
	struct receipt receipt;	/* gets the act's facts; not concluded */
};

struct kill_options {
	int cgroup_root;		/* descriptor */
	const char *runtime_socket;
	const struct watch *watch;	/* attended to during the act; NULL: nothing */
	long grace_ms;			/* from the stop signal to cgroup.kill; 0: at once */
	long timeout_ms;		/* for the runtime to remove them */
	bool (*may_go_on)(void *ctx);	/* asked before more are acted on, see KILL_AT_ONCE */
	void *ctx;			/* of may_go_on() */
};

/*
 * How many are acted on at once: each holds three descriptors and a connection, and 1024
 * descriptors is what a process usually may have.  What comes after them may come a minute
 * later.
 */
#define KILL_AT_ONCE 128

/*
 * Carries out a plan, on all victims in parallel, or in parallel as many as can be; if it
 * may not go on then, the others are RECEIPT_UNTRIED.
 */
void kill_for_real(const struct kill_options *options, struct kill_victim *victims, size_t count);

/* Looks what stands where a victim was.  Touches nothing. */
enum receipt_found kill_look(int cgroup_root, const char *path, uint64_t inode);

#endif
