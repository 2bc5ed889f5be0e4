/* SPDX-License-Identifier: GPL-2.0 */
/* Seeing: all sources at one moment, and the deaths since the moment before. */
#ifndef VIEW_H
#define VIEW_H

#include "userspace/core/model.h"
#include "userspace/core/reconcile.h"
#include "userspace/setup.h"
#include "userspace/trouble.h"

/* What was seen at one moment: the model, and the witness's sums beside it. */
struct view {
	struct model *model;
	struct reconcile_sum *sums;
	size_t sum_count;
	uint64_t exits_lost;	/* since the witness began */
	uint64_t skew_us;	/* from the snapshot until all was read */
	bool witness;
};

/* Deaths that the witness told of, not yet in a window that was compared. */
struct view_exits {
	struct reconcile_exit *list;
	size_t count, room;
	uint64_t dropped;	/* too many, or there was no memory */
};

/**
 * view_take() - read everything, as close in time to the snapshot as can be
 * @s: the sources
 * @exits: where deaths are kept
 * @ret: the view; the caller frees it with view_free()
 * @t: what is wrong; also where a source other than the snapshot is missing, whose
 *	evidence then is
 *
 * Return: 0, or negative errno: nothing was seen.
 */
int view_take(const struct setup *s, struct view_exits *exits, struct view *ret,
	      struct trouble *t);

void view_free(struct view *v);

/* Takes in the deaths that wait in the witness's ring, which must be there. */
void view_drain(const struct setup *s, struct view_exits *exits, struct trouble *t);

/* Forgets the deaths up to a moment of CLOCK_BOOTTIME: their windows are over. */
void view_forget_exits(struct view_exits *exits, uint64_t until_us);

#endif
