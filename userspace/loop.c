// SPDX-License-Identifier: GPL-2.0
#include "userspace/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "userspace/core/record.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/file.h"
#include "userspace/io/kill.h"
#include "userspace/io/runtime.h"
#include "userspace/io/self.h"
#include "userspace/io/snapshot_read.h"
#include "userspace/report.h"

/* The log server takes at most 1000 records and 1 MiB at once; one of ours has 1 KiB. */
#define BATCH_RECORDS 500
/* Removing ten containers takes a loaded, emulated machine 20 s. */
#define REMOVE_TIMEOUT_MS 60000

/* What was seen at one moment: the model, and the witness's sums beside it. */
struct view {
	struct model *model;
	struct reconcile_sum *sums;
	size_t sum_count;
	uint64_t exits_lost;
	uint64_t skew_us;	/* from the snapshot until all was read */
	bool witness;
};

struct loop {
	const struct loop_setup *setup;
	kill_fn *kill;
	char host[65];
	char boot_id[64];
	struct view last;
	struct reconcile_exit *exits;	/* not yet in a window that was compared */
	size_t exit_count, exit_room;
	long cycle;
	char trouble[LOOP_REASON_SIZE];
};

static int64_t unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t boottime_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void set_trouble(struct loop *l, const char *what, int err)
{
	if (!l->trouble[0])
		snprintf(l->trouble, sizeof(l->trouble), "%s: %s", what, strerror(-err));
}

static void view_free(struct view *v)
{
	model_free(v->model);
	free(v->sums);
	memset(v, 0, sizeof(*v));
}

/* --- seeing ------------------------------------------------------------------- */

static int note_exit(void *ctx, const struct witness_exit *ev)
{
	struct loop *l = ctx;

	if (l->exit_count == l->exit_room) {
		size_t room = l->exit_room ? 2 * l->exit_room : 1024;
		struct reconcile_exit *more = realloc(l->exits, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->exits = more;
		l->exit_room = room;
	}
	l->exits[l->exit_count++] = (struct reconcile_exit){
		.container_cgroup_id = ev->container_cgroup_id,
		.pid = ev->pid,
		.start_us = ev->start_us,
		.exit_us = ev->exit_us,
		.cpu_us = ev->cpu_us,
	};
	return 0;
}

static void drain(struct loop *l)
{
	int err = witness_drain(l->setup->witness, note_exit, l);

	if (err < 0)
		set_trouble(l, "the witness's events", err);
}

/* Exits of windows that are over. */
static void forget_exits(struct loop *l, uint64_t until_us)
{
	size_t i, n = 0;

	for (i = 0; i < l->exit_count; i++)
		if (l->exits[i].exit_us > until_us)
			l->exits[n++] = l->exits[i];
	l->exit_count = n;
}

static int see_witness(struct loop *l, struct view *v)
{
	struct witness_drops drops;
	struct witness_cpu *rows;
	size_t i, count;
	int err;

	drain(l);
	err = witness_read_cpu(l->setup->witness, &rows, &count);
	if (err)
		return err;
	v->sums = calloc(count + 1, sizeof(*v->sums));
	if (!v->sums) {
		free(rows);
		return -ENOMEM;
	}
	for (i = 0; i < count; i++)
		v->sums[i] = (struct reconcile_sum){
			.container_cgroup_id = rows[i].container_cgroup_id,
			.cpu_us = rows[i].cpu_us,
			.exits_lost = rows[i].exits_lost,
		};
	v->sum_count = count;
	free(rows);
	err = witness_read_drops(l->setup->witness, &drops);
	if (err)
		return err;
	v->exits_lost = drops.ring_full + drops.unplaced;
	v->witness = true;
	return 0;
}

/* Reads everything as close in time to the snapshot as can be; the runtime comes last. */
static int see(struct loop *l, struct view *ret)
{
	const struct loop_setup *s = l->setup;
	char reason[SNAPSHOT_READ_REASON_SIZE], runtime_reason[RUNTIME_REASON_SIZE];
	struct snapshot *snapshot;
	struct view v = { 0 };
	size_t i;
	int err;

	err = snapshot_read(s->config->snapshot, &snapshot, reason);
	if (err) {
		snprintf(l->trouble, sizeof(l->trouble), "%s", reason);
		return err;
	}
	err = model_new(snapshot, &v.model);
	snapshot_free(snapshot);
	if (err)
		return err;
	for (i = 0; i < v.model->container_count; i++) {
		struct model_container *c = &v.model->containers[i];

		cgroup_read(s->cgroup_root, c->path, &c->cgroup);
	}
	if (s->witness) {
		err = see_witness(l, &v);
		if (err)
			set_trouble(l, "the witness", err);
	}
	v.skew_us = boottime_us() - v.model->boot_time_us;
	self_mark(v.model);
	if (runtime_list(s->runtime_socket, v.model, runtime_reason) && !l->trouble[0])
		snprintf(l->trouble, sizeof(l->trouble), "%s; nothing is removed", runtime_reason);
	*ret = v;
	return 0;
}

/* --- deciding ----------------------------------------------------------------- */

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
		  l->exits, l->exit_count, (now->skew_us + last->skew_us) * m->cpus,
		  &config->reconcile, j->books);
	return decide(m, j->classes, j->books, &config->decide, &j->plan);
}

