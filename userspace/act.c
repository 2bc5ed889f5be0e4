// SPDX-License-Identifier: GPL-2.0
#include "userspace/act.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/core/record.h"
#include "userspace/fault.h"
#include "userspace/io/clock.h"
#include "userspace/io/runtime_end.h"

/* Removing ten containers takes a loaded, emulated machine 20 s. */
#define REMOVE_TIMEOUT_MS 60000
/* How long a victim may be on its way out before it is said to have survived. */
#define DYING_MS 60000
/* To tidy up behind one that died late; a runtime that is silent is not asked again. */
#define TIDY_TIMEOUT_MS 2000

int act_begin(struct act *a, const struct setup *s)
{
	return intents_load(&a->intents, s->spool);
}

void act_end(struct act *a)
{
	intents_forget(&a->intents);
	comebacks_forget(&a->comebacks);
	free(a->own);
	a->own = NULL;
	a->own_count = 0;
}

static struct record_origin origin(const struct setup *s, const struct model *m)
{
	return (struct record_origin){
		.host = s->host,
		.boot_id = s->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
}

/* --- what the witness saw ------------------------------------------------------- */

struct attention {
	const struct setup *setup;
	struct view_exits *exits;
	struct trouble *trouble;
};

/* During an act that takes long, lest its ring overflow. */
static void attend(void *ctx)
{
	const struct attention *a = ctx;

	view_drain(a->setup, a->exits, a->trouble);
}

static void note_some(struct intent *intents, size_t count, const struct view_exits *exits,
		      size_t from)
{
	size_t i;

	for (; from < exits->count; from++) {
		const struct ledger_exit *e = &exits->list[from];
		const struct receipt_death death = {
			.pid = e->pid,
			.start_us = e->start_us,
			.exit_us = e->exit_us,
			.exit_code = e->exit_code,
			.signal = e->signal,
			.init = e->init,
		};

		for (i = 0; i < count; i++)
			if (intents[i].ours && intents[i].victim.inode == e->container_cgroup_id)
				receipt_note(&intents[i].victim.receipt, &death);
	}
}

void act_note(struct act *a, const struct view_exits *exits)
{
	note_some(a->intents.list, a->intents.count, exits, a->noted);
	a->noted = exits->count;
}

void act_forget_noted(struct act *a, size_t count)
{
	a->noted -= count < a->noted ? count : a->noted;
}

/* --- whose doing it was --------------------------------------------------------- */

static int add_own(struct act *a, const struct kill_victim *v)
{
	struct act_own *more = realloc(a->own, (a->own_count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	a->own = more;
	a->own[a->own_count].inode = v->inode;
	snprintf(a->own[a->own_count++].id, sizeof(a->own->id), "%s", v->id);
	return 0;
}

static void drop_own(struct act *a, uint64_t inode)
{
	size_t i, n = 0;

	for (i = 0; i < a->own_count; i++)
		if (a->own[i].inode != inode)
			a->own[n++] = a->own[i];
	a->own_count = n;
}

static bool has_group(const struct model *m, uint64_t inode)
{
	size_t i;

	for (i = 0; i < m->container_count; i++)
		if (m->containers[i].cgroup.inode == inode)
			return true;
	return false;
}

void act_forget_own(struct act *a, const struct model *now, struct deaths *ended)
{
	size_t i;

	for (i = 0; i < a->own_count; i++)
		deaths_forget_own(ended, a->own[i].id, a->own[i].inode);
	for (i = a->own_count; i-- > 0;)
		if (!has_group(now, a->own[i].inode))
			drop_own(a, a->own[i].inode);
}

/* --- settling ------------------------------------------------------------------- */

/* Old intents are of this boot, or what they meant is gone for sure. */
static bool is_of_this_boot(const struct setup *s, const struct intent *i)
{
	const char *boot = cJSON_GetStringValue(cJSON_GetObjectItem(i->told, "boot_id"));

	return boot && !strcmp(boot, s->boot_id);
}

static double age_ms(const struct intent *i)
{
	return (double)clock_unix_ms() -
	       cJSON_GetNumberValue(cJSON_GetObjectItem(i->told, RECORD_INTENDED_MS));
}

static void explain(struct receipt *r, const char *text)
{
	if (!r->reason[0])
		snprintf(r->reason, sizeof(r->reason), "%s", text);
}

/* What died without the runtime's removal is removed, unless it runs again by now. */
static void tidy(const struct setup *s, struct intent *i, bool *may)
{
	const struct runtime_call call = { .socket = s->runtime_socket };
	struct runtime_remove removal = { .id = i->victim.id };
	struct receipt *r = &i->victim.receipt;

	if (!receipt_is_kill(r) || r->runtime == RECEIPT_LET_GO || !*may)
		return;
	runtime_remove(&call, &removal, 1, false, TIDY_TIMEOUT_MS);
	if (removal.result == RUNTIME_REMOVED || removal.result == RUNTIME_GONE) {
		r->runtime = RECEIPT_LET_GO;
		r->removed_us = clock_boottime_us();
		receipt_conclude(r);
	}
	*may = removal.result != RUNTIME_NO_ANSWER;
}

/*
 * An intent without an outcome: is there one now?  Of an earlier monitor's it isn't known
 * whether the act was begun, so by whose hand its victim died wasn't seen.
 */
static bool settle_one(const struct setup *s, struct intent *i, bool *may_tidy)
{
	struct receipt *r = &i->victim.receipt;
	enum receipt_found found;

	if (!is_of_this_boot(s, i)) {
		r->found = RECEIPT_ABSENT;
		explain(r, "the machine was booted anew before its end was seen");
		receipt_conclude(r);
		return true;
	}
	found = kill_look(s->cgroup_root, i->victim.path, i->victim.inode);
	if (found != RECEIPT_FOUND && found != RECEIPT_UNREADABLE) {
		r->empty_us = clock_boottime_us();
		if (!i->ours)
			explain(r, "intended by a monitor that was ended before it saw the outcome");
		receipt_conclude(r);
		/* Another one under its name is somebody's, and is not to be tidied away. */
		if (found != RECEIPT_REPLACED)
			tidy(s, i, may_tidy);
		return true;
	}
	/* A clock that was set back makes it young again at worst. */
	if (age_ms(i) < DYING_MS)
		return false;
	explain(r, found == RECEIPT_FOUND ? "it still has processes" : "its cgroup can't be read");
	receipt_conclude(r);
	r->outcome = RECEIPT_SURVIVED;
	return true;
}

void act_mark(const struct act *a, struct model *m)
{
	uint64_t now_us = clock_boottime_us();
	size_t i;

	for (i = 0; i < m->container_count; i++)
		m->containers[i].comebacks = comebacks_count(&a->comebacks, &m->containers[i], now_us);
	for (i = 0; i < a->intents.count; i++) {
		const struct kill_victim *v = &a->intents.list[i].victim;
		struct model_container *c = model_find(m, v->id);

		if (c && c->cgroup.inode == v->inode)
			c->dying = true;
	}
}

void act_settle(struct act *a, const struct setup *s, bool armed, struct trouble *t)
{
	bool may_tidy = armed;
	size_t n;
	int err = 0;

	for (n = 0; !err && n < a->intents.count; n++) {
		struct intent *i = &a->intents.list[n];

		if (i->record || !settle_one(s, i, &may_tidy))
			continue;
		/* If it ends after that, its end is news. */
		if (i->victim.receipt.outcome == RECEIPT_SURVIVED)
			drop_own(a, i->victim.inode);
		err = intents_complete(i, clock_unix_ms());
	}
	if (!err)
		err = intents_close(&a->intents, s->spool);
	if (err)
		trouble_set(t, "the record of an act: %s; it is tried again", strerror(-err));
}

/* --- the act -------------------------------------------------------------------- */

/* A plan is for the moment that it was made at. */
static bool is_current(const struct act *a, const struct setup *s, const struct plan *plan,
		       struct trouble *t)
{
	enum generation_verdict verdict;

	verdict = generation_check(&plan->generation, &a->spent, s->boot_id, clock_boottime_us(),
				   (uint64_t)s->config->interval_s * 1000000);
	if (verdict == GENERATION_CURRENT)
		return true;
	trouble_set(t, "the plan is refused: %s", generation_text(verdict));
	return false;
}

/* How it went, of each; from the decision until the last was dead, and let go. */
static void note_results(const struct intent *intents, const struct plan *plan, uint64_t from_us,
			 struct act_result *ret)
{
	uint64_t dead_us = 0, clean_us = 0;
	bool dead = true, clean = true;
	size_t n;

	for (n = 0; n < plan->kills; n++) {
		const struct receipt *r = &intents[n].victim.receipt;

		ret->victims[n].receipt = *r;
		ret->victims[n].receipt.processes = NULL;
		if (r->found != RECEIPT_FOUND)
			continue;
		dead &= r->empty_us != 0;
		clean &= r->removed_us != 0;
		dead_us = r->empty_us > dead_us ? r->empty_us : dead_us;
		clean_us = r->removed_us > clean_us ? r->removed_us : clean_us;
	}
	ret->dead_ms = dead && dead_us ? (double)(dead_us - from_us) / 1e3 : -1;
	ret->clean_ms = clean && clean_us ? (double)(clean_us - from_us) / 1e3 : -1;
}

static int conclude(struct act *a, const struct plan *plan, size_t first)
{
	struct intent *intents = &a->intents.list[first];
	size_t n, kill = 0;
	int err = 0;

	for (n = 0; n < plan->count; n++) {
		struct receipt *r;

		if (plan->decisions[n].rule != RULE_SURPLUS)
			continue;
		r = &intents[kill].victim.receipt;
		receipt_conclude(r);
		if (r->outcome != RECEIPT_DYING && !err)
			err = intents_complete(&intents[kill], clock_unix_ms());
		if (r->outcome != RECEIPT_GONE && r->outcome != RECEIPT_SURVIVED && !err)
			err = add_own(a, &intents[kill].victim);
		if (r->outcome != RECEIPT_GONE && r->found != RECEIPT_UNTRIED)
			comebacks_note(&a->comebacks, plan->decisions[n].container, clock_boottime_us());
		kill++;
	}
	return err;
}

/* Those that are surplus, as the report names them. */
static int name_victims(const struct plan *plan, struct act_result *ret)
{
	size_t i, n = 0;

	ret->victims = calloc(plan->kills + 1, sizeof(*ret->victims));
	if (!ret->victims)
		return -ENOMEM;
	for (i = 0; i < plan->count; i++)
		if (plan->decisions[i].rule == RULE_SURPLUS)
			ret->victims[n++] = (struct kill_victim){
				.id = plan->decisions[i].container->id,
				.receipt.outcome = RECEIPT_DRY,
			};
	return 0;
}

/* Deaths that the witness could not tell of; UINT64_MAX: that isn't known either. */
static uint64_t lost_by_now(const struct setup *s, const struct view_exits *exits)
{
	struct witness_drops drops;

	if (witness_read_drops(s->witness, &drops))
		return UINT64_MAX;
	return drops.ring_full + drops.unplaced + exits->dropped;
}

/* What an act in parts goes on by: the wish, and its plan's age. */
struct going {
	const struct setup *setup;
	const struct plan *plan;
	const struct act_consent *consent;
};

static bool may_go_on(void *ctx)
{
	const struct going *g = ctx;
	const struct generation unspent = { 0 };

	return g->consent->given(g->consent->ctx) &&
	       generation_check(&g->plan->generation, &unspent, g->setup->boot_id, clock_boottime_us(),
				(uint64_t)g->setup->config->interval_s * 1000000) == GENERATION_CURRENT;
}

static void kill_all(struct going *going, struct intent *intents, struct view_exits *exits,
		     struct trouble *t)
{
	const struct setup *s = going->setup;
	size_t i, count = going->plan->kills;
	struct attention attention = { s, exits, t };
	const struct watch watch = {
		.fd = s->witness ? witness_fd(s->witness) : -1,
		.attend = attend,
		.ctx = &attention,
	};
	const struct kill_options options = {
		.cgroup_root = s->cgroup_root,
		.runtime_socket = s->runtime_socket,
		.watch = s->witness ? &watch : NULL,
		.grace_ms = s->config->grace_s * 1000,
		.timeout_ms = REMOVE_TIMEOUT_MS,
		.may_go_on = may_go_on,
		.ctx = going,
	};
	struct kill_victim *victims = calloc(count + 1, sizeof(*victims));
	uint64_t lost = s->witness ? lost_by_now(s, exits) : 0;
	bool whole;

	if (!victims) {
		trouble_set(t, "the act: no memory");
		return;
	}
	for (i = 0; i < count; i++)
		victims[i] = intents[i].victim;
	kill_for_real(&options, victims, count);
	if (s->witness)
		view_drain(s, exits, t);
	whole = s->witness && lost != UINT64_MAX && lost_by_now(s, exits) == lost;
	for (i = 0; i < count; i++) {
		intents[i].victim = victims[i];
		intents[i].victim.receipt.watched = s->witness != NULL;
		intents[i].victim.receipt.whole = whole;
		if (intents[i].victim.receipt.found == RECEIPT_UNTRIED)
			explain(&intents[i].victim.receipt, "so many took so long that the plan was old, or it was called off");
		else if (s->witness && !whole)
			explain(&intents[i].victim.receipt, "the witness lost events meanwhile");
	}
	free(victims);
}

/* Who lives on would be told of every cycle: once an hour is enough. */
static int tell_dry_run(const struct setup *s, const struct plan *plan, const struct model *m)
{
	const struct record_origin from = origin(s, m);
	struct intents would = { 0 };
	size_t n, kill = 0;
	int err;

	err = intents_add(&would, &from, plan, m, clock_unix_ms(), &kill);
	for (n = 0; !err && n < plan->count; n++) {
		struct intent *i = &would.list[kill];

		if (plan->decisions[n].rule != RULE_SURPLUS)
			continue;
		i->victim.receipt.outcome = RECEIPT_DRY;
		if (!plan->decisions[n].told)
			err = intents_complete(i, clock_unix_ms());
		kill++;
	}
	if (!err)
		err = intents_put(&would, s->spool);
	intents_forget(&would);
	return err;
}

void act_carry_out(struct act *a, const struct setup *s, const struct plan *plan,
		   const struct model *m, const struct act_consent *consent,
		   struct view_exits *exits, struct act_result *ret, struct trouble *t)
{
	const struct record_origin from = origin(s, m);
	struct going going = { s, plan, consent };
	uint64_t from_us = clock_boottime_us();
	size_t first;
	int err;

	*ret = (struct act_result){ .dead_ms = -1, .clean_ms = -1 };
	err = name_victims(plan, ret);
	if (!err && s->config->dry_run) {
		ret->done = true;
		err = s->spool ? tell_dry_run(s, plan, m) : 0;
		if (err)
			trouble_set(t, "the record of the dry run: %s", strerror(-err));
		return;
	}
	if (!err && !is_current(a, s, plan, t))
		return;
	if (!err)
		err = intents_add(&a->intents, &from, plan, m, clock_unix_ms(), &first);
	if (err) {
		trouble_set(t, "the plan: %s", strerror(-err));
		return;
	}
	fault_point("planned");
	err = intents_save(&a->intents, s->spool);
	if (err)
		trouble_set(t, "the intent could not be written, so nothing is removed: %s",
			    strerror(-err));
	fault_point("intended");
	/* The disk may have taken its time. */
	if (err || !is_current(a, s, plan, t)) {
		intents_drop(&a->intents, first);
		intents_save(&a->intents, s->spool);
		return;
	}
	a->spent = plan->generation;
	ret->done = true;
	kill_all(&going, &a->intents.list[first], exits, t);
	/* A process of the snapshot may have died before the act. */
	note_some(&a->intents.list[first], plan->kills, exits, 0);
	note_some(a->intents.list, first, exits, a->noted);
	a->noted = exits->count;
	err = conclude(a, plan, first);
	note_results(&a->intents.list[first], plan, from_us, ret);
	fault_point("concluded");
	if (!err)
		err = intents_close(&a->intents, s->spool);
	fault_point("closed");
	if (err)
		trouble_set(t, "the record of the act: %s; it is tried again", strerror(-err));
}

void act_result_free(struct act_result *r)
{
	free(r->victims);
	r->victims = NULL;
}

/* --- memory --------------------------------------------------------------------- */

void act_record_sample(const struct setup *s, const struct model *m, struct trouble *t)
{
	const struct record_origin from = origin(s, m);
	cJSON *list = cJSON_CreateArray(), *sample = record_memory(&from, m, clock_unix_ms());
	char *text = NULL;
	int err = -ENOMEM;

	if (list && sample && cJSON_AddItemToArray(list, sample)) {
		sample = NULL;
		text = cJSON_PrintUnformatted(list);
		err = text ? spool_put(s->spool, SPOOL_MEMORY, text) : -ENOMEM;
	}
	if (err)
		trouble_set(t, "a memory sample is not kept: %s", strerror(-err));
	cJSON_free(text);
	cJSON_Delete(sample);
	cJSON_Delete(list);
}
