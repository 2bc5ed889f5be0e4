// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/ledger_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *ledger_list_add(struct ledger_list *l, size_t size)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		void *more = realloc(l->items, room * size);

		if (!more)
			return NULL;
		l->items = more;
		l->room = room;
	}
	return memset((char *)l->items + l->count++ * size, 0, size);
}

void ledger_note(struct ledger *l, const struct ledger_exit *ev)
{
	struct entry *entry = ledger_list_add(&l->entries, sizeof(*entry));

	if (entry)
		entry->ev = *ev;
	else
		l->dropped++;
}

void ledger_forget(struct ledger *l)
{
	free(l->entries.items);
	free(l->missing.items);
	free(l->accounts.items);
	memset(l, 0, sizeof(*l));
}

/* --- accounts ----------------------------------------------------------------- */

static int by_cgroup_id(const void *a, const void *b)
{
	const struct account *p = a, *q = b;

	return (p->cgroup_id > q->cgroup_id) - (p->cgroup_id < q->cgroup_id);
}

struct account *ledger_find_account(const struct ledger *l, uint64_t cgroup_id)
{
	const struct account key = { .cgroup_id = cgroup_id };

	if (!l->accounts.count)
		return NULL;
	return bsearch(&key, l->accounts.items, l->accounts.count, sizeof(key), by_cgroup_id);
}

struct account *ledger_open_account(struct ledger *l, uint64_t cgroup_id)
{
	struct account *account = ledger_find_account(l, cgroup_id);

	if (account)
		return account;
	account = ledger_list_add(&l->accounts, sizeof(*account));
	if (!account)
		return NULL;
	for (; account > (struct account *)l->accounts.items && account[-1].cgroup_id > cgroup_id;
	     account--)
		*account = account[-1];
	*account = (struct account){ .cgroup_id = cgroup_id };
	return account;
}

uint64_t ledger_ahead_us(const struct ledger *l, uint64_t cgroup_id)
{
	const struct account *account = ledger_find_account(l, cgroup_id);

	return account ? account->ahead_us : 0;
}

/* --- from one window to the next ---------------------------------------------- */

/* Of a death, what lies after the snapshot and is not in the window that it ends. */
static uint64_t after(const struct entry *e, const struct model *m)
{
	const struct model_process *p = model_find_process(m, e->ev.pid, e->ev.start_us);

	if (e->settled || e->ev.exit_us <= m->boot_time_us)
		return 0;
	if (!p)
		return e->ev.cpu_us;
	return e->ev.cpu_us > p->cpu_us ? e->ev.cpu_us - p->cpu_us : 0;
}

/* Whether the process may still be in a snapshot after @m, or was born after it. */
static bool is_of_next(const struct ledger_exit *ev, const struct model *m)
{
	return ev->start_us > m->boot_time_us ||
	       model_find_process(m, ev->pid, ev->start_us);
}

int ledger_carry(struct ledger *l, const struct model *m)
{
	struct account *accounts = l->accounts.items, *account;
	struct entry *entries = l->entries.items;
	size_t i, n = 0;
	int err = 0;

	for (i = 0; i < l->accounts.count; i++)
		accounts[i].ahead_us = 0;
	for (i = 0; i < m->container_count; i++) {
		if (!m->containers[i].cgroup.known)
			continue;
		account = ledger_open_account(l, m->containers[i].cgroup.inode);
		if (account)
			account->seen = true;
		else
			err = -ENOMEM;
	}
	for (i = 0; i < l->entries.count; i++) {
		uint64_t us;

		if (!is_of_next(&entries[i].ev, m))
			continue;
		us = after(&entries[i], m);
		if (us) {
			account = ledger_open_account(l, entries[i].ev.container_cgroup_id);
			if (account)
				account->ahead_us += us;
			else
				err = -ENOMEM;
		}
		entries[n] = entries[i];
		entries[n++].carried = true;
	}
	l->entries.count = n;
	return err;
}

void ledger_begin(struct ledger *l, const struct model *m)
{
	l->missing.count = 0;
	/* Without memory the first window shows more skew. */
	(void)ledger_carry(l, m);
}
