// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/crontab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "# BEGIN sysinfo monitor, gone when it ends\n"
#define END "# END sysinfo monitor\n"

/* The length of a line with its end. */
static size_t line_len(const char *text)
{
	size_t len = strcspn(text, "\n");

	return len + (text[len] == '\n');
}

/* The length of our entry, three whole lines, if it is here; else 0. */
static size_t entry_len(const char *text)
{
	size_t len = strlen(BEGIN);

	if (strncmp(text, BEGIN, len))
		return 0;
	len += line_len(text + len);
	/* It may be the last line, and lack its end. */
	if (strncmp(text + len, END, strlen(END) - 1))
		return 0;
	len += strlen(END) - 1;
	if (text[len] && text[len] != '\n')
		return 0;
	return len + (text[len] == '\n');
}

char *crontab_without(const char *text)
{
	char *out = malloc(strlen(text) + 1), *to = out;

	if (!out)
		return NULL;
	while (*text) {
		size_t len = entry_len(text);

		if (!len) {
			len = line_len(text);
			to = mempcpy(to, text, len);
		}
		text += len;
	}
	*to = '\0';
	return out;
}

char *crontab_with(const char *text, const char *entry)
{
	char *others = crontab_without(text), *out = NULL;
	size_t len;

	if (!others)
		return NULL;
	len = strlen(others);
	if (asprintf(&out, "%s%s%s%s\n%s", others, len && others[len - 1] != '\n' ? "\n" : "", BEGIN,
		     entry, END) < 0)
		out = NULL;
	free(others);
	return out;
}

char *crontab_quote(const char *word)
{
	char *out, *to;

	if (strchr(word, '\n'))
		return NULL;
	/* A quote becomes four bytes. */
	out = to = malloc(4 * strlen(word) + 3);
	if (!out)
		return NULL;
	*to++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			to = stpcpy(to, "'\\''");
		else if (*word == '%')
			to = stpcpy(to, "\\%");
		else if (*word == '\\' && (word[1] == '\\' || word[1] == '%'))
			/* cron would take the two for one character: the quotes part them. */
			to = stpcpy(to, "\\''");
		else
			*to++ = *word;
	}
	strcpy(to, "'");
	return out;
}
