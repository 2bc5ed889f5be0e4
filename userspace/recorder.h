/* SPDX-License-Identifier: GPL-2.0 */
/* Keeping what a running monitor sees and does, for replay. */
#ifndef RECORDER_H
#define RECORDER_H

#include "userspace/act/act.h"
#include "userspace/context.h"
#include "userspace/core/look.h"

#define RECORDER_REASON_SIZE 512

struct recorder;

/**
 * recorder_open() - begin a recording as the configuration says
 * @ctx: whose
 * @ret: the recorder; the caller closes it
 * @reason: on failure, one line for the user (RECORDER_REASON_SIZE)
 *
 * The file is written by a process of its own, forked here, so before there are threads: its
 * disk may hang.  Whether it could be made is known once recorder_opened() is true.
 *
 * Return: 0 or negative errno.
 */
int recorder_open(struct context *ctx, struct recorder **ret, char *reason);

/* True once it is known whether the file could be made. */
const bool *recorder_opened(const struct recorder *r);

/* Whether it could: 0, or negative errno with a line for the user. */
int recorder_error(const struct recorder *r, const char **ret_reason);

/* Cycles that are not in the file yet. */
size_t recorder_pending(const struct recorder *r);

/* One cycle, as it went. */
struct recorder_cycle {
	struct look look;
	const struct judgement *judgement;	/* NULL, or without a plan: nothing was decided */
	const struct brake *brake;
	const struct act_result *act;		/* NULL: it was not carried out */
};

/* What went wrong with earlier cycles since this was asked last; false: nothing. */
bool recorder_take_problem(struct recorder *r, char *reason);

/*
 * Has a cycle in the file.  What goes wrong there recorder_take_problem() tells later.
 * Return: 0; or negative errno with @reason: this cycle is missing in the recording.
 */
int recorder_keep(struct recorder *r, const struct recorder_cycle *c, char *reason);

/* NULL is no error. */
void recorder_close(struct recorder *r);

#endif
