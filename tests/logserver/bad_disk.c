// SPDX-License-Identifier: GPL-2.0
/*
 * For LD_PRELOAD: a file, $BAD_DISK_FILE, on a disk that fails when a test says so. While
 * there is a file $BAD_DISK, fdatasync() fails with the error number in it, and pwrite()
 * if that is EROFS. With $BAD_DISK_KILLS the process is killed as soon as fdatasync() fails
 * in earnest: before it can clean up behind it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_the_file(int fd)
{
	const char *file = getenv("BAD_DISK_FILE");
	char link[64], path[PATH_MAX] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return file && readlink(link, path, sizeof(path) - 1) > 0 && strcmp(path, file) == 0;
}

static int error_of(int fd)
{
	const char *order = getenv("BAD_DISK");
	char number[16] = "";
	int order_fd;

	if (!order || !is_the_file(fd))
		return 0;
	order_fd = open(order, O_RDONLY | O_CLOEXEC);
	if (order_fd < 0)
		return 0;
	if (read(order_fd, number, sizeof(number) - 1) < 0)
		number[0] = 0;
	close(order_fd);
	return atoi(number);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
	int err = error_of(fd);

	/* Not of the data, which the page cache takes; only where it is said to be read-only. */
	if (err == EROFS) {
		errno = err;
		return -1;
	}
	return real(fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	return pwrite64(fd, data, len, at);
}

int fdatasync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync"), err = error_of(fd), result;

	if (err) {
		errno = err;
		return -1;
	}
	result = real(fd);
	if (result && getenv("BAD_DISK_KILLS") && is_the_file(fd))
		raise(SIGKILL);
	return result;
}
