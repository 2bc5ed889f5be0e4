// SPDX-License-Identifier: GPL-2.0
#include "userspace/collect/collect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/collect/own_containers.h"
#include "userspace/config.h"
#include "userspace/host/clock.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/snapshot_read.h"
#include "userspace/io/witness.h"

/* Deaths of one window that are kept, 56 bytes each; what is beyond counts as lost. */
#define EXITS_MAX (1 << 20)

void sample_free(struct sample *v)
{
	model_free(v->model);
	free(v->sums);
	memset(v, 0, sizeof(*v));
}

static struct exit_log_dropped *find_dropped(const struct exit_log *exits, uint64_t cgroup_id)
{
	size_t i;

	for (i = 0; i < exits->container_count; i++)
		if (exits->by_container[i].container_cgroup_id == cgroup_id)
			return &exits->by_container[i];
	return NULL;
}

/* Without memory its CPU is missing in the books: then the container is disputed, and stays. */
static void note_dropped(struct exit_log *exits, const struct witness_exit *ev)
{
	struct exit_log_dropped *d = find_dropped(exits, ev->container_cgroup_id), *more;

	exits->dropped++;
	if (!d) {
		more = realloc(exits->by_container, (exits->container_count + 1) * sizeof(*more));
		if (!more)
			return;
		exits->by_container = more;
		d = &more[exits->container_count++];
		*d = (struct exit_log_dropped){ .container_cgroup_id = ev->container_cgroup_id };
	}
	d->exits++;
	d->cpu_us += ev->cpu_us - ev->tails_us;
}

void exit_log_free(struct exit_log *exits)
{
	free(exits->list);
	free(exits->by_container);
	memset(exits, 0, sizeof(*exits));
}

static int note_exit(void *ctx, const struct witness_exit *ev)
{
	struct exit_log *exits = ctx;

	if (exits->count == exits->room) {
		size_t room = exits->room ? 2 * exits->room : 1024;
		struct ledger_exit *more = NULL;

		if (room <= EXITS_MAX)
			more = realloc(exits->list, room * sizeof(*more));
		if (!more) {
			note_dropped(exits, ev);
			return 0;
		}
		exits->list = more;
		exits->room = room;
	}
	exits->list[exits->count++] = (struct ledger_exit){
		.container_cgroup_id = ev->container_cgroup_id,
		.pid = ev->pid,
		.killer_pid = ev->killer_pid,
		.start_us = ev->start_us,
		.exit_us = ev->exit_us,
		.cpu_us = ev->cpu_us - ev->tails_us,
		.exit_code = (int16_t)ev->exit_code,
		.signal = (uint8_t)ev->signal,
		.oom = ev->oom,
		.init = ev->init,
	};
	return 0;
}

void exit_log_drain(struct context *ctx)
{
	int err = ctx->witness ? witness_drain(ctx->witness, note_exit, ctx->exits) : 0;

	if (err < 0)
		problem_set(&ctx->problem, "the witness's events: %s", strerror(-err));
}

void exit_log_forget(struct exit_log *exits, size_t count)
{
	exits->count -= count;
	if (!exits->count)
		return;
	memmove(exits->list, exits->list + count, exits->count * sizeof(*exits->list));
}

static int collect_witness(struct context *ctx, struct sample *v)
{
	struct exit_log *exits = ctx->exits;
	const struct exit_log_dropped *dropped;
	struct witness_drops drops;
	struct witness_cpu *rows;
	size_t i, count;
	int err;

	exit_log_drain(ctx);
	err = witness_read_cpu(ctx->witness, &rows, &count);
	if (err)
		return err;
	v->sums = calloc(count + 1, sizeof(*v->sums));
	if (!v->sums) {
		free(rows);
		return -ENOMEM;
	}
	for (i = 0; i < count; i++) {
		v->sums[i] = (struct ledger_sum){
			.container_cgroup_id = rows[i].container_cgroup_id,
			.cpu_us = rows[i].cpu_us,
			.exits = rows[i].exits,
			.exits_lost = rows[i].exits_lost,
			.lost_us = rows[i].lost_us,
			.tails_us = rows[i].tails_us,
			.oom_exits = rows[i].oom_exits,
			.removed = rows[i].removed,
		};
		memcpy(v->sums[i].id, rows[i].container_id, sizeof(v->sums[i].id));
		dropped = find_dropped(exits, rows[i].container_cgroup_id);
		if (dropped) {
			v->sums[i].exits_lost += dropped->exits;
			v->sums[i].lost_us += dropped->cpu_us;
		}
	}
	free(rows);
	err = witness_read_drops(ctx->witness, &drops);
	if (err)
		return err;
	if (drops.cgroups_full + drops.groups_full > exits->unwatched)
		problem_set(&ctx->problem, "the witness had no room for %" PRIu64 " more cgroups and dying processes: whose they are may be disputed, and stays",
			    drops.cgroups_full + drops.groups_full - exits->unwatched);
	exits->unwatched = drops.cgroups_full + drops.groups_full;
	v->reading = (struct ledger_reading){
		.since_us = witness_since_us(ctx->witness),
		.sums = v->sums,
		.sum_count = count,
		.unplaced = drops.unplaced + exits->dropped,
	};
	v->exits_lost = drops.ring_full + drops.unplaced + exits->dropped;
	v->witness = true;
	return 0;
}

int collect_take(struct context *ctx, struct sample *ret)
{
	char reason[SNAPSHOT_READ_REASON_SIZE], own_reason[OWN_REASON_SIZE];
	struct snapshot *snapshot;
	struct sample v = { 0 };
	uint64_t now_us;
	size_t i;
	int err;

	v.slept_before_us = clock_slept_us();
	err = snapshot_read(ctx->config->snapshot, &snapshot, reason);
	if (err) {
		problem_set(&ctx->problem, "%s", reason);
		return err;
	}
	err = model_new(snapshot, &v.model);
	snapshot_free(snapshot);
	if (err) {
		problem_set(&ctx->problem, "the model: %s", strerror(-err));
		return err;
	}
	snprintf(v.model->boot_id, sizeof(v.model->boot_id), "%s", ctx->boot_id);
	for (i = 0; i < v.model->container_count; i++) {
		struct model_container *c = &v.model->containers[i];

		cgroup_read(ctx->cgroup_root, c->path, &c->cgroup);
	}
	if (ctx->witness) {
		err = collect_witness(ctx, &v);
		if (err)
			problem_set(&ctx->problem, "the witness: %s", strerror(-err));
	}
	now_us = clock_boottime_us();
	if (now_us < v.model->boot_time_us) {
		problem_set(&ctx->problem, "the snapshot %.400s is from the future; nothing is removed",
			    ctx->config->snapshot);
		sample_free(&v);
		return -EBADMSG;
	}
	v.skew_us = now_us - v.model->boot_time_us;
	v.slept_after_us = clock_slept_us();
	v.own_err = own_containers_mark(ctx->own, v.model, own_reason);
	if (v.own_err)
		problem_set(&ctx->problem, "%s", v.own_err == -ENOMEM ? strerror(ENOMEM) : own_reason);
	*ret = v;
	return 0;
}
