// SPDX-License-Identifier: GPL-2.0
#include "userspace/replay.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/core/escape.h"
#include "userspace/core/explain.h"
#include "userspace/core/look.h"
#include "userspace/core/record.h"
#include "userspace/io/recording.h"
#include "userspace/report.h"

/* A container that died, there or here. */
struct replay_death {
	char id[MODEL_ID_SIZE];
	char name[MODEL_NAME_SIZE];
	char image[MODEL_IMAGE_SIZE];
	uint64_t there, here;		/* in which cycle; 0: it did not */
	enum look_fate fate;		/* there */
	char why[EXPLAIN_SIZE];		/* here */
	bool dropped;
};

struct replay {
	struct config *config;
	FILE *out;
	struct judge judge;
	struct look last, now;
	bool has_now;
	struct replay_death *deaths;		/* in the order that they came in */
	size_t count, room;
	char *explained;		/* of the last decision */
	uint64_t cycles;
	bool ended;			/* as far as is wanted */
};

static bool is_death(enum look_fate fate)
{
	return fate == LOOK_KILLED || fate == LOOK_UNVERIFIED || fate == LOOK_DYING ||
	       fate == LOOK_WOULD;
}

static struct replay_death *find_death(struct replay *r, const char *id)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (!strcmp(r->deaths[i].id, id))
			return &r->deaths[i];
	return NULL;
}

static struct replay_death *note_death(struct replay *r, const struct model_container *c)
{
	struct replay_death *d = find_death(r, c->id), *more;
	size_t room = r->room ? 2 * r->room : 64;

	if (d)
		return d;
	if (r->count == r->room) {
		more = realloc(r->deaths, room * sizeof(*more));
		if (!more)
			return NULL;
		r->deaths = more;
		r->room = room;
	}
	d = &r->deaths[r->count++];
	*d = (struct replay_death){ 0 };
	strcpy(d->id, c->id);
	strcpy(d->name, c->runtime.name);
	strcpy(d->image, c->runtime.image);
	return d;
}

/* Who died here is not there any more, and neither is what was decided of it there. */
static int drop_the_dead(struct replay *r, struct model *m, struct look_outcome *o)
{
	bool *gone = calloc(m->container_count + 1, sizeof(*gone));
	size_t i, n = 0;
	int err;

	if (!gone)
		return -ENOMEM;
	for (i = 0; i < m->container_count; i++) {
		struct replay_death *d = find_death(r, m->containers[i].id);

		gone[i] = d && d->dropped;
		if (gone[i] && o->decided && is_death((enum look_fate)o->verdicts[i].fate) && !d->there) {
			d->there = r->now.cycle;
			d->fate = (enum look_fate)o->verdicts[i].fate;
		}
		if (!gone[i] && o->decided)
			o->verdicts[n++] = o->verdicts[i];
	}
	if (o->decided)
		o->count = n;
	err = model_drop(m, gone);
	free(gone);
	return err;
}

static const struct look_verdict *recorded(const struct replay *r, const struct look_outcome *o,
					   const struct model_container *c)
{
	return o->decided ? &o->verdicts[c - r->now.sight.model->containers] : NULL;
}

static int note_deaths(struct replay *r, const struct judgement *g, const struct look_outcome *o)
{
	size_t i;

	for (i = 0; i < g->plan->count; i++) {
		const struct decision *d = &g->plan->decisions[i];
		const struct look_verdict *there = recorded(r, o, d->container);
		bool here = d->rule == RULE_SURPLUS && g->brake.act;
		enum look_fate fate = there ? (enum look_fate)there->fate : LOOK_STAYED;
		struct replay_death *death;

		if (!here && !is_death(fate))
			continue;
		death = note_death(r, d->container);
		if (!death)
			return -ENOMEM;
		if (is_death(fate) && !death->there) {
			death->there = r->now.cycle;
			death->fate = fate;
		}
		if (!here)
			continue;
		if (!death->here) {
			death->here = r->now.cycle;
			explain_why(d, death->why);
		}
		/* Where it was attempted there, what came of it is known. */
		death->dropped = fate == LOOK_STAYED || fate == LOOK_WOULD;
	}
	return 0;
}

