// SPDX-License-Identifier: GPL-2.0
#include "userspace/deliver/queue.h"

#include <errno.h>
#include <stdlib.h>

/* Does @a come before @b? */
static bool queue_before(const struct queue_batch *a, const struct queue_batch *b)
{
	if (a->against != b->against)
		return a->against < b->against;
	if (a->batch.kind != b->batch.kind)
		return a->batch.kind == SPOOL_KILLS;
	return a->batch.number < b->batch.number;
}

static void queue_swap(struct queue *q, size_t a, size_t b)
{
	struct queue_batch t = q->list[a];

	q->list[a] = q->list[b];
	q->list[b] = t;
}

static void queue_up(struct queue *q, size_t i)
{
	while (i && queue_before(&q->list[i], &q->list[(i - 1) / 2])) {
		queue_swap(q, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void queue_down(struct queue *q, size_t i)
{
	size_t child;

	while ((child = 2 * i + 1) < q->count) {
		if (child + 1 < q->count && queue_before(&q->list[child + 1], &q->list[child]))
			child++;
		if (!queue_before(&q->list[child], &q->list[i]))
			return;
		queue_swap(q, i, child);
		i = child;
	}
}

/* The batch that is asked for is first more often than not, so this ends at once. */
static size_t queue_find(const struct queue *q, const struct spool_batch *batch)
{
	size_t i;

	for (i = 0; i < q->count; i++) {
		if (q->list[i].batch.number == batch->number &&
		    q->list[i].batch.kind == batch->kind)
			break;
	}
	return i;
}

int queue_add(struct queue *q, const struct spool_batch *batch)
{
	if (q->count == q->room) {
		size_t room = q->room ? q->room * 2 : 64;
		struct queue_batch *more = reallocarray(q->list, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		q->list = more;
		q->room = room;
	}
	q->list[q->count] = (struct queue_batch){ .batch = *batch };
	q->of_kind[batch->kind]++;
	queue_up(q, q->count++);
	return 0;
}

void queue_drop(struct queue *q, const struct spool_batch *batch)
{
	size_t i = queue_find(q, batch);

	if (i == q->count)
		return;
	q->of_kind[batch->kind]--;
	q->count--;
	if (i == q->count)
		return;
	q->list[i] = q->list[q->count];
	queue_up(q, i);
	queue_down(q, i);
}

void queue_against(struct queue *q, const struct spool_batch *batch)
{
	size_t i = queue_find(q, batch);

	if (i == q->count || q->list[i].against == UINT32_MAX)
		return;
	q->list[i].against++;
	queue_down(q, i);
}

const struct queue_batch *queue_first(const struct queue *q)
{
	return q->count ? q->list : NULL;
}

const struct queue_batch *queue_oldest_sample(const struct queue *q)
{
	const struct queue_batch *oldest = NULL;
	size_t i;

	for (i = 0; i < q->count; i++) {
		const struct queue_batch *b = &q->list[i];

		if (b->batch.kind == SPOOL_MEMORY &&
		    (!oldest || b->batch.number < oldest->batch.number))
			oldest = b;
	}
	return oldest;
}

size_t queue_count(const struct queue *q, enum spool_kind kind)
{
	return q->of_kind[kind];
}

void queue_free(struct queue *q)
{
	free(q->list);
	*q = (struct queue){ .list = NULL };
}
