// SPDX-License-Identifier: GPL-2.0
#include "userspace/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "userspace/act.h"
#include "userspace/io/clock.h"
#include "userspace/report.h"
#include "userspace/view.h"

struct loop {
	const struct setup *setup;
	struct view last;
	struct view_exits exits;
	struct trouble trouble;
	bool blind;			/* the last cycle could not see */
	long cycle;
};

/* What the plan points into. */
struct judgement {
	enum class *classes;
	struct reconcile_books *books;
	struct plan *plan;
};

static void judgement_free(struct judgement *j)
{
	free(j->classes);
	free(j->books);
	plan_free(j->plan);
}

static int judge(struct loop *l, const struct view *now, struct judgement *j)
{
	const struct config *config = l->setup->config;
	const struct view *last = &l->last;
	const struct model *m = now->model;
	const struct reconcile_witness witness_now = { now->sums, now->sum_count };
	const struct reconcile_witness witness_then = { last->sums, last->sum_count };
	bool witness = now->witness && last->witness;
	int err;

	j->classes = calloc(m->container_count + 1, sizeof(*j->classes));
	j->books = calloc(m->container_count + 1, sizeof(*j->books));
	if (!j->classes || !j->books)
		return -ENOMEM;
	err = classify(m, &config->classify, j->classes);
	if (err)
		return err;
	/* While the sources were read one after the other, every CPU may have run it. */
	reconcile(m, last->model, witness ? &witness_now : NULL, witness ? &witness_then : NULL,
		  l->exits.list, l->exits.count, (now->skew_us + last->skew_us) * m->cpus,
		  &config->reconcile, j->books);
	return decide(m, j->classes, j->books, &config->decide, &j->plan);
}

static void print_report(struct loop *l, struct report *r)
{
	r->unix_ms = clock_unix_ms();
	r->cycle = l->cycle;
	r->config = l->setup->config;
	r->trouble = l->trouble.text[0] ? l->trouble.text : NULL;
	server_client_status(l->setup->client, &r->server);
	(r->config->json ? report_json : report_text)(r, stdout);
}

/* A cycle that could not see, or is the first to see, decides nothing. */
static void cycle(struct loop *l)
{
	struct kill_victim *victims = NULL;
	struct judgement j = { 0 };
	struct report r = { 0 };
	struct view now;
	int err;

	l->trouble.text[0] = '\0';
	r.waiting = spool_waiting(l->setup->spool);
	err = view_take(l->setup, &l->exits, &now, &l->trouble);
	l->blind = err;
	if (err) {
		view_free(&l->last);
		view_forget_exits(&l->exits, UINT64_MAX);
		print_report(l, &r);
		return;
	}
	model_compare(now.model, l->last.model);
	act_record_sample(l->setup, now.model, &l->trouble);
	r.model = now.model;
	if (now.model->window_us) {
		err = judge(l, &now, &j);
		if (err) {
			trouble_set(&l->trouble, "deciding: %s", strerror(-err));
		} else {
			victims = calloc(j.plan->kills + 1, sizeof(*victims));
			r.plan = j.plan;
			r.victims = victims;
			if (victims && j.plan->kills &&
			    act_carry_out(l->setup, j.plan, now.model, victims, &l->trouble))
				r.victim_count = j.plan->kills;
		}
		r.witness = now.witness && l->last.witness;
		r.exits = l->exits.count;
		r.exits_lost = now.exits_lost - l->last.exits_lost;
	} else if (l->last.model) {
		trouble_set(&l->trouble,
			    "the snapshot does not follow the last one (module loaded anew?); nothing is removed");
	}
	server_client_kick(l->setup->client);
	/* The very first look has nothing to say. */
	if (l->cycle || l->trouble.text[0])
		print_report(l, &r);
	free(victims);
	judgement_free(&j);
	view_forget_exits(&l->exits, now.model->boot_time_us);
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

/* A look, and the timer set for the next. */
static int timed_cycle(struct loop *l, int timer)
{
	uint64_t begin_us = clock_boottime_us();

	cycle(l);
	return arm(timer, begin_us + (uint64_t)l->setup->config->interval_s * 1000000);
}

int loop_run(const struct setup *setup, char *reason)
{
	const struct config *config = setup->config;
	struct loop l = { .setup = setup };
	struct pollfd fds[3];
	uint64_t ticks;
	int timer, err;

	timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
	if (timer < 0) {
		err = -errno;
		snprintf(reason, LOOP_REASON_SIZE, "no timer: %s", strerror(-err));
		return err;
	}
	fds[0] = (struct pollfd){ .fd = setup->signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = timer, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = setup->witness ? witness_fd(setup->witness) : -1,
				  .events = POLLIN };
	/* The first look only begins a window. */
	err = timed_cycle(&l, timer);
	while (!err && (!config->cycles || l.cycle < config->cycles)) {
		if (poll(fds, 3, -1) < 0) {
			err = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (fds[0].revents)
			break;
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
	free(l.exits.list);
	return err;
}

