/* SPDX-License-Identifier: GPL-2.0 */
/* The server's side of HTTP: libmicrohttpd's callbacks, and nothing else. */
#ifndef LOGSERVER_HTTP_H
#define LOGSERVER_HTTP_H

#include "auth.h"
#include "graphs.h"
#include "store.h"

struct http;

struct http_options {
	int listen_fd;       /* a listening socket; http_stop() closes it */
	struct store *store;
	struct graphs *graphs;
	const char *images;  /* directory for /logs/grafica */
	const struct auth *auth;      /* who is let in; NULL: everyone */
	double client_rate;           /* requests a second for each client; 0: no limit */
	const char *tls_certificate;  /* as PEM; NULL: no TLS */
	const char *tls_key;
	int zone_s;          /* see timestamp_read() */
	/* Told, from any thread, when the disk stops or starts taking records (err 0). */
	void (*disk_changed)(enum record_kind kind, int err);
};

/* 0 or negative errno. */
int http_start(const struct http_options *options, struct http **ret);

/* Take no more connections, let what is under way end (for LIMITS_DRAIN_S), stop. */
void http_stop(struct http *http);

#endif
