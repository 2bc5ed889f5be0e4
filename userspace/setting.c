// SPDX-License-Identifier: GPL-2.0
#include "userspace/setting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/sysinfo_abi.h"

static const char *const classifiers[] = { "threshold", "rank", NULL };
static const char *const memories[] = { "current", "working-set", NULL };
static const char *const bpfs[] = { "try", "must", "no", NULL };

const struct setting settings[] = {
#define AT(member) offsetof(struct config, member), sizeof(((struct config *)NULL)->member)
	{ "interval", "S", SETTING_LONG, SETTING_LIVE, AT(interval_s), 1, 3600,
	  "seconds between two looks (10)", NULL, NULL },
	{ "keep-high", "N", SETTING_UINT, SETTING_POLICY, AT(policy.decide.keep_high), 0, 100000,
	  "high consumers that stay, the heaviest (2)", NULL, NULL },
	{ "keep-low", "N", SETTING_UINT, SETTING_POLICY, AT(policy.decide.keep_low), 0, 100000,
	  "low consumers that stay, the lightest (3)", NULL, NULL },
	{ "give-up", "N", SETTING_UINT, SETTING_POLICY, AT(policy.decide.give_up), 0, 100000,
	  "kills in an hour, after which one that still comes back stays; 0: never (3)", NULL, NULL },
	{ "grace", "S", SETTING_LONG, SETTING_LIVE, AT(grace_s), 0, 60,
	  "seconds from a victim's stop signal to its end; 0: it is killed at once (0)", NULL, NULL },
	{ "classifier", "NAME", SETTING_WORD, SETTING_POLICY, AT(policy.classify.classifier), 0, 0,
	  "threshold, or rank: the upper half is high (threshold)", classifiers, NULL },
	{ "high-cpu", "PERCENT", SETTING_PERCENT, SETTING_POLICY,
	  AT(policy.classify.cpu_centi), 0, 100000,
	  "of one CPU, from which a container is high (10)", NULL, NULL },
	{ "high-memory", "MIB", SETTING_MIB, SETTING_POLICY,
	  AT(policy.classify.memory_bytes), 0, 1 << 30,
	  "of memory, from which a container is high (100)", NULL, NULL },
	{ "memory", "KIND", SETTING_WORD, SETTING_POLICY, AT(policy.measure.memory), 0, 0,
	  "current: memory.current; working-set: less inactive_file (current)", memories, NULL },
	{ "window", "CYCLES", SETTING_UINT, SETTING_POLICY,
	  AT(policy.measure.window), 1, MEASURE_WINDOW_MAX,
	  "that a container is judged over (1)", NULL, NULL },
	{ "hysteresis", "PERCENT", SETTING_PERMILLE, SETTING_POLICY,
	  AT(policy.classify.hysteresis_permille), 0, 100,
	  "below a line that one that was high must be to be low (0)", NULL, NULL },
	{ "min-age", "S", SETTING_SECONDS, SETTING_POLICY,
	  AT(policy.decide.min_age_us), 0, 31536000,
	  "seconds a container stays in any case (0)", NULL, NULL },
	{ "scope", "PATTERN", SETTING_PATTERNS, SETTING_POLICY, AT(policy.decide.scope), 0, 0,
	  "govern only such containers; label:, name:, image: or runtime:GLOB (all)", NULL, NULL },
	{ "protect", "PATTERN", SETTING_PATTERNS, SETTING_POLICY, AT(policy.decide.protect), 0, 0,
	  "never remove such containers (none)", NULL, NULL },
	{ "kills-per-cycle", "N", SETTING_UINT, SETTING_POLICY, AT(policy.brake.cycle), 0, 100000,
	  "a plan with more disarms the monitor (100)", NULL, NULL },
	{ "kills-per-hour", "N", SETTING_UINT, SETTING_POLICY, AT(policy.brake.hour), 0, 100000,
	  "what would pass this disarms it (1200)", NULL, NULL },
	{ "kills-per-image", "N", SETTING_UINT, SETTING_POLICY, AT(policy.brake.image), 0, 100000,
	  "of one image in an hour; likewise (600)", NULL, NULL },
	{ "tolerance", "PERCENT", SETTING_PERMILLE, SETTING_POLICY,
	  AT(policy.reconcile.tolerance_permille), 0, 100,
	  "that the sources may differ by before a container is disputed (5)", NULL, NULL },
	{ "tolerance-ms", "MS", SETTING_MS, SETTING_POLICY,
	  AT(policy.reconcile.tolerance_us), 0, 10000,
	  "that they may differ by in any case (20)", NULL, NULL },
	{ "bpf", NULL, SETTING_BPF, SETTING_START, AT(bpf), 0, 0,
	  "fail if the witness can't be loaded (try)", bpfs, NULL },
	{ "snapshot", "PATH", SETTING_TEXT, SETTING_START, AT(snapshot), 0, 0,
	  "the module's file (" SYSINFO_PATH ")", NULL, NULL },
	{ "cgroup-root", "DIR", SETTING_TEXT, SETTING_START, AT(cgroup_root), 0, 0,
	  "where cgroup v2 is mounted (/sys/fs/cgroup)", NULL, NULL },
	{ "runtime-socket", "PATH", SETTING_TEXT, SETTING_START, AT(runtime_socket), 0, 0,
	  "of the container runtime (auto: Docker's, else Podman's)", NULL, "auto" },
	{ "server", "URL", SETTING_TEXT, SETTING_START, AT(server), 0, 0,
	  "the log server (http://127.0.0.1:8000)", NULL, NULL },
	{ "spool", "DIR", SETTING_TEXT, SETTING_START, AT(spool), 0, 0,
	  "what must survive the monitor (auto: /var/lib/sysinfo-monitor, or below the home folder)", NULL, "auto" },
	{ "control", "PATH", SETTING_TEXT, SETTING_START, AT(control), 0, 0,
	  "the socket that status, arm and disarm use (auto: control.sock in the spool)", NULL, "auto" },
	{ "control-group", "NAME", SETTING_TEXT, SETTING_START, AT(control_group), 0, 0,
	  "whose members may use it, too (none)", NULL, "none" },
	{ "images", "DIR", SETTING_TEXT, SETTING_START, AT(images), 0, 0,
	  "where the graphs are put at the end (images)", NULL, NULL },
	{ "compose-dir", "DIR", SETTING_TEXT, SETTING_START, AT(compose_dir), 0, 0,
	  "docker-compose.yml and the generator's script (auto: compose, beside the program)", NULL, "auto" },
	{ "record", "FILE", SETTING_TEXT, SETTING_START, AT(record), 0, 0,
	  "keep what is seen and decided, for explain and replay (none)", NULL, "none" },
	{ "record-mib", "MIB", SETTING_LONG, SETTING_START, AT(record_mib), 1, 1024,
	  "then FILE becomes FILE.old, and a new one begins (64)", NULL, NULL },
	{ "generator", NULL, SETTING_BOOL, SETTING_START, AT(generator), 0, 0,
	  "a cron entry that makes containers (yes)", NULL, NULL },
	{ "compose", NULL, SETTING_BOOL, SETTING_START, AT(compose), 0, 0,
	  "bring the log server up (yes)", NULL, NULL },
	{ "dry-run", NULL, SETTING_BOOL, SETTING_START, AT(dry_run), 0, 0,
	  "everything but the kills (no)", NULL, NULL },
	{ "json", NULL, SETTING_BOOL, SETTING_START,
	  AT(json), 0, 0, "one JSON object a cycle (no)", NULL, NULL },
	{ "cycles", "N", SETTING_LONG, SETTING_OPTION,
	  AT(cycles), 0, 1000000000, "end after so many cycles; of a recording, with this one", NULL, NULL },
	{ "config", "FILE", SETTING_TEXT, SETTING_OPTION, AT(file), 0, 0,
	  "read this file, and FILE.d/*.conf (" CONFIG_FILE ")", NULL, NULL },
	{ "check-config", NULL, SETTING_BOOL, SETTING_OPTION, AT(check_only), 0, 0,
	  "check options and configuration, then end", NULL, NULL },
#undef AT
};
const size_t setting_count = sizeof(settings) / sizeof(settings[0]);
_Static_assert(sizeof(settings) / sizeof(settings[0]) <= SETTINGS_MAX, "more room");

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

