/* SPDX-License-Identifier: GPL-2.0 */
/* The module's JSON document -> struct snapshot.  Pure. */
#ifndef CORE_SNAPSHOT_PARSE_H
#define CORE_SNAPSHOT_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* Strings belong to the snapshot and live as long as it does. */
struct snapshot_process {
	uint32_t pid;
	uint32_t ppid;
	const char *name;
	const char *container_id;	/* "" outside of containers (scope=all) */
	const char *runtime;
	const char *cgroup;		/* path in the default hierarchy, from its root */
	uint64_t cgroup_id;		/* inode of that cgroup */
	uint64_t start_us;		/* CLOCK_BOOTTIME; with the pid it names the process */
	uint64_t vsz_kib;
	uint64_t rss_kib;
	uint64_t cpu_us;		/* dead threads included */
	char state;			/* as ps has it */
	uint32_t threads;
	double memory_percent;
	double cpu_percent;		/* lifetime average, as ps has it */
};

struct snapshot {
	const char *instance;		/* drawn when the module was loaded */
	uint64_t sequence;		/* of its collections */
	uint64_t boot_time_us;		/* CLOCK_BOOTTIME at the collection */
	uint64_t collect_us;
	uint64_t total_ram_kib;
	uint64_t free_ram_kib;
	uint64_t used_ram_kib;
	uint64_t available_ram_kib;
	uint32_t cpus;
	struct snapshot_process *processes;
	size_t process_count;
	void *document;			/* the parsed text, which owns the strings */
};

#define SNAPSHOT_REASON_SIZE 160

/**
 * snapshot_parse() - parse and check one document
 * @text: the document; need not end in NUL
 * @len: its length in bytes
 * @ret: the snapshot; the caller frees it with snapshot_free()
 * @reason: on failure, what is wrong with the document (SNAPSHOT_REASON_SIZE)
 *
 * Every field that a decision can rest on must be there and be of its type and range:
 * a document that lacks one is no evidence.
 *
 * Return: 0; -EBADMSG: not such a document; -EPROTO: of another schema version;
 * -ENOMEM.
 */
int snapshot_parse(const char *text, size_t len, struct snapshot **ret, char *reason);

/* NULL is no error. */
void snapshot_free(struct snapshot *s);

#endif
