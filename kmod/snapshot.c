// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uio.h>
#include <linux/utsname.h>
#include <linux/uuid.h>
#include <linux/vmalloc.h>

#include "collect.h"
#include "json_writer.h"
#include "snapshot.h"
#include "sysinfo_abi.h"

/* What comes before the processes: 25 numbers of up to 20 digits, their keys, a release. */
#define HEAD_SIZE 2048

/* The first piece with processes: all that a host with some 30 of them needs. */
#define FIRST_SIZE (16 << 10)

/* A byte of a string is at most "\u00XX". */
#define ESCAPED_MAX 6

/*
 * In pieces that never move, a document needs little more memory than it is long, and
 * nobody waits while it is copied to where there is more room.
 */
struct snapshot_piece {
	struct list_head list;
	size_t len; /* once it has been written */
	char text[];
};

/* The processes being written, to the end of @snapshot. */
struct snapshot_writer {
	struct json_writer json;
	struct snapshot *snapshot;
};

static uuid_t snapshot_instance;
static atomic64_t snapshot_sequence;

/*
 * In a row if that is at hand, else by pages: kvmalloc() would have the kernel compact and
 * reclaim memory for it, on a machine that may be short of it already.
 */
static struct snapshot_piece *snapshot_piece_new(size_t size)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	struct snapshot_piece *piece = kmalloc(size, gfp & ~__GFP_DIRECT_RECLAIM);

	return piece ?: __vmalloc(size, gfp);
}

/* The piece that @w writes is as long as that. */
static void snapshot_piece_written(struct snapshot *snapshot, const struct json_writer *w)
{
	struct snapshot_piece *piece = container_of(w->buf, struct snapshot_piece, text[0]);

	piece->len = json_writer_len(w);
	snapshot->len += piece->len;
}

static size_t snapshot_writer_len(const struct snapshot_writer *w)
{
	return w->snapshot->len + json_writer_len(&w->json);
}

static int snapshot_grow(struct json_writer *json, size_t need)
{
	struct snapshot *snapshot = container_of(json, struct snapshot_writer, json)->snapshot;
	size_t size = max(json->buf ? SYSINFO_PIECE : FIRST_SIZE,
			  sizeof(struct snapshot_piece) + need);
	struct snapshot_piece *piece;

	if (json->buf)
		snapshot_piece_written(snapshot, json);
	json_writer_init(json, NULL, 0, snapshot_grow);
	if (snapshot->len + need > SYSINFO_DOCUMENT_MAX)
		return -EFBIG;
	piece = snapshot_piece_new(size);
	if (!piece)
		return -ENOMEM;
	list_add_tail(&piece->list, &snapshot->pieces);
	json_writer_init(json, piece->text, size - sizeof(*piece), snapshot_grow);
	return 0;
}

/* A further member of an object. The key is a literal. */
#define snapshot_member(w, key, value) snapshot_number(w, ",\"" key "\":", value)
#define snapshot_number(w, text, value)                                  \
	do {                                                             \
		struct json_writer *number_to = (w);                     \
									 \
		json_writer_text(number_to, text);                       \
		json_writer_u64(number_to, value);                       \
	} while (0)

static void snapshot_cpu(struct json_writer *w, const struct collect_machine *m)
{
	int i;

	snapshot_member(w, "CPUs", m->cpus);
	json_writer_text(w, ",\"CPU\":{\"UserUs\":");
	json_writer_u64(w, m->user_us);
	snapshot_member(w, "SystemUs", m->system_us);
	snapshot_member(w, "IdleUs", m->idle_us);
	snapshot_member(w, "IOWaitUs", m->iowait_us);
	snapshot_member(w, "StealUs", m->steal_us);
	json_writer_text(w, "},\"LoadAvg\":");
	for (i = 0; i < ARRAY_SIZE(m->load_hundredths); i++) {
		json_writer_raw(w, i ? "," : "[", 1);
		json_writer_hundredths(w, m->load_hundredths[i]);
	}
	json_writer_text(w, "]");
}

