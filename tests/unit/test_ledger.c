// SPDX-License-Identifier: GPL-2.0
/*
 * The ledger, played the windows of tests/fixtures/ledger, whose README says what each
 * line means.
 */
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/unit.h"
#include "userspace/core/ledger.h"

#define FIXTURES "tests/fixtures/ledger/*.txt"
#define MOST 4096

static const struct reconcile_policy policy = { .tolerance_permille = 50, .tolerance_us = 1000 };

/* All that is seen at one moment. */
struct moment {
	struct snapshot snapshot;
	struct snapshot_process processes[MOST];
	char paths[MOST][80];
	struct {
		uint64_t cgroup_id, us, oom_kills;
		bool has_oom;
	} cpus[MOST];
	size_t cpu_count;
	struct ledger_sum sums[MOST];
	struct ledger_reading reading;
	bool witness;
	struct model *model;
};

struct story {
	const char *file;
	int line;
	struct ledger ledger;
	struct moment moments[2], *now, *last;
	char instance[16];
	uint64_t sequence;
	bool closed;
	struct reconcile_books books[MOST];
	struct ledger_window window;
	size_t ends_told;
};

static struct story story;

static char *next_word(void)
{
	return strtok(NULL, " \t\n");
}

static uint64_t next_number(void)
{
	const char *word = next_word();

	if (!word)
		fail_msg("%s:%d: a number is missing", story.file, story.line);
	return strtoull(word, NULL, 10);
}

static void container_of(uint64_t cgroup_id, char *id)
{
	snprintf(id, 65, "%064" PRIx64, cgroup_id);
}

static void read_exit(void)
{
	struct ledger_exit ev = { 0 };
	const char *word;

	ev.pid = (uint32_t)next_number();
	ev.start_us = next_number();
	ev.exit_us = next_number();
	ev.cpu_us = next_number();
	ev.container_cgroup_id = next_number();
	while ((word = next_word())) {
		ev.init |= !strcmp(word, "init");
		ev.oom |= !strcmp(word, "oom");
		if (!strcmp(word, "code"))
			ev.exit_code = (int16_t)next_number();
		if (!strcmp(word, "killer"))
			ev.killer_pid = (uint32_t)next_number();
		if (!strcmp(word, "signal")) {
			ev.signal = (uint8_t)next_number();
			ev.exit_code = -1;
		}
	}
	ledger_note(&story.ledger, &ev);
}

static void read_process(void)
{
	struct snapshot *s = &story.now->snapshot;
	struct snapshot_process *p = &story.now->processes[s->process_count];
	char *path = story.now->paths[s->process_count++];
	const char *state;

	assert_true(s->process_count <= MOST);
	*p = (struct snapshot_process){ .name = "x", .runtime = "docker" };
	p->pid = (uint32_t)next_number();
	p->start_us = next_number();
	p->cpu_us = next_number();
	strcpy(path, "/docker/");
	container_of(next_number(), path + strlen(path));
	p->cgroup = path;
	p->container_id = path + strlen("/docker/");
	state = next_word();
	p->state = state ? *state : 'S';
}

static void read_sum(void)
{
	struct ledger_sum *sum = &story.now->sums[story.now->reading.sum_count++];
	const char *word;

	assert_true(story.now->reading.sum_count <= MOST);
	*sum = (struct ledger_sum){ .container_cgroup_id = next_number() };
	container_of(sum->container_cgroup_id, sum->id);
	sum->cpu_us = next_number();
	sum->exits = next_number();
	while ((word = next_word())) {
		sum->removed |= !strcmp(word, "removed");
		if (!strcmp(word, "oom"))
			sum->oom_exits = next_number();
		if (!strcmp(word, "lost")) {
			sum->exits_lost = next_number();
			sum->lost_us = next_number();
		}
		if (!strcmp(word, "tails"))
			sum->tails_us = next_number();
	}
}

static void read_witness(void)
{
	story.now->witness = true;
	story.now->reading.since_us = next_number();
	if (next_word())
		story.now->reading.unplaced = next_number();
}

