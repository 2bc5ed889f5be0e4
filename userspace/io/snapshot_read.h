/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IO_SNAPSHOT_READ_H
#define IO_SNAPSHOT_READ_H

#include "userspace/core/snapshot_parse.h"

/* Room for the line that says what is wrong and what to do. */
#define SNAPSHOT_READ_REASON_SIZE 512

/**
 * snapshot_read() - read and parse one snapshot
 * @path: the module's file
 * @ret: the snapshot; the caller frees it with snapshot_free()
 * @reason: on failure, one line for the user (SNAPSHOT_READ_REASON_SIZE)
 *
 * Return: 0; -ENOENT: not there; -EACCES, -EPERM: not readable; as snapshot_parse();
 * another negative errno of reading.
 */
int snapshot_read(const char *path, struct snapshot **ret, char *reason);

#endif