/* The members that the processes of a cgroup have in common: written once, then copied. */
static void snapshot_cgroup(struct json_writer *w, const struct collect *c,
			    struct collect_cgroup *cgroup)
{
	const char *path = c->paths + cgroup->path;
	const struct container_id *container = &cgroup->container;
	const char *runtime = container_id_runtime_name(container->runtime);
	/* the keys, the quotes and the number are far less than 128 */
	size_t most = 128 + strlen(runtime) +
		      ESCAPED_MAX * (container->id_len + cgroup->path_len);
	const char *from;

	if (cgroup->note) {
		json_writer_raw(w, cgroup->note, cgroup->note_len);
		return;
	}
	/* in one piece */
	if (!json_writer_has_room(w, most))
		return;
	from = w->at;
	json_writer_text(w, ",\"ContainerID\":");
	json_writer_string(w, path + container->id, container->id_len);
	json_writer_text(w, ",\"Runtime\":");
	json_writer_string(w, runtime, strlen(runtime));
	json_writer_text(w, ",\"Cgroup\":");
	json_writer_string(w, path, cgroup->path_len);
	snapshot_member(w, "CgroupID", cgroup->id);
	cgroup->note = from;
	cgroup->note_len = w->at - from;
}

static void snapshot_process(struct json_writer *w, struct collect *c, struct collect_process *p,
			     const struct collect_memory *memory, u64 total_ram_kib)
{
	size_t cmdline_len = memory->cmdline_len;

	/* Cut there, maybe in the middle of a character. */
	if (cmdline_len == SYSINFO_CMDLINE_MAX)
		cmdline_len = json_writer_utf8_trim(memory->cmdline, cmdline_len);

	json_writer_text(w, "\n{\"PID\":");
	json_writer_u64(w, p->pid);
	snapshot_member(w, "PPID", p->ppid);
	json_writer_text(w, ",\"Name\":");
	json_writer_string(w, p->comm, strnlen(p->comm, sizeof(p->comm)));
	json_writer_text(w, ",\"Cmdline\":");
	json_writer_string(w, memory->cmdline, cmdline_len);
	snapshot_cgroup(w, c, &c->cgroups[p->cgroup]);
	json_writer_text(w, ",\"State\":\"");
	json_writer_raw(w, &p->state, 1);
	json_writer_text(w, "\"");
	snapshot_member(w, "Threads", p->threads);
	snapshot_member(w, "StartTimeUs", p->start_us);
	snapshot_member(w, "Vsz", memory->vsz_kib);
	snapshot_member(w, "Rss", memory->rss_kib);
	json_writer_text(w, ",\"MemoryUsage\":");
	json_writer_hundredths(w, div64_u64(memory->rss_kib * 10000 + total_ram_kib / 2,
					    total_ram_kib));
	json_writer_text(w, ",\"CPUUsage\":");
	json_writer_hundredths(w, p->cpu_hundredths);
	snapshot_member(w, "UserTimeUs", p->user_us);
	snapshot_member(w, "SystemTimeUs", p->system_us);
	snapshot_member(w, "CPUTimeUs", p->cpu_us);
	json_writer_text(w, "}");
}

static int snapshot_processes(struct snapshot *snapshot, const struct snapshot_options *options,
			      u64 total_ram_kib)
{
	struct snapshot_writer writer = { .snapshot = snapshot };
	struct json_writer *w = &writer.json;
	struct collect_memory memory;
	struct collect *c;
	bool first = true;
	unsigned int i;
	int ret;

	json_writer_init(w, NULL, 0, snapshot_grow);
	ret = collect_begin(options->all, &c);
	if (ret)
		return ret;
	while ((ret = collect_step(c)) > 0) {
		for (i = 0; i < c->count; i++) {
			bool cmdline = options->cmdline &&
				       snapshot_writer_len(&writer) < SYSINFO_CMDLINES_UNTIL;

			collect_memory(c, &c->processes[i], cmdline, &memory);
			if (!first)
				json_writer_text(w, ",");
			first = false;
			snapshot_process(w, c, &c->processes[i], &memory, total_ram_kib);
			cond_resched();
		}
		if (w->error) {
			ret = w->error;
			break;
		}
	}
	collect_end(c);
	json_writer_text(w, "\n]}\n");
	if (!ret && !w->error)
		snapshot_piece_written(snapshot, w);
	return ret ?: w->error;
}

