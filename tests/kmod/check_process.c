// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "procfs.h"
#include "subject.h"
#include "tap.h"

/* Burns CPU until this thread has had that much. */
static void burn_us(int64_t us)
{
	struct timespec spent;

	do {
		must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent));
	} while (spent.tv_sec * 1000000LL + spent.tv_nsec / 1000 < us);
}

static void *burn_thread(void *us)
{
	burn_us((intptr_t)us);
	return NULL;
}

static void *wait_thread(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void act_burn(void *us)
{
	burn_us((intptr_t)us);
}

static void act_touch_memory(void *shared)
{
	size_t size = 24 << 20;
	char *memory = must(mmap(NULL, size, PROT_READ | PROT_WRITE,
				 MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0));

	memset(memory, 1, size / 2);
}

static void act_map_file(void *unused)
{
	int fd = must(open("/proc/self/exe", O_RDONLY));
	struct stat st;
	char *file;

	(void)unused;
	must(fstat(fd, &st));
	file = must(mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0));
	for (off_t at = 0; at < st.st_size; at += 4096)
		(void)*(volatile char *)(file + at);
}

static void act_threads(void *unused)
{
	pthread_t thread;

	(void)unused;
	for (int i = 0; i < 5; i++)
		pthread_create(&thread, NULL, wait_thread, NULL);
}

#define BURNED_BY_DEAD_US 100000

static void act_dead_threads(void *unused)
{
	pthread_t threads[3];

	(void)unused;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, burn_thread, (void *)BURNED_BY_DEAD_US);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* joined is not yet gone */
	while (procfs_number("/proc/self/status", "Threads:") > 1)
		usleep(1000);
}

static void fields_are_right(void)
{
	static const struct {
		void (*act)(void *);
		void *arg;
	} acts[] = {
		{ NULL, NULL },
		{ act_burn, (void *)150000 },
		{ act_touch_memory, NULL },
		{ act_touch_memory, (void *)1 },
		{ act_map_file, NULL },
		{ act_threads, NULL },
		{ act_dead_threads, NULL },
	};
	pid_t pids[sizeof(acts) / sizeof(acts[0])];
	struct json_object *document;
	const size_t n = sizeof(acts) / sizeof(acts[0]);

	for (size_t i = 0; i < n; i++)
		pids[i] = subject_start(DOCKER_A, acts[i].act, acts[i].arg);
	document = document_take();
	for (size_t i = 0; i < n; i++) {
		printf("# act %zu\n", i);
		expect_fields(document, pids[i]);
	}
	tap_expect(document_number(document_process(document, pids[2]), "Rss") >= 12 << 10,
		   "12 MiB of anonymous memory are not in Rss");
	tap_expect(document_number(document_process(document, pids[3]), "Rss") >= 12 << 10,
		   "12 MiB of shared memory are not in Rss");
	tap_expect(document_number(document_process(document, pids[5]), "Threads") == 6,
		   "not 6 threads");
	tap_expect(document_number(document_process(document, pids[6]), "CPUTimeUs") >=
			   3 * BURNED_BY_DEAD_US,
		   "CPU time of dead threads is lost");
	json_object_put(document);
	for (size_t i = 0; i < n; i++)
		subject_end(pids[i]);
}

static void zombies_are_right(void)
{
	pid_t pid = subject_start(DOCKER_A, act_dead_threads, NULL);
	struct json_object *document, *process;

	must(kill(pid, SIGKILL));
	subject_wait_state(pid, 'Z');
	document = document_take();
	expect_fields(document, pid);
	process = document_process(document, pid);
	tap_expect(process && document_number(process, "Vsz") == 0 &&
			   document_number(process, "Rss") == 0,
		   "a zombie has memory");
	tap_expect(process && document_number(process, "CPUTimeUs") >= 3 * BURNED_BY_DEAD_US,
		   "CPU time is lost");
	json_object_put(document);
	must(waitpid(pid, NULL, 0));
}

/* The process lives on in its other thread, and so does its memory; /proc/PID/stat shows none. */
static void ended_leaders_have_memory(void)
{
	pid_t pid = must(fork());
	struct json_object *document, *process;
	pthread_t thread;

	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		subject_enter(DOCKER_A);
		pthread_create(&thread, NULL, wait_thread, NULL);
		pthread_exit(NULL);
	}
	subject_wait_state(pid, 'Z');
	document = document_take();
	process = document_process(document, pid);
	if (tap_expect(process, "not listed")) {
		tap_expect(!strcmp(document_string(process, "State"), "Z"), "State: %s",
			   document_string(process, "State"));
		tap_expect(document_number(process, "Threads") == 2, "Threads: %ld",
			   document_number(process, "Threads"));
		tap_expect(document_number(process, "Vsz") > 0, "no memory");
		tap_expect(*document_string(process, "Cmdline"), "no arguments");
	}
	json_object_put(document);
	subject_end(pid);
}

