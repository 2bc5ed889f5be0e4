/* SPDX-License-Identifier: GPL-2.0 */
/* What the runtime remembers of its containers' ends. */
#ifndef IO_RUNTIME_EVENTS_H
#define IO_RUNTIME_EVENTS_H

#include <stdint.h>

#include "userspace/core/death.h"
#include "userspace/io/runtime_end.h"

/**
 * runtime_events() - ask for the ends of containers in a time that is over
 * @call: whom to ask
 * @since_ms: Unix time
 * @until_ms: likewise, not after now: then it answers at once
 * @ret: what it says, a word for each container; the caller frees it
 * @ret_count: their number
 *
 * Also of containers that are removed by now.  A runtime keeps the last few hundred.
 *
 * Return: 0 or negative errno.
 */
int runtime_events(const struct runtime_call *call, int64_t since_ms, int64_t until_ms,
		   struct death_word **ret, size_t *ret_count);

/**
 * runtime_parse_events() - the pure part of it: JSON objects, one after the other
 * @text: ends in NUL
 *
 * Return: 0; -EBADMSG: something else is among them; -ENOMEM.
 */
int runtime_parse_events(const char *text, size_t len, struct death_word **ret, size_t *ret_count);

#endif
