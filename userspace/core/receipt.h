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
	RECEIPT_SURVIVED,	/* lives, and was not told to die, or only asked to */
	RECEIPT_DYING,		/* was told to die, and is not seen dead yet: its intent stays open */
	RECEIPT_VERIFIED,	/* killed: the witness saw it, and the runtime has removed it */
	RECEIPT_UNVERIFIED,	/* killed, but something of that was not seen */
	RECEIPT_GONE,		/* had ended by itself, or another is under its name: not touched */
	RECEIPT_DRY,		/* would have been killed */
	/*
	 * The monitor or the machine ended between intent and outcome; or it ended while nobody
	 * could tell whether its stop signal had been sent.
	 */
	RECEIPT_UNKNOWN,
};

/* "Told to die" is: cgroup.kill was written, or the stop signal or forced removal was sent,
 * while the group was seen populated. */

/* What stood where the victim was to be, right before the act. */
enum receipt_found {
	RECEIPT_FOUND,		/* the very group that was decided on, with processes */
	RECEIPT_ABSENT,
	RECEIPT_REPLACED,	/* another cgroup has its name */
	RECEIPT_EMPTY,
	RECEIPT_UNREADABLE,
	RECEIPT_UNTRIED,	/* nobody looked */
};

/* Why the act stopped short of a victim. */
enum receipt_withheld {
	RECEIPT_NOT_WITHHELD,
	RECEIPT_CALLED_OFF,	/* by a signal or over the control socket */
	RECEIPT_EXPIRED,	/* the plan had become too old */
	RECEIPT_FROZEN,		/* it was paused meanwhile */
	RECEIPT_POLICY,		/* only the runtime could kill it, and would start it again */
};

enum receipt_runtime {
	RECEIPT_NOT_ASKED,
	RECEIPT_REMOVED,	/* it removed it, or knows it no more */
	RECEIPT_REFUSED,
	RECEIPT_NO_ANSWER,	/* it may still do it */
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
	uint32_t sender_pid;	/* of the signal; 0: not known */
	bool init;		/* the container's main process */
};

struct receipt {
	/* What the act did and saw. */
	enum receipt_found found;
	enum receipt_runtime runtime;
	enum receipt_withheld withheld;
	bool orphaned;			/* the intent of an earlier monitor, or of an earlier boot */
	bool asked_perhaps;		/* its stop signal may have been sent: nobody has seen the answer */
	bool stopped;			/* its stop signal was sent, for it to end by itself */
	bool killed;			/* cgroup.kill was written */
	bool forced;			/* the runtime was told to kill it and remove it */
	bool successor;			/* another ran under its id, and was removed with it */
	bool policy_off;		/* its restart policy was set to "no" */
	bool has_memory;
	uint64_t memory_before;		/* memory.current at the act, bytes */
	uint64_t memory_after;		/* and when it was over; 0: the group is gone */
	uint64_t act_us;		/* when it was told to die; 0: it was not */
	uint64_t empty_us;		/* when its cgroup was seen empty or gone; 0: it wasn't */
	uint64_t removed_us;		/* when the runtime had removed it; 0: it hasn't */
	char reason[RECEIPT_REASON_SIZE];	/* what stood in the way */

	/* What the witness saw. */
	bool watched;			/* there is one */
	bool whole;			/* and it lost nothing meanwhile */
	struct receipt_process *processes;	/* the caller's; by pid */
	size_t process_count;
	size_t known_dead;		/* of those */
	uint32_t own_pid;		/* the monitor's, as the witness has pids; 0: not known */
	size_t by_us;			/* deaths since by SIGKILL of the monitor */
	size_t by_others;		/* by SIGKILL of another process, which is known */
	size_t by_sigkill;		/* all deaths since by SIGKILL, also of others than those */
	size_t by_signal;		/* by another signal */
	size_t by_itself;
	uint64_t last_us;		/* the last of them */
	int signal;			/* that ended the main process; 0: not seen, or by itself */

	enum receipt_outcome outcome;
};

/* Was it told to die? */
static inline bool receipt_told(const struct receipt *r)
{
	return r->killed || r->stopped || r->forced;
}

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
 * It was killed if it was told to die while its group was populated, and was seen empty
 * since.  A whole account of the witness that has no death by SIGKILL since, or none that the
 * monitor can have sent, says otherwise: it ended by itself.  Verified is a kill only where
 * the witness saw all of it: each process of the snapshot die (one that was moved to another
 * cgroup lives on though its own is empty), and the monitor send the SIGKILL; and the runtime
 * has removed the container.
 */
void receipt_conclude(struct receipt *r);

/* Who saw the kill: "witness", "cgroup" (populated right before, empty since), "runtime"; "none". */
const char *receipt_seen_by(const struct receipt *r);

/* From the act until the cgroup was seen empty; negative: it wasn't. */
double receipt_latency_ms(const struct receipt *r);

/* Bytes that the victim's end gave back; 0 as long as it isn't seen. */
uint64_t receipt_memory_freed(const struct receipt *r);

/* What the outcome rests on, as one sentence without an end, into @buf. */
void receipt_evidence(const struct receipt *r, char *buf, size_t size);

#endif
