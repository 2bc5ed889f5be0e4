/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a plan may be carried out: the mode, and the brakes that change it.  Pure. */
#ifndef CORE_BRAKE_H
#define CORE_BRAKE_H

#include "userspace/core/decide.h"

enum brake_mode {
	BRAKE_ARMED,
	BRAKE_DISARMED,	/* by hand, or by the brakes; looks on */
	BRAKE_DRY_RUN,	/* for good */
};

struct brake_policy {
	uint32_t cycle;	/* kills in a cycle, at most */
	uint32_t hour;	/* in an hour */
	uint32_t image;	/* of one image in an hour */
};

#define BRAKE_REASON_SIZE 400

/* A death within the last hour, or one that a dry run would have brought. */
struct brake_kill;

/* All zeroes: armed, and nobody killed yet. */
struct brake {
	enum brake_mode mode;
	char why[BRAKE_REASON_SIZE];	/* it is disarmed */
	struct brake_kill *kills;	/* by id */
	size_t count;
};

struct brake_answer {
	enum brake_mode mode;	/* afterwards */
	bool act;		/* the plan may be carried out, or would be in a dry run */
	char reason[BRAKE_REASON_SIZE];	/* the limit that would have been passed; "": none */
};

const char *brake_mode_name(enum brake_mode mode);

/**
 * brake_check() - may this plan be carried out?
 * @b: what was killed in the last hour; if it may, its victims are counted, and their
 *	decisions say whether they had been already
 * @plan: the plan
 * @policy: the limits
 * @now_us: CLOCK_BOOTTIME
 *
 * A plan that would pass a limit is not carried out at all, and it disarms.  A container
 * counts once in an hour, however often it is attempted; images count by their names.
 *
 * Return: 0 or -ENOMEM, and then nothing may be carried out.
 */
int brake_check(struct brake *b, struct plan *plan, const struct brake_policy *policy,
		uint64_t now_us, struct brake_answer *ret);

/* By hand.  Armed again, the hour begins anew: who arms has seen the reason.  A dry run
 * stays one. */
void brake_arm(struct brake *b);
void brake_disarm(struct brake *b, const char *why);

/* Forgets all kills; the mode stays. */
void brake_forget(struct brake *b);

#endif
