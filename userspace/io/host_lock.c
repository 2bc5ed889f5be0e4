// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/host_lock.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int host_lock_take(const char *socket_path, int *ret_fd)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, len, err;

	if (stat(socket_path, &st))
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* After a first NUL. */
	len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "sysinfo-monitor/%llx:%llu",
		       (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	if (bind(fd, (const struct sockaddr *)&name,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len))) {
		err = errno == EADDRINUSE ? -EBUSY : -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
