// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/host/clock.h"
#include "userspace/host/privilege.h"
#include "userspace/host/process.h"

/* Both sides are one program in one machine: numbers cross as they are. */
struct disk_question_head {
	uint32_t op;
	uint32_t len;
};

struct disk_answer_head {
	int32_t err;
	uint32_t len;
};

struct disk_call {
	struct disk_call *next;
	disk_done_fn *done;
	void *ctx;
	uint64_t since_us;
	size_t len; /* of the frame: a head and the data */
	char frame[];
};

struct disk {
	int fd;
	sd_event_source *socket;
	sd_event_source *failure; /* answers the calls of a dead disk process, one at a time */
	bool dead;
	struct disk_call *first, **last;
	struct disk_call *unsent; /* the first that has not gone out as a whole */
	size_t sent; /* bytes of it that have */
	size_t count, bytes;
	/* The answer that is coming in; without memory for its data, that is read and dropped. */
	struct disk_answer_head head;
	char *data;
	size_t got; /* of head and data */
};

/* --- in the disk process --------------------------------------------------------------- */

static bool disk_read_whole(int fd, void *data, size_t len)
{
	char *to = data;

	while (len) {
		ssize_t n = read(fd, to, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

static bool disk_write_whole(int fd, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		from += n;
		len -= (size_t)n;
	}
	return true;
}

static bool disk_skip(int fd, size_t len)
{
	char buf[4096];

	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		if (!disk_read_whole(fd, buf, n))
			return false;
		len -= n;
	}
	return true;
}

static bool disk_send_answer(int fd, struct disk_answer *answer)
{
	struct disk_answer_head head = { .err = answer->err };
	bool ok;

	if (answer->len > UINT32_MAX)
		head.err = -EFBIG;
	else if (answer->data)
		head.len = (uint32_t)answer->len;
	ok = disk_write_whole(fd, &head, sizeof(head)) &&
	     disk_write_whole(fd, answer->data, head.len);
	free(answer->data);
	return ok;
}

/* Return: false: the connection is closed. */
static bool disk_serve_one(int fd, disk_handler_fn *handler, void *ctx)
{
	struct disk_answer answer = { .err = -ENOMEM };
	struct disk_question_head head;
	char *data;

	if (!disk_read_whole(fd, &head, sizeof(head)))
		return false;
	data = malloc((size_t)head.len + 1);
	if (!data)
		return disk_skip(fd, head.len) && (disk_send_answer(fd, &answer), true);
	if (!disk_read_whole(fd, data, head.len)) {
		free(data);
		return false;
	}
	data[head.len] = '\0';
	answer.err = 0;
	handler(ctx, head.op, data, head.len, &answer);
	free(data);
	/* Nobody may hear of it any more, but what has been asked for is done all the same. */
	disk_send_answer(fd, &answer);
	return true;
}

static void disk_become(int fd)
{
	int null = open("/dev/null", O_RDWR);

	process_be_helper("monitor-disk");
	/* A reader of the monitor's output would wait for the end of a process that hangs. */
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	privilege_drop(false);
	/* Locks and BPF descriptors of the monitor would outlive it in a process that hangs. */
	if (fd != STDERR_FILENO + 1 && dup2(fd, STDERR_FILENO + 1) < 0)
		_exit(1);
	closefrom(STDERR_FILENO + 2);
}

static _Noreturn void disk_run(int fd, disk_handler_fn *handler, void *ctx)
{
	disk_become(fd);
	while (disk_serve_one(STDERR_FILENO + 1, handler, ctx))
		;
	_exit(0);
}

/* --- on the loop ----------------------------------------------------------------------- */

static struct disk_call *disk_pop(struct disk *d)
{
	struct disk_call *call = d->first;

	d->first = call->next;
	if (!d->first)
		d->last = &d->first;
	if (d->unsent == call) {
		d->unsent = call->next;
		d->sent = 0;
	}
	d->count--;
	d->bytes -= sizeof(*call) + call->len;
	return call;
}

/* The last thing that is done with @d: what is called may free it. */
static void disk_finish(struct disk *d, int err, const char *data, size_t len)
{
	struct disk_call *call = disk_pop(d);
	disk_done_fn *done = call->done;
	void *ctx = call->ctx;

	free(call);
	if (done)
		done(ctx, err, data, len);
}

static int disk_on_failure(sd_event_source *source, void *ctx)
{
	struct disk *d = ctx;

	if (d->count <= 1)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (d->count)
		disk_finish(d, -EIO, "", 0);
	return 0;
}

static void disk_die(struct disk *d)
{
	d->dead = true;
	d->unsent = NULL;
	sd_event_source_set_enabled(d->socket, SD_EVENT_OFF);
	if (d->count)
		sd_event_source_set_enabled(d->failure, SD_EVENT_ON);
}

/*
 * A write that fails is no answer yet: those to earlier calls may wait to be read, and the
 * end of the connection comes after them.
 */
static void disk_send(struct disk *d)
{
	while (d->unsent) {
		ssize_t n = send(d->fd, d->unsent->frame + d->sent, d->unsent->len - d->sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			shutdown(d->fd, SHUT_WR);
			d->unsent = NULL;
			break;
		}
		d->sent += (size_t)n;
		if (d->sent < d->unsent->len)
			continue;
		d->unsent = d->unsent->next;
		d->sent = 0;
	}
	sd_event_source_set_io_events(d->socket, EPOLLIN | (d->unsent ? EPOLLOUT : 0));
}

/* Return: 1: the answer is whole; 0: more is to come; negative errno: the connection has ended. */
static int disk_receive(struct disk *d)
{
	const size_t head = sizeof(d->head);
	char dropped[4096];

	while (d->got < head || d->got - head < d->head.len) {
		size_t at = d->got < head ? d->got : d->got - head;
		size_t left = (d->got < head ? head : d->head.len) - at;
		char *to = d->got < head ? (char *)&d->head + at : d->data ? d->data + at : dropped;
		ssize_t n;

		if (to == dropped && left > sizeof(dropped))
			left = sizeof(dropped);
		n = recv(d->fd, to, left, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		d->got += (size_t)n;
		if (d->got == head)
			d->data = malloc((size_t)d->head.len + 1);
	}
	return 1;
}

/* One answer: the source stays ready as long as there are more. */
static int disk_on_socket(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct disk *d = ctx;
	char *data;
	int r;

	(void)source;
	(void)fd;
	if (events & EPOLLOUT)
		disk_send(d);
	r = disk_receive(d);
	if (r < 0 || (r && !d->count)) {
		disk_die(d);
		return 0;
	}
	if (!r)
		return 0;
	data = d->data;
	d->data = NULL;
	d->got = 0;
	if (data)
		data[d->head.len] = '\0';
	disk_finish(d, data ? d->head.err : -ENOMEM, data ? data : "", data ? d->head.len : 0);
	free(data);
	return 0;
}

/* The event loop keeps this source, so that a process that outlives disk_free() is reaped too. */
static int disk_on_exit(sd_event_source *source, int pidfd, uint32_t events, void *ctx)
{
	siginfo_t info = { .si_pid = 0 };

	(void)events;
	(void)ctx;
	if (!waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) && !info.si_pid)
		return 0;
	/* Its only reference is the loop's, and ends here. */
	sd_event_source_set_floating(source, false);
	return 0;
}

static int disk_watch_exit(sd_event *event, pid_t pid)
{
	sd_event_source *source;
	int pidfd, err;

	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return -errno;
	err = sd_event_add_io(event, &source, pidfd, EPOLLIN, disk_on_exit, NULL);
	if (err < 0) {
		close(pidfd);
		return err;
	}
	sd_event_source_set_io_fd_own(source, true);
	err = sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
	return err < 0 ? err : 0;
}

/* @fd: the disk process's end. One whose exit can't be watched would stay as a zombie. */
static int disk_fork(sd_event *event, struct disk *d, int fd, disk_handler_fn *handler, void *ctx)
{
	pid_t pid = fork();
	int err;

	if (pid < 0)
		return -errno;
	if (!pid) {
		close(d->fd);
		disk_run(fd, handler, ctx);
	}
	err = disk_watch_exit(event, pid);
	if (err) {
		shutdown(d->fd, SHUT_RDWR);
		waitpid(pid, NULL, 0);
	}
	return err;
}

static int disk_add_sources(sd_event *event, struct disk *d)
{
	int err = sd_event_add_io(event, &d->socket, d->fd, EPOLLIN, disk_on_socket, d);

	if (err >= 0)
		err = sd_event_add_defer(event, &d->failure, disk_on_failure, d);
	if (err >= 0)
		err = sd_event_source_set_enabled(d->failure, SD_EVENT_OFF);
	return err < 0 ? err : 0;
}

int disk_new(sd_event *event, disk_handler_fn *handler, void *ctx, struct disk **ret)
{
	struct disk *d;
	int ends[2];
	int err;

	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->last = &d->first;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
		err = -errno;
		free(d);
		return err;
	}
	d->fd = ends[0];
	/* A file status flag of this end alone, fcntl(2): the other one waits. */
	err = fcntl(d->fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
	if (!err)
		err = disk_add_sources(event, d);
	if (!err)
		err = disk_fork(event, d, ends[1], handler, ctx);
	close(ends[1]);
	if (err) {
		disk_free(d);
		return err;
	}
	*ret = d;
	return 0;
}

int disk_call(struct disk *d, uint32_t op, const char *data, size_t len, disk_done_fn *done,
	      void *ctx)
{
	struct disk_question_head head = { .op = op, .len = (uint32_t)len };
	struct disk_call *call;
	size_t size = sizeof(*call) + sizeof(head);

	if (len > DISK_PENDING_MAX - size || size + len > DISK_PENDING_MAX - d->bytes)
		return -EBUSY;
	call = malloc(size + len);
	if (!call)
		return -ENOMEM;
	*call = (struct disk_call){
		.done = done, .ctx = ctx, .since_us = clock_boottime_us(), .len = sizeof(head) + len
	};
	memcpy(call->frame, &head, sizeof(head));
	if (len)
		memcpy(call->frame + sizeof(head), data, len);
	*d->last = call;
	d->last = &call->next;
	d->count++;
	d->bytes += size + len;
	if (d->dead) {
		sd_event_source_set_enabled(d->failure, SD_EVENT_ON);
		return 0;
	}
	if (!d->unsent) {
		d->unsent = call;
		disk_send(d);
	}
	return 0;
}

bool disk_is_lost(const struct disk *d)
{
	return d->dead;
}

size_t disk_pending(const struct disk *d)
{
	return d->count;
}

uint64_t disk_waits_since_us(const struct disk *d)
{
	return d->first ? d->first->since_us : 0;
}

/* Another process may have the connection too, by a fork: shutdown() ends it for all. */
void disk_free(struct disk *d)
{
	if (!d)
		return;
	sd_event_source_disable_unref(d->socket);
	sd_event_source_disable_unref(d->failure);
	shutdown(d->fd, SHUT_RDWR);
	close(d->fd);
	while (d->first)
		free(disk_pop(d));
	free(d->data);
	free(d);
}