/* --- in the middle of exec --- */

static void act_exec_without_end(void *unused)
{
	char *page = subject_missing_page();

	(void)unused;
	subject_busy();
	execve("/proc/self/exe", (char *[]){ page, NULL }, (char *[]){ NULL });
}

/* The kernel copies the new arguments, and waits for a page of them: all is as before. */
static void exec_has_not_yet_happened(void)
{
	pid_t pid = subject_start(DOCKER_A, act_exec_without_end, NULL);
	struct json_object *document;
	char call[256];

	do {
		procfs_read_of(pid, "syscall", call, sizeof(call));
	} while (atoi(call) != SYS_execve);
	document = document_take();
	expect_fields(document, pid);
	json_object_put(document);
	subject_end(pid);
}

/* What an exec by a thread that is not the leader needs, and tells. */
struct exec_by_thread {
	int go[2];
	pid_t tid;
};

static void *exec_thread(void *arg)
{
	struct exec_by_thread *exec = arg;
	char byte;

	burn_us(50000);
	exec->tid = gettid();
	must(read(exec->go[0], &byte, 1));
	execve("/proc/self/exe", (char *[]){ "another", "life", NULL }, (char *[]){ NULL });
	return NULL;
}

static void act_exec_by_thread(void *arg)
{
	struct exec_by_thread *exec = arg;
	pthread_t thread;

	pthread_create(&thread, NULL, exec_thread, exec);
	while (!*(volatile pid_t *)&exec->tid)
		usleep(1000);
	subject_wait_state(exec->tid, 'S');
}

static void trace(pid_t tid)
{
	must(ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC));
}

static void wait_event(pid_t tid, int event)
{
	int status;

	must(waitpid(tid, &status, __WALL));
	if (status >> 8 != (SIGTRAP | event << 8))
		tap_bail_out("another event than was traced");
}

/*
 * The kernel ends the other threads, and the one that calls exec takes the leader's
 * place: held where the leader is about to end, and where the new program is about to
 * begin. It stays one process, and its CPU time grows.
 */
static void exec_is_under_way(void)
{
	struct exec_by_thread *exec = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE,
						MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	struct json_object *document, *process;
	int64_t cpu_us;
	pid_t pid;

	must(pipe(exec->go));
	pid = subject_start(DOCKER_A, act_exec_by_thread, exec);
	trace(pid);
	trace(exec->tid);
	must(write(exec->go[1], "", 1));

	wait_event(pid, PTRACE_EVENT_EXIT);
	document = document_take();
	process = document_process(document, pid);
	expect_fields(document, pid);
	tap_expect(!document_process(document, exec->tid), "a thread is listed");
	cpu_us = process ? document_number(process, "CPUTimeUs") : 0;
	tap_expect(cpu_us >= 50000, "the thread's CPU time is missing");
	json_object_put(document);

	must(ptrace(PTRACE_CONT, pid, 0, 0));
	wait_event(pid, PTRACE_EVENT_EXEC);
	document = document_take();
	process = document_process(document, pid);
	expect_fields(document, pid);
	tap_expect(process && !strcmp(document_string(process, "Cmdline"), "another life"),
		   "not the new program's arguments");
	tap_expect(process && document_number(process, "CPUTimeUs") >= cpu_us,
		   "CPU time is lost by exec");
	json_object_put(document);

	must(ptrace(PTRACE_DETACH, pid, 0, 0));
	subject_end(pid);
	close(exec->go[0]);
	close(exec->go[1]);
	munmap(exec, 4096);
}

static void act_churn(void *unused)
{
	(void)unused;
	subject_busy();
	for (;;) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			if (pthread_create(&threads[i], NULL, burn_thread, (void *)500))
				tap_bail_out("pthread_create");
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
}

