// SPDX-License-Identifier: GPL-2.0
/*
 * property [CYCLES [SEED]]: judges made-up hosts, and checks what must hold whatever they
 * are.  What is expected is stated here anew, from what the test knows of its hosts, not
 * from the code under test.  Prints TAP; a failure with the smallest host that shows it,
 * and the words to see it again: property 1 SEED.
 */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/property/world.h"
#include "userspace/core/look.h"

#define HOUR_US 3600000000ULL

enum property {
	SPARED,
	EVIDENCE,
	QUOTA,
	RANK,
	ORDER,
	BRAKES,
	REST,
	PROPERTIES,
};

static const char *const property_names[PROPERTIES] = {
	[SPARED] = "nobody who is protected, spared, not governed, unknown, not running or frozen dies",
	[EVIDENCE] = "nobody dies on missing, stale or disputed evidence",
	[QUOTA] = "exactly the surplus over the quota dies, the heaviest high and lightest low stay",
	[RANK] = "by rank, the heavier half is high, as in the reference",
	[ORDER] = "the same comes of any order of what is seen, and through a recording",
	[BRAKES] = "the brakes hold, and nothing is carried out after them until armed by hand",
	[REST] = "it comes to rest, and then the quota is met",
};

static struct {
	uint64_t cycles, hosts, judged, kills, largest, braked, held, frozen;
	uint64_t rules[RULE_SURPLUS + 1];
} seen;

/* The host being tried, and where a failure goes. */
static struct world world;
static jmp_buf on_failure;
static enum property failed;
static char failure[400];

