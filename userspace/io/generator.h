/* SPDX-License-Identifier: GPL-2.0 */
/* The workload: a cron entry that makes containers every minute. */
#ifndef IO_GENERATOR_H
#define IO_GENERATOR_H

#define GENERATOR_REASON_SIZE 512

/**
 * generator_install() - put the entry into the user's crontab
 * @script: that makes containers
 * @lock: the monitor's lock, by which the script knows that the monitor lives
 * @socket: of the runtime
 * @reason: on failure, one line for the user (GENERATOR_REASON_SIZE)
 *
 * One that an earlier monitor left is replaced; all other jobs stay as they are.
 *
 * Return: 0 or negative errno.
 */
int generator_install(const char *script, const char *lock, const char *socket, char *reason);

/* Takes the entry with this lock out again; no error if there is none. */
int generator_remove(const char *lock, char *reason);

#endif
