// SPDX-License-Identifier: GPL-2.0
#include "userspace/control/control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "userspace/control/operator.h"
#include "userspace/host/clock.h"
#include "userspace/host/process.h"

#define CLIENTS_MAX 16
#define REQUEST_MAX 64
/* An answer names a few open kills; what is longer is none of ours. */
#define ANSWER_MAX (1u << 20)
/* Who connects and says nothing gives up his place to the next. */
#define IDLE_US 5000000
/* A disk that has not answered by then: the answer says that the mode is not durable. */
#define DURABLE_WAIT_US 2000000
#define REMOVE_TIMEOUT_MS 100

struct client {
	struct control *control;
	int fd;			/* -1: free */
	sd_event_source *source;
	uint64_t since_us;	/* CLOCK_BOOTTIME */
	bool privileged;	/* root, or who started the monitor: never turned away for others */
	char request[REQUEST_MAX];
	size_t len;
	bool waits;		/* for the mode to be durable */
};

struct control {
	struct context *ctx;
	control_status_fn *status;
	void *status_ctx;
	char *path;
	ino_t inode;		/* of the socket's name: another's is not removed */
	int fd;
	sd_event_source *source;
	sd_event_source *timer;		/* of the clients that wait; of listening again, if starved */
	bool starved;			/* of descriptors */
	struct client clients[CLIENTS_MAX];
	bool polling;
};

/* A path of any length: sun_path has room for 107 bytes, a descriptor's name for all. */
static int address_of(const char *path, struct sockaddr_un *ret, int *ret_dir)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	if (!folder)
		return -ENOMEM;
	*ret_dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (*ret_dir < 0)
		return -errno;
	ret->sun_family = AF_UNIX;
	if (snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *ret_dir,
		     slash ? slash + 1 : path) >= (int)sizeof(ret->sun_path)) {
		close(*ret_dir);
		return -ENAMETOOLONG;
	}
	return 0;
}

/* --- answers --------------------------------------------------------------------- */

