// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/look.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *look_fate_name(enum look_fate fate)
{
	static const char *const names[LOOK_FATES] = {
		[LOOK_STAYED] = "stayed",
		[LOOK_KILLED] = "killed",
		[LOOK_UNVERIFIED] = "killed, not verified",
		[LOOK_DYING] = "told to die",
		[LOOK_GONE] = "was already gone",
		[LOOK_SURVIVED] = "survived",
		[LOOK_WOULD] = "would be killed",
	};

	return names[fate];
}

/* --- writing: numbers in groups of seven bits (LEB128), strings after their length ---- */

static void put_bytes(struct look_bytes *to, const void *data, size_t len)
{
	size_t room = to->room ? to->room : 4096;
	uint8_t *more;

	if (to->failed)
		return;
	while (room - to->len < len)
		room *= 2;
	if (room != to->room) {
		more = realloc(to->data, room);
		if (!more) {
			to->failed = true;
			return;
		}
		to->data = more;
		to->room = room;
	}
	if (len)
		memcpy(to->data + to->len, data, len);
	to->len += len;
}

static void put_number(struct look_bytes *to, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		if (value)
			bytes[n] |= 0x80;
		n++;
	} while (value);
	put_bytes(to, bytes, n);
}

static void put_blob(struct look_bytes *to, const char *data, size_t len)
{
	put_number(to, len);
	put_bytes(to, data, len);
}

static void put_text(struct look_bytes *to, const char *text)
{
	put_blob(to, text, strlen(text));
}

static void put_flags(struct look_bytes *to, const bool *flags, size_t count)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < count; i++)
		bits |= (uint64_t)flags[i] << i;
	put_number(to, bits);
}

static void put_container(struct look_bytes *to, const struct model_container *c)
{
	const bool flags[] = {
		c->cgroup.known, c->cgroup.has_memory, c->cgroup.has_cpu, c->cgroup.has_inactive,
		c->cgroup.has_oom, c->cgroup.has_pids,
		c->runtime.known, c->runtime.running, c->runtime.is_protected, c->runtime.log_server,
		c->runtime.labels_cut, c->self, c->dying, c->runtime.name_cut, c->runtime.image_unsure,
		c->cgroup.frozen,
	};
	uint64_t percent;

	put_text(to, c->id);
	put_text(to, c->runtime_name);
	put_text(to, c->path);
	put_text(to, c->name);
	put_number(to, c->pid);
	put_number(to, c->start_us);
	put_number(to, c->process_count);
	put_number(to, c->thread_count);
	put_number(to, c->vsz_kib);
	put_number(to, c->rss_kib);
	memcpy(&percent, &c->memory_percent, sizeof(percent));
	put_number(to, percent);
	put_flags(to, flags, sizeof(flags) / sizeof(flags[0]));
	put_number(to, c->comebacks);
	put_number(to, c->cgroup.inode);
	put_number(to, c->cgroup.memory_bytes);
	put_number(to, c->cgroup.inactive_bytes);
	put_number(to, c->cgroup.oom_kills);
	put_number(to, c->cgroup.pids);
	put_number(to, c->cgroup.cpu_us);
	put_text(to, c->runtime.name);
	put_text(to, c->runtime.image);
	put_blob(to, c->runtime.labels, c->runtime.labels_len);
}

static void put_sum(struct look_bytes *to, const struct ledger_sum *sum)
{
	put_text(to, sum->id);
	put_number(to, sum->container_cgroup_id);
	put_number(to, sum->cpu_us);
	put_number(to, sum->exits);
	put_number(to, sum->exits_lost);
	put_number(to, sum->lost_us);
	put_number(to, sum->tails_us);
	put_number(to, sum->oom_exits);
	put_number(to, sum->removed);
}

static void put_exit(struct look_bytes *to, const struct ledger_exit *ev)
{
	const bool flags[] = { ev->oom, ev->init };

	put_number(to, ev->container_cgroup_id);
	put_number(to, ev->pid);
	put_number(to, ev->killer_pid);
	put_number(to, ev->start_us);
	put_number(to, ev->exit_us);
	put_number(to, ev->cpu_us);
	put_number(to, (uint64_t)(ev->exit_code + 1));
	put_number(to, ev->signal);
	put_flags(to, flags, sizeof(flags) / sizeof(flags[0]));
}

