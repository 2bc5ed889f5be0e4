// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/kill.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "userspace/fault.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/clock.h"
#include "userspace/io/runtime_end.h"

/* A killed process has ended within milliseconds unless it sits in the kernel. */
#define EMPTY_TIMEOUT_MS 2000
/* A runtime answers this at once, or is in trouble; the grace goes on meanwhile. */
#define STOP_TIMEOUT_MS 5000
/*
 * For what did not die of SIGKILL a runtime waits ten seconds and then says that it can't
 * remove it.  It is told, but not waited for that long.
 */
#define UNDEAD_TIMEOUT_MS 3000

/* What is open for a victim during the act. */
struct hold {
	int group;	/* its cgroup's folder; -1: it is not to be touched */
	int events;	/* its cgroup.events */
	int kill;	/* its cgroup.kill; -1: not for us */
};

static void let_go(struct hold *h)
{
	if (h->kill >= 0)
		close(h->kill);
	if (h->events >= 0)
		close(h->events);
	if (h->group >= 0)
		close(h->group);
	h->kill = h->events = h->group = -1;
}

static enum receipt_found judge(const struct kill_victim *v, uint64_t inode,
				const struct cgroup_events *events, int err)
{
	if (inode != v->inode)
		return RECEIPT_REPLACED;
	if (err == -ENODEV || err == -ENOENT || (!err && !events->populated))
		return RECEIPT_EMPTY;
	return err ? RECEIPT_UNREADABLE : RECEIPT_FOUND;
}

/* Is it still the container that was decided on?  Then its group is held. */
static void take_hold(const struct kill_options *o, struct kill_victim *v, struct hold *h)
{
	struct receipt *r = &v->receipt;
	struct cgroup_events events = { 0 };
	uint64_t inode = 0;
	int err;

	*h = (struct hold){ .group = -1, .events = -1, .kill = -1 };
	err = cgroup_open(o->cgroup_root, v->path, &h->group, &inode);
	if (err) {
		h->group = -1;
		/* That it can't be looked at doesn't mean that it is gone. */
		r->found = err == -ENOENT ? RECEIPT_ABSENT : RECEIPT_UNREADABLE;
	} else {
		h->events = openat(h->group, "cgroup.events", O_RDONLY | O_CLOEXEC);
		err = h->events < 0 ? -errno : cgroup_events_read(h->events, &events);
		r->found = judge(v, inode, &events, err);
		r->frozen = events.frozen;
		r->has_memory = !cgroup_memory(h->group, &r->memory_before);
	}
	if (r->found == RECEIPT_UNREADABLE)
		snprintf(r->reason, sizeof(r->reason), "%s", strerror(-err));
	if (r->found != RECEIPT_FOUND)
		let_go(h);
}

enum receipt_found kill_look(int cgroup_root, const char *path, uint64_t inode)
{
	struct kill_victim v = { .path = path, .inode = inode };
	const struct kill_options o = { .cgroup_root = cgroup_root };
	struct hold h;

	take_hold(&o, &v, &h);
	let_go(&h);
	return v.receipt.found;
}

/*
 * Opened before the first one is killed: from then on the runtime's processes, one for each
 * victim, wake up to bury it, and whatever else is to be done before the last one is killed
 * waits for them.  A plain user may not kill this way: then the runtime's SIGKILL, which
 * follows in any case, is what does it.
 */
static int open_kill(struct receipt *r, int group)
{
	int fd = openat(group, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno != EACCES && errno != EPERM)
		snprintf(r->reason, sizeof(r->reason), "cgroup.kill: %s", strerror(errno));
	return fd;
}

/*
 * Everything in the group and below it, at once, in the kernel, also what is frozen and
 * what forks meanwhile (cgroup-v2.rst, cgroup.kill).
 */
static void kill_group(struct receipt *r, const struct hold *h)
{
	if (h->kill < 0)
		return;
	r->killed = write(h->kill, "1", 1) == 1;
	if (!r->killed)
		snprintf(r->reason, sizeof(r->reason), "cgroup.kill: %s", strerror(errno));
}

static bool look(struct receipt *r, struct hold *h)
{
	struct cgroup_events events;
	int err;

	if (r->empty_us)
		return true;
	err = cgroup_events_read(h->events, &events);
	if (err == -ENODEV || (!err && !events.populated))
		r->empty_us = clock_boottime_us();
	return r->empty_us;
}

/* What it still holds, with everything over; a group that is gone holds nothing. */
static void weigh(struct receipt *r, const struct hold *h)
{
	if (cgroup_memory(h->group, &r->memory_after))
		r->memory_after = 0;
}

/*
 * Until all are empty, or those that were asked to stop, or the time is up.  cgroup.events
 * raises POLLPRI when it changes, and when the group is removed.
 */
static void wait_empty(const struct kill_options *o, struct kill_victim *victims,
		       struct hold *holds, size_t count, bool stopped_only, double deadline)
{
	struct pollfd fds[KILL_AT_ONCE + 1];
	size_t i, waiting;

