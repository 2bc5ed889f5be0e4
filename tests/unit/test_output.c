// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pty.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "userspace/host/log.h"
#include "userspace/host/output.h"

#define PATIENCE_MS 10000
#define MANY 10000
#define NOBODY 65534

/* A writing end, as standard output may be one, and the end that its reader has. */
struct ends {
	int in;
	int out;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void set_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void open_pipe(struct ends *e)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) >= 4096);
	*e = (struct ends){ fds[0], fds[1] };
	set_nonblocking(e->in);
}

static void open_socket(struct ends *e)
{
	int fds[2], size = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	*e = (struct ends){ fds[0], fds[1] };
	set_nonblocking(e->in);
}

/* With OPOST, as a terminal has it: each newline is read as two characters. */
static void open_terminal(struct ends *e)
{
	assert_int_equal(openpty(&e->in, &e->out, NULL, NULL, NULL), 0);
	set_nonblocking(e->in);
}

static void open_stopped_terminal(struct ends *e)
{
	open_terminal(e);
	assert_int_equal(tcflow(e->out, TCOOFF), 0);
}

static sd_event *new_event(void)
{
	sd_event *event;

	assert_true(sd_event_new(&event) >= 0);
	return event;
}

/* One that may not open what root has made; its open descriptors stay of use. */
static bool as_nobody;

static struct output *new_output(sd_event *event, int fd)
{
	struct output *o;

	if (as_nobody)
		assert_int_equal(seteuid(NOBODY), 0);
	assert_int_equal(output_new(event, fd, &o), 0);
	if (as_nobody)
		assert_int_equal(seteuid(0), 0);
	return o;
}

static void write_text(struct output *o, const char *text)
{
	output_write(o, text, strlen(text));
}

/* All that the reader gets until nothing waits any more; without the terminal's '\r'. */
struct reading {
	char *text;
	size_t len;
	size_t size;
};

static void read_some(struct reading *r, int fd)
{
	char buf[65536];
	ssize_t n, i;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (r->size < r->len + sizeof(buf) + 1) {
			r->size = 2 * (r->len + sizeof(buf));
			r->text = realloc(r->text, r->size);
		}
		assert_non_null(r->text);
		for (i = 0; i < n; i++)
			if (buf[i] != '\r')
				r->text[r->len++] = buf[i];
		r->text[r->len] = '\0';
	}
}

static void drain(sd_event *event, struct output *o, int fd, struct reading *r)
{
	double end = now_ms() + PATIENCE_MS;

	while (read_some(r, fd), output_waiting(o)) {
		assert_true(now_ms() < end);
		assert_true(sd_event_run(event, 100000) >= 0);
	}
	read_some(r, fd);
}

static size_t line_of(char *buf, unsigned int i)
{
	return (size_t)sprintf(buf, "%05u %0*u\n", i, (int)(i % 400 + 1), 7u);
}

/* Each line is whole and in its order, and the missing are those that were said to be lost. */
static void check_lines(const struct reading *r, unsigned int last, uint64_t lost)
{
	unsigned long told, all_told = 0;
	char expected[512];
	unsigned int i = 0;
	const char *at = r->text;
	size_t len;

	assert_non_null(at);
	while (*at) {
		if (!strncmp(at, "monitor: ", 9)) {
			assert_int_equal(sscanf(at, "monitor: %lu report", &told), 1);
			all_told += told;
			i += (unsigned int)told;
			at = strchr(at, '\n') + 1;
			continue;
		}
		len = line_of(expected, i);
		assert_memory_equal(at, expected, len);
		at += len;
		i++;
	}
	assert_int_equal(i, last + 1);
	assert_int_equal(all_told, lost);
}

