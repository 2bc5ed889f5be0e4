/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What crosses between the BPF programs and user space. Fixed widths, explicit
 * padding, nothing that depends on a compiler or a kernel.
 */
#ifndef BPF_WITNESS_EVENT_H
#define BPF_WITNESS_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* Changes with any change of a struct below. */
#define WITNESS_EVENT_VERSION 3

#define WITNESS_COMM_SIZE 16

/* cgroup tracepoints cut a path at TRACE_CGROUP_PATH_LEN, in all kernels. */
#define WITNESS_PATH_SIZE 1024

/*
 * Bounds of the maps.
 *
 * Cgroups: all that live in containers, plus those removed but not yet read.
 * A machine runs a few hundred containers; 4096 leaves room for a few hundred
 * more that come and go between two readings. A cgroup that finds no room is
 * not watched, and counted (WITNESS_DROP_CGROUP).
 */
#define WITNESS_MAX_CGROUPS 4096
/*
 * The ring of exit events, 112 bytes each with what the ring adds: 7 s of 5 000 exits a second. User space
 * is woken when a quarter of it is full, as a wake-up costs more than all the rest
 * of an exit; who needs an event sooner, drains. What finds no room is lost, and
 * counted with its CPU in the container's books (WITNESS_DROP_RING).
 */
#define WITNESS_RING_BYTES (4 << 20)
#define WITNESS_RING_WAKE 4
/*
 * Processes of which a thread has died, but not yet all; and those that are on their last
 * way, of which there are many only at once. Apart, so that who keeps many of the first
 * kind takes no room from the others. If there are more of both, the further ones' events
 * are sent early, with WITNESS_EXIT_CPU_PARTIAL.
 */
#define WITNESS_MAX_GROUPS 4096
#define WITNESS_MAX_ENDING 1024
/*
 * Processes that were sent what ends them, and have not ended yet. If there are
 * more, the sender of the oldest is forgotten.
 */
#define WITNESS_MAX_KILLS 4096
/*
 * How many threads of a dying process are looked at, for one that is still on
 * its way. Those that are not, were reaped, but for the leader and what is traced.
 */
#define WITNESS_MAX_WALK 256

/* cpu_ns, user_ns and system_ns may lack the process's last steps, or a thread. */
#define WITNESS_EXIT_CPU_PARTIAL (1U << 0)
/* The kernel's OOM killer had chosen it, or found it dying already. */
#define WITNESS_EXIT_OOM (1U << 1)
/* The first process of a PID namespace: with it a container ends. */
#define WITNESS_EXIT_INIT (1U << 2)

/* The death of a process: its whole thread group. */
struct witness_exit_event {
	__u32 version;		/* WITNESS_EVENT_VERSION */
	__u32 flags;		/* WITNESS_EXIT_* */
	__u32 pid;		/* thread group id in the initial PID namespace */
	__u32 ppid;
	__u64 cgroup_id;	/* cgroup v2 inode of the cgroup it was in, not of the container */
	__u64 start_ns;		/* CLOCK_BOOTTIME, of the group leader */
	__u64 exit_ns;		/* CLOCK_BOOTTIME */
	__u64 cpu_ns;		/* as the scheduler gave it, all threads, dead ones too */
	__u64 user_ns;		/* sampled by the tick: their ratio divides cpu_ns */
	__u64 system_ns;
	__u64 tails_ns;		/* of cpu_ns, what witness_usage.tails_ns had of it already */
	__u64 peak_rss_pages;
	__u32 wait_status;	/* as wait(2) gives it */
	__u32 killer_pid;	/* thread group that sent the signal; 0: none, or not known */
	char comm[WITNESS_COMM_SIZE];	/* of the group leader; any bytes */
};

/* Kept for each watched cgroup; the key is its id. */
struct witness_cgroup {
	__u64 parent_id;
	__u64 removed_ns;	/* CLOCK_BOOTTIME; 0 while it is there */
	char path[WITNESS_PATH_SIZE];	/* from the root of the hierarchy */
};

/* Kept for each watched cgroup and CPU; only ever grows. */
struct witness_usage {
	__u64 cpu_ns;		/* by sched_switch */
	__u64 exited_ns;	/* sum of the cpu_ns of the events, lost ones too */
	__u64 exits;
	__u64 exits_lost;	/* of them, events that found no room in the ring */
	__u64 lost_ns;		/* cpu_ns of those, less their tails_ns */
	/*
	 * What threads of processes that go on used after the kernel had added them to their
	 * process's sum: no account of processes has it.
	 */
	__u64 tails_ns;
	__u64 oom_exits;	/* of all, those with WITNESS_EXIT_OOM */
};

/* Index into the per-CPU array of drops. */
enum witness_drop {
	WITNESS_DROP_RING,	/* exit event lost: ring buffer full */
	WITNESS_DROP_CGROUP,	/* cgroup not watched: map full */
	WITNESS_DROP_GROUP,	/* event sent early and partial: WITNESS_MAX_GROUPS, _ENDING reached */
	WITNESS_DROP_COUNT,
};

#endif
