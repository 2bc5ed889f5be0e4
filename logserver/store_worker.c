// SPDX-License-Identifier: GPL-2.0
/* A log's worker: brings what was stored to the index, compresses and removes old files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store_log.h"

/* Blocks looked at in one go. */
#define BLOCKS_AT_ONCE 32

static size_t pending(struct store_log *log)
{
	size_t count;

	pthread_mutex_lock(&log->lock);
	count = log->pending;
	pthread_mutex_unlock(&log->lock);
	return count;
}

/* --- To the index ------------------------------------------------------------------ */

static void drop_taken(struct taken *taken)
{
	free(taken->ids);
	free(taken->blocks);
	free(taken->graphs);
	memset(taken, 0, sizeof(*taken));
}

/* Take what is pending; the right to write is held, so all of it is of one moment. */
static int take(struct store_log *log)
{
	const struct store_listener *listener = &log->options->listener;
	struct taken taken = { 0 };
	int err;

	err = store_log_tail(log, log->end, &taken.state.tail_hash);
	if (err && err != -EALREADY)
		return err;
	err = listener->save(listener->context, log->kind, &taken.graphs, &taken.graphs_len);
	if (err)
		return err;
	taken.blocks = calloc(log->block_count, sizeof(*taken.blocks));
	if (!taken.blocks) {
		drop_taken(&taken);
		return -ENOMEM;
	}
	idset_turn(&log->ids);
	err = idset_old(&log->ids, &taken.ids, &taken.id_count);
	if (err) {
		/* Back as it was: nothing was old. */
		log->ids.young = log->ids.old;
		memset(&log->ids.old, 0, sizeof(log->ids.old));
		drop_taken(&taken);
		return err;
	}
	memcpy(taken.blocks, log->blocks, log->block_count * sizeof(*taken.blocks));
	taken.block_count = log->block_count;
	taken.state.end = log->end;
	taken.state.records = log->records;
	taken.state.damaged = log->damaged;
	memcpy(taken.state.key, log->key, sizeof(log->key));
	taken.full = true;
	log->taken = taken;
	pthread_mutex_lock(&log->lock);
	log->pending = 0;
	pthread_mutex_unlock(&log->lock);
	return 0;
}

/* The index has it: memory need not. */
static void forget_taken(struct store_log *log)
{
	size_t whole = log->taken.block_count - 1;

	store_log_acquire(log);
	idset_forget_old(&log->ids);
	pthread_mutex_lock(&log->lock);
	memmove(log->blocks, log->blocks + whole, (log->block_count - whole) * sizeof(*log->blocks));
	log->block_count -= whole;
	log->indexed = log->taken.state;
	pthread_mutex_unlock(&log->lock);
	store_log_release(log);
	drop_taken(&log->taken);
}

int store_worker_flush(struct store_log *log)
{
	struct index_batch batch;
	size_t count;
	int err;

	if (!log->taken.full) {
		store_log_acquire(log);
		err = take(log);
		store_log_release(log);
		if (err)
			return err;
	}
	/* The last block may be empty: nothing of it yet. */
	count = log->taken.block_count;
	if (!log->taken.blocks[count - 1].length)
		count--;
	batch = (struct index_batch){
		.state = &log->taken.state,
		.ids = log->taken.ids,
		.id_count = log->taken.id_count,
		.blocks = log->taken.blocks,
		.block_count = count,
		.graphs = log->taken.graphs,
		.graphs_len = log->taken.graphs_len,
	};
	err = index_write(log->index, &batch);
	if (!err)
		forget_taken(log);
	return err;
}

/* --- Compression -------------------------------------------------------------------- */

static int blocks_of(struct store_log *log, int64_t from, int64_t to, struct block *blocks,
		     size_t *ret_count)
{
	int err;

	pthread_mutex_lock(&log->read_lock);
	err = index_blocks(log->index, from, to, false, NULL, blocks, BLOCKS_AT_ONCE, ret_count);
	pthread_mutex_unlock(&log->read_lock);
	return err;
}

/* Frame after frame of @closed into @to; gives the blocks with their frames. */
static int pack_file(struct store_log *log, const struct files_closed *closed, int from, int to,
		     struct block **ret, size_t *ret_count, int64_t *ret_bytes)
{
	struct block *blocks = NULL, *grown;
	struct files_packer *packer;
	size_t count = 0, more = 0;
	int64_t at = 0, position = closed->start;
	int err;

	err = files_packer_new(&packer);
	if (err)
		return err;
	while (position < closed->end) {
		grown = reallocarray(blocks, count + BLOCKS_AT_ONCE, sizeof(*blocks));
		err = grown ? 0 : -ENOMEM;
		if (grown)
			blocks = grown;
		if (!err)
			err = blocks_of(log, position, closed->end, blocks + count, &more);
		/* Blocks that don't cover the file: it can't be put together from them. */
		if (!err && !more)
			err = -EUCLEAN;
		for (; more > 0 && !err; more--, count++) {
			if (blocks[count].start != position)
				err = -EUCLEAN;
			else
				err = files_pack(packer, from, closed->start, to, &at,
						 &blocks[count]);
			position = blocks[count].start + blocks[count].length;
		}
		if (err)
			break;
	}
	files_packer_free(packer);
	if (err) {
		free(blocks);
		return err;
	}
	*ret = blocks;
	*ret_count = count;
	*ret_bytes = at;
	return 0;
}