static void fail(enum property p, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

static void fail(enum property p, const char *format, ...)
{
	va_list ap;

	failed = p;
	va_start(ap, format);
	vsnprintf(failure, sizeof(failure), format, ap);
	va_end(ap);
	longjmp(on_failure, 1);
}

/* --- what is expected ------------------------------------------------------------ */

struct expected {
	struct being *being;
	enum class class;
	bool eligible;		/* nothing speaks for keeping it */
	bool spared;		/* who it is does, whatever it does */
	bool dies;
	uint32_t cpu_centi;
	uint64_t memory_bytes;
	uint64_t start_us;
};

static struct expected expected[WORLD_CONTAINERS];
static uint32_t expected_count;

static uint32_t window_of(void)
{
	return world.policy.measure.window ? world.policy.measure.window : 1;
}

/* By fnmatch(3): the patterns here have only what it has in common with ours. */
static bool matches(const struct scope *s, const struct being *b)
{
	uint32_t i;
	size_t at;

	for (i = 0; i < s->count; i++) {
		const char *glob = s->patterns[i].glob;

		switch (s->patterns[i].kind) {
		case SCOPE_LABEL:
			for (at = 0; at < b->labels_len; at += strlen(b->labels + at) + 1)
				if (!fnmatch(glob, b->labels + at, 0))
					return true;
			break;
		case SCOPE_NAME:
			if (!fnmatch(glob, b->runtime.name, 0))
				return true;
			break;
		case SCOPE_IMAGE:
			if (!fnmatch(glob, b->runtime.image, 0))
				return true;
			break;
		case SCOPE_RUNTIME:
			if (!fnmatch(glob, "docker", 0))
				return true;
			break;
		}
	}
	return false;
}

static bool has_label_pattern(const struct scope *s)
{
	uint32_t i;

	for (i = 0; i < s->count; i++)
		if (s->patterns[i].kind == SCOPE_LABEL)
			return true;
	return false;
}

static bool is_spared(const struct being *b)
{
	const struct decide_policy *p = &world.policy.decide;

	if (b->self || b->runtime.log_server || b->runtime.is_protected || b->dying ||
	    !b->runtime.known || !b->runtime.running || b->frozen || matches(&p->protect, b))
		return true;
	if (p->scope.count && !matches(&p->scope, b))
		return true;
	/* What its labels are isn't known, and one might spare it. */
	if (b->runtime.labels_cut && has_label_pattern(&p->protect))
		return true;
	if (p->give_up && b->comebacks >= p->give_up)
		return true;
	return world.now_us - b->start_us < p->min_age_us;
}

static void measure(struct expected *e)
{
	const struct being *b = e->being;
	unsigned __int128 cpu = 0, time = 0, memory = 0;
	uint32_t i;

	for (i = 0; i < b->streak; i++) {
		cpu += b->cycles[i].cpu_us;
		time += b->cycles[i].window_us;
		memory += b->cycles[i].memory_bytes;
	}
	if (!b->streak)
		return;
	cpu = cpu * 10000 / time;
	e->cpu_centi = cpu > UINT32_MAX ? UINT32_MAX : (uint32_t)cpu;
	e->memory_bytes = (uint64_t)(memory / b->streak);
}

static enum class by_lines(const struct expected *e)
{
	const struct classify_policy *p = &world.policy.classify;
	/* One that was high is high until it is below what is left of the line. */
	uint64_t left = e->being->was_high ? 1000 - p->hysteresis_permille : 1000;
	uint64_t cpu_line = p->cpu_centi - (uint64_t)p->cpu_centi * (1000 - left) / 1000;
	uint64_t memory_line = p->memory_bytes - p->memory_bytes * (1000 - left) / 1000;

	return e->cpu_centi >= cpu_line || e->memory_bytes >= memory_line ? CLASS_HIGH : CLASS_LOW;
}

/* More CPU, else more memory, else older, else the lesser id. */
static int heavier(const void *a, const void *b)
{
	const struct expected *const *p = a, *const *q = b;

	if ((*p)->cpu_centi != (*q)->cpu_centi)
		return (*p)->cpu_centi > (*q)->cpu_centi ? -1 : 1;
	if ((*p)->memory_bytes != (*q)->memory_bytes)
		return (*p)->memory_bytes > (*q)->memory_bytes ? -1 : 1;
	if ((*p)->start_us != (*q)->start_us)
		return (*p)->start_us < (*q)->start_us ? -1 : 1;
	return strcmp((*p)->being->id, (*q)->being->id);
}

/* The reference's: order them all, cut the list in the middle, the first part is high. */
static void by_reference(struct expected **judged, uint32_t count)
{
	uint32_t i;

	qsort(judged, count, sizeof(*judged), heavier);
	for (i = 0; i < count; i++)
		judged[i]->class = 2 * (i + 1) <= count ? CLASS_HIGH : CLASS_LOW;
}

static void doom(enum class class, uint32_t quota)
{
	static struct expected *list[WORLD_CONTAINERS];
	uint32_t i, j, k, n = 0;

	for (i = 0; i < expected_count; i++)
		if (expected[i].eligible && expected[i].class == class)
			list[n++] = &expected[i];
	qsort(list, n, sizeof(*list), heavier);
	if (class == CLASS_HIGH) {
		for (i = quota; i < n; i++)
			list[i]->dies = true;
		return;
	}
	/* Of the low the lightest stay; of those as light as each other the older. */
	for (i = n; i > 0; i = j) {
		for (j = i - 1; j > 0 && list[j - 1]->cpu_centi == list[i - 1]->cpu_centi &&
				list[j - 1]->memory_bytes == list[i - 1]->memory_bytes; j--)
			;
		for (k = j; k < i; k++) {
			list[k]->dies = !quota;
			quota -= !!quota;
		}
	}
}

static void expect(void)
{
	static struct expected *judged[WORLD_CONTAINERS];
	uint32_t i, j, n = 0;

	expected_count = 0;
	for (i = 0; i < world.size; i++) {
		struct being *b = &world.beings[i];
		struct expected *e = &expected[expected_count];
		bool memory = true, disputed = false;

		if (!b->there || !b->shown)
			continue;
		*e = (struct expected){ .being = b, .start_us = b->start_us };
		expected_count++;
		measure(e);
		for (j = 0; j < b->streak; j++) {
			memory &= b->cycles[j].has_memory;
			disputed |= b->cycles[j].disputed;
		}
		e->spared = is_spared(b);
		if (b->streak < window_of() || !memory)
			continue;
		e->eligible = !disputed && !e->spared;
		e->class = by_lines(e);
		judged[n++] = e;
	}
	if (world.policy.classify.classifier == CLASSIFIER_RANK)
		by_reference(judged, n);
	doom(CLASS_HIGH, world.policy.decide.keep_high);
	doom(CLASS_LOW, world.policy.decide.keep_low);
	for (i = 0; i < n; i++)
		judged[i]->being->was_high = judged[i]->class == CLASS_HIGH;
}

/* --- what is checked -------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct expected *p = a, *q = b;

	return strcmp(p->being->id, q->being->id);
}

static const struct expected *expected_of(const struct decision *d)
{
	uint32_t low = 0, high = expected_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = strcmp(expected[middle].being->id, d->container->id);

		if (!order)
			return &expected[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	fail(EVIDENCE, "%s is judged, but was not shown", d->container->id);
}

static void check_decision(const struct decision *d)
{
	const struct expected *e = expected_of(d);
	const struct being *b = e->being;
	bool dies = d->rule == RULE_SURPLUS;
	uint32_t i;

	seen.rules[d->rule]++;
	seen.judged++;
	seen.held += d->held;
	/* By nothing but that: the runtime says that it runs. */
	seen.frozen += d->rule == RULE_NOT_RUNNING && b->runtime.running;
	if (dies && b->frozen)
		fail(SPARED, "%s dies, and is frozen", b->id);
	if (dies && e->spared)
		fail(SPARED, "%s dies", b->id);
	if (dies && b->streak < window_of())
		fail(EVIDENCE, "%s dies after %u cycles of %u", b->id, b->streak, window_of());
	for (i = 0; dies && i < b->streak; i++)
		if (!b->cycles[i].has_memory || b->cycles[i].disputed)
			fail(EVIDENCE, "%s dies, and cycle %u was no evidence", b->id, i);
	if (d->class != e->class)
		fail(world.policy.classify.classifier == CLASSIFIER_RANK ? RANK : QUOTA,
		     "%s is %s, not %s", b->id, class_name(d->class), class_name(e->class));
	if (e->class != CLASS_UNKNOWN &&
	    (d->measure->cpu_centi != e->cpu_centi || d->measure->memory_bytes != e->memory_bytes))
		fail(QUOTA, "%s has %u and %llu, not %u and %llu", b->id, d->measure->cpu_centi,
		     (unsigned long long)d->measure->memory_bytes, e->cpu_centi,
		     (unsigned long long)e->memory_bytes);
	if (dies != e->dies)
		fail(QUOTA, "%s %s: %s, rank %u of %u", b->id, dies ? "dies" : "stays", rule_text(d->rule),
		     d->rank, d->quota);
}

