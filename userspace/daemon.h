/* SPDX-License-Identifier: GPL-2.0 */
/* Sets everything up, runs the loop, and takes everything down again. */
#ifndef DAEMON_H
#define DAEMON_H

#include <sys/types.h>

#include "userspace/config.h"

/* Exit statuses; the contract of the program. */
enum {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_NO_SNAPSHOT = 3,
};

/**
 * daemon_run() - watch, explain or record, until the end
 * @config: checked; a reload changes it
 * @group: that may use the control socket; CONTROL_NO_GROUP: none
 *
 * Does not return before the end.  The caller ends the program at once, without waiting for
 * anything: what hangs then is somebody else's.
 *
 * Return: the exit status.
 */
int daemon_run(struct config *config, gid_t group);

#endif