static void cpu_time_never_goes_back(void)
{
	static const char *const keys[] = { "UserTimeUs", "SystemTimeUs", "CPUTimeUs" };
	int64_t last[3][3] = {}, first[3] = {};
	pid_t pids[3];

	for (int i = 0; i < 3; i++)
		pids[i] = subject_start(DOCKER_A, act_churn, NULL);
	for (int round = 0; round < 400; round++) {
		struct json_object *document = document_take();

		for (int i = 0; i < 3; i++) {
			struct json_object *process = document_process(document, pids[i]);

			if (!tap_expect(process, "not listed"))
				continue;
			for (int k = 0; k < 3; k++) {
				int64_t value = document_number(process, keys[k]);

				tap_expect(value >= last[i][k], "%s: %ld after %ld", keys[k],
					   value, last[i][k]);
				last[i][k] = value;
			}
			if (!round)
				first[i] = last[i][2];
			/* others who ask must not upset it */
			struct procfs_stat stat;

			procfs_stat(pids[i], &stat);
		}
		json_object_put(document);
	}
	for (int i = 0; i < 3; i++) {
		tap_expect(last[i][2] > first[i], "no CPU time at all");
		subject_end(pids[i]);
	}
}

static void act_namespaces(void *inner)
{
	pid_t pid;

	must(unshare(CLONE_NEWUSER | CLONE_NEWPID));
	pid = must(fork());
	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (;;)
			pause();
	}
	*(pid_t *)inner = pid;
}

/* Pids are the host's, also of those who know themselves by another. */
static void pids_are_the_hosts(void)
{
	pid_t *inner = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0));
	pid_t outer = subject_start(DOCKER_A, act_namespaces, inner);
	struct json_object *document;

	subject_wait_state(*inner, 'S');
	document = document_take();
	expect_fields(document, outer);
	expect_fields(document, *inner);
	tap_expect(document_number(document_process(document, *inner), "PPID") == outer,
		   "its parent is another");
	json_object_put(document);
	subject_end(outer);
	munmap(inner, 4096);
}

static void all_processes_can_be_listed(void)
{
	struct json_object *document, *process;
	pid_t inside = subject_start(DOCKER_A, NULL, NULL);
	pid_t outside = subject_start("/", NULL, NULL);
	size_t listed = 0, kernel_threads = 0;
	struct dirent *entry;
	DIR *proc;

	module_reload("scope=all");
	document = document_take();
	expect_fields(document, inside);
	expect_fields(document, outside);
	process = document_process(document, inside);
	tap_expect(!strcmp(document_string(process, "ContainerID"), HEX_A), "not in a container");
	process = document_process(document, outside);
	tap_expect(!*document_string(process, "ContainerID") &&
			   !*document_string(process, "Runtime") &&
			   !strcmp(document_string(process, "Cgroup"), "/"),
		   "in a container");
	tap_expect(document_number(process, "CgroupID") == cgroup_inode("/"), "CgroupID of /");

	proc = opendir("/proc");
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		struct procfs_stat stat;

		if (!pid)
			continue;
		process = document_process(document, pid);
		/* the kernel starts and ends workers as it likes */
		if (!process)
			continue;
		listed++;
		procfs_stat(pid, &stat);
		if (stat.vsz_bytes || stat.state == 'Z')
			continue;
		kernel_threads++;
		tap_expect(document_string_is(process, "Cmdline", "", 0) &&
				   document_number(process, "Vsz") == 0 &&
				   document_number(process, "Rss") == 0,
			   "a kernel thread has memory");
		tap_expect(document_number(process, "PPID") == stat.ppid, "its PPID");
	}
	closedir(proc);
	tap_expect(document_process(document, 1) && document_process(document, 2) &&
			   document_process(document, getpid()),
		   "1, 2 or this process is missing");
	tap_expect(kernel_threads > 10, "only %zu kernel threads", kernel_threads);
	tap_expect(json_object_array_length(json_object_object_get(document, "Processes")) <=
			   listed + 5, "more listed than there are");
	json_object_put(document);
	module_reload("");
	document = document_take();
	tap_expect(!document_process(document, outside), "still listed");
	json_object_put(document);
	subject_end(inside);
	subject_end(outside);
}

void check_process(void)
{
	tap_run("every field of a process is the kernel's", fields_are_right);
	tap_run("zombies", zombies_are_right);
	tap_run("a process whose leader has ended", ended_leaders_have_memory);
	tap_run("exec that waits for its arguments", exec_has_not_yet_happened);
	tap_run("exec by a thread, step by step", exec_is_under_way);
	tap_run("pids are the host's, in other namespaces too", pids_are_the_hosts);
	tap_run("CPU time never goes back", cpu_time_never_goes_back);
	tap_run("scope=all lists every process", all_processes_can_be_listed);
}