static void put_sight(struct look_bytes *to, const struct judge_sight *s)
{
	const struct model *m = s->model;
	size_t i;

	put_text(to, m->boot_id);
	put_text(to, m->instance);
	put_number(to, m->sequence);
	put_number(to, m->boot_time_us);
	put_number(to, m->cpus);
	put_number(to, m->total_ram_kib);
	put_number(to, m->free_ram_kib);
	put_number(to, m->used_ram_kib);
	put_number(to, m->available_ram_kib);
	put_number(to, s->skew_us);
	put_number(to, s->slept_before_us);
	put_number(to, s->slept_after_us);
	put_number(to, m->container_count);
	for (i = 0; i < m->container_count; i++)
		put_container(to, &m->containers[i]);
	put_number(to, m->process_count);
	for (i = 0; i < m->process_count; i++) {
		put_number(to, m->processes[i].pid);
		put_number(to, m->processes[i].container);
		put_number(to, m->processes[i].start_us);
		put_number(to, m->processes[i].cpu_us);
		put_number(to, (uint8_t)m->processes[i].state);
	}
	put_number(to, s->witness);
	put_number(to, s->reading.since_us);
	put_number(to, s->reading.unplaced);
	put_number(to, s->reading.sum_count);
	for (i = 0; i < s->reading.sum_count; i++)
		put_sum(to, &s->reading.sums[i]);
	put_number(to, s->exit_count);
	for (i = 0; i < s->exit_count; i++)
		put_exit(to, &s->exits[i]);
}

void look_encode(const struct look *l, struct look_bytes *to)
{
	put_number(to, (uint64_t)l->unix_ms);
	put_number(to, l->cycle);
	put_text(to, l->hand);
	put_number(to, l->seen);
	if (l->seen)
		put_sight(to, &l->sight);
}

void look_encode_outcome(const struct look_outcome *o, struct look_bytes *to)
{
	size_t i;

	put_number(to, o->mode);
	put_text(to, o->why);
	put_number(to, o->decided);
	put_number(to, o->count);
	for (i = 0; i < o->count; i++) {
		put_number(to, o->verdicts[i].class);
		put_number(to, o->verdicts[i].rule);
		put_number(to, o->verdicts[i].fate);
	}
}

/* --- reading ----------------------------------------------------------------- */

struct source {
	const uint8_t *at, *end;
	int err;	/* the first; then all reads give nothing */
};

static uint64_t get_number(struct source *s, uint64_t max)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		/* The tenth group has one bit. */
		if (s->err || s->at == s->end || shift > 63 || (shift == 63 && *s->at > 1)) {
			s->err = s->err ? s->err : -EBADMSG;
			return 0;
		}
		byte = *s->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (value > max) {
		s->err = -EBADMSG;
		return 0;
	}
	return value;
}

/* A number of things that take at least so many bytes each, of what is left after it. */
static size_t get_count(struct source *s, size_t least_bytes, size_t max)
{
	size_t count = get_number(s, max);

	if (count <= (size_t)(s->end - s->at) / least_bytes)
		return count;
	s->err = -EBADMSG;
	return 0;
}

static const uint8_t *get_blob(struct source *s, size_t max, size_t *ret_len)
{
	const uint8_t *data;

	*ret_len = get_count(s, 1, max);
	if (s->err)
		return NULL;
	data = s->at;
	s->at += *ret_len;
	return data;
}

/* A string without a NUL, into room of @size. */
static void get_text(struct source *s, char *buf, size_t size)
{
	size_t len;
	const uint8_t *data = get_blob(s, size - 1, &len);

	if (!data)
		return;
	if (memchr(data, '\0', len)) {
		s->err = -EBADMSG;
		return;
	}
	memcpy(buf, data, len);
	buf[len] = '\0';
}

/* Whole strings, each with its NUL. */
static void get_labels(struct source *s, struct model_runtime *r)
{
	const uint8_t *data = get_blob(s, MODEL_LABELS_MAX, &r->labels_len);

	if (!data || !r->labels_len) {
		r->labels_len = 0;
		return;
	}
	if (data[r->labels_len - 1]) {
		s->err = -EBADMSG;
		r->labels_len = 0;
		return;
	}
	r->labels = malloc(r->labels_len);
	if (!r->labels) {
		s->err = -ENOMEM;
		r->labels_len = 0;
		return;
	}
	memcpy(r->labels, data, r->labels_len);
}

static void get_flags(struct source *s, bool *const *flags, size_t count)
{
	uint64_t bits = get_number(s, (1u << count) - 1);
	size_t i;

	for (i = 0; i < count; i++)
		*flags[i] = bits >> i & 1;
}

