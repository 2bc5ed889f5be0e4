// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/snapshot_parse.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/sysinfo_abi.h"

/* What a double holds exactly. */
#define EXACT_MAX 9007199254740992.0

/* Where the document is being read, for the reason of a failure. */
struct cursor {
	const cJSON *object;
	long process;		/* index, or -1 outside of Processes */
	char *reason;
	int err;
};

static void fail(struct cursor *at, const char *key, const char *what)
{
	if (at->err)
		return;
	at->err = -EBADMSG;
	if (at->process < 0)
		snprintf(at->reason, SNAPSHOT_REASON_SIZE, "%s %s", key, what);
	else
		snprintf(at->reason, SNAPSHOT_REASON_SIZE, "%s of process %ld %s", key, at->process,
			 what);
}

static double get_number(struct cursor *at, const char *key, double max)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(at->object, key);

	if (!cJSON_IsNumber(item)) {
		fail(at, key, "is missing or no number");
		return 0;
	}
	/* Also false for what isn't a number at all. */
	if (!(item->valuedouble >= 0 && item->valuedouble <= max)) {
		fail(at, key, "is out of range");
		return 0;
	}
	return item->valuedouble;
}

static uint64_t get_integer(struct cursor *at, const char *key, double max)
{
	double value = get_number(at, key, max);

	if (value != floor(value)) {
		fail(at, key, "is no integer");
		return 0;
	}
	return (uint64_t)value;
}

static const char *get_string(struct cursor *at, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(at->object, key);

	if (!cJSON_IsString(item)) {
		fail(at, key, "is missing or no string");
		return "";
	}
	return item->valuestring;
}

static void get_process(struct cursor *at, struct snapshot_process *p)
{
	p->pid = get_integer(at, "PID", UINT32_MAX);
	p->ppid = get_integer(at, "PPID", UINT32_MAX);
	p->name = get_string(at, "Name");
	p->container_id = get_string(at, "ContainerID");
	p->runtime = get_string(at, "Runtime");
	p->cgroup = get_string(at, "Cgroup");
	p->cgroup_id = get_integer(at, "CgroupID", EXACT_MAX);
	p->start_us = get_integer(at, "StartTimeUs", EXACT_MAX);
	p->vsz_kib = get_integer(at, "Vsz", EXACT_MAX);
	p->rss_kib = get_integer(at, "Rss", EXACT_MAX);
	p->cpu_us = get_integer(at, "CPUTimeUs", EXACT_MAX);
	p->state = get_string(at, "State")[0];
	p->threads = (uint32_t)get_integer(at, "Threads", UINT32_MAX);
	p->memory_percent = get_number(at, "MemoryUsage", EXACT_MAX);
	p->cpu_percent = get_number(at, "CPUUsage", EXACT_MAX);
	if (!at->err && !p->pid)
		fail(at, "PID", "is 0");
}

static int get_processes(struct cursor *at, struct snapshot *s)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(at->object, "Processes");
	const cJSON *item;

	if (!cJSON_IsArray(list)) {
		fail(at, "Processes", "is missing or no array");
		return at->err;
	}
	s->processes = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*s->processes));
	if (!s->processes)
		return -ENOMEM;
	cJSON_ArrayForEach(item, list) {
		at->object = item;
		at->process = (long)s->process_count;
		if (!cJSON_IsObject(item))
			fail(at, "the entry", "is no object");
		get_process(at, &s->processes[s->process_count]);
		if (at->err)
			return at->err;
		s->process_count++;
	}
	return 0;
}

int snapshot_parse(const char *text, size_t len, struct snapshot **ret, char *reason)
{
	struct cursor at = { .process = -1, .reason = reason };
	struct snapshot *s;
	const char *end;
	uint64_t version;
	int err;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	/* cJSON takes a NUL within a string for its end. */
	if (!memchr(text, '\0', len))
		s->document = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	for (; s->document && end < text + len; end++) {
		if (*end == ' ' || *end == '\n' || *end == '\t' || *end == '\r')
			continue;
		cJSON_Delete(s->document);
		s->document = NULL;
	}
	if (!cJSON_IsObject((cJSON *)s->document)) {
		snprintf(reason, SNAPSHOT_REASON_SIZE,
			 "not a whole JSON object (%zu bytes; malformed or cut off)", len);
		err = -EBADMSG;
		goto fail;
	}
	at.object = s->document;

	version = get_integer(&at, "SchemaVersion", UINT32_MAX);
	if (!at.err && version != SYSINFO_SCHEMA_VERSION) {
		snprintf(reason, SNAPSHOT_REASON_SIZE,
			 "schema version %llu, but this monitor reads %d: use the module that came with it",
			 (unsigned long long)version, SYSINFO_SCHEMA_VERSION);
		err = -EPROTO;
		goto fail;
	}
	s->instance = get_string(&at, "Instance");
	s->sequence = get_integer(&at, "Sequence", EXACT_MAX);
	s->boot_time_us = get_integer(&at, "BootTimeUs", EXACT_MAX);
	s->collect_us = get_integer(&at, "CollectUs", EXACT_MAX);
	s->total_ram_kib = get_integer(&at, "TotalRAM", EXACT_MAX);
	s->free_ram_kib = get_integer(&at, "FreeRAM", EXACT_MAX);
	s->used_ram_kib = get_integer(&at, "UsedRAM", EXACT_MAX);
	s->available_ram_kib = get_integer(&at, "AvailableRAM", EXACT_MAX);
	s->cpus = get_integer(&at, "CPUs", UINT32_MAX);
	err = at.err ? at.err : get_processes(&at, s);
	if (err)
		goto fail;
	*ret = s;
	return 0;

fail:
	snapshot_free(s);
	return err;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	cJSON_Delete(s->document);
	free(s->processes);
	free(s);
}
