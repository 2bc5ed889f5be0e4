// SPDX-License-Identifier: GPL-2.0
#include "userspace/act.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/core/record.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/clock.h"

/* The log server takes at most 1000 records and 1 MiB at once; one of ours is below 4 KiB. */
#define BATCH_RECORDS 200
/* Removing ten containers takes a loaded, emulated machine 20 s. */
#define REMOVE_TIMEOUT_MS 60000

static int put_records(struct spool *spool, enum spool_kind kind, cJSON *records)
{
	int err = 0;

	while (!err && cJSON_GetArraySize(records)) {
		cJSON *batch = cJSON_CreateArray();
		char *text;
		int n;

		for (n = 0; n < BATCH_RECORDS && cJSON_GetArraySize(records); n++)
			cJSON_AddItemToArray(batch, cJSON_DetachItemFromArray(records, 0));
		text = cJSON_PrintUnformatted(batch);
		err = text ? spool_put(spool, kind, text) : -ENOMEM;
		cJSON_free(text);
		cJSON_Delete(batch);
	}
	return err;
}

static struct record_origin origin(const struct setup *s, const struct model *m)
{
	return (struct record_origin){
		.host = s->host,
		.boot_id = s->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
}

/* The victims of a plan, and the intents in the same order. */
static int choose_victims(const struct setup *s, const struct plan *plan, const struct model *m,
			  struct kill_victim *victims, cJSON *intents)
{
	const struct record_origin from = origin(s, m);
	size_t i, n = 0;

	for (i = 0; i < plan->count; i++) {
		const struct decision *d = &plan->decisions[i];
		cJSON *intent;

		if (d->rule != RULE_SURPLUS)
			continue;
		intent = record_intent(&from, d, clock_unix_ms());
		if (!intent)
			return -ENOMEM;
		cJSON_AddItemToArray(intents, intent);
		victims[n++] = (struct kill_victim){
			.id = d->container->id,
			.path = d->container->path,
			.inode = d->container->cgroup.inode,
		};
	}
	return 0;
}

/* Those that were killed become records; the others leave the list. */
static int complete_records(cJSON *intents, const struct kill_victim *victims, size_t count)
{
	size_t i;
	int index = 0;

	for (i = 0; i < count; i++) {
		const struct kill_victim *v = &victims[i];
		const struct record_death death = {
			.verified = v->outcome == KILL_VERIFIED,
			.latency_ms = v->latency_ms,
		};

		if (v->outcome == KILL_VERIFIED || v->outcome == KILL_UNVERIFIED) {
			if (record_complete(cJSON_GetArrayItem(intents, index++), &death, clock_unix_ms()))
				return -ENOMEM;
		} else {
			cJSON_DeleteItemFromArray(intents, index);
		}
	}
	return 0;
}

/* Who lives on would be told of every cycle: once an hour is enough. */
static int tell_dry_run(const struct setup *s, const struct plan *plan, cJSON *intents)
{
	cJSON *intent = intents->child, *next;
	size_t i;

	for (i = 0; i < plan->count; i++) {
		if (plan->decisions[i].rule != RULE_SURPLUS)
			continue;
		next = intent->next;
		if (plan->decisions[i].told)
			cJSON_Delete(cJSON_DetachItemViaPointer(intents, intent));
		else if (record_would(intent))
			return -ENOMEM;
		intent = next;
	}
	return put_records(s->spool, SPOOL_KILLS, intents);
}

/* Evidence that is older than the interval (the machine slept, or we were stopped) is none. */
static bool is_stale(const struct setup *s, const struct model *m, struct trouble *t)
{
	uint64_t age_us = clock_boottime_us() - m->boot_time_us;

	if (age_us <= (uint64_t)s->config->interval_s * 1000000)
		return false;
	trouble_set(t, "the snapshot is %.1f s old by now; nothing is removed",
		    (double)age_us / 1e6);
	return true;
}

/* Intent on disk, then the act, then its record on disk, then the intent may go. */
bool act_carry_out(const struct setup *s, const struct plan *plan, const struct model *m,
		   struct kill_victim *victims, struct trouble *t)
{
	const struct kill_options options = {
		.cgroup_root = s->cgroup_root,
		.runtime_socket = s->runtime_socket,
		.timeout_ms = REMOVE_TIMEOUT_MS,
	};
	cJSON *intents = cJSON_CreateArray();
	bool acted = false;
	char *text = NULL;
	int err;

