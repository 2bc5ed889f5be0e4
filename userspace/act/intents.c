// SPDX-License-Identifier: GPL-2.0
#include "userspace/act/intents.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/act/fault.h"

/* The log server takes at most 1000 records and 1 MiB at once; one of ours is below 4 KiB. */
#define BATCH_RECORDS 200
/* An outcome is the intent again, with a sentence of at most 1000 bytes, as a JSON string. */
#define OUTCOME_ROOM 4096
/* Of one intent, as it is read back: its id, path and record are bounded. */
#define INTENT_TEXT_MAX 16384
/* Where the outcome stands on disk: a text, so that its bytes stay as they are. */
#define KEY_OUTCOME "outcome_record"

/* --- one intent ------------------------------------------------------------------ */

void intent_free(struct intent *i)
{
	if (!i)
		return;
	i->closed = true;
	i->watch = sd_event_source_disable_unref(i->watch);
	kill_close(&i->handles);
	if (i->questions)
		return;
	cJSON_Delete(i->told);
	cJSON_free(i->outcome);
	free(i->receipt.processes);
	free(i);
}

static const char *text_of(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text ? text : "";
}

/* A whole number that a double holds exactly; 0: there is none. */
static uint64_t number_of(const cJSON *o, const char *key)
{
	double n = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return n >= 1 && n <= 9007199254740992.0 ? (uint64_t)n : 0;
}

/* Ids of all runtimes are of these; none of them means anything in a URL or a path. */
static bool is_id(const char *id)
{
	size_t i;

	for (i = 0; id[i]; i++)
		if (!isalnum((unsigned char)id[i]) && (!i || !strchr("_.-", id[i])))
			return false;
	return i && i < MODEL_ID_SIZE;
}

/* Absolute, and without a way up. */
static bool is_group_path(const char *path)
{
	const char *at;

	if (*path != '/' || strlen(path) >= MODEL_PATH_SIZE)
		return false;
	for (at = path; at; at = strchr(at + 1, '/'))
		if (!strncmp(at, "/..", 3) && (!at[3] || at[3] == '/'))
			return false;
	return true;
}

/* Takes over @told, whatever comes of it.  Return: NULL: it is no intent, or no memory. */
static struct intent *from_told(cJSON *told)
{
	struct intent *i = calloc(1, sizeof(*i));

	if (!i) {
		cJSON_Delete(told);
		return NULL;
	}
	i->told = told;
	i->handles = (struct victim_handles)VICTIM_HANDLES_NONE;
	i->id = text_of(told, "container_id");
	i->boot_id = text_of(told, "boot_id");
	i->name = text_of(told, "container_name");
	i->group.path = text_of(told, RECORD_CGROUP);
	i->group.inode = number_of(told, RECORD_CGROUP_ID);
	i->intended_us = number_of(told, RECORD_INTENDED_US);
	i->grace_us = number_of(told, RECORD_GRACE_US);
	i->by_runtime = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(told, RECORD_BY_RUNTIME));
	i->policy.max_retries = (uint32_t)number_of(told, RECORD_RETRIES);
	strncpy(i->policy.name, text_of(told, RECORD_POLICY), sizeof(i->policy.name) - 1);
	if (is_id(i->id) && is_group_path(i->group.path) && *text_of(told, "event_id"))
		return i;
	intent_free(i);
	return NULL;
}

/* What the snapshot knows of a victim's processes, by pid; but those that were dead already. */
static int list_processes(struct receipt *r, const struct model *m, const struct model_container *c)
{
	size_t i;

	r->processes = calloc(c->process_count + 1, sizeof(*r->processes));
	if (!r->processes)
		return -ENOMEM;
	for (i = 0; i < m->process_count && r->process_count < c->process_count; i++) {
		const struct model_process *p = &m->processes[i];

		if (&m->containers[p->container] != c)
			continue;
		/* One whose first thread has ended goes on with the others. */
		if ((p->state == 'Z' || p->state == 'X') && p->threads <= 1)
			continue;
		r->processes[r->process_count++] = (struct receipt_process){
			.pid = p->pid,
			.start_us = p->start_us,
		};
	}
	return 0;
}