/* --- what is printed ----------------------------------------------------------- */

static cJSON *container_json(const struct decision *d, const struct look_verdict *there, bool act)
{
	cJSON *o = cJSON_CreateObject(), *was;
	char shown[4 * MODEL_ID_SIZE];

	cJSON_AddStringToObject(o, "id", escape(d->container->id, shown, sizeof(shown)));
	cJSON_AddStringToObject(o, "name", escape(d->container->runtime.name, shown, sizeof(shown)));
	cJSON_AddStringToObject(o, "image", escape(d->container->runtime.image, shown, sizeof(shown)));
	if (there) {
		was = cJSON_AddObjectToObject(o, "recorded");
		cJSON_AddStringToObject(was, "class", class_name((enum class)there->class));
		cJSON_AddStringToObject(was, "rule", rule_text((enum rule)there->rule));
		cJSON_AddStringToObject(was, "outcome", look_fate_name((enum look_fate)there->fate));
	}
	cJSON_AddStringToObject(o, "class", class_name(d->class));
	cJSON_AddStringToObject(o, "rule", rule_text(d->rule));
	cJSON_AddStringToObject(o, "verdict", d->rule != RULE_SURPLUS ? "keep" : "kill");
	cJSON_AddBoolToObject(o, "would_die", d->rule == RULE_SURPLUS && act);
	cJSON_AddNumberToObject(o, "cpu", d->measure->cpu_centi / 100.0);
	explain_add(o, d);
	return o;
}

static void print_json(cJSON *o, FILE *out)
{
	char *text = cJSON_PrintUnformatted(o);

	if (text)
		fprintf(out, "%s\n", text);
	cJSON_free(text);
	cJSON_Delete(o);
}

static void print_cycle_json(const struct replay *r, const struct judgement *g,
			     const struct look_outcome *o)
{
	char when[RECORD_TIME_SIZE], shown[4 * BRAKE_REASON_SIZE];
	cJSON *cycle = cJSON_CreateObject(), *list;
	size_t i;

	record_time(r->now.unix_ms, when);
	cJSON_AddStringToObject(cycle, "timestamp", when);
	cJSON_AddNumberToObject(cycle, "cycle", (double)r->now.cycle);
	cJSON_AddStringToObject(cycle, "recorded_mode", brake_mode_name(o->mode));
	cJSON_AddStringToObject(cycle, "mode", brake_mode_name(r->judge.brake.mode));
	if (r->judge.brake.why[0])
		cJSON_AddStringToObject(cycle, "disarmed_by",
					escape(r->judge.brake.why, shown, sizeof(shown)));
	cJSON_AddBoolToObject(cycle, "seen", r->now.seen);
	if (g && g->plan) {
		cJSON_AddNumberToObject(cycle, "sequence", (double)g->plan->generation.sequence);
		cJSON_AddNumberToObject(cycle, "surplus", (double)g->plan->kills);
		list = cJSON_AddArrayToObject(cycle, "containers");
		for (i = 0; i < g->plan->count; i++)
			cJSON_AddItemToArray(list, container_json(&g->plan->decisions[i],
								  recorded(r, o, g->plan->decisions[i].container),
								  g->brake.act));
	}
	print_json(cycle, r->out);
}

