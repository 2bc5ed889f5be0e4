// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/runtime/entry.h"

/* Docker's entries need 6.  The list's array counts as one; objects has a bit for each. */
#define DEPTH_MAX 64
/* Of an entry's own keys and values: in the list's array and its object. */
#define OWN_DEPTH 2
/* Most entries have 1 to 2 KiB. */
#define TEXT_SIZE_FIRST 4096

/* Where the next byte is. */
enum place {
	BEFORE_LIST,
	FIRST_ENTRY,	/* after the bracket: an entry, or the end */
	NEXT_ENTRY,	/* after a comma: an entry */
	IN_ENTRY,
	AFTER_ENTRY,	/* a comma, or the end */
	AFTER_LIST,
};

struct runtime_list {
	struct log_endpoint endpoint;
	int err;		/* of a feed; lasts */
	bool whole;
	size_t fed;

	enum place place;
	unsigned int depth;	/* of open brackets */
	uint64_t objects;	/* bit n: the bracket at depth n + 1 is of an object */
	bool in_string, is_escaped;

	/* The entry that is being cut. */
	char *text;
	size_t len, size;
	bool is_oversized;
	char id[MODEL_ID_SIZE];		/* by find_id(); "": not seen yet */
	char token[MODEL_ID_SIZE];	/* the last string among its keys and values */
	size_t token_len;
	bool has_token;			/* as a whole */
	bool expects_id;		/* after "Id": */

	/* Sorted by id once the list is whole, with all that came more than once. */
	struct runtime_entry *entries;
	size_t count, capacity, unclear;
	bool is_published;		/* a container has the log server's port */
};

int runtime_list_new(const struct log_endpoint *endpoint, struct runtime_list **ret)
{
	struct runtime_list *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->endpoint = *endpoint;
	*ret = l;
	return 0;
}

void runtime_list_free(struct runtime_list *l)
{
	size_t i;

	if (!l)
		return;
	for (i = 0; i < l->count; i++)
		runtime_entry_clear(&l->entries[i]);
	free(l->entries);
	free(l->text);
	free(l);
}

/* --- entries ------------------------------------------------------------------ */

/* Takes over what the entry has, on failure too. */
static int add_entry(struct runtime_list *l, struct runtime_entry *e)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 64;
		struct runtime_entry *entries;

		entries = reallocarray(l->entries, capacity, sizeof(*entries));
		if (!entries) {
			runtime_entry_clear(e);
			return -ENOMEM;
		}
		l->entries = entries;
		l->capacity = capacity;
	}
	l->entries[l->count++] = *e;
	return 0;
}

/* An unclear entry with an id is kept, so that it is known if the id comes another time. */
static int end_entry(struct runtime_list *l)
{
	struct runtime_entry e = { 0 };
	int err = 0;

	l->place = AFTER_ENTRY;
	if (!l->is_oversized)
		err = runtime_entry_parse(l->text, l->len, &l->endpoint, &e);
	if (err)
		return err;
	if (!e.runtime)
		l->unclear++;
	if (!e.id && *l->id) {
		e.id = strdup(l->id);
		if (!e.id)
			return -ENOMEM;
	}
	return e.id ? add_entry(l, &e) : 0;
}

static void begin_entry(struct runtime_list *l)
{
	l->place = IN_ENTRY;
	l->len = 0;
	l->is_oversized = false;
	*l->id = '\0';
	l->has_token = false;
	l->expects_id = false;
}

static int keep_byte(struct runtime_list *l, char c)
{
	if (l->is_oversized)
		return 0;
	if (l->len == RUNTIME_ENTRY_MAX) {
		l->is_oversized = true;
		return 0;
	}
	if (l->len == l->size) {
		size_t size = l->size ? 2 * l->size : TEXT_SIZE_FIRST;
		char *text = realloc(l->text, size);

		if (!text)
			return -ENOMEM;
		l->text = text;
		l->size = size;
	}
	l->text[l->len++] = c;
	return 0;
}

/* --- the id, of an entry that can't be parsed ----------------------------------- */

/* Escapes stay as they are: no id has one. */
static void token_byte(struct runtime_list *l, char c)
{
	if (l->token_len == sizeof(l->token) - 1)
		l->has_token = false;
	else
		l->token[l->token_len++] = c;
}

static void token_end(struct runtime_list *l)
{
	l->token[l->token_len] = '\0';
	if (l->expects_id && l->has_token && !*l->id)
		memcpy(l->id, l->token, l->token_len + 1);
}

/* Docker writes "Id" as the first key; it is found at any place. */
static void find_id(struct runtime_list *l, char c)
{
	if (l->depth != OWN_DEPTH)
		return;
	if (c == '"') {
		l->token_len = 0;
		l->has_token = true;
	} else if (c == ':') {
		l->expects_id = l->has_token && !strcmp(l->token, "Id");
	} else if (c == ',') {
		l->expects_id = false;
		l->has_token = false;
	}
}

/* --- cutting ------------------------------------------------------------------- */

static bool list_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int open_bracket(struct runtime_list *l, char c)
{
	uint64_t bit;

	if (l->depth == DEPTH_MAX)
		return -EBADMSG;
	bit = 1ull << l->depth++;
	l->objects = c == '{' ? l->objects | bit : l->objects & ~bit;
	return 0;
}

static int close_bracket(struct runtime_list *l, char c)
{
	bool is_object = l->objects >> (l->depth - 1) & 1;

	if (is_object != (c == '}'))
		return -EBADMSG;
	l->depth--;
	return 0;
}

