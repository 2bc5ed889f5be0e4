// SPDX-License-Identifier: GPL-2.0
#include "userspace/loop.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/act/act.h"
#include "userspace/act/settle.h"
#include "userspace/collect/collect.h"
#include "userspace/config.h"
#include "userspace/container_exits.h"
#include "userspace/control/operator.h"
#include "userspace/core/judge.h"
#include "userspace/core/record.h"
#include "userspace/deliver/log_client.h"
#include "userspace/deliver/spool.h"
#include "userspace/host/clock.h"
#include "userspace/host/log.h"
#include "userspace/host/output.h"
#include "userspace/host/process.h"
#include "userspace/recorder.h"
#include "userspace/report.h"

/* A runtime that needs this long for a list is in trouble. */
#define LIST_TIMEOUT_MS 5000
#define RELOAD_TIMEOUT_MS 10000
/* A busy disk syncs within a second. */
#define SLOW_DISK_US 3000000
/* sd-event delays a timer by up to 250 ms unless it is told an accuracy. */
#define ACCURACY_US 1000

/* The cycle under way. */
struct cycle {
	enum {
		CYCLE_NONE,
		CYCLE_LISTING,		/* the runtime is asked for its list */
		CYCLE_EVALUATING,
		CYCLE_ACTING,		/* victims, or the runtime's events, are waited for */
	} step;
	struct sample now;
	struct judge_sight seen;
	struct judgement j;
	char requests[LOOK_HAND_MAX + 1];
	bool blind;		/* it could not see */
	bool acting, asking;
};

struct loop {
	struct context *ctx;
	void (*done)(void *ctx);
	void *done_ctx;
	struct sample last;
	struct container_exits ended;
	struct judge judge;
	struct recorder *recorder;	/* NULL: nothing is recorded */
	struct cycle cycle;
	long number;			/* of the cycle under way, or of the last one */
	uint64_t begin_us;		/* of that */
	uint64_t list_asked;		/* how often, so that a late answer is known as that */
	sd_event_source *timer;
	bool stopped;
	bool reloading;
	bool last_blind;
	char failure[LOOP_REASON_SIZE];
};

static struct judge_sight sight(const struct loop *l, const struct sample *v)
{
	return (struct judge_sight){
		.model = v->model,
		.witness = v->witness,
		.reading = v->reading,
		.exits = l->ctx->exits->list,
		.exit_count = l->ctx->exits->count,
		.skew_us = v->skew_us,
		.slept_before_us = v->slept_before_us,
		.slept_after_us = v->slept_after_us,
	};
}

/* --- report ---------------------------------------------------------------------- */

static void print_to(const struct loop *l, const struct report *r, FILE *out)
{
	bool json = r->config->json;

	if (r->config->command != CONFIG_EXPLAIN)
		(json ? report_json : report_text)(r, out);
	else if (l->number == r->config->cycles)
		(json ? report_json : report_explain)(r, out);
}

static void print_report(struct loop *l, struct report *r)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	r->unix_ms = clock_unix_ms();
	r->cycle = l->number;
	r->config = l->ctx->config;
	r->brake = &l->judge.brake;
	r->open = l->ctx->act;
	r->open_text = act_open_text;
	operator_note_problem(l->ctx->operator);
	r->problem = l->ctx->problem.text[0] ? l->ctx->problem.text : NULL;
	if (l->ctx->log)
		log_client_status(l->ctx->log, &r->server);
	if (out)
		print_to(l, r, out);
	if (!out || fclose(out))
		log_line("a report is lost for want of memory");
	else if (len)
		output_write(l->ctx->out, text, len);
	free(text);
	act_drop_news(l->ctx->act);
	l->ctx->problem.text[0] = '\0';
}

/* Without it no kill is intended, no record kept, and no lock held. */
static void check_disk(struct loop *l)
{
	if (*l->failure || !l->ctx->spool || !spool_is_lost(l->ctx->spool))
		return;
	snprintf(l->failure, sizeof(l->failure),
		 "the process that writes the spool has ended (was it killed?): the monitor ends, start it again");
	l->done(l->done_ctx);
}