/* Only where somebody dies. */
static void print_cycle(const struct replay *r, const struct judgement *g, const struct look_outcome *o)
{
	char when[RECORD_TIME_SIZE], id[13], name[64], why[EXPLAIN_SIZE], shown[2 * EXPLAIN_SIZE];
	bool begun = false;
	size_t i;

	record_time(r->now.unix_ms, when);
	for (i = 0; i < g->plan->count; i++) {
		const struct decision *d = &g->plan->decisions[i];
		const struct look_verdict *there = recorded(r, o, d->container);
		bool here = d->rule == RULE_SURPLUS && g->brake.act;

		if (!here && !(there && is_death((enum look_fate)there->fate)))
			continue;
		if (!begun)
			fprintf(r->out, "\n%s  cycle %" PRIu64 "\n", when, r->now.cycle);
		begun = true;
		explain_why(d, why);
		fprintf(r->out, "  %-12s  %-24s  recorded: %-18s  this policy: %s: %s\n",
			escape(d->container->id, id, sizeof(id)),
			escape(d->container->runtime.name, name, sizeof(name)),
			there ? look_fate_name((enum look_fate)there->fate) : "not known",
			here ? "dies" : "stays", escape(why, shown, sizeof(shown)));
	}
	if (*g->brake.reason)
		fprintf(r->out, "\n%s  cycle %" PRIu64 "  this policy disarms: %s\n", when, r->now.cycle,
			escape(g->brake.reason, shown, sizeof(shown)));
}

static void print_summary(const struct replay *r)
{
	char id[13], name[48], image[48], there[48], shown[2 * EXPLAIN_SIZE];
	size_t i, both = 0, only_there = 0, only_here = 0;
	cJSON *o, *s;

	for (i = 0; i < r->count; i++) {
		both += r->deaths[i].there && r->deaths[i].here;
		only_there += !r->deaths[i].here;
		only_here += !r->deaths[i].there;
	}
	if (r->config->json) {
		o = cJSON_CreateObject();
		s = cJSON_AddObjectToObject(o, "summary");
		cJSON_AddNumberToObject(s, "cycles", (double)r->cycles);
		cJSON_AddNumberToObject(s, "both", (double)both);
		cJSON_AddNumberToObject(s, "only_recorded", (double)only_there);
		cJSON_AddNumberToObject(s, "only_this_policy", (double)only_here);
		print_json(o, r->out);
		return;
	}
	fprintf(r->out, "\n%-12s  %-24s  %-20s  %-28s  %s\n", "container", "name", "image", "recorded",
		"this policy");
	for (i = 0; i < r->count; i++) {
		const struct replay_death *d = &r->deaths[i];

		snprintf(there, sizeof(there), "stayed");
		if (d->there)
			snprintf(there, sizeof(there), "%s in cycle %" PRIu64, look_fate_name(d->fate), d->there);
		fprintf(r->out, "%-12s  %-24s  %-20s  %-28s  ", escape(d->id, id, sizeof(id)),
			escape(d->name, name, sizeof(name)), escape(d->image, image, sizeof(image)), there);
		if (d->here)
			fprintf(r->out, "dies in cycle %" PRIu64 ": %s\n", d->here,
				escape(d->why, shown, sizeof(shown)));
		else
			fputs("stays\n", r->out);
	}
	fprintf(r->out, "%" PRIu64 " cycles: %zu die either way, %zu only as recorded, %zu only by this policy\n",
		r->cycles, both, only_there, only_here);
}

static int keep_explained(struct replay *r, const struct judgement *g)
{
	const struct report report = {
		.unix_ms = r->now.unix_ms,
		.cycle = (long)r->now.cycle,
		.config = r->config,
		.brake = &r->judge.brake,
		.model = r->now.sight.model,
		.plan = g->plan,
	};
	size_t len;
	FILE *out;

	free(r->explained);
	r->explained = NULL;
	out = open_memstream(&r->explained, &len);
	if (!out)
		return -ENOMEM;
	(r->config->json ? report_json : report_explain)(&report, out);
	return fclose(out) ? -ENOMEM : 0;
}

/* --- the steps ------------------------------------------------------------------- */

static void take_hand(struct brake *b, const char *hand)
{
	for (; *hand; hand++) {
		if (*hand == 'A')
			brake_arm(b);
		else
			brake_disarm(b, "by hand (SIGUSR1)");
	}
}

