/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is asked of the container runtime, by the Docker Engine API over its socket (Podman
 * has it too).  Nothing here waits: each question has a time limit, and its answer comes by
 * the event loop.
 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "userspace/core/death.h"
#include "userspace/host/http.h"
#include "userspace/runtime/inspect.h"
#include "userspace/runtime/list.h"

#define RUNTIME_REASON_SIZE 512

struct runtime {
	struct http *http;
	const char *socket;	/* path */
};

/**
 * runtime_socket() - the socket to use
 * @wanted: the user's choice, or NULL: Docker's, else Podman's (root's, then the user's)
 *
 * Return: a path, static or @wanted; NULL: there is none.
 */
const char *runtime_socket(const char *wanted);

/* @list: whole, freed on return; NULL: there is none, and @reason says why in one line. */
typedef void runtime_list_fn(void *ctx, const struct runtime_list *list, const char *reason);

/**
 * runtime_fetch_list() - ask for the list of containers
 * @rt: the runtime
 * @endpoint: of the log server; copied
 * @timeout_ms: for all of it
 * @done: called once, by the loop
 * @ctx: of @done
 *
 * Return: 0, or negative errno, and then @done is not called.
 */
int runtime_fetch_list(const struct runtime *rt, const struct log_endpoint *endpoint, long timeout_ms,
		       runtime_list_fn *done, void *ctx);

/* @answer: NULL: the runtime knows of no such container, or gave no answer; @reason says. */
typedef void runtime_inspect_fn(void *ctx, const struct runtime_inspect *answer, const char *reason);

/* Asks for one container.  The others are as above. */
int runtime_inspect(const struct runtime *rt, const char *id, long timeout_ms,
		    runtime_inspect_fn *done, void *ctx);

/* @ok: the runtime says that it has done it; otherwise @reason says why not. */
typedef void runtime_ok_fn(void *ctx, bool ok, const char *reason);

/* Has the runtime send a container's main process a signal, by name or number. */
int runtime_signal(const struct runtime *rt, const char *id, const char *signal, long timeout_ms,
		   runtime_ok_fn *done, void *ctx);

/* Sets a container's restart policy: "no", "always", "unless-stopped" or "on-failure". */
int runtime_set_policy(const struct runtime *rt, const char *id, const char *policy,
		       uint32_t max_retries, long timeout_ms, runtime_ok_fn *done, void *ctx);

/*
 * Waits until the runtime has noticed that a container has ended: some 100 ms after the kernel,
 * and until then it refuses to remove what it thinks is running.
 */
int runtime_wait_stopped(const struct runtime *rt, const char *id, long timeout_ms, runtime_ok_fn *done,
			 void *ctx);

enum runtime_removal {
	RUNTIME_REMOVED,	/* by this request */
	RUNTIME_GONE,		/* was not there any more, or was on its way out and went */
	RUNTIME_RUNNING,	/* refused: something runs under its id */
	RUNTIME_REFUSED,	/* refused for another reason */
	RUNTIME_NO_ANSWER,	/* it may still do it */
};

typedef void runtime_remove_fn(void *ctx, enum runtime_removal result, const char *reason);

/**
 * runtime_remove() - remove a container
 * @rt: the runtime
 * @id: of the container
 * @force: also one that runs: what runs under the id is killed
 * @timeout_ms: for the request, and once more for the end of a removal that is under way
 * @done: called once, by the loop
 * @ctx: of @done
 *
 * One that the runtime is removing already (it was started to be removed at its end, or
 * somebody else removes it) is waited for.
 *
 * Return: 0, or negative errno, and then @done is not called.
 */
int runtime_remove(const struct runtime *rt, const char *id, bool force, long timeout_ms,
		   runtime_remove_fn *done, void *ctx);

/* @words: an entry for each container, freed on return; NULL: no answer. */
typedef void runtime_events_fn(void *ctx, const struct death_word *words, size_t count);

/**
 * runtime_fetch_events() - ask for the ends of containers in a time that is over
 * @rt: the runtime
 * @since_ms: Unix time
 * @until_ms: likewise, not after now: then it answers at once
 * @done: called once, by the loop
 * @ctx: of @done
 *
 * Also of containers that are removed by now.  A runtime keeps the last few hundred.
 *
 * Return: 0, or negative errno, and then @done is not called.
 */
int runtime_fetch_events(const struct runtime *rt, int64_t since_ms, int64_t until_ms,
			 runtime_events_fn *done, void *ctx);

/**
 * runtime_parse_events() - the pure part of it: JSON objects, one after the other
 * @text: ends in NUL
 *
 * Return: 0; -EBADMSG: something else is among them; -ENOMEM.
 */
int runtime_parse_events(const char *text, size_t len, struct death_word **ret, size_t *ret_count);

#endif
