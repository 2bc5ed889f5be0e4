// SPDX-License-Identifier: GPL-2.0
#include "userspace/report.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/core/escape.h"
#include "userspace/core/explain.h"
#include "userspace/core/record.h"
#include "userspace/report_ended.h"
#include "userspace/report_ledger.h"

#define MIB (1 << 20)
#define VERDICT_SIZE (RECEIPT_EVIDENCE_SIZE + 64)

static const struct receipt *receipt_of(const struct report *r, const struct decision *d)
{
	size_t i;

	for (i = 0; r->act && i < r->act->count; i++)
		if (!strcmp(r->act->victims[i].id, d->container->id))
			return &r->act->victims[i].receipt;
	return NULL;
}

/* It can take as long as a disk that hangs. */
static void dying_text(const struct report *r, const struct decision *d, char *buf, size_t size)
{
	char what[128] = "";

	if (r->open)
		r->open_text(r->open, d->container, what, sizeof(what));
	snprintf(buf, size, "stays: %s", *what ? what : rule_text(d->rule));
}

static void verdict(const struct report *r, const struct decision *d, char *buf, size_t size)
{
	const struct receipt *v = receipt_of(r, d);
	char evidence[RECEIPT_EVIDENCE_SIZE], why[EXPLAIN_SIZE];

	if (v && v->outcome == RECEIPT_DRY) {
		snprintf(buf, size, "%s", receipt_outcome_name(v->outcome));
	} else if (v && (r->act->done || v->reason[0])) {
		receipt_evidence(v, evidence, sizeof(evidence));
		snprintf(buf, size, "%s: %s", receipt_outcome_name(v->outcome), evidence);
	} else if (d->rule == RULE_SURPLUS) {
		snprintf(buf, size, "surplus, not removed");
	} else if (d->rule == RULE_DYING) {
		dying_text(r, d, buf, size);
	} else if (d->rule == RULE_KEPT) {
		snprintf(buf, size, "stays: %s", rule_text(d->rule));
	} else {
		explain_why(d, why);
		snprintf(buf, size, "stays: %s", why);
	}
}

static void print_list(const struct report *r, const char *title, enum class class, FILE *out)
{
	char id[13], name[64], image[64], what[VERDICT_SIZE], shown[4 * VERDICT_SIZE];
	size_t i, n = 0;

	for (i = 0; i < r->plan->count; i++)
		n += r->plan->decisions[i].class == class;
	if (!n)
		return;
	fprintf(out, "%-8s      CPU %%   memory MiB  %-12s  %-24s %-20s\n", title, "container", "name",
		"image");
	for (i = 0; i < r->plan->count; i++) {
		const struct decision *d = &r->plan->decisions[i];
		const struct model_container *c = d->container;

		if (d->class != class)
			continue;
		verdict(r, d, what, sizeof(what));
		fprintf(out, "      %2u  %8.2f  %11.1f  %-12s  %-24s %-20s %s\n", d->rank,
			d->measure->cpu_centi / 100.0, (double)d->measure->memory_bytes / MIB, escape(c->id, id, sizeof(id)),
			escape(*c->runtime.name ? c->runtime.name : c->name, name, sizeof(name)),
			escape(c->runtime.image, image, sizeof(image)),
			escape(what, shown, sizeof(shown)));
	}
}

static size_t killed(const struct report *r)
{
	size_t i, n = 0;

	for (i = 0; r->act && i < r->act->count; i++)
		n += receipt_is_kill(&r->act->victims[i].receipt);
	return n;
}

/* Outcomes that came after their own cycle's report. */
static void print_news(const struct report *r, FILE *out)
{
	char id[13], name[64], shown[4 * RECEIPT_EVIDENCE_SIZE];
	size_t i;

	for (i = 0; r->open && i < r->open->news_count; i++) {
		const struct act_news *n = &r->open->news[i];

		fprintf(out, "settled       %-12s  %-24s %s: %s\n", escape(n->id, id, sizeof(id)),
			escape(n->name, name, sizeof(name)), receipt_outcome_name(n->outcome),
			escape(n->evidence, shown, sizeof(shown)));
	}
}

