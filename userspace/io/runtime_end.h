/* SPDX-License-Identifier: GPL-2.0 */
/* Ending containers by the runtime's API: many at once, with a bound on time. */
#ifndef IO_RUNTIME_END_H
#define IO_RUNTIME_END_H

#include <stdbool.h>
#include <stddef.h>

#include "userspace/io/runtime.h"
#include "userspace/io/watch.h"

struct runtime_call {
	const char *socket;		/* of the runtime */
	const struct watch *watch;	/* attended to while it is waited for; NULL: nothing */
};

/* One container to be told to end, and whether it was. */
struct runtime_stop {
	const char *id;
	bool sent;		/* its stop signal, by the runtime */
};

/**
 * runtime_stop() - send containers their own stop signals
 * @call: whom to ask
 * @list: the containers
 * @count: their number
 * @timeout_ms: for each of two questions
 *
 * The signal is that which the container was made with, else SIGTERM.  The runtime sends
 * it, which knows the container's main process for sure.
 */
void runtime_stop(const struct runtime_call *call, struct runtime_stop *list, size_t count,
		  long timeout_ms);

enum runtime_removal {
	RUNTIME_REMOVED,	/* by this request */
	RUNTIME_GONE,		/* was not there any more, or was on its way out and went */
	RUNTIME_REFUSED,	/* it said no */
	RUNTIME_NO_ANSWER,	/* may still do it */
};

/* One container to be removed, and how that went. */
struct runtime_remove {
	const char *id;
	enum runtime_removal result;
	char reason[RUNTIME_REASON_SIZE];	/* unless it is gone */
};

/**
 * runtime_remove() - remove containers, all at once
 * @call: whom to ask
 * @list: the containers
 * @count: their number
 * @force: kill those that run; else they stay, and are refused
 * @timeout_ms: for each
 *
 * One that the runtime is removing already (it was started to be removed at its end, or
 * somebody else removes it) is waited for.
 *
 * Each one says how it went.
 */
void runtime_remove(const struct runtime_call *call, struct runtime_remove *list, size_t count,
		    bool force, long timeout_ms);

#endif
