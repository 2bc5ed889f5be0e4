/* SPDX-License-Identifier: GPL-2.0 */
/* The container runtime, by the Docker Engine API over its socket (Podman has it too). */
#ifndef IO_RUNTIME_H
#define IO_RUNTIME_H

#include "userspace/core/model.h"
#include "userspace/io/door.h"

#define RUNTIME_REASON_SIZE 512

/* Labels that rule the monitor; set by whoever makes a container, not from inside. */
#define RUNTIME_LABEL_PROTECT "sysinfo.protect"
#define RUNTIME_LABEL_ROLE "sysinfo.role"

/**
 * runtime_socket() - the socket to use
 * @wanted: the user's choice, or NULL: Docker's, else Podman's (root's, then the user's)
 *
 * Return: a path, static or @wanted; NULL: there is none.
 */
const char *runtime_socket(const char *wanted);

/**
 * runtime_list() - fill in what the runtime says of the model's containers
 * @socket: of the runtime
 * @door: of the log server
 * @m: the model
 * @reason: on failure, one line for the user (RUNTIME_REASON_SIZE)
 *
 * Return: 0 or negative errno, and then no container is known.
 */
int runtime_list(const char *socket, const struct door *door, struct model *m, char *reason);

/**
 * runtime_parse_list() - the pure part of it: an answer to GET /containers/json
 * @text: ends in NUL
 *
 * The log server is whoever stands in its door, whatever its labels: a port has one
 * holder.  Only while nobody does (it is being started, or is in the machine's own
 * network) its label is taken for it, by whomever it is worn.
 *
 * Return: 0, -EBADMSG or -ENOMEM, and then no container is known.
 */
int runtime_parse_list(const char *text, size_t len, const struct door *door, struct model *m);

#endif
