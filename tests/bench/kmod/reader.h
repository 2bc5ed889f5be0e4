/* SPDX-License-Identifier: GPL-2.0 */
/* The ways of seeing all containers' processes that are compared. */
#ifndef BENCH_KMOD_READER_H
#define BENCH_KMOD_READER_H

#include <stddef.h>

/* What every reader gets of a process, in its own way. */
struct reader_result {
	size_t processes;
	size_t bytes;
};

struct reader {
	const char *name;
	/* may fail: the reader is then left out */
	int (*begin)(void);
	void (*read)(struct reader_result *ret);
	/* of the last reading, where counting is no part of it */
	size_t (*count)(void);
};

extern const struct reader reader_module, reader_procfs, reader_proc2, reader_bpf;

#endif
