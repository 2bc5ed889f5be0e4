// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/generation.h"

static void old_plans_are_refused(void **state)
{
	static const struct {
		struct generation plan, spent;
		uint64_t now_us;
		enum generation_verdict verdict;
	} cases[] = {
		{ { "boot", "load", 7, 100 }, { "", "", 0, 0 }, 110, GENERATION_CURRENT },
		{ { "boot", "load", 7, 100 }, { "boot", "load", 6, 90 }, 110, GENERATION_CURRENT },
		/* The same once more, and one that was overtaken. */
		{ { "boot", "load", 7, 100 }, { "boot", "load", 7, 100 }, 110, GENERATION_SPENT },
		{ { "boot", "load", 7, 100 }, { "boot", "load", 8, 105 }, 110, GENERATION_SPENT },
		/* A module that was loaded anew counts from one. */
		{ { "boot", "load", 1, 100 }, { "boot", "earlier", 8, 90 }, 110, GENERATION_CURRENT },
		{ { "earlier", "load", 7, 100 }, { "", "", 0, 0 }, 110, GENERATION_OTHER_BOOT },
		{ { "", "load", 7, 100 }, { "", "", 0, 0 }, 110, GENERATION_OTHER_BOOT },
		{ { "boot", "load", 7, 100 }, { "", "", 0, 0 }, 120, GENERATION_CURRENT },
		{ { "boot", "load", 7, 100 }, { "", "", 0, 0 }, 121, GENERATION_STALE },
		{ { "boot", "load", 7, 100 }, { "", "", 0, 0 }, 99, GENERATION_STALE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		enum generation_verdict verdict = generation_check(&cases[i].plan, &cases[i].spent, "boot",
								   cases[i].now_us, 20);

		if (verdict != cases[i].verdict)
			fail_msg("case %zu: %d", i, verdict);
		assert_int_equal(*generation_text(verdict) == '\0', verdict == GENERATION_CURRENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_plans_are_refused),
	};

	return RUN(tests);
}