/* --- acting and recording ----------------------------------------------------- */

static int put_records(struct loop *l, enum spool_kind kind, cJSON *records)
{
	int err = 0;

	while (!err && cJSON_GetArraySize(records)) {
		cJSON *batch = cJSON_CreateArray();
		char *text;
		int n;

		for (n = 0; n < BATCH_RECORDS && cJSON_GetArraySize(records); n++)
			cJSON_AddItemToArray(batch, cJSON_DetachItemFromArray(records, 0));
		text = cJSON_PrintUnformatted(batch);
		err = text ? spool_put(l->setup->spool, kind, text) : -ENOMEM;
		cJSON_free(text);
		cJSON_Delete(batch);
	}
	return err;
}

static struct record_origin origin(const struct loop *l, const struct model *m)
{
	return (struct record_origin){
		.host = l->host,
		.boot_id = l->boot_id,
		.instance = m->instance,
		.sequence = m->sequence,
	};
}

/* The victims of a plan, and the intents in the same order. */
static int choose_victims(const struct loop *l, const struct plan *plan, const struct model *m,
			  struct kill_victim *victims, cJSON *intents)
{
	const struct record_origin from = origin(l, m);
	size_t i, n = 0;

	for (i = 0; i < plan->count; i++) {
		const struct decision *d = &plan->decisions[i];
		cJSON *intent;

		if (d->rule != RULE_SURPLUS)
			continue;
		intent = record_intent(&from, d, unix_ms());
		if (!intent)
			return -ENOMEM;
		cJSON_AddItemToArray(intents, intent);
		victims[n++] = (struct kill_victim){
			.id = d->container->id,
			.path = d->container->path,
			.inode = d->container->cgroup.inode,
		};
	}
	return 0;
}

/* Those that were killed become records; the others leave the list. */
static int complete_records(cJSON *intents, const struct kill_victim *victims, size_t count)
{
	size_t i;
	int index = 0;

	for (i = 0; i < count; i++) {
		const struct kill_victim *v = &victims[i];
		const struct record_death death = {
			.verified = v->outcome == KILL_VERIFIED,
			.latency_ms = v->latency_ms,
		};

		if (v->outcome == KILL_VERIFIED || v->outcome == KILL_UNVERIFIED) {
			if (record_complete(cJSON_GetArrayItem(intents, index++), &death, unix_ms()))
				return -ENOMEM;
		} else {
			cJSON_DeleteItemFromArray(intents, index);
		}
	}
	return 0;
}

/* Intent on disk, then the act, then its record on disk, then the intent may go. */
static int act(struct loop *l, const struct plan *plan, const struct model *m,
	       struct kill_victim *victims)
{
	const struct loop_setup *s = l->setup;
	const struct kill_options options = {
		.cgroup_root = s->cgroup_root,
		.runtime_socket = s->runtime_socket,
		.timeout_ms = REMOVE_TIMEOUT_MS,
	};
	cJSON *intents = cJSON_CreateArray();
	char *text = NULL;
	int err;

	err = intents ? choose_victims(l, plan, m, victims, intents) : -ENOMEM;
	if (err)
		goto out;
	text = cJSON_PrintUnformatted(intents);
	err = text ? spool_intend(s->spool, text) : -ENOMEM;
	if (err) {
		set_trouble(l, "the intent could not be written, so nothing is removed", err);
		goto out;
	}
	err = l->kill(&options, victims, plan->kills);
	if (!err)
		err = complete_records(intents, victims, plan->kills);
	if (!err)
		err = put_records(l, SPOOL_KILLS, intents);
	if (!err)
		err = spool_intent_done(s->spool);
	if (err)
		set_trouble(l, "the act and its record", err);
out:
	cJSON_free(text);
	cJSON_Delete(intents);
	return err;
}

static void record_sample(struct loop *l, const struct model *m)
{
	const struct record_origin from = origin(l, m);
	cJSON *list = cJSON_CreateArray(), *sample = record_memory(&from, m, unix_ms());
	int err = -ENOMEM;

	if (list && sample) {
		cJSON_AddItemToArray(list, sample);
		sample = NULL;
		err = put_records(l, SPOOL_MEMORY, list);
	}
	if (err)
		set_trouble(l, "a memory sample is not kept", err);
	cJSON_Delete(sample);
	cJSON_Delete(list);
}

/* --- the cycle ---------------------------------------------------------------- */

