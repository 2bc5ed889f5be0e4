// SPDX-License-Identifier: GPL-2.0
#include "userspace/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "userspace/act.h"
#include "userspace/core/judge.h"
#include "userspace/ended.h"
#include "userspace/io/clock.h"
#include "userspace/recorder.h"
#include "userspace/report.h"
#include "userspace/say.h"
#include "userspace/view.h"

#define NOT_MARKED "the next start would not know that it is %s: the spool %s: %s"

struct loop {
	struct setup *setup;
	struct view last;
	struct view_exits exits;
	struct ended ended;
	struct judge judge;
	struct recorder *recorder;	/* NULL: nothing is recorded */
	char hand[LOOK_HAND_MAX + 1];	/* see struct look; since the last look */
	char hand_before[LOOK_HAND_MAX + 1];	/* of this look */
	struct trouble trouble;
	enum { MARK_UNKNOWN, MARK_ARMED, MARK_DISARMED } mark;	/* in the spool */
	bool unmarked_said;
	bool blind;			/* the last cycle could not see */
	bool ending;
	bool reload;
	long cycle;
	uint64_t begin_us;		/* of the last look */
};

static struct judge_sight sight(const struct loop *l, const struct view *v)
{
	return (struct judge_sight){
		.model = v->model,
		.witness = v->witness,
		.reading = v->reading,
		.exits = l->exits.list,
		.exit_count = l->exits.count,
		.skew_us = v->skew_us,
		.slept_before_us = v->slept_before_us,
		.slept_after_us = v->slept_after_us,
	};
}

static void print_report(struct loop *l, struct report *r)
{
	r->unix_ms = clock_unix_ms();
	r->cycle = l->cycle;
	r->config = l->setup->config;
	r->brake = &l->judge.brake;
	r->trouble = l->trouble.text[0] ? l->trouble.text : NULL;
	if (l->setup->client)
		server_client_status(l->setup->client, &r->server);
	if (r->config->command != CONFIG_EXPLAIN)
		(r->config->json ? report_json : report_text)(r, stdout);
	else if (l->cycle == r->config->cycles)
		(r->config->json ? report_json : report_explain)(r, stdout);
}

/*
 * Who starts the monitor again has not seen why it was disarmed, nor armed it: what
 * disarmed it stands, until a hand takes it away.
 */
static void start_as_left(struct loop *l)
{
	char why[BRAKE_REASON_SIZE];
	int err;

	if (!l->setup->spool || l->judge.brake.mode == BRAKE_DRY_RUN)
		return;
	err = spool_disarmed(l->setup->spool, why, sizeof(why));
	if (err == -ENOENT) {
		l->mark = MARK_ARMED;
		return;
	}
	if (err)
		snprintf(why, sizeof(why), "whether it was disarmed can't be read from the spool: %s",
			 strerror(-err));
	brake_disarm(&l->judge.brake, why);
	l->mark = err ? MARK_UNKNOWN : MARK_DISARMED;
	say("disarmed before this start: %s; nothing is removed until SIGUSR1 arms again", why);
}

/* What fails may have been done by half: tried again in each cycle. */
static void mark_mode(struct loop *l)
{
	const struct brake *b = &l->judge.brake;
	bool disarmed = b->mode == BRAKE_DISARMED;
	int err;

	if (!l->setup->spool || b->mode == BRAKE_DRY_RUN ||
	    l->mark == (disarmed ? MARK_DISARMED : MARK_ARMED))
		return;
	err = disarmed ? spool_disarm(l->setup->spool, b->why) : spool_arm(l->setup->spool);
	if (!err) {
		l->mark = disarmed ? MARK_DISARMED : MARK_ARMED;
		l->unmarked_said = false;
		return;
	}
	l->mark = MARK_UNKNOWN;
	trouble_set(&l->trouble, NOT_MARKED, brake_mode_name(b->mode), l->setup->config->spool,
		    strerror(-err));
	/* Of all that is wrong, a report tells one thing; and there may be no more report. */
	if (!l->unmarked_said)
		say(NOT_MARKED, brake_mode_name(b->mode), l->setup->config->spool, strerror(-err));
	l->unmarked_said = true;
}

