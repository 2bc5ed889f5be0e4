/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The records on disk: for each kind a log of JSON lines, in files (files.h)
 * and with an index made from them (index.h). A record is durable before
 * store_append() returns; requests that come in while the disk is busy share
 * the next fdatasync.
 */
#ifndef LOGSERVER_STORE_H
#define LOGSERVER_STORE_H

#include <stdint.h>
#include <sys/types.h>

#include "block.h"
#include "record.h"

struct store;

/* Who follows the records, and has a state that is kept in the index. */
struct store_listener {
	void *context;
	/* Told of every record that the state doesn't have: at start in the log's order,
	 * later as it becomes durable. One call at a time for each kind. */
	void (*add)(void *context, const struct record *record);
	/* The state of a kind, in memory that the caller frees. 0 or -ENOMEM. */
	int (*save)(void *context, enum record_kind kind, void **ret, size_t *ret_len);
	/* False: this is no state of ours, the log is read from its start. */
	bool (*load)(void *context, enum record_kind kind, const void *state, size_t len);
};

/* What was found at start. */
struct store_report {
	int64_t records;
	int64_t damaged;  /* lines that are no record; left where they are, never given out */
	int64_t read;     /* lines read to bring the index up to date */
	off_t torn;       /* bytes after the last newline: cut off */
	bool rebuilt;     /* the index was missing or not of these files */
};

struct store_options {
	const char *directory;
	int zone_s;             /* see timestamp_read() */
	int64_t rotate_bytes;   /* close a file that has become this long */
	int64_t keep_bytes;     /* remove the oldest files beyond this; 0: keep all */
	int64_t keep_ms;        /* remove files whose records are all older; 0: keep all */
	struct store_listener listener;
	/* Told, from any thread, when the index can't be written, and when it can again (err
	 * 0). -EUCLEAN: it is damaged and was removed; the server has to start anew. */
	void (*index_changed)(enum record_kind kind, int err);
	/* Told, from another thread, that a log is read (err 0), one after the other; or that
	 * it can't be, after which there is only store_close(). */
	void (*loaded)(enum record_kind kind, int err, const struct store_report *report);
};

/*
 * Open or make the files in the directory, and begin to repair their torn ends and to
 * bring the index up to date, in a thread: mostly that is done at once, but where the
 * index was lost all lines are read, a minute for some million. -EWOULDBLOCK: another
 * server has them open. Else 0 or another negative errno.
 */
int store_open(const struct store_options *options, struct store **ret);
/* Also while it is being loaded: what was read by then the next start need not. */
void store_close(struct store *store);
/* Until all is loaded, or it is seen to take long: 0, -EINPROGRESS, or why it can't be. */
int store_wait(struct store *store);
/* How much of what has to be read was read, 0 to 1; 1 only when all is loaded. Until then
 * nothing else but store_check() and store_close() may be called. */
double store_progress(struct store *store);

/*
 * Store what is new of @batch, whose contents are used up. Safe to call from
 * many threads; returns when it is on disk or has failed as a whole, after
 * which the next call tries anew. 0 or negative errno.
 */
struct store_result {
	size_t stored, duplicates;
};
int store_append(struct store *store, enum record_kind kind, struct record_batch *batch,
		 struct store_result *ret);

/*
 * Whether the disk takes records now: 0 or negative errno, -EINPROGRESS while loading. Nothing is written to
 * the logs; with @write something is, to a file of its own, to be sure.
 */
int store_check(struct store *store, bool write);

/* What stands in a log now: from where to where, how many records, in how many bytes. */
struct store_extent {
	int64_t start, end;
	int64_t records;
	int64_t bytes;    /* on disk, without the index */
	int64_t files;
	int64_t pending;  /* records that the index does not have yet */
};
void store_extent(struct store *store, enum record_kind kind, struct store_extent *ret);

/*
 * Blocks that end behind @from and start before @to, ascending, or descending if
 * @backwards; some that cannot match @filter are left out. At most @max; none
 * only when there are no more. 0 or negative errno.
 */
int store_blocks(struct store *store, enum record_kind kind, int64_t from, int64_t to,
		 bool backwards, const struct block_filter *filter, struct block *ret, size_t max,
		 size_t *ret_count);
/* A block's text, in @text of FILES_BLOCK_BYTES. -ENOENT: it was removed, being old. */
int store_read_block(struct store *store, enum record_kind kind, const struct block *block,
		     char *text);

/* "logs.jsonl" or "logsmemory.jsonl". */
const char *store_file_name(enum record_kind kind);

#endif
