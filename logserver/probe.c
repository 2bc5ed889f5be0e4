// SPDX-License-Identifier: GPL-2.0
#include "probe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "limits.h"

static int ask(int fd, const struct addrinfo *address)
{
	static const char question[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
				       "Connection: close\r\n\r\n";
	static const char good[] = "HTTP/1.1 200 ";
	struct timeval patience = { .tv_sec = LIMITS_PROBE_S };
	char reply[sizeof(good) - 1];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, address->ai_addr, address->ai_addrlen))
		return -errno;
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question))
		return -EIO;
	if (recv(fd, reply, sizeof(reply), MSG_WAITALL) != (ssize_t)sizeof(reply))
		return -EIO;
	return memcmp(reply, good, sizeof(reply)) == 0 ? 0 : -EPROTO;
}

int probe_health(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = ask(fd, address);
	close(fd);
	return err;
}
