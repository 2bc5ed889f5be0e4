/* SPDX-License-Identifier: GPL-2.0 */
/* Which containers a rule of the policy means, by what the runtime says of them.  Pure. */
#ifndef CORE_SCOPE_H
#define CORE_SCOPE_H

#include "userspace/core/model.h"

enum scope_kind {
	SCOPE_LABEL,	/* "key=value" */
	SCOPE_NAME,
	SCOPE_IMAGE,
	SCOPE_RUNTIME,	/* as the module calls it: docker, podman, … */
};

/* With what stands before it, it has room in a line of a configuration file. */
#define SCOPE_GLOB_SIZE 160
#define SCOPE_MAX 64

struct scope_pattern {
	enum scope_kind kind;
	char glob[SCOPE_GLOB_SIZE];
};

/* A container is meant if one of them matches. */
struct scope {
	struct scope_pattern patterns[SCOPE_MAX];
	uint32_t count;
};

/**
 * scope_glob() - does a text match a pattern as a whole?
 * @glob: "*" is any bytes, "?" is one; all else is itself
 * @text: any bytes, NUL-terminated
 *
 * The time is at most the product of the lengths, whatever the text is: a container
 * chooses its own name.  (fnmatch(3) tries every way to share a text out among the
 * stars: "*a*a*a*a*a*b" against 128 times "a" takes it seconds.)
 */
bool scope_glob(const char *glob, const char *text);

/**
 * scope_add() - add a pattern
 * @s: the patterns
 * @text: "label:GLOB", "name:GLOB", "image:GLOB" or "runtime:GLOB"
 *
 * A control character, a space at its end or " ;" is refused: no file could hold it.
 *
 * Return: 0; -EINVAL: it isn't one; -E2BIG: it is too long; -ENOSPC: there are too many.
 */
int scope_add(struct scope *s, const char *text);

/* "label", "name", "image", "runtime" */
const char *scope_kind_name(enum scope_kind kind);

enum scope_answer {
	SCOPE_NO,
	SCOPE_YES,
	SCOPE_UNSURE,	/* what the pattern asks for isn't known whole, and might match */
};

/**
 * scope_find() - is a container meant?
 * @s: the patterns
 * @c: the container
 * @ret: of SCOPE_YES, the first pattern that matches; may be NULL
 */
enum scope_answer scope_find(const struct scope *s, const struct model_container *c,
			     const struct scope_pattern **ret);

#endif
