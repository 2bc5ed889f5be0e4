// SPDX-License-Identifier: GPL-2.0
/*
 * What the witness costs: how much slower a ping-pong between two processes on
 * one CPU, and fork, exit and wait become with it, and with each of the tools
 * whose commands are given; and the nanoseconds of its programs by the kernel's
 * own BPF statistics, which count some 50 to 70 ns for a program that does
 * nothing. Prints a table in Markdown. Needs root.
 *
 * bench_witness [COMMAND...]
 * bench_witness hold: only keeps a witness, and reads its events as the daemon
 *	does, until standard input ends
 * bench_witness hold-empty: likewise a program at each switch that does nothing
 * bench_witness fork-exec N: only forks and executes so often, as a load
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/bench/bpf/empty.skel.h"
#include "tests/witness/bed.h"
#include "userspace/io/witness.h"

#define ROUNDS 20000
#define EXITS 1000
#define REPEATS 5

struct cost {
	__u64 ns;
	__u64 runs;
};

/* The sums of the loaded program of that name. */
static struct cost read_cost(const char *name)
{
	struct cost cost = {};
	__u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &size) &&
		    !strncmp(info.name, name, BPF_OBJ_NAME_LEN - 1))
			cost = (struct cost){ info.run_time_ns, info.run_cnt };
		close(fd);
	}
	return cost;
}

/* Of all loaded programs, but those of the system's own that are there before. */
static size_t count_programs(void)
{
	__u32 id = 0;
	size_t n = 0;

	while (!bpf_prog_get_next_id(id, &id))
		n++;
	return n;
}

struct ping_pong {
	int in, out;
};

static int act_ping_pong(void *arg)
{
	struct ping_pong *p = arg;
	cpu_set_t one;
	char byte = 0;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int i = 0; i < ROUNDS; i++)
		if (write(p->out, &byte, 1) != 1 || read(p->in, &byte, 1) != 1)
			return 1;
	return 0;
}

/* Returns ns of a round trip between two processes on one CPU. */
static double ping_pong(const struct bed_cgroup *a, const struct bed_cgroup *b)
{
	struct bed_child ca, cb;
	struct ping_pong pa, pb;
	int ab[2], ba[2];
	uint64_t start;

	if (pipe(ab) || pipe(ba))
		bed_die("pipe");
	pa = (struct ping_pong){ .in = ba[0], .out = ab[1] };
	pb = (struct ping_pong){ .in = ab[0], .out = ba[1] };
	ca = bed_spawn(a, act_ping_pong, &pa);
	cb = bed_spawn(b, act_ping_pong, &pb);
	start = bed_now_us(CLOCK_MONOTONIC);
	bed_let_go(&ca);
	bed_let_go(&cb);
	bed_reap(&ca);
	bed_reap(&cb);
	for (int i = 0; i < 2; i++) {
		close(ab[i]);
		close(ba[i]);
	}
	return (bed_now_us(CLOCK_MONOTONIC) - start) * 1000.0 / ROUNDS;
}

