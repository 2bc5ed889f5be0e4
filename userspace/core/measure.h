/* SPDX-License-Identifier: GPL-2.0 */
/* What a container is judged by: its consumption over the policy's window.  Pure. */
#ifndef CORE_MEASURE_H
#define CORE_MEASURE_H

#include "userspace/core/model.h"
#include "userspace/core/reconcile.h"

/* An hour of looks every ten seconds; a sample of each container is 32 bytes. */
#define MEASURE_WINDOW_MAX 360

enum measure_memory {
	MEASURE_CURRENT,	/* memory.current */
	MEASURE_WORKING_SET,	/* less inactive_file, as docker stats and the kubelet show it */
};

struct measure_policy {
	uint32_t window;	/* cycles; 0 is 1 */
	enum measure_memory memory;
};

struct measure {
	uint32_t cycles;	/* seen of it one after the other, at most the window's */
	bool whole;		/* as many as the window has */
	bool has_memory;	/* in each of them */
	uint32_t disputed;	/* of them, those that the sources disagree on */
	bool was_high;		/* when it was judged last */
	uint32_t cpu_centi;	/* 1/100 % of one CPU, over all of them */
	uint64_t memory_bytes;	/* mean of the readings at their ends */
};

/* What is remembered of the cycles before; all zeroes: nothing. */
struct measure_state {
	struct measure_past *past;	/* by id */
	size_t count;
	struct measure_sample *samples;	/* room of them for each */
	uint32_t room;
};

/**
 * measure_step() - one more cycle is over
 * @s: what is remembered, and then also of this cycle
 * @m: the model, compared with the last one
 * @books: of its containers, by reconcile()
 * @policy: the window and the kind of memory
 * @ret: an array of m->container_count measures
 *
 * A container that has no window of this cycle begins anew; so does everything in a cycle
 * without one.
 *
 * Return: 0 or -ENOMEM, and then nothing is remembered.
 */
int measure_step(struct measure_state *s, const struct model *m, const struct reconcile_books *books,
		 const struct measure_policy *policy, struct measure *ret);

/* How the i-th container of the model of the last measure_step() was judged. */
void measure_note_class(struct measure_state *s, size_t i, bool high);

void measure_forget(struct measure_state *s);

#endif
