/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The containers of the host at one moment, and what they did since the moment before:
 * snapshot + cgroup readings + runtime's list + last model.  Pure.
 */
#ifndef CORE_MODEL_H
#define CORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/core/snapshot_parse.h"

/* 64 hex digits; for LXC a name, at most NAME_MAX bytes. */
#define MODEL_ID_SIZE 256
/* Cut when longer; what the runtime calls a container is then marked as that. */
#define MODEL_NAME_SIZE 128
#define MODEL_IMAGE_SIZE 256
/* The module cuts a cgroup's path at 1024 bytes, after the container's own part. */
#define MODEL_PATH_SIZE 1100

/* What cgroup v2 says of a container's own group; filled in by the caller. */
struct model_cgroup {
	bool known;		/* the group was found, and inode is its */
	bool has_memory;
	bool has_cpu;
	uint64_t inode;
	bool has_inactive;
	uint64_t memory_bytes;	/* memory.current */
	uint64_t inactive_bytes; /* memory.stat inactive_file: cache that can go at once */
	uint64_t cpu_us;	/* cpu.stat usage_usec */
	bool has_oom;
	bool has_pids;
	bool frozen;		/* cgroup.events frozen: paused, by whomever */
	uint64_t oom_kills;	/* memory.events oom_kill */
	uint64_t pids;		/* pids.current: threads, dead ones that nobody has waited for too */
};

/* What the runtime says of a container; filled in by the caller. */
struct model_runtime {
	bool known;		/* the runtime lists it */
	bool running;		/* and not paused, restarting or being removed */
	bool is_protected;	/* label sysinfo.protect=true */
	bool log_server;	/* it is the log server, see runtime_parse_list() */
	char name[MODEL_NAME_SIZE];
	char image[MODEL_IMAGE_SIZE];
	bool name_cut;		/* it goes on */
	bool image_unsure;	/* it goes on, or the image has lost its name to another since */
	/*
	 * "key=value" of each label, each with its NUL, one after the other; from malloc(),
	 * freed with the model.  NULL: none.
	 */
	char *labels;
	size_t labels_len;
	bool labels_cut;	/* there were more than are kept: what they say isn't known */
};

/* Kept of one container's labels; Docker's own bound on a whole request is 4 MiB. */
#define MODEL_LABELS_MAX (16 * 1024)

struct model_container {
	char id[MODEL_ID_SIZE];
	char runtime_name[16];
	char path[MODEL_PATH_SIZE];	/* of the container's own, outermost cgroup */

	/* Sums over its processes; the oldest one stands for the container. */
	uint32_t pid;
	char name[MODEL_NAME_SIZE];
	uint64_t start_us;		/* CLOCK_BOOTTIME, of the oldest */
	uint32_t process_count;
	uint64_t thread_count;
	uint64_t vsz_kib;
	uint64_t rss_kib;
	double memory_percent;		/* of the machine's RAM */

	struct model_cgroup cgroup;
	struct model_runtime runtime;
	bool self;			/* the monitor runs in it; filled in by the caller */
	bool dying;			/* told to die, but not dead yet; likewise */
	uint32_t comebacks;		/* how often it was killed already; likewise */

	/* Since the last model; meaningless unless has_window. */
	bool has_window;		/* it was there, the same one, at both ends */
	bool has_cgroup_window;
	uint64_t cpu_window_us;		/* of its live processes, by the module */
	uint64_t cpu_new_us;		/* of that, of those born in the window */
	uint64_t cgroup_window_us;	/* by cpu.stat */
	uint64_t oom_window;		/* by memory.events; 0 if that could not be read */
};

struct model_process {
	uint32_t pid;
	char state;			/* as ps has it, of its first thread */
	uint32_t threads;		/* not in a recording */
	size_t container;		/* index */
	uint64_t start_us;
	uint64_t cpu_us;
};

struct model {
	char boot_id[64];		/* of the kernel; filled in by the caller */
	char instance[64];
	uint64_t sequence;
	uint64_t boot_time_us;
	uint64_t window_us;		/* since the last model; 0: no window */
	uint32_t cpus;
	uint64_t total_ram_kib;
	uint64_t free_ram_kib;
	uint64_t used_ram_kib;
	uint64_t available_ram_kib;
	struct model_container *containers;	/* by id */
	size_t container_count;
	struct model_process *processes;	/* by pid, then start */
	size_t process_count;
};

/**
 * model_new() - group a snapshot's processes into containers
 * @s: the snapshot; not needed afterwards
 * @ret: the model; the caller frees it with model_free()
 *
 * A process whose ContainerID isn't what its Cgroup path says is left out, and with it
 * goes its container: contradicting evidence is none.
 *
 * Return: 0 or -ENOMEM.
 */
int model_new(const struct snapshot *s, struct model **ret);

/**
 * model_compare() - fill in what happened since the last model
 * @m: the model, with its containers' cgroup readings filled in
 * @last: the one before; NULL: there is none
 *
 * There is no window (and nothing is decided) unless both come from the same load of
 * the module and the later one is later.  A container has one if its cgroup is the
 * same, by inode, at both ends.  Its CPU is the growth of each process known at both
 * ends, plus all of those born in between; a counter that went back counts as 0.
 */
void model_compare(struct model *m, const struct model *last);

/*
 * Takes the containers out for which @gone, an array of m->container_count, is true.
 * Return: 0 or -ENOMEM.
 */
int model_drop(struct model *m, const bool *gone);

/* The container with this id, or NULL. */
struct model_container *model_find(const struct model *m, const char *id);

/* The process, or NULL. */
const struct model_process *model_find_process(const struct model *m, uint32_t pid,
					       uint64_t start_us);

/* NULL is no error. */
void model_free(struct model *m);

#endif
