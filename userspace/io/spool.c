// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/io/file.h"

#define INTENT "intent.json"
#define DISARMED "disarmed"
#define REFUSED "refused-"
#define BATCH_NAME_SIZE 64
/* Far more than one cycle can make; what is larger is not ours. */
#define BATCH_MAX (64u << 20)

struct spool {
	int dir;
	int lock;
	char lock_path[PATH_MAX];
	pthread_mutex_t mutex;	/* next: batches are put by one thread and sent by another */
	uint64_t next;
};

static const char *const kind_names[] = {
	[SPOOL_KILLS] = "logs",
	[SPOOL_MEMORY] = "logsmemory",
};

static void batch_name(char *buf, uint64_t number, enum spool_kind kind)
{
	snprintf(buf, BATCH_NAME_SIZE, "%020llu-%s.json", (unsigned long long)number,
		 kind_names[kind]);
}

static bool parse_name(const char *name, struct spool_batch *ret)
{
	char again[BATCH_NAME_SIZE];
	size_t kind;

	ret->number = strtoull(name, NULL, 10);
	for (kind = 0; kind < sizeof(kind_names) / sizeof(kind_names[0]); kind++) {
		ret->kind = (enum spool_kind)kind;
		batch_name(again, ret->number, ret->kind);
		if (!strcmp(again, name))
			return true;
	}
	return false;
}

static int open_list(const struct spool *s, DIR **ret)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* What a killed monitor left half written was never in its place: file_write_durably(). */
static int remove_half_written(struct spool *s)
{
	char stem[BATCH_NAME_SIZE];
	struct spool_batch b;
	struct dirent *entry;
	DIR *d;
	int err;

	err = open_list(s, &d);
	if (err)
		return err;
	while ((entry = readdir(d))) {
		size_t len = strlen(entry->d_name);

		if (len < 4 || len - 4 >= sizeof(stem) || strcmp(entry->d_name + len - 4, ".new"))
			continue;
		memcpy(stem, entry->d_name, len - 4);
		stem[len - 4] = 0;
		if (parse_name(stem, &b) || !strcmp(stem, INTENT) || !strcmp(stem, DISARMED))
			unlinkat(s->dir, entry->d_name, 0);
	}
	closedir(d);
	return 0;
}

/* Calls @fn for each batch that waits, or was refused. */
static int each_batch(struct spool *s, bool refused,
		      void (*fn)(void *ctx, const struct spool_batch *b), void *ctx)
{
	struct spool_batch b;
	struct dirent *entry;
	DIR *d;
	int err;

	err = open_list(s, &d);
	if (err)
		return err;
	while ((entry = readdir(d))) {
		const char *name = entry->d_name;

		if (refused) {
			if (strncmp(name, REFUSED, strlen(REFUSED)))
				continue;
			name += strlen(REFUSED);
		}
		if (parse_name(name, &b))
			fn(ctx, &b);
	}
	closedir(d);
	return 0;
}

static void note_next(void *ctx, const struct spool_batch *b)
{
	uint64_t *next = ctx;

	if (b->number >= *next)
		*next = b->number + 1;
}

static void on_alarm(int signal)
{
	(void)signal;
}

/*
 * The generator's script holds the lock for a moment when it looks whether somebody has
 * it: that is waited for, a monitor is not.
 */
static int take_lock(int fd)
{
	const struct sigaction interrupt = { .sa_handler = on_alarm };
	struct sigaction before;
	int err;

	sigaction(SIGALRM, &interrupt, &before);
	alarm(1);
	err = flock(fd, LOCK_EX) ? -errno : 0;
	alarm(0);
	sigaction(SIGALRM, &before, NULL);
	return err == -EINTR ? -EBUSY : err;
}

