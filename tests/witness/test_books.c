// SPDX-License-Identifier: GPL-2.0
/*
 * The ledger on the running kernel: real processes, the real witness, cgroups as they are,
 * and a collector that plays the module by /proc, so that it runs where no module can be
 * loaded.  Needs root and BPF; skips without.
 *
 * test_books [--own-machine | --record FILE | --storm]
 *	--own-machine: it may set kernel.pid_max
 *	--record: write windows of a storm as tests/fixtures/ledger wants them
 *	--storm: a container with a storm, whose id is printed, until standard input ends
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/witness/bed.h"
#include "userspace/core/ledger.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/witness.h"

/* What the daemon has by default. */
static const struct reconcile_policy policy = { .tolerance_permille = 50, .tolerance_us = 20000 };

/* What is asked of a storm; what comes of it, the machine decides, and is printed. */
#define STORM_PER_S 5000

/* /proc tells a start by the tick, so the witness's are cut to the same. */
#define TICK_US 10000

#define PROCESSES_MAX 65536

static int tests, failed;
static FILE *record;

static void ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void ok(bool good, const char *format, ...)
{
	char name[512];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	tests++;
	failed += !good;
	printf("%sok %d - %s: %s\n", good ? "" : "not ", tests, bed_release(), name);
	fflush(stdout);
}

/* --- seeing -------------------------------------------------------------------- */

/* All sources at one moment. */
struct view {
	struct model *model;
	struct ledger_sum *sums;
	struct ledger_reading reading;
	uint64_t skew_us;
};

struct watch {
	struct witness *witness;
	struct ledger ledger;
	struct view last;
	uint64_t sequence;
	int root;
	/* Of the last window. */
	struct reconcile_books *books;
	struct ledger_window window;
	double seconds;
};

