/* SPDX-License-Identifier: GPL-2.0 */
/* Processes to be looked at, and their cgroups. */
#ifndef KMOD_SUBJECT_H
#define KMOD_SUBJECT_H

#include <stdbool.h>
#include <sys/types.h>

#define SUBJECT_CGROUP_ROOT "/sys/fs/cgroup"

/* Makes the cgroup, with its parents, e.g. "/docker/<id>". */
void subject_cgroup(const char *path);
void subject_cgroup_remove(const char *path);

/* Moves this process there. */
void subject_enter(const char *cgroup);

/*
 * Starts a process in that cgroup ("/" for none): it calls act(arg), tells that
 * it is ready and waits to be killed. Returns when it is ready, and asleep.
 */
pid_t subject_start(const char *cgroup, void (*act)(void *arg), void *arg);

/* For an act that never returns: tells that it is ready, and will not sleep. */
void subject_busy(void);

/* The same by exec of this program, so that the process has these arguments. */
pid_t subject_exec(const char *cgroup, char *const argv[], char *const envp[]);

/* A page of its own whose content nobody ever brings: whoever touches it waits. */
char *subject_missing_page(void);

/* What main does first: goes on as a process of subject_exec(), if it is one. */
void subject_main(void);

/* Kills it and waits for it. */
void subject_end(pid_t pid);

/* Waits until the process is in that state, as /proc/PID/stat shows it. */
void subject_wait_state(pid_t pid, char state);

#endif
