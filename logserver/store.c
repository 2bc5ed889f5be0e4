// SPDX-License-Identifier: GPL-2.0
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "idset.h"
#include "lines.h"

/* One caller of store_append(), waiting in its frame. */
struct waiter {
	struct waiter *next;
	struct record_batch *batch;
	struct store_result result;
	int err;
	bool done;
};

/*
 * Group commit: the first caller to find nobody writing takes all that waits,
 * writes it, and syncs once for all; the others sleep. @ids and @tail_dirty
 * belong to whoever is writing, the rest to the lock.
 */
struct store_log {
	enum record_kind kind;
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t progress;
	struct waiter *first, **last;
	bool writing;
	off_t end;         /* durable up to here */
	bool tail_dirty;   /* something not durable may stand behind @end */
	struct idset ids;
};

struct store {
	struct store_options options;
	int directory_fd;
	struct store_log logs[RECORD_KINDS];
};

static const char *const file_names[RECORD_KINDS] = {
	[RECORD_KILL] = "logs.jsonl",
	[RECORD_MEMORY] = "logsmemory.jsonl",
};

const char *store_file_name(enum record_kind kind)
{
	return file_names[kind];
}

static int write_all(int fd, const char *data, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, data, len, at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		at += put;
		len -= (size_t)put;
	}
	return 0;
}

static struct idset_hash hash_of(const struct store_log *log, const struct record *record)
{
	return idset_hash(log->ids.key, record->event_id, strlen(record->event_id));
}

/* --- Start ------------------------------------------------------------------ */

/* Learn the ids of the lines and where the last whole one ends. */
static int load(struct store *store, struct store_log *log, off_t size,
		struct store_report *report)
{
	struct record_error why;
	struct record record;
	struct lines lines;
	const char *line;
	size_t len;
	int err;

	err = lines_open(&lines, log->fd, 0, size);
	if (err)
		return err;
	while ((err = lines_next(&lines, &line, &len)) == 1 || err == -E2BIG) {
		log->end = lines.at - (off_t)(lines.filled - lines.start);
		if (err == -E2BIG || record_read(log->kind, line, len, store->options.zone_s,
						 &record, NULL, NULL, &why)) {
			report->damaged++;
			continue;
		}
		report->records++;
		if (record.event_id[0]) {
			err = idset_reserve(&log->ids, 1);
			if (err)
				break;
			idset_add(&log->ids, hash_of(log, &record));
		}
		store->options.listener(store->options.context, &record);
	}
	lines_close(&lines);
	return err;
}

static int open_log(struct store *store, enum record_kind kind, struct store_report *report)
{
	struct store_log *log = &store->logs[kind];
	uint64_t key[2];
	off_t size;
	int err;

	log->fd = openat(store->directory_fd, file_names[kind],
			 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (log->fd < 0)
		return -errno;
	if (flock(log->fd, LOCK_EX | LOCK_NB))
		return -errno;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -EIO;
	idset_init(&log->ids, LIMITS_EVENT_IDS, key);
	size = lseek(log->fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	err = load(store, log, size, report);
	if (err)
		return err;
	report->torn = size - log->end;
	if (report->torn && ftruncate(log->fd, log->end))
		return -errno;
	/* What a killed server wrote may still be in the page cache only. */
	return fdatasync(log->fd) ? -errno : 0;
}

int store_open(const struct store_options *options, struct store **ret,
	       struct store_report ret_reports[RECORD_KINDS])
{
	struct store_report reports[RECORD_KINDS] = { 0 };
	struct store *store = calloc(1, sizeof(*store));
	int err = 0;

	if (!store)
		return -ENOMEM;
	store->options = *options;
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct store_log *log = &store->logs[kind];

		log->kind = kind;
		log->fd = -1;
		log->last = &log->first;
		pthread_mutex_init(&log->lock, NULL);
		pthread_cond_init(&log->progress, NULL);
	}
	store->directory_fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->directory_fd < 0)
		err = -errno;
	for (int kind = 0; kind < RECORD_KINDS && !err; kind++)
		err = open_log(store, kind, &reports[kind]);
	/* The files' names must be durable as well as what is in them. */
	if (!err && fsync(store->directory_fd))
		err = -errno;
	if (err) {
		store_close(store);
		return err;
	}
	memcpy(ret_reports, reports, sizeof(reports));
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		struct store_log *log = &store->logs[kind];

		if (log->fd >= 0)
			close(log->fd);
		idset_free(&log->ids);
		pthread_mutex_destroy(&log->lock);
		pthread_cond_destroy(&log->progress);
	}
	if (store->directory_fd >= 0)
		close(store->directory_fd);
	free(store);
}

/* --- Writing ---------------------------------------------------------------- */

