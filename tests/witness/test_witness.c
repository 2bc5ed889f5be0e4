// SPDX-License-Identifier: GPL-2.0
/*
 * The witness on the running kernel. Needs root and BPF; skips without.
 *
 * One static program without arguments, so that the same binary runs on the
 * build machine and in bare guests. It makes its own cgroups and removes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/witness/bed.h"
#include "userspace/io/witness.h"

/*
 * How far getrusage(2) may be from the truth: when the parent reaps a process
 * on another CPU before its last switch, what it ran since the last tick is
 * missing there (1 tick of at most 10 ms).
 */
#define TICK_US 10000

static int tests, failed;

static void ok(bool good, const char *format, ...)
{
	char name[256];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	tests++;
	failed += !good;
	printf("%sok %d - %s: %s\n", good ? "" : "not ", tests, bed_release(), name);
	fflush(stdout);
}

static uint64_t cg_usage_us(const struct bed_cgroup *cg)
{
	char file[800], line[128];
	unsigned long long us = 0;
	FILE *f;

	snprintf(file, sizeof(file), "%s/cpu.stat", cg->path);
	f = fopen(file, "re");
	if (!f)
		bed_die(file);
	while (fgets(line, sizeof(line), f) && sscanf(line, "usage_usec %llu", &us) != 1)
		;
	fclose(f);
	return us;
}

static uint64_t usage_us(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000ULL + u->ru_utime.tv_usec +
	       u->ru_stime.tv_usec;
}

static void burn_us(clockid_t clock, uint64_t us)
{
	uint64_t end = bed_now_us(clock) + us;

	while (bed_now_us(clock) < end)
		;
}

/* Events. */

struct seen {
	struct witness_exit *events;
	char (*ids)[WITNESS_ID_SIZE];
	size_t count;
};

static struct seen seen;

static int keep_event(void *ctx, const struct witness_exit *ev)
{
	struct seen *s = ctx;

	if (!bed_is_own(ev->container_id))
		return 0;
	s->events = realloc(s->events, (s->count + 1) * sizeof(*s->events));
	s->ids = realloc(s->ids, (s->count + 1) * sizeof(*s->ids));
	s->events[s->count] = *ev;
	strcpy(s->ids[s->count], ev->container_id);
	s->count++;
	return 0;
}

static void forget_events(void)
{
	seen.count = 0;
}

static void drain(struct witness *w)
{
	if (witness_drain(w, keep_event, &seen) < 0)
		bed_die("witness_drain");
}

static size_t count_pid(pid_t pid)
{
	size_t n = 0;

	for (size_t i = 0; i < seen.count; i++)
		n += seen.events[i].pid == (uint32_t)pid;
	return n;
}

/* Drains until there are @count events. */
static bool wait_count(struct witness *w, size_t count)
{
	uint64_t end = bed_now_us(CLOCK_MONOTONIC) + BED_PATIENCE_MS * 1000ULL;

	for (;;) {
		drain(w);
		if (seen.count >= count)
			return true;
		if (bed_now_us(CLOCK_MONOTONIC) > end)
			return false;
		poll(NULL, 0, 5);
	}
}

/* The event of @pid, waited for; NULL if it does not come. */
static const struct witness_exit *wait_event(struct witness *w, pid_t pid, const char **ret_id)
{
	uint64_t end = bed_now_us(CLOCK_MONOTONIC) + BED_PATIENCE_MS * 1000ULL;

	for (;;) {
		drain(w);
		for (size_t i = 0; i < seen.count; i++) {
			if (seen.events[i].pid != (uint32_t)pid)
				continue;
			*ret_id = seen.ids[i];
			return &seen.events[i];
		}
		if (bed_now_us(CLOCK_MONOTONIC) > end)
			return NULL;
		poll(NULL, 0, 5);
	}
}

static struct witness_cpu read_row(struct witness *w, uint64_t container_cgroup_id)
{
	struct witness_cpu *rows, row = {};
	size_t count;

	if (witness_read_cpu(w, &rows, &count))
		bed_die("witness_read_cpu");
	for (size_t i = 0; i < count; i++)
		if (rows[i].container_cgroup_id == container_cgroup_id)
			row = rows[i];
	free(rows);
	return row;
}

static struct witness *open_witness(uint32_t ring_bytes)
{
	struct witness_options options = { .cgroup_root = bed_cgroup_root, .ring_bytes = ring_bytes };
	char reason[WITNESS_REASON_SIZE];
	struct witness *w;

	if (witness_open(&options, &w, reason, sizeof(reason))) {
		printf("Bail out! %s: %s\n", bed_release(), reason);
		exit(1);
	}
	return w;
}

