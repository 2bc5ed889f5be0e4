// SPDX-License-Identifier: GPL-2.0
#include "userspace/control/operator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "userspace/config.h"
#include "userspace/control/control.h"
#include "userspace/deliver/spool.h"
#include "userspace/host/log.h"

#define NOT_MARKED "the next start would not know that it is %s: the spool %s: %s"

static void note_request(struct operator *o, char request)
{
	size_t n = strlen(o->requests);

	/* In this cycle there is no room for more: what came before counts for the replay. */
	if (n < LOOK_HAND_MAX)
		o->requests[n] = request;
}

static void tell_unmarked(struct operator *o)
{
	const char *mode = brake_mode_name(o->brake->mode);

	if (!o->mark_told)
		log_line(NOT_MARKED, mode, o->ctx->config->spool, strerror(-o->mark_err));
	o->mark_told = true;
}

void operator_note_problem(const struct operator *o)
{
	if (o->mark_err && !operator_is_marked(o))
		problem_set(&o->ctx->problem, NOT_MARKED, brake_mode_name(o->brake->mode),
			    o->ctx->config->spool, strerror(-o->mark_err));
}

static void on_marked(struct operator *o, int err, bool armed)
{
	o->marking = false;
	o->mark_err = err;
	if (err) {
		/* It may have been done by half. */
		o->mark = MARK_UNKNOWN;
		tell_unmarked(o);
	} else {
		o->mark = armed ? MARK_ARMED : MARK_DISARMED;
		o->mark_told = false;
		/* It may have changed meanwhile. */
		operator_mark(o);
	}
	if (o->control)
		control_answer_waiting(o->control);
}

static void on_marked_armed(void *ctx, int err)
{
	on_marked(ctx, err, true);
}

static void on_marked_disarmed(void *ctx, int err)
{
	on_marked(ctx, err, false);
}

bool operator_is_marked(const struct operator *o)
{
	if (!o->ctx->spool || o->brake->mode == BRAKE_DRY_RUN)
		return true;
	return o->mark == (o->brake->mode == BRAKE_DISARMED ? MARK_DISARMED : MARK_ARMED);
}

void operator_mark(struct operator *o)
{
	bool armed = o->brake->mode == BRAKE_ARMED;
	int err;

	if (o->marking || operator_is_marked(o))
		return;
	o->mark = MARK_UNKNOWN;
	o->marking = true;
	err = spool_mark(o->ctx->spool, armed, o->brake->why, armed ? on_marked_armed : on_marked_disarmed,
			 o);
	if (err)
		on_marked(o, err, armed);
}

void operator_start_mode(struct operator *o, bool armed, const char *why)
{
	if (armed) {
		o->mark = MARK_ARMED;
		return;
	}
	o->mark = MARK_DISARMED;
	brake_disarm(o->brake, *why ? why : "by an earlier monitor, which left no reason");
	if (o->brake->mode == BRAKE_DISARMED)
		log_line("disarmed before this start: %s; nothing is removed until SIGUSR2 or 'monitor arm' arms it",
			 o->brake->why);
}

static void changed(struct operator *o)
{
	o->mark_told = false;
	operator_mark(o);
	operator_notify(o);
}

void operator_notify(struct operator *o)
{
	if (o->notify)
		sd_event_source_set_enabled(o->notify, SD_EVENT_ONESHOT);
}

static int on_notify(sd_event_source *source, void *ctx)
{
	struct operator *o = ctx;

	(void)source;
	if (o->changed)
		o->changed(o->changed_ctx);
	return 0;
}

void operator_disarm(struct operator *o, const char *by)
{
	char why[BRAKE_REASON_SIZE];

	if (o->brake->mode == BRAKE_DRY_RUN) {
		log_line("%s: a dry run removes nothing in any case", by);
		return;
	}
	if (o->brake->mode == BRAKE_DISARMED) {
		log_line("%s: it is disarmed already: %s", by, o->brake->why);
		return;
	}
	note_request(o, 'D');
	snprintf(why, sizeof(why), "by hand (%s)", by);
	brake_disarm(o->brake, why);
	log_line("disarmed (%s): nothing is removed until SIGUSR2 or 'monitor arm' arms it", by);
	changed(o);
}

void operator_arm(struct operator *o, const char *by)
{
	if (o->brake->mode == BRAKE_DRY_RUN) {
		log_line("%s: it stays a dry run; start it without --dry-run", by);
		return;
	}
	if (o->brake->mode == BRAKE_ARMED) {
		log_line("%s: it is armed already", by);
		return;
	}
	note_request(o, 'A');
	brake_arm(o->brake);
	log_line("armed (%s)", by);
	changed(o);
}

/*
 * Nobody can tell which of a waiting signal and a waiting request was sent first: a signal to
 * arm comes before, and one to disarm after all others.
 */
static void handle_requests(struct operator *o)
{
	bool arm = false, disarm = false;
	enum signals_request request;

	while ((request = signals_next(&o->signals)) != SIGNALS_NONE) {
		arm |= request == SIGNALS_ARM;
		disarm |= request == SIGNALS_DISARM;
		o->ending |= request == SIGNALS_END;
		o->reload |= request == SIGNALS_RELOAD;
		operator_notify(o);
	}
	if (arm)
		operator_arm(o, "SIGUSR2");
	if (o->control)
		control_poll(o->control);
	if (disarm)
		operator_disarm(o, "SIGUSR1");
}

bool operator_should_continue(struct operator *o)
{
	handle_requests(o);
	return !o->ending && o->brake->mode != BRAKE_DISARMED;
}

static int on_signal(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	(void)source;
	(void)fd;
	(void)events;
	handle_requests(ctx);
	return 0;
}

int operator_open(struct operator *o)
{
	return signals_open(&o->signals);
}

int operator_attach(struct operator *o, sd_event *event)
{
	sd_event_source *source;
	int err = sd_event_add_io(event, &source, o->signals.fd, EPOLLIN, on_signal, o);

	if (err < 0)
		return err;
	/* Before all else that is ready at the same time. */
	sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
	err = sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
	if (err >= 0)
		err = sd_event_add_defer(event, &o->notify, on_notify, o);
	if (err < 0)
		return err;
	sd_event_source_set_priority(o->notify, SD_EVENT_PRIORITY_IMPORTANT);
	return sd_event_source_set_enabled(o->notify, SD_EVENT_OFF);
}

void operator_close(struct operator *o)
{
	control_free(o->control);
	o->control = NULL;
	signals_close(&o->signals);
}
