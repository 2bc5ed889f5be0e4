/* SPDX-License-Identifier: GPL-2.0 */
/* One collection as one JSON document. */
#ifndef SYSINFO_SNAPSHOT_H
#define SYSINFO_SNAPSHOT_H

#include <linux/types.h>

/**
 * struct snapshot_options - what a snapshot shows
 * @all: also processes outside of containers
 * @cmdline: command lines; else they are empty
 */
struct snapshot_options {
	bool all;
	bool cmdline;
};

/**
 * struct snapshot - a finished document, never changed
 * @text: not ended by NUL
 * @len: its length in bytes
 *
 * The rest is private.
 */
struct snapshot {
	const char *text;
	size_t len;

	char *buf;
};

void snapshot_init(void);
int snapshot_take(const struct snapshot_options *options, struct snapshot *ret);
void snapshot_free(struct snapshot *snapshot);

#endif
