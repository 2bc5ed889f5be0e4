// SPDX-License-Identifier: GPL-2.0
#include "userspace/act/settle.h"

#include <string.h>

#include "userspace/host/clock.h"

/* Whether the act can't come any more: the plan's age, a stop signal's grace, and a moment. */
#define AFTER_GRACE_US 2000000

static bool is_grace_over(const struct intent *i)
{
	uint64_t now_us = clock_boottime_us();

	return !i->grace_us || now_us < i->intended_us ||
	       now_us - i->intended_us > i->grace_us + AFTER_GRACE_US;
}

static void settle_one(struct act *a, struct intent *i)
{
	struct receipt *r = &i->receipt;

	if (strcmp(i->boot_id, a->ctx->boot_id)) {
		r->found = RECEIPT_ABSENT;
		act_spare(i);
		return;
	}
	r->found = kill_check(a->ctx->cgroup_root, &i->group);
	switch (r->found) {
	case RECEIPT_UNREADABLE:
		return;		/* It may be readable in the next cycle. */
	case RECEIPT_FOUND:
		if (kill_is_pending(a->ctx->cgroup_root, &i->group)) {
			i->dying = true;
			return;
		}
		if (!is_grace_over(i))
			return;
		r->asked_perhaps = i->grace_us != 0;
		/* The runtime may have been told to kill it, and may do so yet. */
		r->forced = i->by_runtime;
		break;
	default:
		break;
	}
	/* Also of one that is dead: whether it is started again is its owner's to say. */
	act_spare(i);
}

void settle(struct act *a)
{
	size_t n;

	for (n = 0; n < a->intents.count; n++) {
		struct intent *i = a->intents.list[n];

		if (!i->ours && i->progress == INTENT_OPEN && !i->restoring)
			settle_one(a, i);
	}
}
