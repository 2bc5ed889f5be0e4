// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/kmod/subject.h"
#include "tests/kmod/tap.h"
#include "torture.h"

#define EXECED "--execed"

/* Of the cgroup that readers and this share; its page cache alone could fill it. */
#define PRESSED_BYTES "16777216"

static int64_t now_us(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now));
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/*
 * Ends a round of a storm: rests nine times as long as it took. What counts is how many
 * snapshots meet a change, not how many changes there are; and a round takes its time
 * when there are few, on a slow machine too.
 */
static void rest(void)
{
	static int64_t begin_us;

	if (begin_us)
		usleep(9 * (now_us() - begin_us));
	begin_us = now_us();
}

static void container(char *path, unsigned int n)
{
	snprintf(path, TORTURE_CONTAINER_SIZE, TORTURE_CONTAINER, n);
}

static void enter_container(unsigned int n)
{
	char path[TORTURE_CONTAINER_SIZE];

	container(path, n);
	subject_cgroup(path);
	subject_enter(path);
}

static void wait_children(unsigned int n)
{
	while (n--)
		must(wait(NULL));
}

static void random_name(void)
{
	char name[16];

	torture_fill(name, sizeof(name) - 1);
	name[15] = '\0';
	must(prctl(PR_SET_NAME, name));
}

/* --- each is a process that goes on for ever --- */

static void storm_fork(unsigned int n)
{
	enter_container(n);
	for (;;) {
		unsigned int children = 1 + torture_random(8);

		for (unsigned int i = 0; i < children; i++) {
			if (must(fork()))
				continue;
			torture_seed();
			random_name();
			/* A parent that is gone before its child. */
			if (torture_random(2) && must(fork()))
				_exit(0);
			if (torture_random(2))
				torture_pause();
			_exit(0);
		}
		wait_children(children);
		torture_counts->forks += children;
		rest();
	}
}

static void storm_exec(unsigned int n)
{
	static char argument[40000];

	enter_container(n);
	for (;;) {
		pid_t pid;

		torture_fill(argument, torture_random(sizeof(argument) - 1));
		pid = must(fork());
		if (!pid) {
			execl("/proc/self/exe", "execed", EXECED, "3", argument, NULL);
			_exit(1);
		}
		must(waitpid(pid, NULL, 0));
		torture_counts->execs += 4;
		rest();
	}
}

/* argv: a name, EXECED, how often still, anything */
void storms_main(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], EXECED))
		return;
	if (*argv[2] == '0')
		_exit(0);
	argv[2][0]--;
	execv("/proc/self/exe", argv);
	_exit(1);
}

static void *thread_ends(void *arg)
{
	usleep(torture_random(500));
	return arg;
}

static void *thread_stays(void *arg)
{
	usleep(torture_random(20000));
	_exit(0);
	return arg;
}

static void storm_threads(unsigned int n)
{
	enter_container(n);
	for (;;) {
		pthread_t threads[8];
		pid_t pid;

		for (unsigned int i = 0; i < 8; i++)
			must(-pthread_create(&threads[i], NULL, thread_ends, NULL));
		for (unsigned int i = 0; i < 8; i++)
			must(-pthread_join(threads[i], NULL));
		torture_counts->threads += 8;

		/* A process whose leader has ended. */
		pid = must(fork());
		if (!pid) {
			must(-pthread_create(&threads[0], NULL, thread_stays, NULL));
			pthread_exit(NULL);
		}
		must(waitpid(pid, NULL, 0));
		torture_counts->leaders++;
		rest();
	}
}

/* A container that comes, nests and goes, at times before its last process is buried. */
static void storm_cgroups(unsigned int n)
{
	for (unsigned int id = n << 16;; id++) {
		char path[TORTURE_CONTAINER_SIZE + 32];
		siginfo_t info;
		pid_t pid;

		container(path, id);
		strcat(path, "/a/b\"\x80/c");
		subject_cgroup(path);
		pid = must(fork());
		if (!pid) {
			subject_enter(path);
			torture_pause();
			_exit(0);
		}
		must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
		if (torture_random(2)) {
			must(waitpid(pid, NULL, 0));
			pid = 0;
		}
		subject_cgroup_remove(path);
		if (pid)
			must(waitpid(pid, NULL, 0));
		torture_counts->cgroups += 4;
		rest();
	}
}