/* Ten thousand lines, nobody who reads; then all is read, and one more line is written. */
static void stall(void (*open_ends)(struct ends *), bool attached)
{
	struct reading r = { 0 };
	sd_event *event = new_event();
	struct ends e;
	struct output *o;
	double start_ms;
	unsigned int i;
	char line[512];
	int flags;

	open_ends(&e);
	flags = fcntl(e.out, F_GETFL);
	o = new_output(attached ? event : NULL, e.out);
	start_ms = now_ms();
	for (i = 0; i < MANY; i++) {
		output_write(o, line, line_of(line, i));
		assert_true(output_waiting(o) <= OUTPUT_WAITING_MAX);
	}
	assert_true(now_ms() - start_ms < 1000);
	assert_int_equal(fcntl(e.out, F_GETFL), flags);
	assert_true(output_lost(o) > 0 && output_waiting(o) > 0);
	tcflow(e.out, TCOON);
	if (!attached)
		assert_int_equal(output_attach(o, event), 0);
	drain(event, o, e.in, &r);
	output_write(o, line, line_of(line, MANY));
	drain(event, o, e.in, &r);
	check_lines(&r, MANY, output_lost(o));
	assert_int_equal(output_broken(o), 0);
	output_free(o);
	assert_int_equal(fcntl(e.out, F_GETFL), flags);
	close(e.in);
	close(e.out);
	free(r.text);
	sd_event_unref(event);
}

/* Texts that a pipe or a terminal has not the room for at once. */
static void stall_long(void (*open_ends)(struct ends *))
{
	size_t len = OUTPUT_WAITING_MAX / 2, i;
	char *text = malloc(len);
	struct reading r = { 0 };
	sd_event *event = new_event();
	struct output *o;
	struct ends e;

	assert_non_null(text);
	for (i = 0; i < len; i++)
		text[i] = i % 50 == 49 || i == len - 1 ? '\n' : 'x';
	open_ends(&e);
	o = new_output(event, e.out);
	output_write(o, text, len);
	output_write(o, text, len);
	assert_true(output_waiting(o) > len && !output_lost(o));
	tcflow(e.out, TCOON);
	drain(event, o, e.in, &r);
	assert_int_equal(r.len, 2 * len);
	assert_memory_equal(r.text, text, len);
	assert_memory_equal(r.text + len, text, len);
	output_free(o);
	close(e.in);
	close(e.out);
	free(r.text);
	free(text);
	sd_event_unref(event);
}

static void stalled_readers(void **state)
{
	static void (*const kinds[])(struct ends *) = { open_pipe, open_socket, open_terminal,
							open_stopped_terminal };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(kinds); i++) {
		stall(kinds[i], true);
		stall(kinds[i], false);
		stall_long(kinds[i]);
	}
}

static void descriptors_that_cannot_be_reopened(void **state)
{
	static void (*const kinds[])(struct ends *) = { open_pipe, open_terminal,
							open_stopped_terminal };
	char path[32];
	struct ends e;
	size_t i;

	(void)state;
	if (geteuid()) {
		print_message("descriptors_that_cannot_be_reopened: needs root\n");
		return;
	}
	for (i = 0; i < COUNT(kinds); i++) {
		kinds[i](&e);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", e.out);
		assert_int_equal(seteuid(NOBODY), 0);
		assert_int_equal(open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY), -1);
		assert_int_equal(seteuid(0), 0);
		close(e.in);
		close(e.out);
		as_nobody = true;
		stall(kinds[i], true);
		stall_long(kinds[i]);
		as_nobody = false;
	}
	/* What seteuid() has taken, and the leak sanitizer needs. */
	prctl(PR_SET_DUMPABLE, 1);
}

static int pass_time(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)usec;
	(*(unsigned int *)userdata)++;
	sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return 0;
}

static unsigned int count_turns(sd_event *event, uint64_t for_us)
{
	unsigned int turns = 0, passed = 0;
	sd_event_source *timer;

	assert_true(sd_event_add_time_relative(event, &timer, CLOCK_MONOTONIC, for_us, 1, pass_time,
					       &passed) >= 0);
	while (!passed) {
		turns++;
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	}
	sd_event_source_unref(timer);
	return turns;
}

/* While nobody reads, nothing is done either: a loop that spins would use all of a CPU. */
static void no_spinning(void **state)
{
	static void (*const kinds[])(struct ends *) = { open_pipe, open_socket, open_terminal,
							open_stopped_terminal };
	struct ends e;
	unsigned int n;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(kinds); i++) {
		sd_event *event = new_event();
		struct output *o;

		kinds[i](&e);
		o = new_output(event, e.out);
		for (n = 0; n < MANY; n++)
			write_text(o, "\n");
		for (n = 0; n < MANY; n++)
			write_text(o, "a text that is longer than a few characters\n");
		assert_true(output_waiting(o) > 0);
		assert_true(count_turns(event, 200000) < 20);
		output_free(o);
		close(e.in);
		close(e.out);
		sd_event_unref(event);
	}
}