struct intent *intent_new(const struct record_origin *from, const struct decision *d,
			  const struct model *m, const struct record_times *now)
{
	cJSON *told = record_intent(from, d, now);
	struct intent *i = told ? from_told(told) : NULL;

	if (i && list_processes(&i->receipt, m, d->container)) {
		intent_free(i);
		return NULL;
	}
	if (i) {
		i->ours = true;
		i->receipt.found = RECEIPT_UNTRIED;
		comeback_who(d->container, &i->who);
		/* As it was decided on, to all bits. */
		i->group.inode = d->container->cgroup.inode;
	}
	return i;
}

int intent_note_private(struct intent *i)
{
	if (i->grace_us && !cJSON_AddNumberToObject(i->told, RECORD_GRACE_US, (double)i->grace_us))
		return -ENOMEM;
	if (*i->policy.name && (!cJSON_AddStringToObject(i->told, RECORD_POLICY, i->policy.name) ||
				!cJSON_AddNumberToObject(i->told, RECORD_RETRIES, i->policy.max_retries)))
		return -ENOMEM;
	if (i->by_runtime && !cJSON_AddTrueToObject(i->told, RECORD_BY_RUNTIME))
		return -ENOMEM;
	return 0;
}

/* --- the list -------------------------------------------------------------------- */

