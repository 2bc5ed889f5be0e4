// SPDX-License-Identifier: GPL-2.0
#include "userspace/workload/compose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/host/log.h"
#include "userspace/host/process.h"

#define PROBE_TIMEOUT_MS 30000
/* On a slow machine a container takes half a minute to start. */
#define UP_TIMEOUT_MS 300000
#define WORDS_MAX 4096

struct compose {
	sd_event *event;
	char *file;
	char *host;		/* "DOCKER_HOST=unix://SOCKET" */
	compose_done_fn *done;
	void *ctx;
};

static void finish(struct compose *c, int err, const char *reason)
{
	c->done(c->ctx, err, reason);
	free(c->file);
	free(c->host);
	free(c);
}

static void fail(struct compose *c, int status)
{
	char reason[COMPOSE_REASON_SIZE];

	if (status == -ENOENT)
		snprintf(reason, sizeof(reason),
			 "there is neither 'docker compose' nor 'docker-compose': install one, or use --no-compose");
	else if (status > 0)
		snprintf(reason, sizeof(reason),
			 "compose could not bring the log server up (status %d, see above): mend that, or use --no-compose",
			 status);
	else if (status == -ETIMEDOUT)
		snprintf(reason, sizeof(reason),
			 "compose has not brought the log server up in %d s; look at it, or use --no-compose",
			 UP_TIMEOUT_MS / 1000);
	else if (status == -ENOEXEC)
		snprintf(reason, sizeof(reason),
			 "docker-compose is there, but what should run it is not: install that, or use --no-compose");
	else
		snprintf(reason, sizeof(reason), "compose: %s", strerror(-status));
	finish(c, status > 0 ? -EIO : status, reason);
}

static int run(struct compose *c, char *const argv[], long timeout_ms, process_done_fn *done)
{
	char *const env[] = { c->host, NULL };
	const struct process_options options = {
		.argv = argv,
		.set_env = env,
		.timeout_ms = timeout_ms,
		.done = done,
		.ctx = c,
	};

	return process_start(c->event, &options, NULL);
}

/* Its own words, a line each; of a thousand the last ones. */
static void tell_words(const char *words)
{
	size_t len = strlen(words), n;
	const char *at = len > WORDS_MAX ? words + len - WORDS_MAX : words;

	for (; *at; at += n + (at[n] == '\n')) {
		n = strcspn(at, "\n");
		if (n)
			log_line("compose: %.*s", (int)(n < 1000 ? n : 1000), at);
	}
}

static void on_up(void *ctx, int status, const char *out, size_t out_len, const char *words)
{
	struct compose *c = ctx;

	(void)out;
	(void)out_len;
	if (status > 0)
		tell_words(words);
	if (status)
		fail(c, status);
	else
		finish(c, 0, "");
}

static void on_probed(void *ctx, int status, const char *out, size_t out_len, const char *words)
{
	struct compose *c = ctx;
	char *const plugin[] = { "docker", "compose", "-p", "sysinfo", "-f", c->file, "up", "-d", NULL };
	char *const standalone[] = { "docker-compose", "-p", "sysinfo", "-f", c->file, "up", "-d", NULL };
	int err;

	(void)out;
	(void)out_len;
	(void)words;
	err = run(c, status ? standalone : plugin, UP_TIMEOUT_MS, on_up);
	if (err)
		fail(c, err);
}

void compose_up(sd_event *event, const char *file, const char *socket, compose_done_fn *done,
		void *ctx)
{
	char *const probe[] = { "docker", "compose", "version", NULL };
	struct compose *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c) {
		done(ctx, err, "compose: no memory");
		return;
	}
	*c = (struct compose){ .event = event, .file = strdup(file), .done = done, .ctx = ctx };
	if (asprintf(&c->host, "DOCKER_HOST=unix://%s", socket) < 0)
		c->host = NULL;
	if (c->file && c->host)
		err = run(c, probe, PROBE_TIMEOUT_MS, on_probed);
	if (err)
		fail(c, err);
}
