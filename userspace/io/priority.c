// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/priority.h"

#include <sched.h>
#include <sys/resource.h>

#define FIRST -20
#define USUAL 0

void priority_raise(void)
{
	const struct sched_param param = { 0 };

	if (getpriority(PRIO_PROCESS, 0) != USUAL || sched_getscheduler(0) != SCHED_OTHER)
		return;
	/* In this order: nothing that is made in between has the priority by inheritance. */
	if (!sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param))
		setpriority(PRIO_PROCESS, 0, FIRST);
}
