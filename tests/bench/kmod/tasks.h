/* SPDX-License-Identifier: GPL-2.0 */
/* What the task iterator writes of a process, followed by cmdline_len bytes. */
#ifndef BENCH_KMOD_TASKS_H
#define BENCH_KMOD_TASKS_H

#define TASKS_CMDLINE_MAX 4096
#define TASKS_NAME_MAX 128
#define TASKS_LEVELS 3

struct tasks_record {
	unsigned int pid, ppid, threads, state;
	unsigned long long start_ns, user_ns, system_ns, cpu_ns, vsz_pages, rss_pages, cgroup;
	char comm[16];
	/* of the outermost cgroups; the rest of a path is the container's own */
	char path[TASKS_LEVELS][TASKS_NAME_MAX];
	unsigned int cmdline_len;
};

#endif
