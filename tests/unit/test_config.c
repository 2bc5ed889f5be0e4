// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/config.h"

#define EXAMPLE "userspace/monitor.conf"

/* A file of its own, removed at the end. */
static char path[] = "/tmp/test_config-XXXXXX", empty[] = "/tmp/test_config-XXXXXX";

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* With an empty configuration, unless one is named: what is in /etc is somebody's. */
static enum config_result load(struct config *c, char *reason, const char *const *words, size_t count)
{
	static char *argv[18];
	bool named = !strcmp(words[0], "replay");
	size_t i;

	argv[0] = "monitor";
	for (i = 0; i < count; i++) {
		argv[i + 1] = (char *)words[i];
		named |= !strcmp(words[i], "--config");
	}
	if (!named) {
		argv[++count] = "--config";
		argv[++count] = empty;
	}
	argv[count + 1] = NULL;
	reason[0] = '\0';
	return config_load((int)count + 1, argv, c, reason);
}

#define LOAD(c, reason, ...)                                                        \
	load(c, reason, (const char *const[]){ __VA_ARGS__ },                       \
	     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

/* The example with every key uncommented.  The caller frees it. */
static char *example(void)
{
	FILE *file = fopen(EXAMPLE, "r"), *out;
	char line[256], *text;
	size_t len;

	assert_non_null(file);
	out = open_memstream(&text, &len);
	while (fgets(line, sizeof(line), file))
		fputs(line[0] == '#' && line[1] != ' ' && line[1] != '\n' ? line + 1 : line, out);
	fclose(file);
	fclose(out);
	return text;
}

/* What stands in the installed file is what holds without it, setting by setting. */
static void example_has_the_defaults(void **state)
{
	static struct config plain, read;
	char reason[CONFIG_REASON_SIZE];
	char *text = example();

	(void)state;
	write_file(path, text);
	free(text);
	assert_int_equal(LOAD(&read, reason, "--config", path), CONFIG_RUN);
	write_file(path, "");
	assert_int_equal(LOAD(&plain, reason, "--config", path), CONFIG_RUN);
	assert_memory_equal(&read, &plain, sizeof(plain));
}

/* Every key of the help is in it, and no other, so that none can be forgotten. */
static void example_has_all_keys(void **state)
{
	char line[256], key[64], *text = example();
	static struct config c;
	char reason[CONFIG_REASON_SIZE];
	int keys = 0, was = dup(STDOUT_FILENO), to = open(path, O_WRONLY | O_TRUNC);
	FILE *help;

	(void)state;
	assert_true(config_read_text(&c, "x", text, strlen(text), reason));
	fflush(stdout);
	assert_true(dup2(to, STDOUT_FILENO) >= 0);
	LOAD(&c, reason, "--help");
	fflush(stdout);
	dup2(was, STDOUT_FILENO);
	close(was);
	close(to);
	help = fopen(path, "r");
	while (fgets(line, sizeof(line), help)) {
		char with[80], *name = key;

		if (sscanf(line, "  --%63s", key) != 1)
			continue;
		if (!strncmp(name, "no-", 3))
			name += 3;
		snprintf(with, sizeof(with), "\n%s =", name);
		if (!strcmp(name, "cycles") || !strcmp(name, "config") || !strcmp(name, "check-config") ||
		    !strcmp(name, "help") || !strcmp(name, "version"))
			continue;
		keys++;
		if (!strstr(text, with))
			fail_msg("%s is not in " EXAMPLE, name);
	}
	assert_true(keys > 25);
	fclose(help);
	free(text);
}

/* A policy as text gives the same policy. */
static void policy_as_text(void **state)
{
	static struct config a, b;
	char reason[CONFIG_REASON_SIZE], *text, *again;

	(void)state;
	write_file(path, "keep_high = 7\nkeep-low=0\nclassifier = rank\nhigh-cpu = 33\nhigh-memory = 5\n"
			 "memory = working-set\nwindow = 6\nhysteresis = 12\nmin-age = 90\n"
			 "scope = name:web-*\nscope = label:a:b=c d\nprotect = image:*/db*\n"
			 "kills-per-cycle = 1\nkills-per-hour = 2\nkills-per-image = 3\ntolerance = 9\n"
			 "tolerance-ms = 11\n");
	assert_int_equal(LOAD(&a, reason, "--config", path, "--keep-low", "4"), CONFIG_RUN);
	text = config_policy_text(&a);
	assert_int_equal(LOAD(&b, reason, "--no-bpf"), CONFIG_RUN);
	if (!config_read_policy(&b, text, strlen(text), reason))
		fail_msg("%s", reason);
	assert_memory_equal(&a.policy, &b.policy, sizeof(a.policy));
	again = config_policy_text(&b);
	assert_string_equal(text, again);
	free(again);
	/* Options win over it too. */
	assert_int_equal(LOAD(&b, reason, "--keep-high", "8", "--protect", "name:x"), CONFIG_RUN);
	assert_true(config_read_policy(&b, text, strlen(text), reason));
	assert_int_equal(b.policy.decide.keep_high, 8);
	assert_int_equal(b.policy.decide.protect.count, 1);
	assert_int_equal(b.policy.decide.scope.count, 2);
	/* A bad one changes nothing. */
	assert_false(config_read_policy(&b, "keep-high = x\n", 14, reason));
	assert_int_equal(b.policy.decide.keep_high, 8);
	free(text);
}

/* As long as a pattern may be, it still fits a line. */
static void longest_pattern(void **state)
{
	static struct config a, b;
	char reason[CONFIG_REASON_SIZE], pattern[SCOPE_GLOB_SIZE + 8] = "runtime:", *text;

	(void)state;
	memset(pattern + 8, 'x', SCOPE_GLOB_SIZE - 1);
	assert_int_equal(LOAD(&a, reason, "--protect", pattern), CONFIG_RUN);
	text = config_policy_text(&a);
	assert_int_equal(LOAD(&b, reason, "--no-bpf"), CONFIG_RUN);
	assert_true(config_read_policy(&b, text, strlen(text), reason));
	assert_memory_equal(&a.policy, &b.policy, sizeof(a.policy));
	free(text);
}

static void order_of_sources(void **state)
{
	char reason[CONFIG_REASON_SIZE], folder[64], a[80], b[80], other[80];
	static struct config c;

	(void)state;
	snprintf(folder, sizeof(folder), "%s.d", path);
	snprintf(a, sizeof(a), "%s/10-a.conf", folder);
	snprintf(b, sizeof(b), "%s/20-b.conf", folder);
	snprintf(other, sizeof(other), "%s/30-c.conf.off", folder);
	write_file(path, "keep-high = 1\nkeep-low = 1\ninterval = 1\nprotect = name:file\n");
	assert_int_equal(mkdir(folder, 0700), 0);
	write_file(b, "keep-low = 3\nprotect = name:b\nbpf = no\n");
	write_file(a, "keep-low = 2\nkeep-high = 2\nprotect =\nprotect = name:a\nbpf = must\n");
	write_file(other, "keep-low = many\n");
	assert_int_equal(LOAD(&c, reason, "--config", path), CONFIG_RUN);
	assert_int_equal(c.interval_s, 1);
	assert_int_equal(c.policy.decide.keep_high, 2);
	assert_int_equal(c.policy.decide.keep_low, 3);
	assert_int_equal(c.bpf, CONFIG_BPF_NO);
	assert_int_equal(c.policy.decide.protect.count, 2);
	assert_string_equal(c.policy.decide.protect.patterns[0].glob, "a");
	assert_string_equal(c.policy.decide.protect.patterns[1].glob, "b");
	assert_int_equal(LOAD(&c, reason, "--keep-low", "9", "--config", path, "--protect", "name:o",
			      "--bpf", "--protect", "name:p"), CONFIG_RUN);
	assert_int_equal(c.policy.decide.keep_low, 9);
	assert_int_equal(c.bpf, CONFIG_BPF_MUST);
	assert_int_equal(c.policy.decide.protect.count, 2);
	assert_string_equal(c.policy.decide.protect.patterns[0].glob, "o");
	/* A mistake is told with its own file. */
	write_file(b, "# fine\nkeep-low = 3\n\nkeep-low = some\n");
	assert_int_equal(LOAD(&c, reason, "--config", path), CONFIG_BAD);
	assert_non_null(strstr(reason, "20-b.conf:4: keep-low: 'some'"));
	unlink(a);
	unlink(b);
	unlink(other);
	rmdir(folder);
}

static void bad_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *said;
	} cases[] = {
		{ "interval = 1\0\n", 14, "x:1: longer than 190 bytes, or not text" },
		{ "window = 0\n", 11, "x:1: window" },
		{ "window = 361\n", 13, "x:1: window" },
		{ "memory = all\n", 13, "x:1: memory: 'all' is none of current, working-set" },
		{ "bpf = yes\n", 10, "x:1: bpf: 'yes' is none of try, must, no" },
		{ "generator = maybe\n", 18, "x:1: generator: 'maybe' is none of no, yes" },
		{ "\nscope = web\n", 13, "x:2: scope: 'web' is not label:GLOB" },
		{ "protect = names:x\n", 18, "x:1: protect: 'names:x' is not label:GLOB" },
		{ "record =\n", 9, "x:1: record: empty" },
		{ "hysteresis = 101\n", 17, "x:1: hysteresis" },
	};
	char reason[CONFIG_REASON_SIZE], line[300];
	static struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_false(config_read_text(&c, "x", cases[i].text, cases[i].len, reason));
		if (strncmp(reason, cases[i].said, strlen(cases[i].said)))
			fail_msg("'%s' instead of '%s'", reason, cases[i].said);
	}
	snprintf(line, sizeof(line), "# fine\nsnapshot = /%0200d\n", 7);
	assert_false(config_read_text(&c, "x", line, strlen(line), reason));
	assert_non_null(strstr(reason, "x:2: longer"));
}

