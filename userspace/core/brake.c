// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/brake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US 3600000000ULL

struct brake_kill {
	uint64_t at_us;
	char id[MODEL_ID_SIZE];
	char image[MODEL_IMAGE_SIZE];
};

const char *brake_mode_name(enum brake_mode mode)
{
	switch (mode) {
	case BRAKE_ARMED:
		return "armed";
	case BRAKE_DISARMED:
		return "disarmed";
	case BRAKE_DRY_RUN:
		break;
	}
	return "dry run";
}

void brake_forget(struct brake *b)
{
	free(b->kills);
	b->kills = NULL;
	b->count = 0;
}

void brake_arm(struct brake *b)
{
	if (b->mode != BRAKE_DISARMED)
		return;
	b->mode = BRAKE_ARMED;
	b->why[0] = '\0';
	brake_forget(b);
}

void brake_disarm(struct brake *b, const char *why)
{
	if (b->mode != BRAKE_ARMED)
		return;
	b->mode = BRAKE_DISARMED;
	snprintf(b->why, sizeof(b->why), "%s", why);
}

static int by_id(const void *a, const void *b)
{
	const struct brake_kill *p = a, *q = b;

	return strcmp(p->id, q->id);
}

static int by_image(const void *a, const void *b)
{
	const struct brake_kill *const *p = a, *const *q = b;

	return strcmp((*p)->image, (*q)->image);
}

static void forget_old(struct brake *b, uint64_t now_us)
{
	size_t i, n = 0;

	for (i = 0; i < b->count; i++)
		if (now_us < b->kills[i].at_us || now_us - b->kills[i].at_us < HOUR_US)
			b->kills[n++] = b->kills[i];
	b->count = n;
}

/* Those of the last hour and the plan's, each container once. */
static int add_plan(const struct brake *b, struct plan *plan, uint64_t now_us,
		    struct brake_kill **ret, size_t *ret_count)
{
	struct brake_kill *all = calloc(b->count + plan->kills + 1, sizeof(*all));
	size_t i, n = b->count;

	if (!all)
		return -ENOMEM;
	if (n)
		memcpy(all, b->kills, n * sizeof(*all));
	for (i = 0; i < plan->count; i++) {
		struct decision *d = &plan->decisions[i];
		struct brake_kill *k = &all[n];

		if (d->rule != RULE_SURPLUS)
			continue;
		k->at_us = now_us;
		strcpy(k->id, d->container->id);
		strcpy(k->image, d->container->runtime.image);
		d->told = b->count && bsearch(k, b->kills, b->count, sizeof(*k), by_id);
		n += !d->told;
	}
	qsort(all, n, sizeof(*all), by_id);
	*ret = all;
	*ret_count = n;
	return 0;
}

/* The image that most of them are of, and how many. */
static int most_of_one(const struct brake_kill *all, size_t count, const char **ret, size_t *ret_count)
{
	const struct brake_kill **order = calloc(count + 1, sizeof(*order));
	size_t i, begin = 0;

	if (!order)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		order[i] = &all[i];
	qsort(order, count, sizeof(*order), by_image);
	*ret_count = 0;
	for (i = 1; i <= count; i++) {
		if (i < count && !by_image(&order[i - 1], &order[i]))
			continue;
		if (i - begin > *ret_count) {
			*ret_count = i - begin;
			*ret = order[begin]->image;
		}
		begin = i;
	}
	free(order);
	return 0;
}

int brake_check(struct brake *b, struct plan *plan, const struct brake_policy *policy,
		uint64_t now_us, struct brake_answer *ret)
{
	struct brake_kill *all;
	const char *image = "";
	size_t count, of_image;
	int err;

	*ret = (struct brake_answer){ .mode = b->mode };
	forget_old(b, now_us);
	if (b->mode == BRAKE_DISARMED)
		return 0;
	err = add_plan(b, plan, now_us, &all, &count);
	if (err)
		return err;
	err = most_of_one(all, count, &image, &of_image);
	if (err)
		goto out;
	if (plan->kills > policy->cycle)
		snprintf(ret->reason, sizeof(ret->reason), "%zu kills in this cycle (kills-per-cycle %u)",
			 plan->kills, policy->cycle);
	else if (plan->kills && count > policy->hour)
		snprintf(ret->reason, sizeof(ret->reason), "%zu kills within an hour (kills-per-hour %u)",
			 count, policy->hour);
	else if (plan->kills && of_image > policy->image)
		snprintf(ret->reason, sizeof(ret->reason),
			 "%zu kills of the image %.200s within an hour (kills-per-image %u)", of_image,
			 image, policy->image);
	if (*ret->reason) {
		brake_disarm(b, ret->reason);
	} else {
		ret->act = true;
		free(b->kills);
		b->kills = all;
		b->count = count;
		all = NULL;
	}
	ret->mode = b->mode;
out:
	free(all);
	return err;
}
