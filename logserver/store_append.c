// SPDX-License-Identifier: GPL-2.0
/* Group commit: how records come onto the disk, each once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_log.h"

/* 1: stored before; 0; or negative errno. */
static int is_known(struct store_log *log, struct hash id)
{
	return idset_has(&log->ids, id) ? 1 : index_has(log->index, id);
}

/* Drop from the batch what is known; note the ids of what is new. */
static int sift(struct store_log *log, struct waiter *waiter, struct hash *added,
		size_t *added_count)
{
	struct record_batch *batch = waiter->batch;
	size_t kept = 0, kept_len = 0, start = 0;

	for (size_t i = 0; i < batch->count; i++) {
		size_t len = batch->line_ends[i] - start;

		if (batch->records[i].event_id[0]) {
			struct hash id = hash_event_id(log->key, batch->records[i].event_id);
			int known = is_known(log, id);

			if (known < 0)
				return known;
			if (known) {
				start += len;
				waiter->result.duplicates++;
				continue;
			}
			idset_add(&log->ids, id);
			added[(*added_count)++] = id;
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
	return 0;
}

/* What was written up to @at of the file is durable: keep what stands in its last page. */
static void keep_tail(struct store_log *log, const char *data, size_t len, int64_t at)
{
	size_t in_page = (size_t)(at % STORE_TAIL_BYTES);

	if (in_page <= len) {
		memcpy(log->tail, data + len - in_page, in_page);
		log->tail_len = in_page;
	} else {
		memcpy(log->tail + log->tail_len, data, len);
		log->tail_len += len;
	}
}

/*
 * Make the file end at @at with what was acknowledged. After a failure it is not known
 * what the disk has of the page that the group shared with lines before it, and the
 * kernel has marked its own copy as clean, written or not (fsync(2)); so it is written
 * again from ours.
 */
static int mend_tail(struct store_log *log, int fd, int64_t at)
{
	if (ftruncate(fd, at))
		return -errno;
	return files_write_all(fd, log->tail, log->tail_len, at - (int64_t)log->tail_len);
}

static int write_group(struct store_log *log, const struct waiter *group)
{
	int64_t at = log->end - log->files.start, end = at;
	int fd = log->files.fd, err = 0;

	if (log->tail_dirty)
		err = mend_tail(log, fd, at);
	if (err)
		return err;
	for (const struct waiter *w = group; w && !err; w = w->next) {
		err = files_write_all(fd, w->batch->lines, w->batch->lines_len, end);
		end += (int64_t)w->batch->lines_len;
	}
	if (!err && end > at && fdatasync(fd))
		err = -errno;
	if (err) {
		log->tail_dirty = true;
		/* At once, too: it gives a full disk its space back. */
		(void)!ftruncate(fd, at);
		return err;
	}
	log->tail_dirty = false;
	for (const struct waiter *w = group; w; w = w->next) {
		/* A request for nothing new has no lines. */
		if (!w->batch->lines_len)
			continue;
		at += (int64_t)w->batch->lines_len;
		keep_tail(log, w->batch->lines, w->batch->lines_len, at);
	}
	return 0;
}

/* The group is on disk: now queries and graphs may see it. */
static void count_group(struct store_log *log, const struct waiter *group)
{
	const struct store_listener *listener = &log->options->listener;

	for (const struct waiter *w = group; w; w = w->next) {
		size_t start = 0;

		for (size_t i = 0; i < w->batch->count; i++) {
			store_log_count(log, (int64_t)(w->batch->line_ends[i] - start),
					&w->batch->records[i]);
			start = w->batch->line_ends[i];
			listener->add(listener->context, &w->batch->records[i]);
		}
	}
	if (log->end >= log->rotate_at)
		(void)store_log_rotate(log);
	if (log->pending >= LIMITS_INDEX_RECORDS)
		pthread_cond_signal(&log->work);
}

static int commit_group(struct store_log *log, struct waiter *group)
{
	size_t total = 0, bytes = 0, added_count = 0;
	struct hash *added;
	int err;

	for (struct waiter *w = group; w; w = w->next) {
		total += w->batch->count;
		bytes += w->batch->lines_len;
	}
	added = calloc(total ? total : 1, sizeof(*added));
	if (!added)
		return -ENOMEM;
	pthread_mutex_lock(&log->lock);
	err = store_log_reserve(log, bytes);
	pthread_mutex_unlock(&log->lock);
	if (!err)
		err = idset_reserve(&log->ids, total);
	if (!err)
		err = index_lookup_begin(log->index);
	if (err)
		goto out;
	for (struct waiter *w = group; w && !err; w = w->next)
		err = sift(log, w, added, &added_count);
	index_lookup_end(log->index);
	if (err == -EUCLEAN)
		store_log_note_index(log, err);
	if (!err)
		err = write_group(log, group);
	if (err) {
		while (added_count > 0)
			idset_undo(&log->ids, added[--added_count]);
		goto out;
	}
	pthread_mutex_lock(&log->lock);
	count_group(log, group);
	pthread_mutex_unlock(&log->lock);
out:
	free(added);
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

/* The index is far behind: no more is taken until it is brought up, or can't be. */
static bool must_wait_for_index(const struct store_log *log)
{
	return log->pending >= LIMITS_INDEX_PENDING && !log->index_err;
}

int store_log_append(struct store_log *log, struct record_batch *batch, struct store_result *ret)
{
	struct waiter self = { .batch = batch, .wake = PTHREAD_COND_INITIALIZER };

	pthread_mutex_lock(&log->lock);
	*log->last = &self;
	log->last = &self.next;
	while (!self.done) {
		struct waiter *group, *next;
		int err;

		if (log->writing || log->wanted || must_wait_for_index(log)) {
			pthread_cond_wait(&self.wake, &log->lock);
			continue;
		}
		log->writing = true;
		group = take_group(log);
		err = log->pending >= LIMITS_INDEX_PENDING ? log->index_err : 0;
		pthread_mutex_unlock(&log->lock);

		if (!err)
			err = commit_group(log, group);

		pthread_mutex_lock(&log->lock);
		log->writing = false;
		for (; group; group = next) {
			/* Its frame may be gone as soon as it is seen to be done. */
			next = group->next;
			group->err = err;
			group->done = true;
			if (group != &self)
				pthread_cond_signal(&group->wake);
		}
		store_log_pass_on(log);
	}
	pthread_mutex_unlock(&log->lock);
	pthread_cond_destroy(&self.wake);
	if (self.err)
		return self.err;
	*ret = self.result;
	return 0;
}
