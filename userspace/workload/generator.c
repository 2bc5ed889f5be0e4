// SPDX-License-Identifier: GPL-2.0
#include "userspace/workload/generator.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/core/crontab.h"
#include "userspace/host/process.h"

/* crontab(1) reads and writes one small file. */
#define CRONTAB_TIMEOUT_MS 20000

/* A change of the user's crontab: it is read, then written. */
struct change {
	sd_event *event;
	char *lock;		/* as a word of the entry */
	char *entry;		/* NULL: it is taken out */
	generator_done_fn *done;
	void *ctx;
};

static void finish(struct change *c, int err, const char *reason)
{
	c->done(c->ctx, err, reason);
	free(c->lock);
	free(c->entry);
	free(c);
}

static void fail(struct change *c, const char *what, int status, const char *words)
{
	char reason[GENERATOR_REASON_SIZE];

	if (status == -ENOENT)
		snprintf(reason, sizeof(reason),
			 "there is no crontab command: install cron, or use --no-generator");
	else if (status > 0)
		snprintf(reason, sizeof(reason), "%s failed with status %d, so it is left as it is: %.200s",
			 what, status, words);
	else if (status == -ETIMEDOUT)
		snprintf(reason, sizeof(reason), "%s has not ended in %d s", what,
			 CRONTAB_TIMEOUT_MS / 1000);
	else
		snprintf(reason, sizeof(reason), "%s: %s", what, strerror(-status));
	finish(c, status > 0 ? -EIO : status, reason);
}

static int run(struct change *c, char *const argv[], const char *input, process_done_fn *done)
{
	/* Its words tell one failure from another. */
	char *const words[] = { "LC_ALL=C", NULL };
	const struct process_options options = {
		.argv = argv,
		.set_env = words,
		.input = input,
		.input_len = input ? strlen(input) : 0,
		.timeout_ms = CRONTAB_TIMEOUT_MS,
		.done = done,
		.ctx = c,
	};

	return process_start(c->event, &options, NULL);
}

static void on_written(void *ctx, int status, const char *out, size_t out_len, const char *words)
{
	struct change *c = ctx;

	(void)out;
	(void)out_len;
	if (status)
		fail(c, "crontab", status, words);
	else
		finish(c, 0, "");
}

static void write_crontab(struct change *c, const char *old)
{
	char *const install[] = { "crontab", "-", NULL };
	char *const remove[] = { "crontab", "-r", NULL };
	char *new;
	int err;

	/* Another monitor's entry names another lock. */
	if (!c->entry && !strstr(old, c->lock)) {
		finish(c, 0, "");
		return;
	}
	new = c->entry ? crontab_with(old, c->entry) : crontab_without(old);
	if (new && !strcmp(old, new)) {
		free(new);
		finish(c, 0, "");
		return;
	}
	err = new ? run(c, *new ? install : remove, new, on_written) : -ENOMEM;
	free(new);
	if (err)
		fail(c, "crontab", err, "");
}

static void on_read(void *ctx, int status, const char *out, size_t out_len, const char *words)
{
	struct change *c = ctx;

	/*
	 * The status is the same for "there is none" as for "can't be read", and taking the one for
	 * the other would cost the user all jobs; only its words tell.
	 */
	if (status == 0 || (status == 1 && !out_len && !strncmp(words, "no crontab for ",
								 strlen("no crontab for "))))
		write_crontab(c, out);
	else
		fail(c, "crontab -l", status, words);
}

static void begin(struct change *c)
{
	char *const list[] = { "crontab", "-l", NULL };
	int err = run(c, list, NULL, on_read);

	if (err)
		fail(c, "crontab -l", err, "");
}

static struct change *change_new(sd_event *event, const char *lock, generator_done_fn *done, void *ctx)
{
	struct change *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct change){ .event = event, .lock = crontab_quote(lock), .done = done, .ctx = ctx };
	if (c && c->lock)
		return c;
	free(c);
	done(ctx, -EINVAL, "the crontab entry: no memory, or a line end in a path");
	return NULL;
}

/* Cron would mail what it prints; the last run's words stay beside the lock. */
static char *make_entry(const char *script, const char *socket, const char *lock_word)
{
	char *script_word = crontab_quote(script), *socket_word = crontab_quote(socket);
	char *entry = NULL;

	if (!script_word || !socket_word ||
	    asprintf(&entry, "* * * * * %s %s %s >%s.generator 2>&1", script_word, lock_word, socket_word,
		     lock_word) < 0)
		entry = NULL;
	free(script_word);
	free(socket_word);
	return entry;
}

struct paths {
	const char *script, *socket;
};

/* In a child: a folder may be on a file system that hangs.  Cron runs the script in another one. */
static int resolve_in_child(void *ctx, int fd)
{
	const struct paths *p = ctx;
	char script[PATH_MAX], socket[PATH_MAX];

	if (!realpath(p->script, script) || access(script, X_OK) || !realpath(p->socket, socket)) {
		dprintf(fd, "the generator %.200s for %.200s: %s", p->script, p->socket, strerror(errno));
		return 1;
	}
	return dprintf(fd, "%s%c%s", script, '\0', socket) > 0 ? 0 : 1;
}

static void on_resolved(void *ctx, int status, const char *out, size_t out_len, const char *words)
{
	struct change *c = ctx;
	const char *socket = out + strlen(out) + 1;

	if (status) {
		if (status > 0 && out_len)
			finish(c, -EIO, out);
		else
			fail(c, "the look for the generator", status, words);
		return;
	}
	if (socket < out + out_len)
		c->entry = make_entry(out, socket, c->lock);
	if (c->entry)
		begin(c);
	else
		fail(c, "the generator's paths", -EINVAL, "");
}

void generator_install(sd_event *event, const char *script, const char *lock, const char *socket,
		       generator_done_fn *done, void *ctx)
{
	struct change *c = change_new(event, lock, done, ctx);
	struct paths paths = { script, socket };
	int err;

	if (!c)
		return;
	err = process_call(event, resolve_in_child, &paths, CRONTAB_TIMEOUT_MS, on_resolved, c, NULL);
	if (err)
		fail(c, "the generator's paths", err, "");
}

void generator_remove(sd_event *event, const char *lock, generator_done_fn *done, void *ctx)
{
	struct change *c = change_new(event, lock, done, ctx);

	if (c)
		begin(c);
}
