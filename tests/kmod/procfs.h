/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's own files say, to compare with. */
#ifndef KMOD_PROCFS_H
#define KMOD_PROCFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procfs_stat {
	char state;
	int64_t ppid;
	int64_t user_ticks;
	int64_t system_ticks;
	int64_t threads;
	int64_t start_ticks;
	int64_t vsz_bytes;
};

/* A file's content, at most size - 1 bytes, ended by NUL; returns its length. */
size_t procfs_read(const char *path, char *text, size_t size);
size_t procfs_read_of(pid_t pid, const char *file, char *text, size_t size);

void procfs_stat(pid_t pid, struct procfs_stat *ret);
int64_t procfs_rss_kib(pid_t pid);

/* The number after "key" at the start of a line of a file. */
int64_t procfs_number(const char *path, const char *key);

#endif