static void drop(struct client *c)
{
	c->source = sd_event_source_disable_unref(c->source);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static char *answer_text(struct control *k)
{
	const struct operator *o = k->ctx->operator;
	cJSON *answer = cJSON_CreateObject();
	char *text = NULL;

	if (answer && cJSON_AddStringToObject(answer, "mode", brake_mode_name(o->brake->mode)) &&
	    cJSON_AddStringToObject(answer, "why", o->brake->why) &&
	    cJSON_AddBoolToObject(answer, "durable", operator_is_marked(o)) &&
	    cJSON_AddNumberToObject(answer, "pid", getpid())) {
		k->status(k->status_ctx, answer);
		text = cJSON_PrintUnformatted(answer);
	}
	cJSON_Delete(answer);
	return text;
}

/* A socket's buffer holds it; who does not read it has no answer. */
static void answer(struct client *c)
{
	char *text = answer_text(c->control);

	if (text) {
		send(c->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
		send(c->fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	cJSON_free(text);
	drop(c);
}

static void refuse(struct client *c)
{
	static const char words[] = "{\"error\":\"no such request; there are status, arm and disarm\"}\n";

	send(c->fd, words, sizeof(words) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	drop(c);
}

/* Once: who comes later is answered with the first. */
static void start_timer(struct control *k)
{
	int enabled = SD_EVENT_OFF;

	sd_event_source_get_enabled(k->timer, &enabled);
	if (enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(k->timer, DURABLE_WAIT_US);
	sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT);
}

static void carry_out(struct client *c)
{
	struct operator *o = c->control->ctx->operator;
	bool is_status = !strcmp(c->request, "status");

	if (!strcmp(c->request, "disarm")) {
		operator_disarm(o, "control socket");
	} else if (!strcmp(c->request, "arm")) {
		operator_arm(o, "control socket");
	} else if (!is_status) {
		refuse(c);
		return;
	}
	if (is_status || operator_is_marked(o) || !o->marking) {
		answer(c);
		return;
	}
	c->waits = true;
	start_timer(c->control);
}

void control_answer_waiting(struct control *k)
{
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++)
		if (k->clients[i].fd >= 0 && k->clients[i].waits)
			answer(&k->clients[i]);
	/* The next one has all of its time; without descriptors it is the listening that waits. */
	if (!k->starved)
		sd_event_source_set_enabled(k->timer, SD_EVENT_OFF);
}

static int on_timer(sd_event_source *source, uint64_t at_us, void *ctx)
{
	struct control *k = ctx;

	(void)source;
	(void)at_us;
	control_answer_waiting(k);
	k->starved = false;
	sd_event_source_set_enabled(k->source, SD_EVENT_ON);
	return 0;
}

/* --- requests -------------------------------------------------------------------- */

static void read_request(struct client *c)
{
	char *end;
	ssize_t n;

	/* One request a connection; a client may have shut its own half of it by now. */
	if (c->waits) {
		sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
		return;
	}
	n = recv(c->fd, c->request + c->len, sizeof(c->request) - 1 - c->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	c->len += (size_t)n;
	c->request[c->len] = '\0';
	end = strchr(c->request, '\n');
	if (end) {
		*end = '\0';
		carry_out(c);
	} else if (c->len == sizeof(c->request) - 1) {
		refuse(c);
	}
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	(void)source;
	(void)fd;
	(void)events;
	read_request(ctx);
	return 0;
}

/* Who loses his place first: not root, then who came first. */
static bool is_before(const struct client *a, const struct client *b)
{
	if (a->privileged != b->privileged)
		return !a->privileged;
	return a->since_us < b->since_us;
}

/* A free place, or one whose client may lose it.  NULL: there is none. */
static struct client *place_for(struct control *k, bool privileged)
{
	uint64_t now_us = clock_boottime_us();
	struct client *best = NULL;
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &k->clients[i];
		/* Root comes before its group, and the latest before who has been served the longest. */
		bool may = c->fd >= 0 && (privileged ? true : !c->waits && now_us - c->since_us > IDLE_US);

		if (c->fd < 0)
			return c;
		if (may && (!best || is_before(c, best)))
			best = c;
	}
	if (best)
		drop(best);
	return best;
}

static void take_in(struct control *k, int fd)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(who);
	struct client *c;
	bool privileged;

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
	privileged = who.uid == 0 || who.uid == geteuid();
	c = place_for(k, privileged);
	if (!c) {
		close(fd);
		return;
	}
	*c = (struct client){ .control = k, .fd = fd, .since_us = clock_boottime_us(),
			      .privileged = privileged };
	if (sd_event_add_io(k->ctx->event, &c->source, fd, EPOLLIN, on_client, c) < 0)
		drop(c);
}

static void accept_all(struct control *k)
{
	int fd;

	while ((fd = accept4(k->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		take_in(k, fd);
	/* Without a descriptor the connection would be ready again at once, and again. */
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		k->starved = true;
		sd_event_source_set_enabled(k->source, SD_EVENT_OFF);
		start_timer(k);
	}
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	(void)source;
	(void)fd;
	(void)events;
	accept_all(ctx);
	return 0;
}

void control_poll(struct control *k)
{
	size_t i;

	/* What is requested may lead back here. */
	if (k->polling)
		return;
	k->polling = true;
	accept_all(k);
	for (i = 0; i < CLIENTS_MAX; i++)
		if (k->clients[i].fd >= 0)
			read_request(&k->clients[i]);
	k->polling = false;
}

/* --- begin and end --------------------------------------------------------------- */

/*
 * Whoever may connect may stop the kills, and nothing else.  The folder is the spool's in the
 * usual case, which nobody else may look into: the group may pass through it.
 */
static int let_group_in(const struct sockaddr_un *at, int dir, gid_t group)
{
	char folder[64];
	struct stat st;

	snprintf(folder, sizeof(folder), "/proc/self/fd/%d", dir);
	if (chown(at->sun_path, (uid_t)-1, group) || chmod(at->sun_path, 0660) || stat(folder, &st))
		return -errno;
	/* Only a folder that is closed to all but us. */
	if (st.st_uid == geteuid() && !(st.st_mode & 077) &&
	    (chown(folder, (uid_t)-1, group) || chmod(folder, 0710)))
		return -errno;
	return 0;
}

static int listen_at(struct control *k, const char *path, gid_t group)
{
	struct sockaddr_un at = { 0 };
	int dir, err = address_of(path, &at, &dir);
	struct stat st;
	mode_t mask;

	if (err)
		return err;
	k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->fd < 0) {
		err = -errno;
		goto out;
	}
	/*
	 * Only a socket that nobody listens at is replaced: not another monitor's, nor what a
	 * mistaken path names.
	 */
	err = connect(k->fd, (const struct sockaddr *)&at, sizeof(at)) ? -errno : -EADDRINUSE;
	if (err == -EAGAIN)
		err = -EADDRINUSE;
	if (!lstat(at.sun_path, &st) && (err != -ECONNREFUSED || !S_ISSOCK(st.st_mode))) {
		err = S_ISSOCK(st.st_mode) ? err : -EEXIST;
		goto out;
	}
	unlink(at.sun_path);
	mask = umask(0177);
	err = bind(k->fd, (const struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
	umask(mask);
	if (!err && !stat(at.sun_path, &st))
		k->inode = st.st_ino;
	if (!err && group != CONTROL_NO_GROUP)
		err = let_group_in(&at, dir, group);
	if (!err && listen(k->fd, 64))
		err = -errno;
out:
	close(dir);
	return err;
}

int control_new(struct context *ctx, const char *path, gid_t group, control_status_fn *status,
		void *status_ctx, struct control **ret, char *reason)
{
	struct control *k = calloc(1, sizeof(*k));
	size_t i;
	int err = -ENOMEM;

	if (!k)
		goto fail;
	k->ctx = ctx;
	k->fd = -1;
	k->status = status;
	k->status_ctx = status_ctx;
	for (i = 0; i < CLIENTS_MAX; i++)
		k->clients[i].fd = -1;
	err = listen_at(k, path, group);
	if (err)
		goto fail;
	k->path = strdup(path);
	err = k->path ? sd_event_add_io(ctx->event, &k->source, k->fd, EPOLLIN, on_connection, k) : -ENOMEM;
	if (err < 0)
		goto fail;
	err = sd_event_add_time_relative(ctx->event, &k->timer, CLOCK_BOOTTIME, 0, 1000, on_timer, k);
	if (err < 0)
		goto fail;
	sd_event_source_set_enabled(k->timer, SD_EVENT_OFF);
	*ret = k;
	return 0;
fail:
	snprintf(reason, CONTROL_REASON_SIZE, "no control socket at %.300s: %s", path, strerror(-err));
	control_free(k);
	return err;
}

static int remove_socket(void *ctx)
{
	const struct control *k = ctx;
	struct sockaddr_un at = { 0 };
	struct stat st;
	int dir;

	if (address_of(k->path, &at, &dir) || stat(at.sun_path, &st) || st.st_ino != k->inode)
		return 1;
	return unlink(at.sun_path) ? 1 : 0;
}

void control_free(struct control *k)
{
	size_t i;

	if (!k)
		return;
	for (i = 0; i < CLIENTS_MAX; i++)
		drop(&k->clients[i]);
	sd_event_source_disable_unref(k->source);
	sd_event_source_disable_unref(k->timer);
	if (k->fd >= 0)
		close(k->fd);
	/* In a child, which the monitor's end does not wait for long: the spool's disk may hang. */
	if (k->path)
		process_try(remove_socket, k, REMOVE_TIMEOUT_MS);
	free(k->path);
	free(k);
}

/* --- the other end --------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un at = { 0 };
	int fd, dir, err = address_of(path, &at, &dir);

	if (err)
		return err;
	/* Not blocking: a full queue of connections is an answer, too. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at))) {
		err = -errno;
		close(fd);
		fd = err;
	} else if (fd < 0) {
		fd = -errno;
	}
	close(dir);
	return fd;
}

static int read_answer(int fd, char **ret)
{
	double end = clock_monotonic_ms() + CONTROL_PATIENCE_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *text = malloc(ANSWER_MAX + 1);
	int err = text ? 0 : -ENOMEM;
	size_t len = 0;

	while (!err) {
		double left = end - clock_monotonic_ms();
		ssize_t n;

		poll(&p, 1, left > 0 ? (int)left + 1 : 0);
		n = recv(fd, text + len, ANSWER_MAX - len, MSG_DONTWAIT);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0)
			break;
		else if (errno != EAGAIN && errno != EINTR)
			err = -errno;
		if (left <= 0)
			err = -ETIMEDOUT;
	}
	if (!err && (!len || text[len - 1] != '\n'))
		err = -EPROTO;
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret = text;
	return 0;
}

int control_ask(const char *path, const char *request, char **ret, char *reason)
{
	char line[REQUEST_MAX];
	int fd = connect_to(path), n, err;

	if (fd < 0) {
		snprintf(reason, CONTROL_REASON_SIZE, "%s %.300s: %s%s",
			 fd == -ENOENT || fd == -ECONNREFUSED ? "no monitor listens at" :
								"can't reach the monitor at",
			 path, strerror(-fd),
			 fd == -EACCES ? "; run it as root, or as one of its control-group" : "");
		return fd;
	}
	n = snprintf(line, sizeof(line), "%s\n", request);
	err = send(fd, line, (size_t)n, MSG_NOSIGNAL) == n ? read_answer(fd, ret) : -errno;
	if (err)
		snprintf(reason, CONTROL_REASON_SIZE, "the monitor at %.300s gave no answer: %s", path,
			 strerror(-err));
	close(fd);
	return err;
}