static bool near(uint64_t a, uint64_t b, uint64_t tolerance)
{
	return a > b ? a - b <= tolerance : b - a <= tolerance;
}

/* The tests. */

static int act_exit(void *arg)
{
	return *(int *)arg;
}

static int act_signal(void *arg)
{
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &core);
	signal(*(int *)arg, SIG_DFL);
	raise(*(int *)arg);
	pause();
	return 0;
}

static int act_burn(void *arg)
{
	burn_us(CLOCK_PROCESS_CPUTIME_ID, *(uint64_t *)arg);
	return 0;
}

static void check_event(struct witness *w, const struct bed_child *c, const struct bed_cgroup *leaf,
			const struct bed_cgroup *container, const char *id, const char *name)
{
	const char *seen_id;
	const struct witness_exit *ev = wait_event(w, c->pid, &seen_id);
	uint64_t us = usage_us(&c->usage);
	bool exited = WIFEXITED(c->status);

	ok(ev && count_pid(c->pid) == 1, "%s: one event", name);
	if (!ev)
		return;
	ok(!strcmp(seen_id, id) && ev->container_cgroup_id == container->id &&
	   ev->cgroup_id == leaf->id, "%s: container and cgroup", name);
	ok(ev->ppid == (uint32_t)getpid() &&
	   near(ev->start_us / 10000, c->start_ticks, 0) && ev->exit_us > ev->start_us &&
	   ev->exit_us <= bed_now_us(CLOCK_BOOTTIME), "%s: parent, start and exit time", name);
	ok(ev->exit_code == (exited ? WEXITSTATUS(c->status) : -1) &&
	   ev->signal == (exited ? 0 : WTERMSIG(c->status)) &&
	   ev->core_dumped == (!exited && WCOREDUMP(c->status)), "%s: exit code %d, signal %d",
	   name, ev->exit_code, ev->signal);
	ok(!ev->cpu_partial && ev->cpu_us + 1000 >= us && ev->cpu_us <= us + us / 50 + TICK_US &&
	   near(ev->user_us + ev->system_us, ev->cpu_us, 0), "%s: CPU", name);
	ok(ev->peak_rss_kib == (uint64_t)c->usage.ru_maxrss, "%s: peak RSS", name);
	bed_note("%s: cpu %llu us, rusage %llu us, rss %llu KiB, rusage %ld KiB", name,
	     (unsigned long long)ev->cpu_us, (unsigned long long)us,
	     (unsigned long long)ev->peak_rss_kib, c->usage.ru_maxrss);
}

static void test_ends(struct witness *w)
{
	static const int codes[] = { 0, 7, 255 };
	static const int signals[] = { SIGKILL, SIGTERM, SIGSEGV };
	const char *id = bed_new_id();
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", id);
	uint64_t burn = 50000;
	struct bed_child c;
	char name[64];

	for (size_t i = 0; i < 3; i++) {
		c = bed_spawn(&cg, act_exit, (void *)&codes[i]);
		bed_let_go(&c);
		bed_reap(&c);
		snprintf(name, sizeof(name), "exit(%d)", codes[i]);
		check_event(w, &c, &cg, &cg, id, name);
	}
	for (size_t i = 0; i < 3; i++) {
		c = bed_spawn(&cg, act_signal, (void *)&signals[i]);
		bed_let_go(&c);
		bed_reap(&c);
		snprintf(name, sizeof(name), "signal %d", signals[i]);
		check_event(w, &c, &cg, &cg, id, name);
	}
	c = bed_spawn(&cg, act_burn, &burn);
	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &cg, &cg, id, "50 ms of CPU");
}

static void *thread_burn(void *arg)
{
	burn_us(CLOCK_THREAD_CPUTIME_ID, 50000);
	if (arg)
		exit(*(int *)arg);
	return NULL;
}

/* The leader goes first; two threads go on, one of which ends the process. */
static int act_leader_first(void *arg)
{
	pthread_t a, b;

	pthread_create(&a, NULL, thread_burn, NULL);
	pthread_create(&b, NULL, thread_burn, arg);
	pthread_exit(NULL);
	return 0;
}

static void *thread_last(void *arg)
{
	(void)arg;
	burn_us(CLOCK_THREAD_CPUTIME_ID, 20000);
	syscall(SYS_exit, 33);
	return NULL;
}

/* No exit_group() at all. */
static int act_no_group_exit(void *arg)
{
	pthread_t thread;

	(void)arg;
	pthread_create(&thread, NULL, thread_last, NULL);
	syscall(SYS_exit, 11);
	return 0;
}

static void *thread_exec(void *arg)
{
	char *const argv[] = { "exec", "exit-with-5", NULL };

	(void)arg;
	execv("/proc/self/exe", argv);
	_exit(99);
}