int spool_open(const char *dir, struct spool **ret)
{
	struct spool *s;
	int err;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dir = s->lock = -1;
	s->next = 1;
	pthread_mutex_init(&s->mutex, NULL);
	if (mkdir(dir, 0700) && errno != EEXIST)
		goto fail_errno;
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		goto fail_errno;
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		goto fail_errno;
	err = take_lock(s->lock);
	if (err)
		goto fail;
	/* The generator's script is run from elsewhere. */
	if (!realpath(dir, s->lock_path))
		goto fail_errno;
	if (strlen(s->lock_path) + sizeof("/lock") > sizeof(s->lock_path)) {
		err = -ENAMETOOLONG;
		goto fail;
	}
	strcat(s->lock_path, "/lock");
	err = remove_half_written(s);
	if (err)
		goto fail;
	/* The refused keep their numbers, or a later one would take their place. */
	err = each_batch(s, false, note_next, &s->next);
	if (!err)
		err = each_batch(s, true, note_next, &s->next);
	if (err)
		goto fail;
	*ret = s;
	return 0;

fail_errno:
	err = -errno;
fail:
	spool_close(s);
	return err;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	if (s->lock >= 0)
		close(s->lock);
	if (s->dir >= 0)
		close(s->dir);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static void count_memory(void *ctx, const struct spool_batch *b)
{
	size_t *n = ctx;

	*n += b->kind == SPOOL_MEMORY;
}

int spool_put(struct spool *s, enum spool_kind kind, const char *body)
{
	char name[BATCH_NAME_SIZE];
	size_t waiting = 0;
	int err;

	if (kind == SPOOL_MEMORY) {
		err = each_batch(s, false, count_memory, &waiting);
		if (err)
			return err;
		if (waiting >= SPOOL_MEMORY_BATCHES_MAX)
			return -ENOSPC;
	}
	pthread_mutex_lock(&s->mutex);
	batch_name(name, s->next++, kind);
	pthread_mutex_unlock(&s->mutex);
	return file_write_durably(s->dir, name, body, strlen(body), 0600);
}

static void keep_first(void *ctx, const struct spool_batch *b)
{
	struct spool_batch *first = ctx;

	if (b->number < first->number)
		*first = *b;
}

int spool_first(struct spool *s, struct spool_batch *ret)
{
	struct spool_batch first = { .number = UINT64_MAX };
	char name[BATCH_NAME_SIZE];
	size_t len;
	int err;

	err = each_batch(s, false, keep_first, &first);
	if (err)
		return err;
	if (first.number == UINT64_MAX)
		return -ENOENT;
	batch_name(name, first.number, first.kind);
	err = file_read_all(s->dir, name, BATCH_MAX, &first.body, &len);
	if (!err)
		*ret = first;
	return err;
}

int spool_done(struct spool *s, const struct spool_batch *batch)
{
	char name[BATCH_NAME_SIZE];

	batch_name(name, batch->number, batch->kind);
	/* Not synced: sent twice after a crash, the record is stored once by its event_id. */
	return unlinkat(s->dir, name, 0) ? -errno : 0;
}

int spool_refuse(struct spool *s, const struct spool_batch *batch)
{
	char name[BATCH_NAME_SIZE], aside[BATCH_NAME_SIZE + sizeof(REFUSED)];

	batch_name(name, batch->number, batch->kind);
	snprintf(aside, sizeof(aside), REFUSED "%s", name);
	return renameat(s->dir, name, s->dir, aside) ? -errno : 0;
}

static void count(void *ctx, const struct spool_batch *b)
{
	size_t *n = ctx;

	(void)b;
	(*n)++;
}

size_t spool_waiting(struct spool *s)
{
	size_t n = 0;

	each_batch(s, false, count, &n);
	return n;
}

int spool_intend(struct spool *s, const char *body)
{
	return file_write_durably(s->dir, INTENT, body, strlen(body), 0600);
}

int spool_intended(struct spool *s, char **ret_body)
{
	size_t len;

	return file_read_all(s->dir, INTENT, BATCH_MAX, ret_body, &len);
}

int spool_intent_broken(struct spool *s)
{
	char aside[64];

	snprintf(aside, sizeof(aside), "broken-%020llu-" INTENT, (unsigned long long)s->next++);
	return renameat(s->dir, INTENT, s->dir, aside) ? -errno : 0;
}

static int remove_durably(struct spool *s, const char *name)
{
	if (unlinkat(s->dir, name, 0))
		return -errno;
	return fsync(s->dir) ? -errno : 0;
}

int spool_intent_done(struct spool *s)
{
	return remove_durably(s, INTENT);
}

int spool_disarm(struct spool *s, const char *why)
{
	return file_write_durably(s->dir, DISARMED, why, strlen(why), 0600);
}

int spool_arm(struct spool *s)
{
	int err = remove_durably(s, DISARMED);

	return err == -ENOENT ? 0 : err;
}

int spool_disarmed(struct spool *s, char *why, size_t size)
{
	char *text;
	size_t len;
	int err;

	err = file_read_all(s->dir, DISARMED, 4096, &text, &len);
	if (err)
		return err;
	snprintf(why, size, "%s", text);
	free(text);
	return 0;
}

const char *spool_lock_path(const struct spool *s)
{
	return s->lock_path;
}
