/* SPDX-License-Identifier: GPL-2.0 */
/* Which containers are high consumers, which are low.  Pure. */
#ifndef CORE_CLASSIFY_H
#define CORE_CLASSIFY_H

#include "userspace/core/model.h"

enum class {
	CLASS_UNKNOWN,	/* not judged: no window, or its memory is not known */
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
	uint64_t memory_bytes;	/* the line, of memory.current */
};

const char *class_name(enum class class);

/**
 * classify() - judge each container
 * @m: the model, compared with the last one
 * @policy: the lines
 * @ret: an array of m->container_count classes, one for each container
 *
 * By rank, of n that can be judged the n / 2 heaviest (rounded down) are high.
 *
 * Return: 0 or -ENOMEM.
 */
int classify(const struct model *m, const struct classify_policy *policy, enum class *ret);

/*
 * The one order of weight, for qsort() over pointers to containers, heaviest first: by
 * CPU, then memory; ties: the older, then the lesser id comes first.
 */
int classify_heavier(const void *a, const void *b);

#endif
