/* SPDX-License-Identifier: GPL-2.0 */
/* Records as CSV (RFC 4180): a column for each known field, in the contract's order. Pure. */
#ifndef LOGSERVER_CSV_H
#define LOGSERVER_CSV_H

#include "record.h"

/* Every character doubled; for every field quotes, a mark, a comma, or a number. */
#define CSV_ROW_BYTES (2 * LIMITS_RECORD_BYTES + 32 * LIMITS_RECORD_FIELDS + 2)

/* Both give the length of the text in @row, which holds CSV_ROW_BYTES. */
size_t csv_heading(enum record_kind kind, char *row);
/*
 * @line is a stored line. Strings are in quotes; one that a spreadsheet would
 * take for a formula has an apostrophe before it.
 */
size_t csv_row(enum record_kind kind, const char *line, size_t len, char *row);

#endif
