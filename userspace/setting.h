/* SPDX-License-Identifier: GPL-2.0 */
/* The one list of all settings, and what their values are as text. */
#ifndef SETTING_H
#define SETTING_H

#include <stdio.h>

#include "userspace/config.h"

enum setting_kind {
	SETTING_LONG,
	SETTING_UINT,		/* uint32_t */
	SETTING_PERCENT,		/* into uint32_t, 1/100 % */
	SETTING_PERMILLE,	/* a percentage into uint32_t, 1/10 % */
	SETTING_MIB,		/* into uint64_t bytes */
	SETTING_MS,		/* into uint64_t µs */
	SETTING_SECONDS,	/* into uint64_t µs */
	SETTING_WORD,		/* one of words[], its index into an enum */
	SETTING_TEXT,		/* into char[] */
	SETTING_BOOL,		/* yes or no; as an option --x or --no-x */
	SETTING_BPF,		/* SETTING_WORD; as an option --bpf or --no-bpf */
	SETTING_PATTERNS,	/* into struct scope; may be given many times */
};

enum setting_place {
	SETTING_POLICY,		/* also in a recording; a reload takes it over */
	SETTING_LIVE,		/* a reload takes it over */
	SETTING_START,		/* holds from the start on */
	SETTING_OPTION,		/* an option only, not in files */
};

/* An option, or a key of the files: its bounds, and its help. */
struct setting {
	const char *name;
	const char *value;	/* its name in the help; NULL: a flag */
	enum setting_kind kind;
	enum setting_place place;
	size_t offset;
	size_t size;
	long min, max;
	const char *help;
	const char *const *words;	/* of SETTING_WORD and SETTING_BPF */
	const char *empty;	/* of SETTING_TEXT: the word for "" */
};

/* Room for all of them. */
#define SETTINGS_MAX 64

extern const struct setting settings[];
extern const size_t setting_count;

/**
 * setting_set() - take over a value
 * @c: the configuration
 * @s: the setting
 * @value: as text; of a flag "yes" or "no"
 * @reason: on failure, one line for the user (CONFIG_REASON_SIZE)
 *
 * Return: true, or false with @reason.
 */
bool setting_set(struct config *c, const struct setting *s, const char *value, char *reason);

/* Prints it as a line of a file that gives the same value.  Only of SETTING_POLICY. */
void setting_print(const struct config *c, const struct setting *s, FILE *out);

/* What is given without a value: --x or --no-x. */
bool setting_is_flag(const struct setting *s);

#endif
