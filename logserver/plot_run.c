// SPDX-License-Identifier: GPL-2.0
/* gnuplot as a child process. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plot.h"

/* A file in memory with @text in it, read from its start. */
static int memory_file(const char *name, const char *text, size_t len, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	while (len > 0) {
		ssize_t put = write(fd, text, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			err = -errno;
			close(fd);
			return err;
		}
		text += put;
		len -= (size_t)put;
	}
	lseek(fd, 0, SEEK_SET);
	*ret_fd = fd;
	return 0;
}

/* Start gnuplot with @script as stdin, @picture as stdout, @data as PLOT_DATA_FD. */
static int start(int script, int data, int picture, pid_t *ret_pid)
{
	/* -d: no settings from files. A time zone or locale of ours would not be the reader's. */
	char *const arguments[] = { "gnuplot", "-d", "-", NULL };
	char *const environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8",
				      "TZ=UTC", "HOME=/nonexistent", "XDG_CACHE_HOME=/nonexistent",
				      NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, ignored;
	int err;

	sigemptyset(&none);
	/* The server ignores these two; a child would inherit that. */
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE);
	sigaddset(&ignored, SIGXFSZ);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					      POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &ignored);
	posix_spawn_file_actions_init(&files);
	/* The data last: its number may be that of one of the others. */
	posix_spawn_file_actions_adddup2(&files, script, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, picture, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, data, PLOT_DATA_FD);
	err = -posix_spawnp(ret_pid, arguments[0], &files, &attributes, arguments, environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return err;
}

/* Wait for it, but not for ever. 0 if it was content. */
static int finish(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int status, got = -1;
	bool late;

	if (pidfd >= 0) {
		got = poll(&ended, 1, LIMITS_PLOT_S * 1000);
		close(pidfd);
	}
	late = got != 1;
	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (late)
		return -ETIMEDOUT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int read_picture(int fd, char **ret, size_t *ret_len)
{
	struct stat st;
	char *picture;
	ssize_t got;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < 1 || st.st_size > LIMITS_PLOT_BYTES)
		return -EIO;
	picture = malloc((size_t)st.st_size);
	if (!picture)
		return -ENOMEM;
	got = pread(fd, picture, (size_t)st.st_size, 0);
	if (got != st.st_size) {
		free(picture);
		return -EIO;
	}
	*ret = picture;
	*ret_len = (size_t)got;
	return 0;
}

int plot_start(const struct plot_job *job, struct plot_run *ret)
{
	int script = -1, data = -1, picture = -1, err;

	/* Files in memory: nothing to clean up, also on a read-only file system. */
	err = memory_file("script", job->script, job->script_len, &script);
	if (!err)
		err = memory_file("data", job->data, job->data_len, &data);
	if (!err)
		err = memory_file("picture", NULL, 0, &picture);
	if (!err)
		err = start(script, data, picture, &ret->pid);
	if (script >= 0)
		close(script);
	if (data >= 0)
		close(data);
	if (err && picture >= 0)
		close(picture);
	ret->picture = picture;
	return err;
}

int plot_finish(struct plot_run *run, char **ret, size_t *ret_len)
{
	int err = finish(run->pid);

	if (!err)
		err = read_picture(run->picture, ret, ret_len);
	close(run->picture);
	return err;
}
