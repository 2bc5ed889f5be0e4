// SPDX-License-Identifier: GPL-2.0
#include "userspace/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmod/sysinfo_abi.h"
#include "userspace/io/file.h"

#ifndef MONITOR_VERSION
#define MONITOR_VERSION "0.1.0"
#endif

#define FILE_MAX (1 << 20)
/* inih has room for 200 bytes, and takes what is beyond for another line. */
#define LINE_MAX_BYTES 190

enum kind {
	KIND_LONG,
	KIND_UINT,		/* uint32_t */
	KIND_PERCENT,		/* into uint32_t, 1/100 % */
	KIND_PERMILLE,		/* a percentage into uint32_t, 1/10 % */
	KIND_MIB,		/* into uint64_t bytes */
	KIND_MS,		/* into uint64_t µs */
	KIND_SECONDS,		/* into uint64_t µs */
	KIND_WORD,		/* one of words[], its index into an enum */
	KIND_TEXT,		/* into char[] */
	KIND_BOOL,		/* yes or no; as an option --x or --no-x */
	KIND_BPF,		/* KIND_WORD; as an option --bpf or --no-bpf */
	KIND_PATTERNS,		/* into struct scope; may be given many times */
};

enum place {
	POLICY,		/* also in a recording; a reload takes it over */
	LIVE,		/* a reload takes it over */
	START,		/* holds from the start on */
	OPTION,		/* an option only, not in files */
};

static const char *const classifiers[] = { "threshold", "rank", NULL };
static const char *const memories[] = { "current", "working-set", NULL };
static const char *const bpfs[] = { "try", "must", "no", NULL };

