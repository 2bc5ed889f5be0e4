/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Intents of kills: on disk before the act, with their outcome before its record is, and
 * until the record is on its way.  An intent outlives the cycle that made it, where its
 * victim is slow to die, and the monitor, where that is killed in the middle.
 */
#ifndef ACT_INTENTS_H
#define ACT_INTENTS_H

#include <cjson/cJSON.h>
#include <systemd/sd-event.h>

#include "userspace/act/kill.h"
#include "userspace/core/comeback.h"
#include "userspace/core/decide.h"
#include "userspace/core/record.h"
#include "userspace/deliver/log_client.h"

struct act;
struct act_victim;

/* A restart policy, as the runtime names it. */
struct intent_policy {
	char name[24];		/* "": not known */
	uint32_t max_retries;
};

/* How far an outcome is on its way. */
enum intent_progress {
	INTENT_OPEN,		/* it has none yet */
	INTENT_CONCLUDED,	/* in memory */
	INTENT_SAVING,
	INTENT_DURABLE,		/* with the intent, on disk */
	INTENT_PUTTING,		/* as a batch for the log server */
};

struct intent {
	cJSON *told;		/* as it is on disk, less the outcome */
	char *outcome;		/* the record, to the byte as it goes to the log server; NULL: none yet */
	enum intent_progress progress;

	/* From told. */
	const char *id;
	const char *boot_id;
	const char *name;	/* the container's, or "" */
	struct comeback_who who;
	struct victim_group group;
	uint64_t intended_us;	/* CLOCK_BOOTTIME */
	uint64_t grace_us;	/* until its kill could not come any more; 0: there is no grace */
	struct intent_policy policy;	/* before it was set to "no" */

	bool ours;		/* the act is this monitor's, not an earlier one's */
	bool noted;		/* it is counted as a kill, and its end as the monitor's doing */
	bool doubted;		/* the runtime did not confirm it: it is not acted on */
	bool dying;		/* told to die, and not empty in time */
	bool by_runtime;	/* cgroup.kill is not the monitor's to write: the runtime has to kill */
	bool restoring;		/* its restart policy is being set back */
	bool policy_perhaps_off;	/* the runtime was asked to switch it off, and gave no answer */
	unsigned int restore_attempts;
	unsigned int removals;	/* attempts */
	char stop_signal[16];
	struct receipt receipt;	/* its processes are the intent's */
	struct victim_handles handles;
	sd_event_source *watch;	/* of cgroup.events */
	uint64_t lost_before;	/* deaths that the witness could not tell of, at the kill */
	struct act *act;
	struct act_victim *result;	/* of the plan that is told of next; NULL: that was told */
	unsigned int questions;	/* to the runtime that have no answer yet: it must not be freed */
	bool closed;
};

/* All zeroes but the two: none. */
struct intents {
	struct spool *spool;
	struct log_client *log;
	struct intent **list;
	size_t count;
	bool dirty;		/* what is on disk is not what is here */
	bool saving, putting;
	size_t unreadable;	/* entries of an earlier monitor's that were no intents */
	void (*saved)(void *ctx, int err);	/* of intents_save() */
	void *ctx;
	int err;		/* of the last attempt to have something on disk */
};

/**
 * intents_load() - take over what an earlier monitor left
 * @all: empty
 * @text: a JSON array, checked as anybody's input
 * @len: its length
 *
 * Entries that are no intents are counted, and dropped.  Return: 0; -EBADMSG; -ENOMEM.
 */
int intents_load(struct intents *all, const char *text, size_t len);

/**
 * intent_new() - intend the kill that a decision names
 * @from: who speaks
 * @d: the decision
 * @m: the model that it rests on
 * @now: the time
 *
 * It is not on disk by that, nor in the list.  Return: NULL: no memory.
 */
struct intent *intent_new(const struct record_origin *from, const struct decision *d,
			  const struct model *m, const struct record_times *now);

/* Frees it, once no question is open any more. */
void intent_free(struct intent *i);

/* What a restart of the monitor has to know as well: policy and grace.  Return: 0 or -ENOMEM. */
int intent_note_private(struct intent *i);

/* Return: 0 or -ENOMEM, and then it is the caller's as before. */
int intents_add(struct intents *all, struct intent *i);

/* Takes it out of the list, without a record; it is the caller's. */
void intents_take(struct intents *all, struct intent *i);

/**
 * intents_save() - step "intend": have the list on disk
 * @all: the intents
 * @saved: called once, by the loop, when it is durable or has failed
 * @ctx: of @saved
 *
 * One at a time.  Return: 0, or negative errno, and then @saved is not called.
 */
int intents_save(struct intents *all, void (*saved)(void *ctx, int err), void *ctx);

/**
 * intents_conclude() - step "conclude": give an intent its outcome
 * @i: its receipt is concluded
 * @unix_ms: now
 *
 * Return: 0 or -ENOMEM, and then it has none; it may be tried again.
 */
int intents_conclude(struct intents *all, struct intent *i, int64_t unix_ms);

/*
 * Goes on with what is open: outcomes on disk, then their records (step "put"), then their
 * intents off the disk (step "close").  Each step begins when the one before it is durable;
 * what fails is tried again at the next call, in each cycle.
 */
void intents_flush(struct intents *all);

/* Whether the disk has all that it should. */
bool intents_settled(const struct intents *all);

#endif
