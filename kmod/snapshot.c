// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>
#include <linux/uuid.h>
#include <linux/vmalloc.h>

#include "collect.h"
#include "json_writer.h"
#include "snapshot.h"
#include "sysinfo_abi.h"

/*
 * What comes before the processes is written last, as it tells how long the
 * collection took, into this room at the start: 25 numbers of up to 20 digits,
 * their keys, and a kernel release of 64 bytes.
 */
#define HEAD_SIZE 2048

#define FIRST_SIZE (16 << 10)

#define GFP_SNAPSHOT (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

static uuid_t snapshot_instance;
static atomic64_t snapshot_sequence;

/* Length of the last document: the next one is likely as long. */
static size_t snapshot_last_len;

/*
 * By pages when it is large: to find, and clear, that much in one piece would take long,
 * and nobody else would have the CPU meanwhile.
 */
static char *snapshot_alloc(size_t size)
{
	return size > SYSINFO_PIECE ? __vmalloc(size, GFP_SNAPSHOT) : kvmalloc(size, GFP_SNAPSHOT);
}

static int snapshot_grow(struct json_writer *w, size_t need)
{
	size_t len = json_writer_len(w);
	size_t size = max(2 * (size_t)(w->end - w->buf), len + need);
	size_t at;
	char *buf;

	if (len + need > SYSINFO_DOCUMENT_MAX)
		return -EFBIG;
	size = min_t(size_t, size, SYSINFO_DOCUMENT_MAX);
	buf = snapshot_alloc(size);
	if (!buf)
		return -ENOMEM;
	for (at = 0; at < len; at += SYSINFO_PIECE) {
		memcpy(buf + at, w->buf + at, min_t(size_t, len - at, SYSINFO_PIECE));
		cond_resched();
	}
	kvfree(w->buf);
	w->buf = buf;
	w->at = buf + len;
	w->end = buf + size;
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

static void snapshot_head(struct json_writer *w, const struct collect_machine *m, u64 sequence,
			  u64 begin_us)
{
	const char *release = init_utsname()->release;
	char instance[UUID_STRING_LEN + 1];
	int len = snprintf(instance, sizeof(instance), "%pUb", &snapshot_instance);

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
}

/* The members that the processes of a cgroup have in common: written once, then copied. */
static void snapshot_cgroup(struct json_writer *w, const struct collect *c,
			    struct collect_cgroup *cgroup)
{
	const char *path = c->paths + cgroup->path;
	const struct container_id *container = &cgroup->container;
	const char *runtime = container_id_runtime_name(container->runtime);
	size_t from = json_writer_len(w);

	if (cgroup->note_len) {
		json_writer_again(w, cgroup->note, cgroup->note_len);
		return;
	}
	json_writer_text(w, ",\"ContainerID\":");
	json_writer_string(w, path + container->id, container->id_len);
	json_writer_text(w, ",\"Runtime\":");
	json_writer_string(w, runtime, strlen(runtime));
	json_writer_text(w, ",\"Cgroup\":");
	json_writer_string(w, path, cgroup->path_len);
	snapshot_member(w, "CgroupID", cgroup->id);
	cgroup->note = from;
	cgroup->note_len = json_writer_len(w) - from;
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

static int snapshot_processes(struct json_writer *w, const struct snapshot_options *options,
			      u64 total_ram_kib)
{
	struct collect_memory memory;
	struct collect *c;
	bool first = true;
	unsigned int i;
	int ret;

	ret = collect_begin(options->all, &c);
	if (ret)
		return ret;
	while ((ret = collect_step(c)) > 0) {
		for (i = 0; i < c->count; i++) {
			bool cmdline = options->cmdline &&
				       json_writer_len(w) < SYSINFO_CMDLINES_UNTIL;

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
	return ret;
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
	size_t last_len = READ_ONCE(snapshot_last_len);
	size_t size = max_t(size_t, last_len + last_len / 8, FIRST_SIZE);
	struct collect_machine machine;
	struct json_writer body, head;
	size_t head_len;
	char *buf;
	int err;

	buf = snapshot_alloc(size);
	if (!buf)
		return -ENOMEM;
	collect_machine(&machine);
	json_writer_init(&body, buf, size, snapshot_grow);
	body.at += HEAD_SIZE;
	err = snapshot_processes(&body, options, machine.total_ram_kib);
	if (err)
		goto free_buf;
	json_writer_text(&body, "\n]}\n");

	json_writer_init(&head, body.buf, HEAD_SIZE, NULL);
	snapshot_head(&head, &machine, sequence, begin_us);
	err = body.error ?: head.error;
	if (err)
		goto free_buf;
	head_len = json_writer_len(&head);
	memmove(body.buf + HEAD_SIZE - head_len, body.buf, head_len);

	ret->buf = body.buf;
	ret->text = body.buf + HEAD_SIZE - head_len;
	ret->len = body.at - ret->text;
	WRITE_ONCE(snapshot_last_len, json_writer_len(&body));
	return 0;

free_buf:
	kvfree(body.buf);
	return err;
}

/* snapshot_free() - what snapshot_take() gave */
void snapshot_free(struct snapshot *snapshot)
{
	kvfree(snapshot->buf);
}
