/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The event ids seen lately, in bounded memory: 128-bit keyed hashes in two
 * generations of an open-addressed table. When the young one is full it
 * becomes the old one, and what was old is forgotten.
 */
#ifndef LOGSERVER_IDSET_H
#define LOGSERVER_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idset_hash {
	uint64_t half[2];
};

struct idset_table {
	struct idset_hash *slots;  /* all zero: empty */
	size_t slot_count;         /* a power of two, or 0 */
	size_t used;
};

struct idset {
	struct idset_table young, old;
	size_t generation;
	uint64_t key[2];
};

/* About @generation ids at least and twice as many at most are remembered. The
 * key is random bytes: without it nobody can make an id that hides another. */
void idset_init(struct idset *set, size_t generation, const uint64_t key[2]);
void idset_free(struct idset *set);

/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein). Never all zero. */
struct idset_hash idset_hash(const uint64_t key[2], const void *data, size_t len);

/* Make room, so that the next @count additions cannot fail. 0 or -ENOMEM. */
int idset_reserve(struct idset *set, size_t count);
/* Add to the reserved room; false if it is there already. */
bool idset_add(struct idset *set, struct idset_hash hash);
/* Take back additions made since idset_reserve(), the last one first. */
void idset_undo(struct idset *set, struct idset_hash hash);

#endif
