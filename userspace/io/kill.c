// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/kill.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "userspace/io/cgroup_read.h"
#include "userspace/io/clock.h"
#include "userspace/io/runtime.h"

/* A killed process has ended within milliseconds unless it sits in the kernel. */
#define EMPTY_TIMEOUT_MS 2000

/*
 * How many are acted on at once: each holds two descriptors and a connection, and 1024
 * descriptors is what a process usually may have.
 */
#define AT_ONCE 64

/* What is open for a victim during the act. */
struct hold {
	int group;	/* its cgroup's folder; -1: it is not to be touched */
	int events;	/* its cgroup.events */
	bool killed;	/* by cgroup.kill */
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

static void let_go(struct hold *h)
{
	if (h->events >= 0)
		close(h->events);
	if (h->group >= 0)
		close(h->group);
	h->events = h->group = -1;
}

/* Is it still the container that was decided on?  Then its group is held. */
static void take_hold(const struct kill_options *o, struct kill_victim *v, struct hold *h)
{
	uint64_t inode = 0;
	int populated, err;

	*h = (struct hold){ .group = -1, .events = -1 };
	v->latency_ms = -1;
	err = cgroup_open(o->cgroup_root, v->path, &h->group, &inode);
	if (err) {
		h->group = -1;
		/* That it can't be looked at doesn't mean that it is gone. */
		v->outcome = err == -ENOENT ? KILL_GONE : KILL_FAILED;
		snprintf(v->reason, sizeof(v->reason), "its cgroup: %s", strerror(-err));
		return;
	}
	h->events = openat(h->group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	populated = h->events < 0 ? -errno : cgroup_populated(h->events);
	v->outcome = KILL_GONE;
	if (inode != v->inode) {
		snprintf(v->reason, sizeof(v->reason), "another cgroup has its name now");
	} else if (populated == 0 || populated == -ENODEV || populated == -ENOENT) {
		snprintf(v->reason, sizeof(v->reason), "its cgroup is empty");
	} else if (populated < 0) {
		v->outcome = KILL_FAILED;
		snprintf(v->reason, sizeof(v->reason), "its cgroup.events: %s",
			 strerror(-populated));
	} else {
		return;
	}
	let_go(h);
}

/*
 * Everything in the group and below it, at once, in the kernel (cgroup-v2.rst,
 * cgroup.kill).  A plain user may not: then the runtime's SIGKILL, which follows in any
 * case, is what does it.
 */
static void kill_group(struct hold *h)
{
	int fd = openat(h->group, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	h->killed = write(fd, "1", 1) == 1;
	close(fd);
}

static bool look(struct kill_victim *v, struct hold *h, double since)
{
	int populated;

	if (h->empty)
		return true;
	populated = cgroup_populated(h->events);
	if (populated == 0 || populated == -ENODEV) {
		h->empty = true;
		v->latency_ms = clock_monotonic_ms() - since;
	}
	return h->empty;
}

/* cgroup.events raises POLLPRI when it changes, and when the group is removed. */
static void wait_empty(struct kill_victim *victims, struct hold *holds, size_t count, double since)
{
	double deadline = clock_monotonic_ms() + EMPTY_TIMEOUT_MS;
	struct pollfd fds[AT_ONCE];
	size_t i, waiting;

	for (;;) {
		double left = deadline - clock_monotonic_ms();

		for (i = waiting = 0; i < count; i++) {
			fds[i] = (struct pollfd){ .fd = -1, .events = POLLPRI };
			if (holds[i].group >= 0 && !look(&victims[i], &holds[i], since)) {
				fds[i].fd = holds[i].events;
				waiting++;
			}
		}
		if (!waiting || left <= 0)
			break;
		poll(fds, count, (int)left + 1);
	}
}

static void conclude(struct kill_victim *v, const struct hold *h, const struct runtime_remove *r)
{
	bool removed = r->result == RUNTIME_REMOVED || r->result == RUNTIME_GONE;

	if (h->empty && removed) {
		v->outcome = KILL_VERIFIED;
	} else if (h->empty) {
		v->outcome = KILL_UNVERIFIED;
		snprintf(v->reason, sizeof(v->reason), "the runtime has not removed it: %.400s",
			 r->reason);
	} else if (removed || h->killed || r->result == RUNTIME_NO_ANSWER) {
		/* Whether it dies at once or later, it was told to. */
		v->outcome = KILL_UNVERIFIED;
		snprintf(v->reason, sizeof(v->reason), "its cgroup was not seen empty; the runtime: %.400s",
			 r->reason);
	} else {
		v->outcome = KILL_FAILED;
		snprintf(v->reason, sizeof(v->reason), "the runtime: %.400s", r->reason);
	}
}

static void kill_some(const struct kill_options *o, struct kill_victim *victims, size_t count)
{
	struct runtime_remove removals[AT_ONCE];
	struct hold holds[AT_ONCE];
	size_t which[AT_ONCE];
	bool by_group = false;
	size_t i, n = 0;
	double since;

	for (i = 0; i < count; i++)
		take_hold(o, &victims[i], &holds[i]);
	since = clock_monotonic_ms();
	for (i = 0; i < count; i++) {
		if (holds[i].group < 0)
			continue;
		kill_group(&holds[i]);
		by_group |= holds[i].killed;
		removals[n] = (struct runtime_remove){ .id = victims[i].id };
		which[n++] = i;
	}
	/* Then they are dead before the runtime is asked, and their latency is their own. */
	if (by_group)
		wait_empty(victims, holds, count, since);
	runtime_remove(o->runtime_socket, removals, n, o->timeout_ms);
	wait_empty(victims, holds, count, since);
	for (i = 0; i < n; i++)
		conclude(&victims[which[i]], &holds[which[i]], &removals[i]);
	for (i = 0; i < count; i++)
		let_go(&holds[i]);
}

void kill_for_real(const struct kill_options *o, struct kill_victim *victims, size_t count)
{
	size_t done, n;

	for (done = 0; done < count; done += n) {
		n = count - done < AT_ONCE ? count - done : AT_ONCE;
		kill_some(o, victims + done, n);
	}
}

void kill_dry(struct kill_victim *victims, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		victims[i].outcome = KILL_DRY;
}