static int judge_look(struct replay *r, struct look_outcome *o)
{
	struct judgement g = { 0 };
	int err;

	if (o->decided && o->count != r->now.sight.model->container_count)
		return -EBADMSG;
	err = drop_the_dead(r, r->now.sight.model, o);
	if (err)
		return err;
	err = judge_step(&r->judge, &r->config->policy, &r->now.sight,
			 r->last.seen ? &r->last.sight : NULL, &g);
	if (err)
		return err;
	if (g.plan)
		err = note_deaths(r, &g, o);
	if (err)
		goto out;
	if (r->config->command == CONFIG_EXPLAIN)
		err = g.plan ? keep_explained(r, &g) : 0;
	else if (r->config->json)
		print_cycle_json(r, &g, o);
	else if (g.plan)
		print_cycle(r, &g, o);
out:
	judgement_free(&g);
	return err;
}

/* The look before is over: judge it, beside what was decided there. */
static int finish_look(struct replay *r, struct look_outcome *o)
{
	int err = 0;

	if (!r->has_now)
		return 0;
	r->has_now = false;
	r->cycles++;
	take_hand(&r->judge.brake, r->now.hand);
	/* What came before the recording can't be judged anew. */
	if (r->cycles == 1 && o->mode == BRAKE_DISARMED)
		brake_disarm(&r->judge.brake, o->why);
	if (r->now.seen) {
		err = judge_look(r, o);
	} else {
		judge_blind(&r->judge);
		if (r->config->json && r->config->command == CONFIG_REPLAY)
			print_cycle_json(r, NULL, o);
	}
	look_free(&r->last);
	r->last = r->now;
	r->now = (struct look){ 0 };
	return err;
}

static int take_frame(struct replay *r, const struct recording_frame *f, char *reason)
{
	struct look_outcome o = { .mode = r->judge.brake.mode };
	int err;

	switch (f->kind) {
	case RECORDING_POLICY:
		err = finish_look(r, &o);
		if (err || r->config->file[0])
			return err;
		return config_read_policy(r->config, (const char *)f->content, f->len, reason) ? 0 : -EBADMSG;
	case RECORDING_LOOK:
		err = finish_look(r, &o);
		if (!err)
			err = look_decode(f->content, f->len, &r->now);
		r->has_now = !err;
		r->ended = !err && r->config->cycles && r->now.cycle > (uint64_t)r->config->cycles;
		return err;
	case RECORDING_OUTCOME:
		err = look_decode_outcome(f->content, f->len, &o);
		if (!err)
			err = finish_look(r, &o);
		look_free_outcome(&o);
		return err;
	default:
		return 0;
	}
}

int replay_run(struct config *config, const unsigned char *data, size_t len, FILE *out, char *reason)
{
	struct replay r = { .config = config, .out = out };
	struct look_outcome none = { 0 };
	struct recording_reader reader;
	struct recording_frame frame;
	int err;

	reason[0] = '\0';
	err = recording_begin(&reader, data, len, LOOK_VERSION);
	if (err) {
		snprintf(reason, REPLAY_REASON_SIZE, "%s", err == -EPROTO ?
			 "a recording of another version of the monitor" : "no recording");
		return err;
	}
	while (!err && !r.ended && !(err = recording_next(&reader, &frame)))
		err = take_frame(&r, &frame, reason);
	if (err == -ENOENT)
		err = finish_look(&r, &none);
	if (err && !*reason)
		snprintf(reason, REPLAY_REASON_SIZE, "byte %zu: %s", reader.at,
			 err == -EBADMSG ? "not what a monitor records" : strerror(-err));
	if (!err && config->command == CONFIG_REPLAY)
		print_summary(&r);
	else if (!err && r.explained)
		fputs(r.explained, out);
	if (!err && !r.ended && recording_torn(&reader))
		snprintf(reason, REPLAY_REASON_SIZE, "%zu bytes at the end are no whole frame, ignoring them",
			 recording_torn(&reader));
	else if (!err && config->command == CONFIG_EXPLAIN && !r.explained)
		snprintf(reason, REPLAY_REASON_SIZE, "nothing was decided in it");
	fflush(out);
	recording_end(&reader);
	look_free(&r.now);
	look_free(&r.last);
	judge_forget(&r.judge);
	free(r.deaths);
	free(r.explained);
	return err;
}
