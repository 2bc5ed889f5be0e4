// SPDX-License-Identifier: GPL-2.0
#include "tests/property/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US 1000000ULL
#define MIB (1ULL << 20)

uint64_t chance_next(struct chance *c)
{
	uint64_t z = c->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint32_t chance_below(struct chance *c, uint32_t n)
{
	return (uint32_t)((chance_next(c) >> 32) * n >> 32);
}

bool chance_one_in(struct chance *c, uint32_t n)
{
	return chance_below(c, n) == 0;
}

/* Something goes wrong, one time in @n, unless the world is calm. */
static bool event(struct world *w, uint32_t n)
{
	return !w->calm && chance_one_in(&w->chance, n);
}

/* Few values, so that there are many ties. */
static uint64_t some_memory(struct world *w)
{
	static const uint64_t mib[] = { 0, 1, 1, 1, 50, 99, 100, 101, 100, 300 };
	uint64_t odd = chance_one_in(&w->chance, 4) ? chance_below(&w->chance, 1000) : 0;

	if (chance_one_in(&w->chance, 500))
		return UINT64_MAX - odd;
	return mib[chance_below(&w->chance, 10)] * MIB + odd;
}

static uint32_t some_rate(struct world *w)
{
	static const uint32_t centi[] = { 0, 0, 100, 999, 1000, 1000, 1001, 5000, 5000, 10000 };

	return centi[chance_below(&w->chance, 10)];
}

static const char *some_name(struct world *w)
{
	static const char *const names[] = {
		"web-1", "web-db", "", "\x1b[2J", "../../..", "\xff\xfe", "%s%n", "a\nb", "\"}],", "web",
		"sysinfo.protect=true", "monitor", "logserver", "db", "x x", "*",
	};

	return names[chance_below(&w->chance, 16)];
}

static void new_process(struct world *w, struct being *b)
{
	struct being_process *p = &b->processes[b->process_count++];

	*p = (struct being_process){ .pid = w->next_pid++, .start_us = w->now_us };
}

/* The runtime and the monitor's own knowledge of a new container. */
static void new_being(struct world *w, struct being *b)
{
	static const char label_web[] = "team=web\0x=y", label_none[] = "";
	static const char label_keep[] = "keep=yes";
	const char *images[] = { "a", "a", "a", "b", "registry/db:1", "", "\x1b[31m", "c" };
	uint32_t number = chance_below(&w->chance, 3), kind = chance_below(&w->chance, 40);

	memset(b, 0, sizeof(*b));
	b->there = true;
	snprintf(b->id, sizeof(b->id), "%016llx%016llx%032x", (unsigned long long)chance_next(&w->chance),
		 (unsigned long long)chance_next(&w->chance), number);
	snprintf(b->path, sizeof(b->path), "/docker/%s", b->id);
	b->inode = w->next_inode++;
	/* Some were started in the same moment. */
	b->start_us = w->now_us - chance_below(&w->chance, 4) * 20 * SECOND_US;
	new_process(w, b);
	b->processes[0].start_us = b->start_us;
	b->processes[0].pid = w->next_old_pid++;
	while (b->process_count < WORLD_PROCESSES && chance_one_in(&w->chance, 3))
		new_process(w, b);
	b->rate_centi = some_rate(w);
	b->cgroup = (struct model_cgroup){ .known = true, .has_memory = true, .has_cpu = true,
					   .has_inactive = true, .memory_bytes = some_memory(w) };
	b->cgroup.inactive_bytes = chance_one_in(&w->chance, 3) ? some_memory(w) : 0;
	b->runtime.known = b->runtime.running = true;
	snprintf(b->runtime.name, sizeof(b->runtime.name), "%s", some_name(w));
	snprintf(b->runtime.image, sizeof(b->runtime.image), "%s", images[chance_below(&w->chance, 8)]);
	b->labels = kind == 0 || kind == 1 ? label_web : kind == 2 ? label_keep : label_none;
	b->labels_len = kind == 0 || kind == 1 ? sizeof(label_web) : kind == 2 ? sizeof(label_keep) : 0;
	b->runtime.is_protected = kind == 3;
	b->runtime.log_server = kind == 4;
	b->self = kind == 5;
	b->runtime.known = kind != 6;
	b->runtime.running = kind != 7;
	b->runtime.labels_cut = kind == 8;
	b->dying = kind == 9;
	b->comebacks = kind == 10 || kind == 11 ? chance_below(&w->chance, 5) : 0;
	b->frozen = b->cgroup.frozen = kind == 12;
}

static void add_pattern(struct world *w, struct scope *s)
{
	static const char *const patterns[] = {
		"name:web*", "label:team=web", "label:keep=*", "image:*/db:*", "runtime:docker", "name:?",
		"image:a", "runtime:podman",
	};

	scope_add(s, patterns[chance_below(&w->chance, 8)]);
}

static void make_policy(struct world *w)
{
	struct judge_policy *p = &w->policy;
	struct chance *c = &w->chance;

	*p = (struct judge_policy){
		.classify = { .cpu_centi = 1000, .memory_bytes = 100 * MIB },
		.measure = { .window = 1 },
		.decide = { .keep_high = chance_below(c, 5), .keep_low = chance_below(c, 5) },
		.reconcile = { .tolerance_permille = 50, .tolerance_us = 20000 },
		.brake = { .cycle = 100000, .hour = 100000, .image = 100000 },
	};
	p->classify.classifier = chance_one_in(c, 3) ? CLASSIFIER_RANK : CLASSIFIER_THRESHOLD;
	if (chance_one_in(c, 4))
		p->classify.hysteresis_permille = chance_below(c, 400);
	if (chance_one_in(c, 8))
		p->classify.memory_bytes = 0;
	if (chance_one_in(c, 3))
		p->measure.window = chance_below(c, WORLD_WINDOW + 1);
	if (chance_one_in(c, 4))
		p->measure.memory = MEASURE_WORKING_SET;
	if (chance_one_in(c, 4))
		p->decide.min_age_us = chance_below(c, 60) * SECOND_US;
	if (chance_one_in(c, 4))
		p->decide.give_up = chance_below(c, 4);
	while (chance_one_in(c, 4))
		add_pattern(w, &p->decide.protect);
	while (chance_one_in(c, 5))
		add_pattern(w, &p->decide.scope);
	if (chance_one_in(c, 4))
		p->brake = (struct brake_policy){ chance_below(c, 12), chance_below(c, 40),
						  chance_below(c, 20) };
}

void world_begin(struct world *w, uint64_t seed, uint32_t size)
{
	uint32_t i;

	w->chance = (struct chance){ seed };
	w->now_us = 1000 * SECOND_US + chance_next(&w->chance) % (1000000 * SECOND_US);
	w->sequence = 1 + chance_below(&w->chance, 100);
	w->instance = 1;
	w->slept_us = chance_below(&w->chance, 1000000);
	w->witness = w->was_witness = w->was_seen = w->seen = w->window = w->calm = false;
	w->next_pid = 100;
	w->next_old_pid = 1000000;
	w->next_inode = 1000;
	w->size = size;
	make_policy(w);
	for (i = 0; i < size; i++)
		new_being(w, &w->beings[i]);
}

/* What happens to a container between two looks, other than that it goes on. */
static void live(struct world *w, struct being *b)
{
	uint32_t i;

	if (event(w, 20))
		b->rate_centi = some_rate(w);
	if (event(w, 20))
		b->cgroup.memory_bytes = some_memory(w);
	if (event(w, 60)) {
		/* Restarted under its id. */
		b->inode = w->next_inode++;
		b->process_count = 0;
		b->start_us = w->now_us;
		b->cgroup.cpu_us = b->scheduler_us = b->exits = 0;
		new_process(w, b);
	}
	if (event(w, 30) && b->process_count < WORLD_PROCESSES)
		new_process(w, b);
	if (event(w, 80) && b->process_count) {
		/* A counter that goes back. */
		i = chance_below(&w->chance, b->process_count);
		b->processes[i].cpu_us = b->processes[i].cpu_us / 2;
	}
	b->cgroup.known = !event(w, 60);
	b->cgroup.has_memory = b->cgroup.known && !event(w, 60);
	b->cgroup.has_inactive = b->cgroup.has_memory && !event(w, 60);
	b->cgroup.has_cpu = b->cgroup.known && !event(w, 60);
	if (event(w, 100))
		b->runtime.running = !b->runtime.running;
	if (event(w, 100))
		b->frozen = !b->frozen;
	b->cgroup.frozen = b->cgroup.known && b->frozen;
	if (event(w, 100))
		b->there = false;
}

/*
 * Its processes in the snapshot, and what they used since the one before; of that, what
 * those used that were not in it.
 */
static uint64_t show_processes(struct world *w, struct being *b, uint64_t window_us, uint64_t *ret_new)
{
	uint64_t used = 0;
	uint32_t i;

	for (i = 0; i < b->process_count; i++) {
		struct being_process *p = &b->processes[i];
		uint64_t share_us = window_us * b->rate_centi / 10000 / b->process_count;

		p->cpu_us += share_us;
		w->shown[w->shown_count++] = (struct snapshot_process){
			.pid = p->pid, .ppid = 1, .name = b->runtime.name, .container_id = b->id,
			.runtime = "docker", .cgroup = b->path, .cgroup_id = b->inode,
			.start_us = p->start_us, .vsz_kib = 1, .rss_kib = 1, .cpu_us = p->cpu_us, .state = 'S',
		};
		if (!p->was_shown) {
			*ret_new += p->start_us >= w->now_us - window_us ? p->cpu_us : 0;
			used += p->start_us >= w->now_us - window_us ? p->cpu_us : 0;
		} else if (p->cpu_us > p->shown_us) {
			used += p->cpu_us - p->shown_us;
		}
		p->shown_us = p->cpu_us;
		p->was_shown = true;
	}
	return used;
}

/* One that claims to be in this container, in another's group: both are left out. */
static void show_liar(struct world *w, const struct being *b)
{
	w->shown[w->shown_count++] = (struct snapshot_process){
		.pid = w->next_pid++, .name = "liar", .container_id = b->id, .runtime = "docker",
		.cgroup = "/docker/ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		.start_us = 1,
	};
}

static uint64_t memory_of(const struct world *w, const struct model_cgroup *c)
{
	if (w->policy.measure.memory == MEASURE_CURRENT)
		return c->memory_bytes;
	return c->memory_bytes > c->inactive_bytes ? c->memory_bytes - c->inactive_bytes : 0;
}

static void note_cycle(struct world *w, struct being *b, const struct being_cycle *cycle)
{
	uint32_t window = w->policy.measure.window ? w->policy.measure.window : 1;

	if (b->streak == window) {
		memmove(b->cycles, b->cycles + 1, (window - 1) * sizeof(*b->cycles));
		b->streak--;
	}
	b->cycles[b->streak++] = *cycle;
}

static void show_being(struct world *w, struct being *b, uint64_t window_us)
{
	bool same = b->was_shown && b->was_known && b->shown_inode == b->inode, off, off_cgroup, liar, less;
	bool had_cpu = b->cgroup.has_cpu;
	uint64_t used, exited = 0, new = 0;

	live(w, b);
	same = same && b->shown_inode == b->inode;
	if (!b->there) {
		b->shown = b->was_shown = false;
		b->streak = 0;
		b->was_high = false;
		return;
	}
	liar = event(w, 200);
	used = show_processes(w, b, window_us, &new);
	if (liar)
		show_liar(w, b);
	b->shown = !liar;
	if (window_us > 2 && event(w, 10)) {
		/* Born and dead between two looks. */
		exited = 1 + chance_below(&w->chance, 3000000);
		w->exits[w->exit_count++] = (struct ledger_exit){
			.container_cgroup_id = b->inode, .pid = 3000000 + w->next_pid,
			.start_us = w->now_us - 2, .exit_us = w->now_us - 1, .cpu_us = exited,
		};
	}
	off = event(w, 50);
	off_cgroup = event(w, 50);
	/*
	 * Or far too little: a process that was born or died meanwhile may have used its CPU
	 * elsewhere, one that was there all the time may not.
	 */
	less = event(w, 50) && used - new > SECOND_US + (used + exited) / 10;
	b->scheduler_us += less ? 0 : used + exited + (off ? 20 * SECOND_US + window_us : 0);
	b->cgroup.cpu_us += used + exited + (off_cgroup ? 20 * SECOND_US + window_us : 0);
	b->cgroup.inode = b->inode;
	b->exits += exited != 0;
	w->sums[w->sum_count++] = (struct ledger_sum){
		.container_cgroup_id = b->inode, .cpu_us = b->scheduler_us, .exits = b->exits,
	};

	if (w->window && same && b->shown && b->cgroup.known) {
		bool both = w->witness && w->was_witness;
		bool disputed = both && (off || less || (off_cgroup && had_cpu && b->cgroup.has_cpu));
		struct being_cycle cycle = {
			/* What died counts if the sources agree on it. */
			.cpu_us = used + (both && !disputed ? exited : 0),
			.window_us = window_us, .memory_bytes = memory_of(w, &b->cgroup),
			.has_memory = b->cgroup.has_memory &&
				      (w->policy.measure.memory == MEASURE_CURRENT || b->cgroup.has_inactive),
			.disputed = disputed,
		};

		note_cycle(w, b, &cycle);
	} else {
		b->streak = 0;
		b->was_high = false;
	}
	b->was_shown = b->shown;
	b->was_known = b->cgroup.known;
	b->shown_inode = b->inode;
}

void world_step(struct world *w)
{
	static const uint64_t gaps_us[] = { 1, 10 * SECOND_US, 10 * SECOND_US, 10 * SECOND_US,
					    9999999, 1200 * SECOND_US };
	uint64_t gap_us = w->calm ? 10 * SECOND_US : gaps_us[chance_below(&w->chance, 6)];
	uint32_t i;

	w->seen = !event(w, 40);
	w->window = w->seen && w->was_seen;
	if (event(w, 60)) {
		w->window = false;	/* the module was loaded anew */
		w->instance++;
	}
	snprintf(w->instance_text, sizeof(w->instance_text), "i%u", w->instance);
	if (event(w, 60)) {
		w->window = false;	/* the very same snapshot again */
		gap_us = 0;
	} else {
		w->sequence++;
		/* Pids come again, with another start. */
		if (w->next_pid > 200 && event(w, 10))
			w->next_pid -= chance_below(&w->chance, 100);
	}
	if (event(w, 40) && gap_us > 100) {
		/* The machine slept, for too long or not. */
		w->window &= chance_one_in(&w->chance, 2);
		w->slept_us += gap_us / 20 + !w->window;
	}
	w->now_us += gap_us;
	w->shown_count = w->sum_count = w->exit_count = 0;
	w->was_witness = w->witness;
	w->witness = w->calm ? true : !event(w, 8);
	if (!w->seen) {
		for (i = 0; i < w->size; i++) {
			w->beings[i].streak = 0;
			w->beings[i].was_high = false;
			w->beings[i].was_shown = w->beings[i].shown = false;
			for (uint32_t p = 0; p < w->beings[i].process_count; p++)
				w->beings[i].processes[p].was_shown = false;
		}
		w->was_seen = false;
		return;
	}
	for (i = 0; i < w->size; i++) {
		if (!w->beings[i].there && event(w, 4))
			new_being(w, &w->beings[i]);
		show_being(w, &w->beings[i], gap_us);
	}
	w->was_seen = true;
}

#define SHUFFLE(chance, array, count)                                                         \
	for (size_t at_ = (count); at_ > 1; at_--) {                                          \
		size_t with_ = chance_below(chance, (uint32_t)at_);                            \
		__typeof__((array)[0]) kept_ = (array)[at_ - 1];                               \
		(array)[at_ - 1] = (array)[with_];                                            \
		(array)[with_] = kept_;                                                       \
	}

struct being *world_find(struct world *w, const char *id)
{
	uint32_t i;

	for (i = 0; i < w->size; i++)
		if (w->beings[i].there && !strcmp(w->beings[i].id, id))
			return &w->beings[i];
	return NULL;
}

struct judge_sight world_sight(struct world *w, struct chance *order)
{
	struct snapshot s = {
		.instance = w->instance_text, .sequence = w->sequence, .boot_time_us = w->now_us,
		.cpus = 2, .total_ram_kib = 8 << 20, .processes = w->shown,
		.process_count = w->shown_count,
	};
	struct judge_sight sight = { .witness = w->witness, .slept_before_us = w->slept_us,
				     .slept_after_us = w->slept_us };
	struct model *m;
	uint32_t i;

	SHUFFLE(order, w->shown, w->shown_count)
	SHUFFLE(order, w->sums, w->sum_count)
	SHUFFLE(order, w->exits, w->exit_count)
	if (model_new(&s, &m))
		abort();
	for (i = 0; i < w->size; i++) {
		const struct being *b = &w->beings[i];
		struct model_container *c = b->there ? model_find(m, b->id) : NULL;

		if (!c)
			continue;
		c->cgroup = b->cgroup;
		c->runtime = b->runtime;
		c->self = b->self;
		c->dying = b->dying;
		c->comebacks = b->comebacks;
		if (b->labels_len) {
			c->runtime.labels = malloc(b->labels_len);
			if (!c->runtime.labels)
				abort();
			memcpy(c->runtime.labels, b->labels, b->labels_len);
			c->runtime.labels_len = b->labels_len;
		}
	}
	sight.model = m;
	sight.reading = (struct ledger_reading){ .since_us = 1, .sums = w->sums, .sum_count = w->sum_count };
	sight.exits = w->exits;
	sight.exit_count = w->exit_count;
	return sight;
}