static void get_container(struct source *s, struct model_container *c)
{
	bool *const flags[] = {
		&c->cgroup.known, &c->cgroup.has_memory, &c->cgroup.has_cpu, &c->cgroup.has_inactive,
		&c->cgroup.has_oom, &c->cgroup.has_pids,
		&c->runtime.known, &c->runtime.running, &c->runtime.is_protected,
		&c->runtime.log_server, &c->runtime.labels_cut, &c->self, &c->dying,
		&c->runtime.name_cut, &c->runtime.image_unsure, &c->cgroup.frozen,
	};
	uint64_t percent;

	get_text(s, c->id, sizeof(c->id));
	get_text(s, c->runtime_name, sizeof(c->runtime_name));
	get_text(s, c->path, sizeof(c->path));
	get_text(s, c->name, sizeof(c->name));
	c->pid = (uint32_t)get_number(s, UINT32_MAX);
	c->start_us = get_number(s, UINT64_MAX);
	c->process_count = (uint32_t)get_number(s, UINT32_MAX);
	c->thread_count = get_number(s, UINT64_MAX);
	c->vsz_kib = get_number(s, UINT64_MAX);
	c->rss_kib = get_number(s, UINT64_MAX);
	percent = get_number(s, UINT64_MAX);
	memcpy(&c->memory_percent, &percent, sizeof(percent));
	get_flags(s, flags, sizeof(flags) / sizeof(flags[0]));
	c->comebacks = (uint32_t)get_number(s, UINT32_MAX);
	c->cgroup.inode = get_number(s, UINT64_MAX);
	c->cgroup.memory_bytes = get_number(s, UINT64_MAX);
	c->cgroup.inactive_bytes = get_number(s, UINT64_MAX);
	c->cgroup.oom_kills = get_number(s, UINT64_MAX);
	c->cgroup.pids = get_number(s, UINT64_MAX);
	c->cgroup.cpu_us = get_number(s, UINT64_MAX);
	get_text(s, c->runtime.name, sizeof(c->runtime.name));
	get_text(s, c->runtime.image, sizeof(c->runtime.image));
	get_labels(s, &c->runtime);
	if (!*c->id || !isfinite(c->memory_percent) || c->memory_percent < 0 || c->memory_percent > 1e9)
		s->err = s->err ? s->err : -EBADMSG;
}

static void *get_array(struct source *s, size_t count, size_t size)
{
	void *array = s->err ? NULL : calloc(count + 1, size);

	if (!array && !s->err)
		s->err = -ENOMEM;
	return array;
}

/* In the order that model_find() needs. */
static void get_containers(struct source *s, struct model *m)
{
	/* Of its 23 parts each has at least a byte. */
	size_t i, count = get_count(s, 23, LOOK_CONTAINERS_MAX);

	m->containers = get_array(s, count, sizeof(*m->containers));
	for (i = 0; i < count && !s->err; i++) {
		m->container_count++;
		get_container(s, &m->containers[i]);
		if (!s->err && i && strcmp(m->containers[i - 1].id, m->containers[i].id) >= 0)
			s->err = -EBADMSG;
	}
}

static void get_processes(struct source *s, struct model *m)
{
	size_t i, count = get_count(s, 5, LOOK_PROCESSES_MAX);

	m->processes = get_array(s, count, sizeof(*m->processes));
	for (i = 0; i < count && !s->err; i++) {
		struct model_process *p = &m->processes[i];

		p->pid = (uint32_t)get_number(s, UINT32_MAX);
		p->container = get_number(s, m->container_count ? m->container_count - 1 : 0);
		p->start_us = get_number(s, UINT64_MAX);
		p->cpu_us = get_number(s, UINT64_MAX);
		p->state = (char)get_number(s, UINT8_MAX);
		if (!m->container_count || (i && (p[-1].pid > p->pid ||
						  (p[-1].pid == p->pid && p[-1].start_us > p->start_us))))
			s->err = s->err ? s->err : -EBADMSG;
		m->process_count++;
	}
}

static void get_sum(struct source *s, struct ledger_sum *sum)
{
	get_text(s, sum->id, sizeof(sum->id));
	sum->container_cgroup_id = get_number(s, UINT64_MAX);
	sum->cpu_us = get_number(s, UINT64_MAX);
	sum->exits = get_number(s, UINT64_MAX);
	sum->exits_lost = get_number(s, UINT64_MAX);
	sum->lost_us = get_number(s, UINT64_MAX);
	sum->tails_us = get_number(s, UINT64_MAX);
	sum->oom_exits = get_number(s, UINT64_MAX);
	sum->removed = get_number(s, 1);
}

