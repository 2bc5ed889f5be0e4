// SPDX-License-Identifier: GPL-2.0
#include "userspace/container_exits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/act/act.h"
#include "userspace/core/record.h"
#include "userspace/deliver/log_client.h"
#include "userspace/host/clock.h"

/* An event of the runtime's may bear the time of just before. */
#define EARLIER_MS 1000

static void note_exits(struct deaths *d, const struct exit_log *exits)
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

/* A main process that died after the snapshot is missed in the next cycle only. */
static int keep_late(struct container_exits *e, const struct model *now, const struct exit_log *exits)
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

/* That the runtime gives no answer is no problem but its own. */
static void on_events(void *ctx, const struct death_word *words, size_t count)
{
	struct container_exits *e = ctx;
	void (*answered)(void *ctx) = e->answered;
	size_t i;

	e->asking = false;
	e->answered = NULL;
	for (i = 0; words && i < count; i++)
		deaths_note_word(&e->deaths, &words[i]);
	if (answered)
		answered(e->ctx);
}

bool container_exits_find(struct container_exits *e, struct context *ctx, const struct model *last,
			  const struct model *now, const struct ledger_window *window,
			  void (*answered)(void *ctx), void *answered_ctx)
{
	int64_t now_ms = clock_unix_ms();
	size_t i;
	int err;

	if (!e->deaths.count)
		e->since_ms = (e->asked_ms ? e->asked_ms : now_ms) - EARLIER_MS;
	err = deaths_find(&e->deaths, last, now);
	for (i = 0; !err && i < window->end_count; i++)
		if (window->ends[i].brief)
			err = deaths_add_brief(&e->deaths, &window->ends[i]);
	act_forget_own(ctx->act, now, &e->deaths);
	note_exits(&e->deaths, &e->late);
	note_exits(&e->deaths, ctx->exits);
	if (!err)
		err = keep_late(e, now, ctx->exits);
	if (err)
		problem_set(&ctx->problem, "who ended: %s", strerror(-err));
	e->asked_ms = now_ms;
	/* An earlier question that hangs is of the same time, and ends by itself. */
	if (!e->deaths.count || e->asking ||
	    runtime_fetch_events(&ctx->runtime, e->since_ms, now_ms, on_events, e))
		return false;
	e->asking = true;
	e->answered = answered;
	e->ctx = answered_ctx;
	return true;
}

void container_exits_give_up(struct container_exits *e)
{
	e->answered = NULL;
}

static char *record_text(const struct record_origin *from, const struct death *d)
{
	cJSON *list = cJSON_CreateArray(), *record = list ? record_death(from, d, clock_unix_ms()) : NULL;
	char *text = NULL;

	if (record && cJSON_AddItemToArray(list, record))
		text = cJSON_PrintUnformatted(list);
	cJSON_Delete(list);
	return text;
}

void container_exits_record(const struct container_exits *e, struct context *ctx, const struct model *m)
{
	const struct record_origin from = {
		.host = ctx->host,
		.boot_id = ctx->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
	size_t i;

	for (i = 0; i < e->deaths.count; i++) {
		char *text;
		int err;

		if (!death_is_ready(&e->deaths.list[i]))
			continue;
		text = record_text(&from, &e->deaths.list[i]);
		err = text ? log_client_put(ctx->log, SPOOL_KILLS, text, NULL, NULL) : -ENOMEM;
		if (err)
			problem_set(&ctx->problem, "the record of a container's end is not kept: %s",
				    strerror(-err));
		cJSON_free(text);
	}
}

void container_exits_drop_ready(struct container_exits *e)
{
	deaths_drop_ready(&e->deaths);
}

void container_exits_free(struct container_exits *e)
{
	deaths_forget(&e->deaths);
	exit_log_free(&e->late);
	memset(e, 0, sizeof(*e));
}
