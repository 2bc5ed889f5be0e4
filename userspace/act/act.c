// SPDX-License-Identifier: GPL-2.0
#include "userspace/act/act.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/act/fault.h"
#include "userspace/collect/collect.h"
#include "userspace/collect/own_containers.h"
#include "userspace/config.h"
#include "userspace/control/operator.h"
#include "userspace/host/clock.h"
#include "userspace/host/lock.h"
#include "userspace/io/witness.h"

/*
 * How many are acted on at once: each holds three descriptors and a connection, and 1024
 * descriptors is what a process usually may have.  Others come when these are dead.
 */
#define BATCH_MAX 128
/*
 * An inspected container takes a loaded runtime some 100 ms.  Who gets no answer in a quarter of
 * the interval stays, so that the plan is still current for the others.
 */
#define ANSWER_TIMEOUT_MS 3000
#define POLICY_TIMEOUT_MS 3000
/* A runtime answers this at once, or is in trouble; the grace goes on meanwhile. */
#define SIGNAL_TIMEOUT_MS 5000
/* A killed process has ended within milliseconds unless it sits in the kernel. */
#define WATCH_US 2000000
/* The runtime notices an end some 100 ms after the kernel. */
#define NOTICE_TIMEOUT_MS 10000
/* Removing ten containers takes a loaded, emulated machine 20 s. */
#define REMOVE_TIMEOUT_MS 60000
#define REMOVE_ATTEMPTS 5
/* sd-event delays a timer by up to 250 ms unless it is told an accuracy. */
#define ACCURACY_US 1000

/* So many of a plan's victims as are acted on at once. */
struct batch {
	struct act *act;
	struct generation generation;	/* of the plan */
	uint64_t from_us;		/* of the decision */
	uint64_t grace_us;		/* as it was configured then */
	struct intent **rest;		/* of the plan; the first of them are in the batch */
	size_t rest_count;
	size_t count;			/* in the batch */
	unsigned int answers_left;	/* of the step under way */
	bool watching;			/* all are told, or will not be: what is left is to wait */
	sd_event_source *timer;
};

static void next_batch(struct batch *b);
static void act_confirm(struct batch *b);
static void act_intend(struct batch *b);
static void act_policy_off(struct batch *b);
static void act_open(struct batch *b);
static void act_stop_signal(struct batch *b);
static void act_kill(struct batch *b);
static void act_watch(struct batch *b);
static void act_remove(struct intent *i);
static bool is_wanted(struct intent *i);
static void note_witness(struct intent *i);
static void conclude_removal(struct intent *i);
static void on_empty(struct intent *i);
static void check_finished(struct act *a);

void act_init(struct act *a, struct context *ctx)
{
	a->ctx = ctx;
	a->intents.spool = ctx->spool;
	a->intents.log = ctx->log;
}

int act_load(struct act *a, const char *text, size_t len)
{
	int err = intents_load(&a->intents, text, len);
	size_t n;

	for (n = 0; n < a->intents.count; n++)
		a->intents.list[n]->act = a;
	return err;
}

static void batch_free(struct batch *b)
{
	size_t n;

	if (!b)
		return;
	for (n = b->count; n < b->rest_count; n++) {
		if (b->rest[n] && b->rest[n]->result)
			b->rest[n]->result->intent = NULL;
		intent_free(b->rest[n]);
	}
	sd_event_source_disable_unref(b->timer);
	free(b->rest);
	free(b);
}

/* --- what the witness saw -------------------------------------------------------- */

static void note_exit(struct act *a, const struct ledger_exit *e)
{
	const struct receipt_death death = {
		.pid = e->pid,
		.start_us = e->start_us,
		.exit_us = e->exit_us,
		.exit_code = e->exit_code,
		.signal = e->signal,
		.sender_pid = e->killer_pid,
		.init = e->init,
	};
	size_t n;

	for (n = 0; n < a->intents.count; n++) {
		struct intent *i = a->intents.list[n];

		if (i->ours && i->group.inode == e->container_cgroup_id)
			receipt_note(&i->receipt, &death);
	}
}

void act_note_exits(struct act *a)
{
	const struct exit_log *exits = a->ctx->exits;

	for (; a->noted < exits->count; a->noted++)
		note_exit(a, &exits->list[a->noted]);
}

void act_forget_noted(struct act *a, size_t count)
{
	a->noted -= count < a->noted ? count : a->noted;
}

/* Exits that the witness could not tell of; UINT64_MAX: that is not known either. */
static uint64_t lost_by_now(const struct context *ctx)
{
	struct witness_drops drops;

	if (!ctx->witness || witness_read_drops(ctx->witness, &drops))
		return UINT64_MAX;
	return drops.ring_full + drops.unplaced + ctx->exits->dropped;
}

/* --- whose doing it was ---------------------------------------------------------- */

