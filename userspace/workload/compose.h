/* SPDX-License-Identifier: GPL-2.0 */
#ifndef WORKLOAD_COMPOSE_H
#define WORKLOAD_COMPOSE_H

#include <systemd/sd-event.h>

#define COMPOSE_REASON_SIZE 512

/* @err: 0 or negative errno, and then @reason is one line for the user. */
typedef void compose_done_fn(void *ctx, int err, const char *reason);

/**
 * compose_up() - bring the log server up
 * @event: the loop, beside which it is done
 * @file: the compose file
 * @socket: of the runtime
 * @done: called once, by the loop or from within, when compose says that it is up
 * @ctx: of @done
 *
 * By "docker compose" where there is one, otherwise by "docker-compose".
 */
void compose_up(sd_event *event, const char *file, const char *socket, compose_done_fn *done,
		void *ctx);

#endif
