/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The records on disk: one append-only file of JSON lines for each kind. A
 * record is durable before store_append() returns; requests that come in while
 * the disk is busy share the next fdatasync.
 */
#ifndef LOGSERVER_STORE_H
#define LOGSERVER_STORE_H

#include <stdint.h>
#include <sys/types.h>

#include "record.h"

struct store;

struct store_options {
	const char *directory;
	int zone_s;  /* see timestamp_read() */
	/* Told of every record: at start in the file's order, later as it becomes
	 * durable. One call at a time for each kind; kinds may come at once. */
	void (*listener)(void *context, const struct record *record);
	void *context;
};

/* What was found at start. */
struct store_report {
	size_t records;
	size_t damaged;  /* lines that are no record; left where they are, never given out */
	off_t torn;      /* bytes after the last newline: cut off */
};

/*
 * Open or make the files in the directory, repair a torn end, learn the ids.
 * -EWOULDBLOCK: another server has them open. Else 0 or another negative errno.
 */
int store_open(const struct store_options *options, struct store **ret,
	       struct store_report ret_reports[RECORD_KINDS]);
void store_close(struct store *store);

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

/* The file of a kind, for pread, and how much of it is durable now. */
int store_fd(const struct store *store, enum record_kind kind);
off_t store_end(struct store *store, enum record_kind kind);
/* "logs.jsonl" or "logsmemory.jsonl". */
const char *store_file_name(enum record_kind kind);

#endif
