/* SPDX-License-Identifier: GPL-2.0 */
/* The workload: a cron entry that makes containers every minute. */
#ifndef WORKLOAD_GENERATOR_H
#define WORKLOAD_GENERATOR_H

#include <systemd/sd-event.h>

#define GENERATOR_REASON_SIZE 512

/* @err: 0 or negative errno, and then @reason is one line for the user. */
typedef void generator_done_fn(void *ctx, int err, const char *reason);

/**
 * generator_install() - put the entry into the user's crontab
 * @event: the loop, beside which it is done
 * @script: that makes containers
 * @lock: the monitor's lock, by which the script knows that the monitor lives
 * @socket: of the runtime
 * @done: called once, by the loop or from within
 * @ctx: of @done
 *
 * One that an earlier monitor left is replaced; all other jobs stay as they are.
 */
void generator_install(sd_event *event, const char *script, const char *lock, const char *socket,
		       generator_done_fn *done, void *ctx);

/* Takes the entry with this lock out again; no error if there is none. */
void generator_remove(sd_event *event, const char *lock, generator_done_fn *done, void *ctx);

#endif
