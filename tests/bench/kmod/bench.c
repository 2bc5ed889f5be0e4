// SPDX-License-Identifier: GPL-2.0
/*
 * Runs as root in a bare guest with the module loaded:
 *	bench PS ROUNDS PROCESSES...
 * Each round asks every reader once or more, one after the other, so that what the
 * host does meanwhile meets them all; ratios are taken within a round. Prints the
 * table of kmod/BENCHMARK.md.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reader.h"

#define CONTAINERS 50
#define ROUNDS_MAX 16
#define READERS 5
#define CGROUP_ROOT "/sys/fs/cgroup"

/* A reading that is shorter is repeated until it has taken this long. */
#define ROUND_US 200000

#define TICK_US 500

/* From here on the slow readers take so long that they are asked less often. */
#define MANY 10000

static const struct reader *const in_process[] = { &reader_module, &reader_bpf, &reader_procfs,
						   &reader_proc2 };
static const char *ps;

struct figures {
	double cpu_us, wall_us;
	size_t processes, bytes;
	long kernel_kib;
};

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static double now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

static long read_number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		fail(path);
	close(fd);
	return atol(text);
}

static void container(char *path, unsigned int n)
{
	sprintf(path, CGROUP_ROOT "/docker/%064x", n % CONTAINERS);
}

/* --- the processes --- */

static pid_t *crowd;
static unsigned int crowded;

/* As exec leaves it: an argument list of its own, and a few pages. */
static void grow(unsigned int processes)
{
	for (; crowded < processes; crowded++) {
		crowd[crowded] = fork();
		if (crowd[crowded] < 0)
			fail("fork");
		if (crowd[crowded])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static void place(unsigned int from, unsigned int to, bool inside)
{
	for (unsigned int i = from; i < to; i++) {
		char path[256] = CGROUP_ROOT "/elsewhere", number[16];

		if (inside)
			container(path, i);
		strcat(path, "/cgroup.procs");
		sprintf(number, "%d", crowd[i]);
		write_file(path, number);
	}
}

/* --- the readings --- */

static void measure(const struct reader *reader, struct figures *ret)
{
	double cpu = now_us(CLOCK_PROCESS_CPUTIME_ID), wall = now_us(CLOCK_MONOTONIC), elapsed;
	struct reader_result result;
	unsigned int n = 0;

	do {
		reader->read(&result);
		n++;
		elapsed = now_us(CLOCK_MONOTONIC) - wall;
	} while (elapsed < ROUND_US);
	ret->cpu_us = (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) / n;
	ret->wall_us = elapsed / n;
	ret->processes = reader->count ? reader->count() : result.processes;
	ret->bytes = result.bytes;
}

static void measure_ps(struct figures *ret)
{
	double wall = now_us(CLOCK_MONOTONIC);
	static char text[1 << 16];
	struct rusage used;
	int ends[2];
	pid_t pid;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC))
		fail("pipe2");
	pid = fork();
	if (!pid) {
		dup2(ends[1], 1);
		execl(ps, "ps", "-eo",
		      "pid,ppid,comm,cgroup:200,stat,nlwp,lstart,vsz,rss,pmem,pcpu,cputimes,args", NULL);
		_exit(1);
	}
	close(ends[1]);
	ret->bytes = ret->processes = 0;
	while ((n = read(ends[0], text, sizeof(text))) > 0) {
		ret->bytes += n;
		for (ssize_t i = 0; i < n; i++)
			ret->processes += text[i] == '\n';
	}
	close(ends[0]);
	if (wait4(pid, NULL, 0, &used) < 0)
		fail("wait4");
	ret->cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec +
		      used.ru_stime.tv_usec;
	ret->wall_us = now_us(CLOCK_MONOTONIC) - wall;
}

/* Whether a reader is at it, its own start over; in memory that all share. */
static volatile bool *reading;

/* A child has begun(), and sits in a cgroup where only what it reads is charged. */
static void run(const struct reader *reader, struct figures *ret)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		fail("fork");
	if (!pid) {
		cpu_set_t cpu;
		long before;

		CPU_ZERO(&cpu);
		CPU_SET(0, &cpu);
		sched_setaffinity(0, sizeof(cpu), &cpu);
		if (!reader) {
			*reading = true;
			measure_ps(ret);
			*reading = false;
			_exit(0);
		}
		if (reader->begin())
			_exit(2);
		mkdir(CGROUP_ROOT "/reader", 0755);
		write_file(CGROUP_ROOT "/reader/cgroup.procs", "0");
		before = read_number(CGROUP_ROOT "/reader/memory.peak");
		*reading = true;
		measure(reader, ret);
		*reading = false;
		ret->kernel_kib = (read_number(CGROUP_ROOT "/reader/memory.peak") - before) / 1024;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	rmdir(CGROUP_ROOT "/reader");
	if (status)
		ret->cpu_us = 0;
}

