/* SPDX-License-Identifier: GPL-2.0 */
/* What the runtime says of one container (GET /containers/ID/json).  Pure. */
#ifndef RUNTIME_INSPECT_H
#define RUNTIME_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/core/model.h"

/* "unless-stopped" and "SIGRTMIN+15" are the longest. */
#define RUNTIME_POLICY_SIZE 16
#define RUNTIME_SIGNAL_SIZE 16

struct runtime_inspect {
	char id[MODEL_ID_SIZE];		/* "": not told */
	bool has_state;			/* all of the next four are told */
	bool running;			/* a paused or restarting one, too */
	bool paused;
	bool restarting;
	bool dead;
	uint32_t pid;			/* of its main process; 0: not told, or it has none */
	char policy[RUNTIME_POLICY_SIZE]; /* of restarts, by its name; "": unknown */
	uint32_t max_retries;		/* of "on-failure"; 0: no limit */
	char stop_signal[RUNTIME_SIGNAL_SIZE]; /* a name or number; "SIGTERM" if there is none */
	bool protected_now;		/* by its labels */
};

/**
 * runtime_inspect_parse() - parse an answer
 * @text: need not end in NUL
 * @len: its length
 * @ret: what it says
 *
 * Return: 0; -EBADMSG: it is no JSON object, or one of the keys that are read is there twice
 * or has a value of another type than Docker's API says.
 */
int runtime_inspect_parse(const char *text, size_t len, struct runtime_inspect *ret);

#endif
