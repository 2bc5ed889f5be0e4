// SPDX-License-Identifier: GPL-2.0
#include "userspace/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/config.h"
#include "userspace/host/disk.h"
#include "userspace/io/recording.h"

struct recorder {
	struct context *ctx;
	struct disk *disk;
	bool opened;			/* the first file was made, or could not be */
	int err;			/* of that */
	char reason[RECORDER_REASON_SIZE];
	char problem[RECORDER_REASON_SIZE];	/* of a cycle since; "": none */
};

/* --- in the disk process: the file may be on a disk that hangs ------------------------ */

enum recorder_op {
	RECORDER_OPEN,	/* a new file; its origin and policy */
	RECORDER_KEEP,	/* a cycle: policy, look, outcome */
};

/* What is kept there. */
struct recorder_file {
	char path[PATH_MAX];
	uint64_t max_bytes;
	char origin[512];
	struct recording *file;		/* NULL: it could not be made again */
	char *policy;			/* that the file has last */
};

/* A message is up to three parts, each with its length before it. */
struct recorder_part {
	const char *data;
	size_t len;
};

/* A new file, with all that its reader has to know first. */
static int begin_file(struct recorder_file *f, char *reason)
{
	int err;

	recording_close(f->file);	/* and unlocks it */
	f->file = NULL;
	free(f->policy);
	f->policy = NULL;
	err = recording_create(f->path, LOOK_VERSION, f->max_bytes, &f->file, reason);
	if (err)
		return err;
	err = recording_put(f->file, RECORDING_ORIGIN, f->origin, strlen(f->origin));
	if (err)
		snprintf(reason, RECORDER_REASON_SIZE, "can't record to %.300s: %s", f->path, strerror(-err));
	return err;
}

static int keep_policy(struct recorder_file *f, const struct recorder_part *policy)
{
	int err;

	if (f->policy && strlen(f->policy) == policy->len && !memcmp(f->policy, policy->data, policy->len))
		return 0;
	err = recording_put(f->file, RECORDING_POLICY, policy->data, policy->len);
	free(f->policy);
	f->policy = err ? NULL : strndup(policy->data, policy->len);
	return err;
}

static int keep(struct recorder_file *f, const struct recorder_part *parts, char *reason)
{
	int err = 0;

	if (!f->file || recording_full(f->file))
		err = begin_file(f, reason);
	if (err)
		return err;
	err = keep_policy(f, &parts[0]);
	if (!err)
		err = recording_put(f->file, RECORDING_LOOK, parts[1].data, parts[1].len);
	if (!err)
		err = recording_put(f->file, RECORDING_OUTCOME, parts[2].data, parts[2].len);
	if (err)
		snprintf(reason, RECORDER_REASON_SIZE, "this cycle is missing in the recording %.300s: %s",
			 f->path, strerror(-err));
	return err;
}

static void split(const char *data, size_t len, struct recorder_part parts[3])
{
	size_t n, part;

	for (n = 0; n < 3; n++) {
		parts[n] = (struct recorder_part){ "", 0 };
		if (len < sizeof(part))
			continue;
		memcpy(&part, data, sizeof(part));
		parts[n] = (struct recorder_part){ data + sizeof(part), part };
		data += sizeof(part) + part;
		len -= sizeof(part) + part;
	}
}

static void handle(void *ctx, uint32_t op, const char *data, size_t len, struct disk_answer *ret)
{
	struct recorder_file *f = ctx;
	char reason[RECORDER_REASON_SIZE] = "";
	struct recorder_part parts[3];

	split(data, len, parts);
	ret->err = op == RECORDER_OPEN ? begin_file(f, reason) : keep(f, parts, reason);
	if (ret->err) {
		ret->data = strdup(reason);
		ret->len = ret->data ? strlen(reason) : 0;
	}
}

/* --- on the loop -------------------------------------------------------------------- */

static void on_opened(void *ctx, int err, const char *data, size_t len)
{
	struct recorder *r = ctx;

	r->opened = true;
	r->err = err;
	if (err)
		snprintf(r->reason, sizeof(r->reason), "%s", len ? data : strerror(-err));
}

static void on_kept(void *ctx, int err, const char *data, size_t len)
{
	struct recorder *r = ctx;

	if (err && !*r->problem)
		snprintf(r->problem, sizeof(r->problem), "%s%s", len ? data : "the process that records: ",
			 len ? "" : strerror(-err));
}

bool recorder_take_problem(struct recorder *r, char *reason)
{
	bool any = *r->problem;

	snprintf(reason, RECORDER_REASON_SIZE, "%s", r->problem);
	*r->problem = '\0';
	return any;
}

