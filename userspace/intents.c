// SPDX-License-Identifier: GPL-2.0
#include "userspace/intents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/fault.h"

/* The log server takes at most 1000 records and 1 MiB at once; one of ours is below 4 KiB. */
#define BATCH_RECORDS 200

static void drop(struct intent *i)
{
	cJSON_Delete(i->told);
	cJSON_Delete(i->record);
	free(i->victim.receipt.processes);
}

/* Makes room for so many more.  Return: the first of them, zeroed; NULL: no memory. */
static struct intent *make_room(struct intents *all, size_t count)
{
	struct intent *more = realloc(all->list, (all->count + count + 1) * sizeof(*more));

	if (!more)
		return NULL;
	all->list = more;
	memset(more + all->count, 0, (count + 1) * sizeof(*more));
	return more + all->count;
}

/* Takes over @told, whatever comes of it. */
static bool read_told(struct intent *i, cJSON *told)
{
	double inode = cJSON_GetNumberValue(cJSON_GetObjectItem(told, RECORD_CGROUP_ID));

	i->told = told;
	i->victim.id = cJSON_GetStringValue(cJSON_GetObjectItem(told, "container_id"));
	i->victim.path = cJSON_GetStringValue(cJSON_GetObjectItem(told, RECORD_CGROUP));
	i->victim.inode = inode > 0 ? (uint64_t)inode : 0;
	return i->victim.id && i->victim.path;
}

int intents_load(struct intents *all, struct spool *spool)
{
	struct intent *i;
	cJSON *list;
	char *text;
	int err;

	err = spool_intended(spool, &text);
	if (err)
		return err == -ENOENT ? 0 : err;
	list = cJSON_Parse(text);
	free(text);
	err = cJSON_IsArray(list) ? 0 : -EBADMSG;
	i = err ? NULL : make_room(all, (size_t)cJSON_GetArraySize(list));
	if (!err && !i)
		err = -ENOMEM;
	while (!err && cJSON_GetArraySize(list)) {
		all->count++;
		if (!read_told(i++, cJSON_DetachItemFromArray(list, 0)))
			err = -EBADMSG;
	}
	cJSON_Delete(list);
	if (err) {
		intents_forget(all);
		if (err == -EBADMSG)
			err = spool_intent_broken(spool) ?: -EBADMSG;
	}
	return err;
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

int intents_add(struct intents *all, const struct record_origin *from, const struct plan *plan,
		const struct model *m, int64_t unix_ms, size_t *ret_first)
{
	struct intent *i = make_room(all, plan->kills);
	size_t n, first = all->count;

	if (!i)
		return -ENOMEM;
	for (n = 0; n < plan->count; n++) {
		const struct decision *d = &plan->decisions[n];
		cJSON *told;

		if (d->rule != RULE_SURPLUS)
			continue;
		told = record_intent(from, d, unix_ms);
		all->count++;
		i->ours = true;
		if (!told || !read_told(i, told) ||
		    list_processes(&i->victim.receipt, m, d->container)) {
			intents_drop(all, first);
			return -ENOMEM;
		}
		/* As it was decided on, to all bits. */
		i->victim.inode = d->container->cgroup.inode;
		i++;
	}
	*ret_first = first;
	return 0;
}

void intents_drop(struct intents *all, size_t first)
{
	while (all->count > first)
		drop(&all->list[--all->count]);
}

int intents_save(const struct intents *all, struct spool *spool)
{
	cJSON *list = cJSON_CreateArray();
	char *text = NULL;
	int err = -ENOMEM;
	size_t i;

	if (!all->count) {
		cJSON_Delete(list);
		err = spool_intent_done(spool);
		return err == -ENOENT ? 0 : err;
	}
	for (i = 0; list && i < all->count; i++)
		if (!cJSON_AddItemReferenceToArray(list, all->list[i].told))
			goto out;
	text = list ? cJSON_PrintUnformatted(list) : NULL;
	if (text)
		err = spool_intend(spool, text);
out:
	cJSON_free(text);
	cJSON_Delete(list);
	return err;
}

int intents_complete(struct intent *i, int64_t unix_ms)
{
	const struct receipt *r = &i->victim.receipt;
	cJSON *record = cJSON_Duplicate(i->told, true);

	if (!record ||
	    (r->outcome == RECEIPT_DRY ? record_would(record) : record_complete(record, r, unix_ms))) {
		cJSON_Delete(record);
		return -ENOMEM;
	}
	cJSON_Delete(i->record);
	i->record = record;
	return 0;
}

/* Those with an outcome, from @from on, as one batch at most. */
static int put_batch(const struct intents *all, struct spool *spool, size_t *from)
{
	cJSON *batch = cJSON_CreateArray();
	char *text;
	int n = 0, err = -ENOMEM;

	for (; batch && *from < all->count && n < BATCH_RECORDS; (*from)++) {
		if (!all->list[*from].record)
			continue;
		if (!cJSON_AddItemReferenceToArray(batch, all->list[*from].record))
			goto out;
		n++;
	}
	text = batch ? cJSON_PrintUnformatted(batch) : NULL;
	if (text)
		err = n ? spool_put(spool, SPOOL_KILLS, text) : 0;
	cJSON_free(text);
out:
	cJSON_Delete(batch);
	return err;
}

static size_t outcomes(const struct intents *all)
{
	size_t i, n = 0;

	for (i = 0; i < all->count; i++)
		n += all->list[i].record != NULL;
	return n;
}

int intents_put(const struct intents *all, struct spool *spool)
{
	size_t from = 0;
	int err = 0;

	while (!err && from < all->count)
		err = put_batch(all, spool, &from);
	return err;
}

int intents_close(struct intents *all, struct spool *spool)
{
	size_t i, n = 0;
	int err;

	if (!outcomes(all))
		return 0;
	err = intents_put(all, spool);
	if (err)
		return err;
	fault_point("recorded");
	for (i = 0; i < all->count; i++) {
		if (all->list[i].record)
			drop(&all->list[i]);
		else
			all->list[n++] = all->list[i];
	}
	all->count = n;
	return intents_save(all, spool);
}

void intents_forget(struct intents *all)
{
	intents_drop(all, 0);
	free(all->list);
	memset(all, 0, sizeof(*all));
}
