/* SPDX-License-Identifier: GPL-2.0 */
/* The capabilities that the daemon holds. */
#ifndef IO_PRIVILEGE_H
#define IO_PRIVILEGE_H

/**
 * privilege_drop() - keep only what a cycle needs, for good
 *
 * CAP_DAC_OVERRIDE stays, if it was held: cgroups, sockets and spools of other users.
 * Programs that root's daemon starts later (crontab) may have that and what it takes to
 * write another's file.  Of the calling thread, and those it makes: so before any other.
 *
 * Return: 0 or negative errno.
 */
int privilege_drop(void);

#endif