static int act_storm(void *arg)
{
	(void)arg;
	for (int i = 0; i < EXITS; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	return 0;
}

/* Returns ns of a fork, an exit and a wait. */
static double storm(const struct bed_cgroup *cg)
{
	struct bed_child c = bed_spawn(cg, act_storm, NULL);
	uint64_t start = bed_now_us(CLOCK_MONOTONIC);

	bed_let_go(&c);
	bed_reap(&c);
	return (bed_now_us(CLOCK_MONOTONIC) - start) * 1000.0 / EXITS;
}

/*
 * In a process of its own: a fork of one that has the ring mapped would copy
 * that mapping, and the storm would measure it.
 */
struct holder {
	pid_t pid;
	int end;
};

static struct holder hold_witness(void)
{
	struct witness_options options = { .cgroup_root = bed_cgroup_root };
	char reason[WITNESS_REASON_SIZE], byte;
	struct holder holder;
	struct witness *w;
	int ready[2], end[2];

	if (pipe(ready) || pipe(end))
		bed_die("pipe");
	holder.pid = fork();
	if (!holder.pid) {
		close(end[1]);
		if (witness_open(&options, &w, reason, sizeof(reason))) {
			fprintf(stderr, "%s\n", reason);
			_exit(1);
		}
		if (write(ready[1], "", 1) == 1)
			_exit(read(end[0], &byte, 1) < 0);
		_exit(1);
	}
	close(ready[1]);
	close(end[0]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	close(ready[0]);
	holder.end = end[1];
	return holder;
}

/* Another tool, at work when all of its programs are loaded. */
static struct holder hold_tool(char *command)
{
	size_t before = count_programs(), now = before;
	struct holder holder = { .end = -1 };
	int still = 0;

	holder.pid = fork();
	if (!holder.pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	while (still < 20) {
		size_t n = count_programs();

		still = n > before && n == now ? still + 1 : 0;
		now = n;
		if (waitpid(holder.pid, NULL, WNOHANG) == holder.pid)
			bed_die(command);
		poll(NULL, 0, 50);
	}
	return holder;
}

static void release(struct holder holder)
{
	size_t loaded = count_programs();

	if (holder.end >= 0)
		close(holder.end);
	else
		kill(holder.pid, SIGINT);
	waitpid(holder.pid, NULL, 0);
	/* They go after a grace period. */
	while (count_programs() >= loaded)
		poll(NULL, 0, 10);
}

/* What is done with and without a tool. */
struct load {
	const char *name;
	struct bed_cgroup a, b;		/* of the two ends of a ping-pong; the same: a storm in it */
	const char *programs[3];	/* the witness's, that it runs */
};

static double run(const struct load *load)
{
	return strcmp(load->name, "fork+exit") ? ping_pong(&load->a, &load->b) : storm(&load->a);
}

/* The best of some: noise only adds. */
static double best(const struct load *load)
{
	double ns = 1e18;

	for (int i = 0; i < REPEATS; i++) {
		double t = run(load);

		ns = t < ns ? t : ns;
	}
	return ns;
}

/* The statistics cost more than the programs: in a run of their own. */
static void print_costs(const struct load *load)
{
	struct cost before[3], after;
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);

	for (size_t i = 0; i < 3 && load->programs[i]; i++)
		before[i] = read_cost(load->programs[i]);
	run(load);
	for (size_t i = 0; i < 3 && load->programs[i]; i++) {
		after = read_cost(load->programs[i]);
		printf("%s%s %.0f", i ? ", " : "", load->programs[i],
		       (double)(after.ns - before[i].ns) / (double)(after.runs - before[i].runs));
	}
	close(stats);
}

/* @command: of a tool; NULL: the witness. */
static void measure(const struct load *loads, size_t count, char *command)
{
	double without[8];
	struct holder holder;

	for (size_t i = 0; i < count; i++)
		without[i] = best(&loads[i]);
	holder = command ? hold_tool(command) : hold_witness();
	for (size_t i = 0; i < count; i++) {
		double with = best(&loads[i]);

		printf("| %s | %s | %.0f | %.0f | %+.2f | ", command ? command : "the witness",
		       loads[i].name, without[i], with, (with / without[i] - 1) * 100);
		if (!command)
			print_costs(&loads[i]);
		printf(" |\n");
		fflush(stdout);
	}
	release(holder);
}

static int ignore_exit(void *ctx, const struct witness_exit *ev)
{
	(void)ctx;
	(void)ev;
	return 0;
}

static int hold(void)
{
	struct witness_options options = { .cgroup_root = bed_cgroup_root };
	char reason[WITNESS_REASON_SIZE];
	struct pollfd fds[2];
	struct witness *w;

	if (witness_open(&options, &w, reason, sizeof(reason))) {
		fprintf(stderr, "%s\n", reason);
		return 1;
	}
	fds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = witness_fd(w), .events = POLLIN };
	signal(SIGINT, SIG_IGN);
	while (poll(fds, 2, -1) > 0 && !fds[0].revents)
		if (witness_drain(w, ignore_exit, NULL) < 0)
			break;
	witness_close(w);
	return 0;
}

static int hold_empty(void)
{
	struct empty_bpf *skel = empty_bpf__open_and_load();
	char byte;

	signal(SIGINT, SIG_IGN);
	if (!skel || empty_bpf__attach(skel))
		return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	empty_bpf__destroy(skel);
	return 0;
}

static int fork_exec(int count)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			execl("/proc/self/exe", "exit", NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct load loads[] = {
		{ .name = "pipe, two containers", .programs = { "witness_switch" } },
		{ .name = "pipe, one container", .programs = { "witness_switch" } },
		{ .name = "pipe, no container", .programs = { "witness_switch" } },
		{ .name = "fork+exit",
		  .programs = { "witness_process_exit", "witness_switch", "witness_signal" } },
	};

	if (!strcmp(argv[0], "exit"))
		return 0;
	if (argc == 3 && !strcmp(argv[1], "fork-exec"))
		return fork_exec(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "hold-empty"))
		return hold_empty();
	if (bed_find_cgroups()) {
		fprintf(stderr, "no cgroup v2 is mounted\n");
		return 1;
	}
	if (argc == 2 && !strcmp(argv[1], "hold"))
		return hold();
	loads[0].a = loads[1].a = loads[1].b = loads[3].a = bed_make_cgroup("/docker/%s", bed_new_id());
	loads[0].b = bed_make_cgroup("/docker/%s", bed_new_id());
	loads[2].a = loads[2].b = bed_make_cgroup("/bench-witness");
	printf("Linux %s, %ld CPUs, best of %d.\n\n", bed_release(), sysconf(_SC_NPROCESSORS_ONLN), REPEATS);
	printf("| with | load | ns alone | ns with it | slower by %% | its programs' ns a run |\n"
	       "|---|---|---|---|---|---|\n");
	measure(loads, sizeof(loads) / sizeof(loads[0]), NULL);
	for (int i = 1; i < argc; i++)
		measure(loads, sizeof(loads) / sizeof(loads[0]), argv[i]);
	bed_remove_all();
	return 0;
}
