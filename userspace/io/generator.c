// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/generator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/core/crontab.h"
#include "userspace/io/process.h"

static int fail(char *reason, const char *what, int err)
{
	if (err == -ENOENT)
		snprintf(reason, GENERATOR_REASON_SIZE,
			 "there is no crontab command: install cron, or use --no-generator");
	else if (err > 0)
		snprintf(reason, GENERATOR_REASON_SIZE, "%s failed with status %d", what, err);
	else
		snprintf(reason, GENERATOR_REASON_SIZE, "%s: %s", what, strerror(-err));
	return err > 0 ? -EIO : err;
}

/* The user's crontab; "" if there is none. */
static int read_crontab(char **ret, char *reason)
{
	char *list[] = { "crontab", "-l", NULL };
	int err;

	err = process_run(list, NULL, ret);
	/* 1: there is none (crontab(1)). */
	if (err == 0 || err == 1)
		return 0;
	return fail(reason, "crontab -l", err);
}

static int write_crontab(const char *text, char *reason)
{
	char *install[] = { "crontab", "-", NULL };
	char *remove[] = { "crontab", "-r", NULL };
	int err;

	err = process_run(*text ? install : remove, text, NULL);
	return err ? fail(reason, "crontab", err) : 0;
}

int generator_install(const char *script, const char *lock, const char *socket, char *reason)
{
	char *words[] = { crontab_quote(script), crontab_quote(lock), crontab_quote(socket) };
	char *entry = NULL, *old = NULL, *new = NULL;
	int err = -EINVAL;

	if (access(script, X_OK)) {
		err = -errno;
		snprintf(reason, GENERATOR_REASON_SIZE, "the generator %s: %s", script,
			 strerror(errno));
		goto out;
	}
	/* Cron would mail what it prints; the last run's words stay beside the lock. */
	if (!words[0] || !words[1] || !words[2] ||
	    asprintf(&entry, "* * * * * %s %s %s >%s.generator 2>&1", words[0], words[1], words[2],
		     words[1]) < 0) {
		entry = NULL;
		fail(reason, "the generator's paths", err);
		goto out;
	}
	err = read_crontab(&old, reason);
	if (err)
		goto out;
	new = crontab_with(old, entry);
	err = new ? write_crontab(new, reason) : -ENOMEM;
out:
	free(words[0]);
	free(words[1]);
	free(words[2]);
	free(entry);
	free(old);
	free(new);
	return err;
}

int generator_remove(char *reason)
{
	char *old, *new;
	int err;

	err = read_crontab(&old, reason);
	if (err)
		return err;
	new = crontab_without(old);
	if (!new)
		err = -ENOMEM;
	else if (strcmp(old, new))
		err = write_crontab(new, reason);
	free(old);
	free(new);
	return err;
}