	for (;;) {
		double left = deadline - clock_monotonic_ms();

		for (i = waiting = 0; i < count; i++) {
			struct receipt *r = &victims[i].receipt;

			fds[i] = (struct pollfd){ .fd = -1, .events = POLLPRI };
			if (holds[i].group < 0 || look(r, &holds[i]))
				continue;
			fds[i].fd = holds[i].events;
			waiting += r->stopped || !stopped_only;
		}
		if (!waiting || left <= 0)
			break;
		fds[count] = (struct pollfd){ .fd = o->watch ? o->watch->fd : -1, .events = POLLIN };
		poll(fds, count + 1, (int)left + 1);
		if (fds[count].revents)
			o->watch->attend(o->watch->ctx);
	}
}

/* Asks them to end.  What is frozen can't hear it, and isn't waited for. */
static void stop(const struct kill_options *o, struct kill_victim *victims, struct hold *holds,
		 size_t count)
{
	const struct runtime_call call = { o->runtime_socket, o->watch };
	double deadline = clock_monotonic_ms() + (double)o->grace_ms;
	struct runtime_stop stops[KILL_AT_ONCE];
	size_t which[KILL_AT_ONCE];
	size_t i, n = 0;

	for (i = 0; i < count; i++) {
		if (holds[i].group < 0 || victims[i].receipt.frozen)
			continue;
		stops[n] = (struct runtime_stop){ .id = victims[i].id };
		which[n++] = i;
	}
	runtime_stop(&call, stops, n, o->grace_ms < STOP_TIMEOUT_MS ? o->grace_ms : STOP_TIMEOUT_MS);
	for (i = 0; i < n; i++)
		victims[which[i]].receipt.stopped = stops[i].sent;
	fault_point("stop-sent");
	for (i = 0; i < count; i++)
		if (holds[i].group >= 0 && !victims[i].receipt.stopped)
			kill_group(&victims[i].receipt, &holds[i]);
	wait_empty(o, victims, holds, count, true, deadline);
}

static void note_removal(struct receipt *r, const struct runtime_remove *removal)
{
	switch (removal->result) {
	case RUNTIME_REMOVED:
	case RUNTIME_GONE:
		r->runtime = RECEIPT_LET_GO;
		r->removed_us = clock_boottime_us();
		return;
	case RUNTIME_REFUSED:
		r->runtime = RECEIPT_REFUSED;
		break;
	case RUNTIME_NO_ANSWER:
		r->runtime = RECEIPT_SILENT;
		break;
	}
	snprintf(r->reason, sizeof(r->reason), "the runtime: %.200s", removal->reason);
}

/* Those that are dead, or else those that are not. */
static void remove_some(const struct kill_options *o, struct kill_victim *victims,
			const struct hold *holds, size_t count, bool dead, long timeout_ms)
{
	const struct runtime_call call = { o->runtime_socket, o->watch };
	struct runtime_remove removals[KILL_AT_ONCE];
	size_t which[KILL_AT_ONCE];
	size_t i, n = 0;

	for (i = 0; i < count; i++) {
		if (holds[i].group < 0 || dead != !!victims[i].receipt.empty_us)
			continue;
		removals[n] = (struct runtime_remove){ .id = victims[i].id };
		which[n++] = i;
	}
	if (!n)
		return;
	runtime_remove(&call, removals, n, true, timeout_ms);
	for (i = 0; i < n; i++)
		note_removal(&victims[which[i]].receipt, &removals[i]);
}

static void kill_some(const struct kill_options *o, struct kill_victim *victims, size_t count)
{
	struct hold holds[KILL_AT_ONCE];
	bool by_group = false;
	uint64_t act_us;
	size_t i;

	for (i = 0; i < count; i++) {
		take_hold(o, &victims[i], &holds[i]);
		if (holds[i].group >= 0)
			holds[i].kill = open_kill(&victims[i].receipt, holds[i].group);
	}
	fault_point("held");
	act_us = clock_boottime_us();
	for (i = 0; i < count; i++)
		if (holds[i].group >= 0)
			victims[i].receipt.act_us = act_us;
	if (o->grace_ms)
		stop(o, victims, holds, count);
	for (i = 0; i < count; i++) {
		struct receipt *r = &victims[i].receipt;

		if (holds[i].group < 0)
			continue;
		if (!r->empty_us && !r->killed)
			kill_group(r, &holds[i]);
		by_group |= r->killed;
		if (!i)
			fault_point("first-killed");
	}
	fault_point("all-killed");
	/* Then they are dead before the runtime is asked, and their latency is their own. */
	if (by_group)
		wait_empty(o, victims, holds, count, false, clock_monotonic_ms() + EMPTY_TIMEOUT_MS);
	fault_point("seen-empty");
	remove_some(o, victims, holds, count, true, o->timeout_ms);
	remove_some(o, victims, holds, count, false, by_group ? UNDEAD_TIMEOUT_MS : o->timeout_ms);
	fault_point("removed");
	wait_empty(o, victims, holds, count, false, clock_monotonic_ms() + EMPTY_TIMEOUT_MS);
	for (i = 0; i < count; i++) {
		if (holds[i].group >= 0)
			weigh(&victims[i].receipt, &holds[i]);
		let_go(&holds[i]);
	}
}

void kill_for_real(const struct kill_options *o, struct kill_victim *victims, size_t count)
{
	size_t done, n;

	for (done = 0; done < count; done += n) {
		n = count - done < KILL_AT_ONCE ? count - done : KILL_AT_ONCE;
		if (done && !o->may_go_on(o->ctx))
			break;
		kill_some(o, victims + done, n);
	}
	for (; done < count; done++)
		victims[done].receipt.found = RECEIPT_UNTRIED;
}
