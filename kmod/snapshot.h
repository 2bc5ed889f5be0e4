/* SPDX-License-Identifier: GPL-2.0 */
/* One collection as one JSON document. */
#ifndef SYSINFO_SNAPSHOT_H
#define SYSINFO_SNAPSHOT_H

#include <linux/list.h>
#include <linux/types.h>

struct iov_iter;

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
 * @len: its length in bytes
 * @pieces: its text, private
 */
struct snapshot {
	size_t len;
	struct list_head pieces;
};

void snapshot_init(void);
int snapshot_take(const struct snapshot_options *options, struct snapshot *ret);
size_t snapshot_copy(const struct snapshot *snapshot, size_t from, struct iov_iter *to);
void snapshot_free(struct snapshot *snapshot);

#endif
