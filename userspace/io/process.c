// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/io/file.h"

extern char **environ;

/* Memory files for both ends: no pipe that could fill up and block. */
static int input_file(const char *input)
{
	size_t len = input ? strlen(input) : 0;
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if ((len && write(fd, input, len) != (ssize_t)len) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int spawn(char *const argv[], int in, int out, bool apart, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int err;

	/* The loop takes its signals by a descriptor: its children must get theirs. */
	sigemptyset(&none);
	sigemptyset(&usual);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	sigaddset(&usual, SIGPIPE);
	posix_spawnattr_setsigdefault(&attr, &usual);
	/* A group of its own (pgroup 0) is out of reach of the terminal's Ctrl-C. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					(apart ? POSIX_SPAWN_SETPGROUP : 0));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	err = posix_spawnp(ret, argv[0], &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -err;
}

int process_run(char *const argv[], const char *input, char **ret_output)
{
	int in, out = -1, err, status;
	char path[64];
	size_t len;
	pid_t pid;

	in = input_file(input);
	if (in < 0)
		return in;
	if (ret_output) {
		out = memfd_create("output", MFD_CLOEXEC);
		if (out < 0) {
			err = -errno;
			goto close_in;
		}
	}
	/* One that works for us is not ended half-way; one that talks to the user may be. */
	err = spawn(argv, in, out, input || ret_output, &pid);
	if (err)
		goto close_out;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			err = -errno;
			goto close_out;
		}
	if (ret_output) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
		err = file_read_all(AT_FDCWD, path, 16 << 20, ret_output, &len);
	}
	if (!err)
		err = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
close_out:
	if (out >= 0)
		close(out);
close_in:
	close(in);
	return err;
}
