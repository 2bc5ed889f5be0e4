/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The stored records that a query wants, as text, piece by piece: blocks that
 * cannot have any are not read, nor more of the others than is asked for.
 */
#ifndef LOGSERVER_QUERY_H
#define LOGSERVER_QUERY_H

#include <sys/types.h>

#include "route.h"
#include "store.h"

struct query;

/* Sees what is durable now; later records are not in it. 0 or negative errno. */
int query_open(struct store *store, enum record_kind kind, const struct route_query *wanted,
	       int zone_s, struct query **ret);
void query_close(struct query *query);

/* Where the next page starts; -1: there is none, or the query has no cursor. */
int64_t query_next_cursor(const struct query *query);

/* Up to @size bytes more; 0 at the end, or negative errno. */
ssize_t query_read(struct query *query, char *buffer, size_t size);

#endif
