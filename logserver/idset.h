/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The event ids that the index does not have yet: a young table that grows,
 * and an old one, which is what is being written to the index. Pure.
 */
#ifndef LOGSERVER_IDSET_H
#define LOGSERVER_IDSET_H

#include <stdbool.h>
#include <stddef.h>

#include "hash.h"

struct idset_table {
	struct hash *slots;  /* all zero: empty */
	size_t slot_count;   /* a power of two, or 0 */
	size_t used;
};

struct idset {
	struct idset_table young, old;
	uint64_t spread;  /* odd, secret: decides where in the table an id stands */
};

void idset_init(struct idset *set, uint64_t secret);
void idset_free(struct idset *set);

/* Make room, so that the next @count additions cannot fail. 0 or -ENOMEM. */
int idset_reserve(struct idset *set, size_t count);
bool idset_has(const struct idset *set, struct hash id);
/* Add, to the reserved room, what is not there. */
void idset_add(struct idset *set, struct hash id);
/* Take back additions made since idset_reserve(), the last one first. */
void idset_undo(struct idset *set, struct hash id);

/* The young become the old; there must be no old ones. */
void idset_turn(struct idset *set);
/* The old ones in the index's order, in memory that the caller frees. 0 or -ENOMEM. */
int idset_old(const struct idset *set, struct hash **ret, size_t *ret_count);
void idset_forget_old(struct idset *set);

#endif
