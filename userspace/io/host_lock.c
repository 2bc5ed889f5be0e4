// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/host_lock.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* FNV-1a: an abstract name has less room than a path. */
static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return h;
}

int host_lock_take(const char *socket_path, int *ret_fd)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char path[PATH_MAX];
	int fd, len, err;

	if (!realpath(socket_path, path))
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* After a first NUL. */
	len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "sysinfo-monitor/%016llx",
		       (unsigned long long)hash(path));
	if (bind(fd, (const struct sockaddr *)&name,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len))) {
		err = errno == EADDRINUSE ? -EBUSY : -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
