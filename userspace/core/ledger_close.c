// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/ledger_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a container's cgroup is to the books: an index into them, by id. */
struct place {
	uint64_t cgroup_id;
	size_t index;
};

static int by_place(const void *a, const void *b)
{
	const struct place *p = a, *q = b;

	return (p->cgroup_id > q->cgroup_id) - (p->cgroup_id < q->cgroup_id);
}

static int by_sum(const void *a, const void *b)
{
	const struct ledger_sum *const *p = a, *const *q = b;

	return ((*p)->container_cgroup_id > (*q)->container_cgroup_id) -
	       ((*p)->container_cgroup_id < (*q)->container_cgroup_id);
}

/* One window while it is closed. */
struct closing {
	const struct model *m, *last;
	struct reconcile_books *books;
	struct ledger_window *window;
	struct place *places;		/* of the containers that have a window */
	size_t place_count;
	const struct ledger_sum **sums, **sums_then;
	size_t sum_count, sum_then_count;
	bool *died;			/* of last's processes: seen to die */
	bool dropped;			/* some deaths found no room here */
};

static struct reconcile_books *books_of(const struct closing *c, uint64_t cgroup_id)
{
	const struct place key = { .cgroup_id = cgroup_id };
	const struct place *place = bsearch(&key, c->places, c->place_count, sizeof(key), by_place);

	return place ? &c->books[place->index] : NULL;
}

static const struct ledger_sum *find_sum(const struct ledger_sum **sums, size_t count,
					 uint64_t cgroup_id)
{
	const struct ledger_sum key = { .container_cgroup_id = cgroup_id }, *of = &key, **found;

	found = bsearch(&of, sums, count, sizeof(of), by_sum);
	return found ? *found : NULL;
}

static uint64_t cgroup_of(const struct model *m, const struct model_process *p)
{
	return m->containers[p->container].cgroup.inode;
}

/* By cgroup id; NULL without memory. */
static const struct ledger_sum **sort_sums(const struct ledger_reading *reading)
{
	const struct ledger_sum **sums = calloc(reading->sum_count + 1, sizeof(*sums));
	size_t i;

	for (i = 0; sums && i < reading->sum_count; i++)
		sums[i] = &reading->sums[i];
	if (sums)
		qsort(sums, reading->sum_count, sizeof(*sums), by_sum);
	return sums;
}

static int prepare(struct closing *c, const struct ledger_reading *now,
		   const struct ledger_reading *then)
{
	size_t i;

	c->places = calloc(c->m->container_count + 1, sizeof(*c->places));
	c->sums = sort_sums(now);
	c->sum_count = now->sum_count;
	c->sums_then = sort_sums(then);
	c->sum_then_count = then->sum_count;
	c->died = calloc(c->last->process_count + 1, sizeof(*c->died));
	if (!c->places || !c->sums || !c->sums_then || !c->died)
		return -ENOMEM;
	for (i = 0; i < c->m->container_count; i++)
		if (c->m->containers[i].has_window)
			c->places[c->place_count++] = (struct place){
				.cgroup_id = c->m->containers[i].cgroup.inode, .index = i };
	qsort(c->places, c->place_count, sizeof(*c->places), by_place);
	return 0;
}

static void finish(struct closing *c)
{
	free(c->places);
	free(c->sums);
	free(c->sums_then);
	free(c->died);
}

/* A counter that went back: another one, of which nothing is known. */
static bool went_back(const struct ledger_sum *now, const struct ledger_sum *then)
{
	return now->cpu_us < then->cpu_us || now->exits < then->exits ||
	       now->exits_lost < then->exits_lost || now->lost_us < then->lost_us ||
	       now->tails_us < then->tails_us ||
	       now->oom_exits < then->oom_exits;
}

/* The growth of the witness's sums; one that began in the window grew from nothing. */
static bool sum_window(const struct closing *c, const struct ledger_sum *now, struct ledger_sum *ret)
{
	const struct ledger_sum *then = find_sum(c->sums_then, c->sum_then_count,
						 now->container_cgroup_id);

	*ret = *now;
	if (!then)
		return true;
	if (went_back(now, then))
		return false;
	ret->cpu_us -= then->cpu_us;
	ret->exits -= then->exits;
	ret->exits_lost -= then->exits_lost;
	ret->lost_us -= then->lost_us;
	ret->tails_us -= then->tails_us;
	ret->oom_exits -= then->oom_exits;
	return true;
}

static bool lost_some(const struct closing *c, uint64_t cgroup_id)
{
	const struct ledger_sum *now = find_sum(c->sums, c->sum_count, cgroup_id);
	struct ledger_sum window;

	return c->dropped || (now && (!sum_window(c, now, &window) || window.exits_lost));
}

