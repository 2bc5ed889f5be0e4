// SPDX-License-Identifier: GPL-2.0
/*
 * The witness: deaths of processes in containers, and the CPU that the
 * scheduler gave to their cgroups.
 *
 * Which cgroups are containers
 *	User space knows the rules (they are those of the module), and it has
 *	the strings. But a container may be born and die between two of its
 *	looks. So cgroup_mkdir notes, with its path, every cgroup that could be
 *	a container's, and all below it; user space judges the paths later, and
 *	takes back what it does not want. Cgroups that were there before are
 *	put in by user space. So a switch asks one question: is this cgroup in
 *	the map? No string is looked at more than once, and none at a switch.
 *
 * CPU
 *	The scheduler has the time of the slice that just ended already: it is
 *	what se.sum_exec_runtime grew by. Taking it from there costs no clock
 *	read, holds for every scheduling class, and makes the witness count in
 *	the very unit that cpu.stat and /proc/PID/stat count in (steal and IRQ
 *	time treated alike), so that the three can be compared to the
 *	microsecond.
 *
 * Deaths
 *	A dying thread still runs: it frees its memory, tells its parent, and
 *	switches away for the last time. For a process that lives 100 us that is
 *	a third of its life. So what is known at sched_process_exit is kept, and
 *	the event is sent when the last of the threads has switched away, with
 *	all of the CPU time.
 *
 * By whose hand
 *	That the OOM killer chose a process stays written in its signal_struct
 *	(oom_mm) until that is freed, and so needs no tracepoint, whose arguments
 *	differ between kernels. The sender of a fatal signal is noted as it is
 *	sent: the kernel decides at that moment that the process ends by it. The
 *	writer of cgroup.kill is the sender to all it kills.
 */
#include "vmlinux/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf/witness_event.h"

/* include/linux/sched.h; the same from 6.1 to 6.18. */
#define TASK_DEAD 0x80
/* include/linux/sched.h; the same from 6.1 to 6.18: dead, but not waited for. */
#define EXIT_ZOMBIE 0x20
/* include/linux/sched/signal.h; the same from 6.1 to 6.18. */
#define SIGNAL_GROUP_EXIT 0x4
/* kernel/signal.c: instead of a siginfo, from the kernel itself. */
#define SEND_SIG_PRIV 1
/* include/uapi/asm-generic/siginfo.h: sent by a process, by kill(2) and its like. */
#define SI_USER 0
#define SI_QUEUE -1
#define SI_TKILL -6
/* include/trace/events/signal.h */
#define TRACE_SIGNAL_DELIVERED 0

/* NAME_MAX and the NUL. */
#define NAME_SIZE 256

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WITNESS_RING_BYTES);
} witness_ring SEC(".maps");

/* Without preallocation: a value is over 1 KiB, and most machines need few. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WITNESS_MAX_CGROUPS);
	__type(key, __u64);
	__type(value, struct witness_cgroup);
} witness_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, WITNESS_MAX_CGROUPS);
	__type(key, __u64);
	__type(value, struct witness_usage);
} witness_usages SEC(".maps");

/*
 * A process of which a thread has died. CPU time is added up here, each thread's
 * at its last switch: the kernel's own sum (signal->sum_sched_runtime) has a
 * thread's time as it was at the last tick before it was reaped, and is never
 * put right.
 */
struct group {
	struct witness_exit_event ev;	/* cpu_ns, user_ns, system_ns: the sums */
	__s64 leaving;			/* threads between their exit and their last switch */
	__u64 zombies_ns;		/* of cpu_ns, of threads that the kernel's sum has not */
	__u64 ended;			/* no thread lives */
	__u64 sent;
};

/* Key: address of the signal_struct, which is there until the last thread's last switch. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WITNESS_MAX_GROUPS);
	__type(key, __u64);
	__type(value, struct group);
} witness_groups SEC(".maps");

/*
 * Likewise, of those with one thread, which are entered at their end. Who has more stays
 * out: of two threads that die at once each might enter the process, and in another map.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WITNESS_MAX_ENDING);
	__type(key, __u64);
	__type(value, struct group);
} witness_ending SEC(".maps");

/* Who sent what ends a process. Key as above; pid and start tell a new owner of the address. */
struct kill {
	__u32 pid;
	__u32 killer_pid;
	__u64 start_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WITNESS_MAX_KILLS);
	__type(key, __u64);
	__type(value, struct kill);
} witness_kills SEC(".maps");

