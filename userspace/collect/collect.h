/* SPDX-License-Identifier: GPL-2.0 */
/* All sources at one moment, and the exits since the moment before. */
#ifndef COLLECT_COLLECT_H
#define COLLECT_COLLECT_H

#include "userspace/context.h"
#include "userspace/core/ledger.h"
#include "userspace/core/model.h"

/* What was seen at one moment: the model, and what the witness had to say beside it. */
struct sample {
	struct model *model;
	struct ledger_sum *sums;	/* of reading */
	struct ledger_reading reading;
	uint64_t exits_lost;	/* since the witness began */
	uint64_t skew_us;	/* from the snapshot until all was read */
	uint64_t slept_before_us;	/* see struct judge_sight */
	uint64_t slept_after_us;
	bool witness;
	int own_err;		/* where the monitor itself runs can't be told: nothing may be removed */
};

/* Of a container, deaths that found no room. */
struct exit_log_dropped {
	uint64_t container_cgroup_id;
	uint64_t exits;
	uint64_t cpu_us;
};

/* Exits that the witness told of since the last sample. */
struct exit_log {
	struct ledger_exit *list;
	size_t count, room;
	uint64_t dropped;	/* too many, or there was no memory; it only grows */
	struct exit_log_dropped *by_container;	/* the same; like lost in the witness's ring */
	size_t container_count;
	uint64_t unwatched;	/* what the witness had no room for, as was told last */
};

void exit_log_free(struct exit_log *exits);

/**
 * collect_take() - read everything but the runtime's list, as close in time as can be
 * @ctx: the sources; what the witness tells of is added to its exits
 * @ret: the sample; the caller frees it with sample_free()
 *
 * What is wrong is noted as the context's problem, also where a source other than the snapshot
 * is missing, whose evidence then is.
 *
 * Return: 0, or negative errno: nothing was seen.
 */
int collect_take(struct context *ctx, struct sample *ret);

void sample_free(struct sample *v);

/* Takes in the exits that wait in the witness's ring, if there is one. */
void exit_log_drain(struct context *ctx);

/* Forgets the first @count: they are in the ledger, or nobody will ask for them. */
void exit_log_forget(struct exit_log *exits, size_t count);

#endif
