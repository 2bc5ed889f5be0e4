// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/host/clock.h"

/* After a writable descriptor has taken nothing, and where one can't be polled. */
#define OUTPUT_RETRY_MS 100
#define OUTPUT_NOTICE_SIZE 96
/* The least room that a pseudo terminal has if it has any (drivers/tty/tty_buffer.c). */
#define OUTPUT_TERMINAL_CHUNK 256

enum output_kind {
	OUTPUT_OWN,	/* an open file description of our own, non-blocking */
	OUTPUT_SOCKET,
	OUTPUT_FILE,	/* never makes a writer wait for a reader */
	OUTPUT_SHARED,	/* an open file description that others use too, and that may block */
};

struct output_text {
	struct output_text *next;
	size_t len;
	size_t done;		/* so much is written */
	size_t prefix_len;	/* of the line about lost texts */
	uint64_t reported;	/* the lost texts that the prefix counts */
	bool torn;		/* the prefix ends a line that was left half-written */
	char data[];
};

struct output {
	int fd;
	enum output_kind kind;
	bool terminal;		/* of OUTPUT_SHARED: it is no pipe */
	sd_event_source *ready;	/* NULL: not attached, or epoll(7) doesn't take the descriptor */
	sd_event_source *retry;
	struct output_text *first;
	struct output_text **last;
	size_t waiting;
	uint64_t lost;
	uint64_t unreported;
	bool torn;		/* what is written ends within a line */
	int broken;
};

/* Opening the master's end anew makes another terminal (pts(4)). */
static bool output_is_terminal_master(int fd)
{
	unsigned int number;

	return !ioctl(fd, TIOCGPTN, &number);
}

