// SPDX-License-Identifier: GPL-2.0
/* At start: what the index does not know of a log is read from its lines. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"
#include "store_log.h"

/* Read, know the id, count in. 0, -ENOMEM, or -ECANCELED. */
static int load_line(struct store_log *log, const char *line, size_t len)
{
	const struct store_listener *listener = &log->options->listener;
	struct record_error why;
	struct record record;
	struct hash id;
	int err;

	if (atomic_load(&log->loading->closing))
		return -ECANCELED;
	err = store_log_reserve(log, len);
	if (err)
		return err;
	atomic_store(&log->load_at, log->end);
	if (!line || record_read(log->kind, line, len, log->options->zone_s, &record, NULL, NULL,
				 &why)) {
		store_log_count(log, (int64_t)len + 1, NULL);
		return 0;
	}
	if (record.event_id[0]) {
		id = hash_event_id(log->key, record.event_id);
		err = idset_reserve(&log->ids, 1);
		if (err)
			return err;
		if (!idset_has(&log->ids, id))
			idset_add(&log->ids, id);
	}
	store_log_count(log, (int64_t)len + 1, &record);
	listener->add(listener->context, &record);
	return 0;
}

/* Memory stays bounded, also when a hundred gigabytes are read. */
static int flush_if_many(struct store_log *log)
{
	return log->pending >= LIMITS_INDEX_PENDING ? store_worker_flush(log) : 0;
}

/* The lines of a plain file from where the log ends now. */
static int load_plain(struct store_log *log, int fd, int64_t file_start, int64_t size)
{
	struct lines lines;
	const char *line;
	size_t len;
	int err;

	err = lines_open(&lines, fd, log->end - file_start, size);
	if (err)
		return err;
	while ((err = lines_next(&lines, &line, &len)) == 1 || err == -E2BIG) {
		int64_t next = file_start + lines.at - (int64_t)(lines.filled - lines.start);

		err = err == 1 ? load_line(log, line, len) :
				 load_line(log, NULL, (size_t)(next - log->end - 1));
		if (!err)
			err = flush_if_many(log);
		if (err)
			break;
	}
	lines_close(&lines);
	return err;
}

/* One frame's lines are a block. */
static int load_frame(struct store_log *log, const char *text, int64_t len, int64_t at,
		      int64_t frame_len)
{
	struct block *block;
	int64_t done = 0;
	int err = 0;

	while (done < len && !err) {
		const char *newline = memchr(text + done, '\n', (size_t)(len - done));

		block = &log->blocks[log->block_count - 1];
		if (block->start == log->end - done) {
			block->frame_at = at;
			block->frame_len = frame_len;
		}
		/* A damaged line that is longer than a frame: its pieces count. */
		if (newline)
			err = load_line(log, text + done, (size_t)(newline - text - done));
		else
			err = load_line(log, NULL, (size_t)(len - done - 1));
		done = newline ? newline + 1 - text : len;
	}
	store_log_end_block(log);
	return err;
}

static int load_compressed(struct store_log *log, int fd, const struct files_closed *closed)
{
	int64_t at = 0, frame_len, len;
	char *text;
	int err;

	text = malloc(FILES_BLOCK_BYTES);
	if (!text)
		return -ENOMEM;
	while ((err = files_next_frame(fd, at, text, &frame_len, &len)) == 1) {
		if (log->end + len > closed->end)
			break;
		err = load_frame(log, text, len, at, frame_len);
		if (!err)
			err = flush_if_many(log);
		if (err) {
			free(text);
			return err;
		}
		at += frame_len;
	}
	free(text);
	/* A frame that is none: what is not read is skipped. */
	return err == -EUCLEAN || err == 1 ? 0 : err;
}

/* The file is not what its name says: what is missing counts as one damaged line. */
static int skip_rest(struct store_log *log, const struct files_closed *closed)
{
	if (log->end == closed->end)
		return 0;
	return load_line(log, NULL, (size_t)(closed->end - log->end - 1));
}

static int load_closed(struct store_log *log, const struct files_closed *closed)
{
	int fd, err;

	if (!closed->bytes || log->end >= closed->end)
		return 0;
	/* A file before it was removed by hand. */
	if (log->end < closed->start) {
		store_log_end_block(log);
		log->end = closed->start;
		block_begin(&log->blocks[log->block_count - 1], log->end);
	}
	err = files_open_closed(&log->files, closed, &fd);
	if (err)
		return err;
	err = closed->compressed ? load_compressed(log, fd, closed) :
				   load_plain(log, fd, closed->start, closed->bytes);
	close(fd);
	if (!err)
		err = skip_rest(log, closed);
	store_log_end_block(log);
	return err;
}

/* --- Whether the index is of these files ------------------------------------------ */

