// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/host/output.h"
#include "userspace/host/privilege.h"
#include "userspace/host/process.h"

/* A longer line is written in pieces. */
#define LINE_MAX_SIZE 65536

/* Return: how much of @data stays for later: a line that has not come to its end. */
static size_t write_lines(struct output *o, char *data, size_t len)
{
	char *from = data, *end;

	while ((end = memchr(from, '\n', len))) {
		size_t line = (size_t)(end - from) + 1;

		output_write(o, from, line);
		from += line;
		len -= line;
	}
	if (len == LINE_MAX_SIZE) {
		output_write(o, from, len);
		return 0;
	}
	memmove(data, from, len);
	return len;
}

/* Return: its exit status. */
static int copy(void)
{
	static char data[LINE_MAX_SIZE];
	struct output *o;
	size_t len = 0;
	ssize_t n;

	if (output_new(NULL, STDOUT_FILENO, &o))
		return 1;
	/* What an I/O error ends: the monitor then finds nobody at the other end of the pipe. */
	while (!output_broken(o)) {
		n = read(STDIN_FILENO, data + len, sizeof(data) - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len = write_lines(o, data, len + (size_t)n);
	}
	output_write(o, data, len);
	return output_lost(o) || output_waiting(o);
}

/* @pipe: above the standard ones, as those are open. */
static _Noreturn void be_writer(int pipe, int file)
{
	int null = open("/dev/null", O_RDWR);

	process_be_helper("monitor-output");
	if (dup2(file, STDOUT_FILENO) < 0 || dup2(pipe, STDIN_FILENO) < 0 || null < 0 ||
	    dup2(null, STDERR_FILENO) < 0)
		_exit(1);
	closefrom(STDERR_FILENO + 1);
	privilege_drop(false);
	_exit(copy());
}

int file_writer_divert(int fd, struct file_writer *ret)
{
	int ends[2], err = 0;
	struct stat st;
	pid_t pid;

	ret->pidfd = -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		be_writer(ends[0], fd);
	if (pid > 0)
		ret->pidfd = pidfd_open(pid, 0);
	if (pid < 0 || ret->pidfd < 0 || dup2(ends[1], fd) < 0)
		err = -errno;
	close(ends[0]);
	close(ends[1]);
	return err;
}

int file_writer_finish(struct file_writer *w, int timeout_ms)
{
	struct pollfd end = { .fd = w->pidfd, .events = POLLIN };
	siginfo_t info = { .si_pid = 0 };

	if (w->pidfd < 0)
		return 0;
	if (poll(&end, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	if (waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED) || info.si_code != CLD_EXITED || info.si_status)
		return -EIO;
	close(w->pidfd);
	w->pidfd = -1;
	return 0;
}
