/* SPDX-License-Identifier: GPL-2.0 */
/* Keyed hashes: of event ids, and of names in a block's filter. Pure. */
#ifndef LOGSERVER_HASH_H
#define LOGSERVER_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash {
	uint64_t half[2];
};

/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein). */
struct hash hash_bytes(const uint64_t key[2], const void *data, size_t len);

/*
 * An event id as 128 bits, never all zero: a hash of what stands before the
 * decimal digits at its end, then their value in HASH_NUMBER_BITS. So the ids
 * of one sender ("host:boot:17", "host:boot:18") lie side by side in the index,
 * where hashes alone would touch a page for each. The key is secret: without
 * it nobody can make an id that hides another.
 */
#define HASH_NUMBER_BITS 50
struct hash hash_event_id(const uint64_t key[2], const char *id);

#endif
