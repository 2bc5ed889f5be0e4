// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/reconcile.h"

const char *reconcile_verdict_name(enum reconcile_verdict verdict)
{
	switch (verdict) {
	case RECONCILE_AGREED:
		return "agreed";
	case RECONCILE_DISPUTED:
		return "disputed";
	case RECONCILE_NONE:
		break;
	}
	return "none";
}

const char *reconcile_source_name(enum reconcile_source source)
{
	switch (source) {
	case RECONCILE_SCHEDULER:
		return "scheduler";
	case RECONCILE_CGROUP:
		return "cgroup";
	case RECONCILE_MODULE:
		break;
	}
	return "module";
}

/* What the module and the exits come to at the moment the witness was read. */
static uint64_t explained_us(const struct reconcile_books *b)
{
	uint64_t us = b->module_us + b->exited_us;

	if (b->skew_us < 0 && (uint64_t)-b->skew_us > us)
		return 0;
	return us + (uint64_t)b->skew_us;
}

/*
 * How far @us is from what is explained.  A process that joined may have used part of its
 * CPU elsewhere, so much less may the others have counted; lost events were as much more.
 */
static uint64_t unexplained(const struct reconcile_books *b, uint64_t us)
{
	uint64_t explained = explained_us(b), most = explained + b->lost_us;
	uint64_t least = explained > b->joined_us ? explained - b->joined_us : 0;

	if (us < least)
		return least - us;
	return us > most ? us - most : 0;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

void reconcile(struct reconcile_books *b, uint64_t skew_us, const struct reconcile_policy *policy)
{
	uint64_t explained = explained_us(b);
	uint64_t largest = explained > b->scheduler_us ? explained : b->scheduler_us;
	uint64_t ms = unexplained(b, b->scheduler_us);
	uint64_t mc = 0, sc = 0;

	b->verdict = RECONCILE_NONE;
	if (!b->has_witness)
		return;
	b->apart_us = ms;
	b->odd = RECONCILE_MODULE;
	if (b->has_cgroup) {
		mc = unexplained(b, b->cgroup_us);
		sc = apart(b->scheduler_us, b->cgroup_us);
		if (b->cgroup_us > largest)
			largest = b->cgroup_us;
		if (mc > b->apart_us)
			b->apart_us = mc;
		if (sc > b->apart_us)
			b->apart_us = sc;
		/* The pair that is nearest to each other leaves the odd one out. */
		if (ms <= mc && ms <= sc)
			b->odd = RECONCILE_CGROUP;
		else if (mc <= ms && mc <= sc)
			b->odd = RECONCILE_SCHEDULER;
	}
	b->tolerance_us = policy->tolerance_us + largest * policy->tolerance_permille / 1000 + skew_us;
	b->verdict = b->apart_us <= b->tolerance_us ? RECONCILE_AGREED : RECONCILE_DISPUTED;
}

void reconcile_add(struct reconcile_books *to, const struct reconcile_books *b)
{
	to->has_witness |= b->has_witness;
	to->has_cgroup |= b->has_cgroup;
	to->module_us += b->module_us;
	to->exited_us += b->exited_us;
	to->dark_us += b->dark_us;
	to->skew_us += b->skew_us;
	to->joined_us += b->joined_us;
	to->lost_us += b->lost_us;
	to->scheduler_us += b->scheduler_us;
	to->cgroup_us += b->cgroup_us;
	to->exits += b->exits;
	to->exits_lost += b->exits_lost;
	to->oom_exits += b->oom_exits;
	to->oom_kills += b->oom_kills;
}

uint32_t reconcile_explained(const struct reconcile_books *b, bool witness)
{
	uint64_t us = witness ? explained_us(b) : b->module_us;
	uint64_t of = b->has_cgroup ? b->cgroup_us : b->scheduler_us;

	return us >= of ? 10000 : (uint32_t)((double)us * 10000 / (double)of);
}
