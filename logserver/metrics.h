/* SPDX-License-Identifier: GPL-2.0 */
/* What the server counts, and how it says so in the OpenMetrics text format. */
#ifndef LOGSERVER_METRICS_H
#define LOGSERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "record.h"
#include "store.h"

#define METRICS_STATUSES 600

struct metrics {
	atomic_uint_fast64_t stored[RECORD_KINDS], duplicates[RECORD_KINDS];
	/* Requests refused as a whole: bad input, and records the disk did not take. */
	atomic_uint_fast64_t rejected[RECORD_KINDS], failed[RECORD_KINDS];
	atomic_uint_fast64_t by_status[METRICS_STATUSES];
};

/* As OpenMetrics, or as the text format that is older than it. @extents are not known
 * while @loaded, the part of the logs that is loaded, is less than 1. */
void metrics_write(FILE *out, const struct metrics *metrics, double loaded,
		   const struct store_extent extents[RECORD_KINDS], bool openmetrics);

#endif
