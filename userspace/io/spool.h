/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The spool: what must survive the monitor.  Intents of kills, that it is disarmed, and
 * batches of records that wait for the log server.  A batch is a file that is the body of
 * one request.
 */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spool_kind {
	SPOOL_KILLS,
	SPOOL_MEMORY,
};

/*
 * Memory samples beyond this many waiting batches are not kept: a day's worth at one
 * every ten seconds.  Kills always are.
 */
#define SPOOL_MEMORY_BATCHES_MAX 8640

struct spool;

/* One waiting batch. */
struct spool_batch {
	uint64_t number;
	enum spool_kind kind;
	char *body;		/* ends in NUL; freed by the caller */
};

/**
 * spool_open() - open the spool, and lock it for as long as this process lives
 * @dir: its folder, made if it isn't there
 * @ret: the spool; the caller closes it
 *
 * The lock is on the file "lock" in it: the generator's script looks at it to learn
 * whether there is still a monitor.
 *
 * Return: 0; -EBUSY: another monitor has it; negative errno.
 */
int spool_open(const char *dir, struct spool **ret);

/* NULL is no error. */
void spool_close(struct spool *s);

/**
 * spool_put() - have a batch on disk
 * @body: a JSON array, ends in NUL
 *
 * Return: 0 once it is durable; -ENOSPC also if it is memory samples and too many wait.
 */
int spool_put(struct spool *s, enum spool_kind kind, const char *body);

/* The oldest batch that waits.  Return: 0; -ENOENT: none waits; negative errno. */
int spool_first(struct spool *s, struct spool_batch *ret);

/* The batch is the log server's now.  Return: 0 or negative errno. */
int spool_done(struct spool *s, const struct spool_batch *batch);

/* The log server refuses the batch for good: it is put aside, not lost, as "refused-…". */
int spool_refuse(struct spool *s, const struct spool_batch *batch);

/* Number of batches that wait. */
size_t spool_waiting(struct spool *s);

/**
 * spool_intend() - have the intent of kills on disk, before the act
 * @body: a JSON array of records
 *
 * There is one at a time.  Return: 0 once it is durable, or negative errno: then there
 * must be no act.
 */
int spool_intend(struct spool *s, const char *body);

/* What an earlier monitor intended and didn't complete.  Return: 0, -ENOENT, or negative errno. */
int spool_intended(struct spool *s, char **ret_body);

/* What was intended can't be read: it is put aside as "broken-…".  Return: 0 or negative errno. */
int spool_intent_broken(struct spool *s);

/* It has its outcome, which is on disk.  Return: 0 or negative errno. */
int spool_intent_done(struct spool *s);

/**
 * spool_disarm() - have it on disk that the monitor is disarmed, over its end
 * @why: ends in NUL
 *
 * Return: 0 once it is durable, or negative errno.
 */
int spool_disarm(struct spool *s, const char *why);

/* It is armed again.  Return: 0 once that is durable, or negative errno. */
int spool_arm(struct spool *s);

/* Why it is disarmed, cut to @size.  Return: 0, -ENOENT: it is armed, or negative errno. */
int spool_disarmed(struct spool *s, char *why, size_t size);

/* The file whose lock says that the monitor lives; the spool's. */
const char *spool_lock_path(const struct spool *s);

#endif