/*
 * CPU time on its way to witness_usages. A look into a hash map takes 40 ns, as
 * much as all the rest of a switch; here a cgroup's place is computed from its
 * id, and only when another one needs the place is the hash map looked into.
 * Ids are not used twice, so there is nothing to invalidate. A cgroup that is
 * not watched has a place too: that it isn't is found out as rarely.
 */
struct account {
	__u64 cgroup_id;
	__u64 ns;
};

#define ACCOUNT_BITS 6

struct cpu {
	__u64 task;		/* what runs on it */
	__u64 counted_ns;	/* its CPU time when it was switched in, or last counted */
	struct account accounts[1 << ACCOUNT_BITS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu);
} witness_cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WITNESS_DROP_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} witness_drops SEC(".maps");

/* Too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct witness_cgroup);
} witness_scratch SEC(".maps");

static const __u32 zero;

/* Set by user space with the size of the ring. */
const volatile __u64 witness_wake_bytes = WITNESS_RING_BYTES / WITNESS_RING_WAKE;

static __always_inline void count_drop(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&witness_drops, &reason);

	if (n)
		*n += 1;
}

/* Cgroups. */

static const __u8 is_hex_digit[256] = {
	['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
	['8'] = 1, ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
};

/* Whether a name begins with text; without branches, see below. */
#define STARTS_WITH(name, text)							\
({										\
	__u8 differs = 0;							\
										\
	for (int c = 0; c < (int)sizeof(text) - 1; c++)				\
		differs |= (name)[c] ^ (text)[c];				\
	!differs;								\
})

/*
 * Every runtime has the container's id of 64 hex digits in the name of its
 * cgroup; LXC has a prefix or a parent. More than containers pass here (a pod
 * of Podman's, a conmon), but none is missed.
 *
 * By table and product instead of branches: the verifier walks one path, not
 * one for each text.
 */
static __always_inline bool could_be_container(const char *name)
{
	__u32 run = 0, found = 0;

	for (int i = 0; i < NAME_SIZE; i++) {
		run = (run + 1) * is_hex_digit[(__u8)name[i]];
		found |= run >> 6;
	}
	return found || STARTS_WITH(name, "lxc.payload.");
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(witness_cgroup_mkdir, struct cgroup *cgrp, const char *path)
{
	static const struct witness_usage nothing;
	__u64 id = cgrp->kn->id;
	__u64 parent_id = BPF_CORE_READ(cgrp, self.parent, cgroup, kn, id);
	struct witness_cgroup *new;

	/* Cgroup v1 hierarchies have the same tracepoint; v2 is number 0. */
	if (cgrp->root->hierarchy_id)
		return 0;
	new = bpf_map_lookup_elem(&witness_scratch, &zero);
	if (!new)
		return 0;
	if (!bpf_map_lookup_elem(&witness_cgroups, &parent_id)) {
		/* The parent's name for /lxc/<name>. */
		char parent[sizeof("lxc")] = {};

		bpf_probe_read_kernel_str(parent, sizeof(parent),
					  BPF_CORE_READ(cgrp, self.parent, cgroup, kn, name));
		__builtin_memset(new->path, 0, NAME_SIZE);
		bpf_probe_read_kernel_str(new->path, NAME_SIZE, cgrp->kn->name);
		if (!could_be_container(new->path) && !STARTS_WITH(parent, "lxc"))
			return 0;
	}
	new->parent_id = parent_id;
	new->removed_ns = 0;
	bpf_probe_read_kernel_str(new->path, sizeof(new->path), path);
	if (bpf_map_update_elem(&witness_usages, &id, &nothing, BPF_NOEXIST)) {
		count_drop(WITNESS_DROP_CGROUP);
		return 0;
	}
	/* Nothing but user space deletes from witness_cgroups, as it walks its keys. */
	if (bpf_map_update_elem(&witness_cgroups, &id, new, BPF_NOEXIST)) {
		bpf_map_delete_elem(&witness_usages, &id);
		count_drop(WITNESS_DROP_CGROUP);
	}
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(witness_cgroup_rmdir, struct cgroup *cgrp)
{
	__u64 id = cgrp->kn->id;
	struct witness_cgroup *gone = bpf_map_lookup_elem(&witness_cgroups, &id);

	/* User space takes it out once it has read the last of it. */
	if (gone)
		gone->removed_ns = bpf_ktime_get_boot_ns();
	return 0;
}

/* Deaths. */

static __always_inline bool is_of(const struct kill *kill, __u32 pid, __u64 start_ns)
{
	return kill->pid == pid && kill->start_ns == start_ns;
}

static __always_inline void find_killer(struct witness_exit_event *ev, __u64 key)
{
	struct kill *kill = bpf_map_lookup_elem(&witness_kills, &key);

	if (!kill)
		return;
	/* Sent, but it went by itself first. */
	if ((ev->wait_status & 0x7f) && is_of(kill, ev->pid, ev->start_ns))
		ev->killer_pid = kill->killer_pid;
	bpf_map_delete_elem(&witness_kills, &key);
}

static __always_inline void send_exit(struct witness_exit_event *ev, struct signal_struct *sig)
{
	struct witness_usage *usage;
	__u64 wake = BPF_RB_NO_WAKEUP;
	bool lost;

	ev->peak_rss_pages = sig->maxrss;
	ev->wait_status = sig->group_exit_code;
	if (sig->oom_mm)
		ev->flags |= WITNESS_EXIT_OOM;
	find_killer(ev, (__u64)sig);
	if (bpf_ringbuf_query(&witness_ring, BPF_RB_AVAIL_DATA) >= witness_wake_bytes)
		wake = BPF_RB_FORCE_WAKEUP;
	lost = bpf_ringbuf_output(&witness_ring, ev, sizeof(*ev), wake);
	if (lost)
		count_drop(WITNESS_DROP_RING);
	usage = bpf_map_lookup_elem(&witness_usages, &ev->cgroup_id);
	if (usage) {
		usage->exited_ns += ev->cpu_ns;
		usage->exits++;
		usage->exits_lost += lost;
		usage->lost_ns += lost ? ev->cpu_ns - ev->tails_ns : 0;
		usage->oom_exits += !!(ev->flags & WITNESS_EXIT_OOM);
	}
}

static __always_inline void add_thread(struct witness_exit_event *ev, struct task_struct *task)
{
	__sync_fetch_and_add(&ev->cpu_ns, task->se.sum_exec_runtime);
	__sync_fetch_and_add(&ev->user_ns, task->utime);
	__sync_fetch_and_add(&ev->system_ns, task->stime);
}

/* Of its own PID namespace the process has the innermost number. */
static __always_inline bool is_init(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	unsigned int level = BPF_CORE_READ(pid, level);
	int nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, nr));
	return level && nr == 1;
}

static __always_inline void describe(struct witness_exit_event *ev, struct task_struct *task)
{
	ev->ppid = task->real_parent->tgid;
	ev->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	ev->exit_ns = bpf_ktime_get_boot_ns();
	if (is_init(task->group_leader))
		ev->flags |= WITNESS_EXIT_INIT;
	bpf_probe_read_kernel(ev->comm, sizeof(ev->comm), task->group_leader->comm);
}

static __always_inline void begin_group(struct group *group, struct task_struct *task)
{
	struct witness_exit_event *ev = &group->ev;
	struct task_struct *leader = task->group_leader;
	struct signal_struct *sig = task->signal;

	ev->version = WITNESS_EVENT_VERSION;
	ev->pid = task->tgid;
	ev->start_ns = leader->start_boottime;
	/* Of threads that died before the witness came; a leader is reaped with the group only. */
	ev->cpu_ns = sig->sum_sched_runtime;
	ev->user_ns = sig->utime;
	ev->system_ns = sig->stime;
	if (leader != task && leader->exit_state) {
		add_thread(ev, leader);
		group->zombies_ns = leader->se.sum_exec_runtime;
	}
}

/* Of a former process's with the same address too: who asks looks at its pid. */
static __always_inline struct group *find_group(__u64 key)
{
	struct group *group = bpf_map_lookup_elem(&witness_ending, &key);

	return group ?: bpf_map_lookup_elem(&witness_groups, &key);
}

static __always_inline void forget_group(__u64 key)
{
	if (bpf_map_delete_elem(&witness_ending, &key))
		bpf_map_delete_elem(&witness_groups, &key);
}

/* Also none that has died, but was not waited for. */
static __always_inline bool has_one_thread(struct signal_struct *sig)
{
	__u64 head = (__u64)sig + bpf_core_field_offset(struct signal_struct, thread_head);

	return (__u64)BPF_CORE_READ(sig, thread_head.next, next) == head;
}

/* Return: the group that is there now, maybe by another thread, which was faster. */
static __always_inline struct group *enter_group(__u64 key, struct group *new,
						 struct signal_struct *sig)
{
	if (!has_one_thread(sig) || bpf_map_update_elem(&witness_ending, &key, new, BPF_NOEXIST))
		bpf_map_update_elem(&witness_groups, &key, new, BPF_NOEXIST);
	return find_group(key);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(witness_process_exit, struct task_struct *task)
{
	__u64 cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	struct signal_struct *sig = task->signal;
	/*
	 * In all kernels the thread was taken off signal->live a moment before. So
	 * when the last threads die together, each of them may see 0 here.
	 */
	bool ended = !sig->live.counter;
	__u64 key = (__u64)sig;
	struct group *group;

	if (!bpf_map_lookup_elem(&witness_usages, &cgroup_id))
		return 0;
	group = find_group(key);
	if (!group || group->ev.pid != (__u32)task->tgid) {
		struct group new = {};

		if (group)
			forget_group(key);
		begin_group(&new, task);
		group = enter_group(key, &new, sig);
		if (!group) {
			count_drop(WITNESS_DROP_GROUP);
			if (ended) {
				new.ev.flags = WITNESS_EXIT_CPU_PARTIAL;
				describe(&new.ev, task);
				add_thread(&new.ev, task);
				send_exit(&new.ev, sig);
			}
			return 0;
		}
	}
	__sync_fetch_and_add(&group->leaving, 1);
	if (ended && !__sync_lock_test_and_set(&group->ended, 1))
		describe(&group->ev, task);
	return 0;
}

/* Whether a thread of the group has yet to come to sched_process_exit. */
static __always_inline bool is_one_to_come(struct signal_struct *sig)
{
	__u64 head = (__u64)sig + bpf_core_field_offset(struct signal_struct, thread_head);
	__u64 pos = (__u64)BPF_CORE_READ(sig, thread_head.next);

	for (int i = 0; i < WITNESS_MAX_WALK && pos != head; i++) {
		struct task_struct *t = (void *)(pos - bpf_core_field_offset(struct task_struct,
									     thread_node));

		/* Set some steps after sched_process_exit. */
		if (!BPF_CORE_READ(t, exit_state))
			return true;
		pos = (__u64)BPF_CORE_READ(t, thread_node.next);
	}
	return false;
}

/*
 * With no thread on its way out, all that have died are in the kernel's sum, as of when
 * they were added to it, but for those that nobody has waited for; and in cpu_ns, to their
 * last switch. Should one of the latter be reaped, or another thread come, meanwhile, then
 * the difference is too small, and made good the next time.
 */
static __always_inline void count_tails(struct group *group, struct task_struct *task)
{
	__u64 cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	__u64 had = *(volatile __u64 *)&group->ev.tails_ns;
	__s64 more = group->ev.cpu_ns - group->zombies_ns - task->signal->sum_sched_runtime - had;
	struct witness_usage *usage;

	if (more <= 0)
		return;
	usage = bpf_map_lookup_elem(&witness_usages, &cgroup_id);
	if (usage && __sync_val_compare_and_swap(&group->ev.tails_ns, had, had + more) == had)
		usage->tails_ns += more;
}

/* At the last switch of a thread. */
static __always_inline void leave_group(struct task_struct *task)
{
	struct signal_struct *sig = task->signal;
	__u64 key = (__u64)sig;
	struct group *group = find_group(key);

	if (!group)
		return;
	add_thread(&group->ev, task);
	if (task->exit_state == EXIT_ZOMBIE)
		__sync_fetch_and_add(&group->zombies_ns, task->se.sum_exec_runtime);
	if (__sync_fetch_and_add(&group->leaving, -1) == 1 && !group->ended)
		count_tails(group, task);
	/*
	 * In this order: who is not to come any more is in leaving, if not gone.
	 * It is below 0 if the witness came between a thread's exit and this.
	 */
	if (!group->ended || is_one_to_come(sig) ||
	    *(volatile __s64 *)&group->leaving > 0 ||
	    __sync_lock_test_and_set(&group->sent, 1))
		return;
	send_exit(&group->ev, sig);
	forget_group(key);
}

/* A timer's signal, say, comes in the time of whoever runs: that is no sender. */
static __always_inline bool has_sender(struct kernel_siginfo *info)
{
	int code = SI_USER;

	if ((__u64)info == SEND_SIG_PRIV)
		return false;
	if (info)
		code = BPF_CORE_READ(info, si_code);
	return code == SI_USER || code == SI_QUEUE || code == SI_TKILL;
}

/* Comes after the kernel has decided what the signal does. */
SEC("tp_btf/signal_generate")
int BPF_PROG(witness_signal, int number, struct kernel_siginfo *info, struct task_struct *task,
	     int group, int result)
{
	struct signal_struct *sig = task->signal;
	__u64 key = (__u64)sig, cgroup_id;
	struct kill new = {}, *kill;

	if (result != TRACE_SIGNAL_DELIVERED || !(sig->flags & SIGNAL_GROUP_EXIT) ||
	    sig->group_exit_code != number || !has_sender(info))
		return 0;
	cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	if (!bpf_map_lookup_elem(&witness_usages, &cgroup_id))
		return 0;
	new.pid = task->tgid;
	new.start_ns = task->group_leader->start_boottime;
	new.killer_pid = bpf_get_current_pid_tgid() >> 32;
	kill = bpf_map_lookup_elem(&witness_kills, &key);
	/* The first one did it. */
	if (!kill || !is_of(kill, new.pid, new.start_ns))
		bpf_map_update_elem(&witness_kills, &key, &new, BPF_ANY);
	return 0;
}

/* CPU. */

static __always_inline void settle_account(struct account *account)
{
	struct witness_usage *usage = bpf_map_lookup_elem(&witness_usages, &account->cgroup_id);

	if (usage)
		usage->cpu_ns += account->ns;
	account->ns = 0;
}

static __always_inline void count_slice(struct cpu *cpu, struct task_struct *task)
{
	__u64 id = task->cgroups->dfl_cgrp->kn->id;
	/* Fibonacci hashing: ids are numbers in order, with gaps. */
	__u64 place = id * 0x9e3779b97f4a7c15ULL >> (64 - ACCOUNT_BITS);
	struct account *account = &cpu->accounts[place];

	__u64 since = cpu->counted_ns, picked_at = task->se.prev_sum_exec_runtime;

	/* Or the compiler chooses between the pointers, which the verifier refuses. */
	barrier_var(since);
	barrier_var(picked_at);
	/*
	 * The switch to the task was not seen: some kernels of micro-VMs leave out
	 * the tracepoint where idle or one of their own tasks is switched away. The
	 * scheduler's fair class has noted the same at that switch.
	 */
	if (cpu->task != (__u64)task)
		since = picked_at;
	if (account->cgroup_id != id) {
		settle_account(account);
		account->cgroup_id = id;
	}
	account->ns += task->se.sum_exec_runtime - since;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(witness_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	struct cpu *cpu = bpf_map_lookup_elem(&witness_cpus, &zero);

	if (!cpu)
		return 0;
	/* pid 0 is the idle task; no task: user space has not settled this CPU yet. */
	if (prev->pid && cpu->task)
		count_slice(cpu, prev);
	if (cpu->task) {
		cpu->task = (__u64)next;
		cpu->counted_ns = next->se.sum_exec_runtime;
	}
	if (prev_state & TASK_DEAD)
		leave_group(prev);
	return 0;
}

/*
 * Counts in the slice that is running now, and settles the accounts. User space
 * runs it on each CPU (BPF_PROG_TEST_RUN) once at the start, from where that CPU
 * is counted, and before each reading. It can't meet a switch there, as that CPU
 * runs it with preemption or interrupts off. The running task's time is as new as
 * the scheduler's last tick, as in cpu.stat.
 */
SEC("raw_tp")
int witness_settle(void *ctx)
{
	struct cpu *cpu = bpf_map_lookup_elem(&witness_cpus, &zero);
	struct task_struct *task = bpf_get_current_task_btf();

	if (!cpu)
		return 0;
	if (task->pid && cpu->task)
		count_slice(cpu, task);
	cpu->task = (__u64)task;
	cpu->counted_ns = task->se.sum_exec_runtime;
	for (int i = 0; i < 1 << ACCOUNT_BITS; i++)
		settle_account(&cpu->accounts[i]);
	return 0;
}
