// SPDX-License-Identifier: GPL-2.0
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store_log.h"

/* Free space below which a write is expected to fail: one group of the largest size. */
#define READY_BYTES LIMITS_GROUP_BYTES

struct store {
	struct store_options options;
	int directory_fd;
	struct store_log logs[RECORD_KINDS];

	pthread_t loader;
	bool has_loader;
	struct store_loading loading;
};

static const char *const log_names[RECORD_KINDS] = {
	[RECORD_KILL] = "logs",
	[RECORD_MEMORY] = "logsmemory",
};

const char *store_file_name(enum record_kind kind)
{
	return kind == RECORD_KILL ? "logs.jsonl" : "logsmemory.jsonl";
}

/* --- Opening ------------------------------------------------------------------- */

static int open_log(struct store *store, enum record_kind kind)
{
	struct store_log *log = &store->logs[kind];
	struct stat st;
	int err;

	err = files_open(&log->files, store->directory_fd, log_names[kind]);
	if (err)
		return err;
	if (fstat(log->files.fd, &st))
		return -errno;
	log->load_start = files_start(&log->files);
	log->load_end = log->files.start + st.st_size;
	atomic_store(&log->load_at, log->load_start);
	return 0;
}

static int load_log(struct store *store, enum record_kind kind)
{
	struct store_log *log = &store->logs[kind];
	struct store_report report = { 0 };
	int err;

	err = store_log_load(log, &report);
	if (!err)
		err = store_worker_start(log);
	/* Nobody waits to hear that it was told to stop. */
	if (err != -ECANCELED)
		store->options.loaded(kind, err, &report);
	return err;
}

static void *load(void *context)
{
	struct store *store = context;
	int err = 0;

	for (int kind = 0; kind < RECORD_KINDS && !err; kind++)
		err = load_log(store, kind);
	pthread_mutex_lock(&store->loading.lock);
	atomic_store(&store->loading.err, err);
	pthread_cond_signal(&store->loading.changed);
	pthread_mutex_unlock(&store->loading.lock);
	return NULL;
}

int store_wait(struct store *store)
{
	struct store_loading *loading = &store->loading;
	int err;

	pthread_mutex_lock(&loading->lock);
	while ((err = atomic_load(&loading->err)) == -EINPROGRESS && !loading->takes_long)
		pthread_cond_wait(&loading->changed, &loading->lock);
	pthread_mutex_unlock(&loading->lock);
	return err;
}

double store_progress(struct store *store)
{
	double read = 0, all = 0;

	if (!atomic_load(&store->loading.err))
		return 1;
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct store_log *log = &store->logs[kind];

		read += (double)(atomic_load(&log->load_at) - log->load_start);
		all += (double)(log->load_end - log->load_start);
	}
	/* The last bytes are not yet in use when they are read. */
	return read < all * 0.999 ? read / all : 0.999;
}

int store_open(const struct store_options *options, struct store **ret)
{
	struct store *store = calloc(1, sizeof(*store));
	int err = 0;

	if (!store)
		return -ENOMEM;
	store->options = *options;
	atomic_init(&store->loading.err, -EINPROGRESS);
	pthread_mutex_init(&store->loading.lock, NULL);
	pthread_cond_init(&store->loading.changed, NULL);
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct store_log *log = &store->logs[kind];

		log->kind = kind;
		log->options = &store->options;
		log->loading = &store->loading;
		log->files.fd = -1;
		log->last = &log->first;
		pthread_mutex_init(&log->lock, NULL);
		pthread_mutex_init(&log->read_lock, NULL);
		pthread_cond_init(&log->free, NULL);
		pthread_cond_init(&log->work, NULL);
	}
	store->directory_fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->directory_fd < 0 || flock(store->directory_fd, LOCK_EX | LOCK_NB))
		err = -errno;
	for (int kind = 0; kind < RECORD_KINDS && !err; kind++)
		err = open_log(store, kind);
	/* The files' names must be durable as well as what is in them. */
	if (!err && fsync(store->directory_fd))
		err = -errno;
	if (!err)
		err = -pthread_create(&store->loader, NULL, load, store);
	if (err) {
		store_close(store);
		return err;
	}
	store->has_loader = true;
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	atomic_store(&store->loading.closing, true);
	if (store->has_loader)
		pthread_join(store->loader, NULL);
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct store_log *log = &store->logs[kind];

		store_worker_stop(log);
		if (log->index)
			index_close(log->index);
		files_close(&log->files);
		idset_free(&log->ids);
		free(log->blocks);
		pthread_mutex_destroy(&log->lock);
		pthread_mutex_destroy(&log->read_lock);
		pthread_cond_destroy(&log->free);
		pthread_cond_destroy(&log->work);
	}
	if (store->directory_fd >= 0)
		close(store->directory_fd);
	pthread_mutex_destroy(&store->loading.lock);
	pthread_cond_destroy(&store->loading.changed);
	free(store);
}

