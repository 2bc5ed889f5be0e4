// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/runtime.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/host/json.h"

const char *runtime_socket(const char *wanted)
{
	static char user[64];
	static const char *const usual[] = {
		"/var/run/docker.sock",
		"/run/podman/podman.sock",
		user,
	};
	size_t i;

	if (wanted)
		return wanted;
	snprintf(user, sizeof(user), "/run/user/%u/podman/podman.sock", getuid());
	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (!access(usual[i], F_OK))
			return usual[i];
	return NULL;
}

/* "409: {message}", or why there was no answer. */
static void describe(const struct http_request *r, char *reason)
{
	if (r->status)
		snprintf(reason, RUNTIME_REASON_SIZE, "%ld %.200s", r->status, r->answer);
	else
		snprintf(reason, RUNTIME_REASON_SIZE, "%.255s", r->reason);
}

/* "http://runtime/containers/ID" and what follows. */
static char *container_url(const char *id, const char *rest)
{
	char *escaped = http_escape(id);
	char *url = escaped ? http_url("http://runtime/containers/%s%s", escaped, rest) : NULL;

	free(escaped);
	return url;
}

/* --- the list ------------------------------------------------------------------- */

struct list_call {
	const char *socket;
	struct runtime_list *list;
	int err;		/* of reading it */
	runtime_list_fn *done;
	void *ctx;
};

static int on_list_data(struct http_request *r, void *ctx, const char *data, size_t len)
{
	struct list_call *c = ctx;

	(void)r;
	c->err = runtime_list_feed(c->list, data, len);
	return c->err;
}

static void on_list(struct http_request *r, void *ctx)
{
	struct list_call *c = ctx;
	char reason[RUNTIME_REASON_SIZE];

	if (!c->err && r->status == 200)
		c->err = runtime_list_end(c->list);
	if (!c->err && r->status == 200) {
		c->done(c->ctx, c->list, NULL);
	} else {
		if (c->err)
			snprintf(reason, sizeof(reason), "no list from the runtime at %s: %s", c->socket,
				 c->err == -EBADMSG ? "its answer is malformed" : strerror(-c->err));
		else
			snprintf(reason, sizeof(reason), "no list from the runtime at %s: %s (%ld)",
				 c->socket, r->status ? "refused" : r->reason, r->status);
		c->done(c->ctx, NULL, reason);
	}
	runtime_list_free(c->list);
	free(c);
}

int runtime_fetch_list(const struct runtime *rt, const struct log_endpoint *endpoint, long timeout_ms,
		       runtime_list_fn *done, void *ctx)
{
	struct list_call *c = calloc(1, sizeof(*c));
	const struct http_question q = {
		.method = "GET",
		.unix_socket = rt->socket,
		.url = "http://runtime/containers/json",
		.timeout_ms = timeout_ms,
		.on_data = on_list_data,
		.on_done = on_list,
		.ctx = c,
	};
	int err = -ENOMEM;

	if (!c)
		return err;
	c->socket = rt->socket;
	c->done = done;
	c->ctx = ctx;
	err = runtime_list_new(endpoint, &c->list);
	if (!err)
		err = http_request(rt->http, &q, NULL);
	if (err) {
		runtime_list_free(c->list);
		free(c);
	}
	return err;
}

/* --- one container -------------------------------------------------------------- */

struct inspect_call {
	runtime_inspect_fn *done;
	void *ctx;
};

static void on_inspect(struct http_request *r, void *ctx)
{
	struct inspect_call *c = ctx;
	struct runtime_inspect answer;
	char reason[RUNTIME_REASON_SIZE];

	describe(r, reason);
	if (r->status == 200 && runtime_inspect_parse(r->answer, r->answer_len, &answer)) {
		c->done(c->ctx, NULL, "its answer is malformed");
	} else if (r->status == 200) {
		c->done(c->ctx, &answer, NULL);
	} else {
		c->done(c->ctx, NULL, reason);
	}
	free(c);
}

int runtime_inspect(const struct runtime *rt, const char *id, long timeout_ms,
		    runtime_inspect_fn *done, void *ctx)
{
	struct inspect_call *c = malloc(sizeof(*c));
	char *url = container_url(id, "/json");
	const struct http_question q = {
		.method = "GET",
		.unix_socket = rt->socket,
		.url = url,
		.timeout_ms = timeout_ms,
		.on_done = on_inspect,
		.ctx = c,
	};
	int err = -ENOMEM;

	if (c && url) {
		*c = (struct inspect_call){ done, ctx };
		err = http_request(rt->http, &q, NULL);
	}
	if (err)
		free(c);
	free(url);
	return err;
}

struct ok_call {
	runtime_ok_fn *done;
	void *ctx;
};

static void on_ok(struct http_request *r, void *ctx)
{
	struct ok_call *c = ctx;
	char reason[RUNTIME_REASON_SIZE];

	describe(r, reason);
	c->done(c->ctx, r->status == 200 || r->status == 204, reason);
	free(c);
}

