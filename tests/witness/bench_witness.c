// SPDX-License-Identifier: GPL-2.0
/*
 * What the witness costs: nanoseconds of its programs at a context switch and
 * at an exit, by the kernel's own BPF statistics (which count some 50 to 70 ns
 * for a program that does nothing), and the round trip of a ping-pong with and
 * without it. Needs root.
 *
 * bench_witness hold: only keeps a witness, and reads its events as the daemon
 *	does, until standard input ends
 * bench_witness fork-exec N: only forks and executes so often, as a load
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/witness/bed.h"
#include "userspace/io/witness.h"

#define ROUNDS 100000
#define EXITS 5000
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

static void release_witness(struct holder holder)
{
	close(holder.end);
	waitpid(holder.pid, NULL, 0);
}

struct bench {
	const char *name;
	const char *program;
	struct bed_cgroup a, b;	/* the same cgroup: a storm in it */
};

static double run(const struct bench *bench, int is_storm)
{
	return is_storm ? storm(&bench->a) : ping_pong(&bench->a, &bench->b);
}

/* The best of some pairs, with and without in turn: noise only adds. */
static void measure(const struct bench *bench, int is_storm)
{
	double on = 1e18, off = 1e18, ns = 1e18, t;

	for (int i = 0; i < REPEATS; i++) {
		struct holder holder;
		struct cost before, after;
		int stats;

		t = run(bench, is_storm);
		off = t < off ? t : off;
		holder = hold_witness();
		t = run(bench, is_storm);
		on = t < on ? t : on;
		/* The statistics cost more than the programs: in a run of their own. */
		stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
		before = read_cost(bench->program);
		run(bench, is_storm);
		after = read_cost(bench->program);
		t = (double)(after.ns - before.ns) / (after.runs - before.runs);
		ns = t < ns ? t : ns;
		close(stats);
		release_witness(holder);
	}
	printf("%-36s %-21s %7.1f ns/run  without %9.0f ns, with %9.0f ns: %+.2f %%\n", bench->name,
	       bench->program, ns, off, on, (on - off) * 100 / off);
	fflush(stdout);
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
	struct bench bench = { .program = "witness_switch" };

	if (!strcmp(argv[0], "exit"))
		return 0;
	if (argc == 3 && !strcmp(argv[1], "fork-exec"))
		return fork_exec(atoi(argv[2]));
	if (bed_find_cgroups()) {
		fprintf(stderr, "no cgroup v2 is mounted\n");
		return 1;
	}
	if (argc == 2 && !strcmp(argv[1], "hold"))
		return hold();
	printf("kernel %s, best of %d\n", bed_release(), REPEATS);

	bench.name = "ping-pong, two containers";
	bench.a = bed_make_cgroup("/docker/%s", bed_new_id());
	bench.b = bed_make_cgroup("/docker/%s", bed_new_id());
	measure(&bench, 0);
	bench.name = "ping-pong, one container";
	bench.b = bench.a;
	measure(&bench, 0);
	bench.name = "fork and exit, one container";
	bench.program = "witness_process_exit";
	measure(&bench, 1);
	bench.name = "ping-pong, no container";
	bench.program = "witness_switch";
	bench.a = bench.b = bed_make_cgroup("/bench-witness");
	measure(&bench, 0);
	bed_remove_all();
	return 0;
}
