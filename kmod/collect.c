// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/kernel_stat.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/radix-tree.h>
#include <linux/sched/cputime.h>
#include <linux/sched/loadavg.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/tick.h>

#include "collect.h"
#include "compat.h"

/* Cgroups that a collection has room for at first; it grows as needed. */
#define FIRST_CGROUPS 64

/* A life shorter than this says nothing about a rate; the step itself takes time. */
#define SHORTEST_LIFE_US 10000

/* The reader's; and a want of memory is his to tell, not the kernel log's. */
#define GFP_COLLECT (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/* As /proc/stat: the tick doesn't run on an idle CPU, so ask the tick code first. */
static u64 collect_idle_us(u64 sampled_us, u64 asked_us)
{
	return asked_us == -1ULL ? sampled_us : asked_us;
}

static void collect_cpus(struct collect_machine *m)
{
	int cpu;

	m->cpus = num_online_cpus();
	for_each_possible_cpu(cpu) {
		struct kernel_cpustat stat;
		u64 idle = -1ULL, iowait = -1ULL;

		kcpustat_cpu_fetch(&stat, cpu);
		if (cpu_online(cpu)) {
			idle = get_cpu_idle_time_us(cpu, NULL);
			iowait = get_cpu_iowait_time_us(cpu, NULL);
		}
		m->user_us += (stat.cpustat[CPUTIME_USER] + stat.cpustat[CPUTIME_NICE]) /
			      NSEC_PER_USEC;
		m->system_us += (stat.cpustat[CPUTIME_SYSTEM] + stat.cpustat[CPUTIME_IRQ] +
				 stat.cpustat[CPUTIME_SOFTIRQ]) / NSEC_PER_USEC;
		m->idle_us += collect_idle_us(stat.cpustat[CPUTIME_IDLE] / NSEC_PER_USEC, idle);
		m->iowait_us += collect_idle_us(stat.cpustat[CPUTIME_IOWAIT] / NSEC_PER_USEC,
						iowait);
		m->steal_us += stat.cpustat[CPUTIME_STEAL] / NSEC_PER_USEC;
	}
}

static u64 collect_pages_kib(u64 pages)
{
	return pages << (PAGE_SHIFT - 10);
}

/**
 * collect_machine() - memory, CPU time and load of the machine
 * @ret: what was found
 */
void collect_machine(struct collect_machine *ret)
{
	struct sysinfo info = {};
	int i;

	memset(ret, 0, sizeof(*ret));
	si_meminfo(&info);
	ret->total_ram_kib = collect_pages_kib(info.totalram);
	ret->free_ram_kib = collect_pages_kib(info.freeram);
	ret->buffer_ram_kib = collect_pages_kib(info.bufferram);
	ret->available_ram_kib = collect_pages_kib(max(si_mem_available(), 0L));
	collect_cpus(ret);
	/* Rounded to the nearest hundredth, as /proc/loadavg. */
	for (i = 0; i < ARRAY_SIZE(ret->load_hundredths); i++)
		ret->load_hundredths[i] = ((avenrun[i] + FIXED_1 / 200) * 100) >> FSHIFT;
}

struct collect_times {
	u64 user;
	u64 system;
	u64 total;
};

static void collect_sum_threads(struct task_struct *leader, struct collect_times *ret)
{
	const struct signal_struct *signal = leader->signal;
	struct task_struct *t;

	ret->user = signal->utime;
	ret->system = signal->stime;
	ret->total = signal->sum_sched_runtime;
	for_each_thread(leader, t) {
		ret->user += READ_ONCE(t->utime);
		ret->system += READ_ONCE(t->stime);
		ret->total += READ_ONCE(t->se.sum_exec_runtime);
	}
}

/*
 * CPU time of a thread group, with its dead threads: what the kernel's own
 * thread_group_cputime_adjusted() gives, which /proc/PID/stat shows and modules
 * can't call. The total is what the scheduler measured; it is split into user
 * and system in the proportion that ticks saw. The last result is kept where
 * the kernel keeps it, under its lock, so that neither these times nor those
 * in /proc go backwards, whoever is asked first.
 *
 * Called under RCU: that keeps the task and hence its signal struct.
 */