static bool is_file_end(const struct store_log *log, int64_t end)
{
	for (size_t i = 0; i < log->files.closed_count; i++) {
		if (log->files.closed[i].end == end)
			return true;
	}
	return false;
}

static int check_index(struct store_log *log, const struct index_state *state, int64_t size)
{
	uint64_t tail_hash;
	int err;

	if (state->end > log->files.start + size)
		return -EUCLEAN;
	err = store_log_tail(log, state->end, &tail_hash);
	/* A compressed file is known as a whole, or not: it is only read from its start. */
	if (err == -EALREADY)
		return is_file_end(log, state->end) ? 0 : -EUCLEAN;
	if (err)
		return err == -ENOENT || err == -EIO ? -EUCLEAN : err;
	return tail_hash == state->tail_hash ? 0 : -EUCLEAN;
}

static int load_graphs(struct store_log *log)
{
	const struct store_listener *listener = &log->options->listener;
	void *graphs;
	size_t len;
	int err;

	err = index_graphs(log->index, &graphs, &len);
	if (err)
		return err;
	if (graphs && !listener->load(listener->context, log->kind, graphs, len))
		err = -EUCLEAN;
	free(graphs);
	return err;
}

/* Begin where the index ends, in the block that it has not whole. */
static int resume(struct store_log *log, const struct index_state *state)
{
	struct block *block = log->blocks;
	size_t count;
	int err;

	log->indexed = *state;
	memcpy(log->key, state->key, sizeof(log->key));
	log->records = state->records;
	log->damaged = state->damaged;
	log->end = state->end > files_start(&log->files) ? state->end : files_start(&log->files);
	log->block_count = 1;
	err = index_blocks(log->index, log->files.start, log->end, true, NULL, block, 1, &count);
	if (err)
		return err;
	if (count != 1 || block->start + block->length != log->end || block_is_full(block) ||
	    block->start < log->files.start)
		block_begin(block, log->end);
	return 0;
}

static int open_index(struct store_log *log, int64_t size, struct store_report *report)
{
	const char *directory = log->options->directory;
	struct index_state state;
	int err;

	err = index_open(directory, log->files.name, false, &log->index, &state);
	if (!err)
		err = check_index(log, &state, size);
	if (!err)
		err = load_graphs(log);
	if (!err) {
		report->rebuilt = state.end == 0 && log->files.start + size > 0;
		return resume(log, &state);
	}
	if (err != -EUCLEAN)
		return err;
	/* Damaged, of another version, or of other files: it is made anew. */
	if (log->index)
		index_close(log->index);
	log->index = NULL;
	report->rebuilt = true;
	err = index_open(directory, log->files.name, true, &log->index, &state);
	return err ? err : resume(log, &state);
}

/*
 * What a killed server wrote may be in the page cache only. It is written now; and what
 * could not be written then is dropped, though the kernel has marked it as clean: so
 * that what is read is what the disk has, as far as the kernel can be told.
 */
static int make_durable(int fd)
{
	if (fdatasync(fd))
		return -errno;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static void say_it_takes_long(struct store_loading *loading)
{
	pthread_mutex_lock(&loading->lock);
	loading->takes_long = true;
	pthread_cond_signal(&loading->changed);
	pthread_mutex_unlock(&loading->lock);
}

static int load_tail(struct store_log *log)
{
	int64_t at = log->end - log->files.start;

	log->tail_len = (size_t)(at % STORE_TAIL_BYTES);
	return files_read_all(log->files.fd, log->tail, log->tail_len, at - (int64_t)log->tail_len);
}

int store_log_load(struct store_log *log, struct store_report *report)
{
	int64_t from, size = log->load_end - log->files.start;
	uint64_t secret;
	int err;

	err = make_durable(log->files.fd);
	if (!err)
		err = store_log_reserve(log, 0);
	if (!err)
		err = open_index(log, size, report);
	if (err)
		return err;
	/* Other bits of the key than those that ids are made with would be as good. */
	secret = log->key[0] ^ log->key[1];
	idset_init(&log->ids, secret);

	if (log->load_end - log->end > LIMITS_LOAD_AWAITED_BYTES)
		say_it_takes_long(log->loading);
	from = log->records + log->damaged;
	for (size_t i = 0; i < log->files.closed_count && !err; i++)
		err = load_closed(log, &log->files.closed[i]);
	if (!err)
		err = load_plain(log, log->files.fd, log->files.start, size);
	if (err)
		return err;
	report->read = log->records + log->damaged - from;
	report->records = log->records;
	report->damaged = log->damaged;
	report->torn = log->files.start + size - log->end;
	if (report->torn && ftruncate(log->files.fd, log->end - log->files.start))
		return -errno;
	log->rotate_at = log->files.start + log->options->rotate_bytes;
	atomic_store(&log->load_at, log->load_end);
	return load_tail(log);
}