/* O_NONBLOCK belongs to the open file description, which a shell shares with us (open(2)). */
static int output_reopen(int fd)
{
	char path[32];

	if (output_is_terminal_master(fd))
		return -ENOTTY;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void output_open(struct output *o, int fd, mode_t mode)
{
	o->fd = fd;
	if (S_ISSOCK(mode)) {
		o->kind = OUTPUT_SOCKET;
	} else if (S_ISFIFO(mode) || S_ISCHR(mode)) {
		int own = output_reopen(fd);

		o->kind = own < 0 ? OUTPUT_SHARED : OUTPUT_OWN;
		o->fd = own < 0 ? fd : own;
		o->terminal = S_ISCHR(mode);
	} else {
		o->kind = OUTPUT_FILE;
	}
}

/*
 * A pipe that polls as writable takes PIPE_BUF bytes without blocking (pipe(7)).  A terminal
 * takes one piece: control characters are pieces of their own, and each next one waits for
 * room again (drivers/tty/n_tty.c, n_tty_write()).
 */
static size_t output_chunk(const struct output *o, const char *data, size_t len)
{
	size_t max = o->terminal ? OUTPUT_TERMINAL_CHUNK : PIPE_BUF, n = 0;

	if (len > max)
		len = max;
	if (!o->terminal)
		return len;
	while (n < len && (unsigned char)data[n] >= ' ')
		n++;
	return n ? n : 1;
}

static ssize_t output_try_shared(const struct output *o, const char *data, size_t len)
{
	struct pollfd ready = { .fd = o->fd, .events = POLLOUT };

	if (poll(&ready, 1, 0) <= 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(o->fd, data, output_chunk(o, data, len));
}

/* Return: how much was written, 0: nothing can be now; negative errno. */
static ssize_t output_try(const struct output *o, const char *data, size_t len)
{
	ssize_t n;

	do {
		if (o->kind == OUTPUT_SOCKET)
			n = send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (o->kind == OUTPUT_SHARED)
			n = output_try_shared(o, data, len);
		else
			n = write(o->fd, data, len);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	switch (errno) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return 0;
	}
	return -errno;
}

/* May a later text be written, though this one can't be? */
static bool output_is_passing(ssize_t err)
{
	return err == -ENOSPC || err == -EFBIG || err == -EDQUOT || err == -EMSGSIZE;
}

static void output_remove_first(struct output *o)
{
	struct output_text *t = o->first;

	o->waiting -= t->len - t->done;
	o->first = t->next;
	if (!o->first)
		o->last = &o->first;
	free(t);
}

static void output_count_lost(struct output *o)
{
	o->lost++;
	o->unreported++;
}

static void output_give_up_first(struct output *o)
{
	struct output_text *t = o->first;

	o->torn = t->done ? t->data[t->done - 1] != '\n' : t->torn;
	if (t->done < t->prefix_len)
		o->unreported += t->reported;
	output_count_lost(o);
	output_remove_first(o);
}

static void output_break(struct output *o, int err)
{
	o->broken = err;
	while (o->first)
		output_give_up_first(o);
}

/* Return: whether anything became of what waits. */
static bool output_push(struct output *o)
{
	bool progress = false;

	while (o->first) {
		struct output_text *t = o->first;
		ssize_t n = output_try(o, t->data + t->done, t->len - t->done);

		if (!n)
			break;
		progress = true;
		if (output_is_passing(n)) {
			output_give_up_first(o);
		} else if (n < 0) {
			output_break(o, (int)n);
		} else {
			t->done += (size_t)n;
			o->waiting -= (size_t)n;
			if (t->done == t->len)
				output_remove_first(o);
		}
	}
	return progress;
}

/*
 * A write that finds no memory (ENOMEM of pipe(7) and tty(4), ENOBUFS of send(2)) leaves its
 * descriptor writable as ever.  After a vain attempt a timer says when to try again: the loop
 * would spin, and that while the host is short of memory.
 */
static void output_wait(struct output *o, bool in_vain)
{
	bool polls = o->first && o->ready && !in_vain;

	if (o->ready)
		sd_event_source_set_enabled(o->ready, polls ? SD_EVENT_ON : SD_EVENT_OFF);
	if (o->retry && o->first && !polls) {
		sd_event_source_set_time_relative(o->retry, OUTPUT_RETRY_MS * 1000);
		sd_event_source_set_enabled(o->retry, SD_EVENT_ONESHOT);
	}
}

static int output_on_ready(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct output *o = userdata;

	(void)s;
	(void)fd;
	(void)revents;
	output_wait(o, !output_push(o));
	return 0;
}

static int output_on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct output *o = userdata;

	(void)s;
	(void)usec;
	output_push(o);
	output_wait(o, false);
	return 0;
}

int output_new(sd_event *event, int fd, struct output **ret)
{
	struct output *o;
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return -errno;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->last = &o->first;
	output_open(o, fd, st.st_mode);
	err = event ? output_attach(o, event) : 0;
	if (err) {
		output_free(o);
		return err;
	}
	*ret = o;
	return 0;
}

int output_attach(struct output *o, sd_event *event)
{
	sd_event_source *ready = NULL, *retry = NULL;
	int err;

	if (o->retry)
		return -EBUSY;
	err = sd_event_add_time_relative(event, &retry, CLOCK_MONOTONIC, 0, 0, output_on_retry, o);
	if (err < 0)
		return err;
	sd_event_source_set_enabled(retry, SD_EVENT_OFF);
	err = sd_event_add_io(event, &ready, o->fd, EPOLLOUT, output_on_ready, o);
	/* A file, or /dev/null (epoll_ctl(2)). */
	if (err < 0 && err != -EPERM) {
		sd_event_source_unref(retry);
		return err;
	}
	o->ready = ready;
	o->retry = retry;
	output_wait(o, false);
	return 0;
}

static size_t output_prefix(const struct output *o, char *buf)
{
	int len = o->torn ? sprintf(buf, "\n") : 0;

	bool one = o->unreported == 1, file = o->kind == OUTPUT_FILE;

	/* What goes to a file comes by lines: file_writer.h. */
	if (o->unreported)
		len += sprintf(buf + len, "monitor: %" PRIu64 " %s%s lost here: %s\n", o->unreported,
			       file ? "line" : "report", one ? " was" : "s were",
			       file ? "no space" : one ? "nobody read it" : "nobody read them");
	return (size_t)len;
}

/* A text alone may be longer than the bound: otherwise a long report could never be written. */
static bool output_has_room(const struct output *o, size_t len)
{
	size_t room = o->waiting < OUTPUT_WAITING_MAX ? OUTPUT_WAITING_MAX - o->waiting : 0;

	return !o->waiting || len <= room;
}

static int output_append(struct output *o, const char *text, size_t len)
{
	char prefix[OUTPUT_NOTICE_SIZE];
	size_t prefix_len = output_prefix(o, prefix);
	struct output_text *t;

	if (!output_has_room(o, prefix_len + len))
		return -ENOBUFS;
	t = malloc(sizeof(*t) + prefix_len + len);
	if (!t)
		return -ENOMEM;
	*t = (struct output_text){ .len = prefix_len + len, .prefix_len = prefix_len,
				   .reported = o->unreported, .torn = o->torn };
	memcpy(t->data, prefix, prefix_len);
	memcpy(t->data + prefix_len, text, len);
	*o->last = t;
	o->last = &t->next;
	o->waiting += t->len;
	o->unreported = 0;
	o->torn = false;
	return 0;
}

void output_write(struct output *o, const char *text, size_t len)
{
	if (!len)
		return;
	output_push(o);
	if (o->broken || output_append(o, text, len))
		output_count_lost(o);
	else
		output_push(o);
	output_wait(o, false);
}

uint64_t output_lost(const struct output *o)
{
	return o->lost;
}

int output_broken(const struct output *o)
{
	return o->broken;
}

size_t output_waiting(const struct output *o)
{
	return o->waiting;
}

void output_flush(struct output *o, int timeout_ms)
{
	double end_ms = clock_monotonic_ms() + timeout_ms;
	struct pollfd ready = { .fd = o->fd, .events = POLLOUT };

	output_push(o);
	while (o->first) {
		int left_ms = (int)(end_ms - clock_monotonic_ms());

		if (left_ms <= 0)
			break;
		poll(&ready, 1, left_ms);
		if (!output_push(o))
			poll(NULL, 0, left_ms < OUTPUT_RETRY_MS ? left_ms : OUTPUT_RETRY_MS);
	}
	output_wait(o, false);
}

void output_free(struct output *o)
{
	if (!o)
		return;
	sd_event_source_disable_unref(o->ready);
	sd_event_source_disable_unref(o->retry);
	while (o->first)
		output_remove_first(o);
	if (o->kind == OUTPUT_OWN)
		close(o->fd);
	free(o);
}
