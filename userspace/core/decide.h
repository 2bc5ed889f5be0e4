/* SPDX-License-Identifier: GPL-2.0 */
/* Who stays, who goes, and by which rule.  Pure: a plan, which act carries out. */
#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

#include "userspace/core/classify.h"
#include "userspace/core/generation.h"
#include "userspace/core/model.h"
#include "userspace/core/reconcile.h"
#include "userspace/core/scope.h"

/* In the order they are asked in: the first that applies decides. */
enum rule {
	RULE_SELF,		/* the monitor runs in it */
	RULE_LOG_SERVER,
	RULE_PROTECTED,		/* label sysinfo.protect=true */
	RULE_DYING,		/* told to die, and not dead yet */
	RULE_UNKNOWN,		/* the runtime doesn't list it */
	RULE_NOT_RUNNING,	/* paused, restarting, being removed */
	RULE_SPARED,		/* protected by a pattern of the policy */
	RULE_OUT_OF_SCOPE,	/* the policy doesn't govern it */
	RULE_LABELS,		/* whether one of these two applies can't be known */
	RULE_COMES_BACK,	/* killed as often as the policy allows */
	RULE_NEW,		/* no whole window seen */
	RULE_YOUNG,		/* below the minimum age */
	RULE_UNREADABLE,	/* its memory is not known */
	RULE_DISPUTED,		/* the sources disagree on what it used */
	RULE_KEPT,		/* within the quota of its class */
	RULE_SURPLUS,		/* beyond it: removed */
};

struct decide_policy {
	uint32_t keep_high;	/* the heaviest of the high stay */
	uint32_t keep_low;	/* the lightest of the low stay */
	uint64_t min_age_us;	/* who is younger stays */
	uint32_t give_up;	/* who was killed so often, and is there again, stays; 0: never */
	struct scope scope;	/* who is governed at all; empty: everyone */
	struct scope protect;	/* who stays whatever it uses */
};

struct decision {
	const struct model_container *container;
	const struct reconcile_books *books;
	const struct measure *measure;
	const struct scope_pattern *pattern;	/* of RULE_SPARED: the one that matched */
	enum class class;
	enum rule rule;
	uint32_t rank;		/* in its class, 1: first to be kept; 0: not ranked */
	uint32_t quota;		/* of its class */
	/* The grounds of its class, filled in by judge_step(). */
	enum classifier classifier;
	uint32_t cpu_line_centi;
	uint64_t memory_line_bytes;
	bool held;		/* high by the hysteresis alone */
	bool told;		/* of RULE_SURPLUS: it was already, within the last hour */
};

struct plan {
	struct generation generation;	/* the snapshot it rests on */
	struct decision *decisions;	/* high, low, then unknown; in order of rank */
	size_t count;
	size_t kills;
};

/**
 * decide() - make the plan
 * @m: the model, compared with the last one; must outlive the plan
 * @measures: of its containers, by measure_step(); must outlive the plan
 * @classes: of its containers, by classify()
 * @books: of its containers, by reconcile(); must outlive the plan
 * @policy: the quotas and who is spared; must outlive the plan
 * @ret: the plan; the caller frees it with plan_free()
 *
 * Only containers that nothing speaks for keeping are ranked and fill the quotas.
 *
 * Return: 0 or -ENOMEM.
 */
int decide(const struct model *m, const struct measure *measures, const enum class *classes,
	   const struct reconcile_books *books, const struct decide_policy *policy,
	   struct plan **ret);

/* A sentence's end for the user: "stays: …". */
const char *rule_text(enum rule rule);

/* NULL is no error. */
void plan_free(struct plan *p);

#endif