/* Somebody who kills is not left to do so unseen. */
static void check_reader(struct loop *l)
{
	int err = output_broken(l->ctx->out);

	if (!err || *l->failure)
		return;
	snprintf(l->failure, sizeof(l->failure),
		 "nobody reads standard output any more (%s): the monitor ends", strerror(-err));
	l->done(l->done_ctx);
}

/* After the act, and of a cycle that could not see (@seen is NULL) too. */
static void keep_recording(struct loop *l, const struct judge_sight *seen, const struct act_result *act)
{
	struct cycle *c = &l->cycle;
	struct recorder_cycle r = {
		.look = { .unix_ms = clock_unix_ms(), .cycle = (uint64_t)l->number, .seen = seen },
		.judgement = seen ? &c->j : NULL,
		.brake = &l->judge.brake,
		.act = act,
	};
	char reason[RECORDER_REASON_SIZE];

	if (!l->recorder)
		return;
	if (seen) {
		r.look.sight = *seen;
		/* The act may have made the list longer, and moved it. */
		r.look.sight.exits = l->ctx->exits->list;
	}
	strcpy(r.look.hand, c->requests);
	if (recorder_keep(l->recorder, &r, reason) || recorder_take_problem(l->recorder, reason))
		problem_set(&l->ctx->problem, "%s", reason);
}

