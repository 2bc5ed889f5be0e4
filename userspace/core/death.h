/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Containers that ended, and not by the monitor: of what.  The witness's account of the
 * main process's end is the better one; the runtime's tells a status in which a signal
 * and an exit can look alike, but what was done by its hand it knows.  Pure.
 */
#ifndef CORE_DEATH_H
#define CORE_DEATH_H

#include "userspace/core/ledger.h"
#include "userspace/core/model.h"

#define DEATH_TEXT_SIZE 160
/* Looks that a cause is waited for: a runtime tells of an end when it has cleaned up. */
#define DEATH_PATIENCE 3
/* Ends that wait for their cause; more than that are not kept. */
#define DEATH_MAX 10000

enum death_cause {
	DEATH_UNKNOWN,
	DEATH_EXIT,	/* by itself, with an exit status */
	DEATH_SIGNAL,	/* by a signal that somebody sent */
	DEATH_OOM,	/* by the kernel, for want of memory */
};

enum death_source {
	DEATH_BY_NOBODY,
	DEATH_BY_RUNTIME,
	DEATH_BY_WITNESS,
};

/* What the runtime told of a container. */
struct death_word {
	char id[MODEL_ID_SIZE];
	bool ended;
	int status;		/* of its end: 128 and more may be a signal's */
	bool oom;		/* the OOM killer was at work in it */
	int signal;		/* that the runtime was asked to send; 0: none */
};

/* The end of a container. */
struct death {
	struct model_container container;	/* as it was seen last, without its labels */
	enum death_source source;
	enum death_cause cause;
	int exit_code;
	int signal;
	uint32_t killer_pid;
	bool by_runtime;	/* it was the runtime that sent the signal */
	bool oom;		/* the OOM killer was at work in it, whatever it ended by */
	unsigned int looks;	/* since it was missed */
};

/* All zeroes: none. */
struct deaths {
	struct death *list;
	size_t count, room;
};

/**
 * deaths_find() - who was there at the last look, and is there no more
 * @d: gets them; those that are there already are a look older
 * @last: the look before
 * @now: this one; a container is the same by its id and cgroup
 *
 * Return: 0; -ENOSPC: too many; -ENOMEM.
 */
int deaths_find(struct deaths *d, const struct model *last, const struct model *now);

/* One that came and went between the looks, as the ledger has it.  Return: as deaths_find(). */
int deaths_add_brief(struct deaths *d, const struct ledger_end *end);

/*
 * Takes out a container that the monitor killed: it has a receipt.  By its cgroup, and by
 * its id, which one that was started anew before its removal has too.
 */
void deaths_forget_own(struct deaths *d, const char *id, uint64_t cgroup_inode);

/* What the witness says: the end of a main process, or of any other. */
void deaths_note_exit(struct deaths *d, const struct ledger_exit *e);

/* What the runtime says; weighs less than the witness. */
void deaths_note_word(struct deaths *d, const struct death_word *w);

/* Is all said that can be expected? */
bool death_is_ready(const struct death *d);

/* Drops those that are ready. */
void deaths_drop_ready(struct deaths *d);

void deaths_forget(struct deaths *d);

/* "exit", "signal", "oom", "unknown" */
const char *death_cause_name(enum death_cause cause);

/* "witness", "runtime", "none" */
const char *death_source_name(enum death_source source);

/* A sentence's end: "killed by the kernel …". */
void death_text(const struct death *d, char *buf, size_t size);

#endif
