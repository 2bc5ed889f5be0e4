// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/deliver/queue.h"

#define MOST 300

/* What the header says, without any order kept: a list that is looked through. */
struct oracle {
	struct queue_batch list[MOST];
	size_t count;
};

static bool comes_before(const struct queue_batch *a, const struct queue_batch *b)
{
	if (a->against != b->against)
		return a->against < b->against;
	if (a->batch.kind != b->batch.kind)
		return a->batch.kind == SPOOL_KILLS;
	return a->batch.number < b->batch.number;
}

static const struct queue_batch *oracle_first(const struct oracle *o)
{
	const struct queue_batch *first = NULL;
	size_t i;

	for (i = 0; i < o->count; i++) {
		if (!first || comes_before(&o->list[i], first))
			first = &o->list[i];
	}
	return first;
}

static const struct queue_batch *oracle_oldest(const struct oracle *o)
{
	const struct queue_batch *oldest = NULL;
	size_t i;

	for (i = 0; i < o->count; i++) {
		if (o->list[i].batch.kind == SPOOL_MEMORY &&
		    (!oldest || o->list[i].batch.number < oldest->batch.number))
			oldest = &o->list[i];
	}
	return oldest;
}

static size_t oracle_count(const struct oracle *o, enum spool_kind kind)
{
	size_t i, n = 0;

	for (i = 0; i < o->count; i++)
		n += o->list[i].batch.kind == kind;
	return n;
}

static void assert_same_batch(const struct queue_batch *a, const struct queue_batch *b)
{
	assert_int_equal(!a, !b);
	if (!a)
		return;
	assert_int_equal(a->batch.number, b->batch.number);
	assert_int_equal(a->batch.kind, b->batch.kind);
	assert_int_equal(a->against, b->against);
}

static void assert_same(const struct queue *q, const struct oracle *o)
{
	assert_int_equal(q->count, o->count);
	assert_same_batch(queue_first(q), oracle_first(o));
	assert_same_batch(queue_oldest_sample(q), oracle_oldest(o));
	assert_int_equal(queue_count(q, SPOOL_KILLS), oracle_count(o, SPOOL_KILLS));
	assert_int_equal(queue_count(q, SPOOL_MEMORY), oracle_count(o, SPOOL_MEMORY));
}

/* One that waits: first, or any. */
static size_t pick(const struct oracle *o, int any)
{
	return any ? (size_t)rand() % o->count : (size_t)(oracle_first(o) - o->list);
}

static void step(struct queue *q, struct oracle *o, uint64_t *number)
{
	int what = rand() % 10;
	struct spool_batch b = { .number = rand() % 4 ? ++*number : (uint64_t)rand() << 20,
				 .kind = (enum spool_kind)(rand() % 2) };
	size_t i;

	if (what < 4 && o->count < MOST) {
		assert_int_equal(queue_add(q, &b), 0);
		o->list[o->count++].batch = b;
		o->list[o->count - 1].against = 0;
	} else if (what < 7 && o->count) {
		i = pick(o, what & 1);
		queue_against(q, &o->list[i].batch);
		o->list[i].against++;
	} else if (what < 9 && o->count) {
		i = pick(o, what & 1);
		queue_drop(q, &o->list[i].batch);
		o->list[i] = o->list[--o->count];
	} else {
		/* None of these waits. */
		b.number = UINT64_MAX - 1;
		queue_drop(q, &b);
		queue_against(q, &b);
	}
}

static void as_the_oracle_says(void **state)
{
	static struct oracle o;
	int round, i;

	(void)state;
	for (round = 0; round < 40; round++) {
		struct queue q = { .list = NULL };
		uint64_t number = 0;

		srand((unsigned int)round);
		o.count = 0;
		for (i = 0; i < 2000; i++) {
			step(&q, &o, &number);
			assert_same(&q, &o);
		}
		while (o.count) {
			i = (int)pick(&o, 0);
			queue_drop(&q, &queue_first(&q)->batch);
			o.list[i] = o.list[--o.count];
			assert_same(&q, &o);
		}
		queue_free(&q);
	}
}

static void empty(void **state)
{
	struct queue q = { .list = NULL };
	struct spool_batch b = { 1, SPOOL_KILLS };

	(void)state;
	assert_null(queue_first(&q));
	assert_null(queue_oldest_sample(&q));
	assert_int_equal(queue_count(&q, SPOOL_MEMORY), 0);
	queue_drop(&q, &b);
	queue_against(&q, &b);
	queue_free(&q);
	queue_free(&q);
	assert_int_equal(queue_add(&q, &b), 0);
	assert_int_equal(queue_first(&q)->batch.number, 1);
	queue_free(&q);
}

/* The same number of another kind is another batch. */
static void kinds(void **state)
{
	const struct spool_batch kill = { 7, SPOOL_KILLS }, sample = { 7, SPOOL_MEMORY };
	struct queue q = { .list = NULL };

	(void)state;
	assert_int_equal(queue_add(&q, &sample), 0);
	assert_int_equal(queue_add(&q, &kill), 0);
	assert_int_equal(queue_first(&q)->batch.kind, SPOOL_KILLS);
	queue_against(&q, &kill);
	assert_int_equal(queue_first(&q)->batch.kind, SPOOL_MEMORY);
	queue_drop(&q, &sample);
	assert_int_equal(queue_first(&q)->batch.kind, SPOOL_KILLS);
	assert_int_equal(q.count, 1);
	queue_free(&q);
}

static void against_never_wraps(void **state)
{
	const struct spool_batch old = { 1, SPOOL_KILLS }, new = { 2, SPOOL_KILLS };
	struct queue q = { .list = NULL };

	(void)state;
	assert_int_equal(queue_add(&q, &old), 0);
	q.list[0].against = UINT32_MAX;
	queue_against(&q, &old);
	assert_int_equal(queue_add(&q, &new), 0);
	assert_int_equal(queue_first(&q)->batch.number, 2);
	queue_free(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_oracle_says),
		cmocka_unit_test(empty),
		cmocka_unit_test(kinds),
		cmocka_unit_test(against_never_wraps),
	};

	return RUN(tests);
}