/*
 * Highest priority on the reader's CPU: what it waits for is what may not be interrupted.
 * A kernel without full preemption lets it run where the reader offers that, returns to
 * user space or sleeps; sections under RCU lie in between, so that they are no longer.
 */
static void metronome(double *worst)
{
	struct sched_param first = { .sched_priority = 50 };

	if (sched_setscheduler(0, SCHED_FIFO, &first))
		fail("SCHED_FIFO");
	for (;;) {
		bool counts = *reading;
		struct timespec next;
		double late;

		clock_gettime(CLOCK_MONOTONIC, &next);
		next.tv_nsec += TICK_US * 1000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		late = now_us(CLOCK_MONOTONIC) - next.tv_sec * 1e6 - next.tv_nsec / 1e3;
		if (counts && *reading && late > *worst)
			*worst = late;
	}
}

static double lateness(const struct reader *reader)
{
	double *worst = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct figures *unused = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double late;
	pid_t pid;

	if (worst == MAP_FAILED || unused == MAP_FAILED)
		fail("mmap");
	pid = fork();
	if (!pid) {
		cpu_set_t cpu;

		CPU_ZERO(&cpu);
		CPU_SET(0, &cpu);
		sched_setaffinity(0, sizeof(cpu), &cpu);
		metronome(worst);
	}
	run(reader, unused);
	late = *worst;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(worst, 4096);
	munmap(unused, 4096);
	return late;
}

/* Of user space alone: what the machine itself is late by. */
static int idle_begin(void)
{
	return 0;
}

static void idle_read(struct reader_result *ret)
{
	*ret = (struct reader_result){};
	for (double begin = now_us(CLOCK_MONOTONIC); now_us(CLOCK_MONOTONIC) - begin < 1000;)
		;
}

static const struct reader reader_none = { .name = "none", .begin = idle_begin, .read = idle_read };

/* --- the table --- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), ascending);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void compare(unsigned int processes, unsigned int inside, int rounds)
{
	struct figures *f = mmap(NULL, sizeof(*f) * READERS, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double cpu[READERS][ROUNDS_MAX], wall[READERS][ROUNDS_MAX], ratio[READERS][ROUNDS_MAX];

	if (f == MAP_FAILED)
		fail("mmap");
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < READERS; i++) {
			run(i < READERS - 1 ? in_process[i] : NULL, &f[i]);
			cpu[i][round] = f[i].cpu_us;
			wall[i][round] = f[i].wall_us;
			ratio[i][round] = f[i].cpu_us / f[0].cpu_us;
		}
	}
	printf("\n%u processes, %u of them in %d containers; beside a program that only spins, others are up to %.0f us late\n\n",
	       processes, inside, CONTAINERS, lateness(&reader_none));
	printf("| reader | seen | CPU us | us a process | latency us | bytes | kernel KiB | others late us | times the module's CPU (least to most) |\n");
	printf("|---|---|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < READERS; i++) {
		const struct reader *reader = i < READERS - 1 ? in_process[i] : NULL;
		double middle = median(cpu[i], rounds), times = median(ratio[i], rounds);
		char late[16] = "-";

		if (!f[i].cpu_us) {
			printf("| %s | could not be had |\n", reader ? reader->name : "ps");
			continue;
		}
		/* what takes a minute a reading is read once less */
		if (processes < MANY || i < 3)
			sprintf(late, "%.0f", lateness(reader));
		printf("| %s | %zu | %.0f | %.2f | %.0f | %zu | %ld | %s | %.2f (%.2f to %.2f) |\n",
		       reader ? reader->name : "ps", f[i].processes, middle, middle / processes,
		       median(wall[i], rounds), f[i].bytes, f[i].kernel_kib, late, times,
		       ratio[i][0], ratio[i][rounds - 1]);
		fflush(stdout);
	}
	munmap(f, sizeof(*f) * READERS);
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[2]) : 0;

	if (rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	ps = argv[1];
	reading = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reading == MAP_FAILED)
		fail("mmap");
	crowd = calloc(1 << 16, sizeof(*crowd));
	mkdir(CGROUP_ROOT "/docker", 0755);
	mkdir(CGROUP_ROOT "/elsewhere", 0755);
	for (unsigned int i = 0; i < CONTAINERS; i++) {
		char path[256];

		container(path, i);
		mkdir(path, 0755);
	}
	for (int i = 3; i < argc && argv[i][0] != '-'; i++) {
		unsigned int processes = atoi(argv[i]);
		int n = processes < MANY ? rounds : (rounds + 2) / 3;

		grow(processes);
		place(0, processes / 20, true);
		place(processes / 20, processes, false);
		compare(processes, processes / 20, n);
		place(processes / 20, processes, true);
		compare(processes, processes, n);
	}
	for (unsigned int i = 0; i < crowded; i++)
		kill(crowd[i], SIGKILL);
	return 0;
}