static void get_exit(struct source *s, struct ledger_exit *ev)
{
	bool *const flags[] = { &ev->oom, &ev->init };

	ev->container_cgroup_id = get_number(s, UINT64_MAX);
	ev->pid = (uint32_t)get_number(s, UINT32_MAX);
	ev->killer_pid = (uint32_t)get_number(s, UINT32_MAX);
	ev->start_us = get_number(s, UINT64_MAX);
	ev->exit_us = get_number(s, UINT64_MAX);
	ev->cpu_us = get_number(s, UINT64_MAX);
	ev->exit_code = (int16_t)(get_number(s, 256) - 1);
	ev->signal = (uint8_t)get_number(s, UINT8_MAX);
	get_flags(s, flags, sizeof(flags) / sizeof(flags[0]));
}

static void get_witness(struct source *s, struct judge_sight *sight)
{
	struct ledger_exit *exits;
	struct ledger_sum *sums;
	size_t i, count;

	sight->witness = get_number(s, 1);
	sight->reading.since_us = get_number(s, UINT64_MAX);
	sight->reading.unplaced = get_number(s, UINT64_MAX);
	count = get_count(s, 8, LOOK_CONTAINERS_MAX);
	sums = get_array(s, count, sizeof(*sums));
	sight->reading.sums = sums;
	for (i = 0; i < count && !s->err; i++)
		get_sum(s, &sums[i]);
	sight->reading.sum_count = s->err ? 0 : count;
	count = get_count(s, 9, SIZE_MAX);
	exits = get_array(s, count, sizeof(*exits));
	sight->exits = exits;
	for (i = 0; i < count && !s->err; i++)
		get_exit(s, &exits[i]);
	sight->exit_count = s->err ? 0 : count;
}

static void get_sight(struct source *s, struct judge_sight *sight)
{
	struct model *m = get_array(s, 1, sizeof(*m));

	sight->model = m;
	if (!m)
		return;
	get_text(s, m->boot_id, sizeof(m->boot_id));
	get_text(s, m->instance, sizeof(m->instance));
	m->sequence = get_number(s, UINT64_MAX);
	m->boot_time_us = get_number(s, UINT64_MAX);
	m->cpus = (uint32_t)get_number(s, UINT32_MAX);
	m->total_ram_kib = get_number(s, UINT64_MAX);
	m->free_ram_kib = get_number(s, UINT64_MAX);
	m->used_ram_kib = get_number(s, UINT64_MAX);
	m->available_ram_kib = get_number(s, UINT64_MAX);
	sight->skew_us = get_number(s, UINT64_MAX);
	sight->slept_before_us = get_number(s, UINT64_MAX);
	sight->slept_after_us = get_number(s, UINT64_MAX);
	get_containers(s, m);
	get_processes(s, m);
	get_witness(s, sight);
}

int look_decode(const uint8_t *data, size_t len, struct look *ret)
{
	struct source s = { .at = data, .end = data + len };
	struct look l = { 0 };

	l.unix_ms = (int64_t)get_number(&s, INT64_MAX);
	l.cycle = get_number(&s, UINT64_MAX);
	get_text(&s, l.hand, sizeof(l.hand));
	l.seen = get_number(&s, 1);
	if (l.seen)
		get_sight(&s, &l.sight);
	if (!s.err && (s.at != s.end || l.hand[strspn(l.hand, "AD")]))
		s.err = -EBADMSG;
	if (s.err)
		look_free(&l);
	else
		*ret = l;
	return s.err;
}

int look_decode_outcome(const uint8_t *data, size_t len, struct look_outcome *ret)
{
	struct source s = { .at = data, .end = data + len };
	struct look_outcome o = { 0 };
	size_t i, count;

	o.mode = (enum brake_mode)get_number(&s, BRAKE_DRY_RUN);
	get_text(&s, o.why, sizeof(o.why));
	o.decided = get_number(&s, 1);
	count = get_count(&s, 3, LOOK_CONTAINERS_MAX);
	o.verdicts = get_array(&s, count, sizeof(*o.verdicts));
	for (i = 0; i < count && !s.err; i++) {
		o.verdicts[i].class = (uint8_t)get_number(&s, CLASS_HIGH);
		o.verdicts[i].rule = (uint8_t)get_number(&s, RULE_SURPLUS);
		o.verdicts[i].fate = (uint8_t)get_number(&s, LOOK_FATES - 1);
		o.count++;
	}
	if (!s.err && s.at != s.end)
		s.err = -EBADMSG;
	if (s.err)
		look_free_outcome(&o);
	else
		*ret = o;
	return s.err;
}

void look_free(struct look *l)
{
	model_free(l->sight.model);
	/* Made by get_witness(). */
	free((void *)l->sight.reading.sums);
	free((void *)l->sight.exits);
	memset(l, 0, sizeof(*l));
}

void look_free_outcome(struct look_outcome *o)
{
	free(o->verdicts);
	memset(o, 0, sizeof(*o));
}