/* --- A log's bookkeeping --------------------------------------------------------- */

int store_log_reserve(struct store_log *log, size_t bytes)
{
	size_t needed = log->block_count + bytes / LIMITS_BLOCK_BYTES + 4;
	void *blocks;

	if (needed <= log->block_capacity)
		return 0;
	needed += needed / 2;
	blocks = reallocarray(log->blocks, needed, sizeof(*log->blocks));
	if (!blocks)
		return -ENOMEM;
	log->blocks = blocks;
	log->block_capacity = needed;
	return 0;
}

void store_log_end_block(struct store_log *log)
{
	const struct block *open = &log->blocks[log->block_count - 1];

	if (open->length)
		block_begin(&log->blocks[log->block_count++], open->start + open->length);
}

void store_log_count(struct store_log *log, int64_t len, const struct record *record)
{
	/* Room for reading a block is for lines that can be records. */
	bool apart = len > LIMITS_RECORD_BYTES + 1;

	if (apart)
		store_log_end_block(log);
	block_add(&log->blocks[log->block_count - 1], len, record);
	if (apart || block_is_full(&log->blocks[log->block_count - 1]))
		store_log_end_block(log);
	log->end += len;
	log->pending++;
	if (record)
		log->records++;
	else
		log->damaged++;
}

int store_log_rotate(struct store_log *log)
{
	int err = store_log_reserve(log, 0);

	if (!err)
		err = files_rotate(&log->files, log->end);
	if (err) {
		/* The file stays in use; no need to try at every request. */
		log->rotate_at = log->end + log->options->rotate_bytes / 16;
		return err;
	}
	store_log_end_block(log);
	log->tail_len = 0;
	log->rotate_at = log->end + log->options->rotate_bytes;
	log->rotated = true;
	pthread_cond_signal(&log->work);
	return 0;
}

void store_log_note_index(struct store_log *log, int err)
{
	bool changed;

	pthread_mutex_lock(&log->lock);
	changed = log->index_err != err;
	log->index_err = err;
	if (!log->writing)
		store_log_pass_on(log);
	pthread_mutex_unlock(&log->lock);
	if (changed && err == -EUCLEAN)
		(void)index_discard(log->options->directory, log->files.name);
	if (changed)
		log->options->index_changed(log->kind, err);
}

void store_log_pass_on(struct store_log *log)
{
	if (log->wanted)
		pthread_cond_signal(&log->free);
	else if (log->first)
		pthread_cond_signal(&log->first->wake);
}

void store_log_acquire(struct store_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->wanted = true;
	while (log->writing)
		pthread_cond_wait(&log->free, &log->lock);
	log->writing = true;
	log->wanted = false;
	pthread_mutex_unlock(&log->lock);
}

void store_log_release(struct store_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->writing = false;
	store_log_pass_on(log);
	pthread_mutex_unlock(&log->lock);
}

int store_log_tail(struct store_log *log, int64_t end, uint64_t *ret)
{
	const uint64_t key[2] = { 0 };
	const struct files_closed *closed;
	int64_t file_start, from;
	char tail[256];
	int fd, err;

	if (end <= files_start(&log->files)) {
		*ret = 0;
		return 0;
	}
	pthread_mutex_lock(&log->lock);
	err = files_holding(&log->files, end - 1, &fd, &closed);
	if (!err && closed && closed->compressed) {
		close(fd);
		err = -EALREADY;
	}
	file_start = closed ? closed->start : log->files.start;
	pthread_mutex_unlock(&log->lock);
	if (err)
		return err;
	from = end - (int64_t)sizeof(tail) > file_start ? end - (int64_t)sizeof(tail) : file_start;
	err = files_read_all(fd, tail, (size_t)(end - from), from - file_start);
	close(fd);
	if (!err)
		*ret = hash_bytes(key, tail, (size_t)(end - from)).half[0];
	return err;
}

/* --- Writing ---------------------------------------------------------------------- */

int store_append(struct store *store, enum record_kind kind, struct record_batch *batch,
		 struct store_result *ret)
{
	return store_log_append(&store->logs[kind], batch, ret);
}