	err = intents ? choose_victims(s, plan, m, victims, intents) : -ENOMEM;
	if (err) {
		trouble_set(t, "the plan: %s", strerror(-err));
		goto out;
	}
	if (s->config->dry_run) {
		kill_dry(victims, plan->kills);
		err = s->spool ? tell_dry_run(s, plan, intents) : 0;
		if (err)
			trouble_set(t, "the record of the dry run: %s", strerror(-err));
		acted = true;
		goto out;
	}
	err = act_recover(s);
	if (err == -EBADMSG) {
		trouble_set(t, "earlier intents can't be read; they are put aside in the spool");
	} else if (err) {
		trouble_set(t, "%s; nothing is removed: %s",
			    err == -EAGAIN ? "earlier victims are still on their way out" :
					     "earlier intents are not resolved", strerror(-err));
		goto out;
	}
	text = cJSON_PrintUnformatted(intents);
	err = text ? spool_intend(s->spool, text) : -ENOMEM;
	if (err) {
		trouble_set(t, "the intent could not be written, so nothing is removed: %s",
			    strerror(-err));
		goto out;
	}
	if (is_stale(s, m, t)) {
		spool_intent_done(s->spool);
		goto out;
	}
	kill_for_real(&options, victims, plan->kills);
	acted = true;
	err = complete_records(intents, victims, plan->kills);
	if (!err)
		err = put_records(s->spool, SPOOL_KILLS, intents);
	if (!err)
		err = spool_intent_done(s->spool);
	if (err)
		trouble_set(t, "the record of the act, which is told again from its intent: %s",
			    strerror(-err));
out:
	cJSON_free(text);
	cJSON_Delete(intents);
	return acted;
}

void act_record_sample(const struct setup *s, const struct model *m, struct trouble *t)
{
	const struct record_origin from = origin(s, m);
	cJSON *list = cJSON_CreateArray(), *sample = record_memory(&from, m, clock_unix_ms());
	int err = -ENOMEM;

	if (list && sample) {
		cJSON_AddItemToArray(list, sample);
		sample = NULL;
		err = put_records(s->spool, SPOOL_MEMORY, list);
	}
	if (err)
		trouble_set(t, "a memory sample is not kept: %s", strerror(-err));
	cJSON_Delete(sample);
	cJSON_Delete(list);
}

/* --- after a crash ------------------------------------------------------------ */

enum fate {
	FATE_DEAD,	/* its group is gone or empty */
	FATE_ALIVE,
	FATE_UNKNOWN,	/* it was in another boot, or can't be looked at */
};

static enum fate look_up(const struct setup *s, const cJSON *intent)
{
	const char *path = cJSON_GetStringValue(cJSON_GetObjectItem(intent, RECORD_CGROUP));
	const char *boot = cJSON_GetStringValue(cJSON_GetObjectItem(intent, "boot_id"));
	double id = cJSON_GetNumberValue(cJSON_GetObjectItem(intent, RECORD_CGROUP_ID));
	int group, events, populated = -ENODEV, err;
	uint64_t inode;

	if (!path || !boot || strcmp(boot, s->boot_id))
		return FATE_UNKNOWN;
	err = cgroup_open(s->cgroup_root, path, &group, &inode);
	if (err)
		return err == -ENOENT ? FATE_DEAD : FATE_UNKNOWN;
	if ((double)inode == id) {
		events = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
		populated = events < 0 ? -errno : cgroup_populated(events);
		if (events >= 0)
			close(events);
	}
	close(group);
	if (populated == 1)
		return FATE_ALIVE;
	return populated == 0 || populated == -ENODEV || populated == -ENOENT ? FATE_DEAD : FATE_UNKNOWN;
}

/*
 * What was told to die and lives may be in the runtime's hands still, for as long as a
 * removal may take; after that it has survived.
 */
static bool is_pending(const cJSON *intent)
{
	double at = cJSON_GetNumberValue(cJSON_GetObjectItem(intent, RECORD_INTENDED_MS));
	double age = (double)clock_unix_ms() - at;

	return age >= 0 && age < REMOVE_TIMEOUT_MS;
}

static int resolve(const struct setup *s, cJSON *intents)
{
	/* Dead it is, but by whose hand was not seen. */
	const struct record_death death = { .verified = false, .latency_ms = -1 };
	cJSON *item, *next;

	for (item = intents->child; item; item = next) {
		enum fate fate = look_up(s, item);

		next = item->next;
		if (fate == FATE_ALIVE && is_pending(item))
			return -EAGAIN;
		if (fate != FATE_DEAD)
			cJSON_Delete(cJSON_DetachItemViaPointer(intents, item));
		else if (record_complete(item, &death, clock_unix_ms()))
			return -ENOMEM;
	}
	return put_records(s->spool, SPOOL_KILLS, intents);
}

int act_recover(const struct setup *s)
{
	cJSON *intents;
	char *text;
	int err;

	err = spool_intended(s->spool, &text);
	if (err)
		return err == -ENOENT ? 0 : err;
	intents = cJSON_Parse(text);
	free(text);
	if (!cJSON_IsArray(intents)) {
		cJSON_Delete(intents);
		err = spool_intent_broken(s->spool);
		return err ? err : -EBADMSG;
	}
	err = resolve(s, intents);
	if (!err)
		err = spool_intent_done(s->spool);
	cJSON_Delete(intents);
	return err;
}
