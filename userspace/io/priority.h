/* SPDX-License-Identifier: GPL-2.0 */
/* Who has the CPU first. */
#ifndef IO_PRIORITY_H
#define IO_PRIORITY_H

/**
 * priority_raise() - put the calling thread before all that has no real-time priority
 *
 * It is meant for the moment in which containers crowd the machine: then the daemon's few
 * milliseconds must not wait for theirs, least of all between two kills.  The threads and
 * programs that the thread makes have the usual priority (sched(7), SCHED_RESET_ON_FORK).
 * Needs CAP_SYS_NICE; without it, and where somebody has chosen a priority for the daemon
 * (nice(1), systemd's Nice=), all stays as it is.
 */
void priority_raise(void);

#endif