static void collect_cputime(struct task_struct *leader, u64 *ret_user, u64 *ret_system)
{
	struct signal_struct *signal = leader->signal;
	struct prev_cputime *prev = &signal->prev_cputime;
	unsigned int seq = read_seqbegin(&signal->stats_lock);
	u64 user, system, total;
	struct collect_times sum;
	unsigned long flags;

	/* A thread that dies moves its times into the signal struct: not while we add up. */
	collect_sum_threads(leader, &sum);
	if (read_seqretry(&signal->stats_lock, seq)) {
		read_seqlock_excl_irqsave(&signal->stats_lock, flags);
		collect_sum_threads(leader, &sum);
		read_sequnlock_excl_irqrestore(&signal->stats_lock, flags);
	}

	total = sum.total;
	if (!sum.system)
		system = 0;
	else if (!sum.user)
		system = total;
	else
		system = mul_u64_u64_div_u64(sum.system, total, sum.user + sum.system);

	raw_spin_lock_irqsave(&prev->lock, flags);
	if (prev->utime + prev->stime < total) {
		system = max(min(system, total), prev->stime);
		user = total - system;
		if (user < prev->utime) {
			user = prev->utime;
			system = total - user;
		}
		prev->utime = user;
		prev->stime = system;
	}
	*ret_user = prev->utime;
	*ret_system = prev->stime;
	raw_spin_unlock_irqrestore(&prev->lock, flags);
}

/* Of another thread than the leader, which has ended: its memory is the process's. */
static struct mm_struct *collect_mm_of_threads(struct task_struct *leader)
{
	struct mm_struct *mm = NULL;
	struct task_struct *t;

	for_each_thread(leader, t) {
		mm = get_task_mm(t);
		if (mm)
			break;
	}
	return mm;
}

/* The name and, referenced, the memory: get_task_comm() and get_task_mm() with one lock. */
static struct mm_struct *collect_comm_and_mm(struct task_struct *leader, char *comm)
{
	struct mm_struct *mm;

	task_lock(leader);
	memcpy(comm, leader->comm, TASK_COMM_LEN);
	mm = leader->mm;
	if (mm) {
		/* a kernel thread only borrows it */
		if (leader->flags & PF_KTHREAD)
			mm = NULL;
		else
			mmget(mm);
	}
	task_unlock(leader);
	if (!mm && !(leader->flags & PF_KTHREAD) && !thread_group_empty(leader))
		mm = collect_mm_of_threads(leader);
	return mm;
}

/* Called under RCU: that keeps everything but the memory, which is referenced. */
static void collect_process(struct task_struct *leader, pid_t pid, unsigned int cgroup,
			    u64 now_us, struct collect_process *ret)
{
	u64 user_ns, system_ns, life_us;

	ret->pid = pid;
	ret->ppid = task_ppid_nr_ns(leader, &init_pid_ns);
	ret->state = task_state_to_char(leader);
	ret->threads = get_nr_threads(leader);
	ret->cgroup = cgroup;
	ret->start_us = div_u64(leader->start_boottime, NSEC_PER_USEC);
	collect_cputime(leader, &user_ns, &system_ns);
	ret->user_us = div_u64(user_ns, NSEC_PER_USEC);
	ret->system_us = div_u64(system_ns, NSEC_PER_USEC);
	ret->cpu_us = div_u64(user_ns + system_ns, NSEC_PER_USEC);
	life_us = max_t(s64, now_us - ret->start_us, SHORTEST_LIFE_US);
	/* twice as many, plus one, halved: rounded to the nearest */
	ret->cpu_hundredths = (mul_u64_u64_div_u64(ret->cpu_us, 2 * 10000, life_us) + 1) / 2;
	ret->mm = collect_comm_and_mm(leader, ret->comm);
}