/* Return: 1: the string ends; 0. */
static int string_byte(struct runtime_list *l, char c)
{
	bool is_end = c == '"' && !l->is_escaped;

	if (is_end)
		l->in_string = false;
	if (l->depth == OWN_DEPTH) {
		if (is_end)
			token_end(l);
		else
			token_byte(l, c);
	}
	l->is_escaped = c == '\\' && !l->is_escaped;
	return is_end;
}

static int entry_string_byte(struct runtime_list *l, char c)
{
	int err = keep_byte(l, c);

	if (!err && string_byte(l, c) && l->depth == 1)
		err = end_entry(l);
	return err;
}

/* Outside of strings.  At depth 1 the entry is a number or word, or begins here. */
static int entry_byte(struct runtime_list *l, char c)
{
	int err = keep_byte(l, c);

	if (err)
		return err;
	find_id(l, c);
	if (l->depth == 1 && strchr("{[\"", c) && l->len > 1)
		return -EBADMSG;
	if (c == '"')
		l->in_string = true;
	else if (c == '{' || c == '[')
		err = open_bracket(l, c);
	else if (c == '}' || c == ']')
		err = close_bracket(l, c);
	else
		return 0;
	if (!err && l->depth == 1 && c != '"')
		err = end_entry(l);
	return err;
}

/* What separates entries: the list's brackets and commas. */
static int list_byte(struct runtime_list *l, char c)
{
	bool may_begin = l->place == FIRST_ENTRY || l->place == NEXT_ENTRY;

	if (list_is_space(c))
		return 0;
	if (l->place == BEFORE_LIST && c == '[') {
		l->place = FIRST_ENTRY;
		return open_bracket(l, c);
	}
	if (c == ']' && (l->place == FIRST_ENTRY || l->place == AFTER_ENTRY)) {
		l->place = AFTER_LIST;
		return close_bracket(l, c);
	}
	if (c == ',' && l->place == AFTER_ENTRY) {
		l->place = NEXT_ENTRY;
		return 0;
	}
	if (!may_begin || strchr(",:]}", c))
		return -EBADMSG;
	begin_entry(l);
	return entry_byte(l, c);
}

static int feed_byte(struct runtime_list *l, char c)
{
	int err = 0;

	if (l->in_string)
		return entry_string_byte(l, c);
	if ((unsigned char)c < ' ' && !list_is_space(c))
		return -EBADMSG;
	if (l->place == IN_ENTRY && l->depth == 1 && (list_is_space(c) || c == ',' || c == ']'))
		err = end_entry(l);
	if (err)
		return err;
	return l->place == IN_ENTRY ? entry_byte(l, c) : list_byte(l, c);
}

int runtime_list_feed(struct runtime_list *l, const char *data, size_t len)
{
	size_t i;

	if (!l->err && len > RUNTIME_LIST_MAX - l->fed)
		l->err = -EFBIG;
	if (l->err)
		return l->err;
	l->fed += len;
	for (i = 0; !l->err && i < len; i++)
		l->err = feed_byte(l, data[i]);
	return l->err;
}

/* --- the whole list --------------------------------------------------------------- */

static int list_by_id(const void *a, const void *b)
{
	const struct runtime_entry *p = a, *q = b;

	return strcmp(p->id, q->id);
}

static void make_unclear(struct runtime_list *l, struct runtime_entry *e)
{
	if (!e->runtime)
		return;
	free(e->runtime->labels);
	free(e->runtime);
	e->runtime = NULL;
	l->unclear++;
}

/* Of two entries with one id, nobody says which one is right. */
static void reject_duplicates(struct runtime_list *l)
{
	size_t i;

	for (i = 1; i < l->count; i++)
		if (!strcmp(l->entries[i - 1].id, l->entries[i].id)) {
			make_unclear(l, &l->entries[i - 1]);
			make_unclear(l, &l->entries[i]);
		}
}

int runtime_list_end(struct runtime_list *l)
{
	size_t i;

	if (!l->err && l->place != AFTER_LIST)
		l->err = -EBADMSG;
	free(l->text);
	l->text = NULL;
	l->size = 0;
	if (l->err)
		return l->err;
	if (l->count)
		qsort(l->entries, l->count, sizeof(*l->entries), list_by_id);
	reject_duplicates(l);
	for (i = 0; i < l->count; i++)
		l->is_published |= l->entries[i].runtime && l->entries[i].publishes;
	l->whole = true;
	return 0;
}

size_t runtime_list_unclear(const struct runtime_list *l)
{
	return l->unclear;
}

/* --- applying it to the model ------------------------------------------------------- */

static void list_forget(struct model *m)
{
	size_t i;

	for (i = 0; i < m->container_count; i++) {
		free(m->containers[i].runtime.labels);
		m->containers[i].runtime = (struct model_runtime){ 0 };
	}
}

/*
 * The log server is whoever publishes its endpoint, whatever its labels say: a port has one
 * holder.  Only while nobody does (it is being started, or is in the machine's own network)
 * its label is taken for it, on every container that has it.
 */
static int list_fill_in(const struct runtime_list *l, struct model_container *c)
{
	struct runtime_entry key = { .id = c->id };
	const struct runtime_entry *e;
	int err;

	/* bsearch() must not be given NULL (its declaration says nonnull). */
	if (!l->count)
		return 0;
	e = bsearch(&key, l->entries, l->count, sizeof(key), list_by_id);
	if (!e || !e->runtime)
		return 0;
	err = runtime_entry_copy(e->runtime, &c->runtime);
	if (!err && l->is_published)
		c->runtime.log_server = e->publishes;
	return err;
}

int runtime_list_apply(const struct runtime_list *l, struct model *m)
{
	int err = l->whole ? 0 : -EBADMSG;
	size_t i;

	list_forget(m);
	for (i = 0; !err && i < m->container_count; i++)
		err = list_fill_in(l, &m->containers[i]);
	if (err)
		list_forget(m);
	return err;
}
