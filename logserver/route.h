/* SPDX-License-Identifier: GPL-2.0 */
/* What a request asks for: method and target in, one of our endpoints out. Pure. */
#ifndef LOGSERVER_ROUTE_H
#define LOGSERVER_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "block.h"
#include "limits.h"
#include "record.h"

enum route_id {
	ROUTE_NONE,
	ROUTE_STORE,    /* POST /logs, /logsmemory */
	ROUTE_RECORDS,  /* GET /logs/all, /logs/memory */
	ROUTE_PAGE,     /* GET /graphs */
	ROUTE_GRAPH,    /* GET /graphs/memory.png and its like */
	ROUTE_DRAW,     /* GET /logs/grafica */
	ROUTE_HEALTH,   /* GET /healthz */
	ROUTE_READY,    /* GET /readyz */
	ROUTE_OPENAPI,  /* GET /openapi.json */
	ROUTE_METRICS,  /* GET /metrics */
};

enum route_format { ROUTE_JSON, ROUTE_NDJSON, ROUTE_CSV };

/* Which records a query wants, and how; 0 or empty where it doesn't say. */
struct route_query {
	struct block_filter filter;
	size_t limit;      /* the newest this many; with a cursor the first this many from there */
	bool has_cursor;
	int64_t cursor;    /* where in the log to start */
	enum route_format format;
	bool has_format;
};

struct route {
	enum route_id id;
	enum record_kind kind;  /* STORE, RECORDS; GRAPH: memory or processes */
	bool svg;               /* GRAPH */
	struct route_query query;
};

/*
 * Find what @method and @target (as on the request line: percent-encoded, with
 * its query) ask for. @zone_s is for times in the query, see timestamp_read().
 *
 * 0; -ENOENT no such path; -EPERM the path is there but not for this method,
 * *ret_allow says which are; -EINVAL bad query, ret_error says why;
 * -E2BIG target too long.
 */
int route_find(const char *method, const char *target, int zone_s, struct route *ret,
	       const char **ret_allow, struct record_error *ret_error);

#endif