/* The one list of all settings: options, keys of the files, their bounds and help. */
static const struct setting {
	const char *name;
	const char *value;	/* its name in the help; NULL: a flag */
	enum kind kind;
	enum place place;
	size_t offset;
	size_t size;
	long min, max;
	const char *help;
	const char *const *words;	/* of KIND_WORD and KIND_BPF */
	const char *empty;	/* of KIND_TEXT: the word for "" */
} settings[] = {
#define AT(member) offsetof(struct config, member), sizeof(((struct config *)NULL)->member)
	{ "interval", "S", KIND_LONG, LIVE, AT(interval_s), 1, 3600,
	  "seconds between two looks (10)", NULL, NULL },
	{ "keep-high", "N", KIND_UINT, POLICY, AT(policy.decide.keep_high), 0, 100000,
	  "high consumers that stay, the heaviest (2)", NULL, NULL },
	{ "keep-low", "N", KIND_UINT, POLICY, AT(policy.decide.keep_low), 0, 100000,
	  "low consumers that stay, the lightest (3)", NULL, NULL },
	{ "give-up", "N", KIND_UINT, POLICY, AT(policy.decide.give_up), 0, 100000,
	  "kills in an hour, after which one that still comes back stays; 0: never (3)", NULL, NULL },
	{ "grace", "S", KIND_LONG, LIVE, AT(grace_s), 0, 60,
	  "seconds from a victim's stop signal to its end; 0: it is killed at once (0)", NULL, NULL },
	{ "classifier", "NAME", KIND_WORD, POLICY, AT(policy.classify.classifier), 0, 0,
	  "threshold, or rank: the upper half is high (threshold)", classifiers, NULL },
	{ "high-cpu", "PERCENT", KIND_PERCENT, POLICY, AT(policy.classify.cpu_centi), 0, 100000,
	  "of one CPU, from which a container is high (10)", NULL, NULL },
	{ "high-memory", "MIB", KIND_MIB, POLICY, AT(policy.classify.memory_bytes), 0, 1 << 30,
	  "of memory, from which a container is high (100)", NULL, NULL },
	{ "memory", "KIND", KIND_WORD, POLICY, AT(policy.measure.memory), 0, 0,
	  "current: memory.current; working-set: less inactive_file (current)", memories, NULL },
	{ "window", "CYCLES", KIND_UINT, POLICY, AT(policy.measure.window), 1, MEASURE_WINDOW_MAX,
	  "that a container is judged over (1)", NULL, NULL },
	{ "hysteresis", "PERCENT", KIND_PERMILLE, POLICY, AT(policy.classify.hysteresis_permille), 0, 100,
	  "below a line that one that was high must be to be low (0)", NULL, NULL },
	{ "min-age", "S", KIND_SECONDS, POLICY, AT(policy.decide.min_age_us), 0, 31536000,
	  "seconds a container stays in any case (0)", NULL, NULL },
	{ "scope", "PATTERN", KIND_PATTERNS, POLICY, AT(policy.decide.scope), 0, 0,
	  "govern only such containers; label:, name:, image: or runtime:GLOB (all)", NULL, NULL },
	{ "protect", "PATTERN", KIND_PATTERNS, POLICY, AT(policy.decide.protect), 0, 0,
	  "never remove such containers (none)", NULL, NULL },
	{ "kills-per-cycle", "N", KIND_UINT, POLICY, AT(policy.brake.cycle), 0, 100000,
	  "a plan with more disarms the monitor (100)", NULL, NULL },
	{ "kills-per-hour", "N", KIND_UINT, POLICY, AT(policy.brake.hour), 0, 100000,
	  "what would pass this disarms it (1200)", NULL, NULL },
	{ "kills-per-image", "N", KIND_UINT, POLICY, AT(policy.brake.image), 0, 100000,
	  "of one image in an hour; likewise (600)", NULL, NULL },
	{ "tolerance", "PERCENT", KIND_PERMILLE, POLICY, AT(policy.reconcile.tolerance_permille), 0, 100,
	  "that the sources may differ by before a container is disputed (5)", NULL, NULL },
	{ "tolerance-ms", "MS", KIND_MS, POLICY, AT(policy.reconcile.tolerance_us), 0, 10000,
	  "that they may differ by in any case (20)", NULL, NULL },
	{ "bpf", NULL, KIND_BPF, START, AT(bpf), 0, 0, "fail if the witness can't be loaded (try)", bpfs, NULL },
	{ "snapshot", "PATH", KIND_TEXT, START, AT(snapshot), 0, 0,
	  "the module's file (" SYSINFO_PATH ")", NULL, NULL },
	{ "cgroup-root", "DIR", KIND_TEXT, START, AT(cgroup_root), 0, 0,
	  "where cgroup v2 is mounted (/sys/fs/cgroup)", NULL, NULL },
	{ "runtime-socket", "PATH", KIND_TEXT, START, AT(runtime_socket), 0, 0,
	  "of the container runtime (auto: Docker's, else Podman's)", NULL, "auto" },
	{ "server", "URL", KIND_TEXT, START, AT(server), 0, 0,
	  "the log server (http://127.0.0.1:8000)", NULL, NULL },
	{ "spool", "DIR", KIND_TEXT, START, AT(spool), 0, 0,
	  "what must survive the monitor (auto: /var/lib/sysinfo-monitor, or below the home folder)", NULL, "auto" },
	{ "images", "DIR", KIND_TEXT, START, AT(images), 0, 0,
	  "where the graphs are put at the end (images)", NULL, NULL },
	{ "compose-dir", "DIR", KIND_TEXT, START, AT(compose_dir), 0, 0,
	  "docker-compose.yml and the generator's script (auto: compose, beside the program)", NULL, "auto" },
	{ "record", "FILE", KIND_TEXT, START, AT(record), 0, 0,
	  "keep what is seen and decided, for explain and replay (none)", NULL, "none" },
	{ "record-mib", "MIB", KIND_LONG, START, AT(record_mib), 1, 1024,
	  "then FILE becomes FILE.old, and a new one begins (64)", NULL, NULL },
	{ "generator", NULL, KIND_BOOL, START, AT(generator), 0, 0, "a cron entry that makes containers (yes)", NULL, NULL },
	{ "compose", NULL, KIND_BOOL, START, AT(compose), 0, 0, "bring the log server up (yes)", NULL, NULL },
	{ "dry-run", NULL, KIND_BOOL, START, AT(dry_run), 0, 0, "everything but the kills (no)", NULL, NULL },
	{ "json", NULL, KIND_BOOL, START, AT(json), 0, 0, "one JSON object a cycle (no)", NULL, NULL },
	{ "cycles", "N", KIND_LONG, OPTION, AT(cycles), 0, 1000000000, "end after so many cycles", NULL, NULL },
	{ "config", "FILE", KIND_TEXT, OPTION, AT(file), 0, 0,
	  "read this file, and FILE.d/*.conf (" CONFIG_FILE ")", NULL, NULL },
	{ "check-config", NULL, KIND_BOOL, OPTION, AT(check_only), 0, 0,
	  "check options and configuration, then end", NULL, NULL },
#undef AT
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* getopt_long()'s values: a setting's index, the same for its --no- form, and these. */
enum { OPT_NO = 1000, OPT_HELP = 2000, OPT_VERSION };

static const char *const commands[] = {
	[CONFIG_EXPLAIN] = "explain",
	[CONFIG_RECORD] = "record",
	[CONFIG_REPLAY] = "replay",
};

static void set_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

static void set_defaults(struct config *c)
{
	*c = (struct config){
		.interval_s = 10,
		.policy = {
			.classify = { .cpu_centi = 1000, .memory_bytes = 100ULL << 20 },
			.measure = { .window = 1 },
			.decide = { .keep_high = 2, .keep_low = 3, .give_up = 3 },
			.reconcile = { .tolerance_permille = 50, .tolerance_us = 20000 },
			/* The generator alone makes 600 an hour, in four images. */
			.brake = { .cycle = 100, .hour = 1200, .image = 600 },
		},
		.generator = true,
		.compose = true,
		.record_mib = 64,
	};
	set_text(c->snapshot, sizeof(c->snapshot), SYSINFO_PATH);
	set_text(c->cgroup_root, sizeof(c->cgroup_root), "/sys/fs/cgroup");
	set_text(c->server, sizeof(c->server), "http://127.0.0.1:8000");
	set_text(c->images, sizeof(c->images), "images");
}

/* What is left to the program by "auto". */
static void find_the_rest(struct config *c)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *slash;
	ssize_t n;
	size_t i;

	if (!c->spool[0] && geteuid() == 0)
		set_text(c->spool, sizeof(c->spool), "/var/lib/sysinfo-monitor");
	else if (!c->spool[0] && state)
		snprintf(c->spool, sizeof(c->spool), "%s/sysinfo-monitor", state);
	else if (!c->spool[0])
		snprintf(c->spool, sizeof(c->spool), "%s/.sysinfo-monitor", home ? home : ".");
	if (!c->compose_dir[0]) {
		n = readlink("/proc/self/exe", c->compose_dir, sizeof(c->compose_dir) - sizeof("/compose"));
		c->compose_dir[n > 0 ? n : 0] = '\0';
		slash = strrchr(c->compose_dir, '/');
		strcpy(slash ? slash + 1 : c->compose_dir, "compose");
	}
	/* A path is put behind it. */
	for (i = strlen(c->server); i > 0 && c->server[i - 1] == '/'; i--)
		c->server[i - 1] = '\0';
}

