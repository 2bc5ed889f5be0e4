/* SPDX-License-Identifier: GPL-2.0 */
/* A request, for the two parts of the HTTP side only: how it comes (http.c) and
 * what is answered (answer.c). */
#ifndef LOGSERVER_HTTP_REQUEST_H
#define LOGSERVER_HTTP_REQUEST_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "auth.h"
#include "deadline.h"
#include "http.h"
#include "metrics.h"
#include "rate.h"
#include "route.h"

struct http {
	struct http_options options;
	struct MHD_Daemon *daemon;
	struct deadlines *deadlines;
	struct metrics metrics;
	atomic_size_t body_bytes;           /* held by all requests together */
	atomic_int streams;                 /* answers of records under way */
	atomic_int disk_errors[RECORD_KINDS];
	atomic_bool draining;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned int active;                /* requests begun and not completed; by the lock */
	struct rate rate;                   /* by the lock */
	unsigned long long instance;        /* of this start, in ETags of what is not on disk */
};

/* A request from its request line to its completion. */
struct request {
	struct MHD_Connection *connection;
	char *target;
	bool begun;
	struct route route;
	const struct auth_token *token; /* NULL where none is needed */
	char *body;
	size_t body_len, body_capacity;
	size_t dropped;        /* bytes of a refused body */
	time_t deadline;       /* for the body, CLOCK_MONOTONIC */
	unsigned int refusal;  /* status decided before the end of the body; 0: none */
	const char *allow;
	struct record_error error;
};

/* http.c: a header of the request, NULL if it has none. */
const char *request_header(const struct request *request, const char *name);
void request_release_body(struct http *http, struct request *request);

/* answer.c: whether the route can be answered now; if not, it is refused. */
bool request_can_be_answered(struct http *http, struct request *request);
/* Queue the answer that the route asks for, or the refusal. */
enum MHD_Result answer_route(struct http *http, struct request *request);
enum MHD_Result answer_refusal(struct http *http, struct request *request);

/* Note what is wrong with the request as a whole. */
__attribute__((format(printf, 3, 4)))
void request_refuse(struct request *request, unsigned int status, const char *format, ...);

#endif
