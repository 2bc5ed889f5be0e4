/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is known of a log without reading it: its event ids, its blocks, the
 * state of its graphs. An SQLite database that is derived from the lines and
 * can be removed at any time: it is made anew from them. Never the only copy.
 *
 * Three connections, each used by one thread at a time: ids are looked up by
 * whoever stores, blocks by whoever reads, all is written by the log's worker.
 */
#ifndef LOGSERVER_INDEX_H
#define LOGSERVER_INDEX_H

#include "block.h"
#include "hash.h"

struct index;

/* Where the index stands. All zero in a new one, but for the key. */
struct index_state {
	uint64_t key[2];         /* of hash_event_id() */
	int64_t end;             /* it knows the log up to here */
	int64_t records, damaged;
	uint64_t tail_hash;      /* of the bytes before @end: that it is this log's */
};

/*
 * Open or make "@directory/@name.index". @fresh: remove what is there first.
 * 0; -EUCLEAN if it is damaged or another version's; or another negative errno.
 */
int index_open(const char *directory, const char *name, bool fresh, struct index **ret,
	       struct index_state *ret_state);
void index_close(struct index *index);
/* Remove it, also while it is open: the next one is made from the lines. */
int index_discard(const char *directory, const char *name);

/* Between a begin and an end the answers are of one moment. */
int index_lookup_begin(struct index *index);
/* 1, 0, or negative errno. */
int index_has(struct index *index, struct hash id);
void index_lookup_end(struct index *index);

/* What one transaction of the worker brings. */
struct index_batch {
	const struct index_state *state;
	const struct hash *ids;
	size_t id_count;
	const struct block *blocks;  /* new ones, and one again that has grown */
	size_t block_count;
	const void *graphs;
	size_t graphs_len;
};
int index_write(struct index *index, const struct index_batch *batch);

/* The graphs' state as written last, in memory that the caller frees; NULL: none. */
int index_graphs(struct index *index, void **ret, size_t *ret_len);

/*
 * Blocks that end behind @from and start before @to, ascending, or descending if
 * @backwards, of the time in @filter (NULL: any). Gives at most @max.
 */
int index_blocks(struct index *index, int64_t from, int64_t to, bool backwards,
		 const struct block_filter *filter, struct block *ret, size_t max,
		 size_t *ret_count);

/* Note where the blocks' frames are, durably: the plain file goes next. */
int index_set_frames(struct index *index, const struct block *blocks, size_t count);

/* Forget what stands before @end: these ids, all blocks. @state is the new one. */
int index_forget(struct index *index, int64_t end, const struct hash *ids, size_t id_count,
		 const struct index_state *state);

#endif