static bool parse_long(const struct setting *s, const char *value, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(value, &end, 10);
	return !errno && end != value && !*end && *ret >= s->min && *ret <= s->max;
}

static bool set_word(const struct setting *s, const char *value, void *to, char *reason)
{
	char known[64] = "";
	unsigned int i;

	for (i = 0; s->words[i]; i++) {
		if (!strcmp(value, s->words[i])) {
			/* An enum without negative values is an unsigned int. */
			*(unsigned int *)to = i;
			return true;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
			 s->words[i]);
	}
	snprintf(reason, CONFIG_REASON_SIZE, "%s: '%.100s' is none of %s", s->name, value, known);
	return false;
}

static bool set_pattern(const struct setting *s, const char *value, struct scope *to, char *reason)
{
	int err;

	/* Forgets what came before, as in systemd's files. */
	if (!*value) {
		to->count = 0;
		return true;
	}
	err = scope_add(to, value);
	if (!err)
		return true;
	if (err == -ENOSPC)
		snprintf(reason, CONFIG_REASON_SIZE, "%s: more than %d patterns", s->name, SCOPE_MAX);
	else
		snprintf(reason, CONFIG_REASON_SIZE,
			 "%s: '%.100s' is not label:GLOB, name:GLOB, image:GLOB or runtime:GLOB%s",
			 s->name, value, err == -E2BIG ? ", or too long" : "");
	return false;
}