static void commands(void **state)
{
	char reason[CONFIG_REASON_SIZE];
	static struct config c;

	(void)state;
	assert_int_equal(LOAD(&c, reason, "--no-bpf"), CONFIG_RUN);
	assert_true(c.command == CONFIG_WATCH && c.generator && c.compose && !c.dry_run);
	assert_int_equal(LOAD(&c, reason, "--no-generator", "--dry-run", "--no-dry-run"), CONFIG_RUN);
	assert_true(!c.generator && c.compose && !c.dry_run);
	assert_int_equal(LOAD(&c, reason, "explain", "--window", "4", "--json"), CONFIG_RUN);
	assert_true(c.command == CONFIG_EXPLAIN && !c.argument && c.json && c.dry_run && !c.generator);
	assert_int_equal(c.cycles, 4);
	assert_int_equal(LOAD(&c, reason, "explain", "--json", "file"), CONFIG_RUN);
	assert_string_equal(c.argument, "file");
	assert_int_equal(LOAD(&c, reason, "record", "file", "--interval", "3"), CONFIG_RUN);
	assert_true(c.command == CONFIG_RECORD && c.dry_run && !c.compose && c.interval_s == 3);
	assert_string_equal(c.record, "file");
	assert_int_equal(LOAD(&c, reason, "replay", "--keep-high", "1", "file"), CONFIG_RUN);
	assert_true(c.command == CONFIG_REPLAY && c.policy.decide.keep_high == 1);
	assert_string_equal(c.argument, "file");
	assert_int_equal(LOAD(&c, reason, "record"), CONFIG_BAD);
	assert_int_equal(LOAD(&c, reason, "replay"), CONFIG_BAD);
	assert_int_equal(LOAD(&c, reason, "replay", "a", "b"), CONFIG_BAD);
	assert_int_equal(LOAD(&c, reason, "--json", "explain"), CONFIG_BAD);
}