static int try_writing(struct store *store)
{
	static const char name[] = "readyz.new";
	int fd = openat(store->directory_fd, name,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = files_write_all(fd, name, sizeof(name), 0);
	if (!err && fdatasync(fd))
		err = -errno;
	close(fd);
	unlinkat(store->directory_fd, name, 0);
	return err;
}

int store_check(struct store *store, bool write)
{
	struct statvfs space;
	int loading = atomic_load(&store->loading.err);

	if (loading)
		return loading;
	if (fstatvfs(store->directory_fd, &space))
		return -errno;
	if (space.f_flag & ST_RDONLY)
		return -EROFS;
	if ((uint64_t)space.f_bavail * space.f_frsize < READY_BYTES)
		return -ENOSPC;
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct store_log *log = &store->logs[kind];
		int err;

		pthread_mutex_lock(&log->lock);
		err = log->index_err;
		pthread_mutex_unlock(&log->lock);
		if (err)
			return err;
	}
	return write ? try_writing(store) : 0;
}

/* --- Reading ---------------------------------------------------------------------- */

void store_extent(struct store *store, enum record_kind kind, struct store_extent *ret)
{
	struct store_log *log = &store->logs[kind];

	pthread_mutex_lock(&log->lock);
	*ret = (struct store_extent){
		.start = files_start(&log->files),
		.end = log->end,
		.records = log->records,
		.bytes = log->end - log->files.start,
		.files = 1 + (int64_t)log->files.closed_count,
		.pending = (int64_t)log->pending,
	};
	for (size_t i = 0; i < log->files.closed_count; i++)
		ret->bytes += log->files.closed[i].bytes;
	pthread_mutex_unlock(&log->lock);
}

/* Those that the index does not have whole. The lock is held. */
static size_t blocks_in_memory(const struct store_log *log, int64_t from, int64_t to,
			       bool backwards, struct block *ret, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < log->block_count && count < max; i++) {
		const struct block *block = &log->blocks[backwards ? log->block_count - 1 - i : i];

		if (block->start + block->length > from && block->length && block->start < to)
			ret[count++] = *block;
	}
	return count;
}

int store_blocks(struct store *store, enum record_kind kind, int64_t from, int64_t to,
		 bool backwards, const struct block_filter *filter, struct block *ret, size_t max,
		 size_t *ret_count)
{
	struct store_log *log = &store->logs[kind];
	size_t count = 0;
	int64_t in_memory;
	int err = 0;

	for (;;) {
		pthread_mutex_lock(&log->lock);
		in_memory = log->blocks[0].start;
		if (backwards ? to > in_memory : from >= in_memory)
			count = blocks_in_memory(log, from, to, backwards, ret, max);
		pthread_mutex_unlock(&log->lock);
		if (count || (!backwards && from >= in_memory))
			break;
		pthread_mutex_lock(&log->read_lock);
		err = index_blocks(log->index, from, to < in_memory ? to : in_memory, backwards,
				   filter, ret, max, &count);
		pthread_mutex_unlock(&log->read_lock);
		if (err || count || backwards || to <= in_memory)
			break;
		/* Go on in memory; what was there may have come to the index by now. */
		from = in_memory;
	}
	if (!err)
		*ret_count = count;
	return err;
}

int store_read_block(struct store *store, enum record_kind kind, const struct block *block,
		     char *text)
{
	struct store_log *log = &store->logs[kind];
	const struct files_closed *closed;
	struct block where = *block;
	int64_t file_start;
	size_t count;
	int fd, err;

	pthread_mutex_lock(&log->lock);
	err = files_holding(&log->files, block->start, &fd, &closed);
	file_start = closed ? closed->start : log->files.start;
	if (!err && closed && !closed->bytes)
		err = -ENOENT;
	if (err) {
		pthread_mutex_unlock(&log->lock);
		return err;
	}
	/* Compressed since the block was looked up? Then the index knows its frame. */
	if (closed && closed->compressed && !where.frame_len) {
		pthread_mutex_unlock(&log->lock);
		pthread_mutex_lock(&log->read_lock);
		err = index_blocks(log->index, block->start, block->start + 1, false, NULL, &where,
				   1, &count);
		pthread_mutex_unlock(&log->read_lock);
		if (!err && count != 1)
			err = -ENOENT;
		/* An answer that lacks records must not end as if it were whole. */
		if (!err && !where.frame_len)
			err = -EUCLEAN;
	} else {
		if (!closed || !closed->compressed)
			where.frame_len = 0;
		pthread_mutex_unlock(&log->lock);
	}
	if (!err)
		err = files_read_block(fd, file_start, &where, text);
	close(fd);
	return err;
}
