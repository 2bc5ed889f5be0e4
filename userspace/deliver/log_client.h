/* SPDX-License-Identifier: GPL-2.0 */
/* Keeps records on disk, and sends what waits there to the log server. */
#ifndef DELIVER_LOG_CLIENT_H
#define DELIVER_LOG_CLIENT_H

#include "userspace/deliver/spool.h"
#include "userspace/host/http.h"

struct log_client;

struct log_status {
	bool tried;
	bool reachable;		/* the last request was taken */
	uint64_t batches_sent;
	uint64_t batches_refused;	/* since the start of the monitor */
	uint64_t samples_dropped;	/* the oldest, for want of room or of a disk that keeps up */
	size_t waiting;		/* batches on disk */
	/* Of the last failure; holds what a server answered, unescaped. */
	char reason[HTTP_REASON_SIZE + 256];
};

/**
 * log_client_new() - begin
 * @event: the loop
 * @http: for the requests; must outlive it
 * @spool: started; must outlive it.  What waits in it is given by log_client_add()
 * @url: of the log server, without a path; NULL: nothing is sent, all is kept
 * @ret: freed by log_client_free()
 */
int log_client_new(sd_event *event, struct http *http, struct spool *spool, const char *url,
		   struct log_client **ret);

/* Batches that an earlier monitor left.  Return: 0 or -ENOMEM. */
int log_client_add(struct log_client *c, const struct spool_batch *batches, size_t count);

/**
 * log_client_put() - have a batch on disk, and send it
 * @body: a JSON array; ends in NUL
 * @done: has 0 once it is durable on disk; NULL: nobody wants to know
 *
 * Of too many samples the oldest is dropped; and where a kill finds no room on the disk,
 * samples are dropped for it, oldest first.
 *
 * Return: 0, or negative errno: then @done is not called.
 */
int log_client_put(struct log_client *c, enum spool_kind kind, const char *body, spool_done_fn *done,
		   void *ctx);

void log_client_status(const struct log_client *c, struct log_status *ret);

/*
 * The end is near: tries at once, and calls @done, from the loop, when nothing waits any more
 * or what waits would be tried again only after a pause.  The caller sets the time limit.
 */
void log_client_drain(struct log_client *c, void (*done)(void *ctx), void *ctx);

/* What is left stays on disk.  NULL is no error. */
void log_client_free(struct log_client *c);

#endif
