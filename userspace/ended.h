/* SPDX-License-Identifier: GPL-2.0 */
/* Containers that ended without the monitor: found, their cause asked for, recorded, told. */
#ifndef ENDED_H
#define ENDED_H

#include "userspace/act.h"
#include "userspace/core/death.h"
#include "userspace/setup.h"
#include "userspace/trouble.h"
#include "userspace/view.h"

/* All zeroes: none. */
struct ended {
	struct deaths deaths;
	struct view_exits late;	/* of main processes that the last snapshot still had */
	int64_t since_ms;	/* Unix time, before the first of the deaths */
	int64_t looked_ms;	/* of the last look */
};

/**
 * ended_look() - find who ended between two looks, and of what
 * @e: gets them
 * @s: what to work with
 * @last: the look before
 * @now: this one
 * @window: what the witness saw, in sum
 * @exits: and one by one
 * @t: what is wrong
 */
void ended_look(struct ended *e, const struct setup *s, const struct model *last,
		const struct model *now, const struct ledger_window *window,
		const struct view_exits *exits, struct trouble *t);

/* Has those that are ready on disk, on their way to the log server. */
void ended_record(const struct ended *e, const struct setup *s, const struct model *m,
		  struct trouble *t);

/* They were told. */
void ended_drop_ready(struct ended *e);

void ended_forget(struct ended *e);

#endif