/* The kernel has no memory for what is sent. */
static void deny_sending(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendto, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOBUFS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { COUNT(filter), filter };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* It is tried some times a second: not never, and not without end. */
static void short_of_memory(void **state)
{
	sd_event *event;
	struct output *o;
	struct ends e;
	unsigned int turns;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		return;
	}
	event = new_event();
	open_socket(&e);
	o = new_output(event, e.out);
	deny_sending();
	write_text(o, "text\n");
	turns = count_turns(event, 1000000);
	_exit(turns >= 4 && turns < 30 && !output_lost(o) && output_waiting(o) == 5 ? 0 : 1);
}

/* The other end is gone for good. */
static void readers_that_are_gone(void **state)
{
	static const struct {
		void (*open_ends)(struct ends *);
		int err;
	} cases[] = { { open_pipe, -EPIPE }, { open_socket, -EPIPE }, { open_terminal, -EIO },
		      { open_stopped_terminal, -EIO } };
	sd_event *event = new_event();
	unsigned int written;
	struct ends e;
	size_t i;

	(void)state;
	for (i = 0; i < 2 * COUNT(cases); i++) {
		bool with_queue = i >= COUNT(cases);
		struct output *o;

		cases[i % COUNT(cases)].open_ends(&e);
		o = new_output(event, e.out);
		for (written = 0; with_queue && output_waiting(o) < 10000; written++)
			write_text(o, "a text that waits\n");
		close(e.in);
		if (with_queue)
			assert_true(sd_event_run(event, PATIENCE_MS * 1000) > 0);
		else
			write_text(o, "text\n");
		assert_int_equal(output_broken(o), cases[i % COUNT(cases)].err);
		assert_int_equal(output_waiting(o), 0);
		assert_true(output_lost(o) > 0);
		written = (unsigned int)output_lost(o);
		write_text(o, "text\n");
		assert_int_equal(output_lost(o), written + 1);
		assert_int_equal(sd_event_run(event, 0), 0);
		output_free(o);
		close(e.out);
	}
	sd_event_unref(event);
}

static void bad_descriptors(void **state)
{
	struct output *o = NULL;
	sd_event *event = new_event();
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(output_new(NULL, 999, &o), -EBADF);
	assert_int_equal(output_new(event, -1, &o), -EBADF);
	assert_null(o);
	output_free(NULL);
	close(fd);
	fd = memfd_create("file", MFD_CLOEXEC);
	o = new_output(event, fd);
	assert_int_equal(output_attach(o, event), -EBUSY);
	close(fd);
	write_text(o, "text\n");
	assert_int_equal(output_broken(o), -EBADF);
	output_free(o);
	sd_event_unref(event);
}

/* epoll(7) takes neither. */
static void devices_without_poll(void **state)
{
	static const struct {
		const char *path;
		uint64_t lost;
	} cases[] = { { "/dev/null", 0 }, { "/dev/full", 2 } };
	sd_event *event = new_event();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		int fd = open(cases[i].path, O_WRONLY | O_CLOEXEC);
		struct output *o = new_output(event, fd);

		write_text(o, "one\n");
		write_text(o, "two\n");
		assert_int_equal(output_lost(o), cases[i].lost);
		assert_int_equal(output_waiting(o), 0);
		assert_int_equal(output_broken(o), 0);
		output_free(o);
		close(fd);
	}
	sd_event_unref(event);
}

