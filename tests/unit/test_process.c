// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "userspace/host/process.h"

#define PATIENCE_MS 20000
#define MEMLOCK_AT_START 65536

/* What done was told. */
struct result {
	unsigned int times;
	int status;
	char *out;
	size_t out_len;
	char *err;
};

struct fixture {
	sd_event *event;
	unsigned int descriptors;
};

/* Each test works in a folder of its own, which is its working directory. */
static char folder[64];

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int enter(void **state)
{
	static struct fixture f;

	strcpy(folder, "/tmp/test-process-XXXXXX");
	if (!mkdtemp(folder) || chdir(folder))
		return -1;
	f.descriptors = count_descriptors();
	*state = &f;
	return sd_event_new(&f.event) < 0 ? -1 : 0;
}

/* No test leaves a child or a descriptor. */
static int leave(void **state)
{
	struct fixture *f = *state;
	char command[128];

	sd_event_unref(f->event);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (chdir("/") || system(command))
		return -1;
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
		print_error("there is a child left\n");
		return -1;
	}
	if (count_descriptors() != f->descriptors) {
		print_error("%u descriptors became %u\n", f->descriptors, count_descriptors());
		return -1;
	}
	return 0;
}

static void keep_result(void *ctx, int status, const char *out, size_t out_len, const char *err)
{
	struct result *r = ctx;

	assert_int_equal(out[out_len], '\0');
	r->times++;
	r->status = status;
	r->out = malloc(out_len + 1);
	assert_non_null(r->out);
	memcpy(r->out, out, out_len + 1);
	r->out_len = out_len;
	r->err = strdup(err);
}

static void free_result(struct result *r)
{
	free(r->out);
	free(r->err);
	*r = (struct result){ 0 };
}

static void run_until_told(sd_event *event, const struct result *r, unsigned int times)
{
	double end = now_ms() + PATIENCE_MS;

	while (r->times < times) {
		assert_true(now_ms() < end);
		assert_true(sd_event_run(event, 1000000) >= 0);
	}
}

static void run_program(struct fixture *f, struct process_options *o, struct result *r)
{
	o->done = keep_result;
	o->ctx = r;
	assert_int_equal(process_start(f->event, o, NULL), 0);
	assert_int_equal(r->times, 0);
	run_until_told(f->event, r, 1);
}

static void run_shell(struct fixture *f, const char *script, struct result *r)
{
	char *argv[] = { "sh", "-c", (char *)script, NULL };
	struct process_options o = { .argv = argv };

	run_program(f, &o, r);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(name, mode), 0);
}

static void statuses(void **state)
{
	static const struct {
		const char *script;
		int status;
		const char *out;
		const char *err;
	} cases[] = {
		{ "exit 0", 0, "", "" },
		{ "echo out; echo err >&2; exit 3", 3, "out\n", "err\n" },
		{ "exit 255", 255, "", "" },
		{ "printf part; kill -KILL $$", 128 + SIGKILL, "part", "" },
		{ "kill -SEGV $$", 128 + SIGSEGV, "", "" },
		{ "cat", 0, "", "" },
		{ "echo a >&2; echo b >/dev/stderr; echo c >&2", 0, "", "b\nc\n" },
	};
	struct result r = { 0 };
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		run_shell(*state, cases[i].script, &r);
		assert_int_equal(r.status, cases[i].status);
		assert_string_equal(r.out, cases[i].out);
		assert_string_equal(r.err, cases[i].err);
		free_result(&r);
	}
}

static void not_executable(void **state)
{
	static const struct {
		const char *name;
		int err;
	} cases[] = {
		{ "/no/such/program", -ENOENT },
		{ "no-such-program-in-path", -ENOENT },
		{ "", -ENOENT },
		{ "./plain", -EACCES },
		{ "plain", -EACCES },
		{ "/etc", -EACCES },
		{ "./plain/below", -ENOTDIR },
		{ "./orphan", -ENOEXEC },
		{ "orphan", -ENOEXEC },
		{ "./loop", -ELOOP },
	};
	struct result r = { 0 };
	size_t i;

	write_file("plain", "#!/bin/sh\n", 0644);
	write_file("orphan", "#!/no/such/interpreter\n", 0755);
	assert_int_equal(symlink("loop", "loop"), 0);
	for (i = 0; i < COUNT(cases); i++) {
		char *argv[] = { (char *)cases[i].name, NULL };
		struct process_options o = { .argv = argv };

		run_program(*state, &o, &r);
		assert_int_equal(r.status, cases[i].err);
		assert_string_equal(r.out, "");
		free_result(&r);
	}
}

