/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process of its own for what waits for a disk: write, fsync, readdir.  A disk that hangs
 * puts whoever waits for it into a sleep that not even SIGKILL ends, so a thread would keep
 * the whole monitor from ending.  Calls are carried out in their order, and answered on the
 * event loop.
 */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct disk;

/* The answer of a handler, written by it: bytes from malloc(). */
struct disk_answer {
	int err;		/* 0 or negative errno */
	char *data;		/* NULL: none */
	size_t len;
};

/* In the disk process: carries out one call.  @ctx is the handler's own state there. */
typedef void disk_handler_fn(void *ctx, uint32_t op, const char *data, size_t len,
			     struct disk_answer *ret);
/* On the loop: what came of a call.  @data ends in NUL, and is gone when this returns. */
typedef void disk_done_fn(void *ctx, int err, const char *data, size_t len);

/* Calls that wait, with their data; what is beyond is refused: the disk is too slow. */
#define DISK_PENDING_MAX (32u << 20)

/**
 * disk_new() - fork the disk process
 * @event: the loop; must outlive it
 * @handler: carries out the calls, in the disk process
 * @ctx: of @handler, copied by the fork: what is in it now
 * @ret: freed by disk_free()
 *
 * To be called before there are threads.  The process ignores SIGINT, SIGTERM, SIGHUP,
 * SIGQUIT, SIGUSR1 and SIGUSR2; when its end of the connection is closed it carries out
 * what it was sent and ends.  It holds the descriptors that its handler opens (a lock, say) as
 * long as it lives: a monitor that is started meanwhile meets that lock.
 *
 * Return: 0 or negative errno.
 */
int disk_new(sd_event *event, disk_handler_fn *handler, void *ctx, struct disk **ret);

/**
 * disk_call() - have something done
 * @d: the disk process
 * @op: the handler knows
 * @data: copied; may be NULL if @len is 0
 * @len: its length
 * @done: called once, from the loop, in the order of the calls; NULL: nobody wants to know
 * @ctx: of @done
 *
 * When the disk process has died all calls that wait are answered -EIO, and so is each later
 * one (by the loop, not from within this function).
 *
 * Return: 0; -EBUSY: too much waits already; -ENOMEM.  Then @done is not called.
 */
int disk_call(struct disk *d, uint32_t op, const char *data, size_t len, disk_done_fn *done,
	      void *ctx);

/* Whether the disk process has ended. */
bool disk_is_lost(const struct disk *d);

/* How many calls have no answer yet. */
size_t disk_pending(const struct disk *d);

/* CLOCK_BOOTTIME in µs since when the oldest call waits; 0: none waits. */
uint64_t disk_waits_since_us(const struct disk *d);

/* Closes the connection, and waits for nothing; no @done is called any more.  NULL is no error. */
void disk_free(struct disk *d);

#endif
