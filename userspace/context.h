/* SPDX-License-Identifier: GPL-2.0 */
/* What main() opens and everything else works with.  One thread, one event loop. */
#ifndef CONTEXT_H
#define CONTEXT_H

#include <systemd/sd-event.h>

#include "userspace/problem.h"
#include "userspace/runtime/runtime.h"

struct act;
struct config;
struct exit_log;
struct lock;
struct log_client;
struct operator;
struct output;
struct own_containers;
struct spool;
struct witness;

struct context {
	sd_event *event;
	struct config *config;		/* reloaded between two cycles */
	int cgroup_root;		/* descriptor */
	struct runtime runtime;
	struct log_endpoint endpoint;	/* of the log server */
	struct http *http;
	struct spool *spool;		/* NULL: nothing is kept, as by explain and record */
	struct log_client *log;		/* likewise */
	struct witness *witness;	/* NULL: none */
	struct exit_log *exits;		/* what the witness tells of */
	struct own_containers *own;
	struct lock *lock;		/* NULL: nothing is removed, so none is needed */
	struct operator *operator;
	struct act *act;
	struct output *out;		/* standard output */
	struct problem problem;		/* since the last report */
	char host[65];
	char boot_id[64];
};

#endif