static int act_exec(void *arg)
{
	pthread_t thread;

	(void)arg;
	pthread_create(&thread, NULL, thread_exec, NULL);
	pause();
	return 1;
}

static void *thread_wait(void *arg)
{
	pthread_barrier_wait(arg);
	pause();
	return NULL;
}

/* All end at once. */
static int act_crowd(void *arg)
{
	pthread_barrier_t barrier;
	pthread_t thread;

	(void)arg;
	pthread_barrier_init(&barrier, NULL, 17);
	for (int i = 0; i < 16; i++)
		pthread_create(&thread, NULL, thread_wait, &barrier);
	pthread_barrier_wait(&barrier);
	raise(SIGKILL);
	return 0;
}

static void *thread_short(void *arg)
{
	return arg;
}

/* getrusage(2) misses most of what such threads use. */
static int act_churn(void *arg)
{
	pthread_t thread;

	for (int i = 0; i < 500; i++)
		if (pthread_create(&thread, NULL, thread_short, arg) || pthread_join(thread, NULL))
			return 1;
	return 0;
}

static void test_threads(struct witness *w)
{
	struct witness_cpu row;
	const char *id = bed_new_id();
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", id);
	int code = 9;
	struct bed_child c;
	bool once = true;

	c = bed_spawn(&cg, act_leader_first, &code);
	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &cg, &cg, id, "leader dies first");

	c = bed_spawn(&cg, act_no_group_exit, NULL);
	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &cg, &cg, id, "threads end one by one");

	c = bed_spawn(&cg, act_exec, NULL);
	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &cg, &cg, id, "exec by a thread");

	for (int i = 0; i < 20; i++) {
		const char *seen_id;

		c = bed_spawn(&cg, act_crowd, NULL);
		bed_let_go(&c);
		bed_reap(&c);
		once = wait_event(w, c.pid, &seen_id) && count_pid(c.pid) == 1 && once;
	}
	/* What a late thread would add comes before the next process's event. */
	c = bed_spawn(&cg, act_exit, &code);
	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &cg, &cg, id, "after the crowds");
	for (size_t i = 0; i < seen.count; i++)
		once = once && count_pid(seen.events[i].pid) == 1;
	ok(once, "17 threads killed at once, 20 times: one event each");

	c = bed_spawn(&cg, act_churn, NULL);
	bed_let_go(&c);
	bed_reap(&c);
	wait_event(w, c.pid, &id);
	row = read_row(w, cg.id);
	bed_note("threads: scheduler %llu us, exits %llu us", (unsigned long long)row.cpu_us,
		 (unsigned long long)row.exited_us);
	ok(near(row.cpu_us, row.exited_us, row.cpu_us / 100),
	   "exits with threads explain 99 %% of the CPU");
}

static int act_pause(void *arg)
{
	(void)arg;
	pause();
	return 1;
}

static int act_kill(void *arg)
{
	return kill(*(pid_t *)arg, SIGKILL) != 0;
}

/* The event of a child that ended by a signal. */
static void check_killed(struct witness *w, struct bed_child *c, int number, pid_t killer, bool oom,
			 const char *name)
{
	const struct witness_exit *ev;
	const char *seen_id;

	bed_reap(c);
	ev = wait_event(w, c->pid, &seen_id);
	ok(ev && ev->signal == number && ev->killer_pid == (uint32_t)killer && ev->oom == oom,
	   "%s: signal %d of process %d, %sOOM", name, ev ? ev->signal : -1,
	   ev ? (int)ev->killer_pid : -1, ev && ev->oom ? "" : "not ");
}

static void test_killers(struct witness *w)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_child a, b, killer;
	int number = SIGKILL;

	a = bed_spawn(&cg, act_pause, NULL);
	bed_let_go(&a);
	kill(a.pid, SIGTERM);
	check_killed(w, &a, SIGTERM, getpid(), false, "SIGTERM from outside");

	a = bed_spawn(&cg, act_pause, NULL);
	killer = bed_spawn(&cg, act_kill, &a.pid);
	bed_let_go(&killer);
	check_killed(w, &a, SIGKILL, killer.pid, false, "SIGKILL from inside");
	bed_reap(&killer);

	a = bed_spawn(&cg, act_signal, &number);
	bed_let_go(&a);
	check_killed(w, &a, SIGKILL, a.pid, false, "SIGKILL to itself");

	/* What came first did it. */
	a = bed_spawn(&cg, act_pause, NULL);
	kill(a.pid, SIGKILL);
	killer = bed_spawn(&cg, act_kill, &a.pid);
	bed_let_go(&killer);
	bed_reap(&killer);
	check_killed(w, &a, SIGKILL, getpid(), false, "killed twice");

	a = bed_spawn(&cg, act_pause, NULL);
	b = bed_spawn(&cg, act_pause, NULL);
	bed_write(&cg, "cgroup.kill", "1");
	check_killed(w, &a, SIGKILL, getpid(), false, "cgroup.kill, the one");
	check_killed(w, &b, SIGKILL, getpid(), false, "cgroup.kill, the other");
}

