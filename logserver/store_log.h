/* SPDX-License-Identifier: GPL-2.0 */
/* One log, for the parts of the store only: writing, loading, the worker. */
#ifndef LOGSERVER_STORE_LOG_H
#define LOGSERVER_STORE_LOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "files.h"
#include "idset.h"
#include "index.h"
#include "store.h"

/* A multiple of every page's and block's size that a file system here has. */
#define STORE_TAIL_BYTES (64 * 1024)

/* One caller of store_append(), waiting in its frame. */
struct waiter {
	struct waiter *next;
	pthread_cond_t wake;     /* its own: of hundreds that wait, those wake who have reason to */
	struct record_batch *batch;
	struct store_result result;
	int err;
	bool done;
};

/* What loading the logs and waiting for it share. */
struct store_loading {
	atomic_bool closing;     /* it is to end */
	/* 0 when all is loaded, -EINPROGRESS, or why it can't be; changed by the lock. */
	atomic_int err;
	bool takes_long;         /* by the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* What the worker takes to the index, until it is there. */
struct taken {
	bool full;
	struct index_state state;
	struct hash *ids;
	size_t id_count;
	struct block *blocks;
	size_t block_count;  /* the last one may still grow */
	void *graphs;
	size_t graphs_len;
};

/*
 * Group commit: the first caller to find nobody writing takes all that waits,
 * writes it, and syncs once for all; the others sleep. The worker brings what
 * was written to the index, behind the answers.
 *
 * @writing is one thread's right to change the log. Whoever has it changes @ids
 * and @tail_dirty as it likes, the rest with the lock held as well, because
 * queries look at that with the lock only.
 */
struct store_log {
	enum record_kind kind;
	const struct store_options *options;
	pthread_mutex_t lock;
	pthread_cond_t free;     /* for the worker: nobody is writing */
	struct waiter *first, **last;
	bool writing, wanted;    /* @wanted: the worker is next */
	struct files files;
	int64_t end;             /* durable up to here */
	bool tail_dirty;         /* a write failed: what the disk has around @end is not known */
	char tail[STORE_TAIL_BYTES]; /* what stands in the page that @end is in, up to it */
	size_t tail_len;
	int64_t rotate_at;       /* end of the open file at which to close it */
	int64_t records, damaged;
	struct idset ids;
	/* Blocks that the index does not have, or not whole; the last one grows. */
	struct block *blocks;
	size_t block_count, block_capacity;
	size_t pending;          /* lines that the index does not have */

	struct index *index;
	uint64_t key[2];
	pthread_mutex_t read_lock;  /* of the index's connection for reading */

	pthread_t worker;
	bool has_worker, stopping, rotated;
	pthread_cond_t work;
	struct index_state indexed; /* the worker's */
	struct taken taken;         /* likewise */
	int index_err;              /* why the index can't be written; by the lock */

	/* While it is loaded: from where to where, up to where that is done. */
	int64_t load_start, load_end;
	atomic_int_fast64_t load_at;
	struct store_loading *loading;
};

/* Room for the blocks of @bytes more of lines. 0 or -ENOMEM. The lock is held. */
int store_log_reserve(struct store_log *log, size_t bytes);
/* Count in a line that stands at the end; @record is NULL for a damaged one. */
void store_log_count(struct store_log *log, int64_t len, const struct record *record);
/* Close the block that grows. */
void store_log_end_block(struct store_log *log);
/* Close the open file. 0 or negative errno. The lock and the right to write are held. */
int store_log_rotate(struct store_log *log);

/* Remember how the index does, tell whom it concerns. */
void store_log_note_index(struct store_log *log, int err);

/* The right to write is free: wake who is next. The lock is held. */
void store_log_pass_on(struct store_log *log);

/* The right to write, for the worker. */
void store_log_acquire(struct store_log *log);
void store_log_release(struct store_log *log);

/* A hash of the last bytes before @end: that the index is of this file. -EALREADY: they
 * are compressed, and the file's name says enough. */
int store_log_tail(struct store_log *log, int64_t end, uint64_t *ret);

/* store_append.c: what store_append() does, for one log. */
int store_log_append(struct store_log *log, struct record_batch *batch, struct store_result *ret);

/* store_load.c: read what the index does not know. -ECANCELED: the store is closing. */
int store_log_load(struct store_log *log, struct store_report *report);

/* store_worker.c */
int store_worker_start(struct store_log *log);
/* Write what is pending, stop. */
void store_worker_stop(struct store_log *log);
/* Bring what is pending to the index now; the worker does not run. 0 or negative errno. */
int store_worker_flush(struct store_log *log);

#endif
