// SPDX-License-Identifier: GPL-2.0
#include "userspace/act/fault.h"
#include "userspace/deliver/log_client.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "userspace/deliver/queue.h"

/* The server answers after an fdatasync, which a busy disk can hold up for seconds. */
#define SEND_TIMEOUT_MS 10000
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000
#define PAUSE_ACCURACY_US 10000
/* Our server's answers have some 60 bytes, its refusals a sentence; another may have its port. */
#define ANSWER_MAX 65536
/* One sample every ten seconds: a disk with so many calls to do hangs. */
#define PENDING_MAX 100

enum log_verdict {
	LOG_TAKEN,
	LOG_REFUSED, /* the batch itself is at fault: another attempt won't change that */
	LOG_FAILED, /* no answer of our server that says either */
	LOG_NO_ANSWER,
};

/* A batch that is on its way to the disk. */
struct log_put {
	LIST_ENTRY(log_put) list;
	struct log_client *client;
	enum spool_kind kind;
	char *body; /* of kills, for another attempt */
	spool_done_fn *done;
	void *ctx;
};

struct log_client {
	struct http *http;
	struct spool *spool;
	char *url;
	sd_event_source *step, *timer;
	struct queue queue;
	LIST_HEAD(, log_put) puts;
	size_t samples_put; /* of them */
	/* The batch that is being sent; from its reading to its removal. */
	bool busy;
	struct spool_batch current;
	bool current_dropped;
	size_t records;
	struct http_request *request;
	/* In a round each batch has its turn once, from the fewest answers against it on. */
	bool in_round;
	uint32_t round_against;
	bool paused;
	uint64_t pause_ms; /* the next one */
	void (*drained)(void *ctx);
	void *drained_ctx;
	struct log_status status;
};

#define set_reason(c, ...) snprintf((c)->status.reason, sizeof((c)->status.reason), __VA_ARGS__)

/* --- whose turn it is ------------------------------------------------------------------ */

static void log_client_kick(struct log_client *c)
{
	sd_event_source_set_enabled(c->step, SD_EVENT_ONESHOT);
}

static void log_client_pause(struct log_client *c)
{
	c->paused = true;
	c->in_round = false;
	sd_event_source_set_time_relative(c->timer, c->pause_ms * 1000);
	sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
	c->pause_ms = c->pause_ms * 2 < PAUSE_MAX_MS ? c->pause_ms * 2 : PAUSE_MAX_MS;
}

static void log_client_resume(struct log_client *c)
{
	c->paused = false;
	sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	log_client_kick(c);
}

static int log_client_on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	(void)source;
	(void)usec;
	log_client_resume(ctx);
	return 0;
}

static void log_client_next(struct log_client *c)
{
	c->busy = false;
	log_client_kick(c);
}

static void log_client_against(struct log_client *c)
{
	queue_against(&c->queue, &c->current);
	log_client_next(c);
}

static void log_client_unanswered(struct log_client *c)
{
	log_client_pause(c);
	log_client_next(c);
}

static void log_client_settled(struct log_client *c)
{
	queue_drop(&c->queue, &c->current);
	c->in_round = false;
	c->pause_ms = PAUSE_MIN_MS;
	log_client_next(c);
}

/* --- one batch ------------------------------------------------------------------------- */

static void log_client_on_removed(void *ctx, int err)
{
	struct log_client *c = ctx;

	if (err && err != -ENOENT) {
		set_reason(c, "a batch that was sent can't be removed: %s", strerror(-err));
		log_client_against(c);
		return;
	}
	c->status.batches_sent += !c->current_dropped;
	log_client_settled(c);
}

static void log_client_on_refused(void *ctx, int err)
{
	struct log_client *c = ctx;

	if (err && err != -ENOENT) {
		log_client_against(c);
		return;
	}
	c->status.batches_refused += !c->current_dropped;
	log_client_settled(c);
}

static bool log_client_is_taken(const cJSON *answer, size_t records)
{
	const cJSON *stored = cJSON_GetObjectItemCaseSensitive(answer, "stored");
	const cJSON *duplicates = cJSON_GetObjectItemCaseSensitive(answer, "duplicates");

	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "received")) &&
	       cJSON_IsNumber(stored) && cJSON_IsNumber(duplicates) && stored->valuedouble >= 0 &&
	       duplicates->valuedouble >= 0 &&
	       stored->valuedouble + duplicates->valuedouble == (double)records;
}

static bool log_client_is_refusal(long status)
{
	return status == 400 || status == 409 || status == 413 || status == 422;
}

/* Is it our log server that speaks, and what does it say?  Another may have its port. */
static enum log_verdict log_client_classify(struct log_client *c, const struct http_request *r)
{
	enum log_verdict verdict = LOG_FAILED;
	char name[SPOOL_BATCH_NAME_SIZE];
	const char *words;
	cJSON *answer;

