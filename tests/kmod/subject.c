// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "subject.h"
#include "tap.h"

/* Where a process of subject_exec() finds its end of the pipe; no argument can say so. */
#define READY_FD 9

static int ready_fd = -1;

/* A step at a time: the whole may be longer than a path can be. */
static int open_cgroup(const char *path, bool make)
{
	int dir = must(open(SUBJECT_CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC));
	char name[256];

	while (*path && *++path) {
		size_t len = strcspn(path, "/");
		int next;

		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		if (make && mkdirat(dir, name, 0755) && errno != EEXIST)
			tap_bail_out(name);
		next = must(openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
		close(dir);
		dir = next;
	}
	return dir;
}

void subject_cgroup(const char *path)
{
	close(open_cgroup(path, true));
}

void subject_enter(const char *cgroup)
{
	int dir = open_cgroup(cgroup, false);
	int fd = must(openat(dir, "cgroup.procs", O_WRONLY));

	must(write(fd, "0", 1));
	close(fd);
	close(dir);
}

/* What is told when ready. */
#define ASLEEP 's'
#define BUSY 'b'

static void tell(char what)
{
	must(write(ready_fd, &what, 1));
}

void subject_busy(void)
{
	tell(BUSY);
}

static void wait_ready(int fd, pid_t pid)
{
	char what;

	if (must(read(fd, &what, 1)) != 1)
		tap_bail_out("a subject ended before it was ready");
	close(fd);
	if (what == ASLEEP)
		subject_wait_state(pid, 'S');
}

pid_t subject_start(const char *cgroup, void (*act)(void *arg), void *arg)
{
	int ends[2];
	pid_t pid;

	must(pipe2(ends, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		ready_fd = ends[1];
		subject_enter(cgroup);
		if (act)
			act(arg);
		tell(ASLEEP);
		for (;;)
			pause();
	}
	close(ends[1]);
	wait_ready(ends[0], pid);
	return pid;
}

pid_t subject_exec(const char *cgroup, char *const argv[], char *const envp[])
{
	int ends[2];
	pid_t pid;

	must(pipe2(ends, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		must(dup2(ends[1], READY_FD));
		subject_enter(cgroup);
		execve("/proc/self/exe", argv, envp);
		tap_bail_out("execve");
	}
	close(ends[1]);
	wait_ready(ends[0], pid);
	return pid;
}

void subject_main(void)
{
	struct stat st;

	if (fstat(READY_FD, &st) || !S_ISFIFO(st.st_mode))
		return;
	ready_fd = READY_FD;
	tell(ASLEEP);
	for (;;)
		pause();
}

char *subject_missing_page(void)
{
	char *page = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0));
	int fd = must(syscall(SYS_userfaultfd, O_CLOEXEC));
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (unsigned long)page, 4096 },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	must(ioctl(fd, UFFDIO_API, &api));
	must(ioctl(fd, UFFDIO_REGISTER, &range));
	return page;
}

void subject_end(pid_t pid)
{
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
}

static void remove_at(int dir, const char *path)
{
	size_t len = strcspn(path, "/");
	char name[256];

	memcpy(name, path, len);
	name[len] = '\0';
	if (path[len]) {
		int next = must(openat(dir, name, O_PATH | O_DIRECTORY));

		remove_at(next, path + len + 1);
		close(next);
	}
	/* A parent may still have other children. */
	if (unlinkat(dir, name, AT_REMOVEDIR) && errno != EBUSY && errno != ENOTEMPTY)
		tap_bail_out(name);
}

void subject_cgroup_remove(const char *path)
{
	int dir = must(open(SUBJECT_CGROUP_ROOT, O_PATH | O_DIRECTORY));

	remove_at(dir, path + 1);
	close(dir);
}

void subject_wait_state(pid_t pid, char state)
{
	for (;;) {
		char path[64], line[512], *end;
		ssize_t len;
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = must(open(path, O_RDONLY | O_CLOEXEC));
		len = must(read(fd, line, sizeof(line) - 1));
		close(fd);
		line[len] = '\0';
		end = strrchr(line, ')');
		if (end && end[2] == state)
			return;
		usleep(1000);
	}
}