/* Return: true, or false with @reason. */
static bool set(struct config *c, const struct setting *s, const char *value, char *reason)
{
	static const char *const yes_no[] = { "no", "yes", NULL };
	void *to = (char *)c + s->offset;
	struct setting as_word = *s;
	unsigned int yes = 0;
	long n = 0;

	switch (s->kind) {
	case KIND_WORD:
	case KIND_BPF:
		return set_word(s, value, to, reason);
	case KIND_BOOL:
		as_word.words = yes_no;
		if (!set_word(&as_word, value, &yes, reason))
			return false;
		*(bool *)to = yes;
		return true;
	case KIND_PATTERNS:
		return set_pattern(s, value, to, reason);
	case KIND_TEXT:
		if (strlen(value) < s->size && *value) {
			set_text(to, s->size, s->empty && !strcmp(value, s->empty) ? "" : value);
			return true;
		}
		snprintf(reason, CONFIG_REASON_SIZE, "%s: empty or too long", s->name);
		return false;
	default:
		break;
	}
	if (!parse_long(s, value, &n)) {
		snprintf(reason, CONFIG_REASON_SIZE, "%s: '%.100s' is no number from %ld to %ld", s->name,
			 value, s->min, s->max);
		return false;
	}
	if (s->kind == KIND_LONG)
		*(long *)to = n;
	else if (s->kind == KIND_UINT)
		*(uint32_t *)to = (uint32_t)n;
	else if (s->kind == KIND_PERCENT)
		*(uint32_t *)to = (uint32_t)n * 100;
	else if (s->kind == KIND_PERMILLE)
		*(uint32_t *)to = (uint32_t)n * 10;
	else if (s->kind == KIND_MIB)
		*(uint64_t *)to = (uint64_t)n << 20;
	else
		*(uint64_t *)to = (uint64_t)n * (s->kind == KIND_MS ? 1000 : 1000000);
	return true;
}

/* --- files ------------------------------------------------------------------- */

/* In a file a word may be joined by "_" as well. */
static bool same_name(const char *key, const char *name)
{
	for (; *key && *name; key++, name++)
		if (*key != *name && !(*key == '_' && *name == '-'))
			return false;
	return *key == *name;
}

struct file_reading {
	struct config *config;
	char reason[CONFIG_REASON_SIZE];
};

static int on_key(void *ctx, const char *section, const char *key, const char *value)
{
	struct file_reading *r = ctx;
	size_t i;

	if (r->reason[0])
		return 0;
	if (*section) {
		snprintf(r->reason, sizeof(r->reason), "there are no sections, but here is [%.100s]",
			 section);
		return 0;
	}
	for (i = 0; i < SETTINGS; i++)
		if (settings[i].place != OPTION && same_name(key, settings[i].name))
			return set(r->config, &settings[i], value, r->reason);
	snprintf(r->reason, sizeof(r->reason), "unknown key '%.100s'", key);
	return 0;
}

/* What inih would take for something else.  Return: 0, or the number of the line. */
static int unreadable_line(const char *text, size_t len)
{
	size_t i, length = 0;
	int line = 1;

	for (i = 0; i < len; i++) {
		if (!text[i] || ++length > LINE_MAX_BYTES)
			return line;
		if (text[i] == '\n') {
			line++;
			length = 0;
		}
	}
	return 0;
}

bool config_read_text(struct config *c, const char *name, const char *text, size_t len, char *reason)
{
	struct file_reading r = { .config = c };
	int line = unreadable_line(text, len);

	if (line)
		snprintf(r.reason, sizeof(r.reason), "longer than %d bytes, or not text", LINE_MAX_BYTES);
	else
		line = ini_parse_string(text, on_key, &r);
	if (line < 0)
		snprintf(reason, CONFIG_REASON_SIZE, "the configuration %.200s: no memory", name);
	else if (line)
		snprintf(reason, CONFIG_REASON_SIZE, "%.150s:%d: %.300s", name, line,
			 r.reason[0] ? r.reason : "neither a comment nor key = value");
	return line == 0;
}

