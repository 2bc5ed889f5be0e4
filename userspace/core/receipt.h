/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The receipt of a kill: what was done, what was seen, and what may be claimed of it.
 * The act notes its facts, the witness's deaths are noted as they come, and then it is
 * concluded.  Pure: times come in, all of CLOCK_BOOTTIME in µs.
 */
#ifndef CORE_RECEIPT_H
#define CORE_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECEIPT_REASON_SIZE 256
/* One sentence; the log server takes texts of up to 1024 bytes. */
#define RECEIPT_EVIDENCE_SIZE 640

enum receipt_outcome {
	RECEIPT_SURVIVED,	/* lives, and wasn't told to die */
	RECEIPT_DYING,		/* was told to die, and isn't seen dead yet: its intent stays open */
	RECEIPT_VERIFIED,	/* killed: seen dead, and the runtime has let it go */
	RECEIPT_UNVERIFIED,	/* killed, but something of that was not seen */
	RECEIPT_GONE,		/* had ended by itself, or another is under its name: not touched */
	RECEIPT_DRY,		/* would have been killed */
};

/* What stood where the victim was to be, right before the act. */
enum receipt_found {
	RECEIPT_FOUND,		/* the very group that was decided on, with processes */
	RECEIPT_ABSENT,
	RECEIPT_REPLACED,	/* another cgroup has its name */
	RECEIPT_EMPTY,
	RECEIPT_UNREADABLE,
	RECEIPT_UNTRIED,	/* nobody looked: the act was ended before its turn came */
};

enum receipt_runtime {
	RECEIPT_NOT_ASKED,
	RECEIPT_LET_GO,		/* it removed it, or knows it no more */
	RECEIPT_REFUSED,
	RECEIPT_SILENT,		/* no answer: it may still do it */
};

/* A process of the victim, by the snapshot that was decided on. */
struct receipt_process {
	uint32_t pid;
	uint64_t start_us;
	bool dead;		/* seen to die */
};

/* The death of a process in the victim's cgroup or below, as the witness saw it. */
struct receipt_death {
	uint32_t pid;
	uint64_t start_us;
	uint64_t exit_us;
	int exit_code;		/* -1: by a signal */
	int signal;		/* 0: by itself */
	bool init;		/* the container's main process */
};

struct receipt {
	/* What the act did and saw. */
	enum receipt_found found;
	enum receipt_runtime runtime;
	bool stopped;			/* its stop signal was sent, for it to end by itself */
	bool killed;			/* cgroup.kill was taken */
	bool frozen;			/* by cgroup.freeze, at the act */
	bool has_memory;
	uint64_t memory_before;		/* memory.current at the act, bytes */
	uint64_t memory_after;		/* and when it was over; 0: the group is gone */
	uint64_t act_us;		/* when it began; 0: it didn't */
	uint64_t empty_us;		/* when its cgroup was seen empty or gone; 0: it wasn't */
	uint64_t removed_us;		/* when the runtime had let it go; 0: it hasn't */
	char reason[RECEIPT_REASON_SIZE];	/* what stood in the way */

	/* What the witness saw. */
	bool watched;			/* there is one */
	bool whole;			/* and it lost nothing meanwhile */
	struct receipt_process *processes;	/* the caller's; by pid */
	size_t process_count;
	size_t known_dead;		/* of those */
	size_t by_sigkill;		/* deaths after the act began, also of others than those */
	size_t by_signal;		/* by another signal */
	size_t by_itself;
	uint64_t last_us;		/* the last of them */
	int signal;			/* that ended the main process; 0: not seen, or by itself */

	enum receipt_outcome outcome;
};

/* For the record and the user. */
const char *receipt_outcome_name(enum receipt_outcome outcome);

/* May it be said that it was killed? */
static inline bool receipt_is_kill(const struct receipt *r)
{
	return r->outcome == RECEIPT_VERIFIED || r->outcome == RECEIPT_UNVERIFIED;
}

/* Notes the death of a process of the victim's container, once. */
void receipt_note(struct receipt *r, const struct receipt_death *d);

/**
 * receipt_conclude() - what may be claimed
 * @r: with its facts and all deaths noted; gets its outcome
 *
 * Verified is a kill only if the cgroup was seen empty, the runtime has let the container
 * go, and, where the witness watched, each process of the snapshot was seen to die: one
 * that was moved to another cgroup lives on though its own is empty.
 */
void receipt_conclude(struct receipt *r);

/* From the act until the cgroup was seen empty; negative: it wasn't. */
double receipt_latency_ms(const struct receipt *r);

/* Bytes that the victim's end gave back; 0 as long as it isn't seen. */
uint64_t receipt_memory_freed(const struct receipt *r);

/* What the outcome rests on, as one sentence without an end, into @buf. */
void receipt_evidence(const struct receipt *r, char *buf, size_t size);

#endif