static void toggle(struct loop *l)
{
	struct brake *b = &l->judge.brake;
	size_t n = strlen(l->hand);

	/* In this cycle there is no room for more: what came before counts for the replay. */
	if (b->mode != BRAKE_DRY_RUN && n < LOOK_HAND_MAX)
		l->hand[n] = b->mode == BRAKE_DISARMED ? 'A' : 'D';
	if (b->mode == BRAKE_DISARMED)
		brake_arm(b);
	else
		brake_disarm(b, "by hand (SIGUSR1)");
	l->unmarked_said = false;
	mark_mode(l);
	say("%s%s", brake_mode_name(b->mode),
	    b->mode == BRAKE_ARMED	? " again (SIGUSR1)" :
	    b->mode == BRAKE_DISARMED	? " (SIGUSR1): nothing is removed until the next one" :
					  " it stays, whatever SIGUSR1 says");
}

static void take_wishes(struct loop *l)
{
	enum signals_wish wish;

	while ((wish = signals_next(&l->setup->signals)) != SIGNALS_NONE) {
		l->ending |= wish == SIGNALS_END;
		l->reload |= wish == SIGNALS_RELOAD;
		if (wish == SIGNALS_TOGGLE)
			toggle(l);
	}
}

static void reload(struct loop *l)
{
	struct config *config = l->setup->config;
	char reason[CONFIG_REASON_SIZE];

	l->reload = false;
	if (!config_reload(config, reason))
		say("not reloaded, and the old configuration stays: %s", reason);
	else if (*reason)
		say("reloaded; but these need a restart: %s", reason);
	else
		say("reloaded");
}

/* Nobody has called it off by now.  A dry run can't be. */
static bool is_still_wished(void *ctx)
{
	struct loop *l = ctx;

	take_wishes(l);
	return !l->ending && l->judge.brake.mode != BRAKE_DISARMED;
}

/* After the act, and of a cycle without sight (@seen is NULL) too. */
static void keep(struct loop *l, const struct judge_sight *seen, const struct judgement *g,
		 const struct report *r)
{
	struct recorder_cycle c = {
		.look = { .unix_ms = clock_unix_ms(), .cycle = (uint64_t)l->cycle, .seen = seen },
		.judgement = g,
		.brake = &l->judge.brake,
		.act = r->act,
	};
	char reason[RECORDER_REASON_SIZE];

	if (!l->recorder)
		return;
	if (seen) {
		c.look.sight = *seen;
		/* The act may have made the list longer, and moved it. */
		c.look.sight.exits = l->exits.list;
	}
	strcpy(c.look.hand, l->hand_before);
	if (recorder_keep(l->recorder, &c, reason))
		trouble_set(&l->trouble, "%s", reason);
}

static void forget_exits(struct loop *l, size_t count)
{
	view_forget_exits(&l->exits, count);
	act_forget_noted(l->setup->act, count);
}

/* A cycle that could not see, or is the first to see, decides nothing. */
static void cycle(struct loop *l)
{
	const struct act_consent consent = { is_still_wished, l };
	struct act_result result = { 0 };
	struct judge_sight seen, before = sight(l, &l->last);
	struct judgement j;
	struct report r = { 0 };
	struct view now;
	int err;

	l->trouble.text[0] = '\0';
	strcpy(l->hand_before, l->hand);
	memset(l->hand, 0, sizeof(l->hand));
	if (l->setup->spool)
		r.waiting = spool_waiting(l->setup->spool);
	door_look(&l->setup->door);
	err = view_take(l->setup, &l->exits, &now, &l->trouble);
	act_note(l->setup->act, &l->exits);
	act_settle(l->setup->act, l->setup, l->judge.brake.mode == BRAKE_ARMED, &l->trouble);
	l->blind = err;
	if (err) {
		view_free(&l->last);
		forget_exits(l, l->exits.count);
		judge_blind(&l->judge);
		mark_mode(l);
		keep(l, NULL, NULL, &r);
		print_report(l, &r);
		return;
	}
	act_mark(l->setup->act, now.model);
	seen = sight(l, &now);
	err = judge_step(&l->judge, &l->setup->config->policy, &seen, l->last.model ? &before : NULL, &j);
	r.model = now.model;
	if (err) {
		trouble_set(&l->trouble, "deciding: %s", strerror(-err));
	} else if (j.plan) {
		r.plan = j.plan;
		if (*j.brake.reason)
			trouble_set(&l->trouble, "%s would be passed; %s", j.brake.reason,
				    j.brake.mode == BRAKE_DISARMED ?
					    "disarmed, nothing is removed any more: SIGUSR1 arms again" :
					    "armed, it would have disarmed");
		if (j.plan->kills && j.brake.act && is_still_wished(l))
			act_carry_out(l->setup->act, l->setup, j.plan, now.model, &consent, &l->exits,
				      &result, &l->trouble);
		if (result.done) {
			r.act = &result;
			r.victim_count = j.plan->kills;
		}
		r.witness = now.witness && l->last.witness;
		r.window = &j.window;
		r.exits_lost = now.exits_lost - l->last.exits_lost;
	} else if (j.slept) {
		trouble_set(&l->trouble,
			    "the machine slept for %.1f s since the last look, so what was used in it says little; nothing is removed",
			    (double)(now.slept_after_us - l->last.slept_before_us) / 1e6);
	} else if (l->last.model) {
		trouble_set(&l->trouble,
			    "the snapshot does not follow the last one (module loaded anew?); nothing is removed");
	}
	mark_mode(l);
	/* After the act, whose evidence ages while this waits for the runtime and the disk. */
	if (j.plan)
		ended_look(&l->ended, l->setup, l->last.model, now.model, &j.window, &l->exits, &l->trouble);
	r.ended = &l->ended;
	if (l->setup->spool)
		ended_record(&l->ended, l->setup, now.model, &l->trouble);
	if (l->setup->spool)
		act_record_sample(l->setup, now.model, &l->trouble);
	keep(l, &seen, &j, &r);
	if (l->setup->client)
		server_client_kick(l->setup->client);
	/* The very first look has nothing to say. */
	if (l->cycle || l->trouble.text[0])
		print_report(l, &r);
	act_result_free(&result);
	judgement_free(&j);
	ended_drop_ready(&l->ended);
	forget_exits(l, seen.exit_count);
	view_free(&l->last);
	l->last = now;
}