static void write_record(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void write_record(const char *format, ...)
{
	va_list args;

	if (!record)
		return;
	va_start(args, format);
	vfprintf(record, format, args);
	va_end(args);
}

static int note_exit(void *ctx, const struct witness_exit *ev)
{
	struct watch *w = ctx;
	const struct ledger_exit exit = {
		.container_cgroup_id = ev->container_cgroup_id,
		.pid = ev->pid,
		.killer_pid = ev->killer_pid,
		.start_us = ev->start_us / TICK_US * TICK_US,
		.exit_us = ev->exit_us,
		.cpu_us = ev->cpu_us - ev->tails_us,
		.exit_code = (int16_t)ev->exit_code,
		.signal = (uint8_t)ev->signal,
		.oom = ev->oom,
		.init = ev->init,
	};

	ledger_note(&w->ledger, &exit);
	write_record("exit %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "%s signal %d\n", exit.pid,
		     exit.start_us, exit.exit_us, exit.cpu_us, exit.container_cgroup_id,
		     exit.init ? " init" : "", exit.signal);
	return 0;
}

static void drain(struct watch *w)
{
	if (witness_drain(w->witness, note_exit, w) < 0)
		bed_die("witness_drain");
}

/* Return: false if it is gone by now. */
static bool read_process(pid_t pid, struct snapshot_process *ret)
{
	char file[64], line[1024], *rest;
	unsigned long long ticks;
	struct timespec cpu;
	clockid_t clock;
	bool good = false;
	FILE *f;

	snprintf(file, sizeof(file), "/proc/%d/stat", pid);
	f = fopen(file, "re");
	if (f && fgets(line, sizeof(line), f) && (rest = strrchr(line, ')')))
		good = sscanf(rest + 2, "%c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			      "%*d %*d %*d %llu", &ret->state, &ticks) == 2;
	if (f)
		fclose(f);
	/* The whole process's, dead threads too, as the scheduler counts it. */
	if (!good || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &cpu))
		return false;
	ret->pid = (uint32_t)pid;
	ret->name = "";
	ret->runtime = "docker";
	ret->start_us = ticks * TICK_US;
	ret->cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
	return true;
}

struct collector {
	struct snapshot snapshot;
	char (*paths)[700];	/* of the processes' cgroups */
	char (*ids)[65];
};

/* The processes of a container's cgroup and those below it. */
static void collect(struct collector *c, const char *path, const char *id)
{
	char file[1400];
	struct dirent *entry;
	DIR *dir;
	FILE *f;
	int pid;

	snprintf(file, sizeof(file), "%s%s/cgroup.procs", bed_cgroup_root, path);
	f = fopen(file, "re");
	while (f && c->snapshot.process_count < PROCESSES_MAX && fscanf(f, "%d", &pid) == 1) {
		size_t n = c->snapshot.process_count;

		if (!read_process(pid, &c->snapshot.processes[n]))
			continue;
		snprintf(c->paths[n], sizeof(*c->paths), "%s", path);
		snprintf(c->ids[n], sizeof(*c->ids), "%s", id);
		c->snapshot.processes[n].cgroup = c->paths[n];
		c->snapshot.processes[n].container_id = c->ids[n];
		c->snapshot.process_count++;
	}
	if (f)
		fclose(f);
	snprintf(file, sizeof(file), "%s%s", bed_cgroup_root, path);
	dir = opendir(file);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		collect(c, file, strcmp(path, "/docker") ? id : entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static struct view take_view(struct watch *w)
{
	static struct collector c;
	struct witness_drops drops;
	struct witness_cpu *rows;
	struct view v = { 0 };
	size_t i, count;

	if (!c.paths) {
		c.paths = calloc(PROCESSES_MAX, sizeof(*c.paths));
		c.ids = calloc(PROCESSES_MAX, sizeof(*c.ids));
		c.snapshot.processes = calloc(PROCESSES_MAX, sizeof(*c.snapshot.processes));
	}
	c.snapshot.process_count = 0;
	c.snapshot.instance = "/proc";
	c.snapshot.sequence = ++w->sequence;
	c.snapshot.cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	c.snapshot.boot_time_us = bed_now_us(CLOCK_BOOTTIME);
	collect(&c, "/docker", "");
	if (model_new(&c.snapshot, &v.model))
		bed_die("model_new");
	for (i = 0; i < v.model->container_count; i++)
		cgroup_read(w->root, v.model->containers[i].path, &v.model->containers[i].cgroup);
	drain(w);
	if (witness_read_cpu(w->witness, &rows, &count) ||
	    witness_read_drops(w->witness, &drops))
		bed_die("reading the witness");
	v.sums = calloc(count + 1, sizeof(*v.sums));
	for (i = 0; i < count; i++) {
		v.sums[i] = (struct ledger_sum){
			.container_cgroup_id = rows[i].container_cgroup_id,
			.cpu_us = rows[i].cpu_us,
			.exits = rows[i].exits,
			.exits_lost = rows[i].exits_lost,
			.lost_us = rows[i].lost_us,
			.tails_us = rows[i].tails_us,
			.oom_exits = rows[i].oom_exits,
			.removed = rows[i].removed,
		};
		snprintf(v.sums[i].id, sizeof(v.sums[i].id), "%s", rows[i].container_id);
	}
	free(rows);
	v.reading = (struct ledger_reading){ .since_us = witness_since_us(w->witness),
					     .sums = v.sums, .sum_count = count,
					     .unplaced = drops.unplaced };
	v.skew_us = bed_now_us(CLOCK_BOOTTIME) - v.model->boot_time_us;
	return v;
}

static void record_view(const struct view *v)
{
	size_t i;

	write_record("snapshot %" PRIu64 "\nwitness %" PRIu64 " unplaced %" PRIu64 "\n",
		     v->model->boot_time_us, v->reading.since_us, v->reading.unplaced);
	for (i = 0; i < v->model->process_count; i++) {
		const struct model_process *p = &v->model->processes[i];

		write_record("process %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %c\n", p->pid, p->start_us,
			     p->cpu_us, v->model->containers[p->container].cgroup.inode, p->state);
	}
	for (i = 0; i < v->model->container_count; i++)
		write_record("cpu %" PRIu64 " %" PRIu64 "\n", v->model->containers[i].cgroup.inode,
			     v->model->containers[i].cgroup.cpu_us);
	for (i = 0; i < v->reading.sum_count; i++)
		write_record("sum %" PRIu64 " %" PRIu64 " %" PRIu64 " lost %" PRIu64 " %" PRIu64
			     " tails %" PRIu64 "%s\n",
			     v->sums[i].container_cgroup_id, v->sums[i].cpu_us, v->sums[i].exits,
			     v->sums[i].exits_lost, v->sums[i].lost_us, v->sums[i].tails_us,
			     v->sums[i].removed ? " removed" : "");
}

static void free_view(struct view *v)
{
	model_free(v->model);
	free(v->sums);
}

static struct watch begin(uint32_t ring_bytes)
{
	struct witness_options options = { .cgroup_root = bed_cgroup_root, .ring_bytes = ring_bytes };
	char reason[WITNESS_REASON_SIZE];
	struct watch w = { 0 };

	if (witness_open(&options, &w.witness, reason, sizeof(reason))) {
		printf("Bail out! %s: %s\n", bed_release(), reason);
		exit(1);
	}
	if (cgroup_root_open(bed_cgroup_root, &w.root))
		bed_die(bed_cgroup_root);
	return w;
}

static void first_look(struct watch *w)
{
	w->last = take_view(w);
	ledger_begin(&w->ledger, w->last.model);
	record_view(&w->last);
}

static void end(struct watch *w)
{
	free_view(&w->last);
	free(w->books);
	ledger_window_free(&w->window);
	ledger_forget(&w->ledger);
	close(w->root);
	witness_close(w->witness);
}

/* A window of so many ms, the events taken in as the daemon does; then its books. */
static void look(struct watch *w, int ms, bool attend)
{
	uint64_t until = bed_now_us(CLOCK_MONOTONIC) + (uint64_t)ms * 1000, now, skew_us;
	struct pollfd p = { .fd = witness_fd(w->witness), .events = POLLIN };
	struct view v;
	size_t i;

	while ((now = bed_now_us(CLOCK_MONOTONIC)) < until) {
		if (poll(attend ? &p : NULL, attend, (int)((until - now) / 1000) + 1) > 0)
			drain(w);
	}
	v = take_view(w);
	record_view(&v);
	model_compare(v.model, w->last.model);
	free(w->books);
	ledger_window_free(&w->window);
	w->books = calloc(v.model->container_count + 1, sizeof(*w->books));
	if (ledger_close(&w->ledger, v.model, w->last.model, &v.reading, &w->last.reading, w->books,
			 &w->window))
		bed_die("ledger_close");
	skew_us = (v.skew_us + w->last.skew_us) * v.model->cpus;
	for (i = 0; i < v.model->container_count; i++)
		reconcile(&w->books[i], skew_us, &policy);
	w->seconds = (double)v.model->window_us / 1e6;
	free_view(&w->last);
	w->last = v;
}

/* Of the last window; zeroes if it was not in it. */
static struct reconcile_books books_of(const struct watch *w, const struct bed_cgroup *cg)
{
	size_t i;

	for (i = 0; i < w->last.model->container_count; i++)
		if (w->last.model->containers[i].cgroup.inode == cg->id)
			return w->books[i];
	return (struct reconcile_books){ 0 };
}

/* --- storms -------------------------------------------------------------------- */

enum link {
	LINK_FORK,	/* forks the next, and exits */
	LINK_EXEC,	/* likewise, and the next executes this program anew */
	LINK_THREAD,	/* forks the next, lets three threads work, and exits */
};

/* What the links of a chain share. */
struct chain {
	struct timespec begin;
	double per_s;
	uint64_t links;
	int memory;
};

static void *work_a_little(void *arg)
{
	volatile unsigned int n = 0;

	while (n < 20000)
		n++;
	return arg;
}

static void work_in_threads(void)
{
	pthread_t threads[3];

	for (size_t i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, work_a_little, NULL))
			_exit(1);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* Not before its time, for the whole chain's rate. */
static void wait_turn(struct chain *c)
{
	uint64_t n = __atomic_add_fetch(&c->links, 1, __ATOMIC_RELAXED);
	double at = (double)c->begin.tv_nsec / 1e9 + (double)n / c->per_s;
	const struct timespec when = { c->begin.tv_sec + (time_t)at,
				       (long)((at - (double)(time_t)at) * 1e9) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

/* Never returns: it is some other process in every turn. */
static void run_link(struct chain *c, enum link kind, int memory)
{
	char kind_text[16], memory_text[16];

	for (;;) {
		pid_t pid;

		wait_turn(c);
		pid = fork();
		if (pid < 0)
			_exit(1);
		if (pid && kind == LINK_THREAD)
			work_in_threads();
		if (pid)
			_exit(0);
		if (kind != LINK_EXEC)
			continue;
		snprintf(kind_text, sizeof(kind_text), "%d", kind);
		snprintf(memory_text, sizeof(memory_text), "%d", memory);
		execl("/proc/self/exe", "link", kind_text, memory_text, NULL);
		_exit(1);
	}
}

static int begin_link(const char *kind, const char *memory)
{
	int fd = atoi(memory);
	struct chain *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (c == MAP_FAILED)
		return 1;
	run_link(c, (enum link)atoi(kind), fd);
	return 0;
}

static int act_pause(void *arg)
{
	(void)arg;
	pause();
	return 1;
}

struct storm {
	struct chain *chain;
	int memory;
	pid_t keeper;
	struct bed_child resident;
	uint64_t links;		/* at the beginning of the window */
};

struct storm_plan {
	const struct bed_cgroup *cg;
	enum link kind;
	int memory;
	size_t chains;
};

/* The memory of the test, and of its witness's ring, is not a link's to copy. */
static int act_chain(void *arg)
{
	const struct storm_plan *plan = arg;
	char kind[16], memory[16];

	snprintf(kind, sizeof(kind), "%d", plan->kind);
	snprintf(memory, sizeof(memory), "%d", plan->memory);
	prctl(PR_SET_PDEATHSIG, 0);
	execl("/proc/self/exe", "link", kind, memory, NULL);
	return 1;
}

/*
 * All of a link's CPU is its own: none of it stays in the cgroup with a parent that waits.
 * Links end up as children of a keeper outside, which needs not look at them.  One process
 * that does nothing is there all the time, as a container's first is.
 */
static struct storm begin_storm(const struct bed_cgroup *cg, enum link kind, double per_s, size_t chains)
{
	struct storm s = { .memory = memfd_create("chain", 0) };
	struct storm_plan plan = { cg, kind, s.memory, chains };
	int ready[2];
	char byte;

	s.resident = bed_spawn(cg, act_pause, NULL);
	bed_let_go(&s.resident);
	if (s.memory < 0 || ftruncate(s.memory, sizeof(*s.chain)) || pipe2(ready, O_CLOEXEC))
		bed_die("memfd");
	s.chain = mmap(NULL, sizeof(*s.chain), PROT_READ | PROT_WRITE, MAP_SHARED, s.memory, 0);
	s.chain->per_s = per_s;
	clock_gettime(CLOCK_MONOTONIC, &s.chain->begin);
	s.keeper = fork();
	if (!s.keeper) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		for (size_t i = 0; i < chains; i++) {
			struct bed_child c = bed_spawn(cg, act_chain, &plan);

			bed_let_go(&c);
		}
		close(ready[1]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	while (read(ready[0], &byte, 1) > 0)
		;
	close(ready[0]);
	/* It runs once its links have run. */
	for (int ms = 0; __atomic_load_n(&s.chain->links, __ATOMIC_RELAXED) < 2 * chains; ms += 10) {
		if (ms > BED_PATIENCE_MS)
			bed_die("the storm does not begin");
		poll(NULL, 0, 10);
	}
	return s;
}

static double links_per_s(struct storm *s, double seconds)
{
	uint64_t links = __atomic_load_n(&s->chain->links, __ATOMIC_RELAXED);
	double rate = (double)(links - s->links) / seconds;

	s->links = links;
	return rate;
}

static void end_storm(struct storm *s, const struct bed_cgroup *cg)
{
	bed_write(cg, "cgroup.kill", "1");
	bed_reap(&s->resident);
	bed_wait_empty(cg->path);
	kill(s->keeper, SIGKILL);
	waitpid(s->keeper, NULL, 0);
	munmap(s->chain, sizeof(*s->chain));
	close(s->memory);
}

/* --- the tests ------------------------------------------------------------------ */

static void say_window(const struct watch *w, const struct reconcile_books *b, double rate,
		       const char *name)
{
	bed_note("%s: %.0f forks+exits a second; explained %.2f %% (%.2f %% without the witness); CPU ms: "
		 "module %.1f + exited %.1f %+.1f skew = scheduler %.1f = cgroup %.1f; dark %.1f; lost %.1f; "
		 "%" PRIu64 " exits; %zu unexplained; apart %.1f of %.1f",
		 name, rate, reconcile_explained(b, true) / 100.0, reconcile_explained(b, false) / 100.0,
		 (double)b->module_us / 1e3, (double)b->exited_us / 1e3, (double)b->skew_us / 1e3,
		 (double)b->scheduler_us / 1e3, (double)b->cgroup_us / 1e3, (double)b->dark_us / 1e3,
		 (double)b->lost_us / 1e3, b->exits, w->window.unexplained, (double)b->apart_us / 1e3,
		 (double)b->tolerance_us / 1e3);
}

/* In each window, whatever the storm is made of. */
static void check_storm(enum link kind, const struct bed_cgroup *container,
			const struct bed_cgroup *inside, int windows, int ms, const char *name)
{
	struct reconcile_books all = { 0 };
	uint32_t explained = 10000;
	size_t unexplained = 0, undead = 0, agreed = 0;
	double rate, slowest = 1e9;
	struct watch w = begin(0);
	struct storm s = begin_storm(inside, kind, STORM_PER_S, 2);

	first_look(&w);
	links_per_s(&s, 1);
	for (int i = 0; i < windows; i++) {
		struct reconcile_books b;

		look(&w, ms, true);
		b = books_of(&w, container);
		rate = links_per_s(&s, w.seconds);
		say_window(&w, &b, rate, name);
		if (reconcile_explained(&b, true) < explained)
			explained = reconcile_explained(&b, true);
		reconcile_add(&all, &b);
		slowest = rate < slowest ? rate : slowest;
		unexplained += w.window.unexplained;
		undead += w.window.undead;
		agreed += b.verdict == RECONCILE_AGREED;
	}
	end_storm(&s, inside);
	ok(explained >= 9900, "%s: %.2f %% of its CPU explained in the worst of %d windows, at %.0f a second",
	   name, explained / 100.0, windows, slowest);
	/* Over all of them: on a starved machine who lives at a window's end may have used much. */
	ok(reconcile_explained(&all, false) < (windows > 2 ? 500 : 1000), "%s: the snapshots alone explain %.2f %%", name,
	   reconcile_explained(&all, false) / 100.0);
	ok(agreed == (size_t)windows, "%s: the sources agree in %zu of %d windows", name, agreed, windows);
	ok(!unexplained && !undead, "%s: %zu unexplained deaths, %zu dead and still there", name,
	   unexplained, undead);
	end(&w);
}

static void test_storms(bool own_machine)
{
	/* An emulated machine has few forks a second: long windows, or chance rules them. */
	int ms = own_machine ? 3000 : 1000;
	const char *fake = bed_new_id();
	/* One for each: a kernel may kill what is born in a cgroup that was killed before. */
	struct bed_cgroup forks = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_cgroup execs = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_cgroup threads = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_cgroup nested = bed_make_cgroup("/docker/%s/docker/%s", bed_new_id(), fake);
	struct bed_cgroup outer = nested;
	struct stat st;

	/* The outer one of the two. */
	strrchr(outer.path, '/')[0] = '\0';
	strrchr(outer.path, '/')[0] = '\0';
	if (stat(outer.path, &st))
		bed_die(outer.path);
	outer.id = st.st_ino;

	check_storm(LINK_FORK, &forks, &forks, 5, ms, "fork storm");
	check_storm(LINK_EXEC, &execs, &execs, 2, ms, "exec chain");
	check_storm(LINK_THREAD, &threads, &threads, 2, ms, "threads");
	check_storm(LINK_FORK, &outer, &nested, 2, ms, "in a nested cgroup with a container's name");
}

static int act_spin(void *arg)
{
	while (arg)
		;
	return 0;
}

static int act_sleep(void *arg)
{
	while (arg)
		pause();
	return 0;
}

static int exit_at_once(void *arg)
{
	(void)arg;
	return 0;
}

/*
 * One process for good, which makes threads that end at once, each with the CPU given away,
 * so that it has its last switch.  Raw, as a thread of pthread's does much before its end.
 */
static int act_churn(void *arg)
{
	static char stacks[64][4096] __attribute__((aligned(16)));
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (unsigned int i = 0; arg; i++) {
		clone(exit_at_once, stacks[i % 64] + sizeof(stacks[0]),
		      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		      NULL);
		sched_yield();
	}
	return 0;
}

/*
 * What a thread uses after the kernel has added it to its process's sum is in no account of
 * processes: whoever makes many would be disputed for good, and so never removed.
 */
static void test_churn(bool own_machine)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct watch w = begin(0);
	struct bed_child churner = bed_spawn(&cg, act_churn, "forever");
	struct bed_child other = bed_spawn(&cg, act_sleep, "forever");
	uint32_t alone = 10000, explained = 10000;
	size_t agreed = 0, windows = 3;
	struct reconcile_books b;
	uint64_t exits = 0;

	bed_let_go(&churner);
	bed_let_go(&other);
	first_look(&w);
	for (size_t i = 0; i < windows; i++) {
		/* Under emulation a slice of a thread on its way out is most of a percent of 1 s. */
		look(&w, own_machine ? 3000 : 1000, true);
		b = books_of(&w, &cg);
		say_window(&w, &b, 0, "threads that come and go");
		agreed += b.verdict == RECONCILE_AGREED;
		exits += b.exits;
		if (reconcile_explained(&b, true) < explained)
			explained = reconcile_explained(&b, true);
		if (reconcile_explained(&b, false) < alone)
			alone = reconcile_explained(&b, false);
	}
	ok(agreed == windows && explained >= 9900 && !exits,
	   "threads that come and go: %.2f %% explained in the worst of %zu windows (%.2f %% without the witness)",
	   explained / 100.0, windows, alone / 100.0);
	kill(churner.pid, SIGKILL);
	look(&w, 300, true);
	b = books_of(&w, &cg);
	say_window(&w, &b, 0, "its end");
	ok(b.verdict == RECONCILE_AGREED && b.exits == 1 && !w.window.unexplained,
	   "its end brings up nothing of what went before");
	bed_reap(&churner);
	kill(other.pid, SIGKILL);
	bed_reap(&other);
	end(&w);
}

/* Both halves: the storm is seen, and who computes beside it is as it was. */
static void test_beside(void)
{
	struct bed_cgroup stormy = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_cgroup calm = bed_make_cgroup("/docker/%s", bed_new_id());
	struct watch w = begin(0);
	struct bed_child spinner = bed_spawn(&calm, act_spin, "forever");
	struct storm s = begin_storm(&stormy, LINK_FORK, STORM_PER_S / 10, 1);
	struct reconcile_books b;

	bed_let_go(&spinner);
	first_look(&w);
	look(&w, 1500, true);
	b = books_of(&w, &calm);
	say_window(&w, &b, 0, "beside a storm");
	ok(b.verdict == RECONCILE_AGREED && reconcile_explained(&b, false) >= 9500 && !b.exits &&
	   !b.dark_us, "beside a storm: one that computes is explained without it");
	b = books_of(&w, &stormy);
	ok(b.verdict == RECONCILE_AGREED && b.exits, "beside one that computes: the storm agrees");
	end_storm(&s, &stormy);
	kill(spinner.pid, SIGKILL);
	bed_reap(&spinner);
	look(&w, 10, true);
	ok(w.window.deaths >= 1 && !w.window.unexplained, "its death is in the books");
	end(&w);
}

static int act_exit(void *arg)
{
	work_a_little(NULL);
	return *(int *)arg;
}

static void test_brief(void)
{
	struct watch w = begin(0);
	const char *id = bed_new_id();
	struct bed_cgroup cg;
	struct bed_child c;
	int code = 3;

	first_look(&w);
	cg = bed_make_cgroup("/docker/%s", id);
	c = bed_spawn(&cg, act_exit, &code);
	bed_let_go(&c);
	bed_reap(&c);
	bed_remove(cg.path);
	look(&w, 10, true);
	ok(w.window.end_count == 1 && !strcmp(w.window.ends[0].id, id) && w.window.ends[0].brief &&
	   w.window.ends[0].cpu_us && w.window.ends[0].exits == 1,
	   "came and went within a window: seen with its CPU (%" PRIu64 " us)",
	   w.window.end_count ? w.window.ends[0].cpu_us : 0);
	end(&w);
}

/* Nobody reads the ring: what is lost is counted, and its CPU known. */
static void test_lost(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct watch w = begin(4096);
	struct storm s = begin_storm(&cg, LINK_FORK, STORM_PER_S, 1);
	struct reconcile_books b;

	first_look(&w);
	look(&w, 1500, false);
	b = books_of(&w, &cg);
	say_window(&w, &b, links_per_s(&s, w.seconds), "ring full");
	ok(b.exits_lost && b.lost_us && b.verdict == RECONCILE_AGREED,
	   "ring full: %" PRIu64 " events lost, their %.1f ms are in the books", b.exits_lost,
	   (double)b.lost_us / 1e3);
	look(&w, 500, false);
	ok(!w.window.unexplained, "ring full: nobody is said to have vanished");
	end_storm(&s, &cg);
	end(&w);
}

/* Another witness in the middle: one window without a verdict, then as before. */
static void test_restart(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct watch w = begin(0), other;
	struct storm s = begin_storm(&cg, LINK_FORK, STORM_PER_S / 10, 1);
	struct reconcile_books b;

	first_look(&w);
	look(&w, 300, true);
	other = begin(0);
	witness_close(w.witness);
	w.witness = other.witness;
	close(other.root);
	look(&w, 300, true);
	b = books_of(&w, &cg);
	ok(b.verdict == RECONCILE_NONE && !w.window.unexplained, "another witness: no verdict");
	look(&w, 1500, true);
	b = books_of(&w, &cg);
	say_window(&w, &b, links_per_s(&s, w.seconds), "after another witness");
	ok(b.verdict == RECONCILE_AGREED && reconcile_explained(&b, true) >= 9900 &&
	   !w.window.unexplained, "after it: agreed");
	end_storm(&s, &cg);
	end(&w);
}

static void set_pid_max(const char *text)
{
	int fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		bed_die("pid_max");
	close(fd);
}

/* So few pids that each comes again many times in a window, living processes among them. */
static void test_reuse(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());

	set_pid_max("400");
	check_storm(LINK_FORK, &cg, &cg, 2, 3000, "pids used again");
	set_pid_max("32768");
}

/* The OOM killer's victim is in both books, its neighbour in none. */
static void test_oom(void)
{
	const size_t size = 64 << 20;
	struct bed_cgroup tight, wide;
	struct reconcile_books b;
	struct bed_child hogs[2], residents[2];
	struct watch w;
	int level;

	if (!bed_has_memory())
		return;
	tight = bed_make_cgroup("/docker/%s", bed_new_id());
	wide = bed_make_cgroup("/docker/%s", bed_new_id());
	bed_write(&tight, "memory.max", "16M");
	w = begin(0);
	residents[0] = bed_spawn(&tight, act_pause, NULL);
	residents[1] = bed_spawn(&wide, act_pause, NULL);
	first_look(&w);
	level = bed_console_level(4);
	hogs[0] = bed_spawn(&tight, bed_act_hog, (void *)&size);
	hogs[1] = bed_spawn(&wide, bed_act_hog, (void *)&size);
	for (size_t i = 0; i < 2; i++) {
		bed_let_go(&hogs[i]);
		bed_reap(&hogs[i]);
	}
	bed_console_level(level);
	look(&w, 10, true);
	b = books_of(&w, &tight);
	ok(b.oom_exits == 1 && b.oom_kills == 1 && b.verdict == RECONCILE_AGREED,
	   "out of memory: %" PRIu64 " seen to die of it, %" PRIu64 " by memory.events", b.oom_exits,
	   b.oom_kills);
	b = books_of(&w, &wide);
	ok(!b.oom_exits && !b.oom_kills && b.exits == 1, "as much memory without a limit: no OOM kill");
	for (size_t i = 0; i < 2; i++) {
		kill(residents[i].pid, SIGKILL);
		bed_reap(&residents[i]);
	}
	end(&w);
}

/* A storm for somebody else to look at, until it is killed. */
static int only_storm(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct storm s = begin_storm(&cg, LINK_FORK, STORM_PER_S, 2);

	printf("%s\n", strrchr(cg.path, '/') + 1);
	fflush(stdout);
	getchar();
	end_storm(&s, &cg);
	bed_remove_all();
	return 0;
}

/* Windows for the ledger's unit test: few processes, and all that can happen to them. */
static void write_fixture(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct watch w = begin(0);
	struct storm s = begin_storm(&cg, LINK_FORK, 60, 2);

	write_record("# A storm of 60 forks and exits a second, on Linux %s.\n", bed_release());
	first_look(&w);
	for (int i = 0; i < 3; i++) {
		struct reconcile_books b;

		look(&w, 500, true);
		b = books_of(&w, &cg);
		write_record("books %" PRIu64 " verdict %s exits %" PRIu64 " explained %u alone %u\n",
			     cg.id, reconcile_verdict_name(b.verdict), b.exits,
			     reconcile_explained(&b, true), reconcile_explained(&b, false));
		write_record("window unexplained %zu lost %zu undead %zu\n", w.window.unexplained,
			     w.window.lost, w.window.undead);
	}
	fclose(record);
	record = NULL;
	end_storm(&s, &cg);
	end(&w);
}

int main(int argc, char **argv)
{
	char reason[WITNESS_REASON_SIZE];
	struct witness_options options = { .cgroup_root = bed_cgroup_root };
	bool own_machine = argc == 2 && !strcmp(argv[1], "--own-machine");
	struct witness *w;
	int err;

	if (argc == 3 && !strcmp(argv[0], "link"))
		return begin_link(argv[1], argv[2]);
	if (bed_find_cgroups()) {
		printf("1..0 # SKIP %s: no cgroup v2 is mounted\n", bed_release());
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--storm"))
		return only_storm();
	err = witness_open(&options, &w, reason, sizeof(reason));
	if (err == -EPERM || err == -ENOENT) {
		printf("1..0 # SKIP %s: %s\n", bed_release(), reason);
		return 0;
	}
	if (err) {
		printf("Bail out! %s: %s\n", bed_release(), reason);
		return 1;
	}
	witness_close(w);
	if (argc == 3 && !strcmp(argv[1], "--record")) {
		record = fopen(argv[2], "we");
		if (!record)
			bed_die(argv[2]);
		write_fixture();
		bed_remove_all();
		return 0;
	}
	test_storms(own_machine);
	test_beside();
	test_churn(own_machine);
	test_brief();
	test_lost();
	test_restart();
	test_oom();
	if (own_machine)
		test_reuse();
	bed_remove_all();
	printf("1..%d\n", tests);
	return failed != 0;
}
