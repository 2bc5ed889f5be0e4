/* SPDX-License-Identifier: GPL-2.0 */
/* What the ledger keeps, for ledger.c (from window to window) and ledger_close.c (a window). */
#ifndef CORE_LEDGER_STATE_H
#define CORE_LEDGER_STATE_H

#include "userspace/core/ledger.h"

struct entry {
	struct ledger_exit ev;
	bool settled;		/* a zombie of a former snapshot: its last steps are counted */
	bool carried;		/* noted before the last snapshot, which still had the process */
};

/* Gone from a snapshot, and its death is not noted yet. */
struct missing {
	struct ledger_vanished who;
	uint64_t cpu_us;	/* what the module had counted */
	bool lost;		/* events of its container were lost meanwhile */
};

/* What is kept of a container from window to window. */
struct account {
	uint64_t cgroup_id;
	uint64_t ahead_us;	/* of deaths in the witness's sums but in no window yet */
	bool seen;		/* in an earlier snapshot */
	bool ended_init;	/* its main process died; how: */
	struct ledger_exit init;
};

/* A new element of @size bytes, all zeroes; NULL without memory. */
void *ledger_list_add(struct ledger_list *l, size_t size);

/* Of a container; NULL: it has none. */
struct account *ledger_find_account(const struct ledger *l, uint64_t cgroup_id);
/* Makes it if there is none; NULL without memory. */
struct account *ledger_open_account(struct ledger *l, uint64_t cgroup_id);
/* How far the witness was ahead of the last snapshot. */
uint64_t ledger_ahead_us(const struct ledger *l, uint64_t cgroup_id);

/**
 * ledger_carry() - keep what belongs to the next window, and how far the witness is ahead
 * @l: the ledger
 * @m: the snapshot that the next window begins with
 *
 * Return: 0 or -ENOMEM.
 */
int ledger_carry(struct ledger *l, const struct model *m);

#endif
