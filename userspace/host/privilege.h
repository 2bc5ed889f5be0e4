/* SPDX-License-Identifier: GPL-2.0 */
/* The capabilities that the daemon holds. */
#ifndef HOST_PRIVILEGE_H
#define HOST_PRIVILEGE_H

#include <stdbool.h>

/**
 * privilege_drop() - keep only what a cycle needs, for good
 * @keep_ipc_lock: memory is locked (priority_protect()): CAP_IPC_LOCK stays, if it was held
 *	and RLIMIT_MEMLOCK is finite, as without it each allocation beyond that would fail
 *
 * CAP_DAC_OVERRIDE stays, if it was held: cgroups, sockets and spools of other users.
 * Programs that root's daemon starts later (crontab) may have that and what it takes to
 * write another's file.  Of the calling thread, and those it makes: so before any other.
 *
 * Return: 0 or negative errno.
 */
int privilege_drop(bool keep_ipc_lock);

#endif
