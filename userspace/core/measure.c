// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct measure_past {
	char id[MODEL_ID_SIZE];
	bool was_high;
	uint32_t cycles;
};

/* Of one container in one cycle. */
struct measure_sample {
	uint64_t cpu_us;
	uint64_t window_us;
	uint64_t memory_bytes;
	bool has_memory;
	bool disputed;
};

void measure_forget(struct measure_state *s)
{
	free(s->past);
	free(s->samples);
	memset(s, 0, sizeof(*s));
}

/*
 * By the module: of the processes that are there.  Who forks a thousand short ones a second
 * looks idle by that; what the scheduler gave the container counts once the other sources
 * bear it out.  Not what they come to themselves, which may be less, where events were lost
 * or the readings far apart, or more, where a process joined with what it had used before.
 */
static uint64_t cpu_of(const struct model_container *c, const struct reconcile_books *b)
{
	if (b->verdict != RECONCILE_AGREED)
		return c->cpu_window_us;
	return b->has_cgroup && b->cgroup_us < b->scheduler_us ? b->cgroup_us : b->scheduler_us;
}

static struct measure_sample take_sample(const struct model *m, const struct model_container *c,
					 const struct reconcile_books *b, enum measure_memory memory)
{
	struct measure_sample sample = {
		.cpu_us = cpu_of(c, b),
		.window_us = m->window_us,
		.memory_bytes = c->cgroup.memory_bytes,
		.has_memory = c->cgroup.has_memory,
		.disputed = b->verdict == RECONCILE_DISPUTED,
	};

	if (memory == MEASURE_WORKING_SET) {
		sample.has_memory &= c->cgroup.has_inactive;
		/* Read one after the other: what is left can't be less than nothing. */
		sample.memory_bytes -= c->cgroup.inactive_bytes < sample.memory_bytes ?
					       c->cgroup.inactive_bytes : sample.memory_bytes;
	}
	return sample;
}

static void sum_up(const struct measure_sample *samples, const struct measure_past *past,
		   uint32_t window, struct measure *ret)
{
	uint64_t whole = 0, rest = 0;
	double cpu = 0, time = 0, centi;
	uint32_t i, n = past->cycles;

	*ret = (struct measure){ .cycles = n, .whole = n == window, .has_memory = n, .was_high = past->was_high };
	for (i = 0; i < n; i++) {
		cpu += (double)samples[i].cpu_us;
		time += (double)samples[i].window_us;
		/* The mean without the sum, which might not fit. */
		whole += samples[i].memory_bytes / n;
		rest += samples[i].memory_bytes % n;
		ret->has_memory &= samples[i].has_memory;
		ret->disputed += samples[i].disputed;
	}
	centi = n ? cpu * 10000 / time : 0;
	ret->cpu_centi = centi < UINT32_MAX ? (uint32_t)centi : UINT32_MAX;
	ret->memory_bytes = n ? whole + rest / n : 0;
}

int measure_step(struct measure_state *s, const struct model *m, const struct reconcile_books *books,
		 const struct measure_policy *policy, struct measure *ret)
{
	uint32_t window = policy->window ? policy->window : 1;
	struct measure_state new = { .count = m->container_count, .room = window };
	size_t i, then = 0;

	new.past = calloc(new.count + 1, sizeof(*new.past));
	new.samples = calloc(new.count * window + 1, sizeof(*new.samples));
	if (!new.past || !new.samples) {
		measure_forget(&new);
		measure_forget(s);
		return -ENOMEM;
	}
	for (i = 0; i < new.count; i++) {
		const struct model_container *c = &m->containers[i];
		struct measure_sample *samples = &new.samples[i * window];
		struct measure_past *past = &new.past[i];
		uint32_t keep;

		strcpy(past->id, c->id);
		/* Both are in the order of ids. */
		while (then < s->count && strcmp(s->past[then].id, c->id) < 0)
			then++;
		/* Else it was not there, or not the same one. */
		if (m->window_us && c->has_window) {
			if (then < s->count && !strcmp(s->past[then].id, c->id)) {
				const struct measure_past *before = &s->past[then];

				past->was_high = before->was_high;
				keep = before->cycles < window - 1 ? before->cycles : window - 1;
				memcpy(samples, &s->samples[then * s->room + before->cycles - keep],
				       keep * sizeof(*samples));
				past->cycles = keep;
			}
			samples[past->cycles++] = take_sample(m, c, &books[i], policy->memory);
		}
		sum_up(samples, past, window, &ret[i]);
	}
	measure_forget(s);
	*s = new;
	return 0;
}

void measure_note_class(struct measure_state *s, size_t i, bool high)
{
	s->past[i].was_high = high;
}
