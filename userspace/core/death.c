// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/death.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_there(const struct model *m, const struct model_container *c)
{
	const struct model_container *same = model_find(m, c->id);

	/* A group that can't be read may be the same. */
	return same && (same->cgroup.inode == c->cgroup.inode || !same->cgroup.known || !c->cgroup.known);
}

static int add(struct deaths *d, const struct model_container *c)
{
	struct death *new;

	if (d->count == DEATH_MAX)
		return -ENOSPC;
	if (d->count == d->room) {
		size_t room = d->room ? 2 * d->room : 8;

		new = realloc(d->list, room * sizeof(*new));
		if (!new)
			return -ENOMEM;
		d->list = new;
		d->room = room;
	}
	new = &d->list[d->count++];
	*new = (struct death){ .container = *c };
	new->container.runtime.labels = NULL;
	new->container.runtime.labels_len = 0;
	return 0;
}

int deaths_find(struct deaths *d, const struct model *last, const struct model *now)
{
	size_t i;
	int err = 0;

	for (i = 0; i < d->count; i++)
		d->list[i].looks++;
	for (i = 0; !err && i < last->container_count; i++)
		if (!is_there(now, &last->containers[i]))
			err = add(d, &last->containers[i]);
	return err;
}

void deaths_forget_own(struct deaths *d, const char *id, uint64_t cgroup_inode)
{
	size_t i, n = 0;

	for (i = 0; i < d->count; i++) {
		const struct model_container *c = &d->list[i].container;

		if (c->cgroup.inode != cgroup_inode && strcmp(c->id, id))
			d->list[n++] = d->list[i];
	}
	d->count = n;
}

static void take_status(struct death *d, int exit_code, int signal, bool oom, uint32_t killer_pid)
{
	d->source = DEATH_BY_WITNESS;
	d->exit_code = exit_code;
	d->signal = signal;
	d->killer_pid = killer_pid;
	d->oom |= oom;
	d->cause = !signal ? DEATH_EXIT : oom && signal == SIGKILL ? DEATH_OOM : DEATH_SIGNAL;
}

int deaths_add_brief(struct deaths *d, const struct ledger_end *end)
{
	struct model_container c = { .cgroup = { .known = true, .inode = end->cgroup_id } };
	int err;

	memcpy(c.id, end->id, sizeof(c.id));
	err = add(d, &c);
	if (!err && end->has_status)
		take_status(&d->list[d->count - 1], end->exit_code, end->signal, end->oom, end->killer_pid);
	return err;
}

void deaths_note_exit(struct deaths *d, const struct ledger_exit *e)
{
	size_t i;

	for (i = 0; i < d->count; i++) {
		struct death *death = &d->list[i];

		if (death->container.pid == e->pid && death->container.start_us == e->start_us)
			take_status(death, e->exit_code, e->signal, e->oom, e->killer_pid);
		else if (death->container.cgroup.inode == e->container_cgroup_id)
			death->oom |= e->oom;
	}
}

/* Docker and Podman tell a death by signal n as status 128 + n, as a shell does. */
static void judge_status(struct death *d, int status)
{
	int signal = status - 128;

	d->source = DEATH_BY_RUNTIME;
	d->exit_code = status;
	d->signal = signal > 0 && signal < NSIG ? signal : 0;
	if (!d->signal)
		d->cause = DEATH_EXIT;
	else if (d->oom && d->signal == SIGKILL)
		d->cause = DEATH_OOM;
	else
		d->cause = DEATH_SIGNAL;
}

void deaths_note_word(struct deaths *d, const struct death_word *w)
{
	size_t i;

	for (i = 0; i < d->count; i++) {
		struct death *death = &d->list[i];

		if (strcmp(death->container.id, w->id))
			continue;
		death->oom |= w->oom;
		if (w->ended && death->source != DEATH_BY_WITNESS)
			judge_status(death, w->status);
		death->by_runtime = death->cause == DEATH_SIGNAL && death->signal == w->signal;
	}
}

bool death_is_ready(const struct death *d)
{
	return d->source != DEATH_BY_NOBODY || d->looks >= DEATH_PATIENCE;
}

void deaths_drop_ready(struct deaths *d)
{
	size_t i, n = 0;

	for (i = 0; i < d->count; i++)
		if (!death_is_ready(&d->list[i]))
			d->list[n++] = d->list[i];
	d->count = n;
}

void deaths_forget(struct deaths *d)
{
	free(d->list);
	memset(d, 0, sizeof(*d));
}

const char *death_cause_name(enum death_cause cause)
{
	switch (cause) {
	case DEATH_EXIT:
		return "exit";
	case DEATH_SIGNAL:
		return "signal";
	case DEATH_OOM:
		return "oom";
	case DEATH_UNKNOWN:
		break;
	}
	return "unknown";
}

const char *death_source_name(enum death_source source)
{
	switch (source) {
	case DEATH_BY_WITNESS:
		return "witness";
	case DEATH_BY_RUNTIME:
		return "runtime";
	case DEATH_BY_NOBODY:
		break;
	}
	return "none";
}

static void signal_name(int signal, char *buf, size_t size)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(buf, size, "SIG%s", name);
	else
		snprintf(buf, size, "signal %d", signal);
}

static void signal_text(const struct death *d, char *buf, size_t size)
{
	char name[32];

	signal_name(d->signal, name, sizeof(name));
	if (d->by_runtime)
		snprintf(buf, size, "ended by %s, which the runtime was asked to send", name);
	else if (d->source == DEATH_BY_RUNTIME)
		/* A program may as well exit with such a status: nothing else was seen. */
		snprintf(buf, size, "ended by %s, not sent by the runtime, or by an exit with status %d", name,
			 d->exit_code);
	else if (d->killer_pid)
		snprintf(buf, size, "ended by %s, sent by process %u", name, d->killer_pid);
	else
		snprintf(buf, size, "ended by %s, sent by the kernel or by one that was not seen", name);
}

void death_text(const struct death *d, char *buf, size_t size)
{
	switch (d->cause) {
	case DEATH_EXIT:
		snprintf(buf, size, "exited by itself with status %d%s", d->exit_code,
			 d->oom ? ", after the OOM killer was at work in it" : "");
		break;
	case DEATH_SIGNAL:
		signal_text(d, buf, size);
		break;
	case DEATH_OOM:
		snprintf(buf, size, "killed by the kernel, out of memory");
		break;
	case DEATH_UNKNOWN:
		snprintf(buf, size, "of what is not known");
		break;
	}
}