static void print_report(struct loop *l, struct report *r)
{
	r->unix_ms = unix_ms();
	r->cycle = l->cycle;
	r->config = l->setup->config;
	r->trouble = l->trouble[0] ? l->trouble : NULL;
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

	l->trouble[0] = '\0';
	r.waiting = spool_waiting(l->setup->spool);
	err = see(l, &now);
	if (err) {
		set_trouble(l, "this cycle", err);
		view_free(&l->last);
		print_report(l, &r);
		return;
	}
	model_compare(now.model, l->last.model);
	record_sample(l, now.model);
	r.model = now.model;
	if (now.model->window_us) {
		err = judge(l, &now, &j);
		if (err) {
			set_trouble(l, "deciding", err);
		} else {
			victims = calloc(j.plan->kills + 1, sizeof(*victims));
			if (victims && j.plan->kills)
				act(l, j.plan, now.model, victims);
			r.plan = j.plan;
			r.victims = victims;
			r.victim_count = victims ? j.plan->kills : 0;
		}
		r.witness = now.witness && l->last.witness;
		r.exits = l->exit_count;
		r.exits_lost = now.exits_lost - l->last.exits_lost;
	} else if (l->last.model) {
		snprintf(l->trouble, sizeof(l->trouble),
			 "the snapshot does not follow the last one (module loaded anew?); nothing is removed");
	}
	server_client_kick(l->setup->client);
	if (r.plan || l->trouble[0])
		print_report(l, &r);
	free(victims);
	judgement_free(&j);
	forget_exits(l, now.model->boot_time_us);
	view_free(&l->last);
	l->last = now;
}

static void read_identity(struct loop *l)
{
	size_t len;
	char *text;

	if (gethostname(l->host, sizeof(l->host) - 1) || !l->host[0])
		strcpy(l->host, "unknown");
	strcpy(l->boot_id, "unknown");
	if (!file_read_all(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 63, &text, &len)) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(l->boot_id, sizeof(l->boot_id), "%s", text);
		free(text);
	}
}

static int start_timer(long interval_s)
{
	const struct itimerspec spec = {
		.it_interval.tv_sec = interval_s,
		.it_value.tv_sec = interval_s,
	};
	int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL)) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		return err;
	}
	return fd;
}

int loop_run(const struct loop_setup *setup, char *reason)
{
	const struct config *config = setup->config;
	struct loop l = {
		.setup = setup,
		.kill = config->dry_run ? kill_dry : kill_for_real,
	};
	struct pollfd fds[3];
	uint64_t ticks;
	int timer, err = 0;

	read_identity(&l);
	timer = start_timer(config->interval_s);
	if (timer < 0) {
		snprintf(reason, LOOP_REASON_SIZE, "no timer: %s", strerror(-timer));
		return timer;
	}
	fds[0] = (struct pollfd){ .fd = setup->signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = timer, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = setup->witness ? witness_fd(setup->witness) : -1,
				  .events = POLLIN };
	/* The first look only begins a window. */
	cycle(&l);
	while (!config->cycles || l.cycle < config->cycles) {
		if (poll(fds, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			err = -errno;
			snprintf(reason, LOOP_REASON_SIZE, "poll: %s", strerror(-err));
			break;
		}
		if (fds[0].revents)
			break;
		if (fds[2].revents)
			drain(&l);
		if (fds[1].revents && read(timer, &ticks, sizeof(ticks)) == sizeof(ticks)) {
			l.cycle++;
			cycle(&l);
		}
	}
	close(timer);
	view_free(&l.last);
	free(l.exits);
	return err;
}

/* --- after a crash ------------------------------------------------------------ */

/* Is the container that an intent names alive still? */
static bool lives(const struct loop_setup *setup, const cJSON *intent)
{
	const char *path = cJSON_GetStringValue(cJSON_GetObjectItem(intent, "cgroup"));
	double id = cJSON_GetNumberValue(cJSON_GetObjectItem(intent, "cgroup_id"));
	uint64_t inode;
	bool populated;
	int fd;

	if (!path || cgroup_open(setup->cgroup_root, path, &fd, &inode))
		return false;
	populated = (double)inode == id && cgroup_populated(fd) == 1;
	close(fd);
	return populated;
}

int loop_recover(const struct loop_setup *setup)
{
	struct loop l = { .setup = setup };
	const struct record_death death = { .verified = false };
	cJSON *intents, *item, *next;
	char *text;
	int err;

	err = spool_intended(setup->spool, &text);
	if (err)
		return err == -ENOENT ? 0 : err;
	intents = cJSON_Parse(text);
	free(text);
	for (item = intents ? intents->child : NULL; !err && item; item = next) {
		next = item->next;
		if (lives(setup, item))
			cJSON_Delete(cJSON_DetachItemViaPointer(intents, item));
		else
			err = record_complete(item, &death, unix_ms());
	}
	if (!err && intents)
		err = put_records(&l, SPOOL_KILLS, intents);
	if (!err)
		err = spool_intent_done(setup->spool);
	cJSON_Delete(intents);
	return err;
}
