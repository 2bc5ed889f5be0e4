/* SPDX-License-Identifier: GPL-2.0 */
/* Whether the program is in the machine's own namespaces. */
#ifndef HOST_NAMESPACE_H
#define HOST_NAMESPACE_H

#include <stdbool.h>
#include <sys/stat.h>

/* include/linux/proc_ns.h: PROC_CGROUP_INIT_INO, PROC_PID_INIT_INO. */
#define NAMESPACE_CGROUP_INITIAL 0xEFFFFFFBu
#define NAMESPACE_PID_INITIAL 0xEFFFFFFCu

static inline bool namespace_is(const char *file, ino_t initial)
{
	struct stat st;

	/* What can't be told is taken for another one. */
	return !stat(file, &st) && st.st_ino == initial;
}

static inline bool namespace_is_initial_pid(void)
{
	return namespace_is("/proc/self/ns/pid", NAMESPACE_PID_INITIAL);
}

static inline bool namespace_is_initial_cgroup(void)
{
	return namespace_is("/proc/self/ns/cgroup", NAMESPACE_CGROUP_INITIAL);
}

#endif