static void add_own(struct act *a, const struct intent *i)
{
	struct own_removal *more = realloc(a->own, (a->own_count + 1) * sizeof(*more));

	/* Without memory its end is told of twice: as a kill, and as a death. */
	if (!more)
		return;
	a->own = more;
	a->own[a->own_count].inode = i->group.inode;
	snprintf(a->own[a->own_count++].id, sizeof(a->own->id), "%s", i->id);
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

void act_mark(const struct act *a, struct model *m)
{
	uint64_t now_us = clock_boottime_us();
	size_t i;

	for (i = 0; i < m->container_count; i++)
		m->containers[i].comebacks = comebacks_count(&a->comebacks, &m->containers[i], now_us);
	/*
	 * Also another incarnation under the id: what the runtime says of it, its restart policy
	 * above all, is what the open kill has made of it.
	 */
	for (i = 0; i < a->intents.count; i++) {
		struct model_container *c = model_find(m, a->intents.list[i]->id);

		if (c)
			c->dying = true;
	}
}

void act_open_text(const struct act *a, const struct model_container *c, char *buf, size_t size)
{
	uint64_t now_us = clock_boottime_us();
	size_t n;

	*buf = '\0';
	for (n = 0; n < a->intents.count; n++) {
		const struct intent *i = a->intents.list[n];

		if (strcmp(i->id, c->id))
			continue;
		if (i->group.inode != c->cgroup.inode)
			snprintf(buf, size, "the removal of the one before it, under the same id, is not over");
		else if (!i->ours && !i->dying)
			snprintf(buf, size, "an earlier monitor's kill of it is not settled yet");
		else if (!i->receipt.act_us && !i->dying)
			snprintf(buf, size, "its kill is being prepared");
		else
			snprintf(buf, size, "told to die, not dead yet, since %llu s",
				 (unsigned long long)(now_us - (i->receipt.act_us ? i->receipt.act_us :
										     i->intended_us)) / 1000000);
	}
}

/* --- outcomes -------------------------------------------------------------------- */

static void add_news(struct act *a, const struct intent *i)
{
	struct act_news *more = realloc(a->news, (a->news_count + 1) * sizeof(*more)), *n;

	/* Its record tells it in any case. */
	if (!more)
		return;
	a->news = more;
	n = &a->news[a->news_count++];
	snprintf(n->id, sizeof(n->id), "%s", i->id);
	snprintf(n->name, sizeof(n->name), "%s", i->name);
	n->outcome = i->receipt.outcome;
	receipt_evidence(&i->receipt, n->evidence, sizeof(n->evidence));
}

void act_drop_news(struct act *a)
{
	free(a->news);
	a->news = NULL;
	a->news_count = 0;
}

static void copy_result(struct intent *i)
{
	if (!i->result)
		return;
	i->result->receipt = i->receipt;
	i->result->receipt.processes = NULL;
}

static void tell_result(struct intent *i)
{
	if (i->result) {
		copy_result(i);
		i->result->intent = NULL;
		i->result = NULL;
	} else {
		add_news(i->act, i);
	}
}

/* What the witness knows by now. */
static void note_witness(struct intent *i)
{
	struct context *ctx = i->act->ctx;
	struct receipt *r = &i->receipt;

	exit_log_drain(ctx);
	act_note_exits(i->act);
	r->watched = i->ours && ctx->witness;
	r->whole = r->watched && i->lost_before != UINT64_MAX && lost_by_now(ctx) == i->lost_before;
}

/* Step "conclude".  Its record is on its way from here on, and it is told. */
void act_conclude(struct intent *i)
{
	struct act *a = i->act;
	struct receipt *r = &i->receipt;
	int err;

	note_witness(i);
	if (i->ours)
		kill_measure_after(&i->handles, r);
	i->watch = sd_event_source_disable_unref(i->watch);
	i->restoring = false;
	kill_close(&i->handles);
	receipt_conclude(r);
	/* If it ends after that, its end is news. */
	if (r->outcome == RECEIPT_SURVIVED)
		drop_own(a, i->group.inode);
	err = intents_conclude(&a->intents, i, clock_unix_ms());
	if (err)
		problem_set(&a->ctx->problem, "the record of an act: %s; it is tried again", strerror(-err));
	tell_result(i);
	fault_point("concluded");
	intents_flush(&a->intents);
}

/* Is an answer to a question still wanted?  Otherwise its intent is freed here. */
static bool is_wanted(struct intent *i)
{
	i->questions--;
	if (!i->closed)
		return true;
	intent_free(i);
	return false;
}

/* An intent has its outcome: the batch has nothing to do with it any more. */
static void leave_batch(struct intent *i)
{
	struct batch *b = i->act->batch;
	size_t n;

	for (n = 0; b && n < b->count; n++)
		if (b->rest[n] == i)
			b->rest[n] = NULL;
}

/* --- the restart policy, set back ------------------------------------------------- */

/* So often; then it is told, for somebody to do by hand. */
#define RESTORE_ATTEMPTS 3

static void restore_policy(struct intent *i);

static bool comes_back(const struct intent *i)
{
	return *i->policy.name && strcmp(i->policy.name, "no") != 0;
}

/* It has its outcome only now: after a crash, the intent on disk has its policy set back. */
static void end_restoring(struct intent *i)
{
	struct act *a = i->act;

	i->restoring = false;
	leave_batch(i);
	act_conclude(i);
	check_finished(a);
}

static void on_restored(void *ctx, bool ok, const char *reason)
{
	struct intent *i = ctx;

	if (!is_wanted(i) || i->progress != INTENT_OPEN)
		return;
	/* What the runtime does not know any more has no policy. */
	if (ok || !strncmp(reason, "404", 3)) {
		end_restoring(i);
		return;
	}
	if (++i->restore_attempts < RESTORE_ATTEMPTS) {
		restore_policy(i);
		return;
	}
	snprintf(i->receipt.reason, sizeof(i->receipt.reason),
		 "its restart policy is \"no\" and was \"%s\", set it back by hand: %.150s",
		 i->policy.name, reason);
	end_restoring(i);
}

static void restore_policy(struct intent *i)
{
	i->restoring = true;
	if (!runtime_set_policy(&i->act->ctx->runtime, i->id, i->policy.name, i->policy.max_retries,
				POLICY_TIMEOUT_MS, on_restored, i)) {
		i->questions++;
		return;
	}
	snprintf(i->receipt.reason, sizeof(i->receipt.reason),
		 "its restart policy is \"no\" and was \"%s\", set it back by hand", i->policy.name);
	act_conclude(i);
}

/* Of an earlier monitor's intent it is not known whether it came to that. */
static bool needs_restoring(const struct intent *i)
{
	return comes_back(i) && (i->receipt.policy_off || i->policy_perhaps_off || !i->ours) &&
	       i->receipt.runtime != RECEIPT_REMOVED;
}

void act_spare(struct intent *i)
{
	if (needs_restoring(i))
		restore_policy(i);
	else
		act_conclude(i);
}

/* --- a plan ---------------------------------------------------------------------- */

static struct record_origin origin(const struct context *ctx, const struct model *m)
{
	return (struct record_origin){
		.host = ctx->host,
		.boot_id = ctx->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
}

static bool is_called_off(const struct act *a)
{
	return !operator_should_continue(a->ctx->operator);
}

/* A plan is for the moment that it was made at. */
static enum generation_verdict age_of(const struct act *a, const struct generation *plan,
				      const struct generation *consumed)
{
	return generation_check(plan, consumed, a->ctx->boot_id, clock_boottime_us(),
				(uint64_t)a->ctx->config->interval_s * 1000000);
}

static bool is_expired(const struct batch *b)
{
	const struct generation none = { 0 };

	return age_of(b->act, &b->generation, &none) != GENERATION_CURRENT;
}

void act_result_free(struct act_result *r)
{
	free(r->victims);
	*r = (struct act_result){ .dead_ms = -1, .clean_ms = -1 };
}

/* From the decision until the last was dead, and removed. */
static void note_times(struct act_result *r, uint64_t from_us)
{
	uint64_t dead_us = 0, clean_us = 0;
	bool dead = true, clean = true;
	size_t n;

	for (n = 0; n < r->count; n++) {
		const struct receipt *v = &r->victims[n].receipt;

		if (!receipt_told(v))
			continue;
		dead &= v->empty_us != 0;
		clean &= v->removed_us != 0;
		dead_us = v->empty_us > dead_us ? v->empty_us : dead_us;
		clean_us = v->removed_us > clean_us ? v->removed_us : clean_us;
	}
	r->dead_ms = dead && dead_us > from_us ? (double)(dead_us - from_us) / 1e3 : -1;
	r->clean_ms = clean && clean_us > from_us ? (double)(clean_us - from_us) / 1e3 : -1;
}

static void finish(struct act *a)
{
	void (*finished)(void *ctx) = a->finished;

	a->finished = NULL;
	if (finished)
		finished(a->finished_ctx);
}

/* Ends what is under way; its victims that are open go on by themselves. */
static void end_batch(struct act *a)
{
	if (a->batch)
		note_times(&a->result, a->batch->from_us);
	batch_free(a->batch);
	a->batch = NULL;
}

static int list_victims(const struct plan *plan, bool dry_run, struct act_result *ret)
{
	size_t n;

	act_result_free(ret);
	ret->victims = calloc(plan->kills + 1, sizeof(*ret->victims));
	if (!ret->victims)
		return -ENOMEM;
	for (n = 0; n < plan->count; n++) {
		const struct decision *d = &plan->decisions[n];

		if (d->rule != RULE_SURPLUS)
			continue;
		snprintf(ret->victims[ret->count].id, sizeof(ret->victims->id), "%s", d->container->id);
		ret->victims[ret->count++].receipt = (struct receipt){
			.found = RECEIPT_UNTRIED,
			.outcome = dry_run ? RECEIPT_DRY : RECEIPT_SURVIVED,
		};
	}
	return 0;
}

/* What would have been done, as a record of its own. */
static int report_dry_run(struct act *a, const struct plan *plan, const struct model *m)
{
	const struct record_origin from = origin(a->ctx, m);
	const struct record_times now = { clock_unix_ms(), clock_boottime_us() };
	cJSON *list = cJSON_CreateArray();
	char *text = NULL;
	size_t n;
	int err = list ? 0 : -ENOMEM;

	for (n = 0; !err && n < plan->count; n++) {
		cJSON *record;

		if (plan->decisions[n].rule != RULE_SURPLUS || plan->decisions[n].told)
			continue;
		record = record_intent(&from, &plan->decisions[n], &now);
		if (!record || record_would(record) || !cJSON_AddItemToArray(list, record)) {
			cJSON_Delete(record);
			err = -ENOMEM;
		}
	}
	if (!err && cJSON_GetArraySize(list)) {
		text = cJSON_PrintUnformatted(list);
		err = text ? log_client_put(a->ctx->log, SPOOL_KILLS, text, NULL, NULL) : -ENOMEM;
	}
	cJSON_free(text);
	cJSON_Delete(list);
	return err;
}

static int intend_all(struct act *a, const struct plan *plan, const struct model *m, struct batch *b)
{
	const struct record_origin from = origin(a->ctx, m);
	const struct record_times now = { clock_unix_ms(), clock_boottime_us() };
	size_t n;

	b->rest = calloc(plan->kills + 1, sizeof(*b->rest));
	for (n = 0; b->rest && n < plan->count; n++) {
		struct intent *i;

		if (plan->decisions[n].rule != RULE_SURPLUS)
			continue;
		i = intent_new(&from, &plan->decisions[n], m, &now);
		if (!i)
			return -ENOMEM;
		i->act = a;
		/* The stop signal is sent before the plan is too old. */
		if (b->grace_us)
			i->grace_us = b->grace_us + (uint64_t)a->ctx->config->interval_s * 1000000;
		i->result = &a->result.victims[b->rest_count];
		i->result->intent = i;
		b->rest[b->rest_count++] = i;
	}
	return b->rest ? 0 : -ENOMEM;
}

static int begin(struct act *a, const struct plan *plan, const struct model *m)
{
	enum generation_verdict verdict;
	char reason[LOCK_REASON_SIZE];
	int err;

	err = list_victims(plan, a->ctx->config->dry_run, &a->result);
	if (err)
		return err;
	if (a->ctx->config->dry_run) {
		a->result.done = true;
		return a->ctx->log ? report_dry_run(a, plan, m) : 0;
	}
	if (is_called_off(a))
		return 0;
	verdict = age_of(a, &plan->generation, &a->consumed);
	if (verdict != GENERATION_CURRENT) {
		problem_set(&a->ctx->problem, "the plan is refused: %s", generation_text(verdict));
		return 0;
	}
	if (a->ctx->lock && lock_check(a->ctx->lock, reason)) {
		problem_set(&a->ctx->problem, "%s; nothing is removed", reason);
		return 0;
	}
	a->batch = calloc(1, sizeof(*a->batch));
	if (!a->batch)
		return -ENOMEM;
	a->batch->act = a;
	a->batch->generation = plan->generation;
	a->batch->from_us = clock_boottime_us();
	a->batch->grace_us = (uint64_t)a->ctx->config->grace_s * 1000000;
	return intend_all(a, plan, m, a->batch);
}

void act_begin(struct act *a, const struct plan *plan, const struct model *m,
	       void (*finished)(void *ctx), void *ctx)
{
	int err;

	a->finished = finished;
	a->finished_ctx = ctx;
	err = begin(a, plan, m);
	if (err) {
		problem_set(&a->ctx->problem, "the plan: %s", strerror(-err));
		end_batch(a);
	}
	if (a->batch)
		next_batch(a->batch);
	else
		finish(a);
}

bool act_is_busy(const struct act *a)
{
	return a->batch != NULL;
}

static void mark_dying(struct batch *b)
{
	size_t n;

	for (n = 0; n < b->count; n++)
		if (b->rest[n] && !b->rest[n]->receipt.empty_us)
			b->rest[n]->dying = true;
}

void act_take_result(struct act *a, struct act_result *ret)
{
	size_t n;

	a->finished = NULL;
	for (n = 0; n < a->result.count; n++) {
		struct act_victim *v = &a->result.victims[n];

		if (!v->intent)
			continue;
		copy_result(v->intent);
		receipt_conclude(&v->receipt);
		v->intent->result = NULL;
		v->intent = NULL;
	}
	if (a->batch) {
		note_times(&a->result, a->batch->from_us);
		/* The next plan need not wait for removals, nor for who sits in the kernel. */
		if (a->batch->watching && a->batch->count == a->batch->rest_count) {
			mark_dying(a->batch);
			end_batch(a);
		}
	}
	*ret = a->result;
	a->result = (struct act_result){ .dead_ms = -1, .clean_ms = -1 };
}

/* The plan has its result when none of its victims is between being told and being known of. */
static void check_finished(struct act *a)
{
	size_t n;

	if (!a->batch || !a->batch->watching)
		return;
	for (n = 0; n < a->batch->count; n++) {
		const struct intent *i = a->batch->rest[n];

		if (i && !i->dying)
			return;
	}
	if (a->batch->count < a->batch->rest_count) {
		next_batch(a->batch);
		return;
	}
	end_batch(a);
	finish(a);
}

static bool is_in_batch(const struct intent *i)
{
	const struct batch *b = i->act->batch;
	size_t n;

	for (n = 0; b && n < b->count; n++)
		if (b->rest[n] == i)
			return true;
	return false;
}

static void conclude_and_leave(struct intent *i)
{
	struct act *a = i->act;

	leave_batch(i);
	act_conclude(i);
	check_finished(a);
}

/* The next of the plan's victims.  Those before have left it, or are dying. */
static void next_batch(struct batch *b)
{
	b->rest_count -= b->count;
	memmove(b->rest, b->rest + b->count, b->rest_count * sizeof(*b->rest));
	b->count = b->rest_count < BATCH_MAX ? b->rest_count : BATCH_MAX;
	b->watching = false;
	b->timer = sd_event_source_disable_unref(b->timer);
	act_confirm(b);
}

/* --- step confirm ---------------------------------------------------------------- */

/* Nothing was intended on disk: it is not recorded, but the report says why. */
static void doubt(struct intent *i, const char *reason)
{
	enum receipt_found found = kill_check(i->act->ctx->cgroup_root, &i->group);

	i->doubted = true;
	/* It may have ended meanwhile: that is no doubt. */
	if (found != RECEIPT_FOUND && found != RECEIPT_UNREADABLE)
		i->receipt.found = found;
	else
		snprintf(i->receipt.reason, sizeof(i->receipt.reason), "%.200s", reason);
}

static const char *doubt_of(const struct intent *i, const struct runtime_inspect *answer)
{
	if (*answer->id && strcmp(answer->id, i->id) != 0)
		return "the runtime answers for another container";
	if (answer->protected_now)
		return "the runtime says by now that it is protected";
	if (!*answer->id || !answer->has_state)
		return "the runtime's answer does not say that it runs";
	if (answer->paused)
		return "the runtime has paused it meanwhile";
	if (answer->restarting || answer->dead || !answer->running)
		return "the runtime says that it does not run any more";
	if (answer->pid && !own_containers_holds(i->act->ctx->own, answer->pid, i->group.path))
		return "the runtime says that its main process is in another cgroup";
	return NULL;
}

static void on_confirmed(void *ctx, const struct runtime_inspect *answer, const char *reason)
{
	struct intent *i = ctx;
	struct batch *b = i->act->batch;
	const char *why = answer ? doubt_of(i, answer) : reason;

	if (!is_wanted(i))
		return;
	if (why) {
		doubt(i, why);
	} else {
		snprintf(i->policy.name, sizeof(i->policy.name), "%s", answer->policy);
		i->policy.max_retries = answer->max_retries;
		snprintf(i->stop_signal, sizeof(i->stop_signal), "%s", answer->stop_signal);
	}
	if (!--b->answers_left)
		act_intend(b);
}

static long answer_timeout_ms(const struct batch *b)
{
	long quarter_ms = b->act->ctx->config->interval_s * 250;

	return quarter_ms < ANSWER_TIMEOUT_MS ? quarter_ms : ANSWER_TIMEOUT_MS;
}

static void act_confirm(struct batch *b)
{
	size_t n;

	b->answers_left = 1;
	for (n = 0; n < b->count; n++) {
		struct intent *i = b->rest[n];

		if (runtime_inspect(&b->act->ctx->runtime, i->id, answer_timeout_ms(b), on_confirmed, i)) {
			doubt(i, "there was no memory to ask the runtime");
			continue;
		}
		i->questions++;
		b->answers_left++;
	}
	if (!--b->answers_left)
		act_intend(b);
}

/* --- step intend ----------------------------------------------------------------- */

/* Takes one out of the batch that has no intent on disk. */
static void forget(struct batch *b, size_t n)
{
	struct intent *i = b->rest[n];

	receipt_conclude(&i->receipt);
	copy_result(i);
	if (i->result)
		i->result->intent = NULL;
	b->rest[n] = NULL;
	intents_take(&b->act->intents, i);
	intent_free(i);
}

/* The plan ends here, with what has been done of it. */
static void give_up(struct batch *b, enum receipt_withheld withheld)
{
	struct act *a = b->act;
	size_t n;

	for (n = 0; n < b->rest_count; n++) {
		if (!b->rest[n])
			continue;
		b->rest[n]->receipt.withheld = withheld;
		forget(b, n);
	}
	b->count = b->rest_count;
	end_batch(a);
	finish(a);
}

/* The intents are durable by now, so each has an outcome, and a record of it. */
static void withhold(struct batch *b, enum receipt_withheld withheld)
{
	size_t n;

	b->watching = true;
	for (n = 0; n < b->count; n++) {
		struct intent *i = b->rest[n];

		if (!i)
			continue;
		i->receipt.withheld = withheld;
		b->rest[n] = NULL;
		act_spare(i);
	}
	/* What comes after these is not on disk. */
	give_up(b, withheld);
}

/* Called off, or too old, between two steps.  Return: whether the act ends here. */
static bool is_withheld(struct batch *b)
{
	if (is_called_off(b->act))
		withhold(b, RECEIPT_CALLED_OFF);
	else if (is_expired(b))
		withhold(b, RECEIPT_EXPIRED);
	else
		return false;
	return true;
}

static void on_intended(void *ctx, int err)
{
	struct batch *b = ctx;
	struct act *a = b->act;

	if (err) {
		problem_set(&a->ctx->problem, "the intent could not be written, so nothing is removed: %s",
			    strerror(-err));
		give_up(b, RECEIPT_NOT_WITHHELD);
		return;
	}
	fault_point("intended");
	/* The disk may have taken its time. */
	if (is_withheld(b))
		return;
	a->consumed = b->generation;
	/* Its cycle's report may have been told already, without this. */
	a->result.done = a->result.count > 0;
	act_policy_off(b);
}

static void act_intend(struct batch *b)
{
	struct act *a = b->act;
	size_t n, left = 0;
	int err = 0;

	for (n = 0; n < b->count; n++) {
		if (b->rest[n]->doubted)
			forget(b, n);
		else
			b->rest[left++] = b->rest[n];
	}
	memmove(b->rest + left, b->rest + b->count, (b->rest_count - b->count) * sizeof(*b->rest));
	b->rest_count -= b->count - left;
	b->count = left;
	if (!left) {
		b->watching = true;
		check_finished(a);
		return;
	}
	fault_point("confirmed");
	if (is_called_off(a)) {
		give_up(b, RECEIPT_CALLED_OFF);
		return;
	}
	if (is_expired(b)) {
		problem_set(&a->ctx->problem, "the plan is refused: %s", generation_text(GENERATION_STALE));
		give_up(b, RECEIPT_EXPIRED);
		return;
	}
	for (n = 0; !err && n < b->count; n++) {
		b->rest[n]->by_runtime = !kill_is_allowed(a->ctx->cgroup_root, &b->rest[n]->group);
		err = intent_note_private(b->rest[n]);
		if (!err)
			err = intents_add(&a->intents, b->rest[n]);
	}
	fault_point("planned");
	if (!err)
		err = intents_save(&a->intents, on_intended, b);
	if (err)
		on_intended(b, err);
}

/* --- step policy_off ------------------------------------------------------------- */

static void policy_off_done(struct batch *b)
{
	if (--b->answers_left)
		return;
	fault_point("policy-off");
	if (!is_withheld(b))
		act_open(b);
}

static void on_policy_off(void *ctx, bool ok, const char *reason)
{
	struct intent *i = ctx;

	if (!is_wanted(i))
		return;
	i->receipt.policy_off = ok;
	/* An answer has a status at its head; without one it may be done yet. */
	i->policy_perhaps_off = !ok && !isdigit((unsigned char)*reason);
	policy_off_done(i->act->batch);
}

/*
 * Otherwise the runtime starts the victim again as soon as it is dead, and its removal has to
 * be forced: it would kill an incarnation that nobody has judged.  Podman 4.3 has no such
 * call.
 */
static void act_policy_off(struct batch *b)
{
	size_t n;

	b->answers_left = 1;
	for (n = 0; n < b->count; n++) {
		struct intent *i = b->rest[n];

		if (!comes_back(i) || runtime_set_policy(&b->act->ctx->runtime, i->id, "no", 0,
							 answer_timeout_ms(b), on_policy_off, i))
			continue;
		i->questions++;
		b->answers_left++;
	}
	policy_off_done(b);
}

/* --- steps open, stop, last_look, kill ------------------------------------------- */

static void act_open(struct batch *b)
{
	struct context *ctx = b->act->ctx;
	size_t n;

	for (n = 0; n < b->count; n++)
		kill_open(ctx->cgroup_root, &b->rest[n]->group, &b->rest[n]->receipt, &b->rest[n]->handles);
	fault_point("held");
	for (n = 0; n < b->count; n++) {
		struct intent *i = b->rest[n];

		if (i->receipt.found == RECEIPT_FOUND)
			continue;
		b->rest[n] = NULL;
		act_spare(i);
	}
	if (b->grace_us)
		act_stop_signal(b);
	else
		act_kill(b);
}

/* Steps "last_look" of a victim.  Otherwise it has its outcome, and has left the batch. */
static bool may_be_told(struct batch *b, size_t n)
{
	struct intent *i = b->rest[n];

	if (is_called_off(b->act))
		i->receipt.withheld = RECEIPT_CALLED_OFF;
	/* A grace has its own time. */
	else if (!i->receipt.stopped && !b->answers_left && is_expired(b))
		i->receipt.withheld = RECEIPT_EXPIRED;
	else
		kill_last_look(&i->handles, &i->receipt);
	if (i->receipt.found == RECEIPT_EMPTY && i->receipt.stopped) {
		/* It has ended within its grace. */
		i->receipt.found = RECEIPT_FOUND;
		return false;
	}
	if (i->receipt.found == RECEIPT_FOUND && !i->receipt.withheld)
		return true;
	b->rest[n] = NULL;
	act_spare(i);
	return false;
}

static void note_told(struct intent *i)
{
	struct act *a = i->act;

	if (i->noted)
		return;
	i->noted = true;
	i->receipt.own_pid = own_containers_pid(a->ctx->own);
	add_own(a, i);
	if (comebacks_note(&a->comebacks, &i->who, clock_boottime_us()))
		problem_set(&a->ctx->problem, "a kill is not remembered: %s", strerror(ENOMEM));
}

static void on_forced(void *ctx, enum runtime_removal result, const char *reason);

/*
 * The monitor may not write cgroup.kill: the runtime's forced removal is the kill, and goes by
 * the id alone.  What the runtime would start again under it is not its to kill.
 */
static void kill_by_runtime(struct batch *b, size_t n)
{
	struct intent *i = b->rest[n];
	struct receipt *r = &i->receipt;

	if (comes_back(i) && !r->policy_off) {
		r->withheld = RECEIPT_POLICY;
		b->rest[n] = NULL;
		act_spare(i);
		return;
	}
	r->act_us = r->act_us ? r->act_us : clock_boottime_us();
	if (runtime_remove(&b->act->ctx->runtime, i->id, true, REMOVE_TIMEOUT_MS, on_forced, i)) {
		snprintf(r->reason, sizeof(r->reason), "there was no memory to ask the runtime");
		b->rest[n] = NULL;
		act_spare(i);
		return;
	}
	r->forced = true;
	i->questions++;
	note_told(i);
}

/* Steps "last_look" and "kill" of a victim. */
static void kill_one(struct batch *b, size_t n, uint64_t lost)
{
	struct intent *i = b->rest[n];

	if (!i || i->receipt.empty_us || i->receipt.killed || i->receipt.forced || !may_be_told(b, n))
		return;
	if (!i->receipt.act_us)
		i->lost_before = lost;
	if (i->handles.kill >= 0 && kill_group(&i->handles, &i->receipt, clock_boottime_us())) {
		note_told(i);
	} else if (i->by_runtime) {
		kill_by_runtime(b, n);
	} else {
		/* For want of descriptors or memory: no reason to go by the id alone. */
		b->rest[n] = NULL;
		act_spare(i);
	}
}

static void act_kill(struct batch *b)
{
	uint64_t lost = lost_by_now(b->act->ctx);
	size_t n;

	for (n = 0; n < b->count; n++) {
		kill_one(b, n, lost);
		if (!n)
			fault_point("first-killed");
	}
	fault_point("all-killed");
	act_watch(b);
}

static int on_grace_over(sd_event_source *source, uint64_t at_us, void *ctx)
{
	struct batch *b = ctx;

	(void)source;
	(void)at_us;
	act_kill(b);
	return 0;
}

/* Has everyone whom the grace is for ended? */
static bool is_grace_needless(const struct batch *b)
{
	size_t n;

	for (n = 0; n < b->count; n++)
		if (b->rest[n] && b->rest[n]->receipt.stopped && !b->rest[n]->receipt.empty_us)
			return false;
	return true;
}

static void stop_signal_done(struct batch *b)
{
	uint64_t lost = lost_by_now(b->act->ctx);
	size_t n;

	if (--b->answers_left)
		return;
	fault_point("stop-sent");
	/* Who could not be asked has nothing to wait for. */
	for (n = 0; n < b->count; n++)
		if (b->rest[n] && !b->rest[n]->receipt.stopped)
			kill_one(b, n, lost);
	if (is_grace_needless(b))
		act_kill(b);
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *ctx);

static int watch(struct intent *i)
{
	int err;

	if (i->watch)
		return 0;
	/* cgroup.events raises POLLPRI when it changes, and when the group is removed. */
	err = sd_event_add_io(i->act->ctx->event, &i->watch, i->handles.events, EPOLLPRI, on_events, i);
	return err < 0 ? err : 0;
}

/* Who was not asked to stop has ended by itself. */
static void end_in_grace(struct intent *i)
{
	if (i->receipt.stopped) {
		on_empty(i);
		return;
	}
	leave_batch(i);
	act_spare(i);
}

static void on_stop_sent(void *ctx, bool ok, const char *reason)
{
	struct intent *i = ctx;
	struct batch *b = i->act->batch;

	/* It was called off, or killed, meanwhile; its batch may be another's by now. */
	if (!is_wanted(i) || i->progress != INTENT_OPEN || i->restoring || i->receipt.killed ||
	    i->receipt.forced || !is_in_batch(i))
		return;
	if (ok) {
		i->receipt.stopped = true;
		note_told(i);
	} else {
		/* Without an answer, with a status at its head, it may have been sent all the same. */
		i->receipt.asked_perhaps = !isdigit((unsigned char)*reason);
		snprintf(i->receipt.reason, sizeof(i->receipt.reason), "no stop signal: %.200s", reason);
	}
	if (i->receipt.empty_us)
		end_in_grace(i);
	/* Called off meanwhile, its end may have been the plan's. */
	if (i->act->batch == b)
		stop_signal_done(b);
}

/*
 * Step "stop": each victim's own stop signal, by the runtime, which knows its main process for
 * sure; and time to end by itself.  Who can't be told is killed at once when all have answered.
 */
static void act_stop_signal(struct batch *b)
{
	struct context *ctx = b->act->ctx;
	uint64_t lost = lost_by_now(ctx);
	size_t n;

	b->answers_left = 1;
	for (n = 0; n < b->count; n++) {
		struct intent *i = b->rest[n];

		if (!i || !may_be_told(b, n))
			continue;
		i->lost_before = lost;
		i->receipt.act_us = clock_boottime_us();
		if (runtime_signal(&ctx->runtime, i->id, i->stop_signal, SIGNAL_TIMEOUT_MS, on_stop_sent, i))
			continue;
		watch(i);
		i->questions++;
		b->answers_left++;
	}
	if (sd_event_add_time_relative(ctx->event, &b->timer, CLOCK_BOOTTIME,
				       b->grace_us, ACCURACY_US, on_grace_over, b) < 0) {
		withhold(b, RECEIPT_CALLED_OFF);
		return;
	}
	stop_signal_done(b);
}

/* --- step watch ------------------------------------------------------------------ */

static void on_empty(struct intent *i)
{
	/* It may have ended within its grace. */
	if (!i->receipt.empty_us)
		i->receipt.empty_us = clock_boottime_us();
	i->watch = sd_event_source_disable_unref(i->watch);
	fault_point("seen-empty");
	kill_close_empty(&i->handles);
	note_witness(i);
	/* What ended by itself, as the witness has it, is not the monitor's to remove. */
	receipt_conclude(&i->receipt);
	if (i->receipt.outcome == RECEIPT_GONE)
		conclude_removal(i);
	else if (!i->receipt.forced)
		act_remove(i);
	else if (!i->questions)
		conclude_removal(i);
	/* Otherwise the forced removal's answer is awaited. */
}

static bool is_in_grace(const struct intent *i)
{
	const struct batch *b = i->act->batch;

	return b && !b->watching && !i->receipt.killed && !i->receipt.forced;
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct intent *i = ctx;
	struct batch *b = i->act->batch;

	(void)source;
	(void)fd;
	(void)events;
	if (i->receipt.empty_us || !kill_is_empty(&i->handles))
		return 0;
	if (!is_in_grace(i)) {
		on_empty(i);
		return 0;
	}
	i->receipt.empty_us = clock_boottime_us();
	i->watch = sd_event_source_disable_unref(i->watch);
	/* Otherwise the answer to its stop signal is awaited. */
	if (!i->questions)
		end_in_grace(i);
	/* All have answered, and all are dead: the rest of the grace is for nobody. */
	if (i->act->batch == b && !b->watching && !b->answers_left && is_grace_needless(b))
		act_kill(b);
	return 0;
}

static int on_watched(sd_event_source *source, uint64_t at_us, void *ctx)
{
	struct batch *b = ctx;
	struct act *a = b->act;
	size_t n;

	(void)source;
	(void)at_us;
	mark_dying(b);
	/* Others need not wait for the removals. */
	for (n = 0; b->count < b->rest_count && n < b->count; n++)
		b->rest[n] = NULL;
	check_finished(a);
	return 0;
}

/* Until all are empty, or for so long; who is not empty by then is dying, and still watched. */
static void act_watch(struct batch *b)
{
	struct act *a = b->act;
	size_t n, count = b->count;

	b->timer = sd_event_source_disable_unref(b->timer);
	b->watching = true;
	if (sd_event_add_time_relative(a->ctx->event, &b->timer, CLOCK_BOOTTIME, WATCH_US, ACCURACY_US,
				       on_watched, b) < 0)
		problem_set(&a->ctx->problem, "no timer for the victims' ends");
	/* The last one's outcome ends the batch, or begins the next. */
	for (n = 0; n < count && a->batch == b && b->watching; n++) {
		struct intent *i = b->rest[n];
		int err;

		if (!i)
			continue;
		err = i->receipt.empty_us ? 0 : watch(i);
		if (err)
			problem_set(&a->ctx->problem, "the end of a victim can't be waited for: %s",
				    strerror(-err));
		if (!i->receipt.empty_us && kill_is_empty(&i->handles))
			on_empty(i);
	}
	if (a->batch == b && b->watching)
		check_finished(a);
}

/* --- step remove ----------------------------------------------------------------- */

static void note_removal(struct intent *i, enum runtime_removal result, const char *reason)
{
	struct receipt *r = &i->receipt;

	switch (result) {
	case RUNTIME_REMOVED:
	case RUNTIME_GONE:
		r->runtime = RECEIPT_REMOVED;
		r->removed_us = clock_boottime_us();
		return;
	case RUNTIME_RUNNING:
	case RUNTIME_REFUSED:
		r->runtime = RECEIPT_REFUSED;
		break;
	case RUNTIME_NO_ANSWER:
		r->runtime = RECEIPT_NO_ANSWER;
		break;
	}
	snprintf(r->reason, sizeof(r->reason), "the runtime has not removed it: %.180s", reason);
}

/* What lives on, as another incarnation or as what was refused, has its restart policy again. */
static void conclude_removal(struct intent *i)
{
	fault_point("removed");
	if (needs_restoring(i))
		restore_policy(i);
	else
		conclude_and_leave(i);
}

/* The answer to the forced removal that is the kill. */
static void on_forced(void *ctx, enum runtime_removal result, const char *reason)
{
	struct intent *i = ctx;

	if (!is_wanted(i) || i->progress != INTENT_OPEN)
		return;
	note_removal(i, result, reason);
	if (!i->receipt.empty_us && kill_is_empty(&i->handles))
		i->receipt.empty_us = clock_boottime_us();
	if (i->receipt.empty_us) {
		i->watch = sd_event_source_disable_unref(i->watch);
		conclude_removal(i);
		return;
	}
	/* It may come yet, if it was not refused; and what was refused may have been begun. */
	if (i->receipt.runtime == RECEIPT_REFUSED &&
	    !kill_is_pending(i->act->ctx->cgroup_root, &i->group)) {
		i->receipt.forced = false;
		leave_batch(i);
		act_spare(i);
		check_finished(i->act);
		return;
	}
	/* What the runtime calls removed lives: its end is what is waited for. */
}

static void on_successor_removed(void *ctx, enum runtime_removal result, const char *reason)
{
	struct intent *i = ctx;

	if (!is_wanted(i) || i->progress != INTENT_OPEN)
		return;
	note_removal(i, result, reason);
	i->receipt.successor = i->receipt.runtime == RECEIPT_REMOVED;
	conclude_removal(i);
}

/*
 * Something runs under the id again.  If the runtime's restart policy has started it, which
 * could not be switched off, the removal has to be forced, and it falls with it.  Otherwise
 * somebody has started it: it is left alone, and judged as any other container.
 */
static bool remove_successor(struct intent *i)
{
	if (!comes_back(i) || i->receipt.policy_off || i->policy_perhaps_off || is_called_off(i->act) ||
	    kill_check(i->act->ctx->cgroup_root, &i->group) != RECEIPT_REPLACED)
		return false;
	if (runtime_remove(&i->act->ctx->runtime, i->id, true, REMOVE_TIMEOUT_MS, on_successor_removed, i))
		return false;
	i->questions++;
	return true;
}

static void on_removed(void *ctx, enum runtime_removal result, const char *reason)
{
	struct intent *i = ctx;

	if (!is_wanted(i) || i->progress != INTENT_OPEN)
		return;
	if (result == RUNTIME_RUNNING && remove_successor(i))
		return;
	/* The runtime is about to start it again, and has made no cgroup yet. */
	if (result == RUNTIME_RUNNING && ++i->removals < REMOVE_ATTEMPTS &&
	    kill_check(i->act->ctx->cgroup_root, &i->group) != RECEIPT_REPLACED) {
		act_remove(i);
		return;
	}
	note_removal(i, result, reason);
	conclude_removal(i);
}

static bool is_removal_called_off(struct intent *i)
{
	if (!is_called_off(i->act))
		return false;
	snprintf(i->receipt.reason, sizeof(i->receipt.reason), "not removed: called off");
	conclude_removal(i);
	return true;
}

static void cant_remove(struct intent *i)
{
	snprintf(i->receipt.reason, sizeof(i->receipt.reason), "no memory to have it removed");
	conclude_removal(i);
}

/* Whatever the answer is: the removal itself says whether it can be. */
static void on_noticed(void *ctx, bool ok, const char *reason)
{
	struct intent *i = ctx;

	(void)ok;
	(void)reason;
	if (!is_wanted(i) || i->progress != INTENT_OPEN || is_removal_called_off(i))
		return;
	if (runtime_remove(&i->act->ctx->runtime, i->id, false, REMOVE_TIMEOUT_MS, on_removed, i))
		cant_remove(i);
	else
		i->questions++;
}

/* Only of who was told to die and was seen empty.  It goes on beside the cycles. */
static void act_remove(struct intent *i)
{
	if (is_removal_called_off(i))
		return;
	if (runtime_wait_stopped(&i->act->ctx->runtime, i->id, NOTICE_TIMEOUT_MS, on_noticed, i))
		cant_remove(i);
	else
		i->questions++;
}

/* --- called off, and the end ------------------------------------------------------ */

void act_call_off(struct act *a)
{
	struct batch *b = a->batch;
	size_t n;

	/* Every other step asks before it does anything. */
	if (!b || b->watching || !b->timer || !is_called_off(a))
		return;
	b->timer = sd_event_source_disable_unref(b->timer);
	for (n = 0; n < b->count; n++) {
		struct intent *i = b->rest[n];

		if (!i || i->receipt.empty_us)
			continue;
		/* Its stop signal is on its way, and its answer is not awaited. */
		i->receipt.asked_perhaps = i->questions;
		may_be_told(b, n);
	}
	act_watch(b);
	if (a->batch == b && b->watching && b->rest_count > b->count)
		give_up(b, RECEIPT_CALLED_OFF);
}

void act_stop(struct act *a)
{
	size_t n;

	for (n = 0; n < a->intents.count; n++) {
		struct intent *i = a->intents.list[n];

		if (!i->ours || i->progress != INTENT_OPEN || !i->receipt.empty_us)
			continue;
		if (!i->receipt.reason[0])
			snprintf(i->receipt.reason, sizeof(i->receipt.reason),
				 "the monitor ended before the runtime had removed it%s%s%s",
				 needs_restoring(i) ? "; its restart policy is \"no\" and was " : "",
				 needs_restoring(i) ? i->policy.name : "",
				 needs_restoring(i) ? ", set it back by hand" : "");
		i->receipt.runtime = RECEIPT_NO_ANSWER;
		leave_batch(i);
		act_conclude(i);
	}
}

bool act_is_settled(const struct act *a)
{
	size_t n;

	for (n = 0; n < a->intents.count; n++)
		if (a->intents.list[n]->ours && a->intents.list[n]->progress == INTENT_OPEN &&
		    !a->intents.list[n]->dying)
			return false;
	return !a->batch && intents_settled(&a->intents);
}

void act_flush(struct act *a)
{
	size_t n;
	int err;

	/* Whose outcome found no memory. */
	for (n = 0; n < a->intents.count; n++) {
		struct intent *i = a->intents.list[n];

		if (i->progress != INTENT_OPEN || !i->ours || i->restoring)
			continue;
		if (i->handles.group < 0 && !a->batch)
			intents_conclude(&a->intents, i, clock_unix_ms());
		/* Whose end could not be waited for. */
		else if (receipt_told(&i->receipt) && !i->watch && !i->receipt.empty_us &&
			 kill_is_empty(&i->handles))
			on_empty(i);
	}
	intents_flush(&a->intents);
	err = a->intents.err;
	if (err)
		problem_set(&a->ctx->problem, "the record of an act: %s; it is tried again", strerror(-err));
}
