/* SPDX-License-Identifier: GPL-2.0 */
/* Who has the CPU first. */
#ifndef IO_PRIORITY_H
#define IO_PRIORITY_H

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

#endif
