// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/host.h"

static void thresholds(void **state)
{
	static const struct {
		uint32_t cpu_centi;
		uint64_t memory_bytes;
		enum class class;
	} cases[] = {
		{ 0, 0, CLASS_LOW },
		{ 999, (100ULL << 20) - 1, CLASS_LOW },
		{ 1000, 0, CLASS_HIGH },
		{ 0, 100ULL << 20, CLASS_HIGH },
		{ 20000, 1ULL << 40, CLASS_HIGH },
	};
	struct host h;
	size_t i;

	(void)state;
	host_init(&h);
	for (i = 0; i < COUNT(cases); i++)
		host_measure(&h, host_add(&h, "c", cases[i].cpu_centi, 0))->memory_bytes =
			cases[i].memory_bytes;
	assert_int_equal(classify(&h.model, h.measures, &host_lines, h.classes), 0);
	for (i = 0; i < COUNT(cases); i++)
		assert_int_equal(h.classes[i], cases[i].class);
}

/* At the line it stays what it was; only well below it is it low again. */
static void hysteresis(void **state)
{
	static const struct {
		bool was_high;
		uint32_t cpu_centi;
		uint64_t memory_bytes;
		enum class class;
	} cases[] = {
		{ false, 999, 0, CLASS_LOW },	{ false, 1000, 0, CLASS_HIGH },
		{ true, 1000, 0, CLASS_HIGH },	{ true, 800, 0, CLASS_HIGH },
		{ true, 799, 0, CLASS_LOW },	{ false, 0, 9999, CLASS_LOW },
		{ false, 0, 10000, CLASS_HIGH },	{ true, 0, 8000, CLASS_HIGH },
		{ true, 0, 7999, CLASS_LOW },
	};
	static const struct classify_policy policy = {
		.cpu_centi = 1000, .memory_bytes = 10000, .hysteresis_permille = 200,
	};
	struct host h;
	size_t i;

	(void)state;
	host_init(&h);
	for (i = 0; i < COUNT(cases); i++)
		*host_measure(&h, host_add(&h, "c", 0, 0)) = (struct measure){
			.whole = true, .has_memory = true, .was_high = cases[i].was_high,
			.cpu_centi = cases[i].cpu_centi, .memory_bytes = cases[i].memory_bytes,
		};
	assert_int_equal(classify(&h.model, h.measures, &policy, h.classes), 0);
	for (i = 0; i < COUNT(cases); i++)
		assert_int_equal(h.classes[i], cases[i].class);
}

static void not_judged(void **state)
{
	static const enum classifier both[] = { CLASSIFIER_THRESHOLD, CLASSIFIER_RANK };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(both); i++) {
		struct classify_policy policy = host_lines;
		struct host h;

		policy.classifier = both[i];
		host_init(&h);
		host_measure(&h, host_add(&h, "a", 9000, 900))->whole = false;
		host_measure(&h, host_add(&h, "b", 9000, 900))->has_memory = false;
		assert_int_equal(classify(&h.model, h.measures, &policy, h.classes), 0);
		assert_int_equal(h.classes[0], CLASS_UNKNOWN);
		assert_int_equal(h.classes[1], CLASS_UNKNOWN);
	}
}

/* The reference's rule, stated another way: heavier than half of the others, or more. */
static void rank(void **state)
{
	struct classify_policy policy = { .classifier = CLASSIFIER_RANK };
	struct host h;
	size_t i, j;

	(void)state;
	host_init(&h);
	for (i = 0; i < 9; i++)
		host_add(&h, (char[]){ (char)('a' + i), 0 }, (uint32_t)(i * 7 % 4) * 100, i * 5 % 3);
	assert_int_equal(classify(&h.model, h.measures, &policy, h.classes), 0);
	for (i = 0; i < 9; i++) {
		const struct measure *c = &h.measures[i];
		size_t lighter = 0;

		for (j = 0; j < 9; j++) {
			const struct measure *o = &h.measures[j];

			lighter += o->cpu_centi < c->cpu_centi ||
				   (o->cpu_centi == c->cpu_centi &&
				    (o->memory_bytes < c->memory_bytes ||
				     (o->memory_bytes == c->memory_bytes && j > i)));
		}
		assert_int_equal(h.classes[i], lighter >= 5 ? CLASS_HIGH : CLASS_LOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thresholds),
		cmocka_unit_test(hysteresis),
		cmocka_unit_test(not_judged),
		cmocka_unit_test(rank),
	};

	return RUN(tests);
}