static void enter_sum(struct ledger *l, const struct closing *c, const struct ledger_sum *now)
{
	struct reconcile_books *b = books_of(c, now->container_cgroup_id);
	struct ledger_sum window;

	if (!b)
		return;
	if (!sum_window(c, now, &window)) {
		b->has_witness = false;
		return;
	}
	b->scheduler_us = window.cpu_us;
	b->exits_lost = window.exits_lost;
	b->lost_us = window.lost_us;
	b->exited_us += window.tails_us;
	b->oom_exits = window.oom_exits;
	b->skew_us = -(int64_t)ledger_ahead_us(l, now->container_cgroup_id);
}

/* Enters a death of this window: @counted_us of its CPU is in the module's books. */
static void enter_exit(const struct closing *c, const struct entry *e, uint64_t counted_us,
		       bool joined)
{
	struct reconcile_books *b = books_of(c, e->ev.container_cgroup_id);
	uint64_t us = e->ev.cpu_us > counted_us ? e->ev.cpu_us - counted_us : 0;

	if (!b)
		return;
	b->exits++;
	b->exited_us += us;
	if (joined)
		b->joined_us += us;
}

static struct missing *find_missing(const struct ledger *l, const struct ledger_exit *ev)
{
	struct missing *list = l->missing.items;
	size_t i;

	for (i = 0; i < l->missing.count; i++)
		if (list[i].who.pid == ev->pid && list[i].who.start_us == ev->start_us)
			return &list[i];
	return NULL;
}

static void remove_missing(struct ledger *l, struct missing *missing)
{
	const struct missing *list = l->missing.items;

	*missing = list[--l->missing.count];
}

static int enter_death(struct ledger *l, struct closing *c, struct entry *e)
{
	const struct ledger_exit *ev = &e->ev;
	const struct model_process *p = model_find_process(c->m, ev->pid, ev->start_us);
	const struct model_process *before = model_find_process(c->last, ev->pid, ev->start_us);
	struct account *account;
	struct missing *missing;

	if (ev->init && !e->carried) {
		account = ledger_open_account(l, ev->container_cgroup_id);
		if (!account)
			return -ENOMEM;
		/* Containers nest: the outer one's was there first. */
		if (!account->ended_init || ev->start_us < account->init.start_us)
			account->init = *ev;
		account->ended_init = true;
	}
	if (p) {
		if (e->carried && p->state != 'Z' && p->state != 'X')
			c->window->undead++;
		if (!e->settled && ev->exit_us <= c->m->boot_time_us) {
			enter_exit(c, e, p->cpu_us, false);
			e->settled = true;
		}
		return 0;
	}
	if (before) {
		bool *died = &c->died[before - c->last->processes];

		if (!*died && !e->settled)
			enter_exit(c, e, before->cpu_us,
				   cgroup_of(c->last, before) != ev->container_cgroup_id);
		c->window->deaths += !*died;
		*died = true;
		return 0;
	}
	if (ev->start_us > c->m->boot_time_us)
		return 0;
	missing = find_missing(l, ev);
	if (missing) {
		enter_exit(c, e, missing->cpu_us, false);
		c->window->deaths++;
		remove_missing(l, missing);
		return 0;
	}
	enter_exit(c, e, 0, true);
	if (books_of(c, ev->container_cgroup_id))
		books_of(c, ev->container_cgroup_id)->dark_us += ev->cpu_us;
	return 0;
}

/* Those that are still missing have had a window's time. */
static void report_missing(struct ledger *l, struct closing *c)
{
	const struct missing *list = l->missing.items;
	struct ledger_window *w = c->window;
	size_t i;

	for (i = 0; i < l->missing.count; i++) {
		if (list[i].lost || lost_some(c, list[i].who.container_cgroup_id)) {
			w->lost++;
			continue;
		}
		if (w->unexplained < LEDGER_NAMED_MAX)
			w->vanished[w->unexplained] = list[i].who;
		w->unexplained++;
	}
	l->missing.count = 0;
}

/* Whom the last snapshot had and this one has not, and nobody saw die. */
static int note_missing(struct ledger *l, const struct closing *c)
{
	size_t i;

	for (i = 0; i < c->last->process_count; i++) {
		const struct model_process *p = &c->last->processes[i];
		struct missing *missing;
		uint64_t id;

		if (c->died[i] || model_find_process(c->m, p->pid, p->start_us))
			continue;
		missing = ledger_list_add(&l->missing, sizeof(*missing));
		if (!missing)
			return -ENOMEM;
		id = cgroup_of(c->last, p);
		*missing = (struct missing){
			.who = { .container_cgroup_id = id, .pid = p->pid, .start_us = p->start_us },
			.cpu_us = p->cpu_us,
			.lost = lost_some(c, id),
		};
	}
	return 0;
}