bool setting_set(struct config *c, const struct setting *s, const char *value, char *reason)
{
	static const char *const yes_no[] = { "no", "yes", NULL };
	void *to = (char *)c + s->offset;
	struct setting as_word = *s;
	unsigned int yes = 0;
	long n = 0;

	switch (s->kind) {
	case SETTING_WORD:
	case SETTING_BPF:
		return set_word(s, value, to, reason);
	case SETTING_BOOL:
		as_word.words = yes_no;
		if (!set_word(&as_word, value, &yes, reason))
			return false;
		*(bool *)to = yes;
		return true;
	case SETTING_PATTERNS:
		return set_pattern(s, value, to, reason);
	case SETTING_TEXT:
		if (strlen(value) < s->size && *value) {
			snprintf(to, s->size, "%s", s->empty && !strcmp(value, s->empty) ? "" : value);
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
	if (s->kind == SETTING_LONG)
		*(long *)to = n;
	else if (s->kind == SETTING_UINT)
		*(uint32_t *)to = (uint32_t)n;
	else if (s->kind == SETTING_PERCENT)
		*(uint32_t *)to = (uint32_t)n * 100;
	else if (s->kind == SETTING_PERMILLE)
		*(uint32_t *)to = (uint32_t)n * 10;
	else if (s->kind == SETTING_MIB)
		*(uint64_t *)to = (uint64_t)n << 20;
	else
		*(uint64_t *)to = (uint64_t)n * (s->kind == SETTING_MS ? 1000 : 1000000);
	return true;
}

bool setting_is_flag(const struct setting *s)
{
	return s->kind == SETTING_BOOL || s->kind == SETTING_BPF;
}

void setting_print(const struct config *c, const struct setting *s, FILE *out)
{
	const void *at = (const char *)c + s->offset;
	const struct scope *scope;
	uint32_t i;

	switch (s->kind) {
	case SETTING_UINT:
		fprintf(out, "%s = %u\n", s->name, *(const uint32_t *)at);
		break;
	case SETTING_PERCENT:
	case SETTING_PERMILLE:
		fprintf(out, "%s = %u\n", s->name,
			*(const uint32_t *)at / (s->kind == SETTING_PERCENT ? 100 : 10));
		break;
	case SETTING_MIB:
		fprintf(out, "%s = %llu\n", s->name, (unsigned long long)*(const uint64_t *)at >> 20);
		break;
	case SETTING_MS:
	case SETTING_SECONDS:
		fprintf(out, "%s = %llu\n", s->name,
			(unsigned long long)*(const uint64_t *)at / (s->kind == SETTING_MS ? 1000 : 1000000));
		break;
	case SETTING_WORD:
		fprintf(out, "%s = %s\n", s->name, s->words[*(const unsigned int *)at]);
		break;
	case SETTING_PATTERNS:
		scope = at;
		for (i = 0; i < scope->count; i++)
			fprintf(out, "%s = %s:%s\n", s->name, scope_kind_name(scope->patterns[i].kind),
				scope->patterns[i].glob);
		break;
	default:
		break;	/* no policy has one */
	}
}
