/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One step of judging: what was seen at two moments, and what is remembered -> a plan.
 * The daemon, the replay of a recording, the property test and the fuzzers all call this,
 * and nothing else decides.  Pure.
 */
#ifndef CORE_JUDGE_H
#define CORE_JUDGE_H

#include "userspace/core/brake.h"
#include "userspace/core/decide.h"
#include "userspace/core/ledger.h"

struct judge_policy {
	struct classify_policy classify;
	struct measure_policy measure;
	struct decide_policy decide;
	struct reconcile_policy reconcile;
	struct brake_policy brake;
};

/* What was seen at one moment.  What it points to is the caller's. */
struct judge_sight {
	struct model *model;	/* with all that a caller fills in */
	bool witness;
	struct ledger_reading reading;	/* the witness's, if there is one */
	const struct ledger_exit *exits;	/* told of since the sight before */
	size_t exit_count;
	uint64_t skew_us;	/* from the snapshot until all was read */
	/* How long the machine has slept since it was booted, before and after the snapshot. */
	uint64_t slept_before_us, slept_after_us;
};

/* What is remembered from step to step; all zeroes: nothing, and armed. */
struct judge {
	struct ledger ledger;
	struct measure_state measures;
	struct brake brake;
};

/* What a step came to. */
struct judgement {
	struct plan *plan;	/* NULL: there was no window, so nothing is decided */
	bool slept;		/* for the machine slept in it */
	struct brake_answer brake;
	struct ledger_window window;
	/* What the plan points into. */
	struct measure *measures;
	struct reconcile_books *books;
};

/**
 * judge_step() - judge what is seen
 * @j: what is remembered
 * @policy: by what; must outlive the judgement
 * @now: what is seen; its model is compared with the last one, and must outlive the
 *	judgement
 * @last: what was seen before; NULL: there was nothing, or it was missed
 * @ret: the judgement; the caller frees it with judgement_free(), also after a failure
 *
 * The plan says who is surplus; that it may be carried out says @ret->brake.act.  Without
 * a window (see model_compare()) there is no plan, and the longer windows begin anew.
 * In sleep nobody uses a CPU: a window with more than a twentieth of it is none, lest who
 * is heavy be taken for light.
 *
 * Return: 0 or -ENOMEM, and then nothing may be carried out.
 */
int judge_step(struct judge *j, const struct judge_policy *policy, const struct judge_sight *now,
	       const struct judge_sight *last, struct judgement *ret);

void judgement_free(struct judgement *g);

/* What was not seen breaks the longer windows; the brakes and the mode stay. */
void judge_blind(struct judge *j);

/* Frees what is remembered; the mode stays. */
void judge_forget(struct judge *j);

#endif