/* Drop from the batch what is known; note the hashes of what is new. */
static void sift(struct store_log *log, struct waiter *waiter, struct idset_hash *hashes,
		 size_t *hash_count)
{
	struct record_batch *batch = waiter->batch;
	size_t kept = 0, kept_len = 0, start = 0;

	for (size_t i = 0; i < batch->count; i++) {
		size_t len = batch->line_ends[i] - start;

		if (batch->records[i].event_id[0]) {
			struct idset_hash hash = hash_of(log, &batch->records[i]);

			if (!idset_add(&log->ids, hash)) {
				start += len;
				waiter->result.duplicates++;
				continue;
			}
			hashes[(*hash_count)++] = hash;
		}
		memmove(batch->lines + kept_len, batch->lines + start, len);
		start += len;
		kept_len += len;
		batch->records[kept] = batch->records[i];
		batch->line_ends[kept++] = kept_len;
	}
	batch->count = kept;
	batch->lines_len = kept_len;
	waiter->result.stored = kept;
}

static int write_group(struct store_log *log, const struct waiter *group, off_t *ret_end)
{
	off_t end = log->end;
	int err = 0;

	if (log->tail_dirty) {
		if (ftruncate(log->fd, log->end))
			return -errno;
		log->tail_dirty = false;
	}
	for (const struct waiter *w = group; w && !err; w = w->next) {
		err = write_all(log->fd, w->batch->lines, w->batch->lines_len, end);
		end += (off_t)w->batch->lines_len;
	}
	if (!err && end > log->end && fdatasync(log->fd))
		err = -errno;
	if (err) {
		/* Gone at once if it can be: it gives a full disk its space back. */
		log->tail_dirty = ftruncate(log->fd, log->end) != 0;
		return err;
	}
	*ret_end = end;
	return 0;
}

static int commit_group(struct store *store, struct store_log *log, struct waiter *group,
			off_t *ret_end)
{
	struct idset_hash *hashes = NULL;
	size_t total = 0, hash_count = 0;
	int err;

	for (struct waiter *w = group; w; w = w->next)
		total += w->batch->count;
	hashes = calloc(total ? total : 1, sizeof(*hashes));
	if (!hashes)
		return -ENOMEM;
	err = idset_reserve(&log->ids, total);
	if (err)
		goto out;
	for (struct waiter *w = group; w; w = w->next)
		sift(log, w, hashes, &hash_count);
	err = write_group(log, group, ret_end);
	if (err) {
		while (hash_count > 0)
			idset_undo(&log->ids, hashes[--hash_count]);
		goto out;
	}
	for (struct waiter *w = group; w; w = w->next) {
		for (size_t i = 0; i < w->batch->count; i++)
			store->options.listener(store->options.context, &w->batch->records[i]);
	}
out:
	free(hashes);
	return err;
}

/* Take the first waiters of the queue, as many as one write should hold. */
static struct waiter *take_group(struct store_log *log)
{
	struct waiter *group = log->first, **end = &log->first;
	size_t bytes = 0;

	while (*end && (end == &log->first || bytes + (*end)->batch->lines_len <=
						      LIMITS_GROUP_BYTES)) {
		bytes += (*end)->batch->lines_len;
		end = &(*end)->next;
	}
	log->first = *end;
	*end = NULL;
	if (!log->first)
		log->last = &log->first;
	return group;
}

int store_append(struct store *store, enum record_kind kind, struct record_batch *batch,
		 struct store_result *ret)
{
	struct store_log *log = &store->logs[kind];
	struct waiter self = { .batch = batch };

	pthread_mutex_lock(&log->lock);
	*log->last = &self;
	log->last = &self.next;
	while (!self.done) {
		struct waiter *group, *next;
		off_t end;
		int err;

		if (log->writing) {
			pthread_cond_wait(&log->progress, &log->lock);
			continue;
		}
		log->writing = true;
		end = log->end;
		group = take_group(log);
		pthread_mutex_unlock(&log->lock);

		err = commit_group(store, log, group, &end);

		pthread_mutex_lock(&log->lock);
		log->writing = false;
		log->end = end;
		for (; group; group = next) {
			/* Its frame may be gone as soon as it is seen to be done. */
			next = group->next;
			group->err = err;
			group->done = true;
		}
		pthread_cond_broadcast(&log->progress);
	}
	pthread_mutex_unlock(&log->lock);
	if (self.err)
		return self.err;
	*ret = self.result;
	return 0;
}

int store_fd(const struct store *store, enum record_kind kind)
{
	return store->logs[kind].fd;
}

off_t store_end(struct store *store, enum record_kind kind)
{
	struct store_log *log = &store->logs[kind];
	off_t end;

	pthread_mutex_lock(&log->lock);
	end = log->end;
	pthread_mutex_unlock(&log->lock);
	return end;
}
