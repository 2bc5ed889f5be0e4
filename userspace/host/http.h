/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HTTP requests on the event loop, any number at once, with bounds on time and size.  By
 * libcurl's multi interface: nothing here waits.
 */
#ifndef HOST_HTTP_H
#define HOST_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

/* CURL_ERROR_SIZE */
#define HTTP_REASON_SIZE 256
/* Of an answer that is kept whole; an inspected container has some 10 KiB, a picture 100. */
#define HTTP_ANSWER_MAX (4u << 20)

struct http;
struct http_request;

typedef void http_done_fn(struct http_request *r, void *ctx);
/* Return: 0; anything else ends the request with status 0. */
typedef int http_data_fn(struct http_request *r, void *ctx, const char *data, size_t len);

/* Made by http_request(); freed by the library after its on_done, or by http_cancel(). */
struct http_request {
	/* The answer. */
	long status;			/* 0: there was none, or not a whole one; reason says why */
	char *answer;			/* ends in NUL, never NULL in on_done; "" if there is on_data */
	size_t answer_len;
	char reason[HTTP_REASON_SIZE];
	struct http_call *call;		/* private */
};

/* What is asked.  All strings are copied. */
struct http_question {
	const char *method;
	const char *unix_socket;	/* NULL: by TCP */
	const char *url;
	const char *body;		/* JSON; NULL: none */
	size_t body_len;
	long timeout_ms;		/* for all of it */
	http_data_fn *on_data;		/* of an answer with status 200; NULL: it is kept */
	http_done_fn *on_done;
	void *ctx;
};

/**
 * http_new() - begin to use HTTP on an event loop
 * @event: the loop; must outlive it
 * @ret: freed by http_free()
 *
 * Return: 0 or negative errno.
 */
int http_new(sd_event *event, struct http **ret);

/* Cancels all requests; their on_done is not called.  NULL is no error. */
void http_free(struct http *h);

/**
 * http_request() - ask
 * @h: the connection of libcurl to the loop
 * @q: what is asked
 * @ret: the request, for http_cancel(); may be NULL.  Invalid once on_done has returned
 *
 * It is sent at once as far as it can be.  on_done is called once, from the loop, never from
 * within this function.
 *
 * Return: 0, or negative errno: then on_done is not called.
 */
int http_request(struct http *h, const struct http_question *q, struct http_request **ret);

/* Ends it without a call of its on_done.  NULL is no error. */
void http_cancel(struct http_request *r);

/* printf() into a new string; NULL: no memory. */
char *http_url(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Copies @text, with all but letters, digits, "-", "_", "." and "~" as %XX (RFC 3986, 2.1). */
char *http_escape(const char *text);

#endif
