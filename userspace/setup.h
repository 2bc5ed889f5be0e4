/* SPDX-License-Identifier: GPL-2.0 */
/* What main() opens and the cycle works with. */
#ifndef SETUP_H
#define SETUP_H

#include "userspace/config.h"
#include "userspace/io/server_client.h"
#include "userspace/io/spool.h"
#include "userspace/io/witness.h"

/* All of it is main()'s. */
struct setup {
	const struct config *config;
	int cgroup_root;		/* descriptor */
	const char *runtime_socket;
	struct spool *spool;
	struct server_client *client;
	struct witness *witness;	/* NULL: none */
	int signals;			/* signalfd of SIGINT and SIGTERM */
	char host[65];
	char boot_id[64];
};

#endif