/*
 * The next look: one interval after the beginning of the last, or at once if that has
 * passed.  Not periodic: a cycle that took long would be followed by a window of next to
 * nothing.  CLOCK_BOOTTIME goes on while the machine sleeps.
 */
static int arm(int timer, uint64_t at_us)
{
	const struct itimerspec spec = {
		.it_value.tv_sec = (time_t)(at_us / 1000000),
		.it_value.tv_nsec = (long)(at_us % 1000000) * 1000,
	};

	return timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL) ? -errno : 0;
}

static int arm_next(const struct loop *l, int timer)
{
	return arm(timer, l->begin_us + (uint64_t)l->setup->config->interval_s * 1000000);
}

/* A look, and the timer set for the next. */
static int timed_cycle(struct loop *l, int timer)
{
	l->begin_us = clock_boottime_us();
	cycle(l);
	return arm_next(l, timer);
}

int loop_run(struct setup *setup, char *reason)
{
	const struct config *config = setup->config;
	struct loop l = {
		.setup = setup,
		.judge.brake.mode = config->dry_run ? BRAKE_DRY_RUN : BRAKE_ARMED,
	};
	struct pollfd fds[3];
	uint64_t ticks;
	int timer, err;

	timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
	if (timer < 0) {
		err = -errno;
		snprintf(reason, LOOP_REASON_SIZE, "no timer: %s", strerror(-err));
		return err;
	}
	fds[0] = (struct pollfd){ .fd = setup->signals.fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = timer, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = setup->witness ? witness_fd(setup->witness) : -1,
				  .events = POLLIN };
	if (*config->record) {
		err = recorder_open(setup, &l.recorder, reason);
		if (err) {
			close(timer);
			return err;
		}
	}
	start_as_left(&l);
	/* The first look only begins a window. */
	err = timed_cycle(&l, timer);
	while (!err && !l.ending && (!config->cycles || l.cycle < config->cycles)) {
		if (poll(fds, 3, -1) < 0) {
			err = errno == EINTR ? 0 : -errno;
			continue;
		}
		take_wishes(&l);
		if (l.ending)
			break;
		if (l.reload) {
			reload(&l);
			err = arm_next(&l, timer);
			continue;
		}
		if (fds[2].revents)
			view_drain(setup, &l.exits, &l.trouble);
		if (fds[1].revents && read(timer, &ticks, sizeof(ticks)) == sizeof(ticks)) {
			l.cycle++;
			err = timed_cycle(&l, timer);
		}
	}
	if (err) {
		snprintf(reason, LOOP_REASON_SIZE, "the loop: %s", strerror(-err));
	} else if (config->cycles && l.cycle == config->cycles && l.blind) {
		err = -EIO;
		snprintf(reason, LOOP_REASON_SIZE, "the last cycle could not see: %.500s", l.trouble.text);
	}
	close(timer);
	view_free(&l.last);
	view_exits_free(&l.exits);
	ended_forget(&l.ended);
	judge_forget(&l.judge);
	recorder_close(l.recorder);
	return err;
}

