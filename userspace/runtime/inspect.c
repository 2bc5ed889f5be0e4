// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/inspect.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "userspace/runtime/label.h"
#include "userspace/runtime/object.h"

#define SIGNAL_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"

/* A key that is not there, or null, leaves *ret as it is, and *told becomes false. */
static int get_bool(const cJSON *object, const char *key, bool *ret, bool *told)
{
	const cJSON *item;
	int err = runtime_object_get(object, key, cJSON_True | cJSON_False, &item);

	if (!err && item)
		*ret = cJSON_IsTrue(item);
	if (!err && !item)
		*told = false;
	return err;
}

static int get_u32(const cJSON *object, const char *key, uint32_t *ret)
{
	const cJSON *item;
	int err = runtime_object_get(object, key, cJSON_Number, &item);
	double value;

	if (err || !item)
		return err;
	value = item->valuedouble;
	if (!(value >= 0 && value <= UINT32_MAX) || value != (double)(uint32_t)value)
		return -EBADMSG;
	*ret = (uint32_t)value;
	return 0;
}

static int get_id(const cJSON *o, struct runtime_inspect *r)
{
	const cJSON *id;

	if (runtime_object_get(o, "Id", cJSON_String, &id) ||
	    (id && strlen(id->valuestring) >= sizeof(r->id)))
		return -EBADMSG;
	if (id)
		strcpy(r->id, id->valuestring);
	return 0;
}

static int get_state(const cJSON *o, struct runtime_inspect *r)
{
	const cJSON *state;
	bool told = true;

	if (runtime_object_get(o, "State", cJSON_Object, &state) ||
	    get_bool(state, "Running", &r->running, &told) ||
	    get_bool(state, "Paused", &r->paused, &told) ||
	    get_bool(state, "Restarting", &r->restarting, &told) ||
	    get_bool(state, "Dead", &r->dead, &told) || get_u32(state, "Pid", &r->pid))
		return -EBADMSG;
	r->has_state = told;
	return 0;
}

/*
 * Docker takes an empty name for "no" (RestartPolicy.IsNone() in its
 * api/types/container/hostconfig.go), and Podman writes it for none.
 */
static void name_policy(const char *name, struct runtime_inspect *r)
{
	static const char *const known[] = { "no", "always", "unless-stopped", "on-failure" };
	size_t i;

	if (!*name)
		name = "no";
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name, known[i]))
			strcpy(r->policy, name);
}

static int get_policy(const cJSON *o, struct runtime_inspect *r)
{
	const cJSON *host, *policy, *name;

	if (runtime_object_get(o, "HostConfig", cJSON_Object, &host) ||
	    runtime_object_get(host, "RestartPolicy", cJSON_Object, &policy) ||
	    runtime_object_get(policy, "Name", cJSON_String, &name) ||
	    get_u32(policy, "MaximumRetryCount", &r->max_retries))
		return -EBADMSG;
	if (name)
		name_policy(name->valuestring, r);
	return 0;
}

/* The image names the signal, so that it may be any text: it goes on into a URL. */
static void name_signal(const char *s, struct runtime_inspect *r)
{
	size_t len = strlen(s);

	if (!len || len >= sizeof(r->stop_signal) || strspn(s, SIGNAL_CHARS) != len)
		s = "SIGTERM";
	snprintf(r->stop_signal, sizeof(r->stop_signal), "%s", s);
}

static int get_config(const cJSON *o, struct runtime_inspect *r)
{
	const cJSON *config, *labels, *sig;

	if (runtime_object_get(o, "Config", cJSON_Object, &config) ||
	    runtime_object_get(config, "Labels", cJSON_Object, &labels))
		return -EBADMSG;
	r->protected_now = runtime_label_protects(labels);
	if (runtime_object_get(config, "StopSignal", cJSON_String, &sig))
		sig = NULL;
	name_signal(sig ? sig->valuestring : "", r);
	return 0;
}

int runtime_inspect_parse(const char *text, size_t len, struct runtime_inspect *ret)
{
	cJSON *o = runtime_object_parse(text, len);
	struct runtime_inspect r = { 0 };
	int err = -EBADMSG;

	if (o && !get_id(o, &r) && !get_state(o, &r) && !get_policy(o, &r) && !get_config(o, &r))
		err = 0;
	cJSON_Delete(o);
	if (!err)
		*ret = r;
	return err;
}
