// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/runtime.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/io/http.h"
#include "userspace/io/json.h"

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

/* Does it publish the log server's port?  The same of UDP or SCTP is another. */
static bool is_in_door(const cJSON *item, const struct door *door)
{
	const cJSON *port;

	cJSON_ArrayForEach(port, cJSON_GetObjectItemCaseSensitive(item, "Ports"))
		if ((!*json_text(port, "Type") || !strcmp(json_text(port, "Type"), "tcp")) &&
		    door_is_at(door, json_text(port, "IP"),
			       cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(port, "PublicPort"))))
			return true;
	return false;
}

/*
 * Its own name: "/name".  One with a further slash, "/other/alias", is what a container that
 * is linked to it calls it.
 */
static const char *own_name(const cJSON *item)
{
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(item, "Names"), *entry;
	const char *name = NULL;

	cJSON_ArrayForEach(entry, names) {
		if (!cJSON_IsString(entry))
			continue;
		name = entry->valuestring + (*entry->valuestring == '/');
		if (!strchr(name, '/'))
			break;
	}
	return name ? name : "";
}

static int fill_in(const cJSON *item, struct model_runtime *r)
{
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(item, "Labels");
	const char *name = own_name(item), *image = json_text(item, "Image");

	r->known = true;
	r->running = !strcmp(json_text(item, "State"), "running");
	r->is_protected = !strcmp(json_text(labels, RUNTIME_LABEL_PROTECT), "true");
	r->log_server = !strcmp(json_text(labels, RUNTIME_LABEL_ROLE), "logserver");
	r->name_cut = snprintf(r->name, sizeof(r->name), "%s", name) >= (int)sizeof(r->name);
	r->image_unsure = snprintf(r->image, sizeof(r->image), "%s", image) >= (int)sizeof(r->image);
	/* Once its tag is another image's, Docker gives the image's id in the place of its name. */
	r->image_unsure |= !strncmp(image, "sha256:", strlen("sha256:"));
	return keep_labels(labels, r);
}

int runtime_parse_list(const char *text, size_t len, const struct door *door, struct model *m)
{
	cJSON *list = cJSON_ParseWithLength(text, len);
	bool is_held = false;
	const cJSON *item;
	int err = 0;
	size_t i;

	if (!cJSON_IsArray(list)) {
		cJSON_Delete(list);
		return -EBADMSG;
	}
	cJSON_ArrayForEach(item, list)
		is_held |= is_in_door(item, door);
	cJSON_ArrayForEach(item, list) {
		struct model_container *c = model_find(m, json_text(item, "Id"));

		err = c ? fill_in(item, &c->runtime) : 0;
		if (err)
			break;
		if (c && is_held)
			c->runtime.log_server = is_in_door(item, door);
	}
	cJSON_Delete(list);
	/* Half a list is none. */
	for (i = 0; err && i < m->container_count; i++)
		m->containers[i].runtime.known = false;
	return err;
}

int runtime_list(const char *socket, const struct door *door, struct model *m, char *reason)
{
	struct http_request r = {
		.method = "GET",
		.unix_socket = socket,
		.url = http_url("http://runtime/containers/json"),
		.timeout_ms = LIST_TIMEOUT_MS,
	};
	int err = http_perform(&r, 1, NULL);

	if (!err && r.status != 200) {
		snprintf(reason, RUNTIME_REASON_SIZE, "no list from the runtime at %s: %s (%ld)",
			 socket, r.status ? "refused" : r.reason, r.status);
		err = -EIO;
	} else if (!err) {
		err = runtime_parse_list(r.answer ? r.answer : "", r.answer_len, door, m);
		if (err)
			snprintf(reason, RUNTIME_REASON_SIZE, "no list from the runtime at %s: %s",
				 socket, err == -EBADMSG ? "its answer is malformed" : strerror(-err));
	} else {
		snprintf(reason, RUNTIME_REASON_SIZE, "no list from the runtime: %s", strerror(-err));
	}
	http_request_free(&r);
	return err;
}
