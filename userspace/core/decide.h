/* SPDX-License-Identifier: GPL-2.0 */
/* Who stays, who goes, and by which rule.  Pure: a plan, which act carries out. */
#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

#include "userspace/core/classify.h"
#include "userspace/core/model.h"
#include "userspace/core/reconcile.h"

/* In the order they are asked in: the first that applies decides. */
enum rule {
	RULE_SELF,		/* the monitor runs in it */
	RULE_LOG_SERVER,
	RULE_PROTECTED,		/* label sysinfo.protect=true */
	RULE_UNKNOWN,		/* the runtime doesn't list it */
	RULE_NOT_RUNNING,	/* paused, restarting, being removed */
	RULE_NEW,		/* no whole window seen */
	RULE_UNREADABLE,	/* its memory is not known */
	RULE_DISPUTED,		/* the sources disagree on what it used */
	RULE_KEPT,		/* within the quota of its class */
	RULE_SURPLUS,		/* beyond it: removed */
};

struct decide_policy {
	uint32_t keep_high;	/* the heaviest of the high stay */
	uint32_t keep_low;	/* the lightest of the low stay */
};

struct decision {
	const struct model_container *container;
	const struct reconcile_books *books;
	enum class class;
	enum rule rule;
	uint32_t rank;		/* in its class, 1: first to be kept; 0: not ranked */
};

struct plan {
	/* The snapshot it rests on. */
	char instance[64];
	uint64_t sequence;
	struct decision *decisions;	/* high, low, then unknown; in order of rank */
	size_t count;
	size_t kills;
};

/**
 * decide() - make the plan
 * @m: the model, compared with the last one; must outlive the plan
 * @classes: of its containers, by classify()
 * @books: of its containers, by reconcile(); must outlive the plan
 * @policy: the quotas
 * @ret: the plan; the caller frees it with plan_free()
 *
 * Only containers that nothing speaks for keeping are ranked and fill the quotas.
 *
 * Return: 0 or -ENOMEM.
 */
int decide(const struct model *m, const enum class *classes, const struct reconcile_books *books,
	   const struct decide_policy *policy, struct plan **ret);

/* A sentence's end for the user: "stays: …". */
const char *rule_text(enum rule rule);

/* NULL is no error. */
void plan_free(struct plan *p);

#endif
