/* SPDX-License-Identifier: GPL-2.0 */
/* Acting and recording: intent on disk, the act, its receipt, its record on disk. */
#ifndef ACT_H
#define ACT_H

#include "userspace/core/comeback.h"
#include "userspace/core/death.h"
#include "userspace/core/generation.h"
#include "userspace/intents.h"
#include "userspace/setup.h"
#include "userspace/trouble.h"
#include "userspace/view.h"

struct act_own {
	uint64_t inode;			/* of the cgroup */
	char id[MODEL_ID_SIZE];		/* of the container */
};

/* What is remembered from act to act; all zeroes: nothing. */
struct act {
	struct intents intents;		/* without an outcome yet */
	struct comebacks comebacks;
	struct generation spent;	/* of the last plan that was carried out */
	size_t noted;			/* of the witness's deaths, how many the receipts know */
	struct act_own *own;		/* whose end is our doing, until their cgroups are gone */
	size_t own_count;
};

/**
 * act_begin() - take over what an earlier monitor intended but did not complete
 * @a: all zeroes; freed by act_end()
 * @s: what to work with
 *
 * Return: 0; -EBADMSG: it can't be read, and is put aside in the spool; negative errno:
 * then nothing may be removed.
 */
int act_begin(struct act *a, const struct setup *s);

/* What has no outcome yet stays on disk. */
void act_end(struct act *a);

/* Has the receipts know the deaths that came since the last time. */
void act_note(struct act *a, const struct view_exits *exits);

/* The deaths that are forgotten after a cycle; they are at the front of the list. */
void act_forget_noted(struct act *a, size_t count);

/**
 * act_settle() - look what became of the intents that have no outcome yet
 * @a: what is remembered
 * @s: what to work with
 * @armed: what is dead may be removed, where the runtime has not been told
 * @t: why an outcome could not be recorded; it is tried again
 *
 * By looking: a victim that is dead gets its record.  One of another boot is gone, and
 * nothing else is claimed.  One that lives on after its time has survived.
 */
void act_settle(struct act *a, const struct setup *s, bool armed, struct trouble *t);

/* Marks in a model who is on its way out, and who came back how often. */
void act_mark(const struct act *a, struct model *m);

/*
 * Takes out of the ended who was killed by the monitor: that has a receipt.  So is who was
 * started anew under a victim's id and gone again by the next look: a restart policy is
 * faster than the removal, which ends that one too.
 */
void act_forget_own(struct act *a, const struct model *now, struct deaths *ended);

/* Whether an act that is carried out in parts may still go on. */
struct act_consent {
	bool (*given)(void *ctx);
	void *ctx;
};

/* How it went, for the report. */
struct act_result {
	bool done;
	struct kill_victim *victims;	/* the plan's RULE_SURPLUS in its order; plan->kills */
	double dead_ms;			/* from the decision until all were seen dead; negative: not */
	double clean_ms;		/* and until the runtime had let them go */
};

/**
 * act_carry_out() - do what a plan says
 * @a: what is remembered
 * @s: what to work with
 * @plan: the plan
 * @m: the model that it rests on
 * @consent: asked before each further part of a plan that is too large for one
 * @exits: what the witness sees is added
 * @ret: how it went; its victims are in use as long as the plan and the model are, then
 *	freed by act_result_free()
 * @t: why it was not done
 *
 * If it was not done, no container was touched.
 */
void act_carry_out(struct act *a, const struct setup *s, const struct plan *plan,
		   const struct model *m, const struct act_consent *consent,
		   struct view_exits *exits, struct act_result *ret, struct trouble *t);

void act_result_free(struct act_result *r);

/* Has a sample of the machine's memory on disk, on its way to the log server. */
void act_record_sample(const struct setup *s, const struct model *m, struct trouble *t);

#endif
