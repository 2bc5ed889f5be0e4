/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The books of all containers, kept from window to window: who was there, who died, and
 * what CPU each of them used, as the module and the witness tell it independently.
 *
 * A death belongs to the window at whose end the process is gone from the snapshot, not
 * to that which its time says: a snapshot takes a while, and so does dying.  A process in
 * the snapshot that is dead by the time the witness is read is carried on; what it used in
 * between is in the scheduler's sum already, and known to the microsecond: the skew.
 *
 * All times are CLOCK_BOOTTIME, which no one can set and which goes on in suspend.  Pure.
 */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include "userspace/core/model.h"
#include "userspace/core/reconcile.h"

/* Deaths that nobody saw, of which a window names the processes; it counts them all. */
#define LEDGER_NAMED_MAX 8

/* Elements of one type; grows by doubling. */
struct ledger_list {
	void *items;
	size_t count, room;
};

/* What is kept from window to window; all zeroes: nothing. */
struct ledger {
	struct ledger_list entries;	/* deaths, not yet in a window */
	struct ledger_list missing;	/* gone from a snapshot, but not seen to die */
	struct ledger_list accounts;	/* of containers, by cgroup id */
	uint64_t dropped;		/* deaths that found no memory */
};

/* The death of a process in a container, as the witness saw it. */
struct ledger_exit {
	uint64_t container_cgroup_id;
	uint32_t pid;
	uint32_t killer_pid;	/* who sent the signal; 0: the kernel, or not known */
	uint64_t start_us;	/* with the pid its identity */
	uint64_t exit_us;
	uint64_t cpu_us;	/* all its life */
	int16_t exit_code;	/* -1: by a signal */
	uint8_t signal;		/* 0: by itself */
	bool oom;
	bool init;		/* the first process of its PID namespace: the container's main one */
};

/* The witness's running sums for a container; they only grow. */
struct ledger_sum {
	char id[MODEL_ID_SIZE];
	uint64_t container_cgroup_id;
	uint64_t cpu_us;
	uint64_t exits;
	uint64_t exits_lost;
	uint64_t lost_us;	/* CPU of the lost ones */
	uint64_t tails_us;	/* CPU that threads used after their process's sum had them */
	uint64_t oom_exits;	/* of exits, those by the OOM killer */
	bool removed;		/* its cgroup is gone */
};

/* What the witness had to say at one moment. */
struct ledger_reading {
	uint64_t since_us;	/* when it began: another one is another witness */
	const struct ledger_sum *sums;	/* any order */
	size_t sum_count;
	uint64_t unplaced;	/* deaths that could not be told, of any container; only grows */
};

/* A container whose cgroup was removed in the window. */
struct ledger_end {
	char id[MODEL_ID_SIZE];
	uint64_t cgroup_id;
	bool brief;		/* it was in neither snapshot: began and ended in between */
	bool has_status;	/* the end of its main process was seen; the rest is of that */
	int exit_code;		/* -1: by a signal */
	int signal;		/* 0: by itself */
	bool oom;
	uint32_t killer_pid;
	uint64_t cpu_us;	/* by the scheduler, since the last window */
	uint64_t exits;		/* likewise; lost ones too */
};

/* A process that is gone from the snapshot, and nobody saw it die. */
struct ledger_vanished {
	uint64_t container_cgroup_id;
	uint32_t pid;
	uint64_t start_us;
};

/* What is to be said of a window besides the books. */
struct ledger_window {
	size_t deaths;		/* processes of the last snapshot that are gone, and seen to die */
	size_t unexplained;	/* gone, but nobody saw them die, in this window or the next */
	size_t lost;		/* likewise, but events of their container were lost */
	size_t undead;		/* seen to die a window ago, but still in the snapshot, no zombies */
	struct ledger_vanished vanished[LEDGER_NAMED_MAX];	/* the first of the unexplained */
	struct ledger_end *ends;
	size_t end_count;
};

/* Enters a death.  Without memory it counts as lost. */
void ledger_note(struct ledger *l, const struct ledger_exit *ev);

/* Forgets all, and frees it. */
void ledger_forget(struct ledger *l);

/**
 * ledger_begin() - a first snapshot, or one after a gap: what was before is forgotten
 * @l: the ledger
 * @m: the snapshot
 */
void ledger_begin(struct ledger *l, const struct model *m);

/**
 * ledger_close() - the books of the window between two snapshots
 * @l: the ledger, with all deaths noted that were seen before @now was read
 * @m: the model, compared with @last
 * @last: the one before, to which this or ledger_begin() was called last
 * @now: the witness at @m; NULL: there is none
 * @then: the witness at @last; NULL: there was none
 * @books: an array of m->container_count; reconcile() judges them
 * @ret: what else there is to say; the caller frees it with ledger_window_free()
 *
 * Without a witness over the whole window the books have the module's and the cgroup's
 * side only.
 *
 * Return: 0 or -ENOMEM.
 */
int ledger_close(struct ledger *l, const struct model *m, const struct model *last,
		 const struct ledger_reading *now, const struct ledger_reading *then,
		 struct reconcile_books *books, struct ledger_window *ret);

void ledger_window_free(struct ledger_window *w);

#endif
