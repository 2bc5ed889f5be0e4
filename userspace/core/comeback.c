// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/comeback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_same(const struct comeback_who *k, const char *id, const char *name, const char *image)
{
	if (!strcmp(k->id, id))
		return true;
	/* A name alone is anybody's; without one there is only the id. */
	return *name && !strcmp(k->name, name) && !strcmp(k->image, image);
}

static bool is_remembered(const struct comeback *k, uint64_t now_us)
{
	return now_us < k->last_us + COMEBACK_MEMORY_US;
}

static struct comeback *find(const struct comebacks *b, const char *id, const char *name,
			     const char *image)
{
	size_t i;

	for (i = 0; i < b->count; i++)
		if (is_same(&b->list[i].who, id, name, image))
			return &b->list[i];
	return NULL;
}

/* A place for a new one: behind the others, or that of the oldest. */
static struct comeback *make_room(struct comebacks *b)
{
	struct comeback *more, *oldest = b->list;
	size_t i, room;

	for (i = 1; i < b->count; i++)
		if (b->list[i].last_us < oldest->last_us)
			oldest = &b->list[i];
	if (b->count == COMEBACK_MAX)
		return oldest;
	if (b->count == b->room) {
		room = b->room ? 2 * b->room : 16;
		more = realloc(b->list, room * sizeof(*more));
		if (!more)
			return NULL;
		b->list = more;
		b->room = room;
	}
	return &b->list[b->count++];
}

void comeback_who(const struct model_container *c, struct comeback_who *ret)
{
	memcpy(ret->id, c->id, sizeof(ret->id));
	memcpy(ret->name, c->runtime.name, sizeof(ret->name));
	memcpy(ret->image, c->runtime.image, sizeof(ret->image));
}

int comebacks_note(struct comebacks *b, const struct comeback_who *who, uint64_t now_us)
{
	struct comeback *k = find(b, who->id, who->name, who->image);
	uint32_t before = k && is_remembered(k, now_us) ? k->count : 0;

	if (!k)
		k = make_room(b);
	if (!k)
		return -ENOMEM;
	k->who = *who;
	k->count = before + 1;
	k->last_us = now_us;
	return 0;
}

uint32_t comebacks_count(const struct comebacks *b, const struct model_container *c,
			 uint64_t now_us)
{
	const struct comeback *k = find(b, c->id, c->runtime.name, c->runtime.image);

	return k && is_remembered(k, now_us) ? k->count : 0;
}

void comebacks_forget(struct comebacks *b)
{
	free(b->list);
	memset(b, 0, sizeof(*b));
}
