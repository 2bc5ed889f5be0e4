/* SPDX-License-Identifier: GPL-2.0 */
/* What the log server is told, as JSON.  Pure: the time comes in. */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/core/death.h"
#include "userspace/core/decide.h"
#include "userspace/core/receipt.h"

/* Of an intent only, for whoever finds it after a crash; its record lacks them. */
#define RECORD_CGROUP "cgroup"			/* path of the victim's own group */
#define RECORD_CGROUP_ID "cgroup_id"		/* its inode; the record has it too */
#define RECORD_INTENDED_US "intended_us"	/* CLOCK_BOOTTIME */
#define RECORD_INTENDED_MS "intended_ms"	/* an earlier version's, by the wall clock: not used */
#define RECORD_GRACE_US "grace_us"		/* between stop signal and cgroup.kill */
#define RECORD_BY_RUNTIME "by_runtime"		/* the runtime's forced removal would be the kill */
#define RECORD_POLICY "restart_policy"		/* as it was before it was set to "no" */
#define RECORD_RETRIES "max_retries"		/* of that */

/* "2026-11-23T06:40:01.123Z" */
#define RECORD_TIME_SIZE 32

/* Who speaks. */
struct record_origin {
	const char *host;
	const char *boot_id;
	const char *instance;	/* of the module */
	uint64_t sequence;	/* of the snapshot that it rests on */
};

/* The moment of a record, by both clocks. */
struct record_times {
	int64_t unix_ms;
	uint64_t boottime_us;	/* CLOCK_BOOTTIME */
};

/* UTC, RFC 3339 with milliseconds, into @buf of RECORD_TIME_SIZE. */
void record_time(int64_t unix_ms, char *buf);

/**
 * record_intent() - a kill that is about to be done
 * @from: who speaks
 * @d: the decision
 * @now: the time
 *
 * The event_id is made of the snapshot and the container, so that the same kill always
 * has the same one, however often it is told.
 *
 * Return: a new object, which the caller owns, or NULL: no memory.
 */
cJSON *record_intent(const struct record_origin *from, const struct decision *d,
		     const struct record_times *now);

/* An intent becomes the record of what a dry run would have done.  Return: 0 or -ENOMEM. */
int record_would(cJSON *intent);

/**
 * record_complete() - an intent becomes the record of its outcome
 * @intent: changed
 * @r: concluded
 * @unix_ms: now
 *
 * Its action is "killed" only if it was; otherwise "gone", "survived" or "unknown".
 *
 * Return: 0 or -ENOMEM.
 */
int record_complete(cJSON *intent, const struct receipt *r, int64_t unix_ms);

/**
 * record_death() - the end of a container that the monitor did not kill
 * @from: who speaks
 * @d: its end
 * @unix_ms: now
 *
 * Its action is "died", its figures are those of the last look.
 *
 * Return: a new object, which the caller owns, or NULL: no memory.
 */
cJSON *record_death(const struct record_origin *from, const struct death *d, int64_t unix_ms);

/* The machine's memory; like record_intent(). */
cJSON *record_memory(const struct record_origin *from, const struct model *m, int64_t unix_ms);

/* The sentence that the record gives as its reason. */
void record_reason(const struct decision *d, char *buf, size_t size);

#endif
