// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/runtime.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/io/http.h"

/* The list takes milliseconds; a runtime that needs this long is in trouble. */
#define LIST_TIMEOUT_MS 5000

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

static const char *string_of(const cJSON *object, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return s ? s : "";
}

/* An entry may come twice: the last one counts. */
static int keep_labels(const cJSON *labels, struct model_runtime *r)
{
	const cJSON *label;
	size_t len = 0;

	free(r->labels);
	r->labels = NULL;
	r->labels_len = 0;
	r->labels_cut = false;
	if (!cJSON_IsObject(labels))
		return 0;
	cJSON_ArrayForEach(label, labels)
		if (cJSON_IsString(label))
			len += strlen(label->string) + strlen(label->valuestring) + 2;
	if (!len)
		return 0;
	r->labels_cut = len > MODEL_LABELS_MAX;
	r->labels = malloc(r->labels_cut ? 1 : len);
	if (!r->labels)
		return -ENOMEM;
	if (r->labels_cut)
		return 0;
	cJSON_ArrayForEach(label, labels)
		if (cJSON_IsString(label))
			r->labels_len += (size_t)sprintf(r->labels + r->labels_len, "%s=%s", label->string,
							 label->valuestring) + 1;
	return 0;
}

static int fill_in(const cJSON *item, struct model_runtime *r)
{
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(item, "Labels");
	const char *name = cJSON_GetStringValue(
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(item, "Names"), 0));

	r->known = true;
	r->running = !strcmp(string_of(item, "State"), "running");
	r->is_protected = !strcmp(string_of(labels, RUNTIME_LABEL_PROTECT), "true");
	r->log_server = !strcmp(string_of(labels, RUNTIME_LABEL_ROLE), "logserver");
	snprintf(r->name, sizeof(r->name), "%s", name ? name + (*name == '/') : "");
	snprintf(r->image, sizeof(r->image), "%s", string_of(item, "Image"));
	return keep_labels(labels, r);
}

int runtime_parse_list(const char *text, size_t len, struct model *m)
{
	cJSON *list = cJSON_ParseWithLength(text, len);
	const cJSON *item;
	int err = 0;
	size_t i;

	if (!cJSON_IsArray(list)) {
		cJSON_Delete(list);
		return -EBADMSG;
	}
	cJSON_ArrayForEach(item, list) {
		struct model_container *c = model_find(m, string_of(item, "Id"));

		err = c ? fill_in(item, &c->runtime) : 0;
		if (err)
			break;
	}
	cJSON_Delete(list);
	/* Half a list is none. */
	for (i = 0; err && i < m->container_count; i++)
		m->containers[i].runtime.known = false;
	return err;
}

int runtime_list(const char *socket, struct model *m, char *reason)
{
	struct http_request r = {
		.method = "GET",
		.unix_socket = socket,
		.url = http_url("http://runtime/containers/json"),
		.timeout_ms = LIST_TIMEOUT_MS,
	};
	int err = http_perform(&r, 1);

	if (!err && r.status != 200) {
		snprintf(reason, RUNTIME_REASON_SIZE, "no list from the runtime at %s: %s (%ld)",
			 socket, r.status ? "refused" : r.reason, r.status);
		err = -EIO;
	} else if (!err) {
		err = runtime_parse_list(r.answer ? r.answer : "", r.answer_len, m);
		if (err)
			snprintf(reason, RUNTIME_REASON_SIZE, "no list from the runtime at %s: %s",
				 socket, err == -EBADMSG ? "its answer is malformed" : strerror(-err));
	} else {
		snprintf(reason, RUNTIME_REASON_SIZE, "no list from the runtime: %s", strerror(-err));
	}
	http_request_free(&r);
	return err;
}

/* The error in an answer to "wait", which comes with status 200 too; NULL: none. */
static void read_wait_error(const struct http_request *r, char *buf, size_t size)
{
	cJSON *o = cJSON_ParseWithLength(r->answer ? r->answer : "", r->answer_len);

	snprintf(buf, size, "%s",
		 o ? string_of(cJSON_GetObjectItemCaseSensitive(o, "Error"), "Message") :
		     "its answer is malformed");
	cJSON_Delete(o);
}

/* Those that answered "in progress" are asked again, now to wait for the end. */
static void wait_for_removal(const char *socket, struct runtime_remove *list,
			    struct http_request *requests, size_t count, long timeout_ms)
{
	struct http_request *waits = calloc(count + 1, sizeof(*waits));
	size_t *which = calloc(count + 1, sizeof(*which));
	size_t i, n = 0;

	if (!waits || !which)
		goto out;
	for (i = 0; i < count; i++) {
		if (requests[i].status != 409)
			continue;
		list[i].result = RUNTIME_NO_ANSWER;
		waits[n] = (struct http_request){
			.method = "POST",
			.unix_socket = socket,
			.url = http_url("http://runtime/containers/%s/wait?condition=removed", list[i].id),
			.timeout_ms = timeout_ms,
		};
		which[n++] = i;
	}
	http_perform(waits, n);
	for (i = 0; i < n; i++) {
		struct runtime_remove *r = &list[which[i]];

		/* 200 when it is removed, 404 when it was by the time of asking. */
		if (waits[i].status == 200)
			read_wait_error(&waits[i], r->reason, sizeof(r->reason));
		if (waits[i].status == 404 || (waits[i].status == 200 && !*r->reason))
			r->result = RUNTIME_GONE;
	}
	for (i = 0; i < n; i++)
		http_request_free(&waits[i]);
out:
	free(waits);
	free(which);
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

void runtime_remove(const char *socket, struct runtime_remove *list, size_t count, long timeout_ms)
{
	struct http_request *requests = calloc(count + 1, sizeof(*requests));
	size_t i;
	int err;

	for (i = 0; i < count; i++) {
		list[i].result = RUNTIME_NO_ANSWER;
		snprintf(list[i].reason, sizeof(list[i].reason), "no memory to ask it");
	}
	if (!requests)
		return;
	for (i = 0; i < count; i++)
		requests[i] = (struct http_request){
			.method = "DELETE",
			.unix_socket = socket,
			.url = http_url("http://runtime/containers/%s?force=true", list[i].id),
			.timeout_ms = timeout_ms,
		};
	err = http_perform(requests, count);
	for (i = 0; !err && i < count; i++) {
		struct http_request *r = &requests[i];

		list[i].result = judge(r);
		snprintf(list[i].reason, sizeof(list[i].reason), "%ld %.200s", r->status,
			 r->status ? (r->answer ? r->answer : "") : r->reason);
	}
	if (!err)
		wait_for_removal(socket, list, requests, count, timeout_ms);
	for (i = 0; i < count; i++)
		http_request_free(&requests[i]);
	free(requests);
}