static bool read_file(struct config *c, const char *path, char *reason)
{
	struct stat st;
	bool ok = false;
	char *text;
	size_t len;
	int err;

	/* A device has no end, and a pipe another one. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		snprintf(reason, CONFIG_REASON_SIZE, "the configuration %.200s is no regular file", path);
		return false;
	}
	err = file_read_all(AT_FDCWD, path, FILE_MAX, &text, &len);
	if (err) {
		snprintf(reason, CONFIG_REASON_SIZE, "can't read the configuration %.200s: %s", path,
			 strerror(-err));
		return false;
	}
	ok = config_read_text(c, path, text, len, reason);
	free(text);
	return ok;
}

static int is_drop_in(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && dot != entry->d_name && !strcmp(dot, ".conf");
}

static bool read_drop_ins(struct config *c, const char *file, char *reason)
{
	char folder[PATH_MAX + 2], path[2 * PATH_MAX];
	struct dirent **list;
	bool ok = true;
	int i, n;

	snprintf(folder, sizeof(folder), "%s.d", file);
	n = scandir(folder, &list, is_drop_in, alphasort);
	if (n < 0 && errno != ENOENT) {
		snprintf(reason, CONFIG_REASON_SIZE, "can't read the drop-ins in %.200s: %s", folder,
			 strerror(errno));
		return false;
	}
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
		ok = ok && read_file(c, path, reason);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return ok;
}

static bool read_files(struct config *c, char *reason)
{
	const char *file = c->file[0] ? c->file : CONFIG_FILE;

	/* A replay rests on the policy that was recorded, unless another is named. */
	if (!c->file[0] && c->command == CONFIG_REPLAY)
		return true;
	if ((c->file[0] || !access(file, F_OK)) && !read_file(c, file, reason))
		return false;
	return read_drop_ins(c, file, reason);
}

/* --- options ----------------------------------------------------------------- */

static void help(void)
{
	struct config defaults;
	size_t i;

	set_defaults(&defaults);
	puts("usage: monitor [OPTION]...            watch, and keep to the policy\n"
	     "       monitor explain [FILE]         what would be done now, or was last in a recording, and why\n"
	     "       monitor record FILE            only look, and keep what is seen\n"
	     "       monitor replay FILE            what a policy would have done with it\n"
	     "Keeps the heaviest and the lightest containers of this host, and removes the rest.\n");
	for (i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		char word[64];
		bool off = s->kind == KIND_BOOL && *((const bool *)((const char *)&defaults + s->offset));

		snprintf(word, sizeof(word), "--%s%s%s%s", off ? "no-" : "", s->name, s->value ? " " : "",
			 s->value ? s->value : "");
		printf("  %-24s %s%s\n", word, off ? "without " : "", s->help);
	}
	puts("  --help                   this\n"
	     "  --version                the version\n\n"
	     "What has no value may be said both ways: --bpf and --no-bpf, --dry-run and --no-dry-run.\n"
	     "In files all but the last three are keys: keep-high = 2, generator = no.\n"
	     "A container with the label sysinfo.protect=true is never removed.\n"
	     "SIGUSR1 disarms the monitor, and arms it again; SIGHUP reads the files again.\n"
	     "Exit status: 0 done, 1 failed while running, 2 bad usage or configuration,\n"
	     "3 the snapshot is not there or not readable.");
}

/* Which options were given on this command line. */
struct given {
	bool option[SETTINGS], no[SETTINGS];
};

