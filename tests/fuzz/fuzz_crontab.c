// SPDX-License-Identifier: GPL-2.0
/*
 * A crontab with our entry in it and out again is the same, byte by byte; and a quoted
 * word is that word again after cron and the shell have read it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/core/crontab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)           \
	do {                       \
		if (!(condition))  \
			abort();   \
	} while (0)

#define ENTRY "* * * * * command"

static void check_entry(const char *text)
{
	/* What an earlier monitor left is ours to remove. */
	char *others = crontab_without(text), *with, *again, *without;
	size_t len;

	CHECK(others);
	with = crontab_with(text, ENTRY);
	CHECK(with && strstr(with, ENTRY "\n"));
	again = crontab_with(with, ENTRY);
	CHECK(again && !strcmp(again, with));
	without = crontab_without(with);
	CHECK(without);
	len = strlen(others);
	/* A last line without an end gets one: cron wants it (crontab(5)). */
	CHECK(!strncmp(without, others, len));
	CHECK(!strcmp(without + len, len && others[len - 1] != '\n' ? "\n" : ""));
	free(without);
	free(again);
	free(with);
	free(others);
}

/*
 * As Vixie cron's do_command.c reads a command: a backslash before "%" or a backslash
 * goes away, and a bare "%" ends the command.
 */
static void read_as_cron(char *text)
{
	char *to = text;

	for (; *text && *text != '%'; text++) {
		if (*text == '\\' && text[1] == '\\')
			text++;
		else if (*text == '\\' && text[1] == '%')
			text++;
		else if (*text == '\\' && text[1])
			*to++ = *text++;
		*to++ = *text;
	}
	*to = '\0';
}

/* As the shell reads one word of what we make: '...' and \x (POSIX, 2.2). */
static void read_as_shell(char *text)
{
	char *to = text;

	while (*text) {
		if (*text == '\'') {
			for (text++; *text != '\''; text++) {
				CHECK(*text);
				*to++ = *text;
			}
			text++;
		} else {
			CHECK(*text == '\\' && text[1]);
			*to++ = text[1];
			text += 2;
		}
	}
	*to = '\0';
}

static void check_quote(const char *word)
{
	char *quoted = crontab_quote(word);

	CHECK(!quoted == !!strchr(word, '\n'));
	if (!quoted)
		return;
	CHECK(!strchr(quoted, '\n'));
	read_as_cron(quoted);
	read_as_shell(quoted);
	CHECK(!strcmp(quoted, word));
	free(quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_entry(text);
	check_quote(text);
	free(text);
	return 0;
}
