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

/* The log server takes at most 1000 records and 1 MiB at once; one of ours is below 4 KiB. */
#define BATCH_RECORDS 200
/* Deaths of one window that are kept, 40 bytes each; what is beyond counts as lost. */
#define EXITS_MAX 1000000
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
	char host[65];
	char boot_id[64];
	struct view last;
	struct reconcile_exit *exits;	/* not yet in a window that was compared */
	size_t exit_count, exit_room;
	uint64_t exits_dropped;		/* beyond EXITS_MAX, or there was no memory */
	bool blind;			/* the last cycle could not see */
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
		struct reconcile_exit *more = NULL;

		if (room <= EXITS_MAX)
			more = realloc(l->exits, room * sizeof(*more));
		if (!more) {
			l->exits_dropped++;
			return 0;
		}
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
		};
	v->sum_count = count;
	free(rows);
	err = witness_read_drops(l->setup->witness, &drops);
	if (err)
		return err;
	v->exits_lost = drops.ring_full + drops.unplaced + l->exits_dropped;
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
	uint64_t now_us;
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
	now_us = boottime_us();
	if (now_us < v.model->boot_time_us) {
		snprintf(l->trouble, sizeof(l->trouble), "the snapshot %.400s is from the future; nothing is removed",
			 s->config->snapshot);
		view_free(&v);
		return -EBADMSG;
	}
	v.skew_us = now_us - v.model->boot_time_us;
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