static void check_plan(const struct plan *plan)
{
	size_t i, kills = 0;

	if (plan->count != expected_count)
		fail(EVIDENCE, "%zu are judged of %u", plan->count, expected_count);
	qsort(expected, expected_count, sizeof(expected[0]), by_id);
	for (i = 0; i < plan->count; i++) {
		check_decision(&plan->decisions[i]);
		kills += plan->decisions[i].rule == RULE_SURPLUS;
	}
	if (kills != plan->kills)
		fail(QUOTA, "%zu die, and the plan says %zu", kills, plan->kills);
}

static void check_same(const struct judgement *a, const struct judgement *b)
{
	size_t i;

	if (!a->plan != !b->plan || memcmp(&a->brake, &b->brake, sizeof(a->brake)))
		fail(ORDER, "one is decided, the other not: '%s' and '%s'", a->brake.reason, b->brake.reason);
	for (i = 0; a->plan && i < a->plan->count; i++) {
		const struct decision *p = &a->plan->decisions[i], *q = &b->plan->decisions[i];

		if (strcmp(p->container->id, q->container->id) || p->class != q->class ||
		    p->rule != q->rule || p->rank != q->rank || p->told != q->told || p->held != q->held ||
		    p->measure->cpu_centi != q->measure->cpu_centi ||
		    p->measure->memory_bytes != q->measure->memory_bytes ||
		    p->books->verdict != q->books->verdict)
			fail(ORDER, "place %zu: %s and %s", i, p->container->id, q->container->id);
	}
}

