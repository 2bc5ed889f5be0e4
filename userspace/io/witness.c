// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/witness.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fts.h>
#include <linux/magic.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "bpf/witness.skel.h"
#include "kmod/container_id.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define KERNEL_BTF "/sys/kernel/btf/vmlinux"
#define LOCKDOWN "/sys/kernel/security/lockdown"

/*
 * How long after its removal a cgroup may still get CPU: a process counts as
 * gone from its cgroup a few steps before its last context switch.
 */
#define REMOVED_SETTLE_NS 1000000000ULL

/* A watched cgroup, once its path was judged. The id is first, see compare_ids(). */
struct watched {
	uint64_t id;
	uint64_t container_cgroup_id;	/* 0: it is in no container */
	bool was_removed;		/* at the last reading already */
};

struct container {
	uint64_t cgroup_id;
	size_t watched;			/* how many of its cgroups are not forgotten */
	struct witness_cpu past;	/* sums of its cgroups that are forgotten */
	struct witness_cpu now;		/* all sums, of the reading under way */
};

struct witness {
	struct witness_bpf *skel;
	struct ring_buffer *ring;
	int cpus;
	struct witness_usage *per_cpu;	/* a map's value: one for each possible CPU */
	void *watched;			/* tsearch(3) trees */
	void *containers;
	size_t container_count;
	uint64_t since_ns;
	uint64_t drained_ns;
	uint64_t unplaced;		/* exits of cgroups that are forgotten */
	/* For the time of a witness_drain(). */
	witness_exit_fn exit_fn;
	void *exit_ctx;
	int exits;
};

/* libbpf has one print function for the process, without a context. */
static void (*witness_log)(const char *line);

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];
	int n;

	if (!witness_log || level == LIBBPF_DEBUG)
		return 0;
	n = vsnprintf(line, sizeof(line), format, args);
	if (n > 0 && line[strlen(line) - 1] == '\n')
		line[strlen(line) - 1] = '\0';
	witness_log(line);
	return n;
}


static uint64_t boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Trees of structs that begin with their 64-bit id. */

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void *tree_find(void *const *tree, uint64_t id)
{
	void **node = tfind(&id, tree, compare_ids);

	return node ? *node : NULL;
}

/* Zeroed but for its id, which must be new; NULL without memory. */
static void *tree_add(void **tree, uint64_t id, size_t size)
{
	uint64_t *new = calloc(1, size);

	if (!new)
		return NULL;
	*new = id;
	if (!tsearch(new, tree, compare_ids)) {
		free(new);
		return NULL;
	}
	return new;
}

static void tree_remove(void **tree, void *element)
{
	tdelete(element, tree, compare_ids);
	free(element);
}

/* Cgroups. */

static int cgroups_fd(const struct witness *w)
{
	return bpf_map__fd(w->skel->maps.witness_cgroups);
}

static int usages_fd(const struct witness *w)
{
	return bpf_map__fd(w->skel->maps.witness_usages);
}

/*
 * The cgroup's ancestor (or itself) whose path is the container's own. Where an
 * ancestor is missing, because there was no room to watch it, the highest that
 * is known stands for it. Not recursive: a container nests as deep as it likes.
 */
static uint64_t find_container_cgroup(const struct witness *w, uint64_t id,
				      const struct witness_cgroup *cgroup, size_t prefix_len)
{
	struct witness_cgroup up = *cgroup;

	while (strnlen(up.path, sizeof(up.path)) > prefix_len) {
		uint64_t parent_id = up.parent_id;
		const struct watched *parent = tree_find(&w->watched, parent_id);

		if (parent && parent->container_cgroup_id)
			return parent->container_cgroup_id;
		if (bpf_map_lookup_elem(cgroups_fd(w), &parent_id, &up))
			break;
		id = parent_id;
	}
	return id;
}

static int join_container(struct witness *w, struct watched *cg, const char *id, size_t id_len)
{
	struct container *c = tree_find(&w->containers, cg->container_cgroup_id);

	if (!c) {
		c = tree_add(&w->containers, cg->container_cgroup_id, sizeof(*c));
		if (!c)
			return -ENOMEM;
		c->past.container_cgroup_id = c->cgroup_id;
		memcpy(c->past.container_id, id,
		       id_len < WITNESS_ID_SIZE ? id_len : WITNESS_ID_SIZE - 1);
		c->now = c->past;
		w->container_count++;
	}
	c->watched++;
	return 0;
}