static void record_sample(struct loop *l, const struct model *m)
{
	const struct record_origin from = {
		.host = l->ctx->host,
		.boot_id = l->ctx->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
	cJSON *list = cJSON_CreateArray(), *sample = list ? record_memory(&from, m, clock_unix_ms()) : NULL;
	char *text = NULL;
	int err = -ENOMEM;

	if (sample && cJSON_AddItemToArray(list, sample))
		text = cJSON_PrintUnformatted(list);
	if (text)
		err = log_client_put(l->ctx->log, SPOOL_MEMORY, text, NULL, NULL);
	if (err)
		problem_set(&l->ctx->problem, "a memory sample is not kept: %s", strerror(-err));
	cJSON_free(text);
	cJSON_Delete(list);
}

/* Without a durable intent nobody is killed, and it should be known why. */
static void note_slow_disk(struct loop *l)
{
	uint64_t since_us = l->ctx->spool ? spool_waits_since_us(l->ctx->spool) : 0;
	uint64_t now_us = clock_boottime_us();

	if (since_us && now_us > since_us + SLOW_DISK_US)
		problem_set(&l->ctx->problem,
			    "the spool's disk has not answered for %llu s; until it does nothing is removed or recorded",
			    (unsigned long long)(now_us - since_us) / 1000000);
}

/* --- the end of a cycle ---------------------------------------------------------- */

static void forget_exits(struct loop *l, size_t count)
{
	/* Receipts that are open know them first. */
	act_note_exits(l->ctx->act);
	exit_log_forget(l->ctx->exits, count);
	act_forget_noted(l->ctx->act, count);
}

static void finish_blind(struct loop *l)
{
	struct report r = { 0 };

	sample_free(&l->last);
	forget_exits(l, l->ctx->exits->count);
	judge_blind(&l->judge);
	keep_recording(l, NULL, NULL);
	print_report(l, &r);
}

static void finish_seen(struct loop *l, const struct act_result *act)
{
	struct cycle *c = &l->cycle;
	bool is_told = act->done || act->count;
	struct report r = {
		.model = c->now.model,
		.plan = c->j.plan,
		.act = is_told ? act : NULL,
		.ended = &l->ended.deaths,
		.witness = c->j.plan && c->now.witness && l->last.witness,
		.window = &c->j.window,
		.exits_lost = c->now.exits_lost - l->last.exits_lost,
	};

	if (l->ctx->log) {
		container_exits_record(&l->ended, l->ctx, c->now.model);
		record_sample(l, c->now.model);
	}
	keep_recording(l, &c->seen, is_told ? act : NULL);
	/* The very first sample has nothing to tell. */
	note_slow_disk(l);
	operator_note_problem(l->ctx->operator);
	if (l->number || l->ctx->problem.text[0])
		print_report(l, &r);
	judgement_free(&c->j);
	container_exits_drop_ready(&l->ended);
	forget_exits(l, c->seen.exit_count);
	sample_free(&l->last);
	l->last = c->now;
}

static void cycle_finish(struct loop *l)
{
	struct act_result act = { 0 };
	struct cycle *c = &l->cycle;
	const struct config *config = l->ctx->config;

	c->step = CYCLE_NONE;
	container_exits_give_up(&l->ended);
	act_take_result(l->ctx->act, &act);
	l->last_blind = c->blind;
	if (c->blind && config->cycles && l->number >= config->cycles)
		snprintf(l->failure, sizeof(l->failure), "the last cycle could not see: %.500s",
			 l->ctx->problem.text);
	if (c->blind)
		finish_blind(l);
	else
		finish_seen(l, &act);
	act_result_free(&act);
	*c = (struct cycle){ 0 };
	check_reader(l);
	check_disk(l);
	if (!l->stopped && config->cycles && l->number >= config->cycles)
		l->done(l->done_ctx);
}

static void finish_if_done(struct loop *l)
{
	if (l->cycle.step == CYCLE_ACTING && !l->cycle.acting && !l->cycle.asking)
		cycle_finish(l);
}

static void on_acted(void *ctx)
{
	struct loop *l = ctx;

	l->cycle.acting = false;
	finish_if_done(l);
}

static void on_exits_answered(void *ctx)
{
	struct loop *l = ctx;

	l->cycle.asking = false;
	finish_if_done(l);
}

/* --- evaluate, act --------------------------------------------------------------- */

static void begin_act(struct loop *l)
{
	struct cycle *c = &l->cycle;

	if (*c->j.brake.reason)
		problem_set(&l->ctx->problem, "%s would be passed; %s", c->j.brake.reason,
			    c->j.brake.mode == BRAKE_DISARMED ?
				    "disarmed, nothing is removed any more: SIGUSR2 or 'monitor arm' arms it again" :
				    "armed, it would have disarmed");
	if (!c->j.plan->kills || !c->j.brake.act || c->now.own_err)
		return;
	if (act_is_busy(l->ctx->act)) {
		problem_set(&l->ctx->problem, "the plan waits: the one before is still being carried out");
		return;
	}
	c->acting = true;
	act_begin(l->ctx->act, c->j.plan, c->now.model, on_acted, l);
}

static void tell_no_plan(struct loop *l)
{
	const struct cycle *c = &l->cycle;

	if (c->j.slept)
		problem_set(&l->ctx->problem,
			    "the host was suspended for %.1f s since the last cycle, so usage in this window is unreliable; nothing is removed",
			    (double)(c->now.slept_after_us - l->last.slept_before_us) / 1e6);
	else if (l->last.model)
		problem_set(&l->ctx->problem,
			    "the snapshot does not follow the last one (was the module loaded again?); nothing is removed");
}

/* A cycle that could not see, or is the first to see, decides nothing. */
static void evaluate(struct loop *l)
{
	struct cycle *c = &l->cycle;
	struct judge_sight before = sight(l, &l->last);
	int err;

	c->step = CYCLE_EVALUATING;
	/* By name and image, too, which the list has. */
	act_mark(l->ctx->act, c->now.model);
	c->seen = sight(l, &c->now);
	err = judge_step(&l->judge, &l->ctx->config->policy, &c->seen, l->last.model ? &before : NULL,
			 &c->j);
	if (err)
		problem_set(&l->ctx->problem, "evaluating: %s", strerror(-err));
	else if (c->j.plan)
		begin_act(l);
	else
		tell_no_plan(l);
	operator_mark(l->ctx->operator);
	/* After the act has begun, whose evidence ages while this waits for the runtime. */
	if (c->j.plan)
		c->asking = container_exits_find(&l->ended, l->ctx, l->last.model, c->now.model, &c->j.window,
						 on_exits_answered, l);
	c->step = CYCLE_ACTING;
	finish_if_done(l);
}

/* Whose answer a list is. */
struct list_question {
	struct loop *loop;
	uint64_t number;
};

static void take_list(struct loop *l, const struct runtime_list *list, const char *reason)
{
	size_t unclear = list ? runtime_list_unclear(list) : 0;
	int err = list ? runtime_list_apply(list, l->cycle.now.model) : 0;

	if (!list)
		problem_set(&l->ctx->problem, "%s; nothing is removed", reason);
	else if (err)
		problem_set(&l->ctx->problem, "the runtime's list: %s; nothing is removed", strerror(-err));
	else if (unclear)
		problem_set(&l->ctx->problem,
			    "%zu entries of the runtime's list were not understood; their containers stay",
			    unclear);
	evaluate(l);
}

static void on_list(void *ctx, const struct runtime_list *list, const char *reason)
{
	struct list_question *q = ctx;
	struct loop *l = q->loop;
	bool is_late = q->number != l->list_asked || l->cycle.step != CYCLE_LISTING;

	free(q);
	if (!is_late)
		take_list(l, list, reason);
}

/* Last: it asks another program, which may take its time. */
static void ask_list(struct loop *l)
{
	struct list_question *q = malloc(sizeof(*q));
	long interval_ms = l->ctx->config->interval_s * 1000, timeout_ms = interval_ms * 9 / 10;
	int err = -ENOMEM;

	l->cycle.step = CYCLE_LISTING;
	if (timeout_ms > LIST_TIMEOUT_MS)
		timeout_ms = LIST_TIMEOUT_MS;
	if (q) {
		*q = (struct list_question){ l, ++l->list_asked };
		err = runtime_fetch_list(&l->ctx->runtime, &l->ctx->endpoint, timeout_ms, on_list, q);
	}
	if (!err)
		return;
	free(q);
	take_list(l, NULL, strerror(-err));
}

/* --- begin ----------------------------------------------------------------------- */

static void cycle_begin(struct loop *l)
{
	struct cycle *c = &l->cycle;
	struct operator *o = l->ctx->operator;

	strcpy(c->requests, o->requests);
	memset(o->requests, 0, sizeof(o->requests));
	log_endpoint_refresh(&l->ctx->endpoint);
	c->blind = collect_take(l->ctx, &c->now);
	act_note_exits(l->ctx->act);
	settle(l->ctx->act);
	act_flush(l->ctx->act);
	if (c->blind) {
		operator_mark(o);
		cycle_finish(l);
		return;
	}
	ask_list(l);
}

/*
 * The next cycle: one interval after the beginning of the last, or at once if that has passed.
 * Not periodic: a cycle that took long would be followed by a window of next to nothing.
 * CLOCK_BOOTTIME goes on while the machine sleeps.
 */
static int set_timer(struct loop *l)
{
	int err = sd_event_source_set_time(
		l->timer, l->begin_us + (uint64_t)l->ctx->config->interval_s * 1000000);

	return err < 0 ? err : sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static void begin_next(struct loop *l)
{
	l->begin_us = clock_boottime_us();
	set_timer(l);
	cycle_begin(l);
}

static int on_timer(sd_event_source *source, uint64_t at_us, void *ctx)
{
	struct loop *l = ctx;

	(void)source;
	(void)at_us;
	if (l->cycle.step == CYCLE_LISTING)
		take_list(l, NULL, "no list from the runtime in time");
	if (l->cycle.step != CYCLE_NONE)
		cycle_finish(l);
	if (l->stopped)
		return 0;
	l->number++;
	begin_next(l);
	return 0;
}

/* --- requests -------------------------------------------------------------------- */

/* In a child: files may be on a file system that hangs.  The configuration has no pointers but
 * into argv, which the child has at the same place. */
struct reload_answer {
	bool ok;
	char reason[CONFIG_REASON_SIZE];
	struct config config;
};

static int reload_in_child(void *ctx, int fd)
{
	struct loop *l = ctx;
	struct reload_answer *a = calloc(1, sizeof(*a));
	FILE *out = a ? fdopen(fd, "w") : NULL;

	if (!out)
		return 1;
	a->config = *l->ctx->config;
	a->ok = config_reload(&a->config, a->reason);
	return fwrite(a, sizeof(*a), 1, out) == 1 && !fclose(out) ? 0 : 1;
}

static void on_reloaded(void *ctx, int status, const char *out, size_t out_len, const char *err)
{
	struct loop *l = ctx;
	struct reload_answer a;

	(void)err;
	l->reloading = false;
	if (status || out_len != sizeof(a)) {
		log_line("not reloaded, and the old configuration stays: %s",
			 status == -ETIMEDOUT ? "its files can't be read in time" :
						"the child that read it failed");
		return;
	}
	memcpy(&a, out, sizeof(a));
	if (!a.ok) {
		log_line("not reloaded, and the old configuration stays: %s", a.reason);
		return;
	}
	/* The cycle under way rests on the policy that it began with: it is the same object. */
	if (l->cycle.step != CYCLE_NONE)
		cycle_finish(l);
	*l->ctx->config = a.config;
	if (*a.reason)
		log_line("reloaded; but these need a restart: %s", a.reason);
	else
		log_line("reloaded");
	if (!l->stopped)
		set_timer(l);
}

static void reload(struct loop *l)
{
	if (l->reloading)
		return;
	l->reloading = !process_call(l->ctx->event, reload_in_child, l, RELOAD_TIMEOUT_MS, on_reloaded, l,
				     NULL);
	if (!l->reloading)
		log_line("not reloaded, and the old configuration stays: no process to read it");
}

void loop_requested(struct loop *l)
{
	struct operator *o = l->ctx->operator;

	if (o->reload && !l->stopped) {
		o->reload = false;
		reload(l);
	}
	act_call_off(l->ctx->act);
}

/* --- from outside ---------------------------------------------------------------- */

int loop_new(struct context *ctx, void (*done)(void *ctx), void *done_ctx, struct loop **ret,
	     char *reason)
{
	struct loop *l = calloc(1, sizeof(*l));
	int err;

	snprintf(reason, LOOP_REASON_SIZE, "no memory");
	if (!l)
		return -ENOMEM;
	l->ctx = ctx;
	l->done = done;
	l->done_ctx = done_ctx;
	l->judge.brake.mode = ctx->config->dry_run ? BRAKE_DRY_RUN : BRAKE_ARMED;
	err = sd_event_add_time(ctx->event, &l->timer, CLOCK_BOOTTIME, 0, ACCURACY_US, on_timer, l);
	if (err >= 0)
		err = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	if (err < 0)
		snprintf(reason, LOOP_REASON_SIZE, "no timer: %s", strerror(-err));
	if (err < 0) {
		loop_free(l);
		return err;
	}
	*ret = l;
	return 0;
}

void loop_record(struct loop *l, struct recorder *recorder)
{
	l->recorder = recorder;
}

void loop_tell_recording(struct loop *l)
{
	char reason[RECORDER_REASON_SIZE];

	if (l->recorder && recorder_take_problem(l->recorder, reason))
		log_line("%s", reason);
}

size_t loop_recording_pending(const struct loop *l)
{
	return l->recorder ? recorder_pending(l->recorder) : 0;
}

struct brake *loop_brake(struct loop *l)
{
	return &l->judge.brake;
}

int loop_start(struct loop *l)
{
	/* The first sample only begins a window. */
	begin_next(l);
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
	sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	if (l->cycle.step == CYCLE_LISTING)
		take_list(l, NULL, "the monitor ends");
	if (l->cycle.step != CYCLE_NONE)
		cycle_finish(l);
}

void loop_status(const struct loop *l, cJSON *answer)
{
	const struct act *a = l->ctx->act;
	uint64_t now_us = clock_boottime_us();
	cJSON *open = cJSON_AddArrayToObject(answer, "open");
	size_t n;

	cJSON_AddNumberToObject(answer, "cycle", (double)l->number);
	cJSON_AddNumberToObject(answer, "interval_s", (double)l->ctx->config->interval_s);
	cJSON_AddNumberToObject(answer, "since_cycle_s", (double)(now_us - l->begin_us) / 1e6);
	cJSON_AddBoolToObject(answer, "sees", !l->last_blind);
	cJSON_AddBoolToObject(answer, "witness", l->ctx->witness != NULL);
	for (n = 0; n < a->intents.count; n++) {
		const struct intent *i = a->intents.list[n];
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "id", i->id);
		cJSON_AddStringToObject(o, "name", i->name);
		cJSON_AddBoolToObject(o, "dying", i->dying);
		cJSON_AddItemToArray(open, o);
	}
}

const char *loop_failure(const struct loop *l)
{
	return *l->failure ? l->failure : NULL;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	sd_event_source_disable_unref(l->timer);
	sample_free(&l->cycle.now);
	sample_free(&l->last);
	container_exits_free(&l->ended);
	judge_forget(&l->judge);
	recorder_close(l->recorder);
	free(l);
}
