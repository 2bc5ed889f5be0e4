// SPDX-License-Identifier: GPL-2.0
#include "userspace/deliver/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/deliver/spool_disk.h"
#include "userspace/host/disk.h"

/* A call without an answer: they come in the order of the calls. */
struct spool_call {
	struct spool_call *next;
	enum spool_op op;
	union {
		spool_started_fn *started;
		spool_done_fn *done;
		spool_read_fn *read;
		spool_put_fn *put;
	} fn; /* .done stands for each of them where it is NULL */
	void *ctx;
};

struct spool {
	struct disk *disk;
	struct spool_call *first, **last;
};

static const char *const spool_kind_names[SPOOL_KINDS] = {
	[SPOOL_KILLS] = "logs",
	[SPOOL_MEMORY] = "logsmemory",
};

void spool_batch_name(char buf[SPOOL_BATCH_NAME_SIZE], const struct spool_batch *b)
{
	snprintf(buf, SPOOL_BATCH_NAME_SIZE, "%020llu-%s.json", (unsigned long long)b->number,
		 spool_kind_names[b->kind]);
}

/* The lists in it are the answer's own bytes; 0 or -EIO. */
static int spool_parse_start(const char *data, size_t len, struct spool_start_answer *head,
			     struct spool_start *ret)
{
	size_t rest, list_len;

	if (len < sizeof(*head))
		return -EIO;
	memcpy(head, data, sizeof(*head));
	rest = len - sizeof(*head);
	if (head->batch_count > rest / sizeof(struct spool_batch))
		return -EIO;
	list_len = head->batch_count * sizeof(struct spool_batch);
	if (head->intents_len != rest - list_len)
		return -EIO;
	*ret = (struct spool_start){
		.armed = head->armed,
		.intents_err = head->intents_err,
		.batches = (const struct spool_batch *)(data + sizeof(*head)),
		.batch_count = head->batch_count,
		.refused_count = head->refused_count,
		.slot_damaged = head->slot_damaged,
		.lock_path = head->lock_path,
	};
	memcpy(ret->why, head->why, sizeof(ret->why));
	if (!head->intents_err) {
		ret->intents = data + sizeof(*head) + list_len;
		ret->intents_len = head->intents_len;
	}
	return 0;
}

static void spool_answer_start(const struct spool_call *call, int err, const char *data, size_t len)
{
	struct spool_start_answer head;
	struct spool_start start;

	if (!err)
		err = spool_parse_start(data, len, &head, &start);
	call->fn.started(call->ctx, err, err ? NULL : &start);
}

static void spool_answer_put(const struct spool_call *call, int err, const char *data, size_t len)
{
	struct spool_batch batch;

	if (!err && len != sizeof(batch))
		err = -EIO;
	if (!err)
		memcpy(&batch, data, sizeof(batch));
	call->fn.put(call->ctx, err, err ? NULL : &batch);
}

/* The callback comes last: it may close the spool. */
static void spool_on_answer(void *ctx, int err, const char *data, size_t len)
{
	struct spool *s = ctx;
	struct spool_call call = *s->first;

	free(s->first);
	s->first = call.next;
	if (!s->first)
		s->last = &s->first;
	if (!call.fn.done)
		return;
	if (call.op == SPOOL_OP_START)
		spool_answer_start(&call, err, data, len);
	else if (call.op == SPOOL_OP_PUT)
		spool_answer_put(&call, err, data, len);
	else if (call.op == SPOOL_OP_READ)
		call.fn.read(call.ctx, err, err ? NULL : data, err ? 0 : len);
	else
		call.fn.done(call.ctx, err);
}

/* @call is copied. */
static int spool_send(struct spool *s, const struct spool_call *call,
		      const struct spool_question *q, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	struct spool_call *kept = malloc(sizeof(*kept));
	char *frame = malloc(sizeof(*q) + len);
	int err = -ENOMEM;

	if (kept && frame) {
		*kept = *call;
		memcpy(frame, q, sizeof(*q));
		if (len)
			memcpy(frame + sizeof(*q), text, len);
		err = disk_call(s->disk, call->op, frame, sizeof(*q) + len, spool_on_answer, s);
	}
	free(frame);
	if (err) {
		free(kept);
		return err;
	}
	*s->last = kept;
	s->last = &kept->next;
	return 0;
}

int spool_open(sd_event *event, const char *dir, spool_started_fn *started, void *ctx,
	       struct spool **ret)
{
	struct spool_call call = { .op = SPOOL_OP_START, .fn.started = started, .ctx = ctx };
	struct spool_question q = { .room = 0 };
	struct spool_disk there;
	struct spool *s;
	int err;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->last = &s->first;
	spool_disk_init(&there, dir);
	err = disk_new(event, spool_disk_handle, &there, &s->disk);
	if (!err)
		err = spool_send(s, &call, &q, NULL);
	if (err) {
		spool_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void spool_close(struct spool *s)
{
	struct spool_call *call;

	if (!s)
		return;
	disk_free(s->disk);
	while ((call = s->first)) {
		s->first = call->next;
		free(call);
	}
	free(s);
}

int spool_save_intents(struct spool *s, const char *text, size_t room, spool_done_fn *done,
		       void *ctx)
{
	struct spool_call call = { .op = SPOOL_OP_SAVE_INTENTS, .fn.done = done, .ctx = ctx };
	struct spool_question q = { .room = room };

	return spool_send(s, &call, &q, text);
}

int spool_put(struct spool *s, enum spool_kind kind, const char *body, spool_put_fn *done,
	      void *ctx)
{
	struct spool_call call = { .op = SPOOL_OP_PUT, .fn.put = done, .ctx = ctx };
	struct spool_question q = { .batch.kind = kind };

	return spool_send(s, &call, &q, body);
}

int spool_read(struct spool *s, const struct spool_batch *batch, spool_read_fn *done, void *ctx)
{
	struct spool_call call = { .op = SPOOL_OP_READ, .fn.read = done, .ctx = ctx };
	struct spool_question q = { .batch = *batch };

	return spool_send(s, &call, &q, NULL);
}

int spool_remove(struct spool *s, const struct spool_batch *batch, spool_done_fn *done, void *ctx)
{
	struct spool_call call = { .op = SPOOL_OP_REMOVE, .fn.done = done, .ctx = ctx };
	struct spool_question q = { .batch = *batch };

	return spool_send(s, &call, &q, NULL);
}

int spool_refuse(struct spool *s, const struct spool_batch *batch, spool_done_fn *done, void *ctx)
{
	struct spool_call call = { .op = SPOOL_OP_REFUSE, .fn.done = done, .ctx = ctx };
	struct spool_question q = { .batch = *batch };

	return spool_send(s, &call, &q, NULL);
}

int spool_mark(struct spool *s, bool armed, const char *why, spool_done_fn *done, void *ctx)
{
	struct spool_call call = { .op = SPOOL_OP_MARK, .fn.done = done, .ctx = ctx };
	struct spool_question q = { .armed = armed };

	return spool_send(s, &call, &q, armed ? NULL : why);
}

void spool_forget(struct spool *s, const void *ctx)
{
	struct spool_call *call;

	for (call = s->first; call; call = call->next) {
		if (call->ctx == ctx)
			call->fn.done = NULL;
	}
}

bool spool_is_lost(const struct spool *s)
{
	return disk_is_lost(s->disk);
}

size_t spool_pending(const struct spool *s)
{
	return disk_pending(s->disk);
}

uint64_t spool_waits_since_us(const struct spool *s)
{
	return disk_waits_since_us(s->disk);
}
