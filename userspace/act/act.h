/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Carrying out a plan, step by step on the event loop: confirm, intend, policy_off, open,
 * last_look, kill (or stop, and last_look and kill when the grace is over), watch, remove,
 * conclude; intents.c has put and close, and settle.c what an earlier monitor left.  The same
 * names stand in tests/model, where the order of these steps was searched for faults.
 */
#ifndef ACT_ACT_H
#define ACT_ACT_H

#include "userspace/act/intents.h"
#include "userspace/context.h"
#include "userspace/core/comeback.h"
#include "userspace/core/death.h"
#include "userspace/core/generation.h"

/* A victim of a plan, for its report. */
struct act_victim {
	char id[MODEL_ID_SIZE];
	struct receipt receipt;		/* without its processes */
	struct intent *intent;		/* as long as it is open */
};

/* How a plan went, for the report; all zeroes: nothing was done. */
struct act_result {
	bool done;			/* its intents were on disk, or it was a dry run */
	struct act_victim *victims;	/* the plan's RULE_SURPLUS in its order */
	size_t count;
	double dead_ms;			/* from the decision until all were seen dead; negative: not */
	double clean_ms;		/* and until the runtime had removed them */
};

/* An outcome that came after its plan's report, or of an earlier monitor's intent. */
struct act_news {
	char id[MODEL_ID_SIZE];
	char name[MODEL_NAME_SIZE];
	enum receipt_outcome outcome;
	char evidence[RECEIPT_EVIDENCE_SIZE];
};

/* Whose end is the monitor's doing. */
struct own_removal {
	uint64_t inode;			/* of the cgroup */
	char id[MODEL_ID_SIZE];
};

struct act {
	struct context *ctx;
	struct intents intents;		/* without an outcome yet, or whose outcome is on its way */
	struct comebacks comebacks;
	struct generation consumed;	/* of the last plan that was carried out */
	size_t noted;			/* of the witness's exits, how many the receipts know */
	struct own_removal *own;	/* until their cgroups are gone */
	size_t own_count;
	struct act_news *news;
	size_t news_count;
	struct batch *batch;		/* of victims, under way; NULL: none */
	struct act_result result;	/* of the plan under way, or of the last one */
	void (*finished)(void *ctx);	/* the plan under way has its outcomes */
	void *finished_ctx;
};

/**
 * act_init() - begin
 * @a: all zeroes
 * @ctx: with its spool and log client, if any
 */
void act_init(struct act *a, struct context *ctx);

/* Takes over what an earlier monitor left; see intents_load(). */
int act_load(struct act *a, const char *text, size_t len);

/**
 * act_begin() - carry out a plan
 * @a: no plan is under way
 * @plan: the plan; not needed afterwards
 * @m: the model that it rests on; likewise
 * @finished: called by the loop, or from within, when each victim has its outcome or is dying
 * @ctx: of @finished
 *
 * The result is in @a->result then, and up to now at any time.
 */
void act_begin(struct act *a, const struct plan *plan, const struct model *m,
	       void (*finished)(void *ctx), void *ctx);

/* Is a plan under way that no other may be begun beside?  Removals go on beside everything. */
bool act_is_busy(const struct act *a);

/*
 * The plan's report is due: what it has come to by now is in @a->result, which is freed by
 * act_result_free(); @finished is not called any more.
 */
void act_take_result(struct act *a, struct act_result *ret);
void act_result_free(struct act_result *r);

/* Somebody has called it off, or may have: what waits for a grace to pass hears of it now. */
void act_call_off(struct act *a);

/*
 * The monitor ends: outcomes of those that are dead are concluded without waiting for the
 * runtime.  What is still open then is on disk, and settled at the next start.
 */
void act_stop(struct act *a);

/* Whether nothing is open that could still be concluded, or put on disk. */
bool act_is_settled(const struct act *a);

/* Goes on with what is open; in each cycle. */
void act_flush(struct act *a);

/* Has the receipts know the exits that came since the last time. */
void act_note_exits(struct act *a);

/* The exits that are forgotten after a cycle; they are at the front of the list. */
void act_forget_noted(struct act *a, size_t count);

/* Marks in a model who is dying, and who came back how often. */
void act_mark(const struct act *a, struct model *m);

/* What is under way with a container that is marked as dying; "" where nothing is. */
void act_open_text(const struct act *a, const struct model_container *c, char *buf, size_t size);

/*
 * Takes out of the ended who was killed by the monitor: that has a receipt.  So is who was
 * started again under a victim's id and gone by the next sample: a restart policy is faster
 * than the removal, which ends that one too.
 */
void act_forget_own(struct act *a, const struct model *now, struct deaths *ended);

/* Drops the news: they were told. */
void act_drop_news(struct act *a);

/* For settle.c: step "conclude", of an intent whose receipt has its facts. */
void act_conclude(struct intent *i);

/* For settle.c: it lives; sets the restart policy back to what it was before, and concludes. */
void act_spare(struct intent *i);

#endif
