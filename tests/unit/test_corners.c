// SPDX-License-Identifier: GPL-2.0
/* Corners of core/ that the tests of each part, and the made-up hosts, don't come to. */
#include <errno.h>
#include <signal.h>

#include "tests/unit/unit.h"
#include "userspace/core/comeback.h"
#include "userspace/core/crontab.h"
#include "userspace/core/death.h"
#include "userspace/core/model.h"

static void snapshot_text(void **state)
{
	char reason[SNAPSHOT_REASON_SIZE];
	struct snapshot *s;

	(void)state;
	snapshot_free(NULL);
	assert_int_equal(snapshot_parse("{\0}", 3, &s, reason), -EBADMSG);
	/* White space behind it is fine, anything else isn't; what is missing is told. */
	assert_int_equal(snapshot_parse("{}\n\t \r", 6, &s, reason), -EBADMSG);
	assert_non_null(strstr(reason, "SchemaVersion"));
	assert_int_equal(snapshot_parse("{} x", 4, &s, reason), -EBADMSG);
	assert_null(strstr(reason, "SchemaVersion"));
}

/* What the path does not say, or says of another, is left out. */
static void paths(void **state)
{
	char lxc[400] = "/lxc.payload.", id[300];
	struct snapshot_process p[] = {
		{ .pid = 1, .container_id = "x", .runtime = "docker", .cgroup = "/user.slice", .name = "" },
		{ .pid = 2, .container_id = "name", .runtime = "lxc", .cgroup = "/lxc.payload.name2", .name = "" },
		{ .pid = 3, .container_id = id, .runtime = "lxc", .cgroup = lxc, .name = "" },
		{ .pid = 4, .container_id = "", .runtime = "", .cgroup = "/", .name = "" },
	};
	struct snapshot s = { .instance = "i", .processes = p, .process_count = COUNT(p) };
	struct model *m;

	(void)state;
	memset(id, 'n', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	strcat(lxc, id);
	assert_int_equal(model_new(&s, &m), 0);
	assert_int_equal(m->container_count, 0);
	assert_int_equal(m->process_count, 0);
	assert_null(model_find(m, id));
	model_free(m);
}

static void oldest_comeback_is_forgotten(void **state)
{
	struct comebacks b = { 0 };
	struct model_container c = { .id = "" };
	struct comeback_who who = { .id = "" };
	uint32_t i;

	(void)state;
	for (i = 0; i <= COMEBACK_MAX; i++) {
		snprintf(who.id, sizeof(who.id), "%u", i);
		/* The third is the oldest. */
		assert_int_equal(comebacks_note(&b, &who, i == 2 ? 5 : 1000 + i), 0);
	}
	assert_int_equal(b.count, COMEBACK_MAX);
	strcpy(c.id, "2");
	assert_int_equal(comebacks_count(&b, &c, 2000), 0);
	strcpy(c.id, "0");
	assert_int_equal(comebacks_count(&b, &c, 2000), 1);
	comebacks_forget(&b);
}

static void words_for_cron(void **state)
{
	static const struct { const char *word, *quoted; } cases[] = {
		{ "a b", "'a b'" }, { "it's", "'it'\\''s'" }, { "1%", "'1\\%'" }, { "a\\b", "'a\\b'" },
		{ "a\\\\b", "'a\\''\\b'" }, { "a\\%", "'a\\''\\%'" },
	};
	char *mine, *without;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		char *quoted = crontab_quote(cases[i].word);

		assert_string_equal(quoted, cases[i].quoted);
		free(quoted);
	}
	assert_null(crontab_quote("a\nb"));
	/* What only begins like our entry, or has no end, is somebody's. */
	mine = crontab_with("", "x");
	mine[strlen(mine) - 1] = 'z';
	without = crontab_without(mine);
	assert_string_equal(without, mine);
	free(without);
	mine[strlen(mine) - 1] = '\0';
	without = crontab_without(mine);
	assert_string_equal(without, "");
	free(without);
	free(mine);
}

