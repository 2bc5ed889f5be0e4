// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/receipt.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *receipt_outcome_name(enum receipt_outcome outcome)
{
	switch (outcome) {
	case RECEIPT_VERIFIED:
		return "killed and verified";
	case RECEIPT_UNVERIFIED:
		return "killed, not verified";
	case RECEIPT_GONE:
		return "was already gone";
	case RECEIPT_DYING:
		return "told to die, not dead yet";
	case RECEIPT_DRY:
		return "would be killed (dry run)";
	case RECEIPT_UNKNOWN:
		return "unknown";
	case RECEIPT_SURVIVED:
		break;
	}
	return "survived";
}

static int by_pid(const void *a, const void *b)
{
	const struct receipt_process *p = a, *q = b;

	return p->pid < q->pid ? -1 : p->pid > q->pid;
}

/* A pid is nobody's for good: with another start it is another process. */
static struct receipt_process *find(const struct receipt *r, const struct receipt_death *d)
{
	const struct receipt_process key = { .pid = d->pid };
	struct receipt_process *p = NULL;

	if (r->process_count)
		p = bsearch(&key, r->processes, r->process_count, sizeof(key), by_pid);
	return p && p->start_us == d->start_us ? p : NULL;
}

void receipt_note(struct receipt *r, const struct receipt_death *d)
{
	struct receipt_process *p = find(r, d);

	if (p && !p->dead) {
		p->dead = true;
		r->known_dead++;
	}
	/* What died before is no work of the act. */
	if (!r->act_us || d->exit_us < r->act_us)
		return;
	if (d->signal == SIGKILL) {
		r->by_sigkill++;
		r->by_us += d->sender_pid && d->sender_pid == r->own_pid;
		r->by_others += d->sender_pid && r->own_pid && d->sender_pid != r->own_pid;
	} else if (d->signal) {
		r->by_signal++;
	} else {
		r->by_itself++;
	}
	if (d->exit_us > r->last_us)
		r->last_us = d->exit_us;
	if (d->init)
		r->signal = d->signal;
}

/* The witness saw each process of the snapshot die, and the monitor send the SIGKILL. */
static bool all_seen(const struct receipt *r)
{
	return r->watched && r->whole && r->known_dead == r->process_count && r->by_us;
}

/*
 * The witness lost nothing, and saw nobody die of what the monitor did: between the last look
 * at the group and the write to cgroup.kill it ended by itself, or by another's hand.  What
 * was asked to stop ends in whatever way it likes.
 */
static bool ended_by_itself(const struct receipt *r)
{
	bool any = r->known_dead || r->by_sigkill || r->by_signal || r->by_itself;

	return r->watched && r->whole && any && !r->stopped && !r->asked_perhaps && !r->forced &&
	       r->by_sigkill == r->by_others;
}

void receipt_conclude(struct receipt *r)
{
	if (r->orphaned)
		/* A removal that was sent can't be called back: who lives may yet die of it. */
		r->outcome = r->found == RECEIPT_FOUND && !r->forced ? RECEIPT_SURVIVED : RECEIPT_UNKNOWN;
	else if (r->found == RECEIPT_UNREADABLE || r->found == RECEIPT_UNTRIED)
		r->outcome = RECEIPT_SURVIVED;
	else if (r->found != RECEIPT_FOUND)
		r->outcome = RECEIPT_GONE;
	else if (!r->empty_us)
		r->outcome = receipt_told(r) && !r->withheld ? RECEIPT_DYING : RECEIPT_SURVIVED;
	else if (!receipt_told(r) && r->asked_perhaps)
		r->outcome = RECEIPT_UNKNOWN;
	else if (!receipt_told(r) || ended_by_itself(r))
		r->outcome = RECEIPT_GONE;
	else if (r->runtime == RECEIPT_REMOVED && !r->forced && all_seen(r))
		r->outcome = RECEIPT_VERIFIED;
	else
		r->outcome = RECEIPT_UNVERIFIED;
}

const char *receipt_seen_by(const struct receipt *r)
{
	if (r->outcome == RECEIPT_VERIFIED)
		return "witness";
	if (r->outcome != RECEIPT_UNVERIFIED)
		return "none";
	return r->forced && !r->killed ? "runtime" : "cgroup";
}

static double ms_since_act(const struct receipt *r, uint64_t at_us)
{
	return at_us > r->act_us ? (double)(at_us - r->act_us) / 1e3 : 0;
}

double receipt_latency_ms(const struct receipt *r)
{
	return r->act_us && r->empty_us ? ms_since_act(r, r->empty_us) : -1;
}

