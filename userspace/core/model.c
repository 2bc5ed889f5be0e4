// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/container_id.h"

static int by_container(const void *a, const void *b)
{
	const struct snapshot_process *const *p = a, *const *q = b;
	int order = strcmp((*p)->container_id, (*q)->container_id);

	if (order)
		return order;
	if ((*p)->start_us != (*q)->start_us)
		return (*p)->start_us < (*q)->start_us ? -1 : 1;
	return ((*p)->pid > (*q)->pid) - ((*p)->pid < (*q)->pid);
}

static int by_pid(const void *a, const void *b)
{
	const struct model_process *p = a, *q = b;

	if (p->pid != q->pid)
		return p->pid < q->pid ? -1 : 1;
	return (p->start_us > q->start_us) - (p->start_us < q->start_us);
}

static int by_id(const void *a, const void *b)
{
	const struct model_container *p = a, *q = b;

	return strcmp(p->id, q->id);
}

/* The length of the container's own part of the path; 0 if path and id disagree. */
static size_t own_path(const struct snapshot_process *p)
{
	struct container_id found;
	size_t len = strlen(p->cgroup);

	if (container_id_find(p->cgroup, len, &found))
		return 0;
	if (strlen(p->container_id) != found.id_len ||
	    memcmp(p->cgroup + found.id, p->container_id, found.id_len))
		return 0;
	if (found.id_len >= MODEL_ID_SIZE || found.prefix_len >= MODEL_PATH_SIZE)
		return 0;
	return found.prefix_len;
}

static void container_begin(struct model_container *c, const struct snapshot_process *p, size_t path)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->id, sizeof(c->id), "%s", p->container_id);
	snprintf(c->runtime_name, sizeof(c->runtime_name), "%s", p->runtime);
	memcpy(c->path, p->cgroup, path);
	c->pid = p->pid;
	snprintf(c->name, sizeof(c->name), "%s", p->name);
	c->start_us = p->start_us;
}

int model_new(const struct snapshot *s, struct model **ret)
{
	const struct snapshot_process **order;
	struct model *m;
	size_t i, j, n = 0;

	m = calloc(1, sizeof(*m));
	order = calloc(s->process_count + 1, sizeof(*order));
	if (!m || !order)
		goto nomem;
	for (i = 0; i < s->process_count; i++)
		if (*s->processes[i].container_id)
			order[n++] = &s->processes[i];
	qsort(order, n, sizeof(*order), by_container);

	m->processes = calloc(n + 1, sizeof(*m->processes));
	m->containers = calloc(n + 1, sizeof(*m->containers));
	if (!m->processes || !m->containers)
		goto nomem;
	for (i = 0; i < n; i = j) {
		struct model_container *c = &m->containers[m->container_count];
		size_t path = own_path(order[i]), first = m->process_count;

		if (path)
			container_begin(c, order[i], path);
		for (j = i; j < n && !strcmp(order[j]->container_id, order[i]->container_id); j++) {
			const struct snapshot_process *p = order[j];

			if (!path || own_path(p) != path || memcmp(p->cgroup, c->path, path)) {
				path = 0;
				continue;
			}
			c->process_count++;
			c->thread_count += p->threads;
			c->vsz_kib += p->vsz_kib;
			c->rss_kib += p->rss_kib;
			c->memory_percent += p->memory_percent;
			m->processes[m->process_count++] = (struct model_process){
				.pid = p->pid,
				.state = p->state,
				.threads = p->threads,
				.container = m->container_count,
				.start_us = p->start_us,
				.cpu_us = p->cpu_us,
			};
		}
		if (path)
			m->container_count++;
		else
			m->process_count = first;
	}
	qsort(m->processes, m->process_count, sizeof(*m->processes), by_pid);

	snprintf(m->instance, sizeof(m->instance), "%s", s->instance);
	m->sequence = s->sequence;
	m->boot_time_us = s->boot_time_us;
	m->cpus = s->cpus;
	m->total_ram_kib = s->total_ram_kib;
	m->free_ram_kib = s->free_ram_kib;
	m->used_ram_kib = s->used_ram_kib;
	m->available_ram_kib = s->available_ram_kib;
	free(order);
	*ret = m;
	return 0;

nomem:
	free(order);
	model_free(m);
	return -ENOMEM;
}

/* A counter that went back was reset: what it did before is not known. */
static uint64_t growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void model_compare(struct model *m, const struct model *last)
{
	size_t i;

	m->window_us = 0;
	if (!last || strcmp(m->instance, last->instance) || m->sequence <= last->sequence ||
	    m->boot_time_us <= last->boot_time_us)
		return;
	m->window_us = m->boot_time_us - last->boot_time_us;

	for (i = 0; i < m->container_count; i++) {
		struct model_container *c = &m->containers[i];
		const struct model_container *then = model_find(last, c->id);

		if (!then || !c->cgroup.known || !then->cgroup.known ||
		    c->cgroup.inode != then->cgroup.inode)
			continue;
		c->has_window = true;
		c->has_cgroup_window = c->cgroup.has_cpu && then->cgroup.has_cpu;
		c->cgroup_window_us = growth(c->cgroup.cpu_us, then->cgroup.cpu_us);
		if (c->cgroup.has_oom && then->cgroup.has_oom)
			c->oom_window = growth(c->cgroup.oom_kills, then->cgroup.oom_kills);
	}
	for (i = 0; i < m->process_count; i++) {
		const struct model_process *p = &m->processes[i];
		const struct model_process *then = model_find_process(last, p->pid, p->start_us);
		struct model_container *c = &m->containers[p->container];

		if (then) {
			c->cpu_window_us += growth(p->cpu_us, then->cpu_us);
		} else if (p->start_us >= last->boot_time_us) {
			c->cpu_window_us += p->cpu_us;
			c->cpu_new_us += p->cpu_us;
		}
		/* Else it came from elsewhere: what it used here is not known. */
	}
}

int model_drop(struct model *m, const bool *gone)
{
	size_t *place = calloc(m->container_count + 1, sizeof(*place));
	size_t i, n = 0;

	if (!place)
		return -ENOMEM;
	for (i = 0; i < m->container_count; i++) {
		if (gone[i]) {
			free(m->containers[i].runtime.labels);
			continue;
		}
		place[i] = n;
		if (n != i)
			m->containers[n] = m->containers[i];
		n++;
	}
	m->container_count = n;
	for (i = n = 0; i < m->process_count; i++) {
		struct model_process p = m->processes[i];

		if (gone[p.container])
			continue;
		p.container = place[p.container];
		m->processes[n++] = p;
	}
	m->process_count = n;
	free(place);
	return 0;
}

struct model_container *model_find(const struct model *m, const char *id)
{
	struct model_container key;

	if (strlen(id) >= sizeof(key.id))
		return NULL;
	strcpy(key.id, id);
	return bsearch(&key, m->containers, m->container_count, sizeof(key), by_id);
}

const struct model_process *model_find_process(const struct model *m, uint32_t pid,
					       uint64_t start_us)
{
	struct model_process key = { .pid = pid, .start_us = start_us };

	return bsearch(&key, m->processes, m->process_count, sizeof(key), by_pid);
}

void model_free(struct model *m)
{
	size_t i;

	if (!m)
		return;
	for (i = 0; m->containers && i < m->container_count; i++)
		free(m->containers[i].runtime.labels);
	free(m->containers);
	free(m->processes);
	free(m);
}