static void free_moment(struct moment *m)
{
	model_free(m->model);
	memset(m, 0, sizeof(*m));
}

/* The moment's lines are all read: the window that ends with it is closed. */
static void close_moment(void)
{
	struct moment *now = story.now, *last = story.last;
	size_t i;

	if (!now || story.closed)
		return;
	now->snapshot.processes = now->processes;
	now->reading.sums = now->sums;
	assert_int_equal(model_new(&now->snapshot, &now->model), 0);
	for (i = 0; i < now->cpu_count; i++) {
		struct model_container *c;
		char id[65];

		container_of(now->cpus[i].cgroup_id, id);
		c = model_find(now->model, id);
		if (c)
			c->cgroup = (struct model_cgroup){ .known = true, .has_cpu = true,
							   .inode = now->cpus[i].cgroup_id,
							   .cpu_us = now->cpus[i].us, .has_oom = now->cpus[i].has_oom,
							   .oom_kills = now->cpus[i].oom_kills };
	}
	model_compare(now->model, last ? last->model : NULL);
	ledger_window_free(&story.window);
	memset(&story.window, 0, sizeof(story.window));
	if (!now->model->window_us) {
		ledger_begin(&story.ledger, now->model);
	} else {
		assert_int_equal(ledger_close(&story.ledger, now->model, last->model,
					      now->witness ? &now->reading : NULL,
					      last->witness ? &last->reading : NULL, story.books,
					      &story.window), 0);
		for (i = 0; i < now->model->container_count; i++)
			reconcile(&story.books[i], 0, &policy);
	}
	story.closed = true;
}

/* Every end that there was has been told of. */
static void end_moment(void)
{
	if (!story.now)
		return;
	close_moment();
	if (story.ends_told != story.window.end_count)
		fail_msg("%s:%d: before this, %zu containers ended instead of %zu", story.file,
			 story.line, story.window.end_count, story.ends_told);
	story.ends_told = 0;
}

static void begin_moment(void)
{
	end_moment();
	if (story.last)
		free_moment(story.last);
	story.last = story.now;
	story.now = story.last == &story.moments[0] ? &story.moments[1] : &story.moments[0];
	story.closed = false;
	story.now->snapshot.instance = story.instance;
	story.now->snapshot.sequence = ++story.sequence;
	story.now->snapshot.boot_time_us = next_number();
	story.now->snapshot.cpus = 2;
}

static void check(const char *what, const char *key, int64_t got, const char *wanted)
{
	if (got != strtoll(wanted, NULL, 10))
		fail_msg("%s:%d: %s: %s is %" PRId64 " instead of %s", story.file, story.line, what, key,
			 got, wanted);
}

static void check_books(void)
{
	const struct reconcile_books *b;
	const struct model_container *c;
	char id[65], *key;

	close_moment();
	container_of(next_number(), id);
	c = model_find(story.now->model, id);
	assert_non_null(c);
	b = &story.books[c - story.now->model->containers];
	while ((key = next_word())) {
		const char *wanted = next_word();

		if (!strcmp(key, "verdict"))
			assert_string_equal(reconcile_verdict_name(b->verdict), wanted);
		else if (!strcmp(key, "odd"))
			assert_string_equal(reconcile_source_name(b->odd), wanted);
#define NUMBER(name, member)							\
		else if (!strcmp(key, name))					\
			check("books", key, (int64_t)(member), wanted)
		NUMBER("module", b->module_us);
		NUMBER("exited", b->exited_us);
		NUMBER("dark", b->dark_us);
		NUMBER("skew", b->skew_us);
		NUMBER("joined", b->joined_us);
		NUMBER("lost", b->lost_us);
		NUMBER("scheduler", b->scheduler_us);
		NUMBER("cgroup", b->cgroup_us);
		NUMBER("apart", b->apart_us);
		NUMBER("exits", b->exits);
		NUMBER("exits_lost", b->exits_lost);
		NUMBER("oom_exits", b->oom_exits);
		NUMBER("oom_kills", b->oom_kills);
		NUMBER("explained", reconcile_explained(b, true));
		NUMBER("alone", reconcile_explained(b, false));
		else
			fail_msg("%s:%d: no such key: %s", story.file, story.line, key);
	}
}

