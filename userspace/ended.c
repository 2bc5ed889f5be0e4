// SPDX-License-Identifier: GPL-2.0
#include "userspace/ended.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/core/record.h"
#include "userspace/io/clock.h"
#include "userspace/io/runtime_events.h"

/* A word of the runtime's may bear the time of just before. */
#define EARLIER_MS 1000

static void note_exits(struct deaths *d, const struct view_exits *exits)
{
	size_t i;

	for (i = 0; i < exits->count; i++)
		deaths_note_exit(d, &exits->list[i]);
}

static bool is_main(const struct model *m, const struct ledger_exit *e)
{
	const struct model_process *p = model_find_process(m, e->pid, e->start_us);

	return p && m->containers[p->container].pid == e->pid;
}

/* A main process that died after the snapshot is missed at the next look only. */
static int keep_late(struct ended *e, const struct model *now, const struct view_exits *exits)
{
	size_t i;

	e->late.count = 0;
	for (i = 0; i < exits->count; i++) {
		if (!is_main(now, &exits->list[i]))
			continue;
		if (e->late.count == e->late.room) {
			size_t room = e->late.room ? 2 * e->late.room : 8;
			struct ledger_exit *more = realloc(e->late.list, room * sizeof(*more));

			if (!more)
				return -ENOMEM;
			e->late.list = more;
			e->late.room = room;
		}
		e->late.list[e->late.count++] = exits->list[i];
	}
	return 0;
}

/* The runtime's words; that there are none is no trouble but its own. */
static void ask_runtime(struct ended *e, const struct setup *s, int64_t now_ms)
{
	const struct runtime_call call = { .socket = s->runtime_socket };
	struct death_word *words;
	size_t i, count;

	if (runtime_events(&call, e->since_ms, now_ms, &words, &count))
		return;
	for (i = 0; i < count; i++)
		deaths_note_word(&e->deaths, &words[i]);
	free(words);
}

void ended_look(struct ended *e, const struct setup *s, const struct model *last,
		const struct model *now, const struct ledger_window *window,
		const struct view_exits *exits, struct trouble *t)
{
	int64_t now_ms = clock_unix_ms();
	size_t i;
	int err;

	if (!e->deaths.count)
		e->since_ms = (e->looked_ms ? e->looked_ms : now_ms) - EARLIER_MS;
	err = deaths_find(&e->deaths, last, now);
	for (i = 0; !err && i < window->end_count; i++)
		if (window->ends[i].brief)
			err = deaths_add_brief(&e->deaths, &window->ends[i]);
	act_forget_own(s->act, now, &e->deaths);
	note_exits(&e->deaths, &e->late);
	note_exits(&e->deaths, exits);
	if (!err)
		err = keep_late(e, now, exits);
	if (err)
		trouble_set(t, "who ended: %s", strerror(-err));
	if (e->deaths.count)
		ask_runtime(e, s, now_ms);
	e->looked_ms = now_ms;
}

void ended_record(const struct ended *e, const struct setup *s, const struct model *m,
		  struct trouble *t)
{
	const struct record_origin from = {
		.host = s->host,
		.boot_id = s->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
	size_t i;

	for (i = 0; i < e->deaths.count; i++) {
		const struct death *d = &e->deaths.list[i];
		cJSON *list = NULL, *record;
		char *text = NULL;
		int err = -ENOMEM;

		if (!death_is_ready(d))
			continue;
		record = record_death(&from, d, clock_unix_ms());
		list = record ? cJSON_CreateArray() : NULL;
		if (list && cJSON_AddItemToArray(list, record))
			text = cJSON_PrintUnformatted(list);
		if (text)
			err = spool_put(s->spool, SPOOL_KILLS, text);
		if (err)
			trouble_set(t, "the record of a container's end is not kept: %s", strerror(-err));
		cJSON_free(text);
		if (list)
			cJSON_Delete(list);
		else
			cJSON_Delete(record);
	}
}

void ended_drop_ready(struct ended *e)
{
	deaths_drop_ready(&e->deaths);
}

void ended_forget(struct ended *e)
{
	deaths_forget(&e->deaths);
	free(e->late.list);
	memset(e, 0, sizeof(*e));
}
