/* SPDX-License-Identifier: GPL-2.0 */
/* HTTP requests, any number at once, with bounds on time and size.  By libcurl. */
#ifndef IO_HTTP_H
#define IO_HTTP_H

#include <stddef.h>

#include "userspace/io/watch.h"

/* CURL_ERROR_SIZE */
#define HTTP_REASON_SIZE 256

struct http_request {
	const char *method;
	const char *unix_socket;	/* NULL: by TCP */
	char *url;			/* freed by http_request_free() */
	const char *body;		/* JSON, sent if not NULL; the caller's */
	long timeout_ms;

	/* The answer. */
	long status;			/* 0: there was none, and reason says why */
	char *answer;			/* ends in NUL; freed by http_request_free() */
	size_t answer_len;
	char reason[HTTP_REASON_SIZE];
};

/* Once, before any thread. Return: 0 or negative errno. */
int http_init(void);

/**
 * http_perform() - do all requests at once and wait for their answers
 * @requests: each with its question filled in and the rest zero
 * @count: their number
 * @watch: attended to meanwhile; NULL: nothing
 *
 * Return: 0 (each request says how it went) or negative errno: none was done.
 */
int http_perform(struct http_request *requests, size_t count, const struct watch *watch);

/* printf() into a new string; NULL: no memory. */
char *http_url(const char *format, ...) __attribute__((format(printf, 1, 2)));

void http_request_free(struct http_request *r);

#endif
