// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/judge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void judgement_free(struct judgement *g)
{
	plan_free(g->plan);
	ledger_window_free(&g->window);
	free(g->measures);
	free(g->books);
	memset(g, 0, sizeof(*g));
}

void judge_blind(struct judge *j)
{
	ledger_forget(&j->ledger);
	measure_forget(&j->measures);
}

void judge_forget(struct judge *j)
{
	ledger_forget(&j->ledger);
	measure_forget(&j->measures);
	brake_forget(&j->brake);
}

static int compare_sources(struct judge *j, const struct judge_policy *policy,
			   const struct judge_sight *now, const struct judge_sight *last,
			   struct judgement *g)
{
	/* While the sources were read one after the other, every CPU may have run it. */
	uint64_t skew_us = (now->skew_us + last->skew_us) * now->model->cpus;
	size_t i;
	int err;

	err = ledger_close(&j->ledger, now->model, last->model,
			   now->witness ? &now->reading : NULL,
			   last->witness ? &last->reading : NULL, g->books, &g->window);
	for (i = 0; !err && i < now->model->container_count; i++)
		reconcile(&g->books[i], skew_us, &policy->reconcile);
	return err;
}

static void note_grounds(struct plan *plan, const struct classify_policy *policy)
{
	size_t i;

	for (i = 0; i < plan->count; i++) {
		struct decision *d = &plan->decisions[i];

		d->classifier = policy->classifier;
		d->cpu_line_centi = classify_cpu_line(policy, d->measure);
		d->memory_line_bytes = classify_memory_line(policy, d->measure);
		d->held = policy->classifier == CLASSIFIER_THRESHOLD && d->class == CLASS_HIGH &&
			  d->measure->cpu_centi < policy->cpu_centi &&
			  d->measure->memory_bytes < policy->memory_bytes;
	}
}

int judge_step(struct judge *j, const struct judge_policy *policy, const struct judge_sight *now,
	       const struct judge_sight *last, struct judgement *ret)
{
	struct model *m = now->model;
	enum class *classes = NULL;
	size_t i;
	int err = -ENOMEM;

	*ret = (struct judgement){ .brake.mode = j->brake.mode };
	model_compare(m, last ? last->model : NULL);
	for (i = 0; i < now->exit_count; i++)
		ledger_note(&j->ledger, &now->exits[i]);
	ret->slept = m->window_us && now->slept_after_us > last->slept_before_us &&
		     now->slept_after_us - last->slept_before_us > m->window_us / 20;
	if (!m->window_us || ret->slept) {
		m->window_us = 0;
		measure_forget(&j->measures);
		ledger_begin(&j->ledger, m);
		return 0;
	}
	classes = calloc(m->container_count + 1, sizeof(*classes));
	ret->measures = calloc(m->container_count + 1, sizeof(*ret->measures));
	ret->books = calloc(m->container_count + 1, sizeof(*ret->books));
	if (!classes || !ret->measures || !ret->books)
		goto out;
	err = compare_sources(j, policy, now, last, ret);
	if (!err)
		err = measure_step(&j->measures, m, ret->books, &policy->measure, ret->measures);
	if (!err)
		err = classify(m, ret->measures, &policy->classify, classes);
	if (!err)
		err = decide(m, ret->measures, classes, ret->books, &policy->decide, &ret->plan);
	if (!err)
		err = brake_check(&j->brake, ret->plan, &policy->brake, m->boot_time_us, &ret->brake);
	if (err)
		goto out;
	note_grounds(ret->plan, &policy->classify);
	for (i = 0; i < m->container_count; i++)
		if (classes[i] != CLASS_UNKNOWN)
			measure_note_class(&j->measures, i, classes[i] == CLASS_HIGH);
out:
	free(classes);
	if (err)
		judgement_free(ret);
	return err;
}
