// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/runtime/label.h"
#include "userspace/runtime/list.h"
#include "userspace/runtime/object.h"

/* What is read of an entry; NULL: it is not there, or null. */
struct fields {
	const cJSON *names, *image, *state, *labels, *ports;
};

static int get_fields(const cJSON *o, struct fields *f)
{
	const struct {
		const char *key;
		int type;
		const cJSON **ret;
	} table[] = {
		{ "Names", cJSON_Array, &f->names },	{ "Image", cJSON_String, &f->image },
		{ "State", cJSON_String, &f->state },	{ "Labels", cJSON_Object, &f->labels },
		{ "Ports", cJSON_Array, &f->ports },
	};
	size_t i;
	int err = 0;

	for (i = 0; !err && i < sizeof(table) / sizeof(table[0]); i++)
		err = runtime_object_get(o, table[i].key, table[i].type, table[i].ret);
	return err;
}

/* A port of UDP or SCTP is another one than the log server's, whatever its number. */
static int get_port(const cJSON *port, const struct log_endpoint *endpoint, bool *publishes)
{
	const cJSON *type, *ip, *number;
	const char *protocol;

	if (!cJSON_IsObject(port) || runtime_object_get(port, "Type", cJSON_String, &type) ||
	    runtime_object_get(port, "IP", cJSON_String, &ip) ||
	    runtime_object_get(port, "PublicPort", cJSON_Number, &number))
		return -EBADMSG;
	protocol = type ? type->valuestring : "";
	if ((!*protocol || !strcmp(protocol, "tcp")) &&
	    log_endpoint_matches(endpoint, ip ? ip->valuestring : "", cJSON_GetNumberValue(number)))
		*publishes = true;
	return 0;
}

static int get_ports(const cJSON *ports, const struct log_endpoint *endpoint, bool *publishes)
{
	const cJSON *port;
	int err = 0;

	cJSON_ArrayForEach(port, ports) {
		err = get_port(port, endpoint, publishes);
		if (err)
			break;
	}
	return err;
}

/*
 * Its own name is "/name".  One with a further slash, "/other/alias", is what a container
 * that is linked to it calls it.
 */
static int get_name(const cJSON *names, const char **ret)
{
	const char *name = "";
	const cJSON *item;
	bool found = false;

	cJSON_ArrayForEach(item, names) {
		if (!cJSON_IsString(item))
			return -EBADMSG;
		if (found)
			continue;
		name = item->valuestring + (*item->valuestring == '/');
		found = !strchr(name, '/');
	}
	*ret = name;
	return 0;
}

/* The bytes that the labels need.  A value that is no text says nothing that can be kept. */
static size_t measure_labels(const cJSON *labels, bool *cut)
{
	const cJSON *label;
	size_t len = 0;

	cJSON_ArrayForEach(label, labels) {
		if (cJSON_IsString(label))
			len += strlen(label->string) + strlen(label->valuestring) + 2;
		else if (strcmp(label->string, RUNTIME_LABEL_PROTECT))
			*cut = true;
	}
	return len;
}

static int keep_labels(const cJSON *labels, struct model_runtime *r)
{
	size_t len = measure_labels(labels, &r->labels_cut);
	const cJSON *label;
	char *to;

	if (len > MODEL_LABELS_MAX)
		r->labels_cut = true;
	if (!len || len > MODEL_LABELS_MAX)
		return 0;
	to = r->labels = malloc(len);
	if (!to)
		return -ENOMEM;
	r->labels_len = len;
	cJSON_ArrayForEach(label, labels)
		if (cJSON_IsString(label))
			to = stpcpy(stpcpy(stpcpy(to, label->string), "="), label->valuestring) + 1;
	return 0;
}

static bool is_log_server(const cJSON *labels)
{
	const cJSON *label;

	cJSON_ArrayForEach(label, labels)
		if (!strcmp(label->string, RUNTIME_LABEL_ROLE) && cJSON_IsString(label) &&
		    !strcmp(label->valuestring, "logserver"))
			return true;
	return false;
}

/* Return: 0, -EBADMSG or -ENOMEM. */
static int new_runtime(const struct fields *f, struct model_runtime **ret)
{
	const char *image = f->image ? f->image->valuestring : "", *name;
	struct model_runtime *r;

	if (get_name(f->names, &name))
		return -EBADMSG;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->known = true;
	r->running = f->state && !strcmp(f->state->valuestring, "running");
	r->is_protected = runtime_label_protects(f->labels);
	r->log_server = is_log_server(f->labels);
	r->name_cut = snprintf(r->name, sizeof(r->name), "%s", name) >= (int)sizeof(r->name);
	/* Once its tag is another image's, Docker gives the image's id in the place of its name. */
	r->image_unsure = !strncmp(image, "sha256:", strlen("sha256:"));
	if (snprintf(r->image, sizeof(r->image), "%s", image) >= (int)sizeof(r->image))
		r->image_unsure = true;
	if (keep_labels(f->labels, r)) {
		free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

static int read_object(const cJSON *o, const struct log_endpoint *endpoint, struct runtime_entry *e)
{
	const cJSON *id;
	struct fields f;

	if (runtime_object_get(o, "Id", cJSON_String, &id) || !id || !*id->valuestring ||
	    strlen(id->valuestring) >= MODEL_ID_SIZE)
		return -EBADMSG;
	e->id = strdup(id->valuestring);
	if (!e->id)
		return -ENOMEM;
	if (get_fields(o, &f) || get_ports(f.ports, endpoint, &e->publishes))
		return -EBADMSG;
	return new_runtime(&f, &e->runtime);
}

int runtime_entry_parse(const char *text, size_t len, const struct log_endpoint *endpoint,
			struct runtime_entry *ret)
{
	cJSON *o = runtime_object_parse(text, len);
	struct runtime_entry e = { 0 };
	int err = o ? read_object(o, endpoint, &e) : -EBADMSG;

	cJSON_Delete(o);
	if (err == -ENOMEM) {
		runtime_entry_clear(&e);
		return err;
	}
	*ret = e;
	return 0;
}

void runtime_entry_clear(struct runtime_entry *e)
{
	if (e->runtime)
		free(e->runtime->labels);
	free(e->runtime);
	free(e->id);
	*e = (struct runtime_entry){ 0 };
}

int runtime_entry_copy(const struct model_runtime *from, struct model_runtime *ret)
{
	char *labels = from->labels_len ? malloc(from->labels_len) : NULL;

	if (from->labels_len && !labels)
		return -ENOMEM;
	*ret = *from;
	if (labels)
		memcpy(labels, from->labels, from->labels_len);
	ret->labels = labels;
	return 0;
}