/* POSTs to a container; takes over @url. */
static int post(const struct runtime *rt, char *url, const char *body, long timeout_ms,
		runtime_ok_fn *done, void *ctx)
{
	struct ok_call *c = malloc(sizeof(*c));
	const struct http_question q = {
		.method = "POST",
		.unix_socket = rt->socket,
		.url = url,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_ms = timeout_ms,
		.on_done = on_ok,
		.ctx = c,
	};
	int err = -ENOMEM;

	if (c && url) {
		*c = (struct ok_call){ done, ctx };
		err = http_request(rt->http, &q, NULL);
	}
	if (err)
		free(c);
	free(url);
	return err;
}

int runtime_signal(const struct runtime *rt, const char *id, const char *signal, long timeout_ms,
		   runtime_ok_fn *done, void *ctx)
{
	/* In a query a plus would be a space: "SIGRTMIN+3". */
	char *escaped = http_escape(signal);
	char *rest = escaped ? http_url("/kill?signal=%s", escaped) : NULL;
	char *url = rest ? container_url(id, rest) : NULL;

	free(escaped);
	free(rest);
	return post(rt, url, NULL, timeout_ms, done, ctx);
}

int runtime_set_policy(const struct runtime *rt, const char *id, const char *policy,
		       uint32_t max_retries, long timeout_ms, runtime_ok_fn *done, void *ctx)
{
	char body[128];

	snprintf(body, sizeof(body), "{\"RestartPolicy\":{\"Name\":\"%.20s\",\"MaximumRetryCount\":%u}}",
		 policy, max_retries);
	return post(rt, container_url(id, "/update"), body, timeout_ms, done, ctx);
}

/* --- removal -------------------------------------------------------------------- */

struct remove_call {
	const struct runtime *rt;
	char *id;
	bool force;
	long timeout_ms;
	char reason[RUNTIME_REASON_SIZE];	/* of the first answer */
	runtime_remove_fn *done;
	void *ctx;
};

static void remove_call_free(struct remove_call *c)
{
	free(c->id);
	free(c);
}

/* The error in an answer to "wait", which comes with status 200 too; "": none. */
static void read_wait_error(const struct http_request *r, char *reason)
{
	cJSON *o = cJSON_ParseWithLength(r->answer, r->answer_len);

	snprintf(reason, RUNTIME_REASON_SIZE, "%.200s",
		 o ? json_text(cJSON_GetObjectItemCaseSensitive(o, "Error"), "Message") :
		     "its answer is malformed");
	cJSON_Delete(o);
}

static void on_waited(struct http_request *r, void *ctx)
{
	struct remove_call *c = ctx;
	enum runtime_removal result = RUNTIME_NO_ANSWER;
	char reason[RUNTIME_REASON_SIZE] = "";

	/* 200 when it is removed, 404 when it was by the time of asking. */
	if (r->status == 200)
		read_wait_error(r, reason);
	if (r->status == 404 || (r->status == 200 && !*reason))
		result = RUNTIME_GONE;
	c->done(c->ctx, result, *reason ? reason : c->reason);
	remove_call_free(c);
}

/* One of the steps of a removal; its answer goes to @on_done. */
static int remove_step(struct remove_call *c, const char *method, const char *rest, long timeout_ms,
		       http_done_fn *on_done)
{
	char *url = container_url(c->id, rest);
	const struct http_question q = {
		.method = method,
		.unix_socket = c->rt->socket,
		.url = url,
		.timeout_ms = timeout_ms,
		.on_done = on_done,
		.ctx = c,
	};
	int err = url ? http_request(c->rt->http, &q, NULL) : -ENOMEM;

	free(url);
	return err;
}

static enum runtime_removal removal_of(const struct http_request *r)
{
	switch (r->status) {
	case 200:
	case 204:
		return RUNTIME_REMOVED;
	case 404:
		return RUNTIME_GONE;
	case 0:
		return RUNTIME_NO_ANSWER;
	case 409:
		return RUNTIME_RUNNING;
	}
	return r->status < 500 ? RUNTIME_REFUSED : RUNTIME_NO_ANSWER;
}

static void on_removed(struct http_request *r, void *ctx)
{
	struct remove_call *c = ctx;
	enum runtime_removal result = removal_of(r);

	describe(r, c->reason);
	/* 409 is said of one that is being removed, and of one that runs and may not be. */
	if (r->status == 409 && (c->force || strstr(c->reason, "in progress"))) {
		if (!remove_step(c, "POST", "/wait?condition=removed", c->timeout_ms, on_waited))
			return;
		result = RUNTIME_NO_ANSWER;
	}
	c->done(c->ctx, result, c->reason);
	remove_call_free(c);
}

int runtime_remove(const struct runtime *rt, const char *id, bool force, long timeout_ms,
		   runtime_remove_fn *done, void *ctx)
{
	struct remove_call *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return err;
	*c = (struct remove_call){ .rt = rt, .id = strdup(id), .force = force,
				   .timeout_ms = timeout_ms, .done = done, .ctx = ctx };
	if (c->id)
		err = remove_step(c, "DELETE", force ? "?force=true" : "", timeout_ms, on_removed);
	if (err)
		remove_call_free(c);
	return err;
}

int runtime_wait_stopped(const struct runtime *rt, const char *id, long timeout_ms, runtime_ok_fn *done,
			 void *ctx)
{
	return post(rt, container_url(id, "/wait?condition=not-running"), NULL, timeout_ms, done, ctx);
}
