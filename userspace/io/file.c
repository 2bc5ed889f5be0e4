// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int file_read_all(int dir, const char *path, size_t max, char **ret, size_t *ret_len)
{
	size_t len = 0, size = 64 * 1024;
	char *text, *more;
	ssize_t n;
	int fd, err;

	/* Not to wait for the other end of a FIFO. */
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	text = malloc(size + 1);
	if (!text) {
		err = -ENOMEM;
		goto close;
	}
	for (;;) {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = -errno;
			goto free;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max) {
			err = -EFBIG;
			goto free;
		}
		if (len < size)
			continue;
		size *= 2;
		more = realloc(text, size + 1);
		if (!more) {
			err = -ENOMEM;
			goto free;
		}
		text = more;
	}
	close(fd);
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	return 0;

free:
	free(text);
close:
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
	if (fsync(dir)) {
		err = -errno;
		unlinkat(dir, name, 0);
	}
	return err;
}
