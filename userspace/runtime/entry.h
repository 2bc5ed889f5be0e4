/* SPDX-License-Identifier: GPL-2.0 */
/* One entry of the runtime's list of containers.  Pure. */
#ifndef RUNTIME_ENTRY_H
#define RUNTIME_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "userspace/core/model.h"
#include "userspace/runtime/log_endpoint.h"

/* Of 10 000 containers each has one: its parts have their own size. */
struct runtime_entry {
	char *id;			/* NULL: it is not known */
	struct model_runtime *runtime;	/* NULL: the entry is unclear; log_server: by its label */
	bool publishes;			/* the port of the log server's endpoint */
};

/**
 * runtime_entry_parse() - read one entry
 * @text: of the entry, without what separates it from others
 * @len: its length
 * @endpoint: of the log server
 * @ret: cleared by runtime_entry_clear()
 *
 * An entry is unclear if it is no well-formed object, has no usable "Id", or if one of the
 * keys that are read is there twice or has a value of another type than Docker's API says.
 *
 * Return: 0, for an unclear entry too; -ENOMEM.
 */
int runtime_entry_parse(const char *text, size_t len, const struct log_endpoint *endpoint,
			struct runtime_entry *ret);

/* Frees what the entry has, but not the entry. */
void runtime_entry_clear(struct runtime_entry *e);

/* Copies @from, its labels too.  Return: 0 or -ENOMEM. */
int runtime_entry_copy(const struct model_runtime *from, struct model_runtime *ret);

#endif
