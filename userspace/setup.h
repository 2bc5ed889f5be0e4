/* SPDX-License-Identifier: GPL-2.0 */
/* What main() opens and the cycle works with. */
#ifndef SETUP_H
#define SETUP_H

#include "userspace/config.h"
#include "userspace/io/door.h"
#include "userspace/io/server_client.h"
#include "userspace/io/signals.h"
#include "userspace/io/spool.h"
#include "userspace/io/witness.h"

struct act;

/* All of it is main()'s. */
struct setup {
	struct config *config;		/* reloaded between two cycles */
	int cgroup_root;		/* descriptor */
	const char *runtime_socket;
	struct door door;		/* of the log server */
	struct spool *spool;		/* NULL: nothing is told to the log server */
	struct server_client *client;
	struct witness *witness;	/* NULL: none */
	struct signals signals;
	struct act *act;		/* what is remembered from act to act */
	char host[65];
	char boot_id[64];
};

#endif
