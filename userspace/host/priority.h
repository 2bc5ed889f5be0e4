/* SPDX-License-Identifier: GPL-2.0 */
/* Who has the CPU first, and who memory last. */
#ifndef HOST_PRIORITY_H
#define HOST_PRIORITY_H

#include <stdbool.h>

/* Of -1000 to 1000: who has the lowest is killed last for want of memory (proc(5)). */
#define PRIORITY_OOM_ADJ -900

/**
 * priority_raise() - put the calling thread before what shares its cgroup
 *
 * It is meant for the moment between two kills, in which a runtime's processes wake up to
 * bury the dead.  Niceness counts among the threads of one cgroup, or autogroup, only;
 * between cgroups cpu.weight decides (sched(7), cgroup-v2.rst).  The threads and programs
 * that the thread makes have the usual priority (sched(7), SCHED_RESET_ON_FORK).
 * Needs CAP_SYS_NICE; without it, and where somebody has chosen a priority for the daemon
 * (nice(1), systemd's Nice=), all stays as it is.
 */
void priority_raise(void);

/**
 * priority_protect() - keep the program alive and quick while the host is short of memory
 * @ret_locked: its memory is locked, for privilege_drop(); what it will use, too
 * @ret_oom_adj: its oom_score_adj: -900, or less if it had less, or what it had if it may
 *	not lower that (CAP_SYS_RESOURCE)
 *
 * Memory is locked only where that can't make a later allocation fail: RLIMIT_MEMLOCK is
 * infinite, or can be made so, or CAP_IPC_LOCK is held.  Pages are locked as they are used.
 * Children inherit the score and the limit; those of process_start() get back the first.
 */
void priority_protect(bool *ret_locked, int *ret_oom_adj);

#endif