static cJSON *news_json(const struct act *open)
{
	char shown[4 * RECEIPT_EVIDENCE_SIZE];
	cJSON *list = cJSON_CreateArray();
	size_t i;

	for (i = 0; i < open->news_count; i++) {
		const struct act_news *n = &open->news[i];
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "id", escape(n->id, shown, sizeof(shown)));
		cJSON_AddStringToObject(o, "name", escape(n->name, shown, sizeof(shown)));
		cJSON_AddStringToObject(o, "outcome", receipt_outcome_name(n->outcome));
		cJSON_AddStringToObject(o, "evidence", escape(n->evidence, shown, sizeof(shown)));
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

void report_text(const struct report *r, FILE *out)
{
	const struct model *m = r->model;
	char when[RECORD_TIME_SIZE], shown[600];

	record_time(r->unix_ms, when);
	fprintf(out, "\n%s  cycle %ld  %s", when, r->cycle, brake_mode_name(r->brake->mode));
	if (r->brake->why[0])
		fprintf(out, ": %s", escape(r->brake->why, shown, sizeof(shown)));
	if (m)
		fprintf(out, "  window %.1f s  snapshot #%" PRIu64 "  %zu containers, %zu processes",
			(double)m->window_us / 1e6, m->sequence, m->container_count, m->process_count);
	fputc('\n', out);
	if (m)
		fprintf(out, "memory MiB    total %.0f  used %.0f  free %.0f  available %.0f\n",
			(double)m->total_ram_kib / 1024, (double)m->used_ram_kib / 1024,
			(double)m->free_ram_kib / 1024, (double)m->available_ram_kib / 1024);
	if (r->plan) {
		print_list(r, "high", CLASS_HIGH, out);
		print_list(r, "low", CLASS_LOW, out);
		print_list(r, "unjudged", CLASS_UNKNOWN, out);
		if (r->witness)
			report_ledger_text(r->plan, r->window, r->exits_lost, out);
		fprintf(out, "killed        %zu of %zu surplus", killed(r), r->plan->kills);
		if (r->act && r->act->dead_ms >= 0)
			fprintf(out, "; all dead %.1f ms after the decision", r->act->dead_ms);
		if (r->act && r->act->clean_ms >= 0)
			fprintf(out, ", removed by the runtime after %.0f ms", r->act->clean_ms);
		fputc('\n', out);
	}
	print_news(r, out);
	if (r->ended)
		report_ended_text(r->ended, out);
	if (r->problem)
		fprintf(out, "problem       %s\n", escape(r->problem, shown, sizeof(shown)));
	if (r->server.tried)
		fprintf(out, "log server    %s%s, %zu waiting on disk",
			r->server.reachable ? "takes records" : "takes none: ",
			r->server.reachable ? "" : escape(r->server.reason, shown, sizeof(shown)),
			r->server.waiting);
	if (r->server.tried && r->server.batches_refused)
		fprintf(out, ", %" PRIu64 " refused and put aside", r->server.batches_refused);
	if (r->server.tried && r->server.samples_dropped)
		fprintf(out, ", %" PRIu64 " samples dropped", r->server.samples_dropped);
	if (r->server.tried)
		fputc('\n', out);
}

/* How far from the line: "+" is above. */
static const char *distance(const struct decision *d, bool cpu, char *buf, size_t size)
{
	const struct measure *m = d->measure;

	if (d->classifier != CLASSIFIER_THRESHOLD || d->class == CLASS_UNKNOWN)
		snprintf(buf, size, "-");
	else if (cpu)
		snprintf(buf, size, "%+.2f", ((double)m->cpu_centi - d->cpu_line_centi) / 100);
	else
		snprintf(buf, size, "%+.1f",
			 ((double)m->memory_bytes - (double)d->memory_line_bytes) / MIB);
	return buf;
}

static void explain_line(const struct decision *d, FILE *out)
{
	const struct model_container *c = d->container;
	char id[13], name[48], image[48], why[EXPLAIN_SIZE], shown[2 * EXPLAIN_SIZE];
	char to_cpu[24], to_memory[24], rank[32] = "-";

	if (d->rank)
		snprintf(rank, sizeof(rank), "%u of %u", d->rank, d->quota);
	explain_why(d, why);
	fprintf(out, "%-12s  %-24s  %-20s  %8.2f %9s  %10.1f %10s  %-7s  %-8s  %-7s  %-17s  %s\n",
		escape(c->id, id, sizeof(id)),
		escape(*c->runtime.name ? c->runtime.name : c->name, name, sizeof(name)),
		escape(c->runtime.image, image, sizeof(image)), d->measure->cpu_centi / 100.0,
		distance(d, true, to_cpu, sizeof(to_cpu)), (double)d->measure->memory_bytes / MIB,
		distance(d, false, to_memory, sizeof(to_memory)), class_name(d->class), rank,
		d->rule == RULE_SURPLUS ? "kill" : "keep", explain_source(d),
		escape(why, shown, sizeof(shown)));
}

void report_explain(const struct report *r, FILE *out)
{
	char shown[600];
	size_t i;

	if (r->plan) {
		fprintf(out, "%-12s  %-24s  %-20s  %8s %9s  %10s %10s  %-7s  %-8s  %-7s  %-17s  %s\n",
			"container", "name", "image", "CPU %", "to line", "memory MiB", "to line", "class",
			"rank", "verdict", "decided by", "because");
		for (i = 0; i < r->plan->count; i++)
			explain_line(&r->plan->decisions[i], out);
		fprintf(out, "%zu of %zu containers would be removed\n", r->plan->kills, r->plan->count);
	}
	if (r->problem)
		fprintf(out, "problem: %s\n", escape(r->problem, shown, sizeof(shown)));
}

static cJSON *container_json(const struct report *r, const struct decision *d)
{
	const struct model_container *c = d->container;
	const struct reconcile_books *b = d->books;
	cJSON *o = cJSON_CreateObject();
	char what[VERDICT_SIZE], shown[4 * VERDICT_SIZE];

	verdict(r, d, what, sizeof(what));
	/* Escaped as for a terminal, where this may end up too. */
	cJSON_AddStringToObject(o, "id", escape(c->id, shown, sizeof(shown)));
	cJSON_AddStringToObject(o, "name", escape(c->runtime.name, shown, sizeof(shown)));
	cJSON_AddStringToObject(o, "image", escape(c->runtime.image, shown, sizeof(shown)));
	cJSON_AddStringToObject(o, "class", class_name(d->class));
	cJSON_AddNumberToObject(o, "cpu", d->measure->cpu_centi / 100.0);
	cJSON_AddNumberToObject(o, "memory_current", (double)c->cgroup.memory_bytes);
	cJSON_AddNumberToObject(o, "processes", c->process_count);
	cJSON_AddNumberToObject(o, "threads", (double)c->thread_count);
	if (c->cgroup.has_pids)
		cJSON_AddNumberToObject(o, "pids_current", (double)c->cgroup.pids);
	cJSON_AddStringToObject(o, "verdict", d->rule == RULE_SURPLUS ? "kill" : "keep");
	cJSON_AddStringToObject(o, "rule", rule_text(d->rule));
	explain_add(o, d);
	cJSON_AddStringToObject(o, "outcome", escape(what, shown, sizeof(shown)));
	cJSON_AddStringToObject(o, "witness", reconcile_verdict_name(b->verdict));
	report_books_json(b, o);
	return o;
}

void report_json(const struct report *r, FILE *out)
{
	cJSON *o = cJSON_CreateObject(), *list;
	char when[RECORD_TIME_SIZE], shown[600], *text;
	size_t i;

	record_time(r->unix_ms, when);
	cJSON_AddStringToObject(o, "timestamp", when);
	cJSON_AddNumberToObject(o, "cycle", (double)r->cycle);
	cJSON_AddStringToObject(o, "mode", brake_mode_name(r->brake->mode));
	if (r->brake->why[0])
		cJSON_AddStringToObject(o, "disarmed_by", escape(r->brake->why, shown, sizeof(shown)));
	if (r->model) {
		cJSON_AddNumberToObject(o, "sequence", (double)r->model->sequence);
		cJSON_AddNumberToObject(o, "window_us", (double)r->model->window_us);
		cJSON_AddNumberToObject(o, "total_ram", (double)r->model->total_ram_kib);
		cJSON_AddNumberToObject(o, "used_ram", (double)r->model->used_ram_kib);
		cJSON_AddNumberToObject(o, "free_ram", (double)r->model->free_ram_kib);
		cJSON_AddNumberToObject(o, "available_ram", (double)r->model->available_ram_kib);
	}
	if (r->plan) {
		cJSON_AddNumberToObject(o, "surplus", (double)r->plan->kills);
		cJSON_AddNumberToObject(o, "killed", (double)killed(r));
		if (r->act && r->act->dead_ms >= 0)
			cJSON_AddNumberToObject(o, "dead_ms", r->act->dead_ms);
		if (r->act && r->act->clean_ms >= 0)
			cJSON_AddNumberToObject(o, "clean_ms", r->act->clean_ms);
		list = cJSON_AddArrayToObject(o, "containers");
		for (i = 0; i < r->plan->count; i++)
			cJSON_AddItemToArray(list, container_json(r, &r->plan->decisions[i]));
	}
	if (r->witness)
		report_ledger_json(r->plan, r->window, r->exits_lost, o);
	if (r->open && r->open->news_count)
		cJSON_AddItemToObject(o, "settled", news_json(r->open));
	if (r->ended)
		report_ended_json(r->ended, o);
	if (r->problem)
		cJSON_AddStringToObject(o, "trouble", escape(r->problem, shown, sizeof(shown)));
	cJSON_AddBoolToObject(o, "server_reachable", r->server.reachable);
	cJSON_AddNumberToObject(o, "waiting", (double)r->server.waiting);
	if (r->server.batches_refused)
		cJSON_AddNumberToObject(o, "refused", (double)r->server.batches_refused);
	if (r->server.samples_dropped)
		cJSON_AddNumberToObject(o, "samples_dropped", (double)r->server.samples_dropped);
	text = cJSON_PrintUnformatted(o);
	if (text)
		fprintf(out, "%s\n", text);
	cJSON_free(text);
	cJSON_Delete(o);
}
