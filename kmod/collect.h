/* SPDX-License-Identifier: GPL-2.0 */
/* Walks the tasks of the machine into records. Knows nothing of JSON. */
#ifndef SYSINFO_COLLECT_H
#define SYSINFO_COLLECT_H

#include <linux/sched.h>
#include <linux/types.h>

#include "container_id.h"
#include "sysinfo_abi.h"

/**
 * struct collect_machine - the machine as a whole
 * @user_us: with nice and guest time, as in the first two columns of /proc/stat
 * @system_us: with interrupts
 * @load_hundredths: load averages over 1, 5 and 15 minutes
 */
struct collect_machine {
	u64 total_ram_kib;
	u64 free_ram_kib;
	u64 available_ram_kib;
	u64 buffer_ram_kib;
	unsigned int cpus;
	u64 user_us;
	u64 system_us;
	u64 idle_us;
	u64 iowait_us;
	u64 steal_us;
	u64 load_hundredths[3];
};

/**
 * struct collect_cgroup - a cgroup that some process was found in
 * @key: the cgroup's id
 * @id: the id of the cgroup that @path names: an ancestor if the path of the
 *	cgroup itself is longer than SYSINFO_CGROUP_MAX
 * @path: offset of its path in struct collect, @path_len bytes
 * @container: the container it belongs to, if container.runtime is set
 * @note, @note_len: the user's; NULL and 0 at first
 */
struct collect_cgroup {
	u64 key;
	u64 id;
	size_t path;
	size_t path_len;
	struct container_id container;
	const char *note;
	size_t note_len;
};

/**
 * struct collect_process - a process, i.e. a thread group
 * @cgroup: index into struct collect's cgroups
 * @start_us: CLOCK_BOOTTIME when it was started
 * @user_us, @system_us, @cpu_us: of all threads, also the dead
 * @cpu_hundredths: percent of one CPU over its life
 * @mm: referenced until collect_memory() has been called
 */
struct collect_process {
	pid_t pid;
	pid_t ppid;
	char comm[TASK_COMM_LEN];
	char state;
	unsigned int threads;
	unsigned int cgroup;
	u64 start_us;
	u64 user_us;
	u64 system_us;
	u64 cpu_us;
	u64 cpu_hundredths;
	struct mm_struct *mm;
};

/* What collect_memory() adds. @cmdline is valid until its next call. */
struct collect_memory {
	u64 vsz_kib;
	u64 rss_kib;
	const char *cmdline;
	size_t cmdline_len;
};

/**
 * struct collect - a collection under way
 * @all: also processes outside of containers
 * @processes, @count: what the last step found
 * @cgroups: all cgroups found up to now
 * @paths: where their paths are
 *
 * The rest is private.
 */
struct collect {
	bool all;
	struct collect_process processes[SYSINFO_STEP_PROCESSES];
	unsigned int count;
	struct collect_cgroup *cgroups;
	char *paths;

	int next_pid;
	bool done;
	u64 mmap_waited_ns;
	unsigned int cgroups_count;
	unsigned int cgroups_size;
	u32 *slots;
	size_t paths_len;
	size_t paths_size;
	char cmdline[SYSINFO_CMDLINE_MAX] __aligned(sizeof(u64));
};

void collect_machine(struct collect_machine *ret);
int collect_begin(bool all, struct collect **ret);
int collect_step(struct collect *c);
void collect_memory(struct collect *c, struct collect_process *process, bool cmdline,
		    struct collect_memory *ret);
void collect_end(struct collect *c);

#endif