static bool set_option(struct config *c, int opt, struct given *given, char *reason)
{
	bool no = opt >= OPT_NO;
	size_t i = (size_t)(no ? opt - OPT_NO : opt);
	const struct setting *s = &settings[i];
	/* Together they win over what the files list. */
	bool first = !given->option[i];

	given->option[i] |= !no;
	given->no[i] |= no;
	if (s->kind == KIND_BPF && given->option[i] && given->no[i]) {
		snprintf(reason, CONFIG_REASON_SIZE, "choose one of --bpf and --no-bpf");
		return false;
	}
	if (s->kind == KIND_BPF)
		return set(c, s, no ? "no" : "must", reason);
	if (s->kind == KIND_BOOL)
		return set(c, s, no ? "no" : "yes", reason);
	if (s->kind == KIND_PATTERNS && first)
		set(c, s, "", reason);
	return set(c, s, optarg, reason);
}

static bool is_flag(const struct setting *s)
{
	return s->kind == KIND_BOOL || s->kind == KIND_BPF;
}

static size_t list_options(struct option *ret, char (*names)[32])
{
	size_t i, n = 0;

	for (i = 0; i < SETTINGS; i++) {
		ret[n++] = (struct option){ settings[i].name,
					    is_flag(&settings[i]) ? no_argument : required_argument,
					    NULL, (int)i };
		if (!is_flag(&settings[i]))
			continue;
		snprintf(names[i], sizeof(names[i]), "no-%s", settings[i].name);
		ret[n++] = (struct option){ names[i], no_argument, NULL, OPT_NO + (int)i };
	}
	ret[n++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
	ret[n++] = (struct option){ "version", no_argument, NULL, OPT_VERSION };
	ret[n] = (struct option){ NULL, 0, NULL, 0 };
	return n;
}

static enum config_result read_options(struct config *c, bool only_file, char *reason)
{
	struct option options[2 * SETTINGS + 3];
	struct given given = { 0 };
	char names[SETTINGS][32];
	/* The command's name stands in the place of the program's. */
	int opt, skip = c->command != CONFIG_WATCH;

	list_options(options, names);
	optind = 0;	/* begins anew, also in its inner state */
	opterr = 0;
	while ((opt = getopt_long(c->argc - skip, c->argv + skip, ":", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			help();
			return CONFIG_DONE;
		}
		if (opt == OPT_VERSION) {
			puts("monitor " MONITOR_VERSION);
			return CONFIG_DONE;
		}
		if (opt == '?' || opt == ':') {
			/* Of a short one getopt gives the letter, and may still be in its word. */
			char letter[] = { '-', (char)optopt, '\0' };
			bool is_short = optopt > 0 && optopt < 128 && (size_t)optopt >= SETTINGS;

			snprintf(reason, CONFIG_REASON_SIZE, "%s '%.200s'; see --help",
				 opt == '?' ? "unknown option" : "a value is missing after",
				 is_short ? letter : c->argv[skip + optind - 1]);
			return CONFIG_BAD;
		}
		if (only_file != (opt < OPT_NO && !strcmp(settings[opt].name, "config")))
			continue;
		if (!set_option(c, opt, &given, reason))
			return CONFIG_BAD;
	}
	return CONFIG_RUN;
}

/* A command stands first, its argument last. */
static enum config_result read_command(struct config *c, char *reason)
{
	size_t i;

	for (i = CONFIG_EXPLAIN; c->argc > 1 && i <= CONFIG_REPLAY; i++) {
		if (strcmp(c->argv[1], commands[i]))
			continue;
		c->command = (enum config_command)i;
		break;
	}
	return read_options(c, true, reason);
}

static enum config_result read_argument(struct config *c, char *reason)
{
	int at = optind + (c->command != CONFIG_WATCH);

	if (c->command != CONFIG_WATCH && at < c->argc)
		c->argument = c->argv[at++];
	if (at < c->argc) {
		snprintf(reason, CONFIG_REASON_SIZE, "unexpected argument '%.200s'; see --help",
			 c->argv[at]);
		return CONFIG_BAD;
	}
	if (!c->argument && (c->command == CONFIG_RECORD || c->command == CONFIG_REPLAY)) {
		snprintf(reason, CONFIG_REASON_SIZE, "monitor %s needs a file; see --help",
			 commands[c->command]);
		return CONFIG_BAD;
	}
	/* They only look. */
	if (c->command != CONFIG_WATCH) {
		c->generator = c->compose = false;
		c->dry_run = true;
	}
	if (c->command == CONFIG_EXPLAIN)
		c->record[0] = '\0';
	if (c->command == CONFIG_EXPLAIN && !c->cycles)
		c->cycles = c->policy.measure.window;
	if (c->command == CONFIG_RECORD)
		set_text(c->record, sizeof(c->record), c->argument);
	return CONFIG_RUN;
}

enum config_result config_load(int argc, char **argv, struct config *ret, char *reason)
{
	enum config_result result;

	set_defaults(ret);
	ret->argc = argc;
	ret->argv = argv;
	/* Options win over the files, so those are read first, and which they are before that. */
	result = read_command(ret, reason);
	if (result != CONFIG_RUN)
		return result;
	if (!read_files(ret, reason))
		return CONFIG_BAD;
	result = read_options(ret, false, reason);
	if (result == CONFIG_RUN)
		result = read_argument(ret, reason);
	find_the_rest(ret);
	return result;
}

/* --- what a running monitor does with it ------------------------------------- */

bool config_reload(struct config *c, char *reason)
{
	struct config *new = malloc(sizeof(*new));
	bool ok = false;
	size_t i;

	if (!new) {
		snprintf(reason, CONFIG_REASON_SIZE, "no memory");
		return false;
	}
	if (config_load(c->argc, c->argv, new, reason) != CONFIG_RUN)
		goto out;
	reason[0] = '\0';
	for (i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		const char *old_at = (char *)c + s->offset, *new_at = (char *)new + s->offset;
		size_t used = strlen(reason);

		if (s->place == START && (s->kind == KIND_TEXT ? strcmp(old_at, new_at) != 0 :
						memcmp(old_at, new_at, s->size) != 0))
			snprintf(reason + used, CONFIG_REASON_SIZE - used, "%s%s", used ? ", " : "", s->name);
	}
	c->policy = new->policy;
	c->interval_s = new->interval_s;
	ok = true;
out:
	free(new);
	return ok;
}

static void print_setting(const struct config *c, const struct setting *s, FILE *out)
{
	const void *at = (const char *)c + s->offset;
	const struct scope *scope;
	uint32_t i;

	switch (s->kind) {
	case KIND_UINT:
		fprintf(out, "%s = %u\n", s->name, *(const uint32_t *)at);
		break;
	case KIND_PERCENT:
	case KIND_PERMILLE:
		fprintf(out, "%s = %u\n", s->name,
			*(const uint32_t *)at / (s->kind == KIND_PERCENT ? 100 : 10));
		break;
	case KIND_MIB:
		fprintf(out, "%s = %llu\n", s->name, (unsigned long long)*(const uint64_t *)at >> 20);
		break;
	case KIND_MS:
	case KIND_SECONDS:
		fprintf(out, "%s = %llu\n", s->name,
			(unsigned long long)*(const uint64_t *)at / (s->kind == KIND_MS ? 1000 : 1000000));
		break;
	case KIND_WORD:
		fprintf(out, "%s = %s\n", s->name, s->words[*(const unsigned int *)at]);
		break;
	case KIND_PATTERNS:
		scope = at;
		for (i = 0; i < scope->count; i++)
			fprintf(out, "%s = %s:%s\n", s->name, scope_kind_name(scope->patterns[i].kind),
				scope->patterns[i].glob);
		break;
	default:
		break;	/* no policy has one */
	}
}

char *config_policy_text(const struct config *c)
{
	char *text = NULL;
	size_t i, len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (i = 0; i < SETTINGS; i++)
		if (settings[i].place == POLICY)
			print_setting(c, &settings[i], out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

bool config_read_policy(struct config *c, const char *text, size_t len, char *reason)
{
	struct config *new = malloc(sizeof(*new));
	bool ok = false;

	if (!new) {
		snprintf(reason, CONFIG_REASON_SIZE, "no memory");
		return false;
	}
	set_defaults(new);
	new->command = c->command;
	new->argc = c->argc;
	new->argv = c->argv;
	ok = config_read_text(new, "the recorded policy", text, len, reason) &&
	     read_options(new, false, reason) == CONFIG_RUN;
	if (ok)
		c->policy = new->policy;
	free(new);
	return ok;
}
