/* SPDX-License-Identifier: GPL-2.0 */
/* What a person, or a program, is told of a cycle. */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "userspace/act/act.h"
#include "userspace/config.h"
#include "userspace/container_exits.h"
#include "userspace/core/brake.h"
#include "userspace/core/ledger.h"
#include "userspace/deliver/log_client.h"

/* One cycle, as it went. */
struct report {
	int64_t unix_ms;
	long cycle;
	const struct config *config;
	const struct brake *brake;		/* the mode, and why */
	const struct model *model;
	const struct plan *plan;		/* NULL: nothing was decided, and problem says why */
	const struct act_result *act;		/* NULL: nothing was done */
	const struct act *open;			/* kills that are not over; NULL: it is a replay */
	/* What is under way with one of those; act_open_text(), which a replay does without. */
	void (*open_text)(const struct act *open, const struct model_container *c, char *buf, size_t size);
	const struct deaths *ended;		/* NULL: who ended isn't known */
	bool witness;				/* over the whole window; the rest is of it */
	const struct ledger_window *window;
	uint64_t exits_lost;
	struct log_status server;
	const char *problem;			/* NULL: none */
};

void report_text(const struct report *r, FILE *out);

/* Every container with its numbers, its class and the grounds of its verdict, as a table. */
void report_explain(const struct report *r, FILE *out);

/* One line. */
void report_json(const struct report *r, FILE *out);

#endif
