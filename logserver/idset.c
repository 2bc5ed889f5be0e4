// SPDX-License-Identifier: GPL-2.0
#include "idset.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_TABLE 1024

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

struct idset_hash idset_hash(const uint64_t key[2], const void *data, size_t len)
{
	const unsigned char *p = data;
	struct idset_hash hash;
	uint64_t v[4], word;

	v[0] = key[0] ^ 0x736f6d6570736575;
	v[1] = key[1] ^ 0x646f72616e646f6d ^ 0xee;
	v[2] = key[0] ^ 0x6c7967656e657261;
	v[3] = key[1] ^ 0x7465646279746573;

	for (size_t left = len;; left -= 8, p += 8) {
		word = 0;
		memcpy(&word, p, left < 8 ? left : 8);
		word = le64toh(word);
		if (left < 8)
			word |= (uint64_t)len << 56;
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
		if (left < 8)
			break;
	}

	v[2] ^= 0xee;
	sip_rounds(v, 4);
	hash.half[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	sip_rounds(v, 4);
	hash.half[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
	if (!hash.half[0] && !hash.half[1])
		hash.half[0] = 1;
	return hash;
}

void idset_init(struct idset *set, size_t generation, const uint64_t key[2])
{
	memset(set, 0, sizeof(*set));
	set->generation = generation;
	memcpy(set->key, key, sizeof(set->key));
}

void idset_free(struct idset *set)
{
	free(set->young.slots);
	free(set->old.slots);
	memset(set, 0, sizeof(*set));
}

static bool is_empty(const struct idset_hash *slot)
{
	return !slot->half[0] && !slot->half[1];
}

/* The slot that holds @hash, or the empty one where it belongs. */
static struct idset_hash *find_slot(const struct idset_table *table, struct idset_hash hash)
{
	size_t i = hash.half[0] & (table->slot_count - 1);

	while (!is_empty(&table->slots[i]) &&
	       memcmp(&table->slots[i], &hash, sizeof(hash)) != 0)
		i = (i + 1) & (table->slot_count - 1);
	return &table->slots[i];
}

static bool table_has(const struct idset_table *table, struct idset_hash hash)
{
	return table->slot_count && !is_empty(find_slot(table, hash));
}

/* At most half full, so that probes stay short. */
static int table_fit(struct idset_table *table, size_t count)
{
	struct idset_table bigger = { .slot_count = SMALLEST_TABLE };

	while (bigger.slot_count < count * 2)
		bigger.slot_count *= 2;
	if (bigger.slot_count <= table->slot_count)
		return 0;
	bigger.slots = calloc(bigger.slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < table->slot_count; i++) {
		if (!is_empty(&table->slots[i]))
			*find_slot(&bigger, table->slots[i]) = table->slots[i];
	}
	bigger.used = table->used;
	free(table->slots);
	*table = bigger;
	return 0;
}

int idset_reserve(struct idset *set, size_t count)
{
	if (set->young.used && set->young.used + count > set->generation) {
		free(set->old.slots);
		set->old = set->young;
		memset(&set->young, 0, sizeof(set->young));
	}
	return table_fit(&set->young, set->young.used + count);
}

bool idset_add(struct idset *set, struct idset_hash hash)
{
	struct idset_hash *slot;

	if (table_has(&set->old, hash))
		return false;
	slot = find_slot(&set->young, hash);
	if (!is_empty(slot))
		return false;
	*slot = hash;
	set->young.used++;
	return true;
}

void idset_undo(struct idset *set, struct idset_hash hash)
{
	struct idset_hash *slot = find_slot(&set->young, hash);

	/* The last one in is at the end of its probe run: nothing behind it moves. */
	memset(slot, 0, sizeof(*slot));
	set->young.used--;
}
