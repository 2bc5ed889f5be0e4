/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket: a request is a line ("status", "arm", "disarm"), its answer a line of
 * JSON that says what is so when it is sent.  Root may connect, and a group that can be set.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <sys/types.h>

#include "userspace/context.h"

#define CONTROL_REASON_SIZE 512
#define CONTROL_NO_GROUP ((gid_t)-1)

struct cJSON;
struct control;
struct operator;

/* Fills in what "status" tells of besides the mode; the answer takes over the object's items. */
typedef void control_status_fn(void *ctx, struct cJSON *answer);

/**
 * control_new() - listen
 * @ctx: with its operator
 * @path: of the socket; one that is left from before is replaced
 * @group: that may connect, too; CONTROL_NO_GROUP: root, or who has started the monitor, alone
 * @status: what is told
 * @status_ctx: of @status
 * @ret: freed by control_free(), which removes the socket
 * @reason: on failure, one line for the user (CONTROL_REASON_SIZE)
 *
 * Return: 0 or negative errno.
 */
int control_new(struct context *ctx, const char *path, gid_t group, control_status_fn *status,
		void *status_ctx, struct control **ret, char *reason);

/* Takes in what waits now.  Does not wait. */
void control_poll(struct control *c);

/*
 * Answers those that wait for the mode to be durable on disk: "disarmed" is a promise only
 * if it outlives the monitor.
 */
void control_answer_waiting(struct control *c);

/* NULL is no error. */
void control_free(struct control *c);

/**
 * control_ask() - ask a running monitor; for a program that does nothing else
 * @path: of its socket
 * @request: "status", "arm" or "disarm"
 * @ret: its answer, a line of JSON; the caller frees it
 * @reason: on failure, one line for the user (CONTROL_REASON_SIZE)
 *
 * Waits for at most CONTROL_PATIENCE_MS.  Return: 0 or negative errno.
 */
int control_ask(const char *path, const char *request, char **ret, char *reason);

#define CONTROL_PATIENCE_MS 5000

#endif
