/* SPDX-License-Identifier: GPL-2.0 */
/* What the readers, the storms and whoever watches them have in common. */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A container for each storm, by number. */
#define TORTURE_CONTAINER "/docker/%064x"
#define TORTURE_CONTAINER_SIZE (sizeof("/docker/") + 64)

/* In memory that all processes share. */
struct torture_counts {
	/* opens that gave a snapshot, of which were read to the end, of which were parsed */
	atomic_ulong snapshots;
	atomic_ulong whole;
	atomic_ulong parsed;
	atomic_ulong bytes;
	/* opens that were refused */
	atomic_ulong no_memory;
	atomic_ulong no_module;
	atomic_ulong busy;
	/* reads that ended as the module was unloaded */
	atomic_ulong cut_off;
	/* what must not be: another error, or bytes that are no document */
	atomic_ulong wrong;

	atomic_ulong forks;
	atomic_ulong execs;
	atomic_ulong threads;
	atomic_ulong leaders;
	atomic_ulong cgroups;
	atomic_ulong migrations;
	atomic_ulong maps;
	atomic_ulong pressed_mib;
	atomic_ulong killed_readers;
	atomic_ulong reloads;
};

extern struct torture_counts *torture_counts;
extern const char *torture_module;

/* From xorshift64; each process calls torture_seed() first. */
void torture_seed(void);
uint64_t torture_random(uint64_t below);
void torture_fill(char *bytes, size_t len);

void torture_pause(void);
void torture_write(const char *path, const char *text);

/* Starts a process that runs loop(arg) for ever, dies with its parent, and may not end. */
pid_t torture_start(void (*loop)(unsigned int arg), unsigned int arg);

/* All of them; returns how many were started. */
unsigned int readers_start(void);
unsigned int storms_start(void);

/* Each allocation of an open fails once, in turn. Returns how many there are. */
unsigned int readers_fail_in_turn(void);

/* Goes on as a process that a storm has exec'ed, if it is one. */
void storms_main(int argc, char **argv);

bool storms_load(const char *parameters);
bool storms_unload(void);

#endif