/* Finds what container the cgroup is in, on the first look at it. -ENOENT: not watched. */
static int load_watched(struct witness *w, uint64_t id, struct watched **ret)
{
	struct watched *cg = tree_find(&w->watched, id);
	struct witness_cgroup cgroup;
	struct container_id where;
	size_t path_len;
	int err;

	if (cg) {
		*ret = cg;
		return 0;
	}
	if (bpf_map_lookup_elem(cgroups_fd(w), &id, &cgroup))
		return -errno;
	cg = tree_add(&w->watched, id, sizeof(*cg));
	if (!cg)
		return -ENOMEM;
	path_len = strnlen(cgroup.path, sizeof(cgroup.path));
	if (container_id_find(cgroup.path, path_len, &where)) {
		/* No container's: its switches need not be counted. */
		bpf_map_delete_elem(usages_fd(w), &id);
	} else {
		cg->container_cgroup_id = find_container_cgroup(w, id, &cgroup, where.prefix_len);
		err = join_container(w, cg, cgroup.path + where.id, where.id_len);
		if (err) {
			tree_remove(&w->watched, cg);
			return err;
		}
	}
	*ret = cg;
	return 0;
}

/* Watches a cgroup that was there before the witness. */
static int watch_cgroup(struct witness *w, uint64_t id, uint64_t parent_id, const char *path)
{
	struct witness_cgroup cgroup = { .parent_id = parent_id };

	strncpy(cgroup.path, path, sizeof(cgroup.path) - 1);
	if (bpf_map_update_elem(cgroups_fd(w), &id, &cgroup, BPF_NOEXIST))
		return errno == EEXIST ? 0 : -errno;
	memset(w->per_cpu, 0, w->cpus * sizeof(*w->per_cpu));
	if (bpf_map_update_elem(usages_fd(w), &id, w->per_cpu, BPF_NOEXIST))
		return -errno;
	return 0;
}

static void unwatch_cgroup(struct witness *w, uint64_t id)
{
	bpf_map_delete_elem(usages_fd(w), &id);
	bpf_map_delete_elem(cgroups_fd(w), &id);
}

/*
 * Watches the containers' cgroups that are there already. cgroup_mkdir is
 * watched by now: a cgroup that is made below a container after the container
 * was put in is noted by it; one that was made before is found by this walk,
 * as fts reads a directory only after it has handed it out.
 */
static int watch_existing(struct witness *w, const char *root)
{
	char *const roots[] = { (char *)root, NULL };
	size_t root_len = strlen(root);
	struct stat now;
	FTSENT *ent;
	int err = 0;
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);

	if (!fts)
		return -errno;
	while (!err && (ent = fts_read(fts))) {
		const char *path = ent->fts_path + root_len;
		struct container_id where;

		if (ent->fts_info != FTS_D || ent->fts_level == FTS_ROOTLEVEL)
			continue;
		/* fts_number: whether it is in a container. */
		ent->fts_number = ent->fts_parent->fts_number ||
				  !container_id_find(path, strlen(path), &where);
		if (!ent->fts_number)
			continue;
		err = watch_cgroup(w, ent->fts_statp->st_ino, ent->fts_parent->fts_statp->st_ino,
				   path);
		/* Gone before cgroup_rmdir could be told that it is watched. */
		if (stat(ent->fts_path, &now) || now.st_ino != ent->fts_statp->st_ino)
			unwatch_cgroup(w, ent->fts_statp->st_ino);
	}
	fts_close(fts);
	/* What finds no room is not watched, as in cgroup_mkdir. */
	return err == -E2BIG ? 0 : err;
}

/* Brings each CPU's books up to now, and begins them the first time. */
static void settle(struct witness *w)
{
	int fd = bpf_program__fd(w->skel->progs.witness_settle);

	for (int cpu = 0; cpu < w->cpus; cpu++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = BPF_F_TEST_RUN_ON_CPU, .cpu = cpu);

		/* Fails for a CPU that is offline; what it ran is settled when it is back. */
		(void)bpf_prog_test_run_opts(fd, &opts);
	}
}

/* Opening. */

