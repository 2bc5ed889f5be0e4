// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/runtime.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/host/json.h"

/* Docker keeps 256 events, of as many containers at most. */
#define WORDS_MAX 1024
/* It has them in memory. */
#define EVENTS_TIMEOUT_MS 2000
/* {"type":["container"],"event":["die","died","oom","kill"]}; the second word is Podman's. */
#define FILTERS "%%7B%%22type%%22%%3A%%5B%%22container%%22%%5D%%2C%%22event%%22%%3A%%5B%%22die%%22" \
		"%%2C%%22died%%22%%2C%%22oom%%22%%2C%%22kill%%22%%5D%%7D"

struct words {
	struct death_word *list;
	size_t count, room;
};

/* The word of this container, a new one if there is none.  NULL: no memory, or too many. */
static struct death_word *word_of(struct words *all, const char *id)
{
	struct death_word *w;
	size_t i;

	for (i = 0; i < all->count; i++)
		if (!strcmp(all->list[i].id, id))
			return &all->list[i];
	if (all->count == WORDS_MAX)
		return NULL;
	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 16;

		w = realloc(all->list, room * sizeof(*w));
		if (!w)
			return NULL;
		all->list = w;
		all->room = room;
	}
	w = &all->list[all->count++];
	memset(w, 0, sizeof(*w));
	snprintf(w->id, sizeof(w->id), "%s", id);
	return w;
}

/* "137", or "SIGTERM" of a signal's; anything else is 0. */
static int number_of(const cJSON *attributes, const char *key)
{
	const char *text = json_text(attributes, key);
	long n = strtol(text, NULL, 10);

	return n > 0 && n < 256 ? (int)n : 0;
}

static int take(struct words *all, const cJSON *event)
{
	const cJSON *actor = cJSON_GetObjectItemCaseSensitive(event, "Actor");
	const cJSON *attributes = cJSON_GetObjectItemCaseSensitive(actor, "Attributes");
	const char *action = json_text(event, "Action"), *id = json_text(actor, "ID");
	struct death_word *w;

	if (!*id || strlen(id) >= sizeof(w->id))
		return 0;
	w = word_of(all, id);
	if (!w)
		return -ENOMEM;
	if (!strcmp(action, "oom")) {
		w->oom = true;
	} else if (!strcmp(action, "kill")) {
		w->signal = number_of(attributes, "signal");
	} else if (!strcmp(action, "die")) {
		w->ended = true;
		w->status = number_of(attributes, "exitCode");
	} else if (!strcmp(action, "died")) {
		w->ended = true;
		w->status = number_of(attributes, "containerExitCode");
	}
	return 0;
}

int runtime_parse_events(const char *text, size_t len, struct death_word **ret, size_t *ret_count)
{
	const char *end = text + len;
	struct words all = { 0 };
	int err = 0;

	for (;;) {
		cJSON *event;

		while (text < end && (*text == '\n' || *text == '\r' || *text == ' '))
			text++;
		if (err || text == end)
			break;
		event = cJSON_ParseWithLengthOpts(text, (size_t)(end - text), &text, false);
		err = cJSON_IsObject(event) ? take(&all, event) : -EBADMSG;
		cJSON_Delete(event);
	}
	if (err) {
		free(all.list);
		return err;
	}
	*ret = all.list;
	*ret_count = all.count;
	return 0;
}

struct events_call {
	runtime_events_fn *done;
	void *ctx;
};

static void on_events(struct http_request *r, void *ctx)
{
	struct events_call *c = ctx;
	struct death_word *words = NULL;
	size_t count = 0;

	if (r->status != 200 || runtime_parse_events(r->answer, r->answer_len, &words, &count))
		c->done(c->ctx, NULL, 0);
	else
		c->done(c->ctx, words ? words : &(const struct death_word){ 0 }, count);
	free(words);
	free(c);
}

int runtime_fetch_events(const struct runtime *rt, int64_t since_ms, int64_t until_ms,
			 runtime_events_fn *done, void *ctx)
{
	struct events_call *c = malloc(sizeof(*c));
	struct http_question q = {
		.method = "GET",
		.unix_socket = rt->socket,
		.timeout_ms = EVENTS_TIMEOUT_MS,
		.on_done = on_events,
		.ctx = c,
	};
	char *url = http_url("http://runtime/events?since=%" PRId64 ".%03d&until=%" PRId64
			     ".%03d&filters=" FILTERS, since_ms / 1000, (int)(since_ms % 1000),
			     until_ms / 1000, (int)(until_ms % 1000));
	int err = -ENOMEM;

	if (c && url) {
		*c = (struct events_call){ done, ctx };
		q.url = url;
		err = http_request(rt->http, &q, NULL);
	}
	if (err)
		free(c);
	free(url);
	return err;
}