/* Two children: the first of a new PID namespace, and the second. */
static int act_namespace(void *arg)
{
	int status;

	(void)arg;
	if (unshare(CLONE_NEWPID))
		return 1;
	for (int number = 1; number <= 2; number++) {
		pid_t pid = fork();

		if (!pid && number == 1) {
			pause();
			_exit(1);
		}
		if (!pid) {
			kill(1, SIGTERM);	/* not fatal: it is the namespace's init */
			_exit(getpid() == 2 ? 42 : 1);
		}
		if (number == 2) {
			waitpid(pid, &status, 0);
			return !WIFEXITED(status) || WEXITSTATUS(status) != 42;
		}
	}
	return 1;
}

static void test_init(struct witness *w)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_child c = bed_spawn(&cg, act_namespace, NULL);
	const struct witness_exit *init = NULL, *other = NULL;

	bed_let_go(&c);
	bed_reap(&c);
	bed_write(&cg, "cgroup.kill", "1");
	wait_count(w, 3);
	for (size_t i = 0; i < seen.count; i++) {
		if (seen.events[i].init)
			init = &seen.events[i];
		if (seen.events[i].exit_code == 42)
			other = &seen.events[i];
	}
	ok(seen.count == 3 && !c.status && other && !other->init && init &&
	   init->signal == SIGKILL && init->killer_pid == (uint32_t)getpid(),
	   "PID namespace: its first process is told from the others");
}

static void test_oom(struct witness *w)
{
	const size_t size = 64 << 20;
	struct bed_cgroup hog_cg, group_cg, innocent_cg;
	struct bed_child hog, innocent, mate;
	int level;

	if (!bed_has_memory())
		return;
	hog_cg = bed_make_cgroup("/docker/%s", bed_new_id());
	group_cg = bed_make_cgroup("/docker/%s", bed_new_id());
	innocent_cg = bed_make_cgroup("/docker/%s", bed_new_id());
	bed_write(&hog_cg, "memory.max", "16M");
	bed_write(&group_cg, "memory.max", "16M");
	bed_write(&group_cg, "memory.oom.group", "1");

	/* The kernel tells of an OOM kill with a call trace, which the lab takes for a fault. */
	level = bed_console_level(4);
	innocent = bed_spawn(&innocent_cg, bed_act_hog, (void *)&size);
	bed_let_go(&innocent);
	hog = bed_spawn(&hog_cg, bed_act_hog, (void *)&size);
	bed_let_go(&hog);
	check_killed(w, &hog, SIGKILL, 0, true, "a hog beyond its memory.max");
	check_event(w, &hog, &hog_cg, &hog_cg, strrchr(hog_cg.path, '/') + 1, "OOM kill");
	ok(read_row(w, hog_cg.id).oom_exits == 1, "OOM kill: in its container's books");

	hog = bed_spawn(&group_cg, bed_act_hog, (void *)&size);
	mate = bed_spawn(&group_cg, act_pause, NULL);
	bed_let_go(&hog);
	check_killed(w, &hog, SIGKILL, 0, true, "memory.oom.group, the hog");
	check_killed(w, &mate, SIGKILL, 0, true, "memory.oom.group, its mate");

	bed_reap(&innocent);
	check_event(w, &innocent, &innocent_cg, &innocent_cg, strrchr(innocent_cg.path, '/') + 1,
		    "the innocent");
	ok(WIFEXITED(innocent.status) && !read_row(w, innocent_cg.id).oom_exits,
	   "as much memory without a limit: no OOM kill");
	bed_console_level(level);
}