	if (!r->status) {
		set_reason(c, "%s", r->reason);
		return LOG_NO_ANSWER;
	}
	answer = r->answer_len <= ANSWER_MAX ? cJSON_ParseWithLength(r->answer, r->answer_len)
					     : NULL;
	words = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "error"));
	spool_batch_name(name, &c->current);
	if (r->status == 200 && log_client_is_taken(answer, c->records)) {
		verdict = LOG_TAKEN;
	} else if (log_client_is_refusal(r->status) && words) {
		verdict = LOG_REFUSED;
		set_reason(c, "%s was refused: %.250s", name, words);
	} else {
		set_reason(c, "%.100s answered %s with %ld: %.150s", c->url, name, r->status,
			   r->answer);
	}
	cJSON_Delete(answer);
	return verdict;
}

static void log_client_on_answer(struct http_request *r, void *ctx)
{
	struct log_client *c = ctx;
	enum log_verdict verdict = log_client_classify(c, r);
	int err = 0;

	c->request = NULL;
	c->status.tried = true;
	c->status.reachable = verdict == LOG_TAKEN;
	if (verdict == LOG_TAKEN) {
		fault_point("answered");
		err = spool_remove(c->spool, &c->current, log_client_on_removed, c);
	} else if (verdict == LOG_REFUSED) {
		err = spool_refuse(c->spool, &c->current, log_client_on_refused, c);
	} else if (verdict == LOG_FAILED) {
		log_client_against(c);
	} else {
		log_client_unanswered(c);
	}
	if (!err)
		return;
	set_reason(c, "the spool: %s", strerror(-err));
	log_client_against(c);
}

static int log_client_post(struct log_client *c, const char *body, size_t len)
{
	struct http_question q = {
		.method = "POST",
		.body = body,
		.body_len = len,
		.timeout_ms = SEND_TIMEOUT_MS,
		.on_done = log_client_on_answer,
		.ctx = c,
	};
	char *url =
		http_url("%s/%s", c->url, c->current.kind == SPOOL_KILLS ? "logs" : "logsmemory");
	int err = -ENOMEM;

	q.url = url;
	if (url)
		err = http_request(c->http, &q, &c->request);
	free(url);
	return err;
}

/* Return: false: @body is no JSON array. */
static bool log_client_count(const char *body, size_t len, size_t *ret)
{
	const char *end;
	cJSON *json = cJSON_ParseWithLengthOpts(body, len + 1, &end, 1);
	bool ok = cJSON_IsArray(json) && end == body + len;

	if (ok)
		*ret = (size_t)cJSON_GetArraySize(json);
	cJSON_Delete(json);
	return ok;
}

/* A file that somebody else has removed has nothing left to send. */
static void log_client_on_read(void *ctx, int err, const char *body, size_t len)
{
	struct log_client *c = ctx;
	char name[SPOOL_BATCH_NAME_SIZE];

	spool_batch_name(name, &c->current);
	if (err) {
		set_reason(c, "%s can't be read: %s", name, strerror(-err));
		if (err == -ENOENT)
			log_client_settled(c);
		else
			log_client_against(c);
	} else if (!log_client_count(body, len, &c->records)) {
		set_reason(c, "%s is no JSON array", name);
		log_client_against(c);
	} else {
		err = log_client_post(c, body, len);
		if (!err)
			return;
		set_reason(c, "%.100s can't be asked: %s", c->url, strerror(-err));
		log_client_unanswered(c);
	}
}

static void log_client_begin(struct log_client *c, const struct spool_batch *batch)
{
	int err;

	c->busy = true;
	c->current = *batch;
	c->current_dropped = false;
	err = spool_read(c->spool, &c->current, log_client_on_read, c);
	if (!err)
		return;
	set_reason(c, "the spool: %s", strerror(-err));
	log_client_unanswered(c);
}

/*
 * A new batch, with nothing against it yet, begins a new round. The round is over when the
 * first one has had its turn in it.
 */
static bool log_client_is_due(struct log_client *c, const struct queue_batch *first)
{
	if (!c->in_round || first->against < c->round_against) {
		c->in_round = true;
		c->round_against = first->against;
	}
	if (first->against > c->round_against)
		log_client_pause(c);
	return !c->paused;
}

/* What is called at the end may free the client. */
static int log_client_on_step(sd_event_source *source, void *ctx)
{
	struct log_client *c = ctx;
	const struct queue_batch *first = c->url ? queue_first(&c->queue) : NULL;
	void (*drained)(void *ctx) = c->drained;

	(void)source;
	if (c->busy)
		return 0;
	if (first && !c->paused && log_client_is_due(c, first)) {
		log_client_begin(c, &first->batch);
		return 0;
	}
	if (!drained || (!c->paused && !LIST_EMPTY(&c->puts)))
		return 0;
	c->drained = NULL;
	drained(c->drained_ctx);
	return 0;
}

/* --- to the disk ----------------------------------------------------------------------- */

