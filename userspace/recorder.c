// SPDX-License-Identifier: GPL-2.0
#include "userspace/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/config.h"
#include "userspace/io/recording.h"

struct recorder {
	const struct context *ctx;
	struct recording *file;		/* NULL: it could not be made anew */
	char *policy;			/* that the file has last */
};

/* A new file, with all that its reader has to know first. */
static int begin_file(struct recorder *r, char *reason)
{
	const struct config *config = r->ctx->config;
	char origin[512];
	int err, n;

	recording_close(r->file);	/* and unlocks it */
	r->file = NULL;
	free(r->policy);
	r->policy = NULL;
	err = recording_create(config->record, LOOK_VERSION, (uint64_t)config->record_mib << 20, &r->file,
			       reason);
	if (err)
		return err;
	n = snprintf(origin, sizeof(origin), "host=%s\nboot_id=%s\n", r->ctx->host, r->ctx->boot_id);
	err = recording_put(r->file, RECORDING_ORIGIN, origin, (size_t)n);
	if (err)
		snprintf(reason, RECORDER_REASON_SIZE, "can't record to %.300s: %s", config->record,
			 strerror(-err));
	return err;
}

int recorder_open(const struct context *ctx, struct recorder **ret, char *reason)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		snprintf(reason, RECORDER_REASON_SIZE, "no memory");
		return -ENOMEM;
	}
	r->ctx = ctx;
	err = begin_file(r, reason);
	if (err)
		recorder_close(r);
	else
		*ret = r;
	return err;
}

static int keep_policy(struct recorder *r)
{
	char *text = config_policy_text(r->ctx->config);
	int err;

	if (!text)
		return -ENOMEM;
	if (r->policy && !strcmp(text, r->policy)) {
		free(text);
		return 0;
	}
	err = recording_put(r->file, RECORDING_POLICY, text, strlen(text));
	free(r->policy);
	r->policy = err ? NULL : text;
	if (err)
		free(text);
	return err;
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
		/* Only of an earlier monitor's intents, which no cycle of this one has. */
		[RECEIPT_UNKNOWN] = LOOK_SURVIVED,
	};
	size_t i;

	for (i = 0; c->act && c->act->done && i < c->act->count; i++)
		if (!strcmp(c->act->victims[i].id, d->container->id))
			return fates[c->act->victims[i].receipt.outcome];
	return LOOK_STAYED;
}

static int keep_outcome(struct recorder *r, const struct recorder_cycle *c)
{
	const struct plan *plan = c->judgement ? c->judgement->plan : NULL;
	struct look_outcome o = { .mode = c->brake->mode, .decided = plan };
	struct look_bytes bytes = { 0 };
	size_t i;
	int err;

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
	look_encode_outcome(&o, &bytes);
	err = bytes.failed ? -ENOMEM : recording_put(r->file, RECORDING_OUTCOME, bytes.data, bytes.len);
	free(bytes.data);
	free(o.verdicts);
	return err;
}

int recorder_keep(struct recorder *r, const struct recorder_cycle *c, char *reason)
{
	struct look_bytes bytes = { 0 };
	int err = 0;

	if (!r->file || recording_full(r->file))
		err = begin_file(r, reason);
	if (err)
		return err;
	err = keep_policy(r);
	if (!err) {
		look_encode(&c->look, &bytes);
		err = bytes.failed ? -ENOMEM :
				     recording_put(r->file, RECORDING_LOOK, bytes.data, bytes.len);
		free(bytes.data);
	}
	if (!err)
		err = keep_outcome(r, c);
	if (err)
		snprintf(reason, RECORDER_REASON_SIZE, "this cycle is missing in the recording %.300s: %s",
			 r->ctx->config->record, strerror(-err));
	return err;
}

void recorder_close(struct recorder *r)
{
	if (!r)
		return;
	recording_close(r->file);
	free(r->policy);
	free(r);
}