static int put_records(struct spool *spool, enum spool_kind kind, cJSON *records)
{
	int err = 0;

	while (!err && cJSON_GetArraySize(records)) {
		cJSON *batch = cJSON_CreateArray();
		char *text;
		int n;

		for (n = 0; n < BATCH_RECORDS && cJSON_GetArraySize(records); n++)
			cJSON_AddItemToArray(batch, cJSON_DetachItemFromArray(records, 0));
		text = cJSON_PrintUnformatted(batch);
		err = text ? spool_put(spool, kind, text) : -ENOMEM;
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

/* Evidence that is older than the interval (the machine slept, or we were stopped) is none. */
static bool is_stale(struct loop *l, const struct model *m)
{
	uint64_t age_us = boottime_us() - m->boot_time_us;

	if (age_us <= (uint64_t)l->setup->config->interval_s * 1000000)
		return false;
	snprintf(l->trouble, sizeof(l->trouble),
		 "the snapshot is %.1f s old by now; nothing is removed", (double)age_us / 1e6);
	return true;
}

/* Intent on disk, then the act, then its record on disk, then the intent may go. */
static bool act(struct loop *l, const struct plan *plan, const struct model *m,
		struct kill_victim *victims)
{
	const struct loop_setup *s = l->setup;
	const struct kill_options options = {
		.cgroup_root = s->cgroup_root,
		.runtime_socket = s->runtime_socket,
		.timeout_ms = REMOVE_TIMEOUT_MS,
	};
	cJSON *intents = cJSON_CreateArray();
	bool acted = false;
	char *text = NULL;
	int err;

	err = intents ? choose_victims(l, plan, m, victims, intents) : -ENOMEM;
	if (err) {
		set_trouble(l, "the plan", err);
		goto out;
	}
	if (s->config->dry_run) {
		kill_dry(victims, plan->kills);
		acted = true;
		goto out;
	}
	err = loop_recover(s);
	if (err == -EBADMSG) {
		set_trouble(l, "earlier intents are put aside in the spool", err);
	} else if (err) {
		set_trouble(l, err == -EAGAIN ? "earlier victims are still on their way out; nothing is removed" :
						"earlier intents are not resolved, so nothing is removed", err);
		goto out;
	}
	text = cJSON_PrintUnformatted(intents);
	err = text ? spool_intend(s->spool, text) : -ENOMEM;
	if (err) {
		set_trouble(l, "the intent could not be written, so nothing is removed", err);
		goto out;
	}
	if (is_stale(l, m)) {
		spool_intent_done(s->spool);
		goto out;
	}
	kill_for_real(&options, victims, plan->kills);
	acted = true;
	err = complete_records(intents, victims, plan->kills);
	if (!err)
		err = put_records(l->setup->spool, SPOOL_KILLS, intents);
	if (!err)
		err = spool_intent_done(s->spool);
	if (err)
		set_trouble(l, "the record of the act, which is told again from its intent", err);
out:
	cJSON_free(text);
	cJSON_Delete(intents);
	return acted;
}

static void record_sample(struct loop *l, const struct model *m)
{
	const struct record_origin from = origin(l, m);
	cJSON *list = cJSON_CreateArray(), *sample = record_memory(&from, m, unix_ms());
	int err = -ENOMEM;

	if (list && sample) {
		cJSON_AddItemToArray(list, sample);
		sample = NULL;
		err = put_records(l->setup->spool, SPOOL_MEMORY, list);
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
	l->blind = err;
	if (err) {
		set_trouble(l, "this cycle", err);
		view_free(&l->last);
		forget_exits(l, UINT64_MAX);
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
			r.plan = j.plan;
			r.victims = victims;
			if (victims && j.plan->kills && act(l, j.plan, now.model, victims))
				r.victim_count = j.plan->kills;
		}
		r.witness = now.witness && l->last.witness;
		r.exits = l->exit_count;
		r.exits_lost = now.exits_lost - l->last.exits_lost;
	} else if (l->last.model) {
		snprintf(l->trouble, sizeof(l->trouble),
			 "the snapshot does not follow the last one (module loaded anew?); nothing is removed");
	}
	server_client_kick(l->setup->client);
	/* The very first look has nothing to say. */
	if (l->cycle || l->trouble[0])
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
	uint64_t begin_us = boottime_us();

	cycle(l);
	return arm(timer, begin_us + (uint64_t)l->setup->config->interval_s * 1000000);
}

int loop_run(const struct loop_setup *setup, char *reason)
{
	const struct config *config = setup->config;
	struct loop l = { .setup = setup };
	struct pollfd fds[3];
	uint64_t ticks;
	int timer, err;

	read_identity(&l);
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
			drain(&l);
		if (fds[1].revents && read(timer, &ticks, sizeof(ticks)) == sizeof(ticks)) {
			l.cycle++;
			err = timed_cycle(&l, timer);
		}
	}
	if (err) {
		snprintf(reason, LOOP_REASON_SIZE, "the loop: %s", strerror(-err));
	} else if (config->cycles && l.cycle == config->cycles && l.blind) {
		err = -EIO;
		snprintf(reason, LOOP_REASON_SIZE, "the last cycle could not see: %.500s", l.trouble);
	}
	close(timer);
	view_free(&l.last);
	free(l.exits);
	return err;
}

/* --- after a crash ------------------------------------------------------------ */

enum fate {
	FATE_DEAD,	/* its group is gone or empty */
	FATE_ALIVE,
	FATE_UNKNOWN,	/* it was in another boot, or can't be looked at */
};

static enum fate look_up(const struct loop_setup *setup, const cJSON *intent, const char *boot_id)
{
	const char *path = cJSON_GetStringValue(cJSON_GetObjectItem(intent, RECORD_CGROUP));
	const char *boot = cJSON_GetStringValue(cJSON_GetObjectItem(intent, "boot_id"));
	double id = cJSON_GetNumberValue(cJSON_GetObjectItem(intent, RECORD_CGROUP_ID));
	int group, events, populated = -ENODEV, err;
	uint64_t inode;

	if (!path || !boot || strcmp(boot, boot_id))
		return FATE_UNKNOWN;
	err = cgroup_open(setup->cgroup_root, path, &group, &inode);
	if (err)
		return err == -ENOENT ? FATE_DEAD : FATE_UNKNOWN;
	if ((double)inode == id) {
		events = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
		populated = events < 0 ? -errno : cgroup_populated(events);
		if (events >= 0)
			close(events);
	}
	close(group);
	if (populated == 1)
		return FATE_ALIVE;
	return populated == 0 || populated == -ENODEV || populated == -ENOENT ? FATE_DEAD : FATE_UNKNOWN;
}

/*
 * What was told to die and lives may be in the runtime's hands still, for as long as a
 * removal may take; after that it has survived.
 */
static bool is_pending(const cJSON *intent)
{
	double at = cJSON_GetNumberValue(cJSON_GetObjectItem(intent, RECORD_INTENDED_MS));
	double age = (double)unix_ms() - at;

	return age >= 0 && age < REMOVE_TIMEOUT_MS;
}

static int resolve(const struct loop_setup *setup, cJSON *intents)
{
	/* Dead it is, but by whose hand was not seen. */
	const struct record_death death = { .verified = false, .latency_ms = -1 };
	struct loop here = { .setup = setup };
	cJSON *item, *next;

	read_identity(&here);
	for (item = intents->child; item; item = next) {
		enum fate fate = look_up(setup, item, here.boot_id);

		next = item->next;
		if (fate == FATE_ALIVE && is_pending(item))
			return -EAGAIN;
		if (fate != FATE_DEAD)
			cJSON_Delete(cJSON_DetachItemViaPointer(intents, item));
		else if (record_complete(item, &death, unix_ms()))
			return -ENOMEM;
	}
	return put_records(setup->spool, SPOOL_KILLS, intents);
}

int loop_recover(const struct loop_setup *setup)
{
	cJSON *intents;
	char *text;
	int err;

	err = spool_intended(setup->spool, &text);
	if (err)
		return err == -ENOENT ? 0 : err;
	intents = cJSON_Parse(text);
	free(text);
	if (!cJSON_IsArray(intents)) {
		cJSON_Delete(intents);
		err = spool_intent_broken(setup->spool);
		return err ? err : -EBADMSG;
	}
	err = resolve(setup, intents);
	if (!err)
		err = spool_intent_done(setup->spool);
	cJSON_Delete(intents);
	return err;
}
