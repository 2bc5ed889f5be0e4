// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* @size grows with what is read: the length of a file in /proc is not known before. */
static int read_to_end(int fd, size_t max, char **ret, size_t *ret_len)
{
	size_t len = 0, size = 64 * 1024;
	char *text = malloc(size + 1), *more;
	ssize_t n;
	int err = text ? 0 : -ENOMEM;

	while (!err) {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > max)
			err = -EFBIG;
		if (err || len < size)
			continue;
		size *= 2;
		more = realloc(text, size + 1);
		if (more)
			text = more;
		else
			err = -ENOMEM;
	}
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	return 0;
}

int file_read_all(int dir, const char *path, size_t max, char **ret, size_t *ret_len)
{
	int fd, err;

	/* Not to wait for the other end of a FIFO. */
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = read_to_end(fd, max, ret, ret_len);
	close(fd);
	return err;
}

int file_check_regular(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -EBADFD;
}

int file_read_regular(int dir, const char *path, size_t max, char **ret, size_t *ret_len)
{
	int fd, err;

	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	err = file_check_regular(fd);
	if (!err)
		err = read_to_end(fd, max, ret, ret_len);
	close(fd);
	return err;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write_durably(int dir, const char *name, const char *text, size_t len, unsigned int mode)
{
	char temporary[256];
	int fd, err;

	if (snprintf(temporary, sizeof(temporary), "%s.new", name) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text, len);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(dir, temporary, dir, name))
		err = -errno;
	if (err) {
		unlinkat(dir, temporary, 0);
		return err;
	}
	/* The file in its place may be on disk or not: removing it would lose both. */
	return fsync(dir) ? -errno : 0;
}
