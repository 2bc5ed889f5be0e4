// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/scope.h"

#include <errno.h>
#include <string.h>

static const char *const kind_names[] = {
	[SCOPE_LABEL] = "label",
	[SCOPE_NAME] = "name",
	[SCOPE_IMAGE] = "image",
	[SCOPE_RUNTIME] = "runtime",
};
#define KINDS (sizeof(kind_names) / sizeof(kind_names[0]))

const char *scope_kind_name(enum scope_kind kind)
{
	return kind_names[kind];
}

bool scope_glob(const char *glob, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*glob == '*') {
			star = ++glob;
			retry = text;
		} else if (*glob == '?' || *glob == *text) {
			glob++;
			text++;
		} else if (star) {
			/* Only the last star need give way: what is before it has matched. */
			glob = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return !*glob;
}

static bool is_writable(const char *text)
{
	size_t len = strlen(text), i;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return text[len - 1] != ' ' && !strstr(text, " ;");
}

int scope_add(struct scope *s, const char *text)
{
	size_t kind, len = strcspn(text, ":");

	for (kind = 0; kind < KINDS; kind++)
		if (len == strlen(kind_names[kind]) && !memcmp(text, kind_names[kind], len))
			break;
	if (kind == KINDS || text[len] != ':' || !text[len + 1])
		return -EINVAL;
	text += len + 1;
	if (!is_writable(text))
		return -EINVAL;
	if (strlen(text) >= SCOPE_GLOB_SIZE)
		return -E2BIG;
	if (s->count == SCOPE_MAX)
		return -ENOSPC;
	s->patterns[s->count].kind = (enum scope_kind)kind;
	strcpy(s->patterns[s->count++].glob, text);
	return 0;
}

static bool match_labels(const char *glob, const struct model_runtime *r)
{
	size_t at;

	for (at = 0; at < r->labels_len; at += strlen(r->labels + at) + 1)
		if (scope_glob(glob, r->labels + at))
			return true;
	return false;
}

static bool match(const struct scope_pattern *p, const struct model_container *c)
{
	switch (p->kind) {
	case SCOPE_LABEL:
		return match_labels(p->glob, &c->runtime);
	case SCOPE_NAME:
		return scope_glob(p->glob, c->runtime.name);
	case SCOPE_IMAGE:
		return scope_glob(p->glob, c->runtime.image);
	case SCOPE_RUNTIME:
		return scope_glob(p->glob, c->runtime_name);
	}
	return false;
}

/* Is more to it than is known? */
static bool is_unsure(enum scope_kind kind, const struct model_runtime *r)
{
	return (kind == SCOPE_LABEL && r->labels_cut) || (kind == SCOPE_NAME && r->name_cut) ||
	       (kind == SCOPE_IMAGE && r->image_unsure);
}

enum scope_answer scope_find(const struct scope *s, const struct model_container *c,
			     const struct scope_pattern **ret)
{
	enum scope_answer none = SCOPE_NO;
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (match(&s->patterns[i], c)) {
			if (ret)
				*ret = &s->patterns[i];
			return SCOPE_YES;
		}
		if (is_unsure(s->patterns[i].kind, &c->runtime))
			none = SCOPE_UNSURE;
	}
	return none;
}
