/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A block: some consecutive lines of a log and what is known of them without
 * reading them. The log is one stream of bytes, from the first record ever
 * stored; a position in it stays what it is when files are rotated, compressed
 * or removed. Pure.
 */
#ifndef LOGSERVER_BLOCK_H
#define LOGSERVER_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "limits.h"
#include "record.h"

struct block {
	int64_t start, length;       /* in the log's stream, in bytes */
	int64_t frame_at, frame_len; /* in its compressed file; frame_len 0: not compressed */
	int64_t records, damaged;    /* lines that are records, and lines that are not */
	int64_t first_ms, last_ms;   /* of the records, which come in any order */
	uint8_t names[LIMITS_BLOCK_NAMES_BYTES];  /* Bloom filter of hosts, containers, images */
};

/* What a query looks for; empty or 0 where it doesn't say. */
struct block_filter {
	bool has_since, has_until;
	int64_t since_ms, until_ms;  /* since <= time < until */
	char host[LIMITS_HOST_BYTES + 1];
	char container[RECORD_CONTAINER_BYTES + 1];
	uint64_t image_hash;         /* see record_image_hash() */
};

void block_begin(struct block *block, int64_t start);
/* Count in a line of @len bytes with its newline; @record is NULL for a damaged one. */
void block_add(struct block *block, int64_t len, const struct record *record);
bool block_is_full(const struct block *block);

/* Whether any record of the block can match; whether every line of it does. */
bool block_may_match(const struct block *block, const struct block_filter *filter);
bool block_all_match(const struct block *block, const struct block_filter *filter);
/* Whether this record does. */
bool block_record_matches(const struct record *record, const struct block_filter *filter);

#endif
