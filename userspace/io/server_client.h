/* SPDX-License-Identifier: GPL-2.0 */
/* Sends what waits in the spool to the log server, in a thread of its own: a slow server
 * must not hold up the loop. */
#ifndef IO_SERVER_CLIENT_H
#define IO_SERVER_CLIENT_H

#include "userspace/io/http.h"
#include "userspace/io/spool.h"

struct server_client;

struct server_status {
	bool tried;
	bool reachable;		/* the last request was taken */
	uint64_t batches_sent;
	uint64_t batches_refused;
	char reason[HTTP_REASON_SIZE];	/* of the last failure */
};

/**
 * server_client_start() - begin to send
 * @spool: what is sent; must outlive the client
 * @url: of the log server, without a path
 * @ret: the client; ended by server_client_stop()
 *
 * Return: 0 or negative errno.
 */
int server_client_start(struct spool *spool, const char *url, struct server_client **ret);

/* There is something new in the spool. */
void server_client_kick(struct server_client *c);

void server_client_status(struct server_client *c, struct server_status *ret);

/*
 * Sends what it can within @drain_ms, then ends.  What is left stays in the spool.  NULL is
 * no error.  Return: whether the log server took what it was sent last.
 */
bool server_client_stop(struct server_client *c, long drain_ms);

/**
 * server_draw() - have the graphs drawn, and fetch them
 * @url: of the log server
 * @folder: Memory.png and Processes.png are put there; made if it isn't there
 * @reason: on failure, one line for the user (HTTP_REASON_SIZE)
 *
 * Return: 0 or negative errno.
 */
int server_draw(const char *url, const char *folder, char *reason);

#endif