static void not_started(void **state)
{
	char *argv[] = { NULL, NULL }, *true_argv[] = { "true", NULL };
	struct process_options o = { .done = keep_result };
	struct fixture *f = *state;
	struct rlimit limit, before;
	struct result r = { 0 };
	rlim_t n;

	o.ctx = &r;
	assert_int_equal(process_start(f->event, &o, NULL), -EINVAL);
	o.argv = argv;
	assert_int_equal(process_start(f->event, &o, NULL), -EINVAL);
	/* With each number of descriptors that doesn't suffice. */
	o.argv = true_argv;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	for (n = f->descriptors - 2; n < 64; n++) {
		limit.rlim_cur = n;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (!process_start(f->event, &o, NULL))
			break;
		assert_int_equal(r.times, 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(n > f->descriptors && n < 64);
	run_until_told(f->event, &r, 1);
	assert_int_equal(r.status, 0);
	free_result(&r);
}

static void large_output(void **state)
{
	struct result r = { 0 };

	run_shell(*state, "head -c 10485760 /dev/zero | tr '\\0' x; head -c 20000 /dev/zero >&2",
		  &r);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.out_len, 10 << 20);
	assert_int_equal(strspn(r.out, "x"), 10 << 20);
	free_result(&r);
	run_shell(*state, "head -c 20000000 /dev/zero; exit 5", &r);
	assert_int_equal(r.status, 5);
	assert_int_equal(r.out_len, PROCESS_OUTPUT_MAX);
	free_result(&r);
}

static void large_input(void **state)
{
	char *argv[] = { "cat", NULL };
	struct process_options o = { .argv = argv, .input_len = 1 << 20 };
	struct result r = { 0 };
	char *input = malloc(o.input_len);
	size_t i;

	for (i = 0; i < o.input_len; i++)
		input[i] = (char)(i * 7 + i / 251);
	o.input = input;
	run_program(*state, &o, &r);
	assert_int_equal(r.out_len, o.input_len);
	assert_memory_equal(r.out, input, o.input_len);
	free(input);
	free_result(&r);
}

/* Reads what the program has written to the FIFO "ready": its pid. */
static int open_fifo(void)
{
	int fd;

	unlink("ready");
	unlink("go");
	assert_int_equal(mkfifo("ready", 0600), 0);
	assert_int_equal(mkfifo("go", 0600), 0);
	fd = open("ready", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static pid_t read_ready(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char text[32];
	ssize_t n;

	assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	return (pid_t)atoi(text);
}

/* Nobody has the FIFO open for writing any more. */
static bool is_hung_up(int fd, int timeout_ms)
{
	struct pollfd ready = { .fd = fd, .events = 0 };

	return poll(&ready, 1, timeout_ms) == 1 && ready.revents & POLLHUP;
}

static void run_until_reaped(sd_event *event)
{
	double end = now_ms() + PATIENCE_MS;

	while (waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0) {
		assert_true(now_ms() < end);
		assert_true(sd_event_run(event, 1000000) >= 0);
	}
	assert_int_equal(errno, ECHILD);
}

static const char waits_for_go[] = "exec 9>ready; printf 'said so far'; echo $$ >&9; read x <go";

static void late_and_killed(void **state)
{
	static const char leaves_group[] =
		"exec 9>ready; printf 'said so far'; exec perl -e "
		"'setpgrp(0, getpgrp(getppid())); exec qw(sh -c), q(echo 1 >&9; exec sleep 1000)'";
	static const char *const scripts[] = {
		"exec 9>ready; sleep 1000 & printf 'said so far'; echo $$ >&9; wait",
		"exec 9>ready; sleep 1000 & printf 'said so far'; echo $$ >&9; exec sleep 1000",
		leaves_group,
	};
	char *argv[] = { "sh", "-c", NULL, NULL };
	struct process_options o = { .argv = argv, .timeout_ms = 100, .kill_late = true };
	struct fixture *f = *state;
	struct result r = { 0 };
	size_t i;

	o.done = keep_result;
	o.ctx = &r;
	for (i = 0; i < COUNT(scripts); i++) {
		int fd = open_fifo();

		argv[2] = (char *)scripts[i];
		assert_int_equal(process_start(f->event, &o, NULL), 0);
		read_ready(fd);
		run_until_told(f->event, &r, 1);
		assert_int_equal(r.status, -ETIMEDOUT);
		assert_string_equal(r.out, "said so far");
		assert_true(is_hung_up(fd, PATIENCE_MS));
		run_until_reaped(f->event);
		assert_int_equal(r.times, 1);
		free_result(&r);
		close(fd);
	}
}

static void late_and_left(void **state)
{
	char *argv[] = { "sh", "-c", (char *)waits_for_go, NULL };
	struct process_options o = { .argv = argv, .timeout_ms = 50 };
	struct fixture *f = *state;
	struct result r = { 0 };
	int fd = open_fifo(), go;

	o.done = keep_result;
	o.ctx = &r;
	assert_int_equal(process_start(f->event, &o, NULL), 0);
	read_ready(fd);
	run_until_told(f->event, &r, 1);
	assert_int_equal(r.status, -ETIMEDOUT);
	assert_string_equal(r.out, "said so far");
	assert_false(is_hung_up(fd, 50));
	go = open("go", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(go, "\n", 1), 1);
	run_until_reaped(f->event);
	assert_int_equal(r.times, 1);
	close(go);
	close(fd);
	free_result(&r);
}

/* It ended in time, and only the loop comes late. */
static void loop_that_is_late(void **state)
{
	char *argv[] = { "sh", "-c", "exit 4", NULL };
	struct process_options o = { .argv = argv, .timeout_ms = 1, .kill_late = true };
	struct fixture *f = *state;
	struct result r = { 0 };
	unsigned int i;

	o.done = keep_result;
	o.ctx = &r;
	for (i = 0; i < 20; i++) {
		assert_int_equal(process_start(f->event, &o, NULL), 0);
		assert_int_equal(waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
		run_until_told(f->event, &r, 1);
		assert_int_equal(r.status, 4);
		free_result(&r);
	}
}

static void grandchild_holds_the_output(void **state)
{
	struct result r = { 0 };
	double start = now_ms();
	pid_t pid;

	run_shell(*state, "sleep 1000 & echo $!; exit 3", &r);
	assert_int_equal(r.status, 3);
	pid = (pid_t)atoi(r.out);
	assert_true(pid > 1 && now_ms() - start < PATIENCE_MS);
	assert_int_equal(kill(pid, SIGKILL), 0);
	free_result(&r);
}

/* The loop ends before the process: nothing leaks, nobody is told, it goes on. */
static void loop_that_ends_before(void **state)
{
	char *argv[] = { "sh", "-c", (char *)waits_for_go, NULL };
	struct process_options o = { .argv = argv, .timeout_ms = 5000, .kill_late = true };
	struct fixture *f = *state;
	struct result r = { 0 };
	int fd = open_fifo(), go;

	o.done = keep_result;
	o.ctx = &r;
	assert_int_equal(process_start(f->event, &o, NULL), 0);
	read_ready(fd);
	f->event = sd_event_unref(f->event);
	assert_null(f->event);
	assert_int_equal(count_descriptors(), f->descriptors + 1);
	assert_false(is_hung_up(fd, 0));
	go = open("go", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(go, "\n", 1), 1);
	assert_true(waitpid(-1, NULL, 0) > 0);
	assert_int_equal(r.times, 0);
	close(go);
	close(fd);
}

static void many_at_once(void **state)
{
	struct result results[50] = { 0 };
	struct fixture *f = *state;
	char script[64], expected[16];
	size_t i;

	for (i = 0; i < COUNT(results); i++) {
		char *argv[] = { "sh", "-c", script, NULL };
		struct process_options o = { .argv = argv, .timeout_ms = PATIENCE_MS,
					     .done = keep_result, .ctx = &results[i] };

		snprintf(script, sizeof(script), "echo %zu; exit %zu", i, i);
		assert_int_equal(process_start(f->event, &o, NULL), 0);
	}
	for (i = 0; i < COUNT(results); i++) {
		run_until_told(f->event, &results[i], 1);
		assert_int_equal(results[i].status, i);
		snprintf(expected, sizeof(expected), "%zu\n", i);
		assert_string_equal(results[i].out, expected);
		free_result(&results[i]);
	}
}

static void environment(void **state)
{
	char *argv[] = { "sh", "-c", "echo $AT_START $CHANGED $ADDED $LATER $AT_STARTS", NULL };
	char *set_env[] = { "CHANGED=new", "ADDED=a b", "AT_STARTS=other", NULL };
	struct process_options o = { .argv = argv, .set_env = set_env };
	struct result r = { 0 };

	assert_int_equal(setenv("LATER", "x", 1), 0);
	assert_int_equal(setenv("CHANGED", "x", 1), 0);
	run_program(*state, &o, &r);
	assert_string_equal(r.out, "start new a b other\n");
	free_result(&r);
	o.set_env = NULL;
	run_program(*state, &o, &r);
	assert_string_equal(r.out, "start old\n");
	free_result(&r);
}

/* Signals, niceness, OOM score and limit are those at the start; see main(). */
static void as_at_the_start(void **state)
{
	unsigned long long blocked, ignored;
	int group = 0, pid = -1;
	/* Not by a shell, which changes its signals. */
	char *argv[] = { "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL };
	struct process_options o = { .argv = argv };
	struct result r = { 0 };

	run_program(*state, &o, &r);
	assert_int_equal(sscanf(r.out, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0x200);
	/* 32 and 33 are the C library's own, and as whoever runs the tests has them. */
	assert_int_equal(ignored & ~0x180000000ull, 0x10001);
	free_result(&r);
	run_shell(*state, "nice; cat /proc/self/oom_score_adj; ulimit -l; ps -o pgid= $$; echo $$",
		  &r);
	assert_int_equal(sscanf(r.out, "5\n300\n64\n%d\n%d", &group, &pid), 2);
	assert_int_equal(group, pid);
	free_result(&r);
}

/* Whatever is open without O_CLOEXEC. */
static void no_descriptor_is_inherited(void **state)
{
	int fd = dup(STDOUT_FILENO), one = fcntl(fd, F_DUPFD, 200);
	struct result r = { 0 };

	run_shell(*state, "ls /proc/$$/fd", &r);
	assert_string_equal(r.out, "0\n1\n2\n");
	free_result(&r);
	close(fd);
	close(one);
}

/* With the standard descriptors closed, memory files would get their numbers. */
static void standard_descriptors_closed(void **state)
{
	char *argv[] = { "sh", "-c", "cat; echo err >&2", NULL };
	struct process_options o = { .argv = argv, .input = "in", .input_len = 2,
				     .timeout_ms = PATIENCE_MS };
	int saved[3], i;
	struct result r = { 0 };

	for (i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		close(i);
	}
	run_program(*state, &o, &r);
	for (i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "in");
	assert_string_equal(r.err, "err\n");
	free_result(&r);
}

static void fail_exit(void)
{
	abort();
}

static int write_and_return(void *ctx, int fd)
{
	/* No handler may run in a child. */
	atexit(fail_exit);
	return write(fd, ctx, strlen(ctx)) > 0 ? 7 : 1;
}

static int crash(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return raise(SIGKILL);
}

static int wait_for_ever(void *ctx, int fd)
{
	(void)ctx;
	if (write(fd, "begun", 5) == 5)
		kill(getpid(), SIGSTOP);
	return 0;
}

static void calls(void **state)
{
	static const struct {
		int (*fn)(void *ctx, int fd);
		long timeout_ms;
		int status;
		const char *out;
	} cases[] = {
		{ write_and_return, 0, 7, "some text" },
		{ crash, PATIENCE_MS, 128 + SIGKILL, "" },
		{ wait_for_ever, 200, -ETIMEDOUT, NULL },
	};
	char text[] = "some text";
	struct fixture *f = *state;
	struct result r = { 0 };
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(process_call(f->event, cases[i].fn, text, cases[i].timeout_ms,
					      keep_result, &r, NULL), 0);
		run_until_told(f->event, &r, 1);
		assert_int_equal(r.status, cases[i].status);
		if (cases[i].out)
			assert_string_equal(r.out, cases[i].out);
		run_until_reaped(f->event);
		free_result(&r);
	}
}

/* As somebody may start the monitor; then as the monitor changes itself. */
static void prepare(void)
{
	static const struct rlimit memlock = { MEMLOCK_AT_START, MEMLOCK_AT_START * 2 };
	static const struct rlimit larger = { MEMLOCK_AT_START * 2, MEMLOCK_AT_START * 2 };
	sigset_t set;
	FILE *oom = fopen("/proc/self/oom_score_adj", "r+");

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_IGN);
	setenv("AT_START", "start", 1);
	setenv("CHANGED", "old", 1);
	setpriority(PRIO_PROCESS, 0, 5);
	setrlimit(RLIMIT_MEMLOCK, &memlock);
	fputs("300", oom);
	fflush(oom);
	process_remember_start();
	fputs("100", oom);
	fclose(oom);
	setrlimit(RLIMIT_MEMLOCK, &larger);
	setpriority(PRIO_PROCESS, 0, 2);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_DFL);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigdelset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(statuses),
		TEST(not_executable),
		TEST(not_started),
		TEST(large_output),
		TEST(large_input),
		TEST(late_and_killed),
		TEST(late_and_left),
		TEST(loop_that_is_late),
		TEST(grandchild_holds_the_output),
		TEST(loop_that_ends_before),
		TEST(many_at_once),
		TEST(environment),
		TEST(as_at_the_start),
		TEST(no_descriptor_is_inherited),
		TEST(standard_descriptors_closed),
		TEST(calls),
	};

	/* So that names are looked for in the test's folder, too. */
	setenv("PATH", "/usr/bin:/bin:.", 1);
	prepare();
	return RUN(tests);
}
