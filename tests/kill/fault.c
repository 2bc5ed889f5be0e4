// SPDX-License-Identifier: GPL-2.0
/*
 * Ends the monitor at the step that MONITOR_FAULT names, as a SIGKILL from outside would; or
 * stops it there, once, for MONITOR_PAUSE, until somebody continues it.
 */
#include "userspace/act/fault.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void fault_point(const char *step)
{
	static bool paused;
	const char *end = getenv("MONITOR_FAULT"), *pause = getenv("MONITOR_PAUSE");

	if (end && !strcmp(end, step))
		raise(SIGKILL);
	if (pause && !strcmp(pause, step) && !paused) {
		paused = true;
		raise(SIGSTOP);
	}
}