/*
 * The cgroups seen up to now are found by id in an open-addressed hash table;
 * a slot holds an index + 1. Ids are never used twice, so that no reference to
 * a cgroup need be held between steps.
 */
static unsigned int collect_slot(const struct collect *c, u64 key)
{
	unsigned int mask = c->cgroups_size * 2 - 1;
	unsigned int slot = hash_64(key, ilog2(c->cgroups_size * 2));

	while (c->slots[slot] && c->cgroups[c->slots[slot] - 1].key != key)
		slot = (slot + 1) & mask;
	return slot;
}

static bool collect_cgroups_full(const struct collect *c)
{
	return c->cgroups_count == c->cgroups_size ||
	       c->paths_size - c->paths_len < SYSINFO_CGROUP_MAX;
}

static int collect_grow_cgroups(struct collect *c)
{
	unsigned int size = c->cgroups_size ? c->cgroups_size * 2 : FIRST_CGROUPS;
	struct collect_cgroup *cgroups;
	unsigned int i;
	u32 *slots;

	cgroups = kvmalloc_array(size, sizeof(*cgroups), GFP_COLLECT);
	slots = kvcalloc(size * 2, sizeof(*slots), GFP_COLLECT);
	if (!cgroups || !slots) {
		kvfree(cgroups);
		kvfree(slots);
		return -ENOMEM;
	}
	if (c->cgroups_count)
		memcpy(cgroups, c->cgroups, c->cgroups_count * sizeof(*cgroups));
	kvfree(c->cgroups);
	kvfree(c->slots);
	c->cgroups = cgroups;
	c->slots = slots;
	c->cgroups_size = size;
	for (i = 0; i < c->cgroups_count; i++)
		slots[collect_slot(c, cgroups[i].key)] = i + 1;
	return 0;
}

static int collect_grow_paths(struct collect *c)
{
	size_t size = max_t(size_t, c->paths_size * 2, 16 * SYSINFO_CGROUP_MAX);
	char *paths = kvmalloc(size, GFP_COLLECT);

	if (!paths)
		return -ENOMEM;
	if (c->paths_len)
		memcpy(paths, c->paths, c->paths_len);
	kvfree(c->paths);
	c->paths = paths;
	c->paths_size = size;
	return 0;
}

/* Room for at least one more cgroup. May sleep. */
static int collect_make_room(struct collect *c)
{
	int err = 0;

	if (c->cgroups_count == c->cgroups_size)
		err = collect_grow_cgroups(c);
	if (!err && c->paths_size - c->paths_len < SYSINFO_CGROUP_MAX)
		err = collect_grow_paths(c);
	return err;
}

/*
 * Write the path of @cgrp as seen from the root. From the ancestors' names, as
 * these can't change (the default hierarchy has no rename), whereas
 * cgroup_path_ns() takes cgroup_mutex and would wait for whoever changes any
 * cgroup; and in one pass, whereas kernfs walks up again for each component.
 *
 * Return: the cgroup that is named.
 */
static struct cgroup *collect_path(struct cgroup *cgrp, char *path, size_t *ret_len)
{
	struct cgroup *named = cgroup_ancestor(cgrp, 0);
	size_t len = 0;
	int level;

	for (level = 1; level <= cgrp->level; level++) {
		struct cgroup *at = cgroup_ancestor(cgrp, level);
		const char *name = at->kn->name;
		size_t name_len = strlen(name);

		if (len + 1 + name_len > SYSINFO_CGROUP_MAX)
			break;
		path[len++] = '/';
		memcpy(path + len, name, name_len);
		len += name_len;
		named = at;
	}
	if (!len)
		path[len++] = '/';
	*ret_len = len;
	return named;
}