uint64_t receipt_memory_freed(const struct receipt *r)
{
	return r->empty_us && r->has_memory && r->memory_before > r->memory_after ?
		       r->memory_before - r->memory_after : 0;
}

/* What has no room is left out. */
static void say(char *buf, size_t size, size_t *len, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void say(char *buf, size_t size, size_t *len, const char *format, ...)
{
	va_list ap;
	int n;

	if (*len + 2 >= size)
		return;
	if (*len)
		*len += (size_t)snprintf(buf + *len, size - *len, "; ");
	va_start(ap, format);
	n = vsnprintf(buf + *len, size - *len, format, ap);
	va_end(ap);
	*len += n > 0 ? (size_t)n : 0;
	if (*len >= size)
		*len = size - 1;
}

static const char *withheld_text(const struct receipt *r)
{
	static const char *const texts[] = {
		[RECEIPT_NOT_WITHHELD] = "",
		[RECEIPT_CALLED_OFF] = "called off",
		[RECEIPT_EXPIRED] = "the plan had expired",
		[RECEIPT_FROZEN] = "paused meanwhile",
		[RECEIPT_POLICY] = "only the runtime may kill it here, and would start it again",
	};

	return texts[r->withheld];
}

static const char *found_text(enum receipt_found found)
{
	switch (found) {
	case RECEIPT_ABSENT:
		return "its cgroup was gone before it was touched";
	case RECEIPT_REPLACED:
		return "another cgroup has its name now, before it was touched";
	case RECEIPT_EMPTY:
		return "its cgroup was empty before it was touched";
	case RECEIPT_UNREADABLE:
		return "its cgroup can't be read";
	case RECEIPT_UNTRIED:
		return "not touched";
	case RECEIPT_FOUND:
		break;
	}
	return "";
}

static void tell_deaths(const struct receipt *r, char *buf, size_t size, size_t *len)
{
	if (!r->watched) {
		say(buf, size, len, "no witness");
		return;
	}
	say(buf, size, len, "%zu of %zu processes seen to die", r->known_dead, r->process_count);
	if (r->by_sigkill || r->by_signal || r->by_itself)
		say(buf, size, len, "%zu deaths since: %zu by SIGKILL, %zu by another signal, "
		    "%zu by exit, the last after %.1f ms",
		    r->by_sigkill + r->by_signal + r->by_itself, r->by_sigkill, r->by_signal, r->by_itself,
		    ms_since_act(r, r->last_us));
}

static void tell_act(const struct receipt *r, char *buf, size_t size, size_t *len)
{
	say(buf, size, len, "%s%s",
	    r->stopped	      ? "stop signal sent, " :
	    r->asked_perhaps ? "stop signal perhaps sent, " :
			       "",
	    r->killed ? "cgroup.kill" : r->forced ? "killed by the runtime, by its id alone" :
						    "no cgroup.kill");
	tell_deaths(r, buf, size, len);
	if (r->empty_us)
		say(buf, size, len, "populated right before, empty after %.1f ms", receipt_latency_ms(r));
	else
		say(buf, size, len, "not seen empty");
	if (r->removed_us)
		say(buf, size, len, "removed by the runtime after %.0f ms", ms_since_act(r, r->removed_us));
	else if (r->empty_us && r->runtime == RECEIPT_NOT_ASKED && !r->reason[0])
		say(buf, size, len, "not removed by the runtime yet");
	if (receipt_memory_freed(r))
		say(buf, size, len, "%.1f MiB given back", (double)receipt_memory_freed(r) / (1 << 20));
	if (r->successor)
		say(buf, size, len, "what the runtime had started again under its id was removed with it");
}

static const char *orphaned_text(const struct receipt *r)
{
	if (r->found != RECEIPT_FOUND)
		return "it is dead, and by whom is not known: the monitor that intended it ended before it saw the outcome; left alone";
	if (r->forced)
		return "it lives, and the runtime may still kill it: the monitor that intended it has ended";
	return r->asked_perhaps ?
		       "it lives, and may have been asked to stop: the monitor that intended it has ended" :
		       "not touched: the monitor that intended it ended before it acted";
}

void receipt_evidence(const struct receipt *r, char *buf, size_t size)
{
	size_t len = 0;

	*buf = '\0';
	if (r->orphaned)
		say(buf, size, &len, "%s", orphaned_text(r));
	else if (r->found != RECEIPT_FOUND)
		say(buf, size, &len, "%s", found_text(r->found));
	else if (!r->act_us)
		say(buf, size, &len, "%s", "not touched");
	else
		tell_act(r, buf, size, &len);
	if (r->withheld)
		say(buf, size, &len, "%s", withheld_text(r));
	if (r->reason[0])
		say(buf, size, &len, "%s", r->reason);
}
