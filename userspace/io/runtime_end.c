// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/runtime_end.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/io/http.h"
#include "userspace/io/json.h"

/* "SIGRTMIN+15" is the longest. */
#define SIGNAL_SIZE 16

/* Asks all at once.  Return: the requests with their answers; NULL: none was done. */
static struct http_request *ask(const struct runtime_call *call, const char *method,
				char *(*url)(const void *item), const void *items, size_t size,
				size_t count, long timeout_ms)
{
	struct http_request *requests = calloc(count + 1, sizeof(*requests));
	size_t i;

	if (!requests)
		return NULL;
	for (i = 0; i < count; i++)
		requests[i] = (struct http_request){
			.method = method,
			.unix_socket = call->socket,
			.url = url((const char *)items + i * size),
			.timeout_ms = timeout_ms,
		};
	if (!http_perform(requests, count, call->watch))
		return requests;
	for (i = 0; i < count; i++)
		http_request_free(&requests[i]);
	free(requests);
	return NULL;
}

static void forget(struct http_request *requests, size_t count)
{
	size_t i;

	for (i = 0; requests && i < count; i++)
		http_request_free(&requests[i]);
	free(requests);
}

/* --- stop --------------------------------------------------------------------- */

/* An image names its signal; what isn't one's name or number is not passed on. */
static void read_stop_signal(const struct http_request *r, char *buf)
{
	cJSON *o = r->status == 200 ? cJSON_ParseWithLength(r->answer, r->answer_len) : NULL;
	const char *s = json_text(cJSON_GetObjectItemCaseSensitive(o, "Config"), "StopSignal");
	size_t i, len = strlen(s);

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '+' && s[i] != '-')
			break;
	snprintf(buf, SIGNAL_SIZE, "%s", len && i == len && len < SIGNAL_SIZE ? s : "SIGTERM");
	cJSON_Delete(o);
}

struct stop {
	const char *id;
	char signal[SIGNAL_SIZE];
};

static char *inspect_url(const void *item)
{
	const struct stop *s = item;

	return http_url("http://runtime/containers/%s/json", s->id);
}

static char *signal_url(const void *item)
{
	const struct stop *s = item;
	const char *plus = strchr(s->signal, '+');

	/* In a query a plus would be a space. */
	return plus ? http_url("http://runtime/containers/%s/kill?signal=%.*s%%2B%s", s->id,
			       (int)(plus - s->signal), s->signal, plus + 1) :
		      http_url("http://runtime/containers/%s/kill?signal=%s", s->id, s->signal);
}

void runtime_stop(const struct runtime_call *call, struct runtime_stop *list, size_t count,
		  long timeout_ms)
{
	struct stop *stops = calloc(count + 1, sizeof(*stops));
	struct http_request *requests = NULL;
	size_t i;

	if (!stops)
		return;
	for (i = 0; i < count; i++)
		stops[i].id = list[i].id;
	requests = ask(call, "GET", inspect_url, stops, sizeof(*stops), count, timeout_ms);
	for (i = 0; requests && i < count; i++)
		read_stop_signal(&requests[i], stops[i].signal);
	if (requests) {
		forget(requests, count);
		requests = ask(call, "POST", signal_url, stops, sizeof(*stops), count, timeout_ms);
	}
	for (i = 0; requests && i < count; i++)
		list[i].sent = requests[i].status == 204 || requests[i].status == 200;
	forget(requests, count);
	free(stops);
}

/* --- remove ------------------------------------------------------------------- */

static char *force_url(const void *item)
{
	const struct runtime_remove *r = item;

	return http_url("http://runtime/containers/%s?force=true", r->id);
}

static char *gentle_url(const void *item)
{
	const struct runtime_remove *r = item;

	return http_url("http://runtime/containers/%s", r->id);
}

static char *wait_url(const void *item)
{
	struct runtime_remove *const *r = item;

	return http_url("http://runtime/containers/%s/wait?condition=removed", (*r)->id);
}

/* The error in an answer to "wait", which comes with status 200 too; "": none. */
static void read_wait_error(const struct http_request *r, char *buf, size_t size)
{
	cJSON *o = cJSON_ParseWithLength(r->answer ? r->answer : "", r->answer_len);

	snprintf(buf, size, "%s",
		 o ? json_text(cJSON_GetObjectItemCaseSensitive(o, "Error"), "Message") :
		     "its answer is malformed");
	cJSON_Delete(o);
}

/* 409 is said of one that is being removed, and of one that runs and may not be. */
static bool is_under_way(const struct runtime_remove *r, bool force)
{
	return force || strstr(r->reason, "in progress");
}

/* Those that are being removed already are asked again, now to wait for the end. */
static void wait_for_removal(const struct runtime_call *call, struct runtime_remove **list,
			     size_t count, long timeout_ms)
{
	struct http_request *waits = ask(call, "POST", wait_url, list, sizeof(*list), count,
					 timeout_ms);
	size_t i;

	for (i = 0; i < count; i++) {
		struct runtime_remove *r = list[i];

		r->result = RUNTIME_NO_ANSWER;
		if (!waits)
			continue;
		/* 200 when it is removed, 404 when it was by the time of asking. */
		if (waits[i].status == 200)
			read_wait_error(&waits[i], r->reason, sizeof(r->reason));
		if (waits[i].status == 404 || (waits[i].status == 200 && !*r->reason))
			r->result = RUNTIME_GONE;
	}
	forget(waits, count);
}

static enum runtime_removal judge(const struct http_request *r)
{
	switch (r->status) {
	case 200:
	case 204:
		return RUNTIME_REMOVED;
	case 404:
		return RUNTIME_GONE;
	case 0:
		return RUNTIME_NO_ANSWER;
	}
	return r->status < 500 ? RUNTIME_REFUSED : RUNTIME_NO_ANSWER;
}

void runtime_remove(const struct runtime_call *call, struct runtime_remove *list, size_t count,
		    bool force, long timeout_ms)
{
	struct runtime_remove **waiting = calloc(count + 1, sizeof(*waiting));
	struct http_request *requests = NULL;
	size_t i, n = 0;

	for (i = 0; i < count; i++) {
		list[i].result = RUNTIME_NO_ANSWER;
		snprintf(list[i].reason, sizeof(list[i].reason), "no memory to ask it");
	}
	if (waiting)
		requests = ask(call, "DELETE", force ? force_url : gentle_url, list, sizeof(*list),
			       count, timeout_ms);
	for (i = 0; requests && i < count; i++) {
		struct http_request *r = &requests[i];

		list[i].result = judge(r);
		snprintf(list[i].reason, sizeof(list[i].reason), "%ld %.200s", r->status,
			 r->status ? (r->answer ? r->answer : "") : r->reason);
		if (r->status == 409 && is_under_way(&list[i], force))
			waiting[n++] = &list[i];
	}
	forget(requests, count);
	if (n)
		wait_for_removal(call, waiting, n, timeout_ms);
	free(waiting);
}