/* Those that were killed within the last hour, as the test has seen it. */
static struct {
	uint64_t at_us;
	char id[65];
	char image[64];
} deaths[65536];
static size_t death_count;

static void check_brakes(const struct judgement *g, enum brake_mode before)
{
	const struct brake_policy *p = &world.policy.brake;
	size_t i, j, n = 0, of_image;

	seen.braked += *g->brake.reason != '\0';
	if (g->brake.act && before == BRAKE_DISARMED)
		fail(BRAKES, "it acts, and was disarmed");
	if (*g->brake.reason && (g->brake.act || g->brake.mode != BRAKE_DISARMED))
		fail(BRAKES, "'%s', but it goes on", g->brake.reason);
	if (before == BRAKE_ARMED && !g->brake.act && !*g->brake.reason)
		fail(BRAKES, "it does not act, and says nothing");
	if (!g->brake.act)
		return;
	if (g->plan->kills > p->cycle)
		fail(BRAKES, "%zu kills in a cycle of %u", g->plan->kills, p->cycle);
	for (i = 0; i < death_count; i++)
		if (world.now_us - deaths[i].at_us < HOUR_US)
			deaths[n++] = deaths[i];
	death_count = n;
	for (i = 0; i < g->plan->count; i++) {
		const struct decision *d = &g->plan->decisions[i];

		if (d->rule != RULE_SURPLUS)
			continue;
		for (j = 0; j < death_count && strcmp(deaths[j].id, d->container->id); j++)
			;
		if (d->told != (j < death_count))
			fail(BRAKES, "%s was told of: %d", d->container->id, d->told);
		if (j < death_count || death_count == 65536)
			continue;
		deaths[death_count].at_us = world.now_us;
		strcpy(deaths[death_count].id, d->container->id);
		strcpy(deaths[death_count++].image, d->container->runtime.image);
	}
	if (g->plan->kills && death_count > p->hour)
		fail(BRAKES, "%zu kills in an hour of %u", death_count, p->hour);
	for (i = 0; p->image < 100 && g->plan->kills && i < death_count; i++) {
		for (j = of_image = 0; j < death_count; j++)
			of_image += !strcmp(deaths[j].image, deaths[i].image);
		if (of_image > p->image)
			fail(BRAKES, "%zu kills of '%s' in an hour of %u", of_image, deaths[i].image, p->image);
	}
}

/* --- a host's history ---------------------------------------------------------------- */

/* Three that see the same: in one order, in another, and through a recording. */
struct witness_line {
	struct judge judge;
	struct judge_sight last;
	struct look decoded;
};

static struct witness_line lines[3];

static void forget_sight(struct witness_line *l, bool is_decoded)
{
	if (is_decoded)
		look_free(&l->decoded);
	else
		model_free(l->last.model);
	free(is_decoded ? NULL : (void *)l->last.reading.sums);
	l->last = (struct judge_sight){ 0 };
}

/* The last sight must hold the sums as they were then. */
static void keep_sight(struct witness_line *l, const struct judge_sight *now)
{
	size_t size = now->reading.sum_count * sizeof(*now->reading.sums);
	struct ledger_sum *copy = malloc(size + 1);

	if (!copy)
		abort();
	memcpy(copy, now->reading.sums, size);
	l->last = *now;
	l->last.reading.sums = copy;
}

static void end_lines(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		forget_sight(&lines[i], i == 2);
		judge_forget(&lines[i].judge);
		memset(&lines[i], 0, sizeof(lines[i]));
	}
}

