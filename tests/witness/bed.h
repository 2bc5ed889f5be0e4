/* SPDX-License-Identifier: GPL-2.0 */
/* Cgroups and children to watch: for the witness's tests and its benchmark. */
#ifndef TESTS_WITNESS_BED_H
#define TESTS_WITNESS_BED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

/* A guest under software emulation is some 20 times slower than a machine. */
#define BED_PATIENCE_MS 60000

struct bed_cgroup {
	char path[700];		/* absolute */
	uint64_t id;
};

struct bed_child {
	pid_t pid;
	int go;			/* a byte lets the child begin */
	uint64_t start_ticks;	/* /proc/PID/stat, field 22 */
	int status;		/* both set by bed_reap() */
	struct rusage usage;
};

/* What a child does after it was let go; returns its exit status. */
typedef int (*bed_act_fn)(void *arg);

/* The kernel's. */
const char *bed_release(void);

/* TAP: a comment; the end. */
void bed_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bed_die(const char *what) __attribute__((noreturn));

uint64_t bed_now_us(clockid_t clock);

/* Where cgroup v2 is mounted; set by bed_find_cgroups(), which fails with -ENODEV. */
extern char bed_cgroup_root[256];
int bed_find_cgroups(void);

/* Makes the cgroup and those above it; what was not there is noted for bed_remove_all(). */
struct bed_cgroup bed_make_cgroup(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * Waits until the cgroup has no process any more. A process is counted out of
 * its cgroup a moment after its parent could reap it.
 */
void bed_wait_empty(const char *path);
/* Writes to one of the cgroup's files. */
void bed_write(const struct bed_cgroup *cg, const char *name, const char *text);
void bed_remove(const char *path);
void bed_remove_all(void);

/* 64 hex digits that nobody else has. */
const char *bed_new_id(void);
/* Whether a container is named by an id from there: the machine may have others. */
bool bed_is_own(const char *id);

/* Starts a child that was born in the cgroup, so that all of its CPU belongs there. */
struct bed_child bed_spawn(const struct bed_cgroup *cg, bed_act_fn act, void *arg);
void bed_let_go(struct bed_child *c);
void bed_reap(struct bed_child *c);


/* Makes containers' cgroups have a memory controller; notes why not, where there is none. */
bool bed_has_memory(void);
/* Fills so many bytes (size_t) of memory. */
int bed_act_hog(void *arg);
/*
 * Only what is more urgent than the level reaches the console; returns what it was. The
 * kernel tells of an OOM kill with a call trace, which the lab takes for a fault: 4 is
 * more urgent than that, and less than a fault.
 */
int bed_console_level(int level);

#endif
