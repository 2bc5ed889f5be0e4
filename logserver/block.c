// SPDX-License-Identifier: GPL-2.0
#include "block.h"

#include <string.h>

#include "hash.h"

/*
 * Bits set for each name. With 64 KiB of lines of 250 bytes, each with a
 * container of its own, 4 096 bits and 6 of them a name, one block in a
 * thousand is read in vain: (1 - e^(-6 * 262 / 4096))^6.
 */
#define NAME_BITS 6

/* Apart, so that a host called as an image does not stand for it. */
enum name { NAME_HOST = 1, NAME_CONTAINER, NAME_IMAGE };

static struct hash name_hash(enum name kind, const void *text, size_t len)
{
	const uint64_t key[2] = { kind, 0 };

	return hash_bytes(key, text, len);
}

static unsigned int name_bit(struct hash hash, unsigned int i)
{
	return (unsigned int)((hash.half[0] + i * (hash.half[1] | 1)) %
			      (LIMITS_BLOCK_NAMES_BYTES * 8));
}

static void add_name(struct block *block, enum name kind, const void *text, size_t len)
{
	struct hash hash = name_hash(kind, text, len);

	for (unsigned int i = 0; i < NAME_BITS; i++)
		block->names[name_bit(hash, i) / 8] |= (uint8_t)(1 << name_bit(hash, i) % 8);
}

static bool may_have_name(const struct block *block, enum name kind, const void *text, size_t len)
{
	struct hash hash = name_hash(kind, text, len);

	for (unsigned int i = 0; i < NAME_BITS; i++) {
		if (!(block->names[name_bit(hash, i) / 8] & 1 << name_bit(hash, i) % 8))
			return false;
	}
	return true;
}

void block_begin(struct block *block, int64_t start)
{
	memset(block, 0, sizeof(*block));
	block->start = start;
	block->first_ms = INT64_MAX;
	block->last_ms = INT64_MIN;
}

void block_add(struct block *block, int64_t len, const struct record *record)
{
	block->length += len;
	if (!record) {
		block->damaged++;
		return;
	}
	block->records++;
	if (record->time_ms < block->first_ms)
		block->first_ms = record->time_ms;
	if (record->time_ms > block->last_ms)
		block->last_ms = record->time_ms;
	add_name(block, NAME_HOST, record->host, strlen(record->host));
	if (record->kind == RECORD_KILL) {
		add_name(block, NAME_CONTAINER, record->kill.container,
			 strlen(record->kill.container));
		add_name(block, NAME_IMAGE, &record->kill.image_hash,
			 sizeof(record->kill.image_hash));
	}
}

bool block_is_full(const struct block *block)
{
	return block->length >= LIMITS_BLOCK_BYTES;
}

bool block_may_match(const struct block *block, const struct block_filter *filter)
{
	if (!block->records || (filter->has_since && block->last_ms < filter->since_ms) ||
	    (filter->has_until && block->first_ms >= filter->until_ms))
		return false;
	if (filter->host[0] &&
	    !may_have_name(block, NAME_HOST, filter->host, strlen(filter->host)))
		return false;
	if (filter->container[0] &&
	    !may_have_name(block, NAME_CONTAINER, filter->container, strlen(filter->container)))
		return false;
	return !filter->image_hash || may_have_name(block, NAME_IMAGE, &filter->image_hash,
						    sizeof(filter->image_hash));
}

bool block_all_match(const struct block *block, const struct block_filter *filter)
{
	return !block->damaged && !filter->host[0] && !filter->container[0] &&
	       !filter->image_hash &&
	       !(filter->has_since && block->first_ms < filter->since_ms) &&
	       !(filter->has_until && block->last_ms >= filter->until_ms);
}

bool block_record_matches(const struct record *record, const struct block_filter *filter)
{
	if ((filter->has_since && record->time_ms < filter->since_ms) ||
	    (filter->has_until && record->time_ms >= filter->until_ms) ||
	    (filter->host[0] && strcmp(filter->host, record->host) != 0))
		return false;
	if (!filter->container[0] && !filter->image_hash)
		return true;
	return record->kind == RECORD_KILL &&
	       (!filter->container[0] ||
		strcmp(filter->container, record->kill.container) == 0) &&
	       (!filter->image_hash || filter->image_hash == record->kill.image_hash);
}
