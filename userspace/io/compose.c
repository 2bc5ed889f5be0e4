// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/compose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/io/process.h"

static int run(char *const argv[])
{
	char *output = NULL;
	int err = process_run(argv, NULL, &output);

	free(output);
	return err;
}

int compose_up(const char *file, const char *socket, char *reason)
{
	char *probe[] = { "sh", "-c", "docker compose version 2>/dev/null", NULL };
	char *plugin[] = { "docker", "compose", "-p", "sysinfo", "-f", (char *)file, "up", "-d", NULL };
	char *standalone[] = { "docker-compose", "-p", "sysinfo", "-f", (char *)file, "up", "-d", NULL };
	char host[256];
	int err;

	if (snprintf(host, sizeof(host), "unix://%s", socket) >= (int)sizeof(host) ||
	    setenv("DOCKER_HOST", host, 1)) {
		snprintf(reason, COMPOSE_REASON_SIZE, "compose: the socket's path is too long");
		return -ENAMETOOLONG;
	}
	err = run(run(probe) == 0 ? plugin : standalone);
	if (err == -ENOENT)
		snprintf(reason, COMPOSE_REASON_SIZE,
			 "there is neither 'docker compose' nor 'docker-compose': install one, or use --no-compose");
	else if (err > 0)
		snprintf(reason, COMPOSE_REASON_SIZE,
			 "compose could not bring the log server up (status %d): see above, or use --no-compose",
			 err);
	else if (err)
		snprintf(reason, COMPOSE_REASON_SIZE, "compose: %s", strerror(-err));
	return err > 0 ? -EIO : err;
}
