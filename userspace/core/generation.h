/* SPDX-License-Identifier: GPL-2.0 */
/* Which snapshot a plan rests on, and whether it may still be carried out.  Pure. */
#ifndef CORE_GENERATION_H
#define CORE_GENERATION_H

#include <stdint.h>

/* "0f9c2b1e-0000-4000-8000-000000000001" */
#define GENERATION_UUID_SIZE 64

struct generation {
	char boot_id[GENERATION_UUID_SIZE];	/* of the kernel */
	char instance[GENERATION_UUID_SIZE];	/* of the module */
	uint64_t sequence;			/* of the snapshot; 0: none */
	uint64_t boot_time_us;			/* CLOCK_BOOTTIME when it was taken */
};

enum generation_verdict {
	GENERATION_CURRENT,
	GENERATION_OTHER_BOOT,
	GENERATION_SPENT,	/* a plan of this snapshot, or a later one, was carried out */
	GENERATION_STALE,	/* the machine slept, or we were stopped */
};

/**
 * generation_check() - may a plan be carried out?
 * @plan: the generation it is bound to
 * @spent: that of the last plan that was carried out; sequence 0: there was none
 * @boot_id: of the kernel that runs now
 * @now_us: CLOCK_BOOTTIME
 * @max_age_us: how old the snapshot may be
 *
 * Each snapshot serves one plan at most: what a plan saw is true no more once it was
 * carried out.
 */
enum generation_verdict generation_check(const struct generation *plan,
					 const struct generation *spent, const char *boot_id,
					 uint64_t now_us, uint64_t max_age_us);

/* What is wrong with it, for the user. */
const char *generation_text(enum generation_verdict verdict);

#endif