int recorder_open(struct context *ctx, struct recorder **ret, char *reason)
{
	const struct config *config = ctx->config;
	static struct recorder_file file;	/* the disk process has its own copy */
	struct recorder *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	snprintf(reason, RECORDER_REASON_SIZE, "no memory, or no process, to record");
	if (!r)
		return err;
	r->ctx = ctx;
	snprintf(file.path, sizeof(file.path), "%s", config->record);
	snprintf(file.origin, sizeof(file.origin), "host=%s\nboot_id=%s\n", ctx->host, ctx->boot_id);
	file.max_bytes = (uint64_t)config->record_mib << 20;
	err = disk_new(ctx->event, handle, &file, &r->disk);
	if (!err)
		err = disk_call(r->disk, RECORDER_OPEN, NULL, 0, on_opened, r);
	if (err)
		recorder_close(r);
	else
		*ret = r;
	return err;
}

const bool *recorder_opened(const struct recorder *r)
{
	return &r->opened;
}

int recorder_error(const struct recorder *r, const char **ret_reason)
{
	*ret_reason = r->reason;
	return r->err;
}

size_t recorder_pending(const struct recorder *r)
{
	return disk_pending(r->disk);
}

static enum look_fate fate_of(const struct recorder_cycle *c, const struct decision *d)
{
	static const enum look_fate fates[] = {
		[RECEIPT_SURVIVED] = LOOK_SURVIVED,
		[RECEIPT_DYING] = LOOK_DYING,
		[RECEIPT_VERIFIED] = LOOK_KILLED,
		[RECEIPT_UNVERIFIED] = LOOK_UNVERIFIED,
		[RECEIPT_GONE] = LOOK_GONE,
		[RECEIPT_DRY] = LOOK_WOULD,
		/* Nobody knows, and no more is claimed. */
		[RECEIPT_UNKNOWN] = LOOK_SURVIVED,
	};
	size_t i;

	for (i = 0; c->act && c->act->done && i < c->act->count; i++)
		if (!strcmp(c->act->victims[i].id, d->container->id))
			return fates[c->act->victims[i].receipt.outcome];
	return LOOK_STAYED;
}

/* Return: 0 or -ENOMEM; what was encoded is the caller's to free in any case. */
static int encode_outcome(const struct recorder_cycle *c, struct look_bytes *bytes)
{
	const struct plan *plan = c->judgement ? c->judgement->plan : NULL;
	struct look_outcome o = { .mode = c->brake->mode, .decided = plan };
	size_t i;

	snprintf(o.why, sizeof(o.why), "%s", c->brake->why);
	if (plan) {
		o.count = plan->count;
		o.verdicts = calloc(plan->count + 1, sizeof(*o.verdicts));
		if (!o.verdicts)
			return -ENOMEM;
	}
	for (i = 0; plan && i < plan->count; i++) {
		const struct decision *d = &plan->decisions[i];

		o.verdicts[d->container - c->look.sight.model->containers] = (struct look_verdict){
			.class = (uint8_t)d->class,
			.rule = (uint8_t)d->rule,
			.fate = d->rule == RULE_SURPLUS ? (uint8_t)fate_of(c, d) : LOOK_STAYED,
		};
	}
	look_encode_outcome(&o, bytes);
	free(o.verdicts);
	return bytes->failed ? -ENOMEM : 0;
}

static int send_parts(struct recorder *r, const struct recorder_part parts[3])
{
	size_t n, len = 0;
	char *message, *at;
	int err;

	for (n = 0; n < 3; n++)
		len += sizeof(parts[n].len) + parts[n].len;
	message = malloc(len);
	if (!message)
		return -ENOMEM;
	for (n = 0, at = message; n < 3; n++) {
		memcpy(at, &parts[n].len, sizeof(parts[n].len));
		memcpy(at + sizeof(parts[n].len), parts[n].data, parts[n].len);
		at += sizeof(parts[n].len) + parts[n].len;
	}
	err = disk_call(r->disk, RECORDER_KEEP, message, len, on_kept, r);
	free(message);
	return err;
}

int recorder_keep(struct recorder *r, const struct recorder_cycle *c, char *reason)
{
	struct look_bytes look = { 0 }, outcome = { 0 };
	char *policy = config_policy_text(r->ctx->config);
	int err = policy ? encode_outcome(c, &outcome) : -ENOMEM;

	look_encode(&c->look, &look);
	if (look.failed)
		err = -ENOMEM;
	if (!err)
		err = send_parts(r, (const struct recorder_part[3]){
					    { policy, strlen(policy) },
					    { (const char *)look.data, look.len },
					    { (const char *)outcome.data, outcome.len } });
	if (err)
		snprintf(reason, RECORDER_REASON_SIZE, "this cycle is missing in the recording %.300s: %s",
			 r->ctx->config->record,
			 err == -EBUSY ? "its disk does not keep up" : strerror(-err));
	free(policy);
	free(look.data);
	free(outcome.data);
	return err;
}

void recorder_close(struct recorder *r)
{
	if (!r)
		return;
	disk_free(r->disk);
	free(r);
}
