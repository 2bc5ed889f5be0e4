/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The spool: what must survive the monitor.  Intents of kills, whether it is armed, and
 * batches of records that wait for the log server.  A batch is a file that is the body of
 * one request.  All of it is done by the disk process (host/disk.h), and answered on the
 * event loop.
 */
#ifndef DELIVER_SPOOL_H
#define DELIVER_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum spool_kind {
	SPOOL_KILLS,
	SPOOL_MEMORY,
	SPOOL_KINDS,
};

/*
 * Memory samples beyond this many waiting batches take the place of the oldest one: a day's
 * worth at one every ten seconds.  Kills always have their place.
 */
#define SPOOL_MEMORY_BATCHES_MAX 8640

struct spool;

/* A batch that waits: its name. */
struct spool_batch {
	uint64_t number;
	enum spool_kind kind;
};

/* With the NUL. */
#define SPOOL_BATCH_NAME_SIZE 64

/* The name of the batch's file, "00000000000000000001-logs.json". */
void spool_batch_name(char buf[SPOOL_BATCH_NAME_SIZE], const struct spool_batch *b);

/* What an earlier monitor left, and what holds from its start. */
struct spool_start {
	bool armed;		/* the mark is there, or the spool is new */
	char why[512];		/* it is not armed; "" where that isn't known */
	int intents_err;	/* 0; -ENOENT: none; -EBADMSG: unreadable, and put aside; else negative errno */
	const char *intents;	/* if intents_err is 0: a JSON array; ends in NUL */
	size_t intents_len;
	const struct spool_batch *batches;	/* that wait, by number */
	size_t batch_count;
	size_t refused_count;	/* put aside */
	bool slot_damaged;	/* so was one of the two slots of intents: an intent may be missing */
	const char *lock_path;	/* absolute; the file whose lock says that a monitor lives */
};

/* @err: 0; -EBUSY: another monitor has it; negative errno.  @start is gone on return. */
typedef void spool_started_fn(void *ctx, int err, const struct spool_start *start);
typedef void spool_done_fn(void *ctx, int err);
/* @body ends in NUL, and is gone on return. */
typedef void spool_read_fn(void *ctx, int err, const char *body, size_t len);
/* @batch: the name that it has got. */
typedef void spool_put_fn(void *ctx, int err, const struct spool_batch *batch);

/**
 * spool_open() - open the spool in a disk process, and lock it for as long as that lives
 * @event: the loop
 * @dir: its folder, made if it isn't there
 * @started: called once
 * @ctx: of @started
 * @ret: freed by spool_close(), also after a failure that @started tells
 *
 * Fork before there are threads.  The lock is on the file "lock" in it: the generator's
 * script looks at it to learn whether there is still a monitor.
 *
 * Return: 0 or negative errno, and then @started is not called.
 */
int spool_open(sd_event *event, const char *dir, spool_started_fn *started, void *ctx,
	       struct spool **ret);

/* Waits for nothing; no callback is called any more.  NULL is no error. */
void spool_close(struct spool *s);

/**
 * spool_save_intents() - have the open intents on disk, instead of those before
 * @text: a JSON array; ends in NUL
 * @room: bytes that a later one may need; allocated now, so that a full disk can't take them
 *
 * Two slots are written in turn, and a failed write leaves the other one as it is.
 * @done has 0 once it is durable.
 */
int spool_save_intents(struct spool *s, const char *text, size_t room, spool_done_fn *done, void *ctx);

/**
 * spool_put() - have a batch on disk
 * @body: a JSON array; ends in NUL
 * @done: has 0 once it is durable
 */
int spool_put(struct spool *s, enum spool_kind kind, const char *body, spool_put_fn *done, void *ctx);

int spool_read(struct spool *s, const struct spool_batch *batch, spool_read_fn *done, void *ctx);

/* The batch is the log server's now. */
int spool_remove(struct spool *s, const struct spool_batch *batch, spool_done_fn *done, void *ctx);

/* The log server refuses the batch for good: it is put aside, not lost, as "refused-…". */
int spool_refuse(struct spool *s, const struct spool_batch *batch, spool_done_fn *done, void *ctx);

/*
 * Whether the next start is armed: the mark is a file "armed", so that to disarm is to remove
 * one, which a full disk allows.  @why is kept beside it where there is room.  @done has 0
 * once it is durable.
 */
int spool_mark(struct spool *s, bool armed, const char *why, spool_done_fn *done, void *ctx);

/* Of the calls that have this @ctx no callback is called any more.  What they do is done. */
void spool_forget(struct spool *s, const void *ctx);

/* Whether the disk process has ended: all calls fail from then on. */
bool spool_is_lost(const struct spool *s);

/* How many calls have no answer yet, and since when (CLOCK_BOOTTIME in µs; 0: none waits). */
size_t spool_pending(const struct spool *s);
uint64_t spool_waits_since_us(const struct spool *s);

#endif
