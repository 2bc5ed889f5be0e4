// SPDX-License-Identifier: GPL-2.0
/* Every value that is told to people has a word of its own. */
#include "tests/unit/host.h"
#include "userspace/core/brake.h"
#include "userspace/core/death.h"
#include "userspace/core/look.h"
#include "userspace/core/receipt.h"

#define WORDS_MAX 32

static void check(const char *words[], size_t count)
{
	size_t i, j;

	assert_true(count <= WORDS_MAX);
	for (i = 0; i < count; i++) {
		assert_true(words[i] && *words[i]);
		for (j = 0; j < i; j++)
			if (!strcmp(words[i], words[j]))
				fail_msg("'%s' is said of %zu and %zu", words[i], j, i);
	}
}

#define CHECK(name, type, last)                                            \
	do {                                                               \
		const char *words[WORDS_MAX];                              \
		size_t value;                                              \
									   \
		for (value = 0; value <= (last); value++)                  \
			words[value] = name((type)value);                  \
		check(words, (size_t)(last) + 1);                          \
	} while (0)

static void words(void **state)
{
	(void)state;
	CHECK(class_name, enum class, CLASS_HIGH);
	CHECK(rule_text, enum rule, RULE_SURPLUS);
	CHECK(brake_mode_name, enum brake_mode, BRAKE_DRY_RUN);
	CHECK(scope_kind_name, enum scope_kind, SCOPE_RUNTIME);
	CHECK(reconcile_verdict_name, enum reconcile_verdict, RECONCILE_DISPUTED);
	CHECK(reconcile_source_name, enum reconcile_source, RECONCILE_CGROUP);
	CHECK(look_fate_name, enum look_fate, LOOK_FATES - 1);
	CHECK(receipt_outcome_name, enum receipt_outcome, RECEIPT_UNKNOWN);
	CHECK(death_cause_name, enum death_cause, DEATH_OOM);
	CHECK(death_source_name, enum death_source, DEATH_BY_WITNESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(words) };

	return RUN(tests);
}
