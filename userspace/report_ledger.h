/* SPDX-License-Identifier: GPL-2.0 */
/* The cross-check's part of a report. */
#ifndef REPORT_LEDGER_H
#define REPORT_LEDGER_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "userspace/core/decide.h"
#include "userspace/core/ledger.h"

/**
 * report_ledger_text() - what the witness adds to a cycle, for a person
 * @plan: whose books are told
 * @window: what else there is to say
 * @exits_lost: events lost since the last cycle, of all containers
 * @out: where to
 */
void report_ledger_text(const struct plan *plan, const struct ledger_window *window,
			uint64_t exits_lost, FILE *out);

/* Adds the same to a cycle's object. */
void report_ledger_json(const struct plan *plan, const struct ledger_window *window,
			uint64_t exits_lost, cJSON *o);

/* Adds a container's books, if they were compared, to its object. */
void report_books_json(const struct reconcile_books *b, cJSON *o);

#endif