/* The cgroup's index. Called under RCU, with room for one more. */
static unsigned int collect_cgroup(struct collect *c, struct cgroup *cgrp)
{
	u64 key = cgroup_id(cgrp);
	unsigned int slot = collect_slot(c, key);
	struct collect_cgroup *entry;
	char *path;

	if (c->slots[slot])
		return c->slots[slot] - 1;

	entry = &c->cgroups[c->cgroups_count++];
	memset(entry, 0, sizeof(*entry));
	path = c->paths + c->paths_len;
	entry->key = key;
	entry->id = cgroup_id(collect_path(cgrp, path, &entry->path_len));
	entry->path = c->paths_len;
	c->paths_len += entry->path_len;
	container_id_find(path, entry->path_len, &entry->container);
	c->slots[slot] = c->cgroups_count;
	return c->cgroups_count - 1;
}

/**
 * collect_begin() - start a collection
 * @all: see struct collect
 * @ret: the collection, for collect_end() to free
 *
 * Return: 0 or -ENOMEM.
 */
int collect_begin(bool all, struct collect **ret)
{
	struct collect *c = kvzalloc(sizeof(*c), GFP_COLLECT);

	if (!c)
		return -ENOMEM;
	c->all = all;
	*ret = c;
	return 0;
}

/**
 * collect_step() - find some more processes
 * @c: the collection; collect_memory() has been called for each process of the
 *	step before
 *
 * Pids are walked in ascending order: a process that lives throughout the
 * collection is found exactly once, whatever is born and dies meanwhile.
 *
 * Return: 1 if there may be more, 0 if that was all, -ENOMEM, or -EINTR if the
 * reader is being killed.
 */
int collect_step(struct collect *c)
{
	unsigned int looked_up = 0;
	struct radix_tree_iter iter;
	void __rcu **slot;
	u64 now_us;
	int err;

	c->count = 0;
	if (c->done)
		return 0;
	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	err = collect_make_room(c);
	if (err)
		return err;

	now_us = div_u64(ktime_get_boottime_ns(), NSEC_PER_USEC);
	rcu_read_lock();
	/* As find_ge_pid(), which climbs down from the root for each, but by leaves. */
	radix_tree_for_each_slot(slot, &init_pid_ns.idr.idr_rt, &iter, c->next_pid) {
		struct pid *pid = rcu_dereference_raw(*slot);
		struct task_struct *leader;
		unsigned int cgroup;

		if (looked_up++ == SYSINFO_STEP_PIDS)
			goto unlock;
		if (radix_tree_deref_retry(pid)) {
			/* the tree has got another shape meanwhile */
			slot = radix_tree_iter_retry(&iter);
			continue;
		}
		leader = pid_task(pid, PIDTYPE_TGID);
		if (leader) {
			if (c->count == ARRAY_SIZE(c->processes) || collect_cgroups_full(c))
				goto unlock;
			cgroup = collect_cgroup(c, task_dfl_cgroup(leader));
			if (c->all || c->cgroups[cgroup].container.runtime)
				collect_process(leader, iter.index, cgroup, now_us,
						&c->processes[c->count++]);
		}
		c->next_pid = iter.index + 1;
	}
	c->done = true;
unlock:
	rcu_read_unlock();
	return 1;
}

/*
 * Copy from the memory of a process what is present there. Nothing is faulted
 * in: a page fetched from swap would be charged to the container, which at its
 * limit can make the kernel kill there, and a file or userfaultfd behind the
 * address could make the reader wait for ever. FOLL_FORCE only gets 6.1 past
 * pages that NUMA balancing has unmapped for a while.
 *
 * Return: bytes copied, up to the first page that is not there.
 */
static size_t collect_copy(struct mm_struct *mm, unsigned long addr, char *to, size_t len)
{
	size_t copied = 0;

	while (copied < len) {
		unsigned long from = addr + copied;
		size_t n = min_t(size_t, len - copied, PAGE_SIZE - offset_in_page(from));
		struct page *page;

		if (compat_get_user_page(mm, from, FOLL_ANON | FOLL_NOFAULT | FOLL_FORCE,
					 &page) != 1)
			break;
		memcpy_from_page(to + copied, page, offset_in_page(from), n);
		put_page(page);
		copied += n;
	}
	return copied;
}