static void check_window(void)
{
	const struct ledger_window *w = &story.window;
	char *key;

	close_moment();
	while ((key = next_word())) {
		const char *wanted = next_word();

		if (!strcmp(key, "deaths"))
			check("window", key, (int64_t)w->deaths, wanted);
		NUMBER("unexplained", w->unexplained);
		NUMBER("lost", w->lost);
		NUMBER("undead", w->undead);
		NUMBER("vanished", w->vanished[0].pid);
		else
			fail_msg("%s:%d: no such key: %s", story.file, story.line, key);
	}
}

static void check_end(void)
{
	uint64_t cgroup_id = next_number();
	const struct ledger_end *end = NULL;
	char *key;
	size_t i;

	close_moment();
	story.ends_told++;
	for (i = 0; i < story.window.end_count; i++)
		if (story.window.ends[i].cgroup_id == cgroup_id)
			end = &story.window.ends[i];
	if (!end)
		fail_msg("%s:%d: it did not end", story.file, story.line);
	while ((key = next_word())) {
		const char *wanted = next_word();

		if (!strcmp(key, "brief"))
			check("end", key, end->brief, wanted);
		NUMBER("status", end->has_status);
		NUMBER("code", end->exit_code);
		NUMBER("signal", end->signal);
		NUMBER("killer", end->killer_pid);
		NUMBER("oom", end->oom);
		NUMBER("cpu", end->cpu_us);
		NUMBER("exits", end->exits);
		else
			fail_msg("%s:%d: no such key: %s", story.file, story.line, key);
	}
}

static void play_line(char *line)
{
	const char *word = strtok(line, " \t\n");
	size_t n;

	if (!word || *word == '#')
		return;
	/* Deaths that follow a moment are noted after it. */
	if (!strcmp(word, "exit")) {
		end_moment();
		read_exit();
	} else if (!strcmp(word, "snapshot")) {
		begin_moment();
	} else if (!strcmp(word, "process")) {
		read_process();
	} else if (!strcmp(word, "cpu")) {
		n = story.now->cpu_count++;
		story.now->cpus[n].cgroup_id = next_number();
		story.now->cpus[n].us = next_number();
		story.now->cpus[n].has_oom = next_word();
		if (story.now->cpus[n].has_oom)
			story.now->cpus[n].oom_kills = next_number();
	} else if (!strcmp(word, "sum")) {
		read_sum();
	} else if (!strcmp(word, "witness")) {
		read_witness();
	} else if (!strcmp(word, "reload")) {
		end_moment();
		strcat(story.instance, "+");
	} else if (!strcmp(word, "books")) {
		check_books();
	} else if (!strcmp(word, "window")) {
		check_window();
	} else if (!strcmp(word, "end")) {
		check_end();
	} else {
		fail_msg("%s:%d: no such line: %s", story.file, story.line, word);
	}
}

static void play(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];

	assert_non_null(f);
	memset(&story, 0, sizeof(story));
	story.file = path;
	strcpy(story.instance, "i");
	while (fgets(line, sizeof(line), f)) {
		story.line++;
		play_line(line);
	}
	end_moment();
	assert_true(story.sequence >= 2);
	fclose(f);
	free_moment(&story.moments[0]);
	free_moment(&story.moments[1]);
	ledger_window_free(&story.window);
	ledger_forget(&story.ledger);
}

static void stories(void **state)
{
	glob_t found;
	size_t i;

	(void)state;
	assert_int_equal(glob(FIXTURES, 0, NULL, &found), 0);
	assert_true(found.gl_pathc > 10);
	for (i = 0; i < found.gl_pathc; i++)
		play(found.gl_pathv[i]);
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stories),
	};

	return RUN(tests);
}
