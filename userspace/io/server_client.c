// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/server_client.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "userspace/io/file.h"

/* The server answers after an fdatasync, which a busy disk can hold up for seconds. */
#define SEND_TIMEOUT_MS 10000
/* gnuplot starts, reads a day of samples and draws, on a slow machine. */
#define DRAW_TIMEOUT_MS 20000
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 30000

struct server_client {
	struct spool *spool;
	char *url;
	pthread_t thread;
	pthread_mutex_t mutex;	/* all below */
	pthread_cond_t wake;
	bool kicked;
	bool stopping;
	int64_t deadline_ms;	/* when stopping */
	struct server_status status;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Milliseconds a request may take now; 0: no time is left. */
static long time_left(struct server_client *c)
{
	int64_t left = SEND_TIMEOUT_MS;

	pthread_mutex_lock(&c->mutex);
	if (c->stopping && c->deadline_ms - now_ms() < left)
		left = c->deadline_ms - now_ms();
	pthread_mutex_unlock(&c->mutex);
	return left > 0 ? (long)left : 0;
}

/* Is it our log server that speaks, and does it say this?  Another may have its port. */
static bool answers(const struct http_request *r, const char *key)
{
	cJSON *o = cJSON_ParseWithLength(r->answer ? r->answer : "", r->answer_len);
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
	bool yes = cJSON_IsTrue(item) || cJSON_IsString(item);

	cJSON_Delete(o);
	return yes;
}

/* The batch itself is at fault: another attempt won't change that. */
static bool is_refusal(const struct http_request *r)
{
	return (r->status == 400 || r->status == 413 || r->status == 422) && answers(r, "error");
}

/* Return: true if the batch is dealt with, and the next one's turn has come. */
static bool send_batch(struct server_client *c, const struct spool_batch *batch)
{
	struct http_request r = {
		.method = "POST",
		.url = http_url("%s/%s", c->url, batch->kind == SPOOL_KILLS ? "logs" : "logsmemory"),
		.body = batch->body,
		.timeout_ms = time_left(c),
	};
	int err = r.timeout_ms ? http_perform(&r, 1, NULL) : -ETIMEDOUT;
	bool stored = !err && r.status == 200 && answers(&r, "received");
	bool refused = !err && is_refusal(&r);

	if (stored)
		err = spool_done(c->spool, batch);
	else if (refused)
		err = spool_refuse(c->spool, batch);

	pthread_mutex_lock(&c->mutex);
	c->status.tried = true;
	c->status.reachable = stored && !err;
	c->status.batches_sent += stored;
	c->status.batches_refused += refused;
	if (err)
		snprintf(c->status.reason, sizeof(c->status.reason), "%s", strerror(-err));
	else if (!stored && r.status)
		snprintf(c->status.reason, sizeof(c->status.reason), "%s answered %ld: %.150s",
			 c->url, r.status, r.answer ? r.answer : "");
	else if (!stored)
		snprintf(c->status.reason, sizeof(c->status.reason), "%.255s", r.reason);
	pthread_mutex_unlock(&c->mutex);
	http_request_free(&r);
	return !err && (stored || refused);
}

static void spool_failed(struct server_client *c, int err)
{
	pthread_mutex_lock(&c->mutex);
	c->status.tried = true;
	c->status.reachable = false;
	snprintf(c->status.reason, sizeof(c->status.reason), "the spool can't be read: %s",
		 strerror(-err));
	pthread_mutex_unlock(&c->mutex);
}

/* Until kicked, stopped, or, after a failure, until it is time to try again. */
static bool wait_for_work(struct server_client *c, long retry_ms)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += retry_ms / 1000;
	until.tv_nsec += retry_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&c->mutex);
	while (!c->kicked && !c->stopping) {
		if (!retry_ms)
			pthread_cond_wait(&c->wake, &c->mutex);
		else if (pthread_cond_timedwait(&c->wake, &c->mutex, &until) == ETIMEDOUT)
			break;
	}
	c->kicked = false;
	go_on = !c->stopping;
	pthread_mutex_unlock(&c->mutex);
	return go_on;
}

static void *run(void *arg)
{
	struct server_client *c = arg;
	long retry_ms = RETRY_MIN_MS;
	struct spool_batch batch;
	bool go_on = true;
	int err;

	for (;;) {
		err = spool_first(c->spool, &batch);
		if (!err) {
			bool next = send_batch(c, &batch);

			free(batch.body);
			if (next) {
				retry_ms = RETRY_MIN_MS;
				continue;
			}
		} else if (err != -ENOENT) {
			spool_failed(c, err);
		}
		if (!go_on)
			break;	/* told to stop, and tried once more since */
		go_on = wait_for_work(c, err == -ENOENT ? 0 : retry_ms);
		retry_ms = retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : retry_ms * 2;
	}
	return NULL;
}

int server_client_start(struct spool *spool, const char *url, struct server_client **ret)
{
	struct server_client *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int err;

	if (!c)
		return -ENOMEM;
	c->spool = spool;
	c->url = strdup(url);
	if (!c->url) {
		free(c);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&c->thread, NULL, run, c);
	if (err) {
		free(c->url);
		free(c);
		return -err;
	}
	*ret = c;
	return 0;
}

void server_client_kick(struct server_client *c)
{
	pthread_mutex_lock(&c->mutex);
	c->kicked = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
}

void server_client_status(struct server_client *c, struct server_status *ret)
{
	pthread_mutex_lock(&c->mutex);
	*ret = c->status;
	pthread_mutex_unlock(&c->mutex);
}

bool server_client_stop(struct server_client *c, long drain_ms)
{
	bool reachable;

	if (!c)
		return false;
	pthread_mutex_lock(&c->mutex);
	c->stopping = true;
	c->deadline_ms = now_ms() + drain_ms;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
	pthread_join(c->thread, NULL);
	reachable = c->status.reachable;
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->mutex);
	free(c->url);
	free(c);
	return reachable;
}

static int save(const char *folder, const char *name, const struct http_request *r)
{
	int dir, err;

	if (mkdir(folder, 0755) && errno != EEXIST)
		return -errno;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	err = file_write_durably(dir, name, r->answer, r->answer_len, 0644);
	close(dir);
	return err;
}

int server_draw(const char *url, const char *folder, char *reason)
{
	static const char *const paths[] = { "logs/grafica", "graphs/memory.png", "graphs/processes.png" };
	static const char *const names[] = { NULL, "Memory.png", "Processes.png" };
	size_t i;
	int err = 0;

	for (i = 0; !err && i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct http_request r = {
			.method = "GET",
			.url = http_url("%s/%s", url, paths[i]),
			.timeout_ms = DRAW_TIMEOUT_MS,
		};

		err = http_perform(&r, 1, NULL);
		if (!err && r.status != 200) {
			err = -EIO;
			snprintf(reason, HTTP_REASON_SIZE, "%s/%s: %.150s (%ld)", url, paths[i],
				 r.status ? "refused" : r.reason, r.status);
		} else if (!err && names[i]) {
			err = save(folder, names[i], &r);
			if (err)
				snprintf(reason, HTTP_REASON_SIZE, "%s/%s: %s", folder, names[i],
					 strerror(-err));
		} else if (err) {
			snprintf(reason, HTTP_REASON_SIZE, "%s", strerror(-err));
		}
		http_request_free(&r);
	}
	return err;
}