static bool collect_lock_mmap(struct collect *c, struct mm_struct *mm)
{
	while (!mmap_read_trylock(mm)) {
		u64 begin_ns = ktime_get_ns();

		if (c->mmap_waited_ns >= SYSINFO_MMAP_WAIT_MAX_US * NSEC_PER_USEC)
			return false;
		usleep_range(SYSINFO_MMAP_WAIT_US / 2, SYSINFO_MMAP_WAIT_US);
		c->mmap_waited_ns += ktime_get_ns() - begin_ns;
	}
	return true;
}

/* Eight times this byte. */
#define BYTES(byte) (0x0101010101010101ULL * (byte))

/* Make a space of each NUL. Eight bytes at once, hence maybe also of some behind @len. */
static void collect_blank_nuls(char *text, size_t len)
{
	size_t at;

	for (at = 0; at < len; at += sizeof(u64)) {
		u64 *word = (u64 *)(text + at);
		/* 0x80 where there is a NUL: adding 0x7f carries into the top bit elsewhere */
		u64 nuls = ~(((*word & BYTES(0x7f)) + BYTES(0x7f)) | *word) & BYTES(0x80);

		*word |= nuls >> 2;
	}
}

/*
 * The argument list as /proc/PID/cmdline has it, with a space for each NUL in
 * between. A process that has overwritten the end of its list has set a title
 * (setproctitle); that may go on into where the environment was, and ends at
 * the first NUL.
 */
static size_t collect_cmdline(struct collect *c, struct mm_struct *mm)
{
	unsigned long arg_start, arg_end, env_start, env_end;
	char *text = c->cmdline;
	size_t args, len;
	bool title;

	spin_lock(&mm->arg_lock);
	arg_start = mm->arg_start;
	arg_end = mm->arg_end;
	env_start = mm->env_start;
	env_end = mm->env_end;
	spin_unlock(&mm->arg_lock);
	if (arg_start >= arg_end)
		return 0;
	if (env_start != arg_end || env_end < env_start)
		env_end = arg_end;

	args = min_t(size_t, arg_end - arg_start, SYSINFO_CMDLINE_MAX);
	if (!collect_lock_mmap(c, mm))
		return 0;
	len = collect_copy(mm, arg_start, text, args);
	title = len == arg_end - arg_start && text[len - 1];
	if (title)
		len += collect_copy(mm, arg_end, text + len,
				    min_t(size_t, env_end - arg_end, SYSINFO_CMDLINE_MAX - len));
	mmap_read_unlock(mm);

	if (title)
		len = strnlen(text, len);
	while (len && !text[len - 1])
		len--;
	collect_blank_nuls(text, len);
	return len;
}

/**
 * collect_memory() - what a process's memory tells
 * @c: the collection
 * @process: a process of its last step; its memory is released
 * @cmdline: whether the command line is wanted
 * @ret: all 0 if the process has no memory
 */
void collect_memory(struct collect *c, struct collect_process *process, bool cmdline,
		    struct collect_memory *ret)
{
	struct mm_struct *mm = process->mm;

	memset(ret, 0, sizeof(*ret));
	ret->cmdline = c->cmdline;
	if (!mm)
		return;
	ret->vsz_kib = collect_pages_kib(mm->total_vm);
	ret->rss_kib = collect_pages_kib(compat_mm_rss_pages(mm));
	if (cmdline)
		ret->cmdline_len = collect_cmdline(c, mm);
	process->mm = NULL;
	/* If the process has ended meanwhile, a worker tears its memory down, not the reader. */
	mmput_async(mm);
}

/**
 * collect_end() - free a collection, wherever it was left
 * @c: the collection
 */
void collect_end(struct collect *c)
{
	unsigned int i;

	for (i = 0; i < c->count; i++)
		if (c->processes[i].mm)
			mmput_async(c->processes[i].mm);
	kvfree(c->cgroups);
	kvfree(c->slots);
	kvfree(c->paths);
	kvfree(c);
}
