// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/io/spool.h"

/* Each test works in a folder of its own, which is its working directory. */
static char folder[64];

static int enter(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test-spool-XXXXXX");
	return mkdtemp(folder) && !chdir(folder) ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command) ? -1 : 0;
}

static struct spool *open_spool(void)
{
	struct spool *s;

	assert_int_equal(spool_open("spool", &s), 0);
	return s;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_first(struct spool *s, enum spool_kind kind, const char *body,
			 struct spool_batch *ret)
{
	assert_int_equal(spool_first(s, ret), 0);
	assert_int_equal(ret->kind, kind);
	assert_string_equal(ret->body, body);
	free(ret->body);
}

/* What a killed monitor left half written goes; what is not ours stays. */
static void half_written(void **state)
{
	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	write_file("spool/00000000000000000003-logs.json.new", "[{");
	write_file("spool/intent.json.new", "[{");
	write_file("spool/mine.new", "x");
	spool_close(open_spool());
	assert_int_equal(access("spool/00000000000000000003-logs.json.new", F_OK), -1);
	assert_int_equal(access("spool/intent.json.new", F_OK), -1);
	assert_int_equal(access("spool/mine.new", F_OK), 0);
}

/* First in, first out, whatever the kind; also by the next monitor. */
static void order(void **state)
{
	struct spool *s = open_spool();
	struct spool_batch b;
	char body[16];
	int i;

	(void)state;
	assert_int_equal(spool_first(s, &b), -ENOENT);
	for (i = 0; i < 12; i++) {
		snprintf(body, sizeof(body), "[%d]", i);
		assert_int_equal(spool_put(s, i % 3 ? SPOOL_MEMORY : SPOOL_KILLS, body), 0);
	}
	assert_int_equal(spool_waiting(s), 12);
	for (i = 0; i < 12; i++) {
		if (i == 5) {
			spool_close(s);
			s = open_spool();
			assert_int_equal(spool_put(s, SPOOL_KILLS, "[12]"), 0);
		}
		snprintf(body, sizeof(body), "[%d]", i);
		assert_first(s, i % 3 ? SPOOL_MEMORY : SPOOL_KILLS, body, &b);
		assert_first(s, b.kind, body, &b);
		assert_int_equal(spool_done(s, &b), 0);
	}
	assert_first(s, SPOOL_KILLS, "[12]", &b);
	assert_int_equal(spool_done(s, &b), 0);
	assert_int_equal(spool_done(s, &b), -ENOENT);
	assert_int_equal(spool_waiting(s), 0);
	spool_close(s);
}

static void refused(void **state)
{
	struct spool *s = open_spool();
	struct spool_batch b;

	(void)state;
	assert_int_equal(spool_put(s, SPOOL_KILLS, "[1]"), 0);
	assert_int_equal(spool_put(s, SPOOL_KILLS, "[2]"), 0);
	assert_first(s, SPOOL_KILLS, "[1]", &b);
	assert_int_equal(spool_refuse(s, &b), 0);
	assert_first(s, SPOOL_KILLS, "[2]", &b);
	assert_int_equal(spool_waiting(s), 1);
	assert_int_equal(access("spool/refused-00000000000000000001-logs.json", F_OK), 0);
	spool_close(s);
}

static void intents(void **state)
{
	struct spool *s = open_spool();
	struct spool_batch b;
	char *body = NULL;

	(void)state;
	assert_int_equal(spool_intended(s, &body), -ENOENT);
	assert_int_equal(spool_intent_done(s), -ENOENT);
	assert_int_equal(spool_intend(s, "[\"one\"]"), 0);
	/* It is no batch. */
	assert_int_equal(spool_waiting(s), 0);
	assert_int_equal(spool_first(s, &b), -ENOENT);
	spool_close(s);
	s = open_spool();
	assert_int_equal(spool_intended(s, &body), 0);
	assert_string_equal(body, "[\"one\"]");
	free(body);
	assert_int_equal(spool_intent_done(s), 0);
	assert_int_equal(spool_intended(s, &body), -ENOENT);
	spool_close(s);
}

static void disarmed(void **state)
{
	struct spool *s = open_spool();
	char why[8];

	(void)state;
	assert_int_equal(spool_disarmed(s, why, sizeof(why)), -ENOENT);
	assert_int_equal(spool_arm(s), 0);
	assert_int_equal(spool_disarm(s, "for a reason"), 0);
	assert_int_equal(spool_waiting(s), 0);
	/* As a killed monitor leaves it. */
	assert_int_equal(close(open("spool/disarmed.new", O_CREAT | O_WRONLY, 0600)), 0);
	spool_close(s);
	s = open_spool();
	assert_int_equal(access("spool/disarmed.new", F_OK), -1);
	assert_int_equal(spool_disarmed(s, why, sizeof(why)), 0);
	assert_string_equal(why, "for a r");
	assert_int_equal(spool_arm(s), 0);
	assert_int_equal(spool_disarmed(s, why, sizeof(why)), -ENOENT);
	spool_close(s);
}

/* For as long as its holder lives, and no longer. */
static void locked(void **state)
{
	struct spool *s, *other = NULL;
	int ready[2], status;
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (!spool_open("spool", &s) && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(spool_open("spool", &other), -EBUSY);
	assert_null(other);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(ready[0]);
	close(ready[1]);

	s = open_spool();
	assert_int_equal(spool_open("spool", &other), -EBUSY);
	assert_string_equal(spool_lock_path(s) + strlen(spool_lock_path(s)) - 11, "/spool/lock");
	assert_int_equal(*spool_lock_path(s), '/');
	spool_close(s);
	s = open_spool();
	spool_close(s);
}

/* What else may lie in the folder is neither sent nor counted nor overwritten. */
static void strangers(void **state)
{
	static const char *const names[] = {
		"spool/1-logs.json", "spool/00000000000000000001-other.json",
		"spool/00000000000000000001-logs.json.new", "spool/-0000000000000000001-logs.json",
		"spool/99999999999999999999-logs.json", "spool/00000000000000000001-logs.jso",
		"spool/00000000000000000001-logs.jsonx", "spool/.00000000000000000001-logs.json",
		"spool/refused-00000000000000000001-logs.json",
	};
	struct spool_batch b;
	struct spool *s;
	size_t i;

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	for (i = 0; i < COUNT(names); i++)
		write_file(names[i], "[0]");
	s = open_spool();
	assert_int_equal(spool_waiting(s), 0);
	assert_int_equal(spool_first(s, &b), -ENOENT);
	assert_int_equal(spool_put(s, SPOOL_KILLS, "[1]"), 0);
	assert_first(s, SPOOL_KILLS, "[1]", &b);
	spool_close(s);
}

static void unusable(void **state)
{
	struct spool *s = NULL;

	(void)state;
	write_file("file", "");
	assert_int_equal(spool_open("file", &s), -ENOTDIR);
	assert_int_equal(spool_open("no/such/folder", &s), -ENOENT);
	assert_int_equal(mkdir("spool", 0700), 0);
	assert_int_equal(mkdir("spool/lock", 0700), 0);
	assert_int_equal(spool_open("spool", &s), -EISDIR);
	assert_null(s);
	spool_close(NULL);
}

/* Memory samples are not kept beyond the limit; kills are. */
static void limit(void **state)
{
	struct spool *s = open_spool();
	char name[64];
	int i;

	(void)state;
	for (i = 1; i < SPOOL_MEMORY_BATCHES_MAX; i++) {
		snprintf(name, sizeof(name), "spool/%020d-logsmemory.json", i);
		write_file(name, "[]");
	}
	spool_close(s);
	s = open_spool();
	assert_int_equal(spool_put(s, SPOOL_MEMORY, "[]"), 0);
	assert_int_equal(spool_put(s, SPOOL_MEMORY, "[]"), -ENOSPC);
	assert_int_equal(spool_put(s, SPOOL_KILLS, "[]"), 0);
	assert_int_equal(spool_waiting(s), SPOOL_MEMORY_BATCHES_MAX + 1);
	spool_close(s);
}

/* A write that comes up short leaves nothing, and what was there stays. */
static void full_disk(void **state)
{
	struct spool *s = open_spool();
	struct rlimit before, little = { .rlim_cur = 4 };
	char *body;

	(void)state;
	assert_int_equal(spool_intend(s, "[1]"), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(spool_put(s, SPOOL_KILLS, "[123456789]"), -EFBIG);
	assert_int_equal(spool_intend(s, "[123456789]"), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(spool_waiting(s), 0);
	assert_int_equal(access("spool/intent.json.new", F_OK), -1);
	assert_int_equal(spool_intended(s, &body), 0);
	assert_string_equal(body, "[1]");
	free(body);
	spool_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(order, enter, leave),
		cmocka_unit_test_setup_teardown(half_written, enter, leave),
		cmocka_unit_test_setup_teardown(refused, enter, leave),
		cmocka_unit_test_setup_teardown(intents, enter, leave),
		cmocka_unit_test_setup_teardown(disarmed, enter, leave),
		cmocka_unit_test_setup_teardown(locked, enter, leave),
		cmocka_unit_test_setup_teardown(strangers, enter, leave),
		cmocka_unit_test_setup_teardown(unusable, enter, leave),
		cmocka_unit_test_setup_teardown(limit, enter, leave),
		cmocka_unit_test_setup_teardown(full_disk, enter, leave),
	};

	return RUN(tests);
}
