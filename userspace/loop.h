/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cycle: collect, evaluate, act, report, every so many seconds, on the event loop.  What it
 * waits for (the runtime's list, victims' ends) comes by the loop; the next cycle begins in
 * any case.
 */
#ifndef LOOP_H
#define LOOP_H

#include "userspace/context.h"
#include "userspace/core/brake.h"

#define LOOP_REASON_SIZE 640

struct cJSON;
struct loop;

/**
 * loop_new() - prepare
 * @ctx: all of it is set up but its operator
 * @done: called by the loop when config->cycles are over, or nobody reads what it says
 * @done_ctx: of @done
 * @ret: freed by loop_free()
 * @reason: on failure, one line for the user (LOOP_REASON_SIZE)
 *
 * Return: 0 or negative errno.
 */
int loop_new(struct context *ctx, void (*done)(void *ctx), void *done_ctx, struct loop **ret,
	     char *reason);

/* What it does is kept there from now on; it is the loop's. */
struct recorder;
void loop_record(struct loop *l, struct recorder *recorder);

/* At the end: what went wrong with the last cycles' recording, which no report tells. */
void loop_tell_recording(struct loop *l);

/* Cycles that are not in the recording yet. */
size_t loop_recording_pending(const struct loop *l);

/* The mode, which the operator changes. */
struct brake *loop_brake(struct loop *l);

/* Has the first cycle at once.  Return: 0 or negative errno. */
int loop_start(struct loop *l);

/* An operator has requested something: a reload, or that what is under way be called off. */
void loop_requested(struct loop *l);

/* No more cycles; the one under way is finished, and told. */
void loop_stop(struct loop *l);

/* For "status": what it does now. */
void loop_status(const struct loop *l, struct cJSON *answer);

/* Why it failed: the last of config->cycles could not see, or nobody reads; NULL: it did not. */
const char *loop_failure(const struct loop *l);

void loop_free(struct loop *l);

#endif
