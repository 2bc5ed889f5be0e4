// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* sd-event may delay a timer by 250 ms to save wake-ups unless it is told an accuracy. */
#define TIMER_ACCURACY_US 1000

struct http {
	sd_event *event;
	sd_event_source *timer;
	sd_event_source *finish;	/* for what has ended within http_request() */
	CURLM *multi;
	struct curl_slist *headers;
	struct http_call *calls;	/* under way */
};

/* A request with what libcurl needs for it. */
struct http_call {
	struct http_request request;
	struct http *http;
	struct http_call *next, **link;
	CURL *easy;
	char *url, *body;
	size_t answer_room;
	http_data_fn *on_data;
	http_done_fn *on_done;
	void *ctx;
};

static void call_free(struct http_call *c)
{
	if (c->link) {
		*c->link = c->next;
		if (c->next)
			c->next->link = c->link;
	}
	if (c->easy) {
		curl_multi_remove_handle(c->http->multi, c->easy);
		curl_easy_cleanup(c->easy);
	}
	free(c->request.answer);
	free(c->url);
	free(c->body);
	free(c);
}

static void finish(struct http_call *c, CURLcode result)
{
	struct http_request *r = &c->request;

	if (result == CURLE_OK)
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &r->status);
	else if (!r->reason[0])
		snprintf(r->reason, sizeof(r->reason), "%s", curl_easy_strerror(result));
	c->on_done(r, c->ctx);
	call_free(c);
}

/* Calls back for all that have ended.  A callback may begin and cancel other requests. */
static void finish_all(struct http *h)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(h->multi, &left))) {
		struct http_call *c = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		finish(c, message->data.result);
	}
}

static int on_timer(sd_event_source *source, uint64_t at_us, void *ctx)
{
	struct http *h = ctx;
	int running;

	(void)source;
	(void)at_us;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_all(h);
	return 0;
}

static int on_finish(sd_event_source *source, void *ctx)
{
	(void)source;
	finish_all(ctx);
	return 0;
}

/* libcurl's wish: to be called after so long; -1: not at all (CURLMOPT_TIMERFUNCTION(3)). */
static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	struct http *h = ctx;

	(void)multi;
	if (timeout_ms < 0)
		return sd_event_source_set_enabled(h->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(h->timer, (uint64_t)timeout_ms * 1000) < 0)
		return -1;
	return sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct http *h = ctx;
	int running;
	int mask = (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP) ? CURL_CSELECT_IN : 0) |
		   (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		   (events & EPOLLERR ? CURL_CSELECT_ERR : 0);

	(void)source;
	curl_multi_socket_action(h->multi, fd, mask, &running);
	finish_all(h);
	return 0;
}

/* libcurl's wish: to be told of a socket (CURLMOPT_SOCKETFUNCTION(3)). */
static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct http *h = ctx;
	sd_event_source *source = socket_ctx;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(h->multi, fd, NULL);
		sd_event_source_disable_unref(source);
		return 0;
	}
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	if (sd_event_add_io(h->event, &source, fd, events, on_socket, h) < 0)
		return -1;
	curl_multi_assign(h->multi, fd, source);
	return 0;
}

int http_new(sd_event *event, struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));
	int err = -ENOMEM;

	if (!h)
		return -ENOMEM;
	h->event = event;
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(h);
		return -EIO;
	}
	h->multi = curl_multi_init();
	h->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!h->multi || !h->headers)
		goto fail;
	err = sd_event_add_time_relative(event, &h->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_US,
					 on_timer, h);
	if (err >= 0)
		err = sd_event_add_defer(event, &h->finish, on_finish, h);
	if (err < 0)
		goto fail;
	sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(h->finish, SD_EVENT_OFF);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	*ret = h;
	return 0;
fail:
	http_free(h);
	return err;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	while (h->calls)
		call_free(h->calls);
	curl_multi_cleanup(h->multi);
	curl_slist_free_all(h->headers);
	sd_event_source_disable_unref(h->timer);
	sd_event_source_disable_unref(h->finish);
	free(h);
}

static bool keep(struct http_call *c, const char *data, size_t len)
{
	struct http_request *r = &c->request;

	if (len > HTTP_ANSWER_MAX - r->answer_len) {
		snprintf(r->reason, sizeof(r->reason), "the answer is longer than %u bytes",
			 HTTP_ANSWER_MAX);
		return false;
	}
	if (r->answer_len + len >= c->answer_room) {
		size_t room = 2 * (r->answer_len + len) + 4096;
		char *more = realloc(r->answer, room);

		if (!more)
			return false;
		r->answer = more;
		c->answer_room = room;
	}
	memcpy(r->answer + r->answer_len, data, len);
	r->answer_len += len;
	r->answer[r->answer_len] = '\0';
	return true;
}

static size_t on_answer(char *data, size_t size, size_t count, void *ctx)
{
	struct http_call *c = ctx;
	size_t len = size * count;
	long status = 0;

	if (!c->on_data)
		return keep(c, data, len) ? len : 0;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	/* What comes with another status is a message. */
	if (status != 200)
		return keep(c, data, len) ? len : 0;
	return c->on_data(&c->request, c->ctx, data, len) ? 0 : len;
}

static bool set_up(struct http_call *c, const struct http_question *q)
{
	CURL *e = c->easy;

	curl_easy_setopt(e, CURLOPT_URL, c->url);
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, q->timeout_ms);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs is a thread that curl_easy_cleanup() would wait for otherwise. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	/* The server is near: a proxy of the user's environment is not meant for it. */
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->request.reason);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	if (q->unix_socket)
		curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
	if (c->body) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, c->body);
		curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->http->headers);
	}
	return !curl_multi_add_handle(c->http->multi, e);
}

int http_request(struct http *h, const struct http_question *q, struct http_request **ret)
{
	struct http_call *c = calloc(1, sizeof(*c));
	int err = -ENOMEM, running;

	if (!c)
		return -ENOMEM;
	c->http = h;
	c->request.call = c;
	c->on_data = q->on_data;
	c->on_done = q->on_done;
	c->ctx = q->ctx;
	c->url = q->url ? strdup(q->url) : NULL;
	c->request.answer = calloc(1, 1);
	if (q->body) {
		c->body = malloc(q->body_len + 1);
		if (!c->body)
			goto fail;
		memcpy(c->body, q->body, q->body_len);
	}
	c->easy = curl_easy_init();
	if (!c->url || !c->request.answer || !c->easy)
		goto fail;
	if (!set_up(c, q)) {
		err = -EIO;
		goto fail;
	}
	/*
	 * It is sent now, as far as it can be: whoever asks has just made sure that it may be asked,
	 * and in the loop's next turn that may have been called off.
	 */
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	sd_event_source_set_enabled(h->finish, SD_EVENT_ONESHOT);
	c->next = h->calls;
	c->link = &h->calls;
	if (h->calls)
		h->calls->link = &c->next;
	h->calls = c;
	if (ret)
		*ret = &c->request;
	return 0;
fail:
	call_free(c);
	return err;
}

void http_cancel(struct http_request *r)
{
	if (r)
		call_free(r->call);
}

char *http_url(const char *format, ...)
{
	char *url;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&url, format, ap);
	va_end(ap);
	return n < 0 ? NULL : url;
}

char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}
