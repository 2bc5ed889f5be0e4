/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Intents that have no outcome yet: on disk before the act, and until the outcome's
 * record is.  An intent outlives the cycle that made it, where its victim is slow to
 * die, and the monitor, where that is killed in the middle.
 */
#ifndef INTENTS_H
#define INTENTS_H

#include <cjson/cJSON.h>

#include "userspace/core/decide.h"
#include "userspace/core/record.h"
#include "userspace/io/kill.h"
#include "userspace/io/spool.h"

struct intent {
	cJSON *told;		/* as it is on disk */
	cJSON *record;		/* its outcome; NULL: it has none yet */
	/* From told; its receipt has room for the processes, which is the intent's. */
	struct kill_victim victim;
	bool ours;		/* the act was this monitor's, and the receipt is its */
};

struct intents {
	struct intent *list;
	size_t count;
};

/**
 * intents_load() - take over what an earlier monitor left
 * @all: empty
 * @spool: where
 *
 * Return: 0; -EBADMSG: they couldn't be read, and are put aside; negative errno.
 */
int intents_load(struct intents *all, struct spool *spool);

/**
 * intents_add() - intend the kills of a plan
 * @all: the open ones
 * @from: who speaks
 * @plan: the plan
 * @m: the model that it rests on
 * @unix_ms: now
 * @ret_first: index of the first of them; they are plan->kills, in the plan's order
 *
 * They are not on disk by that.  Return: 0 or -ENOMEM, and then none is added.
 */
int intents_add(struct intents *all, const struct record_origin *from, const struct plan *plan,
		const struct model *m, int64_t unix_ms, size_t *ret_first);

/* Drops those from @first on, without a record. */
void intents_drop(struct intents *all, size_t first);

/* Has the open ones on disk.  Return: 0 once it is durable, or negative errno. */
int intents_save(const struct intents *all, struct spool *spool);

/**
 * intents_complete() - give an intent its outcome
 * @i: its victim's receipt is concluded, or says RECEIPT_DRY
 * @unix_ms: now
 *
 * Return: 0 or -ENOMEM.
 */
int intents_complete(struct intent *i, int64_t unix_ms);

/* Has the outcomes on disk, on their way to the log server.  Return: 0 or negative errno. */
int intents_put(const struct intents *all, struct spool *spool);

/**
 * intents_close() - have the outcomes on disk, then drop the intents that have one
 *
 * Return: 0 or negative errno, and then they stay, to be tried again.
 */
int intents_close(struct intents *all, struct spool *spool);

/* Frees all; what is on disk stays. */
void intents_forget(struct intents *all);

#endif
