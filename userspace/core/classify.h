/* SPDX-License-Identifier: GPL-2.0 */
/* Which containers are high consumers, which are low.  Pure. */
#ifndef CORE_CLASSIFY_H
#define CORE_CLASSIFY_H

#include "userspace/core/measure.h"

enum class {
	CLASS_UNKNOWN,	/* not judged: no whole window, or its memory is not known */
	CLASS_LOW,
	CLASS_HIGH,
};

enum classifier {
	CLASSIFIER_THRESHOLD,	/* high: at or over either line */
	CLASSIFIER_RANK,	/* high: the upper half, by CPU, then memory */
};

struct classify_policy {
	enum classifier classifier;
	uint32_t cpu_centi;	/* the line, in 1/100 % of one CPU */
	uint64_t memory_bytes;	/* the line, of what the policy calls memory */
	uint32_t hysteresis_permille;	/* of a line, that one that was high may be below it */
};

/* A container and what it is judged by: what classify_heavier() compares. */
struct classify_item {
	const struct model_container *container;
	const struct measure *measure;
};

const char *class_name(enum class class);

/* The lines that hold for a container: lower for one that was high, by the hysteresis. */
uint32_t classify_cpu_line(const struct classify_policy *policy, const struct measure *m);
uint64_t classify_memory_line(const struct classify_policy *policy, const struct measure *m);

/**
 * classify() - judge each container
 * @m: the model
 * @measures: of its containers, by measure_step()
 * @policy: the lines
 * @ret: an array of m->container_count classes, one for each container
 *
 * By rank, of n that can be judged the n / 2 heaviest (rounded down) are high; there are
 * no lines then, and so no hysteresis.
 *
 * Return: 0 or -ENOMEM.
 */
int classify(const struct model *m, const struct measure *measures,
	     const struct classify_policy *policy, enum class *ret);

/*
 * The one order of weight, for qsort() over classify_items, heaviest first: by CPU, then
 * memory; ties: the older, then the lesser id comes first.
 */
int classify_heavier(const void *a, const void *b);

#endif
