/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kill of one victim, which is named by its container id and the inode of its cgroup.
 * Both are checked through a descriptor that stays that group's own.
 */
#ifndef ACT_KILL_H
#define ACT_KILL_H

#include <stdbool.h>
#include <stdint.h>

#include "userspace/core/receipt.h"

/* What is open for a victim; -1: not open. */
struct victim_handles {
	int group;	/* its cgroup's folder */
	int events;	/* its cgroup.events */
	int kill;	/* its cgroup.kill; -1 also where the monitor may not write it */
};

#define VICTIM_HANDLES_NONE { -1, -1, -1 }

/* A victim's cgroup: its path from the root of the hierarchy, and its inode. */
struct victim_group {
	const char *path;
	uint64_t inode;
};

/**
 * kill_open() - step "open": is it still the group that was decided on?  Then it is held
 * @cgroup_root: descriptor
 * @group: the victim's
 * @r: gets found, memory_before, and the reason where it can't be read
 * @ret: open only if @r->found is RECEIPT_FOUND; closed by kill_close()
 *
 * cgroup.kill is opened before the first victim is killed: from then on the runtime's
 * processes, one for each victim, wake up to bury it, and whatever else is to be done before
 * the last one is killed waits for them.
 */
void kill_open(int cgroup_root, const struct victim_group *group, struct receipt *r,
	       struct victim_handles *ret);

/**
 * kill_last_look() - step "last_look": may it be told to die, now?
 * @h: open
 * @r: gets found or withheld where it may not
 *
 * What is not populated has ended; what is frozen is paused.  Between this and what follows
 * are microseconds that nothing can close.
 */
bool kill_last_look(const struct victim_handles *h, struct receipt *r);

/**
 * kill_group() - step "kill": all processes in the group and below it, at once, in the kernel
 * @h: open
 * @r: gets killed and act_us
 * @now_us: CLOCK_BOOTTIME
 *
 * Also what forks meanwhile (cgroup-v2.rst, cgroup.kill).  Return: whether it was written.
 */
bool kill_group(const struct victim_handles *h, struct receipt *r, uint64_t now_us);

/* Whether the group is empty, or gone. */
bool kill_is_empty(const struct victim_handles *h);

/* What the group still holds, with everything over; a group that is gone holds nothing. */
void kill_measure_after(const struct victim_handles *h, struct receipt *r);

void kill_close(struct victim_handles *h);

/* What is not needed any more of a group that is empty: all but the group itself. */
void kill_close_empty(struct victim_handles *h);

/* What stands where a victim was.  Touches nothing. */
enum receipt_found kill_check(int cgroup_root, const struct victim_group *group);

/* Whether the monitor may write the group's cgroup.kill; otherwise the runtime has to kill. */
bool kill_is_allowed(int cgroup_root, const struct victim_group *group);

/*
 * Whether a SIGKILL waits for a process of the group or below it: it was told to die, and
 * sits in the kernel (SigPnd and ShdPnd in /proc/PID/status, proc(5)).
 */
bool kill_is_pending(int cgroup_root, const struct victim_group *group);

#endif
