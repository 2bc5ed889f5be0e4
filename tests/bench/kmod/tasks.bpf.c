// SPDX-License-Identifier: GPL-2.0
/*
 * The strongest rival: a sleepable task iterator that hands the same fields over as
 * binary records, so that no text is made nor parsed. Of a thread group, at most
 * THREADS_MAX threads are added up.
 */
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
enum { BPF_MAP_TYPE_ARRAY = 2 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "tasks.h"

#define THREADS_MAX 64

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head {
	struct list_head *next;
};
struct percpu_counter {
	__s64 count;
};
struct mm_struct {
	unsigned long total_vm, arg_start, arg_end;
	struct percpu_counter rss_stat[4];
};
struct kernfs_node {
	const char *name;
	__u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
	int level;
	struct cgroup *ancestors[1];
};
struct css_set {
	struct cgroup *dfl_cgrp;
};
struct sched_entity {
	__u64 sum_exec_runtime;
};
struct signal_struct {
	int nr_threads;
	struct list_head thread_head;
	__u64 utime, stime;
	unsigned long long sum_sched_runtime;
};
struct task_struct {
	int pid, tgid;
	unsigned int __state;
	char comm[16];
	__u64 start_boottime, utime, stime;
	struct sched_entity se;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct list_head thread_node;
};
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

struct room {
	struct tasks_record record;
	char cmdline[TASKS_CMDLINE_MAX];
};

/* The iterator of a reader runs on one CPU at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

static int is_container(const struct tasks_record *r)
{
	return r->path[1][0] == 'd' && r->path[1][1] == 'o' && r->path[1][2] == 'c' &&
	       r->path[1][3] == 'k' && r->path[1][4] == 'e' && r->path[1][5] == 'r' &&
	       r->path[2][63];
}

SEC("iter.s/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *thread;
	struct list_head *head, *at;
	struct tasks_record *r;
	struct cgroup *cgroup;
	struct mm_struct *mm;
	unsigned long len;
	struct room *room;
	__u32 zero = 0;
	int level, i;

	if (!task || task->pid != task->tgid)
		return 0;
	room = bpf_map_lookup_elem(&rooms, &zero);
	if (!room)
		return 0;
	r = &room->record;
	cgroup = task->cgroups->dfl_cgrp;
	level = cgroup->level;
	for (i = 1; i < TASKS_LEVELS; i++) {
		struct cgroup *ancestor = 0;

		r->path[i][0] = 0;
		r->path[i][63] = 0;
		if (i > level)
			continue;
		bpf_core_read(&ancestor, sizeof(ancestor), &cgroup->ancestors[i]);
		bpf_probe_read_kernel_str(r->path[i], TASKS_NAME_MAX,
					  BPF_CORE_READ(ancestor, kn, name));
	}
	if (!is_container(r))
		return 0;
	r->cgroup = cgroup->kn->id;
	r->pid = task->tgid;
	r->ppid = task->real_parent->tgid;
	r->threads = task->signal->nr_threads;
	r->state = task->__state;
	r->start_ns = task->start_boottime;
	bpf_probe_read_kernel(r->comm, sizeof(r->comm), task->comm);
	r->user_ns = task->signal->utime;
	r->system_ns = task->signal->stime;
	r->cpu_ns = task->signal->sum_sched_runtime;
	head = &task->signal->thread_head;
	at = BPF_CORE_READ(task, signal, thread_head.next);
	for (i = 0; i < THREADS_MAX && at != head; i++) {
		thread = (void *)at - __builtin_preserve_field_info(task->thread_node,
								     BPF_FIELD_BYTE_OFFSET);
		r->user_ns += BPF_CORE_READ(thread, utime);
		r->system_ns += BPF_CORE_READ(thread, stime);
		r->cpu_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
		at = BPF_CORE_READ(at, next);
	}
	r->cmdline_len = 0;
	mm = task->mm;
	if (mm) {
		r->vsz_pages = mm->total_vm;
		r->rss_pages = mm->rss_stat[0].count + mm->rss_stat[1].count +
			       mm->rss_stat[3].count;
		len = mm->arg_end - mm->arg_start;
		if (len > TASKS_CMDLINE_MAX)
			len = TASKS_CMDLINE_MAX;
		if (len && !bpf_copy_from_user_task(room->cmdline, len, (void *)mm->arg_start,
						    task, 0))
			r->cmdline_len = len;
	}
	len = sizeof(*r) + r->cmdline_len;
	if (len <= sizeof(*room))
		bpf_seq_write(ctx->meta->seq, room, len);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
