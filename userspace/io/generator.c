// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/generator.h"

#include <errno.h>
#include <stdbool.h>
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
		snprintf(reason, GENERATOR_REASON_SIZE, "%s failed with status %d, so it is left as it is",
			 what, err);
	else
		snprintf(reason, GENERATOR_REASON_SIZE, "%s: %s", what, strerror(-err));
	return err > 0 ? -EIO : err;
}

/*
 * Its status is the same for "there is none" as for "can't be read", and taking the one
 * for the other would cost the user all jobs; only its words tell.
 */
static bool says_there_is_none(void)
{
	char *words[] = { "sh", "-c", "LC_ALL=C crontab -l 2>&1 >/dev/null", NULL };
	char *output = NULL;
	bool none;

	process_run(words, NULL, &output);
	none = output && !strncmp(output, "no crontab for ", strlen("no crontab for "));
	free(output);
	return none;
}

/* The user's crontab; "" if there is none. */
static int read_crontab(char **ret, char *reason)
{
	char *list[] = { "sh", "-c", "exec crontab -l 2>/dev/null", NULL };
	char *text = NULL;
	int err;

	err = process_run(list, NULL, &text);
	if (err == 127)		/* sh(1): not found */
		err = -ENOENT;
	if (err == 0 || (err == 1 && !*text && says_there_is_none())) {
		*ret = text;
		return 0;
	}
	free(text);
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
	/* Cron runs it in another folder. */
	char *script_path = realpath(script, NULL), *socket_path = realpath(socket, NULL);
	char *words[3] = { NULL };
	char *entry = NULL, *old = NULL, *new = NULL;
	int err = -EINVAL;

	if (!script_path || !socket_path || access(script_path, X_OK)) {
		err = -errno;
		snprintf(reason, GENERATOR_REASON_SIZE, "the generator %s for %s: %s", script, socket,
			 strerror(errno));
		goto out;
	}
	words[0] = crontab_quote(script_path);
	words[1] = crontab_quote(lock);
	words[2] = crontab_quote(socket_path);
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
	err = new ? write_crontab(new, reason) : fail(reason, "the crontab", -ENOMEM);
out:
	free(script_path);
	free(socket_path);
	free(words[0]);
	free(words[1]);
	free(words[2]);
	free(entry);
	free(old);
	free(new);
	return err;
}

int generator_remove(const char *lock, char *reason)
{
	char *ours = crontab_quote(lock), *old = NULL, *new = NULL;
	int err;

	err = read_crontab(&old, reason);
	if (err)
		goto out;
	/* Another monitor's entry names another lock. */
	new = ours && strstr(old, ours) ? crontab_without(old) : NULL;
	if (new && strcmp(old, new))
		err = write_crontab(new, reason);
out:
	free(ours);
	free(old);
	free(new);
	return err;
}