static int fail(char *reason, size_t size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, size, format, args);
	va_end(args);
	return err;
}

static bool is_locked_down(void)
{
	char line[128] = "";
	FILE *f = fopen(LOCKDOWN, "re");

	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = '\0';
		fclose(f);
	}
	return strstr(line, "[confidentiality]");
}

static int explain_load(int err, char *reason, size_t size)
{
	if (err == -EPERM && is_locked_down())
		return fail(reason, size, err,
			    "the kernel is locked down (confidentiality) and lets no BPF program "
			    "read it; use --no-bpf");
	if (err == -EPERM)
		return fail(reason, size, err,
			    "not permitted to load BPF programs; run as root (or with CAP_BPF and "
			    "CAP_PERFMON), or use --no-bpf");
	if (err == -ENOMEM)
		return fail(reason, size, err, "no memory for the BPF maps");
	return fail(reason, size, -EOPNOTSUPP,
		    "this kernel does not take the BPF programs (%s), they need Linux 6.1 or later; "
		    "use --no-bpf", strerror(-err));
}

static int load(struct witness *w, const struct witness_options *options, char *reason, size_t size)
{
	int err;

	if (access(KERNEL_BTF, R_OK))
		return fail(reason, size, -ENOENT,
			    "the kernel has no type information (%s), which the BPF programs need; "
			    "use --no-bpf", KERNEL_BTF);
	w->skel = witness_bpf__open();
	if (!w->skel)
		return explain_load(-errno, reason, size);
	if (options->ring_bytes) {
		bpf_map__set_max_entries(w->skel->maps.witness_ring, options->ring_bytes);
		w->skel->rodata->witness_wake_bytes = options->ring_bytes / WITNESS_RING_WAKE;
	}
	err = witness_bpf__load(w->skel);
	return err ? explain_load(err, reason, size) : 0;
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int handle_event(void *ctx, void *data, size_t size);

int witness_open(const struct witness_options *options, struct witness **ret, char *reason,
		 size_t reason_size)
{
	static const struct witness_options defaults;
	struct witness_bpf *skel;
	struct witness *w;
	const char *root;
	int err;

	if (!options)
		options = &defaults;
	root = options->cgroup_root ? options->cgroup_root : CGROUP_ROOT;
	witness_log = options->log;
	libbpf_set_print(print_libbpf);
	if (!is_cgroup2(root))
		return fail(reason, reason_size, -ENODEV,
			    "no cgroup v2 at %s; say where it is with --cgroup-root", root);

	w = calloc(1, sizeof(*w));
	if (!w)
		return fail(reason, reason_size, -ENOMEM, "no memory");
	err = load(w, options, reason, reason_size);
	if (err)
		goto close;
	skel = w->skel;

	err = w->cpus = libbpf_num_possible_cpus();
	if (err < 0)
		goto explain;
	w->per_cpu = calloc(w->cpus, sizeof(*w->per_cpu));
	w->ring = ring_buffer__new(bpf_map__fd(skel->maps.witness_ring), handle_event, w, NULL);
	if (!w->per_cpu || !w->ring) {
		err = -errno;
		goto explain;
	}
	/* In this order: see watch_existing(). */
	skel->links.witness_cgroup_rmdir = bpf_program__attach(skel->progs.witness_cgroup_rmdir);
	if (skel->links.witness_cgroup_rmdir)
		skel->links.witness_cgroup_mkdir =
			bpf_program__attach(skel->progs.witness_cgroup_mkdir);
	if (!skel->links.witness_cgroup_mkdir) {
		err = -errno;
		goto explain;
	}
	err = watch_existing(w, root);
	if (err)
		goto explain;
	/* sched_switch before the exits, which it completes. */
	skel->links.witness_switch = bpf_program__attach(skel->progs.witness_switch);
	if (skel->links.witness_switch)
		skel->links.witness_process_exit =
			bpf_program__attach(skel->progs.witness_process_exit);
	if (skel->links.witness_process_exit)
		skel->links.witness_signal = bpf_program__attach(skel->progs.witness_signal);
	if (!skel->links.witness_signal) {
		err = -errno;
		goto explain;
	}
	settle(w);
	w->since_ns = boot_ns();
	*ret = w;
	return 0;

explain:
	fail(reason, reason_size, err, "can't start the BPF programs: %s", strerror(-err));
close:
	witness_close(w);
	return err;
}

void witness_close(struct witness *w)
{
	if (!w)
		return;
	ring_buffer__free(w->ring);
	witness_bpf__destroy(w->skel);
	tdestroy(w->watched, free);
	tdestroy(w->containers, free);
	free(w->per_cpu);
	free(w);
}

uint64_t witness_since_us(const struct witness *w)
{
	return w->since_ns / 1000;
}

int witness_fd(const struct witness *w)
{
	return ring_buffer__epoll_fd(w->ring);
}

/* Deaths. */

/*
 * User and system time are sampled by the tick, their sum is not cpu_ns; only
 * their ratio is used, as cputime_adjust() in the kernel does for getrusage().
 */
static void split_cpu(const struct witness_exit_event *ev, struct witness_exit *ret)
{
	uint64_t system_ns = ev->cpu_ns;

	if (!ev->system_ns)
		system_ns = 0;
	else if (ev->user_ns)
		system_ns = (unsigned __int128)ev->cpu_ns * ev->system_ns /
			    (ev->system_ns + ev->user_ns);
	/* To the nearest: the sum of thousands of short processes must hold. */
	ret->cpu_us = (ev->cpu_ns + 500) / 1000;
	ret->tails_us = (ev->tails_ns + 500) / 1000;
	ret->system_us = (system_ns + 500) / 1000;
	ret->user_us = ret->cpu_us - ret->system_us;
}

static int handle_event(void *ctx, void *data, size_t size)
{
	struct witness *w = ctx;
	const struct witness_exit_event *ev = data;
	const struct container *container;
	struct witness_exit exit = {};
	struct watched *cg;
	int err;

	if (size < sizeof(*ev) || ev->version != WITNESS_EVENT_VERSION)
		return -EPROTO;
	err = load_watched(w, ev->cgroup_id, &cg);
	if (err == -ENOENT) {
		w->unplaced++;
		return 0;
	}
	if (err)
		return err;
	if (!cg->container_cgroup_id)
		return 0;
	container = tree_find(&w->containers, cg->container_cgroup_id);
	exit.container_id = container->past.container_id;
	exit.container_cgroup_id = container->cgroup_id;
	exit.cgroup_id = ev->cgroup_id;
	exit.pid = ev->pid;
	exit.ppid = ev->ppid;
	exit.start_us = ev->start_ns / 1000;
	exit.exit_us = ev->exit_ns / 1000;
	split_cpu(ev, &exit);
	exit.peak_rss_kib = ev->peak_rss_pages * (sysconf(_SC_PAGESIZE) / 1024);
	exit.signal = ev->wait_status & 0x7f;
	exit.core_dumped = ev->wait_status & 0x80;
	exit.exit_code = exit.signal ? -1 : (int)(ev->wait_status >> 8 & 0xff);
	exit.oom = ev->flags & WITNESS_EXIT_OOM;
	exit.init = ev->flags & WITNESS_EXIT_INIT;
	exit.killer_pid = ev->killer_pid;
	exit.cpu_partial = ev->flags & WITNESS_EXIT_CPU_PARTIAL;
	memcpy(exit.comm, ev->comm, sizeof(ev->comm));
	w->exits++;
	return w->exit_fn(w->exit_ctx, &exit);
}

int witness_drain(struct witness *w, witness_exit_fn fn, void *ctx)
{
	uint64_t now = boot_ns();
	int n;

	w->exit_fn = fn;
	w->exit_ctx = ctx;
	w->exits = 0;
	n = ring_buffer__consume(w->ring);
	if (n < 0)
		return n;
	w->drained_ns = now;
	return w->exits;
}

/* CPU. */

static void add_usage(struct witness_cpu *to, const struct witness *w)
{
	/* In ns here; made into us in the rows that are handed out. */
	for (int cpu = 0; cpu < w->cpus; cpu++) {
		to->cpu_us += w->per_cpu[cpu].cpu_ns;
		to->exited_us += w->per_cpu[cpu].exited_ns;
		to->exits += w->per_cpu[cpu].exits;
		to->exits_lost += w->per_cpu[cpu].exits_lost;
		to->lost_us += w->per_cpu[cpu].lost_ns;
		to->tails_us += w->per_cpu[cpu].tails_ns;
		to->oom_exits += w->per_cpu[cpu].oom_exits;
	}
}

/* twalk_r(3) over the containers: a new sum begins with what is past. */
static void begin_sum(const void *node, VISIT visit, void *ctx)
{
	struct container *c = *(struct container *const *)node;

	(void)ctx;
	if (visit == postorder || visit == leaf)
		c->now = c->past;
}

static void put_row(const void *node, VISIT visit, void *ctx)
{
	const struct container *c = *(const struct container *const *)node;
	struct witness_cpu **row = ctx;

	if (visit != postorder && visit != leaf)
		return;
	**row = c->now;
	(*row)->cpu_us /= 1000;
	(*row)->exited_us /= 1000;
	(*row)->lost_us /= 1000;
	(*row)->tails_us /= 1000;
	(*row)++;
}

/* Adds a cgroup's usage to its container's. *ret_is_over: nothing can follow. */
static int sum_cgroup(struct witness *w, uint64_t id, bool *ret_is_over)
{
	struct witness_cgroup cgroup;
	struct container *c;
	struct watched *cg;
	int err;

	err = load_watched(w, id, &cg);
	if (err)
		return err;
	if (bpf_map_lookup_elem(cgroups_fd(w), &id, &cgroup))
		return -errno;
	*ret_is_over = cg->was_removed && cgroup.removed_ns + REMOVED_SETTLE_NS < w->drained_ns;
	cg->was_removed = cgroup.removed_ns;
	if (!cg->container_cgroup_id)
		return 0;
	if (bpf_map_lookup_elem(usages_fd(w), &id, w->per_cpu))
		return -errno;
	c = tree_find(&w->containers, cg->container_cgroup_id);
	add_usage(&c->now, w);
	if (*ret_is_over)
		add_usage(&c->past, w);
	if (id == c->cgroup_id)
		c->now.removed = c->past.removed = cgroup.removed_ns;
	return 0;
}

static void forget_cgroup(struct witness *w, uint64_t id)
{
	struct watched *cg = tree_find(&w->watched, id);
	struct container *c = tree_find(&w->containers, cg->container_cgroup_id);

	unwatch_cgroup(w, id);
	if (c && !--c->watched) {
		tree_remove(&w->containers, c);
		w->container_count--;
	}
	tree_remove(&w->watched, cg);
}

int witness_read_cpu(struct witness *w, struct witness_cpu **ret_rows, size_t *ret_count)
{
	uint64_t over[WITNESS_MAX_CGROUPS], id, *last = NULL;
	struct witness_cpu *rows, *row;
	size_t over_count = 0;
	int err = 0;

	settle(w);
	twalk_r(w->containers, begin_sum, NULL);
	/* No key goes away meanwhile: only user space takes them out. */
	while (!err && !bpf_map_get_next_key(cgroups_fd(w), last, &id)) {
		bool is_over = false;

		last = &id;
		err = sum_cgroup(w, id, &is_over);
		if (!err && is_over)
			over[over_count++] = id;
	}
	rows = err ? NULL : calloc(w->container_count + 1, sizeof(*rows));
	if (rows) {
		row = rows;
		twalk_r(w->containers, put_row, &row);
		*ret_count = row - rows;
		*ret_rows = rows;
	} else if (!err) {
		err = -ENOMEM;
	}
	for (size_t i = 0; i < over_count; i++)
		forget_cgroup(w, over[i]);
	return err;
}

static int read_drop(struct witness *w, uint32_t reason, uint64_t *ret)
{
	uint64_t values[w->cpus], sum = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.witness_drops), &reason, values))
		return -errno;
	for (int cpu = 0; cpu < w->cpus; cpu++)
		sum += values[cpu];
	*ret = sum;
	return 0;
}

int witness_read_drops(struct witness *w, struct witness_drops *ret)
{
	struct witness_drops drops;
	int err;

	err = read_drop(w, WITNESS_DROP_RING, &drops.ring_full);
	if (!err)
		err = read_drop(w, WITNESS_DROP_CGROUP, &drops.cgroups_full);
	if (!err)
		err = read_drop(w, WITNESS_DROP_GROUP, &drops.groups_full);
	if (err)
		return err;
	drops.unplaced = w->unplaced;
	*ret = drops;
	return 0;
}