/* Written last, as it tells how long the collection took. */
static int snapshot_head(struct snapshot *snapshot, const struct collect_machine *m, u64 sequence,
			 u64 begin_us)
{
	struct snapshot_piece *piece = snapshot_piece_new(HEAD_SIZE);
	struct json_writer writer, *w = &writer;
	const char *release = init_utsname()->release;
	char instance[UUID_STRING_LEN + 1];
	int len = snprintf(instance, sizeof(instance), "%pUb", &snapshot_instance);

	if (!piece)
		return -ENOMEM;
	list_add(&piece->list, &snapshot->pieces);
	json_writer_init(w, piece->text, HEAD_SIZE - sizeof(*piece), NULL);
	json_writer_text(w, "{\"SchemaVersion\":");
	json_writer_u64(w, SYSINFO_SCHEMA_VERSION);
	json_writer_text(w, ",\"Instance\":");
	json_writer_string(w, instance, len);
	snapshot_member(w, "Sequence", sequence);
	snapshot_member(w, "BootTimeUs", begin_us);
	snapshot_member(w, "CollectUs",
			div_u64(ktime_get_boottime_ns(), NSEC_PER_USEC) - begin_us);
	json_writer_text(w, ",\"Kernel\":");
	json_writer_string(w, release, strlen(release));
	snapshot_member(w, "TotalRAM", m->total_ram_kib);
	snapshot_member(w, "FreeRAM", m->free_ram_kib);
	snapshot_member(w, "UsedRAM", m->total_ram_kib - m->free_ram_kib);
	snapshot_member(w, "AvailableRAM", m->available_ram_kib);
	snapshot_member(w, "BufferRAM", m->buffer_ram_kib);
	snapshot_cpu(w, m);
	json_writer_text(w, ",\"Processes\":[");
	snapshot_piece_written(snapshot, w);
	return w->error;
}

/* snapshot_init() - name this life of the module; before the first snapshot */
void snapshot_init(void)
{
	uuid_gen(&snapshot_instance);
}

/**
 * snapshot_take() - collect and render
 * @options: what to show
 * @ret: the document, for snapshot_free() to free
 *
 * Return: 0, -ENOMEM, -EFBIG if the document would exceed SYSINFO_DOCUMENT_MAX,
 * or -EINTR if the caller is being killed.
 */
int snapshot_take(const struct snapshot_options *options, struct snapshot *ret)
{
	u64 begin_us = div_u64(ktime_get_boottime_ns(), NSEC_PER_USEC);
	u64 sequence = atomic64_inc_return(&snapshot_sequence);
	struct collect_machine machine;
	int err;

	ret->len = 0;
	INIT_LIST_HEAD(&ret->pieces);
	collect_machine(&machine);
	err = snapshot_processes(ret, options, machine.total_ram_kib);
	if (!err)
		err = snapshot_head(ret, &machine, sequence, begin_us);
	if (!err && ret->len > SYSINFO_DOCUMENT_MAX)
		err = -EFBIG;
	if (err)
		snapshot_free(ret);
	return err;
}

/**
 * snapshot_copy() - copy a part of the text
 * @snapshot: what snapshot_take() gave
 * @from: where the part starts; up to the end of the document, or of @to
 * @to: where to
 *
 * Return: bytes copied; 0 if there are none, or @to can't be written.
 */
size_t snapshot_copy(const struct snapshot *snapshot, size_t from, struct iov_iter *to)
{
	struct snapshot_piece *piece;
	size_t copied = 0, want, got;

	list_for_each_entry(piece, &snapshot->pieces, list) {
		if (from >= piece->len) {
			from -= piece->len;
			continue;
		}
		want = min(piece->len - from, iov_iter_count(to));
		got = copy_to_iter(piece->text + from, want, to);
		copied += got;
		if (got < want || !iov_iter_count(to))
			break;
		from = 0;
		cond_resched();
	}
	return copied;
}

/* snapshot_free() - what snapshot_take() gave */
void snapshot_free(struct snapshot *snapshot)
{
	struct snapshot_piece *piece, *next;

	list_for_each_entry_safe(piece, next, &snapshot->pieces, list) {
		kvfree(piece);
		cond_resched();
	}
}
