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
#include "userspace/setting.h"

#ifndef MONITOR_VERSION
#define MONITOR_VERSION "0.1.0"
#endif

#define FILE_MAX (1 << 20)
/* inih has room for 200 bytes, and takes what is beyond for another line. */
#define LINE_MAX_BYTES 190

/* getopt_long()'s values: a setting's index, the same for its --no- form, and these. */
enum { OPT_NO = 1000, OPT_HELP = 2000, OPT_VERSION };

static const char *const commands[] = {
	[CONFIG_EXPLAIN] = "explain",
	[CONFIG_RECORD] = "record",
	[CONFIG_REPLAY] = "replay",
	[CONFIG_STATUS] = "status",
	[CONFIG_ARM] = "arm",
	[CONFIG_DISARM] = "disarm",
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
		set_text(c->spool, sizeof(c->spool), CONFIG_ROOT_SPOOL);
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
	for (i = 0; i < setting_count; i++)
		if (settings[i].place != SETTING_OPTION && same_name(key, settings[i].name))
			return setting_set(r->config, &settings[i], value, r->reason);
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
	struct stat st;

	/* A replay rests on the policy that was recorded, unless another is named. */
	if (!c->file[0] && c->command == CONFIG_REPLAY)
		return true;
	/* Only one that isn't there may be missing; a link to nowhere is there. */
	c->has_file = c->file[0] || !lstat(file, &st) || errno != ENOENT;
	if (c->has_file && !read_file(c, file, reason))
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
	     "       monitor status                 what the running monitor does\n"
	     "       monitor disarm                 have it remove nothing from now on\n"
	     "       monitor arm                    have it remove again\n"
	     "Keeps the heaviest and the lightest containers of this host, and removes the rest.\n");
	for (i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		char word[64];
		bool off = s->kind == SETTING_BOOL && *((const bool *)((const char *)&defaults + s->offset));

		snprintf(word, sizeof(word), "--%s%s%s%s", off ? "no-" : "", s->name, s->value ? " " : "",
			 s->value ? s->value : "");
		printf("  %-24s %s%s\n", word, off ? "without " : "", s->help);
	}
	puts("  --help                   this\n"
	     "  --version                the version\n\n"
	     "What has no value may be said both ways: --bpf and --no-bpf, --dry-run and --no-dry-run.\n"
	     "In files all but the last three are keys: keep-high = 2, generator = no.\n"
	     "A container with the label sysinfo.protect=true is never removed.\n"
	     "SIGUSR1 disarms the monitor, SIGUSR2 arms it; SIGHUP reads the files again.\n"
	     "Exit status: 0 done, 1 failed while running, 2 bad usage or configuration,\n"
	     "3 the snapshot is not there or not readable.");
}

/* Which options were given on this command line. */
struct given {
	bool option[SETTINGS_MAX], no[SETTINGS_MAX];
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
	if (s->kind == SETTING_BPF && given->option[i] && given->no[i]) {
		snprintf(reason, CONFIG_REASON_SIZE, "choose one of --bpf and --no-bpf");
		return false;
	}
	if (s->kind == SETTING_BPF)
		return setting_set(c, s, no ? "no" : "must", reason);
	if (s->kind == SETTING_BOOL)
		return setting_set(c, s, no ? "no" : "yes", reason);
	if (s->kind == SETTING_PATTERNS && first)
		setting_set(c, s, "", reason);
	return setting_set(c, s, optarg, reason);
}

static size_t list_options(struct option *ret, char (*names)[32])
{
	size_t i, n = 0;

	for (i = 0; i < setting_count; i++) {
		ret[n++] = (struct option){ settings[i].name,
					    setting_is_flag(&settings[i]) ? no_argument : required_argument,
					    NULL, (int)i };
		if (!setting_is_flag(&settings[i]))
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
	struct option options[2 * SETTINGS_MAX + 3];
	struct given given = { 0 };
	char names[SETTINGS_MAX][32];
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
			bool is_short = optopt > 0 && optopt < 128 && (size_t)optopt >= setting_count;

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

	for (i = CONFIG_EXPLAIN; c->argc > 1 && i < CONFIG_COMMANDS; i++) {
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

	if (c->command != CONFIG_WATCH && !config_asks(c->command) && at < c->argc)
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
	if (c->command != CONFIG_WATCH && !config_asks(c->command)) {
		c->generator = c->compose = false;
		c->dry_run = true;
	}
	if (c->command == CONFIG_EXPLAIN)
		c->record[0] = '\0';
	if (c->command == CONFIG_EXPLAIN && !c->argument && !c->cycles)
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
	/* Somebody is about to replace it, or the policy would be lost without a word. */
	if (c->has_file && !new->has_file) {
		snprintf(reason, CONFIG_REASON_SIZE, "%s is not there any more; a restart goes without it",
			 CONFIG_FILE);
		goto out;
	}
	reason[0] = '\0';
	for (i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		char *old_at = (char *)c + s->offset;
		const char *new_at = (char *)new + s->offset;
		size_t used = strlen(reason);

		if (s->place == SETTING_START && (s->kind == SETTING_TEXT ? strcmp(old_at, new_at) != 0 :
						memcmp(old_at, new_at, s->size) != 0))
			snprintf(reason + used, CONFIG_REASON_SIZE - used, "%s%s", used ? ", " : "", s->name);
		if (s->place == SETTING_LIVE)
			memcpy(old_at, new_at, s->size);
	}
	c->policy = new->policy;
	c->has_file = new->has_file;
	ok = true;
out:
	free(new);
	return ok;
}

void config_control_path(const struct config *c, char *buf, size_t size)
{
	if (c->control[0])
		snprintf(buf, size, "%s", c->control);
	else
		snprintf(buf, size, "%s%s/control.sock", c->spool,
			 c->dry_run ? "/" CONFIG_DRY_RUN_FOLDER : "");
	/* A member of its control-group asks root's monitor. */
	if (!c->control[0] && config_asks(c->command) && geteuid() && access(buf, F_OK) && errno == ENOENT)
		snprintf(buf, size, CONFIG_ROOT_SPOOL "/control.sock");
}

char *config_policy_text(const struct config *c)
{
	char *text = NULL;
	size_t i, len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (i = 0; i < setting_count; i++)
		if (settings[i].place == SETTING_POLICY)
			setting_print(c, &settings[i], out);
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