static void reload(void **state)
{
	char reason[CONFIG_REASON_SIZE];
	static struct config c;

	(void)state;
	write_file(path, "keep-high = 5\nprotect = name:a\n");
	assert_int_equal(LOAD(&c, reason, "--config", path, "--keep-low", "6"), CONFIG_RUN);
	write_file(path, "keep-high = 8\nkeep-low = 1\ninterval = 77\ngrace = 30\nserver = http://x/\nspool = /y\n");
	assert_true(config_reload(&c, reason));
	assert_string_equal(reason, "server, spool");
	assert_int_equal(c.policy.decide.keep_high, 8);
	assert_int_equal(c.policy.decide.keep_low, 6);
	assert_int_equal(c.policy.decide.protect.count, 0);
	assert_int_equal(c.interval_s, 77);
	assert_int_equal(c.grace_s, 30);
	assert_string_equal(c.server, "http://127.0.0.1:8000");
	write_file(path, "keep-high = 9\ninterval = x\n");
	assert_false(config_reload(&c, reason));
	assert_non_null(strstr(reason, ":2: interval"));
	assert_int_equal(c.policy.decide.keep_high, 8);
	unlink(path);
	assert_false(config_reload(&c, reason));
	assert_int_equal(c.interval_s, 77);
	write_file(path, "");
	assert_true(config_reload(&c, reason));
	assert_string_equal(reason, "");
	assert_int_equal(c.policy.decide.keep_high, 2);
	/* The usual one, gone since, may be about to come back: until then its policy stays. */
	if (access(CONFIG_FILE, F_OK)) {
		assert_int_equal(config_load(1, (char *[]){ "monitor", NULL }, &c, reason), CONFIG_RUN);
		assert_false(c.has_file);
		assert_true(config_reload(&c, reason));
		c.has_file = true;
		assert_false(config_reload(&c, reason));
		assert_non_null(strstr(reason, CONFIG_FILE " is not there any more"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_has_the_defaults),
		cmocka_unit_test(example_has_all_keys),
		cmocka_unit_test(policy_as_text),
		cmocka_unit_test(longest_pattern),
		cmocka_unit_test(order_of_sources),
		cmocka_unit_test(bad_text),
		cmocka_unit_test(commands),
		cmocka_unit_test(reload),
	};
	int fd = mkstemp(path), other = mkstemp(empty), failed;

	if (fd < 0 || other < 0)
		return 1;
	close(fd);
	close(other);
	failed = RUN(tests);
	unlink(path);
	unlink(empty);
	return failed;
}
