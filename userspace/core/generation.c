// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/generation.h"

#include <string.h>

enum generation_verdict generation_check(const struct generation *plan,
					 const struct generation *spent, const char *boot_id,
					 uint64_t now_us, uint64_t max_age_us)
{
	if (strcmp(plan->boot_id, boot_id))
		return GENERATION_OTHER_BOOT;
	if (!strcmp(plan->instance, spent->instance) && plan->sequence <= spent->sequence)
		return GENERATION_SPENT;
	/* From the future is as little of now. */
	if (now_us < plan->boot_time_us || now_us - plan->boot_time_us > max_age_us)
		return GENERATION_STALE;
	return GENERATION_CURRENT;
}

const char *generation_text(enum generation_verdict verdict)
{
	switch (verdict) {
	case GENERATION_OTHER_BOOT:
		return "it is of another boot";
	case GENERATION_SPENT:
		return "a plan that rests on this snapshot, or a later one, was carried out already";
	case GENERATION_STALE:
		return "its snapshot is older than the interval by now";
	case GENERATION_CURRENT:
		break;
	}
	return "";
}