int intents_add(struct intents *all, struct intent *i)
{
	struct intent **more = realloc(all->list, (all->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	all->list = more;
	all->list[all->count++] = i;
	all->dirty = true;
	return 0;
}

void intents_take(struct intents *all, struct intent *i)
{
	size_t n, kept = 0;

	for (n = 0; n < all->count; n++)
		if (all->list[n] != i)
			all->list[kept++] = all->list[n];
	all->dirty |= kept != all->count;
	all->count = kept;
}

static int load_one(struct intents *all, cJSON *told)
{
	cJSON *outcome = cJSON_DetachItemFromObjectCaseSensitive(told, KEY_OUTCOME);
	struct intent *i = from_told(told);
	int err;

	if (!i) {
		all->unreadable++;
		cJSON_Delete(outcome);
		return 0;
	}
	i->receipt.orphaned = true;
	if (cJSON_IsString(outcome) && strlen(outcome->valuestring) < INTENT_TEXT_MAX) {
		i->outcome = outcome->valuestring;
		outcome->valuestring = NULL;
		i->progress = INTENT_DURABLE;
	}
	cJSON_Delete(outcome);
	err = intents_add(all, i);
	if (err)
		intent_free(i);
	return err;
}

int intents_load(struct intents *all, const char *text, size_t len)
{
	cJSON *list = cJSON_ParseWithLengthOpts(text, len + 1, NULL, true);
	int err = cJSON_IsArray(list) ? 0 : -EBADMSG;

	while (!err && list->child)
		err = load_one(all, cJSON_DetachItemViaPointer(list, list->child));
	cJSON_Delete(list);
	/*
	 * What is read back may be what a failed fsync has left in memory alone: before anything is
	 * told of it, it is written again.
	 */
	all->dirty = all->count || all->unreadable;
	return err;
}

static size_t room_of(const struct intents *all, size_t text_len)
{
	/* Each text once more as an outcome, in which quotes and backslashes are doubled. */
	return 3 * text_len + all->count * OUTCOME_ROOM;
}

static char *list_text(const struct intents *all)
{
	cJSON *list = cJSON_CreateArray();
	char *text = NULL;
	size_t n;

	for (n = 0; list && n < all->count; n++) {
		const struct intent *i = all->list[n];
		cJSON *o = cJSON_Duplicate(i->told, true);

		if (!o || !cJSON_AddItemToArray(list, o)) {
			cJSON_Delete(o);
			goto out;
		}
		if (i->outcome && !cJSON_AddStringToObject(o, KEY_OUTCOME, i->outcome))
			goto out;
	}
	text = list ? cJSON_PrintUnformatted(list) : NULL;
out:
	cJSON_Delete(list);
	return text;
}

static void move_all(struct intents *all, enum intent_progress from, enum intent_progress to)
{
	size_t n;

	for (n = 0; n < all->count; n++)
		if (all->list[n]->progress == from)
			all->list[n]->progress = to;
}

static bool has(const struct intents *all, enum intent_progress progress)
{
	size_t n;

	for (n = 0; n < all->count; n++)
		if (all->list[n]->progress == progress)
			return true;
	return false;
}

static void call_saved(struct intents *all, int err)
{
	void (*saved)(void *ctx, int err) = all->saved;

	all->saved = NULL;
	if (saved)
		saved(all->ctx, err);
}

static void on_saved(void *ctx, int err)
{
	struct intents *all = ctx;

	all->saving = false;
	all->err = err;
	move_all(all, INTENT_SAVING, err ? INTENT_CONCLUDED : INTENT_DURABLE);
	if (err) {
		all->dirty = true;
		call_saved(all, err);
		return;
	}
	if (has(all, INTENT_DURABLE))
		fault_point("durable");
	if (!all->count)
		fault_point("closed");
	/* What has changed since is not in it. */
	if (!all->dirty)
		call_saved(all, 0);
	intents_flush(all);
}

static int save(struct intents *all)
{
	char *text = list_text(all);
	int err;

	if (!text)
		return -ENOMEM;
	err = spool_save_intents(all->spool, text, room_of(all, strlen(text)), on_saved, all);
	cJSON_free(text);
	if (err)
		return err;
	all->saving = true;
	all->dirty = false;
	move_all(all, INTENT_CONCLUDED, INTENT_SAVING);
	return 0;
}

/* Those whose outcome is durable, as one batch: the same bytes again. */
static char *batch_text(const struct intents *all, size_t *ret_count)
{
	char *text = NULL;
	size_t n, len, count = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (n = 0; n < all->count && count < BATCH_RECORDS; n++)
		if (all->list[n]->progress == INTENT_DURABLE)
			fprintf(out, "%s%s", count++ ? "," : "[", all->list[n]->outcome);
	fputc(']', out);
	*ret_count = count;
	if (fclose(out) || !count) {
		free(text);
		return NULL;
	}
	return text;
}

static void on_put(void *ctx, int err)
{
	struct intents *all = ctx;
	size_t n, kept = 0;

	all->putting = false;
	all->err = err;
	if (err) {
		move_all(all, INTENT_PUTTING, INTENT_DURABLE);
		return;
	}
	fault_point("recorded");
	for (n = 0; n < all->count; n++) {
		if (all->list[n]->progress == INTENT_PUTTING)
			intent_free(all->list[n]);
		else
			all->list[kept++] = all->list[n];
	}
	all->count = kept;
	all->dirty = true;
	intents_flush(all);
}

static int put(struct intents *all)
{
	size_t n, count = 0;
	char *text = batch_text(all, &count);
	int err;

	if (!text)
		return count ? -ENOMEM : 0;
	err = log_client_put(all->log, SPOOL_KILLS, text, on_put, all);
	free(text);
	if (err)
		return err;
	all->putting = true;
	for (n = 0; n < all->count && count; n++)
		if (all->list[n]->progress == INTENT_DURABLE) {
			all->list[n]->progress = INTENT_PUTTING;
			count--;
		}
	return 0;
}

void intents_flush(struct intents *all)
{
	int err;

	if (!all->spool || all->saving || all->putting)
		return;
	err = all->dirty ? save(all) : put(all);
	if (!err)
		return;
	all->err = err;
	call_saved(all, err);
}

bool intents_settled(const struct intents *all)
{
	size_t n;

	for (n = 0; n < all->count; n++)
		if (all->list[n]->progress != INTENT_OPEN)
			return false;
	return !all->dirty && !all->saving && !all->putting;
}

int intents_save(struct intents *all, void (*saved)(void *ctx, int err), void *ctx)
{
	if (all->saved)
		return -EBUSY;
	all->saved = saved;
	all->ctx = ctx;
	all->dirty = true;
	intents_flush(all);
	return 0;
}

int intents_conclude(struct intents *all, struct intent *i, int64_t unix_ms)
{
	cJSON *record = cJSON_Duplicate(i->told, true);
	char *text = NULL;

	if (record && !record_complete(record, &i->receipt, unix_ms))
		text = cJSON_PrintUnformatted(record);
	cJSON_Delete(record);
	if (!text)
		return -ENOMEM;
	i->outcome = text;
	i->progress = INTENT_CONCLUDED;
	all->dirty = true;
	return 0;
}
