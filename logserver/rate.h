/* SPDX-License-Identifier: GPL-2.0 */
/* How many requests a client may send: a bucket for each, in a table that does not grow. Pure. */
#ifndef LOGSERVER_RATE_H
#define LOGSERVER_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"

struct rate_bucket {
	uint64_t client;   /* 0: nobody's */
	int64_t at_ms;     /* when it was looked at last, */
	double tokens;     /* and what was in it then */
};

struct rate {
	double per_s;      /* 0: no limit */
	struct rate_bucket buckets[LIMITS_RATE_CLIENTS];
};

/* Take one token from @client's bucket, any number but 0; false: it is empty. */
bool rate_take(struct rate *rate, uint64_t client, int64_t now_ms);

#endif
