/* SPDX-License-Identifier: GPL-2.0 */
/* Seeing: all sources at one moment, and the deaths since the moment before. */
#ifndef VIEW_H
#define VIEW_H

#include "userspace/core/ledger.h"
#include "userspace/core/model.h"
#include "userspace/setup.h"
#include "userspace/trouble.h"

/* What was seen at one moment: the model, and what the witness had to say beside it. */
struct view {
	struct model *model;
	struct ledger_sum *sums;	/* of reading */
	struct ledger_reading reading;
	uint64_t exits_lost;	/* since the witness began */
	uint64_t skew_us;	/* from the snapshot until all was read */
	uint64_t slept_before_us;	/* see struct judge_sight */
	uint64_t slept_after_us;
	bool witness;
};

/* Of a container, deaths that found no room. */
struct view_dropped {
	uint64_t container_cgroup_id;
	uint64_t exits;
	uint64_t cpu_us;
};

/* Deaths that the witness told of since the last view. */
struct view_exits {
	struct ledger_exit *list;
	size_t count, room;
	uint64_t dropped;	/* too many, or there was no memory; it only grows */
	struct view_dropped *by_container;	/* the same; like lost in the witness's ring */
	size_t container_count;
	uint64_t unwatched;	/* what the witness had no room for, as was told last */
};

void view_exits_free(struct view_exits *exits);

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

/* Forgets the first @count: they are in the ledger, or nobody will ask for them. */
void view_forget_exits(struct view_exits *exits, size_t count);

#endif
