/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The BPF witness: deaths of processes in containers, and the CPU that the
 * scheduler gave to containers. A test replaces it by linking another
 * implementation of these functions.
 */
#ifndef USERSPACE_IO_WITNESS_H
#define USERSPACE_IO_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/witness_event.h"

/* The id of a container, as text: 64 hex digits; for LXC a name, which has at most NAME_MAX bytes. */
#define WITNESS_ID_SIZE 256

/* Room for the reason of a failed witness_open(). */
#define WITNESS_REASON_SIZE 256

struct witness;

/* All optional: zeroes are the defaults. */
struct witness_options {
	/* Where cgroup v2 is mounted; default: /sys/fs/cgroup. */
	const char *cgroup_root;
	/*
	 * Bytes of the ring of exit events, 112 for each; a power of two and of
	 * whole pages. Default: WITNESS_RING_BYTES.
	 */
	uint32_t ring_bytes;
	/* libbpf's messages, one line each; default: nowhere. */
	void (*log)(const char *line);
};

/* The death of a process: its whole thread group. */
struct witness_exit {
	const char *container_id;	/* valid during the call */
	uint64_t container_cgroup_id;	/* of the outermost container */
	uint64_t cgroup_id;		/* of the cgroup the process was in */
	uint32_t pid;			/* in the initial PID namespace */
	uint32_t ppid;
	uint64_t start_us;		/* CLOCK_BOOTTIME; with pid the process's identity */
	uint64_t exit_us;		/* CLOCK_BOOTTIME */
	uint64_t cpu_us;		/* all threads, dead ones too, to the last switch */
	uint64_t tails_us;		/* of that, what its container's tails_us had already */
	uint64_t user_us;		/* cpu_us, divided as getrusage(2) does it */
	uint64_t system_us;
	uint64_t peak_rss_kib;
	int exit_code;			/* exit(3) status; -1 if ended by a signal */
	int signal;			/* that ended it; 0 if it exited by itself */
	bool core_dumped;
	bool oom;			/* the OOM killer chose it; with signal SIGKILL: it did it */
	uint32_t killer_pid;		/* process that sent the signal; 0: the kernel, or not known */
	bool init;			/* first of a PID namespace: a container's main process */
	bool cpu_partial;		/* the times lack a thread, or the last steps */
	char comm[WITNESS_COMM_SIZE + 1];	/* any bytes */
};

/* One container, and all below it; sums since witness_open(). */
struct witness_cpu {
	char container_id[WITNESS_ID_SIZE];
	uint64_t container_cgroup_id;
	uint64_t cpu_us;		/* by the scheduler, the slices running now included */
	uint64_t exited_us;		/* cpu_us of its exits, lost events included */
	uint64_t exits;			/* lost events included */
	uint64_t exits_lost;
	uint64_t lost_us;		/* cpu_us of those, less their tails_us */
	uint64_t tails_us;		/* of threads of processes that go on, after the kernel had
					   added them to their process's sum */
	uint64_t oom_exits;		/* of exits, those with oom; lost events included */
	bool removed;			/* its cgroup is gone */
};

/* What was not seen, by reason; since witness_open(). */
struct witness_drops {
	uint64_t ring_full;		/* exit events lost: not drained in time */
	uint64_t cgroups_full;		/* cgroups not watched: more than WITNESS_MAX_CGROUPS */
	uint64_t unplaced;		/* exit events that came after their cgroup was forgotten */
	uint64_t groups_full;		/* exit events with cpu_partial: more than WITNESS_MAX_GROUPS */
};

/* Return: 0, or negative errno, which ends the draining. */
typedef int (*witness_exit_fn)(void *ctx, const struct witness_exit *ev);

/**
 * witness_open() - load the BPF programs and begin to watch
 * @options: may be NULL
 * @ret: the witness; the caller closes it
 * @reason: on failure, one line for the user on what is wrong and what to do
 * @reason_size: its size; WITNESS_REASON_SIZE is enough
 *
 * Only one thread may use a witness. Once it is open it needs no capabilities.
 *
 * Return: 0; -ENOENT: kernel without BTF; -EPERM: not permitted; -ENODEV: no
 * cgroup v2 at the root; -EOPNOTSUPP: the kernel lacks something else;
 * another negative errno: trouble.
 */
int witness_open(const struct witness_options *options, struct witness **ret, char *reason,
		 size_t reason_size);

/* Unloads everything. NULL is no error. */
void witness_close(struct witness *w);

/* CLOCK_BOOTTIME of its opening: sums of another one are not comparable. */
uint64_t witness_since_us(const struct witness *w);

/*
 * Readable (poll, epoll) when a good part of the ring is to be drained, not for each
 * event. Stays the witness's own.
 */
int witness_fd(const struct witness *w);

/**
 * witness_drain() - hand over the deaths seen since the last call
 * @w: the witness
 * @fn: called once for each, oldest first as far as one CPU goes
 * @ctx: passed to @fn
 *
 * Does not block. Must be called from time to time: cgroups that are gone are
 * forgotten, and their room given back, only after it.
 *
 * Return: number of events, or negative errno (of @fn).
 */
int witness_drain(struct witness *w, witness_exit_fn fn, void *ctx);

/**
 * witness_read_cpu() - CPU of all containers
 * @w: the witness
 * @ret_rows: array; the caller frees it
 * @ret_count: number of rows
 *
 * Values never go down. A container that ended is in at least one reading
 * after its end, then it is forgotten. A slice that runs now is counted up to
 * the last tick of its CPU.
 *
 * Return: 0 or negative errno.
 */
int witness_read_cpu(struct witness *w, struct witness_cpu **ret_rows, size_t *ret_count);

/* Return: 0 or negative errno. */
int witness_read_drops(struct witness *w, struct witness_drops *ret);

#endif