static struct judge_sight through_recording(const struct judge_sight *s, struct look *ret)
{
	const struct look l = { .unix_ms = 1, .cycle = 2, .seen = true, .sight = *s };
	struct look_bytes bytes = { 0 };

	look_encode(&l, &bytes);
	if (bytes.failed || look_decode(bytes.data, bytes.len, ret))
		fail(ORDER, "a look can't be read back");
	free(bytes.data);
	return ret->sight;
}

/* Returns how many die. */
static size_t cycle(struct chance *order, bool three)
{
	enum brake_mode before = lines[0].judge.brake.mode;
	struct judgement g[3];
	struct look decoded = { 0 };
	struct judge_sight now[3];
	int i, count = three ? 3 : 1;
	size_t kills = 0, k;

	world_step(&world);
	seen.cycles++;
	if (!world.seen) {
		for (i = 0; i < count; i++) {
			judge_blind(&lines[i].judge);
			forget_sight(&lines[i], i == 2);
		}
		return 0;
	}
	expect();
	for (i = 0; i < count; i++) {
		now[i] = i < 2 ? world_sight(&world, order) : through_recording(&now[0], &decoded);
		if (judge_step(&lines[i].judge, &world.policy, &now[i],
			       lines[i].last.model ? &lines[i].last : NULL, &g[i]))
			abort();
		if (i)
			check_same(&g[0], &g[i]);
	}
	if (!g[0].plan != !world.window)
		fail(EVIDENCE, "%s is decided", world.window ? "nothing" : "something");
	if (g[0].plan) {
		check_plan(g[0].plan);
		check_brakes(&g[0], before);
		kills = g[0].plan->kills;
		for (k = 0; g[0].brake.act && k < g[0].plan->count; k++) {
			const struct decision *d = &g[0].plan->decisions[k];

			/* Some survive. */
			if (d->rule != RULE_SURPLUS || (!world.calm && chance_one_in(&world.chance, 5)))
				continue;
			world_find(&world, d->container->id)->there = false;
			seen.kills++;
		}
	}
	for (i = 0; i < count; i++) {
		judgement_free(&g[i]);
		forget_sight(&lines[i], i == 2);
		if (i < 2)
			keep_sight(&lines[i], &now[i]);
		else
			lines[i].last = now[i], lines[i].decoded = decoded;
	}
	if (lines[0].judge.brake.mode == BRAKE_DISARMED && chance_one_in(&world.chance, 3)) {
		for (i = 0; i < count; i++)
			brake_arm(&lines[i].judge.brake);
		death_count = 0;
	}
	return kills;
}

static void come_to_rest(struct chance *order, bool three)
{
	uint32_t high = 0, low = 0, i, quiet = 0;
	size_t kills;

	world.calm = true;
	world.policy.brake = (struct brake_policy){ 100000, 100000, 100000 };
	if (lines[0].judge.brake.mode == BRAKE_DISARMED)
		death_count = 0;
	for (i = 0; i < 3; i++)
		brake_arm(&lines[i].judge.brake);
	/* The window must be full, the young grow old, and by rank each cycle halves them. */
	for (i = 0; i < 40 && (quiet < 2 || i < 9 + window_of()); i++) {
		kills = cycle(order, three);
		quiet = kills ? 0 : quiet + 1;
	}
	if (quiet < 2)
		fail(REST, "after %u quiet cycles somebody dies still", i);
	for (i = 0; i < expected_count; i++) {
		high += expected[i].eligible && expected[i].class == CLASS_HIGH;
		low += expected[i].eligible && expected[i].class == CLASS_LOW;
	}
	if (high > world.policy.decide.keep_high || low > world.policy.decide.keep_low)
		fail(REST, "%u high and %u low are left", high, low);
}

/* Most hosts are small, some large, a few as large as can be. */
static uint32_t size_of(uint64_t seed)
{
	struct chance c = { seed ^ 0x5eed };
	uint32_t kind = chance_below(&c, 4000);

	if (kind == 0)
		return chance_one_in(&c, 3) ? WORLD_CONTAINERS : chance_below(&c, WORLD_CONTAINERS);
	if (kind < 20)
		return chance_below(&c, 200);
	return chance_below(&c, kind < 400 ? 40 : 9);
}