static void assert_file(int fd, const char *expected)
{
	char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

/* A file that may not grow, and then may: a text that is cut off does not touch the next. */
static void full_file(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct rlimit limit, before;
	struct output *o;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 8;
	o = new_output(NULL, fd);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	write_text(o, "one\n");
	write_text(o, "twotwo\n");
	write_text(o, "three\n");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(output_lost(o), 2);
	assert_int_equal(output_broken(o), 0);
	assert_int_equal(output_waiting(o), 0);
	write_text(o, "four\n");
	write_text(o, "five\n");
	assert_file(fd, "one\ntwot\nmonitor: 2 lines were lost here: no space\nfour\nfive\n");
	output_free(o);
	close(fd);
}

/* The line about the lost ones was itself written in part, or in whole, and then no more. */
static void full_file_within_the_notice(void **state)
{
	static const struct {
		rlim_t limit;
		const char *text;
	} cases[] = {
		{ 8, "one\nmoni\nmonitor: 2 lines were lost here: no space\nfour\n" },
		{ 4, "one\nmonitor: 2 lines were lost here: no space\nfour\n" },
		{ 46, "one\nmonitor: 1 line was lost here: no space\nth\n"
		      "monitor: 1 line was lost here: no space\nfour\n" },
	};
	struct rlimit limit, before;
	size_t i;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	for (i = 0; i < COUNT(cases); i++) {
		int fd = memfd_create("file", MFD_CLOEXEC);
		struct output *o = new_output(NULL, fd);

		write_text(o, "one\n");
		limit.rlim_cur = 4;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		write_text(o, "two\n");
		limit.rlim_cur = cases[i].limit;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		write_text(o, "three\n");
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		write_text(o, "four\n");
		assert_file(fd, cases[i].text);
		assert_int_equal(output_lost(o), 2);
		output_free(o);
		close(fd);
	}
}

/* Longer than all that may wait: written all the same if it is the only one. */
static void text_beyond_the_bound(void **state)
{
	size_t len = 3 * OUTPUT_WAITING_MAX;
	struct reading r = { 0 };
	sd_event *event = new_event();
	char *text = malloc(len);
	struct output *o;
	struct ends e;

	(void)state;
	memset(text, 'x', len);
	text[len - 1] = '\n';
	open_pipe(&e);
	o = new_output(event, e.out);
	output_write(o, text, len);
	write_text(o, "lost\n");
	assert_int_equal(output_lost(o), 1);
	drain(event, o, e.in, &r);
	assert_int_equal(r.len, len);
	assert_memory_equal(r.text, text, len);
	output_write(o, text, 0);
	write_text(o, "more\n");
	drain(event, o, e.in, &r);
	assert_string_equal(r.text + len,
			    "monitor: 1 report was lost here: nobody read it\nmore\n");
	output_free(o);
	close(e.in);
	close(e.out);
	free(r.text);
	free(text);
	sd_event_unref(event);
}

/* At the end: waits for the reader, but not for ever. */
static void flush(void **state)
{
	struct reading r = { 0 };
	struct output *o;
	double start_ms;
	struct ends e;
	char line[512];
	unsigned int i;

	(void)state;
	open_pipe(&e);
	o = new_output(NULL, e.out);
	for (i = 0; i < 100; i++)
		output_write(o, line, line_of(line, i));
	assert_true(output_waiting(o) > 0);
	start_ms = now_ms();
	output_flush(o, 50);
	assert_true(now_ms() - start_ms >= 45 && now_ms() - start_ms < PATIENCE_MS);
	while (read_some(&r, e.in), output_waiting(o))
		output_flush(o, 0);
	read_some(&r, e.in);
	check_lines(&r, 99, 0);
	output_free(o);
	close(e.in);
	close(e.out);
	free(r.text);
}

static void logged(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct output *o = new_output(NULL, fd);
	char text[4096];
	ssize_t n;

	(void)state;
	log_use(o);
	log_line("%s: %d", "a\nb\033[1m", 5);
	assert_file(fd, "monitor: a\\x0ab\\x1b[1m: 5\n");
	memset(text, '\n', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_line("%s", text);
	log_use(NULL);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	log_line("%s", "plain\r");
	dup2(saved, STDERR_FILENO);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 2000);
	text[n] = '\0';
	assert_non_null(strstr(text, "\\x0a\nmonitor: plain\\x0d\n"));
	output_free(o);
	close(fd);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stalled_readers),
		cmocka_unit_test(descriptors_that_cannot_be_reopened),
		cmocka_unit_test(no_spinning),
		cmocka_unit_test(short_of_memory),
		cmocka_unit_test(readers_that_are_gone),
		cmocka_unit_test(bad_descriptors),
		cmocka_unit_test(devices_without_poll),
		cmocka_unit_test(full_file),
		cmocka_unit_test(full_file_within_the_notice),
		cmocka_unit_test(text_beyond_the_bound),
		cmocka_unit_test(flush),
		cmocka_unit_test(logged),
	};

	signal(SIGPIPE, SIG_IGN);
	return RUN(tests);
}