static void deaths(void **state)
{
	static struct model_container many[DEATH_MAX + 1];
	struct model_container there = { .id = "a", .cgroup = { .known = true, .inode = 2 } };
	struct model last = { .containers = many, .container_count = 1 }, now = { .containers = &there };
	struct ledger_end brief = { .id = "b", .cgroup_id = 9 };
	struct ledger_exit other = { .container_cgroup_id = 1, .pid = 8, .oom = true };
	struct ledger_exit main_exit = { .pid = 7, .start_us = 70, .exit_code = -1, .signal = SIGKILL, .oom = true };
	struct death_word word = { .id = "a", .ended = true, .status = 137, .oom = true };
	struct deaths d = { 0 };
	char text[DEATH_TEXT_SIZE];
	size_t i;

	(void)state;
	/* The same id with another cgroup is another; one that can't be read may be the same. */
	many[0] = (struct model_container){ .id = "a", .pid = 7, .start_us = 70,
					    .cgroup = { .known = true, .inode = 1 } };
	now.container_count = 1;
	there.cgroup.known = false;
	assert_int_equal(deaths_find(&d, &last, &now), 0);
	assert_int_equal(d.count, 0);
	there.cgroup.known = true;
	many[0].cgroup.known = false;
	assert_int_equal(deaths_find(&d, &last, &now), 0);
	assert_int_equal(d.count, 0);
	many[0].cgroup.known = true;
	assert_int_equal(deaths_find(&d, &last, &now), 0);
	assert_int_equal(d.count, 1);
	/* Another process of it: only that the OOM killer was there. */
	deaths_note_exit(&d, &other);
	assert_true(d.list[0].oom && d.list[0].source == DEATH_BY_NOBODY);
	other.container_cgroup_id = 77;
	deaths_note_exit(&d, &other);
	deaths_note_word(&d, &word);
	assert_int_equal(d.list[0].cause, DEATH_OOM);
	/* The witness weighs more, whatever the runtime says then. */
	main_exit.oom = false;
	deaths_note_exit(&d, &main_exit);
	assert_int_equal(d.list[0].cause, DEATH_SIGNAL);
	word.status = 3;
	deaths_note_word(&d, &word);
	word.ended = false;
	deaths_note_word(&d, &word);
	assert_int_equal(d.list[0].cause, DEATH_SIGNAL);
	main_exit.oom = true;
	deaths_note_exit(&d, &main_exit);
	assert_int_equal(d.list[0].cause, DEATH_OOM);
	main_exit.signal = SIGTERM;
	deaths_note_exit(&d, &main_exit);
	assert_int_equal(d.list[0].cause, DEATH_SIGNAL);
	/* By a signal that has no name. */
	d.list[0].signal = 63;
	death_text(&d.list[0], text, sizeof(text));
	assert_non_null(strstr(text, "signal 63"));
	d.list[0].signal = SIGSEGV;
	d.list[0].cause = DEATH_SIGNAL;
	d.list[0].source = DEATH_BY_RUNTIME;
	assert_int_equal(deaths_add_brief(&d, &brief), 0);
	assert_int_equal(d.list[1].source, DEATH_BY_NOBODY);

	for (i = 0; i < COUNT(many); i++)
		snprintf(many[i].id, sizeof(many[i].id), "%zu", i);
	last.container_count = COUNT(many);
	now.container_count = 0;
	assert_int_equal(deaths_find(&d, &last, &now), -ENOSPC);
	assert_int_equal(d.count, DEATH_MAX);
	assert_int_equal(deaths_add_brief(&d, &brief), -ENOSPC);
	deaths_forget(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_text),
		cmocka_unit_test(paths),
		cmocka_unit_test(oldest_comeback_is_forgotten),
		cmocka_unit_test(words_for_cron),
		cmocka_unit_test(deaths),
	};

	return RUN(tests);
}
