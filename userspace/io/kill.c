// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/kill.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "userspace/io/cgroup_read.h"
#include "userspace/io/runtime.h"

/* A killed process has ended within milliseconds unless it sits in the kernel. */
#define EMPTY_TIMEOUT_MS 2000

/* What is open for a victim during the act. */
struct hold {
	int group;	/* its cgroup's folder, -1: none */
	int events;	/* its cgroup.events, -1: none */
	bool empty;
};

const char *kill_outcome_name(enum kill_outcome outcome)
{
	switch (outcome) {
	case KILL_VERIFIED:
		return "killed and verified";
	case KILL_UNVERIFIED:
		return "killed, unverified";
	case KILL_GONE:
		return "was already gone";
	case KILL_DRY:
		return "would be killed (dry run)";
	case KILL_FAILED:
		break;
	}
	return "survived";
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Is it still the container that was decided on?  Then its group is held. */
static void take_hold(const struct kill_options *o, struct kill_victim *v, struct hold *h)
{
	uint64_t inode = 0;
	int err;

	v->outcome = KILL_GONE;
	err = cgroup_open(o->cgroup_root, v->path, &h->group, &inode);
	if (err) {
		h->group = -1;
		snprintf(v->reason, sizeof(v->reason), "its cgroup: %s", strerror(-err));
		return;
	}
	if (inode != v->inode) {
		snprintf(v->reason, sizeof(v->reason), "another cgroup has its name now");
	} else if (cgroup_populated(h->group) != 1) {
		snprintf(v->reason, sizeof(v->reason), "its cgroup is empty");
	} else {
		h->events = openat(h->group, "cgroup.events", O_RDONLY | O_CLOEXEC);
		v->outcome = KILL_FAILED;
		return;
	}
	close(h->group);
	h->group = -1;
}

/*
 * Everything in the group and below it, at once, in the kernel (cgroup-v2.rst,
 * cgroup.kill).  A plain user may not: then the runtime's SIGKILL does it.
 */
static void kill_group(struct hold *h)
{
	int fd = openat(h->group, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) != 1) {
		/* The runtime's SIGKILL follows in any case. */
	}
	close(fd);
}

static bool look(struct kill_victim *v, struct hold *h, double since)
{
	int populated;

	if (h->empty)
		return true;
	populated = cgroup_populated(h->group);
	if (populated == 0 || populated == -ENODEV) {
		h->empty = true;
		v->latency_ms = now_ms() - since;
	}
	return h->empty;
}

/* cgroup.events raises POLLPRI when it changes, and an error when the group is gone. */
static void wait_empty(struct kill_victim *victims, struct hold *holds, size_t count, double since)
{
	struct pollfd *fds = calloc(count + 1, sizeof(*fds));
	double deadline = now_ms() + EMPTY_TIMEOUT_MS;
	size_t i, waiting;

	if (!fds)
		return;
	for (;;) {
		double left = deadline - now_ms();

		for (i = waiting = 0; i < count; i++) {
			fds[i].fd = -1;
			fds[i].events = POLLPRI;
			if (holds[i].group >= 0 && !look(&victims[i], &holds[i], since)) {
				fds[i].fd = holds[i].events;
				waiting++;
			}
		}
		if (!waiting || left <= 0)
			break;
		poll(fds, count, (int)left + 1);
	}
	free(fds);
}

static void conclude(struct kill_victim *v, const struct hold *h, const struct runtime_remove *r)
{
	if (h->empty && r->result != RUNTIME_FAILED) {
		v->outcome = KILL_VERIFIED;
	} else if (h->empty) {
		v->outcome = KILL_UNVERIFIED;
		snprintf(v->reason, sizeof(v->reason), "the runtime has not removed it: %.400s",
			 r->reason);
	} else if (r->result == RUNTIME_REMOVED) {
		v->outcome = KILL_UNVERIFIED;
		snprintf(v->reason, sizeof(v->reason), "its cgroup was not seen empty");
	} else {
		v->outcome = KILL_FAILED;
		snprintf(v->reason, sizeof(v->reason), "the runtime: %.400s", r->reason);
	}
}

int kill_for_real(const struct kill_options *o, struct kill_victim *victims, size_t count)
{
	struct runtime_remove *removals = calloc(count + 1, sizeof(*removals));
	struct hold *holds = calloc(count + 1, sizeof(*holds));
	size_t *which = calloc(count + 1, sizeof(*which));
	size_t i, n = 0;
	double since;
	int err = -ENOMEM;

	if (!removals || !holds || !which)
		goto out;
	for (i = 0; i < count; i++) {
		holds[i] = (struct hold){ .group = -1, .events = -1 };
		take_hold(o, &victims[i], &holds[i]);
	}
	since = now_ms();
	for (i = 0; i < count; i++) {
		if (holds[i].group < 0)
			continue;
		kill_group(&holds[i]);
		removals[n].id = victims[i].id;
		which[n++] = i;
	}
	/* Where cgroup.kill was permitted all are dead before the runtime is asked. */
	if (n && geteuid() == 0)
		wait_empty(victims, holds, count, since);
	err = runtime_remove(o->runtime_socket, removals, n, o->timeout_ms);
	if (!err)
		wait_empty(victims, holds, count, since);
	for (i = 0; !err && i < n; i++)
		conclude(&victims[which[i]], &holds[which[i]], &removals[i]);
	for (i = 0; i < count; i++) {
		if (holds[i].events >= 0)
			close(holds[i].events);
		if (holds[i].group >= 0)
			close(holds[i].group);
	}
out:
	free(removals);
	free(holds);
	free(which);
	return err;
}

int kill_dry(const struct kill_options *o, struct kill_victim *victims, size_t count)
{
	size_t i;

	(void)o;
	for (i = 0; i < count; i++)
		victims[i].outcome = KILL_DRY;
	return 0;
}