static bool is_in(const struct model *m, uint64_t cgroup_id)
{
	size_t i;

	for (i = 0; i < m->container_count; i++)
		if (m->containers[i].cgroup.known && m->containers[i].cgroup.inode == cgroup_id)
			return true;
	return false;
}

static int enter_end(const struct ledger *l, struct closing *c, const struct ledger_sum *now)
{
	const struct ledger_sum *then = find_sum(c->sums_then, c->sum_then_count,
						 now->container_cgroup_id);
	struct account *account = ledger_find_account(l, now->container_cgroup_id);
	struct ledger_sum window;
	struct ledger_end *end;

	if (!now->removed || (then && then->removed))
		return 0;
	end = realloc(c->window->ends, (c->window->end_count + 1) * sizeof(*end));
	if (!end)
		return -ENOMEM;
	c->window->ends = end;
	end += c->window->end_count++;
	memset(end, 0, sizeof(*end));
	memcpy(end->id, now->id, sizeof(end->id));
	end->cgroup_id = now->container_cgroup_id;
	end->brief = (!account || !account->seen) && !is_in(c->m, now->container_cgroup_id);
	if (sum_window(c, now, &window)) {
		end->cpu_us = window.cpu_us;
		end->exits = window.exits;
	}
	if (account && account->ended_init) {
		end->has_status = true;
		end->exit_code = account->init.exit_code;
		end->signal = account->init.signal;
		end->oom = account->init.oom;
		end->killer_pid = account->init.killer_pid;
	}
	return 0;
}

/* Of containers that the witness has forgotten, as it does after their end. */
static void close_accounts(struct ledger *l, const struct closing *c)
{
	struct account *accounts = l->accounts.items;
	size_t i, n = 0;

	for (i = 0; i < l->accounts.count; i++)
		if (find_sum(c->sums, c->sum_count, accounts[i].cgroup_id))
			accounts[n++] = accounts[i];
	l->accounts.count = n;
}

/* The books' other end: what the witness is ahead of this snapshot. */
static void enter_ahead(const struct ledger *l, const struct closing *c)
{
	size_t i;

	for (i = 0; i < c->place_count; i++)
		c->books[c->places[i].index].skew_us +=
			(int64_t)ledger_ahead_us(l, c->places[i].cgroup_id);
}

static int close_with_witness(struct ledger *l, struct closing *c, const struct ledger_reading *now,
			      const struct ledger_reading *then)
{
	struct entry *entries = l->entries.items;
	int err = prepare(c, now, then);
	size_t i;

	c->dropped = l->dropped || now->unplaced != then->unplaced;
	l->dropped = 0;
	for (i = 0; i < c->place_count; i++)
		c->books[c->places[i].index].has_witness = true;
	for (i = 0; !err && i < now->sum_count; i++)
		enter_sum(l, c, &now->sums[i]);
	for (i = 0; !err && i < l->entries.count; i++)
		err = enter_death(l, c, &entries[i]);
	if (!err) {
		report_missing(l, c);
		err = note_missing(l, c);
	}
	for (i = 0; !err && i < now->sum_count; i++)
		err = enter_end(l, c, &now->sums[i]);
	if (!err) {
		close_accounts(l, c);
		err = ledger_carry(l, c->m);
	}
	if (!err)
		enter_ahead(l, c);
	finish(c);
	return err;
}

int ledger_close(struct ledger *l, const struct model *m, const struct model *last,
		 const struct ledger_reading *now, const struct ledger_reading *then,
		 struct reconcile_books *books, struct ledger_window *ret)
{
	struct closing c = { .m = m, .last = last, .books = books, .window = ret };
	size_t i;
	int err;

	memset(ret, 0, sizeof(*ret));
	memset(books, 0, m->container_count * sizeof(*books));
	for (i = 0; i < m->container_count; i++) {
		const struct model_container *container = &m->containers[i];

		if (!container->has_window)
			continue;
		books[i].module_us = container->cpu_window_us;
		books[i].joined_us = container->cpu_new_us;
		books[i].has_cgroup = container->has_cgroup_window;
		books[i].cgroup_us = container->cgroup_window_us;
		books[i].oom_kills = container->oom_window;
	}
	if (!now || !then || now->since_us != then->since_us) {
		ledger_begin(l, m);
		return 0;
	}
	err = close_with_witness(l, &c, now, then);
	if (err) {
		ledger_window_free(ret);
		ledger_forget(l);
	}
	return err;
}

void ledger_window_free(struct ledger_window *w)
{
	free(w->ends);
	w->ends = NULL;
	w->end_count = 0;
}