/* The compressed file is complete and durable before the index knows of it, and
 * that is durable before the plain one goes. */
static int compress_file(struct store_log *log, struct files_closed closed)
{
	char name[FILES_NAME_BYTES], temporary[FILES_NAME_BYTES + 8];
	int directory = log->files.directory_fd, from, to = -1, err;
	struct block *blocks = NULL;
	int64_t bytes = 0;
	size_t count = 0;

	err = files_open_closed(&log->files, &closed, &from);
	if (err)
		return err;
	closed.compressed = true;
	files_name(&log->files, &closed, name);
	closed.compressed = false;
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	to = openat(directory, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (to < 0)
		err = -errno;
	if (!err)
		err = pack_file(log, &closed, from, to, &blocks, &count, &bytes);
	if (!err && fdatasync(to))
		err = -errno;
	if (!err && renameat(directory, temporary, directory, name))
		err = -errno;
	if (!err && fsync(directory))
		err = -errno;
	if (!err)
		err = index_set_frames(log->index, blocks, count);
	if (!err) {
		pthread_mutex_lock(&log->lock);
		files_compressed(&log->files, closed.start, bytes);
		pthread_mutex_unlock(&log->lock);
	} else {
		unlinkat(directory, temporary, 0);
	}
	free(blocks);
	close(from);
	if (to >= 0)
		close(to);
	return err;
}

static bool find_uncompressed(struct store_log *log, struct files_closed *ret)
{
	bool found = false;

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->files.closed_count && !found; i++) {
		const struct files_closed *closed = &log->files.closed[i];

		if (!closed->compressed && closed->bytes && closed->end <= log->indexed.end) {
			*ret = *closed;
			found = true;
		}
	}
	pthread_mutex_unlock(&log->lock);
	return found;
}

/* --- Retention ----------------------------------------------------------------------- */

static int64_t now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

/* The newest record of the blocks from @from to @to; INT64_MIN: there is none. */
static int newest_of(struct store_log *log, int64_t from, int64_t to, int64_t *ret_ms)
{
	struct block blocks[BLOCKS_AT_ONCE];
	int64_t newest = INT64_MIN;
	size_t count;
	int err;

	while (!(err = blocks_of(log, from, to, blocks, &count)) && count) {
		for (size_t i = 0; i < count; i++) {
			if (blocks[i].records && blocks[i].last_ms > newest)
				newest = blocks[i].last_ms;
		}
		from = blocks[count - 1].start + blocks[count - 1].length;
	}
	if (!err)
		*ret_ms = newest;
	return err;
}

/* The ids of a block's records, added to @ids. */
static int collect_ids(struct store_log *log, int fd, int64_t file_start,
		       const struct block *block, char *text, struct hash *ids, size_t *count)
{
	int64_t done = 0;
	int err;

	err = files_read_block(fd, file_start, block, text);
	while (!err && done < block->length) {
		const char *newline = memchr(text + done, '\n', (size_t)(block->length - done));
		struct record_error why;
		struct record record;

		if (!newline)
			break;
		if (!record_read(log->kind, text + done, (size_t)(newline - text - done),
				 log->options->zone_s, &record, NULL, NULL, &why) &&
		    record.event_id[0])
			ids[(*count)++] = hash_event_id(log->key, record.event_id);
		done = newline + 1 - text;
	}
	return err;
}

/* Forget the blocks from @from to @to and their records' ids, some at a time. */
static int forget_records(struct store_log *log, int fd, const struct files_closed *closed)
{
	/* The shortest record has more bytes than this. */
	size_t count, id_count, most_ids = BLOCKS_AT_ONCE * (FILES_BLOCK_BYTES / 64);
	struct block *blocks = calloc(BLOCKS_AT_ONCE, sizeof(*blocks));
	struct hash *ids = calloc(most_ids, sizeof(*ids));
	char *text = malloc(FILES_BLOCK_BYTES);
	int err = blocks && ids && text ? 0 : -ENOMEM;

	while (!err && !(err = blocks_of(log, 0, closed->end, blocks, &count)) && count) {
		struct index_state state;
		int64_t records = 0, damaged = 0;

		id_count = 0;
		for (size_t i = 0; i < count; i++) {
			records += blocks[i].records;
			damaged += blocks[i].damaged;
			/* What can't be read any more keeps its ids in the index: no harm. */
			if (blocks[i].records && blocks[i].start >= closed->start)
				(void)collect_ids(log, fd, closed->start, &blocks[i], text, ids,
						  &id_count);
		}
		pthread_mutex_lock(&log->lock);
		log->records -= records;
		log->damaged -= damaged;
		log->indexed.records -= records;
		log->indexed.damaged -= damaged;
		state = log->indexed;
		pthread_mutex_unlock(&log->lock);
		err = index_forget(log->index, blocks[count - 1].start + 1, ids, id_count, &state);
	}
	free(blocks);
	free(ids);
	free(text);
	return err;
}

