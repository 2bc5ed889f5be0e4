// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/priority.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PRIORITY_QUOTE(number) #number
#define PRIORITY_STRING(number) PRIORITY_QUOTE(number)
#define PRIORITY_OOM_ADJ_TEXT PRIORITY_STRING(PRIORITY_OOM_ADJ)

#define PRIORITY_FIRST -20
#define PRIORITY_USUAL 0
/* sshd and systemd-udevd have -1000: a host without them is worse off than without a warden. */

void priority_raise(void)
{
	const struct sched_param param = { 0 };

	if (getpriority(PRIO_PROCESS, 0) != PRIORITY_USUAL || sched_getscheduler(0) != SCHED_OTHER)
		return;
	/* In this order: nothing that is made in between has the priority by inheritance. */
	if (!sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param))
		setpriority(PRIO_PROCESS, 0, PRIORITY_FIRST);
}

static int priority_read_oom(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 0;
}

static int priority_lower_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC), adj;

	if (fd < 0)
		return 0;
	if (priority_read_oom(fd) > atoi(PRIORITY_OOM_ADJ_TEXT))
		(void)!write(fd, PRIORITY_OOM_ADJ_TEXT, sizeof(PRIORITY_OOM_ADJ_TEXT) - 1);
	adj = priority_read_oom(fd);
	close(fd);
	return adj;
}

/*
 * Can more be mapped than the limit allows?  CAP_IPC_LOCK of a user namespace's root does not
 * count (mm/mmap.c, mlock_future_check()), so to hold it proves nothing.
 */
static bool priority_is_beyond_limit(rlim_t limit)
{
	size_t size = (size_t)limit + (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

static bool priority_lock_memory(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) && getrlimit(RLIMIT_MEMLOCK, &limit))
		return false;
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		return false;
	if (limit.rlim_cur == RLIM_INFINITY || priority_is_beyond_limit(limit.rlim_cur))
		return true;
	munlockall();
	return false;
}

void priority_protect(bool *ret_locked, int *ret_oom_adj)
{
	*ret_oom_adj = priority_lower_oom();
	*ret_locked = priority_lock_memory();
}