/* Return: false: there is none that could be dropped. */
static bool log_client_drop_sample(struct log_client *c)
{
	const struct queue_batch *oldest = queue_oldest_sample(&c->queue);
	struct spool_batch batch;

	if (!oldest)
		return false;
	batch = oldest->batch;
	if (c->busy && c->current.number == batch.number && c->current.kind == batch.kind)
		c->current_dropped = true;
	/* A file that stays for want of memory is taken up by the next start. */
	spool_remove(c->spool, &batch, NULL, NULL);
	queue_drop(&c->queue, &batch);
	c->status.samples_dropped++;
	return true;
}

static void log_client_free_put(struct log_put *p)
{
	LIST_REMOVE(p, list);
	p->client->samples_put -= p->kind == SPOOL_MEMORY;
	free(p->body);
	free(p);
}

static void log_client_on_put(void *ctx, int err, const struct spool_batch *batch)
{
	struct log_put *p = ctx;
	struct log_client *c = p->client;
	spool_done_fn *done = p->done;
	void *done_ctx = p->ctx;

	if ((err == -ENOSPC || err == -EDQUOT) && p->kind == SPOOL_KILLS &&
	    log_client_drop_sample(c) &&
	    !spool_put(c->spool, p->kind, p->body, log_client_on_put, p))
		return;
	if (err)
		c->status.samples_dropped += p->kind == SPOOL_MEMORY;
	else if (queue_add(&c->queue, batch))
		set_reason(c, "no memory: a batch on disk is sent after the next start");
	log_client_free_put(p);
	if (err)
		log_client_kick(c);
	else
		log_client_resume(c);
	if (done)
		done(done_ctx, err);
}

static int log_client_start_put(struct log_client *c, enum spool_kind kind, const char *body,
				spool_done_fn *done, void *ctx)
{
	struct log_put *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (!p)
		return err;
	*p = (struct log_put){ .client = c, .kind = kind, .done = done, .ctx = ctx };
	if (kind == SPOOL_KILLS)
		p->body = strdup(body);
	if (p->body || kind == SPOOL_MEMORY)
		err = spool_put(c->spool, kind, body, log_client_on_put, p);
	if (err) {
		free(p->body);
		free(p);
		return err;
	}
	LIST_INSERT_HEAD(&c->puts, p, list);
	c->samples_put += kind == SPOOL_MEMORY;
	return 0;
}

static bool log_client_is_full(const struct log_client *c)
{
	return queue_count(&c->queue, SPOOL_MEMORY) + c->samples_put >= SPOOL_MEMORY_BATCHES_MAX;
}

int log_client_put(struct log_client *c, enum spool_kind kind, const char *body,
		   spool_done_fn *done, void *ctx)
{
	int err;

	if (kind == SPOOL_MEMORY && spool_pending(c->spool) > PENDING_MAX) {
		c->status.samples_dropped++;
		return -EBUSY;
	}
	while (kind == SPOOL_MEMORY && log_client_is_full(c) && log_client_drop_sample(c))
		;
	err = log_client_start_put(c, kind, body, done, ctx);
	if (err && kind == SPOOL_MEMORY)
		c->status.samples_dropped++;
	return err;
}

/* --- from beginning to end ------------------------------------------------------------- */

static int log_client_add_sources(struct log_client *c, sd_event *event)
{
	int err = sd_event_add_defer(event, &c->step, log_client_on_step, c);

	if (err >= 0)
		err = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, 0, PAUSE_ACCURACY_US,
					log_client_on_timer, c);
	if (err >= 0)
		err = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	return err < 0 ? err : 0;
}

int log_client_new(sd_event *event, struct http *http, struct spool *spool, const char *url,
		   struct log_client **ret)
{
	struct log_client *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->http = http;
	c->spool = spool;
	c->pause_ms = PAUSE_MIN_MS;
	LIST_INIT(&c->puts);
	c->url = url ? strdup(url) : NULL;
	err = url && !c->url ? -ENOMEM : log_client_add_sources(c, event);
	if (err) {
		log_client_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

int log_client_add(struct log_client *c, const struct spool_batch *batches, size_t count)
{
	size_t i;
	int err = 0;

	for (i = 0; i < count && !err; i++)
		err = queue_add(&c->queue, &batches[i]);
	log_client_kick(c);
	return err;
}

void log_client_status(const struct log_client *c, struct log_status *ret)
{
	*ret = c->status;
	ret->waiting = c->queue.count;
}

void log_client_drain(struct log_client *c, void (*done)(void *ctx), void *ctx)
{
	c->drained = done;
	c->drained_ctx = ctx;
	log_client_resume(c);
}

void log_client_free(struct log_client *c)
{
	struct log_put *p;

	if (!c)
		return;
	sd_event_source_disable_unref(c->step);
	sd_event_source_disable_unref(c->timer);
	http_cancel(c->request);
	spool_forget(c->spool, c);
	while ((p = LIST_FIRST(&c->puts))) {
		spool_forget(c->spool, p);
		log_client_free_put(p);
	}
	queue_free(&c->queue);
	free(c->url);
	free(c);
}
