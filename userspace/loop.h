/* SPDX-License-Identifier: GPL-2.0 */
/* The cycle: snapshot -> model -> classify -> decide -> act -> record, every interval. */
#ifndef LOOP_H
#define LOOP_H

#include "userspace/config.h"
#include "userspace/io/server_client.h"
#include "userspace/io/spool.h"
#include "userspace/io/witness.h"

#define LOOP_REASON_SIZE 640

/* What the loop works with; all of it the caller's. */
struct loop_setup {
	const struct config *config;
	int cgroup_root;		/* descriptor */
	const char *runtime_socket;
	struct spool *spool;
	struct server_client *client;
	struct witness *witness;	/* NULL: none */
	int signals;			/* signalfd of SIGINT and SIGTERM */
};

/**
 * loop_recover() - resolve what an earlier monitor intended but did not complete
 * @setup: what to work with
 *
 * By looking: a victim that is dead gets its record.  One of another boot, or that has
 * survived, gets none: nothing is claimed that isn't known.  What can't be read is put
 * aside in the spool.
 *
 * Return: 0; -EBADMSG: they couldn't be read, and are put aside; -EAGAIN: one is still on its way out; negative errno.
 */
int loop_recover(const struct loop_setup *setup);

/**
 * loop_run() - run until a signal, or for the configured number of cycles
 * @setup: what to work with
 * @reason: on failure, one line for the user (LOOP_REASON_SIZE)
 *
 * Trouble within a cycle is reported, and nothing is killed in it; it ends the loop only
 * where going on makes no sense.
 *
 * Return: 0 or negative errno.
 */
int loop_run(const struct loop_setup *setup, char *reason);

#endif