static void test_nested(struct witness *w)
{
	const char *id = bed_new_id(), *fake = bed_new_id();
	struct bed_cgroup container = bed_make_cgroup("/docker/%s", id);
	struct bed_cgroup nested = bed_make_cgroup("/docker/%s/a/b", id);
	struct bed_cgroup spoof = bed_make_cgroup("/docker/%s/docker-%s.scope", id, fake);
	uint64_t burn = 30000;
	struct witness_cpu row;
	struct bed_child c;
	uint64_t us;

	c = bed_spawn(&nested, act_burn, &burn);
	bed_let_go(&c);
	bed_reap(&c);
	us = usage_us(&c.usage);
	check_event(w, &c, &nested, &container, id, "nested cgroup");
	c = bed_spawn(&spoof, act_burn, &burn);
	bed_let_go(&c);
	bed_reap(&c);
	us += usage_us(&c.usage);
	check_event(w, &c, &spoof, &container, id, "another's name inside a container");
	row = read_row(w, container.id);
	ok(row.exits == 2 && row.cpu_us + 1000 >= us && row.cpu_us <= us + us / 50 + 2 * TICK_US,
	   "CPU of nested cgroups is their container's");
	row = read_row(w, spoof.id);
	ok(!row.container_cgroup_id, "a nested cgroup has no books of its own");
}

/* Every form that the module knows must be noted as it is made. */
static void test_forms(struct witness *w)
{
	static const struct {
		const char *format;
		bool container;
	} forms[] = {
		{ "/docker/%s", true },
		{ "/system.slice/docker-%s.scope", true },
		{ "/machine.slice/libpod-%s.scope", true },
		{ "/machine.slice/libpod-%s.scope/container", true },
		{ "/libpod_parent/libpod-%s", true },
		{ "/user.slice/x.service/libpod-payload-%s", true },
		{ "/kubepods.slice/kubepods-pod1.slice/cri-containerd-%s.scope", true },
		{ "/kubepods.slice/kubepods-pod1.slice/crio-%s.scope", true },
		{ "/kubepods/besteffort/pod1/%s", true },
		{ "/kubepods/besteffort/pod1/crio-%s", true },
		{ "/system.slice/nerdctl-%s.scope", true },
		{ "/system.slice:docker:%s", true },
		{ "/lxc/name-%.8s", true },
		{ "/lxc.payload.name-%.8s", true },
		{ "/kubepods.slice/kubepods-pod1.slice/crio-conmon-%s.scope", false },
		{ "/machine.slice/libpod-conmon-%s.scope", false },
		{ "/machine.slice/machine-libpod_pod_%s.slice", false },
		{ "/somewhere/else/%s", false },
		{ "/lxc.monitor.name-%.8s", false },
	};
	int code = 3;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *id = bed_new_id(), *seen_id = "";
		struct bed_cgroup cg = bed_make_cgroup(forms[i].format, id);
		const char *marker_id = bed_new_id();
		struct bed_cgroup marker_cg = bed_make_cgroup("/docker/%s", marker_id);
		struct bed_child c = bed_spawn(&cg, act_exit, &code), marker;
		const struct witness_exit *ev;

		bed_let_go(&c);
		bed_reap(&c);
		if (forms[i].container) {
			ev = wait_event(w, c.pid, &seen_id);
			ok(ev && (strstr(forms[i].format, "lxc") ? strstr(cg.path, seen_id) != NULL :
				  !strcmp(seen_id, id)), "seen: %s", forms[i].format);
			continue;
		}
		bed_wait_empty(cg.path);
		marker = bed_spawn(&marker_cg, act_exit, &code);
		bed_let_go(&marker);
		bed_reap(&marker);
		ev = wait_event(w, marker.pid, &seen_id);
		ok(ev && !count_pid(c.pid) && !read_row(w, cg.id).container_cgroup_id,
		   "not a container: %s", forms[i].format);
	}
}

/* A Podman pod has a container's look, and the container is below it. */
static void test_pod(struct witness *w)
{
	const char *pod = bed_new_id(), *id = bed_new_id();
	struct bed_cgroup cg = bed_make_cgroup("/machine.slice/machine-libpod_pod_%s.slice/libpod-%s.scope", pod, id);
	int code = 0;
	struct bed_child c = bed_spawn(&cg, act_exit, &code);

	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &cg, &cg, id, "container in a pod");
}

static void test_short_life(struct witness *w)
{
	const char *id = bed_new_id();
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", id);
	uint64_t burn = 20000;
	struct bed_child c = bed_spawn(&cg, act_burn, &burn);
	struct witness_cpu row;
	uint64_t us, end;

	bed_let_go(&c);
	bed_reap(&c);
	us = usage_us(&c.usage);
	bed_remove(cg.path);
	check_event(w, &c, &cg, &cg, id, "container gone before the first look");
	row = read_row(w, cg.id);
	ok(row.removed && !strcmp(row.container_id, id) && row.exits == 1 &&
	   row.cpu_us + 1000 >= us && row.cpu_us <= us + us / 50 + TICK_US,
	   "its CPU is read after its end");
	/* A second after its end at the earliest; nothing to wait for but the clock. */
	end = bed_now_us(CLOCK_MONOTONIC) + BED_PATIENCE_MS * 1000ULL;
	while (row.container_cgroup_id && bed_now_us(CLOCK_MONOTONIC) < end) {
		poll(NULL, 0, 50);
		drain(w);
		row = read_row(w, cg.id);
	}
	ok(!row.container_cgroup_id, "then it is forgotten");
}

