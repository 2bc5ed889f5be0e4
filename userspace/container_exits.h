/* SPDX-License-Identifier: GPL-2.0 */
/* Containers that ended without the monitor: found, their cause asked for, recorded, told. */
#ifndef CONTAINER_EXITS_H
#define CONTAINER_EXITS_H

#include "userspace/collect/collect.h"
#include "userspace/context.h"
#include "userspace/core/death.h"

/* All zeroes: none. */
struct container_exits {
	struct deaths deaths;
	struct exit_log late;	/* of main processes that the last snapshot still had */
	int64_t since_ms;	/* Unix time, before the first of the deaths */
	int64_t asked_ms;	/* of the last cycle */
	bool asking;
	void (*answered)(void *ctx);
	void *ctx;
};

/**
 * container_exits_find() - find who ended between two samples, and of what
 * @e: gets them
 * @ctx: what to work with
 * @last: the model before
 * @now: this one
 * @window: what the witness saw, in sum
 * @answered: called by the loop when the runtime has told what it knows, or has not in time
 * @answered_ctx: of @answered
 *
 * Return: whether @answered will be called: somebody ended, and the runtime is asked.
 */
bool container_exits_find(struct container_exits *e, struct context *ctx, const struct model *last,
			  const struct model *now, const struct ledger_window *window,
			  void (*answered)(void *ctx), void *answered_ctx);

/* The answer is not waited for any more. */
void container_exits_give_up(struct container_exits *e);

/* Has those that are ready on disk, on their way to the log server. */
void container_exits_record(const struct container_exits *e, struct context *ctx, const struct model *m);

/* They were told. */
void container_exits_drop_ready(struct container_exits *e);

void container_exits_free(struct container_exits *e);

#endif
