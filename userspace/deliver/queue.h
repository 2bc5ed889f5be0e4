/* SPDX-License-Identifier: GPL-2.0 */
/* In which order waiting batches are sent.  Pure. */
#ifndef DELIVER_QUEUE_H
#define DELIVER_QUEUE_H

#include "userspace/deliver/spool.h"

struct queue_batch {
	struct spool_batch batch;
	uint32_t against;	/* answers against it: it is passed over for those with fewer */
};

/* All zeroes: empty. */
struct queue {
	struct queue_batch *list;	/* a heap, by whose turn it is */
	size_t count, room;
	size_t of_kind[SPOOL_KINDS];
};

/* Return: 0 or -ENOMEM. */
int queue_add(struct queue *q, const struct spool_batch *batch);

void queue_drop(struct queue *q, const struct spool_batch *batch);

/* An answer that another attempt may change, but that is not the connection's fault. */
void queue_against(struct queue *q, const struct spool_batch *batch);

/*
 * The one whose turn it is: the fewest answers against it; of those kills before samples;
 * then by number.  NULL: none waits.
 */
const struct queue_batch *queue_first(const struct queue *q);

/* The oldest sample, or NULL. */
const struct queue_batch *queue_oldest_sample(const struct queue *q);

/* How many wait of a kind. */
size_t queue_count(const struct queue *q, enum spool_kind kind);

void queue_free(struct queue *q);

#endif
