// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/host.h"
#include "userspace/core/death.h"

#include <signal.h>

/* A host with one container that is gone at the next look. */
static void miss(struct deaths *d, struct host *then, struct host *now)
{
	struct model_container *c;

	host_init(then);
	host_init(now);
	c = host_add(then, "gone", 0, 1);
	c->pid = 10;
	c->start_us = 100;
	c->cgroup.inode = 4711;
	assert_int_equal(deaths_find(d, &then->model, &now->model), 0);
	assert_int_equal(d->count, 1);
}

/* Of what it died, by what the witness and the runtime say: 137 alone says little. */
static void causes(void **state)
{
	static const struct {
		struct ledger_exit exit;	/* no pid: there is none */
		struct death_word word;		/* no id: there is none */
		enum death_cause cause;
		enum death_source source;
		const char *text;
	} cases[] = {
		{ { .pid = 10, .start_us = 100, .exit_code = 137 }, { .id = "gone", .ended = true, .status = 137 },
		  DEATH_EXIT, DEATH_BY_WITNESS, "exited by itself with status 137" },
		{ { .pid = 10, .start_us = 100, .exit_code = -1, .signal = SIGKILL, .oom = true },
		  { .id = "gone", .ended = true, .status = 137 },
		  DEATH_OOM, DEATH_BY_WITNESS, "killed by the kernel, out of memory" },
		{ { .pid = 10, .start_us = 100, .exit_code = -1, .signal = SIGKILL, .killer_pid = 77 },
		  { .id = "gone", .ended = true, .status = 137 },
		  DEATH_SIGNAL, DEATH_BY_WITNESS, "ended by SIGKILL, sent by process 77" },
		{ { .pid = 10, .start_us = 100, .exit_code = -1, .signal = SIGKILL, .killer_pid = 77 },
		  { .id = "gone", .ended = true, .status = 137, .signal = SIGKILL },
		  DEATH_SIGNAL, DEATH_BY_WITNESS, "ended by SIGKILL, which the runtime was asked to send" },
		{ { .pid = 10, .start_us = 100, .exit_code = -1, .signal = SIGSEGV }, { .ended = false },
		  DEATH_SIGNAL, DEATH_BY_WITNESS, "ended by SIGSEGV, sent by the kernel or by one that was not seen" },
		/* A child was chosen by the OOM killer, and the main process drew its conclusion. */
		{ { .pid = 10, .start_us = 100, .exit_code = 1 },
		  { .id = "gone", .ended = true, .status = 1, .oom = true },
		  DEATH_EXIT, DEATH_BY_WITNESS, "exited by itself with status 1, after the OOM killer was at work in it" },
		/* The pid is another's by now. */
		{ { .pid = 10, .start_us = 200, .exit_code = 0 }, { .id = "gone", .ended = true, .status = 3 },
		  DEATH_EXIT, DEATH_BY_RUNTIME, "exited by itself with status 3" },
		/* By the runtime alone. */
		{ { 0 }, { .id = "gone", .ended = true, .status = 137, .oom = true },
		  DEATH_OOM, DEATH_BY_RUNTIME, "killed by the kernel, out of memory" },
		{ { 0 }, { .id = "gone", .ended = true, .status = 143, .signal = SIGTERM },
		  DEATH_SIGNAL, DEATH_BY_RUNTIME, "ended by SIGTERM, which the runtime was asked to send" },
		{ { 0 }, { .id = "gone", .ended = true, .status = 137 },
		  DEATH_SIGNAL, DEATH_BY_RUNTIME,
		  "ended by SIGKILL, not sent by the runtime, or by an exit with status 137" },
		{ { 0 }, { .id = "gone", .ended = true, .status = 255 },
		  DEATH_EXIT, DEATH_BY_RUNTIME, "exited by itself with status 255" },
		/* Nobody knows. */
		{ { 0 }, { .id = "another", .ended = true, .status = 1 }, DEATH_UNKNOWN, DEATH_BY_NOBODY,
		  "of what is not known" },
	};
	char text[DEATH_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct deaths d = { 0 };
		struct host then, now;

		miss(&d, &then, &now);
		if (cases[i].exit.pid)
			deaths_note_exit(&d, &cases[i].exit);
		if (cases[i].word.id[0])
			deaths_note_word(&d, &cases[i].word);
		death_text(&d.list[0], text, sizeof(text));
		if (d.list[0].cause != cases[i].cause || d.list[0].source != cases[i].source ||
		    strcmp(text, cases[i].text))
			fail_msg("case %zu: %s by %s: %s", i, death_cause_name(d.list[0].cause),
				 death_source_name(d.list[0].source), text);
		assert_int_equal(death_is_ready(&d.list[0]), cases[i].source != DEATH_BY_NOBODY);
		deaths_forget(&d);
	}
}