static void test_existing(void)
{
	const char *id = bed_new_id();
	struct bed_cgroup container = bed_make_cgroup("/docker/%s", id);
	struct bed_cgroup nested = bed_make_cgroup("/docker/%s/sub", id);
	uint64_t burn = 20000;
	struct bed_child c = bed_spawn(&nested, act_burn, &burn);
	struct witness *w = open_witness(0);

	forget_events();
	bed_let_go(&c);
	bed_reap(&c);
	check_event(w, &c, &nested, &container, id, "container from before the witness");
	ok(read_row(w, container.id).cpu_us >= 19000, "its CPU is counted");
	witness_close(w);
}

static int act_spin(void *arg)
{
	while (arg)
		;
	return 0;
}

/* A process that never gives its CPU away is counted while it runs. */
static void test_running(struct witness *w)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct bed_child c = bed_spawn(&cg, act_spin, "forever");
	uint64_t before, after = 0, row_us = 0, last_us;
	bool good = true, up = true;
	clockid_t clock;

	clock_getcpuclockid(c.pid, &clock);
	bed_let_go(&c);
	for (int i = 1; i <= 5; i++) {
		while ((before = bed_now_us(clock)) < after + 3 * TICK_US)
			sched_yield();
		last_us = row_us;
		row_us = read_row(w, cg.id).cpu_us;
		after = bed_now_us(clock);
		good = good && row_us + TICK_US >= before && row_us <= after;
		up = up && row_us > last_us;
	}
	kill(c.pid, SIGKILL);
	bed_reap(&c);
	/* It is reaped before its last switch, and so its event comes: not in the next test. */
	wait_count(w, 1);
	ok(good, "the slice that runs now is counted (%llu us, its clock says %llu to %llu)",
	   (unsigned long long)row_us, (unsigned long long)before, (unsigned long long)after);
	ok(up, "every reading is above the one before");
}

struct ping_pong {
	int in, out, rounds;
};

static int act_ping_pong(void *arg)
{
	struct ping_pong *p = arg;
	char byte = 0;

	for (int i = 0; i < p->rounds; i++)
		if (write(p->out, &byte, 1) != 1 || read(p->in, &byte, 1) != 1)
			return 1;
	return 0;
}

static void test_switching(struct witness *w)
{
	struct bed_cgroup a = bed_make_cgroup("/docker/%s", bed_new_id()), b = bed_make_cgroup("/docker/%s", bed_new_id());
	struct witness_cpu row_a, row_b;
	struct ping_pong pa, pb;
	uint64_t stat_a, stat_b;
	int ab[2], ba[2];
	struct bed_child ca, cb;

	if (pipe(ab) || pipe(ba))
		bed_die("pipe");
	pa = (struct ping_pong){ .in = ba[0], .out = ab[1], .rounds = 5000 };
	pb = (struct ping_pong){ .in = ab[0], .out = ba[1], .rounds = 5000 };
	ca = bed_spawn(&a, act_ping_pong, &pa);
	cb = bed_spawn(&b, act_ping_pong, &pb);
	bed_let_go(&ca);
	bed_let_go(&cb);
	bed_reap(&ca);
	bed_reap(&cb);
	for (int i = 0; i < 2; i++) {
		close(ab[i]);
		close(ba[i]);
	}
	wait_count(w, 2);
	row_a = read_row(w, a.id);
	row_b = read_row(w, b.id);
	stat_a = cg_usage_us(&a);
	stat_b = cg_usage_us(&b);
	bed_note("ping-pong: scheduler %llu and %llu us, exits %llu and %llu us, cpu.stat %llu and %llu us",
	     (unsigned long long)row_a.cpu_us, (unsigned long long)row_b.cpu_us,
	     (unsigned long long)row_a.exited_us, (unsigned long long)row_b.exited_us,
	     (unsigned long long)stat_a, (unsigned long long)stat_b);
	ok(near(row_a.cpu_us, stat_a, stat_a / 100) && near(row_b.cpu_us, stat_b, stat_b / 100),
	   "10 000 switches between containers: within 1 %% of cpu.stat");
	ok(near(row_a.cpu_us, row_a.exited_us, row_a.cpu_us / 100) &&
	   near(row_b.cpu_us, row_b.exited_us, row_b.cpu_us / 100),
	   "10 000 switches between containers: exits within 1 %% of the scheduler");
}