static void storm_migrate(unsigned int n)
{
	char paths[2][TORTURE_CONTAINER_SIZE];
	pid_t pid;

	for (unsigned int i = 0; i < 2; i++) {
		container(paths[i], (n << 8) + i);
		subject_cgroup(paths[i]);
	}
	pid = must(fork());
	if (!pid) {
		pthread_t thread;

		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (;;) {
			must(-pthread_create(&thread, NULL, thread_ends, NULL));
			must(-pthread_join(thread, NULL));
			rest();
		}
	}
	for (unsigned int i = 0;; i++) {
		char file[256], number[16];
		int fd;

		snprintf(file, sizeof(file), SUBJECT_CGROUP_ROOT "%s/cgroup.procs", paths[i % 2]);
		fd = must(open(file, O_WRONLY | O_CLOEXEC));
		must(write(fd, number, sprintf(number, "%d", pid)));
		close(fd);
		torture_counts->migrations++;
		rest();
	}
}

/* Its own memory map and argument list, while they are looked at. */
static void storm_maps(unsigned int n)
{
	extern char **environ;
	char *title = environ[0] ? environ[0] : NULL;

	enter_container(n);
	for (;;) {
		for (unsigned int i = 0; i < 50; i++) {
			size_t len = 4096 * (1 + torture_random(64));
			char *at = must(mmap(NULL, len, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

			at[torture_random(len)] = 1;
			must(madvise(at, len, MADV_DONTNEED));
			must(munmap(at, len));
			torture_counts->maps++;
		}
		if (title)
			torture_fill(title, strlen(title));
		random_name();
		rest();
	}
}

static void storm_pressure(unsigned int n)
{
	static char buffer[1 << 20];
	int fd = must(open("/dev/vda", O_RDONLY | O_CLOEXEC));

	(void)n;
	subject_enter("/pressed");
	for (;;) {
		ssize_t got = must(read(fd, buffer, sizeof(buffer)));

		if (!got) {
			must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
			must(lseek(fd, 0, SEEK_SET));
		}
		torture_counts->pressed_mib += got >> 20;
		rest();
	}
}

bool storms_load(const char *parameters)
{
	int fd = must(open(torture_module, O_RDONLY | O_CLOEXEC));
	bool done = !syscall(SYS_finit_module, fd, parameters, 0);

	close(fd);
	return done;
}

bool storms_unload(void)
{
	return !syscall(SYS_delete_module, "sysinfo", O_NONBLOCK);
}

static void storm_reload(unsigned int n)
{
	/* Of all processes seldom: most of those nobody changes, and a snapshot takes longer. */
	static const char *const parameters[] = {
		"mode=0444", "mode=0444", "mode=0444", "mode=0444", "mode=0444",
		"mode=0444 cmdline=0", "mode=0444 cmdline=0", "mode=0444 scope=all",
	};
	const unsigned int n_parameters = sizeof(parameters) / sizeof(parameters[0]);

	(void)n;
	for (;;) {
		if (!storms_unload())
			tap_bail_out("unload");
		usleep(torture_random(20000));
		if (!storms_load(parameters[torture_random(n_parameters)]))
			tap_bail_out("load");
		torture_counts->reloads++;
		rest();
	}
}

unsigned int storms_start(void)
{
	static void (*const loops[])(unsigned int arg) = {
		storm_fork,    storm_fork, storm_exec,	   storm_threads, storm_cgroups,
		storm_migrate, storm_maps, storm_pressure, storm_reload,
	};
	const unsigned int n = sizeof(loops) / sizeof(loops[0]);

	subject_cgroup("/pressed");
	torture_write(SUBJECT_CGROUP_ROOT "/pressed/memory.max", PRESSED_BYTES);
	for (unsigned int i = 0; i < n; i++)
		torture_start(loops[i], i + 1);
	return n;
}
