// SPDX-License-Identifier: GPL-2.0
#include "userspace/config.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmod/sysinfo_abi.h"

#ifndef MONITOR_VERSION
#define MONITOR_VERSION "0.1.0"
#endif

enum kind {
	KIND_LONG,
	KIND_UINT,		/* uint32_t */
	KIND_PERCENT,		/* into uint32_t, 1/100 % */
	KIND_PERMILLE,		/* a percentage into uint32_t, 1/10 % */
	KIND_MIB,		/* into uint64_t bytes */
	KIND_MS,		/* into uint64_t µs */
	KIND_CLASSIFIER,
	KIND_TEXT,		/* into char[] */
	KIND_ON,		/* a flag that sets a bool */
	KIND_OFF,		/* a flag that clears one */
	KIND_BPF,
	KIND_NO_BPF,
};

enum place {
	ANYWHERE,	/* an option, and a key of the file */
	OPTION,		/* an option only */
};

/* The one list of all settings: options, keys of the file, their bounds and help. */
static const struct setting {
	const char *name;
	const char *value;	/* its name in the help; NULL: a flag */
	enum kind kind;
	enum place place;
	size_t offset;
	size_t size;
	long min, max;
	const char *help;
} settings[] = {
#define AT(member) offsetof(struct config, member), sizeof(((struct config *)NULL)->member)
	{ "bpf", NULL, KIND_BPF, OPTION, AT(bpf), 0, 0, "fail if the witness can't be loaded" },
	{ "no-bpf", NULL, KIND_NO_BPF, OPTION, AT(bpf), 0, 0, "go without the witness" },
	{ "interval", "S", KIND_LONG, ANYWHERE, AT(interval_s), 1, 3600,
	  "seconds between two looks (10)" },
	{ "keep-high", "N", KIND_UINT, ANYWHERE, AT(policy.decide.keep_high), 0, 100000,
	  "high consumers that stay, the heaviest (2)" },
	{ "keep-low", "N", KIND_UINT, ANYWHERE, AT(policy.decide.keep_low), 0, 100000,
	  "low consumers that stay, the lightest (3)" },
	{ "classifier", "NAME", KIND_CLASSIFIER, ANYWHERE, AT(policy.classify.classifier), 0, 0,
	  "threshold, or rank: the upper half is high (threshold)" },
	{ "high-cpu", "PERCENT", KIND_PERCENT, ANYWHERE, AT(policy.classify.cpu_centi), 0, 100000,
	  "of one CPU, from which a container is high (10)" },
	{ "high-memory", "MIB", KIND_MIB, ANYWHERE, AT(policy.classify.memory_bytes), 0, 1 << 30,
	  "of memory.current, from which a container is high (100)" },
	{ "tolerance", "PERCENT", KIND_PERMILLE, ANYWHERE, AT(policy.reconcile.tolerance_permille), 0, 100,
	  "that the sources may differ by before a container is disputed (5)" },
	{ "tolerance-ms", "MS", KIND_MS, ANYWHERE, AT(policy.reconcile.tolerance_us), 0, 10000,
	  "that they may differ by in any case (20)" },
	{ "snapshot", "PATH", KIND_TEXT, ANYWHERE, AT(snapshot), 0, 0,
	  "the module's file (" SYSINFO_PATH ")" },
	{ "cgroup-root", "DIR", KIND_TEXT, ANYWHERE, AT(cgroup_root), 0, 0,
	  "where cgroup v2 is mounted (/sys/fs/cgroup)" },
	{ "runtime-socket", "PATH", KIND_TEXT, ANYWHERE, AT(runtime_socket), 0, 0,
	  "of the container runtime (Docker's, else Podman's)" },
	{ "server", "URL", KIND_TEXT, ANYWHERE, AT(server), 0, 0,
	  "the log server (http://127.0.0.1:8000)" },
	{ "spool", "DIR", KIND_TEXT, ANYWHERE, AT(spool), 0, 0,
	  "what must survive the monitor (/var/lib/sysinfo-monitor, or below the home folder)" },
	{ "images", "DIR", KIND_TEXT, ANYWHERE, AT(images), 0, 0,
	  "where the graphs are put at the end (images)" },
	{ "compose-dir", "DIR", KIND_TEXT, ANYWHERE, AT(compose_dir), 0, 0,
	  "docker-compose.yml and the generator's script (compose, beside the program)" },
	{ "no-generator", NULL, KIND_OFF, OPTION, AT(generator), 0, 0,
	  "no cron entry that makes containers" },
	{ "no-compose", NULL, KIND_OFF, OPTION, AT(compose), 0, 0, "don't bring the log server up" },
	{ "dry-run", NULL, KIND_ON, OPTION, AT(dry_run), 0, 0, "everything but the kills" },
	{ "cycles", "N", KIND_LONG, OPTION, AT(cycles), 0, 1000000000, "end after so many cycles" },
	{ "json", NULL, KIND_ON, OPTION, AT(json), 0, 0, "one JSON object a cycle" },
	{ "config", "FILE", KIND_TEXT, OPTION, AT(file), 0, 0, "read this configuration file" },
	{ "check-config", NULL, KIND_ON, OPTION, AT(check_only), 0, 0,
	  "check options and configuration, then end" },
#undef AT
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* getopt_long()'s values for what isn't a setting. */
enum { OPT_HELP = 1000, OPT_VERSION };

static void set_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

static void set_defaults(struct config *c)
{
	const char *home = getenv("XDG_STATE_HOME");
	char *slash;
	ssize_t n;

	*c = (struct config){
		.interval_s = 10,
		.policy = {
			.classify = { .cpu_centi = 1000, .memory_bytes = 100ULL << 20 },
			.measure = { .window = 1 },
			.decide = { .keep_high = 2, .keep_low = 3 },
			.reconcile = { .tolerance_permille = 50, .tolerance_us = 20000 },
			.brake = { .cycle = 100, .hour = 1200, .image = 600 },
		},
		.generator = true,
		.compose = true,
	};
	set_text(c->snapshot, sizeof(c->snapshot), SYSINFO_PATH);
	set_text(c->cgroup_root, sizeof(c->cgroup_root), "/sys/fs/cgroup");
	set_text(c->server, sizeof(c->server), "http://127.0.0.1:8000");
	set_text(c->images, sizeof(c->images), "images");
	if (geteuid() == 0)
		set_text(c->spool, sizeof(c->spool), "/var/lib/sysinfo-monitor");
	else if (home)
		snprintf(c->spool, sizeof(c->spool), "%s/sysinfo-monitor", home);
	else
		snprintf(c->spool, sizeof(c->spool), "%s/.sysinfo-monitor",
			 getenv("HOME") ? getenv("HOME") : ".");

	n = readlink("/proc/self/exe", c->compose_dir, sizeof(c->compose_dir) - sizeof("/compose"));
	c->compose_dir[n > 0 ? n : 0] = '\0';
	slash = strrchr(c->compose_dir, '/');
	strcpy(slash ? slash + 1 : c->compose_dir, "compose");
}

static bool parse_long(const struct setting *s, const char *value, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(value, &end, 10);
	return !errno && end != value && !*end && *ret >= s->min && *ret <= s->max;
}

/* Return: true, or false with @reason. */
static bool set(struct config *c, const struct setting *s, const char *value, char *reason)
{
	void *to = (char *)c + s->offset;
	enum config_bpf bpf;
	long n = 0;

	switch (s->kind) {
	case KIND_ON:
	case KIND_OFF:
		*(bool *)to = s->kind == KIND_ON;
		return true;
	case KIND_BPF:
	case KIND_NO_BPF:
		bpf = s->kind == KIND_BPF ? CONFIG_BPF_MUST : CONFIG_BPF_NO;
		if (c->bpf != CONFIG_BPF_TRY && c->bpf != bpf) {
			snprintf(reason, CONFIG_REASON_SIZE, "choose one of --bpf and --no-bpf");
			return false;
		}
		c->bpf = bpf;
		return true;
	case KIND_TEXT:
		if (strlen(value) < s->size && *value) {
			set_text(to, s->size, value);
			return true;
		}
		snprintf(reason, CONFIG_REASON_SIZE, "%s: empty or too long", s->name);
		return false;
	case KIND_CLASSIFIER:
		if (!strcmp(value, "threshold") || !strcmp(value, "rank")) {
			c->policy.classify.classifier = *value == 'r' ? CLASSIFIER_RANK : CLASSIFIER_THRESHOLD;
			return true;
		}
		snprintf(reason, CONFIG_REASON_SIZE, "%s: '%.100s' is neither threshold nor rank",
			 s->name, value);
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
	else
		*(uint64_t *)to = s->kind == KIND_MIB ? (uint64_t)n << 20 : (uint64_t)n * 1000;
	return true;
}

/* In the file a word may be joined by "_" as well. */
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
		if (settings[i].place == ANYWHERE && same_name(key, settings[i].name))
			return set(r->config, &settings[i], value, r->reason);
	snprintf(r->reason, sizeof(r->reason), "unknown key '%.100s'", key);
	return 0;
}

static bool read_file(struct config *c, char *reason)
{
	struct file_reading r = { .config = c };
	struct stat st;
	int line;

	if (!c->file[0])
		return true;
	/* To the parser a folder is an empty file. */
	if (!stat(c->file, &st) && !S_ISREG(st.st_mode)) {
		snprintf(reason, CONFIG_REASON_SIZE, "the configuration %.200s is no regular file",
			 c->file);
		return false;
	}
	line = ini_parse(c->file, on_key, &r);
	if (line == -1)
		snprintf(reason, CONFIG_REASON_SIZE, "can't read the configuration %.200s: %s", c->file,
			 strerror(errno));
	else if (line)
		snprintf(reason, CONFIG_REASON_SIZE, "%.150s:%d: %.300s", c->file, line,
			 r.reason[0] ? r.reason : "neither a comment nor key = value");
	return line == 0;
}

static void help(void)
{
	size_t i;

	puts("usage: monitor [OPTION]...\n"
	     "Keeps the heaviest and the lightest containers of this host, and removes the rest.\n");
	for (i = 0; i < SETTINGS; i++) {
		char word[64];

		snprintf(word, sizeof(word), "--%s%s%s", settings[i].name, settings[i].value ? " " : "",
			 settings[i].value ? settings[i].value : "");
		printf("  %-24s %s\n", word, settings[i].help);
	}
	puts("  --help                   this\n"
	     "  --version                the version\n\n"
	     "A container with the label sysinfo.protect=true is never removed.\n"
	     "Exit status: 0 done, 1 failed while running, 2 bad usage or configuration,\n"
	     "3 the snapshot is not there or not readable.");
}

static enum config_result read_options(int argc, char **argv, const struct option *options,
				       bool only_file, struct config *c, char *reason)
{
	int opt;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
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
				 is_short ? letter : argv[optind - 1]);
			return CONFIG_BAD;
		}
		if (only_file != !strcmp(settings[opt].name, "config"))
			continue;
		if (!set(c, &settings[opt], optarg, reason))
			return CONFIG_BAD;
	}
	if (optind < argc) {
		snprintf(reason, CONFIG_REASON_SIZE, "unexpected argument '%.200s'; see --help",
			 argv[optind]);
		return CONFIG_BAD;
	}
	return CONFIG_RUN;
}

enum config_result config_load(int argc, char **argv, struct config *ret, char *reason)
{
	struct option options[SETTINGS + 3] = {
		[SETTINGS] = { "help", no_argument, NULL, OPT_HELP },
		[SETTINGS + 1] = { "version", no_argument, NULL, OPT_VERSION },
	};
	enum config_result result;
	size_t i;

	for (i = 0; i < SETTINGS; i++)
		options[i] = (struct option){ settings[i].name,
					      settings[i].value ? required_argument : no_argument, NULL,
					      (int)i };
	set_defaults(ret);
	/* Options win over the file, so the file is read first, and which it is before that. */
	result = read_options(argc, argv, options, true, ret, reason);
	if (result != CONFIG_RUN)
		return result;
	if (!read_file(ret, reason))
		return CONFIG_BAD;
	result = read_options(argc, argv, options, false, ret, reason);
	/* A path is put behind it. */
	for (i = strlen(ret->server); i > 0 && ret->server[i - 1] == '/'; i--)
		ret->server[i - 1] = '\0';
	return result;
}
