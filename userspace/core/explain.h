/* SPDX-License-Identifier: GPL-2.0 */
/* A decision in words and figures, the same for reports, records and people.  Pure. */
#ifndef CORE_EXPLAIN_H
#define CORE_EXPLAIN_H

#include <cjson/cJSON.h>

#include "userspace/core/decide.h"

#define EXPLAIN_SIZE 320

/*
 * Whose word decided: "module", "scheduler" (the witness), "cgroup", two of them ("… and cgroup"),
 * "runtime", "policy", or "monitor" (of where it runs itself, and of what it did).
 */
const char *explain_source(const struct decision *d);

/**
 * explain_why() - the rule that decided, with what it rests on
 * @d: the decision
 * @buf: one line, which may hold any byte of a label's or name's pattern; EXPLAIN_SIZE
 */
void explain_why(const struct decision *d, char *buf);

/**
 * explain_add() - add a decision's grounds to a JSON object
 * @o: gets rank, quota, window_cycles, memory (bytes that it was judged by), cpu_line and
 *	cpu_distance (percent of one CPU), memory_line and memory_distance (bytes; the
 *	lines where there are any: negative is below), source and why, escaped
 *
 * Return: 0 or -ENOMEM.
 */
int explain_add(cJSON *o, const struct decision *d);

#endif