static void history(uint64_t seed, uint32_t size, uint32_t steps)
{
	struct chance order = { ~seed };
	bool three = size < 300 || seed % 4 == 0;
	uint32_t i;

	world_begin(&world, seed, size);
	death_count = 0;
	seen.hosts++;
	if (size > seen.largest)
		seen.largest = size;
	for (i = 0; i < steps; i++)
		cycle(&order, three);
	come_to_rest(&order, three);
}

static bool fails(uint64_t seed, uint32_t size, uint32_t steps)
{
	bool bad = setjmp(on_failure) != 0;

	if (!bad)
		history(seed, size, steps);
	end_lines();
	return bad;
}

#define STEPS 20

/* The smallest host and the shortest history of this seed that fail, too. */
static void shrink(uint64_t seed, uint32_t size)
{
	uint32_t s, t, best_size = size, best_steps = STEPS;

	for (s = 1; s < best_size; s++)
		if (fails(seed, s, STEPS))
			best_size = s;
	for (t = 0; t < best_steps; t++)
		if (fails(seed, best_size, t))
			best_steps = t;
	fails(seed, best_size, best_steps);
	printf("# %s\n# of a host of %u containers (smallest; %u at first) after %u cycles\n", failure,
	       best_size, size, best_steps);
	printf("# policy: classifier %d, window %u, hysteresis %u/1000, memory %d, keep %u high and %u low, "
	       "min age %llu us\n", world.policy.classify.classifier, world.policy.measure.window,
	       world.policy.classify.hysteresis_permille, world.policy.measure.memory,
	       world.policy.decide.keep_high, world.policy.decide.keep_low,
	       (unsigned long long)world.policy.decide.min_age_us);
	printf("# again: property 1 %llu\n", (unsigned long long)seed);
}

/* Had everything its turn?  Else what holds may hold of nothing. */
static void check_turns(int number, uint64_t cycles)
{
	const char *missing = NULL;
	int i;

	for (i = 0; i <= RULE_SURPLUS; i++)
		if (seen.rules[i] < cycles / 2000)
			missing = rule_text((enum rule)i);
	if (seen.braked < cycles / 2000)
		missing = "brakes";
	if (seen.frozen < cycles / 2000)
		missing = "frozen";
	if (seen.held < cycles / 5000)
		missing = "hysteresis";
	printf("%s %d - every rule and the brakes had their turn%s%s\n", missing ? "not ok" : "ok", number,
	       missing ? ": seldom " : "", missing ? missing : "");
}

int main(int argc, char **argv)
{
	uint64_t cycles = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	bool bad = false;
	int i;

	printf("1..%d\n# seed %llu\n", PROPERTIES + 1, (unsigned long long)seed);
	fflush(stdout);
	for (; !bad && seen.cycles < cycles; seed++)
		bad = fails(seed, size_of(seed), STEPS);
	for (i = 0; i < PROPERTIES; i++) {
		bool this_one = bad && failed == (enum property)i;

		printf("%s %d - %s\n", this_one ? "not ok" : "ok", i + 1, property_names[i]);
		if (this_one)
			shrink(seed - 1, size_of(seed - 1));
	}
	if (cycles >= 10000 && !bad)
		check_turns(PROPERTIES + 1, cycles);
	else
		printf("ok %d - every rule and the brakes had their turn # SKIP too few cycles\n",
		       PROPERTIES + 1);
	printf("# %llu cycles of %llu hosts, the largest of %llu containers; %llu judgements, %llu kills, "
	       "%llu times the brakes\n", (unsigned long long)seen.cycles, (unsigned long long)seen.hosts,
	       (unsigned long long)seen.largest, (unsigned long long)seen.judged,
	       (unsigned long long)seen.kills, (unsigned long long)seen.braked);
	return bad;
}