static int act_storm(void *arg)
{
	int count = *(int *)arg;

	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	return 0;
}

static void test_storm(struct witness *w)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	int count = 2000;
	struct bed_child c = bed_spawn(&cg, act_storm, &count);
	struct witness_cpu row;
	uint64_t sum_us = 0, stat_us;
	bool once = true;

	bed_let_go(&c);
	bed_reap(&c);
	wait_count(w, count + 1);
	ok(seen.count == (size_t)count + 1, "fork storm: %zu of %d deaths seen", seen.count,
	   count + 1);
	for (size_t i = 0; i < seen.count; i++) {
		sum_us += seen.events[i].cpu_us;
		once = once && (seen.events[i].pid == (uint32_t)c.pid ||
				seen.events[i].ppid == (uint32_t)c.pid);
	}
	ok(once, "fork storm: all from the storm");
	row = read_row(w, cg.id);
	stat_us = cg_usage_us(&cg);
	bed_note("fork storm: scheduler %llu us, sum of exits %llu us, cpu.stat %llu us",
	     (unsigned long long)row.cpu_us, (unsigned long long)sum_us,
	     (unsigned long long)stat_us);
	ok(near(sum_us, row.cpu_us, row.cpu_us / 100), "fork storm: exits explain 99 %% of the CPU");
	ok(near(row.cpu_us, stat_us, stat_us / 100), "fork storm: within 1 %% of cpu.stat");
	ok(row.exits == (uint64_t)count + 1 && !row.exits_lost, "fork storm: none lost");
}

static void test_ring_full(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct witness *w = open_witness(4096);
	struct witness_drops drops;
	struct witness_cpu row;
	struct pollfd p = { .fd = witness_fd(w), .events = POLLIN };
	int count = 200;
	struct bed_child c = bed_spawn(&cg, act_exit, &(int){ 0 });
	bool asleep, awake;

	forget_events();
	bed_let_go(&c);
	bed_reap(&c);
	bed_wait_empty(cg.path);
	asleep = !poll(&p, 1, 0);
	wait_count(w, 1);
	forget_events();
	c = bed_spawn(&cg, act_storm, &count);
	bed_let_go(&c);
	bed_reap(&c);
	bed_wait_empty(cg.path);
	awake = poll(&p, 1, BED_PATIENCE_MS) == 1;
	do
		row = read_row(w, cg.id);
	while (row.exits < (uint64_t)count + 2);
	drain(w);
	witness_read_drops(w, &drops);
	ok(row.exits_lost && seen.count && seen.count + row.exits_lost == (uint64_t)count + 1,
	   "ring full: %zu events and %llu drops", seen.count, (unsigned long long)row.exits_lost);
	ok(row.exits_lost <= drops.ring_full && near(row.cpu_us, row.exited_us, row.cpu_us / 100),
	   "ring full: the container's books hold");
	/* Nothing was to be read at first, then there was. */
	ok(asleep && awake, "ring full: it wakes who waits for it, but not for each event");
	witness_close(w);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP && rmdir(path) ? -1 : 0;
}

static void test_map_full(void)
{
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	struct witness *w = open_witness(0);
	struct witness_drops drops;
	char path[800];
	uint64_t end;

	/* Some cgroups of the tests before are watched too, if they are still there. */
	for (int i = 0; i < WITNESS_MAX_CGROUPS + 10; i++) {
		snprintf(path, sizeof(path), "%s/%d", cg.path, i);
		if (mkdir(path, 0755))
			bed_die(path);
	}
	witness_read_drops(w, &drops);
	ok(drops.cgroups_full >= 10, "map full: %llu cgroups counted as not watched",
	   (unsigned long long)drops.cgroups_full);
	nftw(cg.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	/* Room again, as soon as what is gone has been read. */
	end = bed_now_us(CLOCK_MONOTONIC) + BED_PATIENCE_MS * 1000ULL;
	while (read_row(w, cg.id).container_cgroup_id && bed_now_us(CLOCK_MONOTONIC) < end) {
		poll(NULL, 0, 100);
		drain(w);
	}
	cg = bed_make_cgroup("/docker/%s", bed_new_id());
	ok(read_row(w, cg.id).container_cgroup_id == cg.id, "map full: there is room again");
	witness_close(w);
}

static size_t count_programs(void)
{
	__u32 id = 0;
	size_t n = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &size))
			n += !strncmp(info.name, "witness_", 8);
		close(fd);
	}
	return n;
}

/* The kernel unloads after an RCU grace period. */
static bool wait_programs(size_t count)
{
	uint64_t end = bed_now_us(CLOCK_MONOTONIC) + BED_PATIENCE_MS * 1000ULL;

	while (count_programs() != count && bed_now_us(CLOCK_MONOTONIC) < end)
		poll(NULL, 0, 10);
	return count_programs() == count;
}

