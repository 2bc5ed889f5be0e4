// SPDX-License-Identifier: GPL-2.0
/* Ends the monitor at the step that MONITOR_FAULT names, as a SIGKILL from outside would. */
#include "userspace/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

void fault_point(const char *step)
{
	const char *wanted = getenv("MONITOR_FAULT");

	if (wanted && !strcmp(wanted, step))
		raise(SIGKILL);
}