static int remove_oldest(struct store_log *log, const struct files_closed *oldest)
{
	int fd, err;

	err = files_open_closed(&log->files, oldest, &fd);
	if (!err) {
		err = forget_records(log, fd, oldest);
		close(fd);
	}
	if (err)
		return err;
	pthread_mutex_lock(&log->lock);
	err = files_remove_oldest(&log->files);
	pthread_mutex_unlock(&log->lock);
	return err;
}

/* Whether the oldest closed file has to go, and which it is. */
static int find_outdated(struct store_log *log, struct files_closed *ret, bool *ret_found)
{
	const struct store_options *options = log->options;
	int64_t bytes, newest_ms;
	bool found = false;
	int err;

	pthread_mutex_lock(&log->lock);
	/* One that was left for its name only, and another has come. */
	while (log->files.closed_count > 1 && !log->files.closed[0].bytes)
		files_remove_oldest(&log->files);
	bytes = log->end - log->files.start;
	for (size_t i = 0; i < log->files.closed_count; i++)
		bytes += log->files.closed[i].bytes;
	if (log->files.closed_count) {
		*ret = log->files.closed[0];
		found = ret->bytes && ret->end <= log->indexed.end;
	}
	pthread_mutex_unlock(&log->lock);
	if (found && !(options->keep_bytes && bytes > options->keep_bytes)) {
		found = false;
		if (options->keep_ms) {
			err = newest_of(log, ret->start, ret->end, &newest_ms);
			if (err)
				return err;
			found = newest_ms < now_ms() - options->keep_ms;
		}
	}
	*ret_found = found;
	return 0;
}

/* A log that grows slowly would never close a file: then age does it. */
static int rotate_by_age(struct store_log *log)
{
	struct block first;
	size_t count;
	int err;

	pthread_mutex_lock(&log->read_lock);
	err = index_blocks(log->index, log->files.start, log->indexed.end, false, NULL, &first, 1,
			   &count);
	pthread_mutex_unlock(&log->read_lock);
	if (err || !count || first.start < log->files.start ||
	    first.first_ms > now_ms() - log->options->keep_ms / 4)
		return err;
	store_log_acquire(log);
	pthread_mutex_lock(&log->lock);
	err = store_log_rotate(log);
	pthread_mutex_unlock(&log->lock);
	store_log_release(log);
	/* What was closed is to be in the index before it can go. */
	return err ? err : store_worker_flush(log);
}

static int tidy(struct store_log *log)
{
	struct files_closed closed;
	bool found = true;
	int err = 0;

	if (log->options->keep_ms)
		err = rotate_by_age(log);
	while (!err && find_uncompressed(log, &closed)) {
		err = compress_file(log, closed);
		/* Records that came meanwhile do not wait for the other files. */
		if (!err && pending(log) >= LIMITS_INDEX_RECORDS)
			err = store_worker_flush(log);
	}
	/* Behind it: what is over the limit is counted as it will stay. */
	while (!err && found) {
		err = find_outdated(log, &closed, &found);
		if (!err && found)
			err = remove_oldest(log, &closed);
	}
	return err;
}

/* --- The thread ----------------------------------------------------------------------- */

/* Wait for enough to do, for @until, or for the end; false at the end. */
static bool wait_for_work(struct store_log *log, time_t until)
{
	struct timespec deadline = { .tv_sec = until };
	bool go_on;

	pthread_mutex_lock(&log->lock);
	while (!log->stopping && !log->rotated &&
	       (log->pending < LIMITS_INDEX_RECORDS || log->index_err)) {
		if (pthread_cond_timedwait(&log->work, &log->lock, &deadline) == ETIMEDOUT)
			break;
	}
	go_on = !log->stopping;
	pthread_mutex_unlock(&log->lock);
	return go_on;
}

static void *work(void *context)
{
	struct store_log *log = context;
	time_t wait_s = 0;
	int err;

	while (wait_for_work(log, time(NULL) + wait_s)) {
		bool rotated;

		pthread_mutex_lock(&log->lock);
		rotated = log->rotated || wait_s != LIMITS_INDEX_LAZY_S;
		log->rotated = false;
		pthread_mutex_unlock(&log->lock);
		err = pending(log) || log->taken.full ? store_worker_flush(log) : 0;
		if (!err && (rotated || log->options->keep_ms))
			err = tidy(log);
		store_log_note_index(log, err);
		wait_s = err ? LIMITS_INDEX_RETRY_S : LIMITS_INDEX_LAZY_S;
	}
	return NULL;
}

int store_worker_start(struct store_log *log)
{
	int err = -pthread_create(&log->worker, NULL, work, log);

	log->has_worker = !err;
	return err;
}

void store_worker_stop(struct store_log *log)
{
	if (!log->has_worker)
		return;
	pthread_mutex_lock(&log->lock);
	log->stopping = true;
	pthread_cond_signal(&log->work);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->worker, NULL);
	log->has_worker = false;
	/* If it can't be written, the next start reads the lines. */
	if (pending(log) || log->taken.full)
		(void)store_worker_flush(log);
	drop_taken(&log->taken);
}