static void test_unload(void)
{
	int ready[2], status;
	struct witness *w;
	char byte;
	pid_t pid;

	ok(wait_programs(0), "after close nothing is loaded");
	if (pipe2(ready, O_CLOEXEC))
		bed_die("pipe");
	pid = fork();
	if (!pid) {
		w = open_witness(0);
		if (write(ready[1], "", 1) == 1)
			pause();
		witness_close(w);
		_exit(1);
	}
	close(ready[1]);
	ok(read(ready[0], &byte, 1) == 1 && count_programs() > 0, "loaded while another has it open");
	close(ready[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(wait_programs(0), "after SIGKILL nothing is loaded");
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};

	if (syscall(SYS_capset, &header, none))
		bed_die("capset");
}

static void test_capabilities(void)
{
	struct witness_options options = { .cgroup_root = bed_cgroup_root };
	struct bed_cgroup cg = bed_make_cgroup("/docker/%s", bed_new_id());
	char reason[WITNESS_REASON_SIZE] = "";
	struct witness *w;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		uint64_t burn = 20000;
		struct bed_child c;
		const char *id;

		w = open_witness(0);
		c = bed_spawn(&cg, act_burn, &burn);
		drop_capabilities();
		forget_events();
		bed_let_go(&c);
		bed_reap(&c);
		if (!wait_event(w, c.pid, &id))
			_exit(1);
		_exit(read_row(w, cg.id).cpu_us >= 19000 ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	ok(!status, "works on without capabilities once it is open (status %#x)", status);

	pid = fork();
	if (!pid) {
		drop_capabilities();
		status = witness_open(&options, &w, reason, sizeof(reason));
		bed_note("%s", reason);
		_exit(status == -EPERM && strstr(reason, "CAP_BPF") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(!status, "without permission: EPERM and what to do");

	options.cgroup_root = "/proc";
	status = witness_open(&options, &w, reason, sizeof(reason));
	bed_note("%s", reason);
	ok(status == -ENODEV && strstr(reason, "--cgroup-root"), "no cgroup v2: ENODEV and what to do");
}

static void test_outside(struct witness *w)
{
	const char *id = bed_new_id();
	struct bed_cgroup outside = bed_make_cgroup("/witness-test-%d", getpid());
	struct bed_cgroup inside = bed_make_cgroup("/docker/%s", id);
	int code = 4;
	struct bed_child out = bed_spawn(&outside, act_exit, &code), in;

	bed_let_go(&out);
	bed_reap(&out);
	/* Its last switch is behind it when the cgroup is empty and the CPU went on. */
	bed_wait_empty(outside.path);
	in = bed_spawn(&inside, act_exit, &code);
	bed_let_go(&in);
	bed_reap(&in);
	check_event(w, &in, &inside, &inside, id, "after one outside");
	ok(!count_pid(out.pid), "no event for a process outside");
}

static void skip_all(const char *why)
{
	printf("1..0 # SKIP %s: %s\n", bed_release(), why);
	exit(0);
}

int main(int argc, char **argv)
{
	static void (*const shared[])(struct witness *w) = {
		test_ends, test_threads, test_killers, test_init, test_oom, test_outside, test_nested, test_forms, test_pod,
		test_short_life, test_running, test_switching, test_storm,
	};
	static void (*const own[])(void) = {
		test_existing, test_ring_full, test_map_full, test_unload, test_capabilities,
	};
	struct witness_options options = { .cgroup_root = bed_cgroup_root };
	char reason[WITNESS_REASON_SIZE], directory[] = "/tmp/witness-XXXXXX";
	struct witness *w;
	int err;

	/* Where act_exec() ends up. */
	if (argc == 2 && !strcmp(argv[1], "exit-with-5"))
		return 5;
	if (bed_find_cgroups())
		skip_all("no cgroup v2 is mounted");
	err = witness_open(&options, &w, reason, sizeof(reason));
	if (err == -EPERM || err == -ENOENT)
		skip_all(reason);
	if (err) {
		printf("Bail out! %s: %s\n", bed_release(), reason);
		return 1;
	}
	/* For core files, should the machine write them to where we are. */
	if (!mkdtemp(directory) || chdir(directory))
		bed_die(directory);
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		forget_events();
		shared[i](w);
		bed_remove_all();
	}
	witness_close(w);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		own[i]();
		bed_remove_all();
	}
	unlink("core");
	if (rmdir(directory))
		bed_note("%s is left: %s", directory, strerror(errno));
	printf("1..%d\n", tests);
	return failed != 0;
}