/* Whoever says it last, the witness is believed. */
static void witness_over_runtime(void **state)
{
	static const struct ledger_exit e = { .pid = 10, .start_us = 100, .exit_code = -1, .signal = SIGKILL,
					      .oom = true };
	static const struct death_word w = { .id = "gone", .ended = true, .status = 1 };
	struct deaths d = { 0 };
	struct host then, now;

	(void)state;
	miss(&d, &then, &now);
	deaths_note_word(&d, &w);
	assert_int_equal(d.list[0].cause, DEATH_EXIT);
	deaths_note_exit(&d, &e);
	deaths_note_word(&d, &w);
	assert_int_equal(d.list[0].cause, DEATH_OOM);
	deaths_forget(&d);
}

/* A runtime is slow; but one day nobody will know any more. */
static void patience(void **state)
{
	struct deaths d = { 0 };
	struct host then, now;
	unsigned int i;

	(void)state;
	miss(&d, &then, &now);
	for (i = 0; i < DEATH_PATIENCE; i++) {
		assert_false(death_is_ready(&d.list[0]));
		deaths_drop_ready(&d);
		assert_int_equal(d.count, 1);
		assert_int_equal(deaths_find(&d, &now.model, &now.model), 0);
	}
	assert_true(death_is_ready(&d.list[0]));
	deaths_drop_ready(&d);
	assert_int_equal(d.count, 0);
	deaths_forget(&d);
}

/*
 * Who is missed: not who lives, nor whom the monitor killed, nor what was started anew under
 * its id before it was removed; but who was started anew by itself.
 */
static void who_ended(void **state)
{
	struct deaths d = { 0 };
	struct host then, now;
	const struct ledger_end brief = { .id = "brief", .cgroup_id = 9, .brief = true, .has_status = true,
					  .exit_code = 7 };
	const struct ledger_end again = { .id = "ours", .cgroup_id = 8, .brief = true };

	(void)state;
	host_init(&then);
	host_init(&now);
	host_add(&then, "anew", 0, 1)->cgroup.inode = 1;
	host_add(&then, "lives", 0, 1)->cgroup.inode = 2;
	host_add(&then, "ours", 0, 1)->cgroup.inode = 3;
	host_add(&then, "unreadable", 0, 1)->cgroup.inode = 4;
	host_add(&now, "anew", 0, 1)->cgroup.inode = 5;
	host_add(&now, "lives", 0, 1)->cgroup.inode = 2;
	host_add(&now, "unreadable", 0, 1)->cgroup = (struct model_cgroup){ 0 };
	assert_int_equal(deaths_find(&d, &then.model, &now.model), 0);
	assert_int_equal(deaths_add_brief(&d, &again), 0);
	assert_int_equal(deaths_add_brief(&d, &brief), 0);
	assert_int_equal(d.count, 4);
	deaths_forget_own(&d, "ours", 3);
	assert_int_equal(d.count, 2);
	assert_string_equal(d.list[0].container.id, "anew");
	assert_string_equal(d.list[1].container.id, "brief");
	assert_int_equal(d.list[1].exit_code, 7);
	assert_true(death_is_ready(&d.list[1]));
	deaths_forget(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes),
		cmocka_unit_test(witness_over_runtime),
		cmocka_unit_test(patience),
		cmocka_unit_test(who_ended),
	};

	return RUN(tests);
}
