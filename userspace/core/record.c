// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/record.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "userspace/core/explain.h"
#include "userspace/core/escape.h"

/* The log server takes texts of up to 1024 bytes. */
#define LONGEST_TEXT 1000

void record_time(int64_t unix_ms, char *buf)
{
	time_t s = (time_t)(unix_ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(buf, RECORD_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, RECORD_TIME_SIZE - n, ".%03dZ", (int)(unix_ms % 1000));
}

void record_reason(const struct decision *d, char *buf, size_t size)
{
	snprintf(buf, size, "%s %s: rank %u, cpu %u.%02u %%, memory %.1f MiB", rule_text(d->rule),
		 class_name(d->class), d->rank, d->measure->cpu_centi / 100, d->measure->cpu_centi % 100,
		 (double)d->measure->memory_bytes / (1 << 20));
}

/* The fields that every record of ours has. */
static int add_origin(cJSON *o, const struct record_origin *from, const char *what, int64_t unix_ms)
{
	char id[160], when[RECORD_TIME_SIZE];

	snprintf(id, sizeof(id), "%s-%llu-%s", from->instance, (unsigned long long)from->sequence,
		 what);
	record_time(unix_ms, when);
	return cJSON_AddStringToObject(o, "timestamp", when) &&
	       cJSON_AddStringToObject(o, "event_id", id) &&
	       cJSON_AddStringToObject(o, "host", from->host) &&
	       cJSON_AddStringToObject(o, "boot_id", from->boot_id) ? 0 : -ENOMEM;
}

/* Two decimals are what the figures are good for. */
static double centi(double value)
{
	return (double)(int64_t)(value * 100 + 0.5) / 100;
}

/* The log server takes no empty texts: one that isn't known is left out. */
static int add_text(cJSON *o, const char *key, const char *text)
{
	return !*text || cJSON_AddStringToObject(o, key, text) ? 0 : -ENOMEM;
}

cJSON *record_intent(const struct record_origin *from, const struct decision *d,
		     const struct record_times *now)
{
	const struct model_container *c = d->container;
	cJSON *o = cJSON_CreateObject();
	char reason[256], what[65];

	/* With the instance and the sequence it stays below the log server's 128 bytes. */
	snprintf(what, sizeof(what), "%.64s", c->id);
	record_reason(d, reason, sizeof(reason));
	if (o && cJSON_AddNumberToObject(o, "pid", c->pid) &&
	    cJSON_AddStringToObject(o, "container_id", c->id) &&
	    cJSON_AddStringToObject(o, "name", *c->name ? c->name : "?") &&
	    cJSON_AddNumberToObject(o, "vsz", (double)c->vsz_kib) &&
	    cJSON_AddNumberToObject(o, "rss", (double)c->rss_kib) &&
	    cJSON_AddNumberToObject(o, "memory_usage", centi(c->memory_percent)) &&
	    cJSON_AddNumberToObject(o, "cpu_usage", d->measure->cpu_centi / 100.0) &&
	    cJSON_AddStringToObject(o, "action", "intent") &&
	    !add_origin(o, from, what, now->unix_ms) &&
	    !add_text(o, "container_name", c->runtime.name) &&
	    !add_text(o, "image", c->runtime.image) &&
	    cJSON_AddStringToObject(o, "class", class_name(d->class)) &&
	    cJSON_AddStringToObject(o, "reason", reason) &&
	    cJSON_AddNumberToObject(o, "memory_current", (double)c->cgroup.memory_bytes) &&
	    cJSON_AddNumberToObject(o, "sequence", (double)from->sequence) &&
	    cJSON_AddStringToObject(o, RECORD_CGROUP, c->path) &&
	    cJSON_AddNumberToObject(o, RECORD_INTENDED_US, (double)now->boottime_us) &&
	    cJSON_AddNumberToObject(o, RECORD_CGROUP_ID, (double)c->cgroup.inode) &&
	    !explain_add(o, d) &&
	    cJSON_AddStringToObject(o, "witness", reconcile_verdict_name(d->books->verdict)))
		return o;
	cJSON_Delete(o);
	return NULL;
}

/* What only the one who finds an intent after a crash needs. */
static void drop_private(cJSON *intent)
{
	static const char *const keys[] = { "action", RECORD_CGROUP, RECORD_INTENDED_US,
					    RECORD_INTENDED_MS, RECORD_GRACE_US, RECORD_BY_RUNTIME, RECORD_POLICY,
					    RECORD_RETRIES };
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(intent, keys[i]);
}

int record_would(cJSON *intent)
{
	drop_private(intent);
	return cJSON_AddStringToObject(intent, "action", "would_kill") ? 0 : -ENOMEM;
}

static const char *action_of(const struct receipt *r)
{
	if (receipt_is_kill(r))
		return "killed";
	if (r->outcome == RECEIPT_UNKNOWN)
		return "unknown";
	return r->outcome == RECEIPT_GONE ? "gone" : "survived";
}

/* The signal that it died of; 0: by itself, or not known. */
static int signal_of(const struct receipt *r)
{
	if (r->signal || !receipt_is_kill(r))
		return r->signal;
	/* Not seen, but there was no other. */
	return r->stopped ? 0 : SIGKILL;
}

int record_complete(cJSON *intent, const struct receipt *r, int64_t unix_ms)
{
	char when[RECORD_TIME_SIZE], evidence[RECEIPT_EVIDENCE_SIZE], shown[LONGEST_TEXT];
	double latency_ms = receipt_latency_ms(r);

	record_time(unix_ms, when);
	receipt_evidence(r, evidence, sizeof(evidence));
	drop_private(intent);
	cJSON_DeleteItemFromObjectCaseSensitive(intent, "timestamp");
	if (!cJSON_AddStringToObject(intent, "action", action_of(r)) ||
	    !cJSON_AddStringToObject(intent, "timestamp", when) ||
	    !cJSON_AddBoolToObject(intent, "verified", r->outcome == RECEIPT_VERIFIED) ||
	    !cJSON_AddStringToObject(intent, "seen_by", receipt_seen_by(r)) ||
	    !cJSON_AddStringToObject(intent, "outcome", receipt_outcome_name(r->outcome)) ||
	    /* It may quote the runtime, and be cut in the middle of a character. */
	    !cJSON_AddStringToObject(intent, "evidence", escape(evidence, shown, sizeof(shown))))
		return -ENOMEM;
	if ((signal_of(r) && !cJSON_AddNumberToObject(intent, "signal", signal_of(r))) ||
	    (receipt_memory_freed(r) &&
	     !cJSON_AddNumberToObject(intent, "memory_freed", (double)receipt_memory_freed(r))) ||
	    (latency_ms >= 0 && !cJSON_AddNumberToObject(intent, "kill_latency_ms", centi(latency_ms))) ||
	    (r->watched && (!cJSON_AddNumberToObject(intent, "processes", (double)r->process_count) ||
			    !cJSON_AddNumberToObject(intent, "processes_dead", (double)r->known_dead))))
		return -ENOMEM;
	return 0;
}

cJSON *record_death(const struct record_origin *from, const struct death *d, int64_t unix_ms)
{
	const struct model_container *c = &d->container;
	cJSON *o = cJSON_CreateObject();
	char text[DEATH_TEXT_SIZE], what[72];

	/*
	 * A kill of the same snapshot may have failed; and one that is started anew at once may
	 * have died several times since the last, each time in a cgroup of its own.
	 */
	snprintf(what, sizeof(what), "%.40s-%llx-died", c->id, (unsigned long long)c->cgroup.inode);
	death_text(d, text, sizeof(text));
	if (o && cJSON_AddNumberToObject(o, "pid", c->pid) &&
	    cJSON_AddStringToObject(o, "container_id", c->id) &&
	    cJSON_AddStringToObject(o, "name", *c->name ? c->name : "?") &&
	    cJSON_AddNumberToObject(o, "vsz", (double)c->vsz_kib) &&
	    cJSON_AddNumberToObject(o, "rss", (double)c->rss_kib) &&
	    cJSON_AddNumberToObject(o, "memory_usage", centi(c->memory_percent)) &&
	    cJSON_AddNumberToObject(o, "cpu_usage", 0) &&
	    cJSON_AddStringToObject(o, "action", "died") &&
	    !add_origin(o, from, what, unix_ms) &&
	    !add_text(o, "container_name", c->runtime.name) &&
	    !add_text(o, "image", c->runtime.image) &&
	    cJSON_AddNumberToObject(o, "memory_current", (double)c->cgroup.memory_bytes) &&
	    cJSON_AddNumberToObject(o, "sequence", (double)from->sequence) &&
	    cJSON_AddStringToObject(o, "cause", death_cause_name(d->cause)) &&
	    cJSON_AddStringToObject(o, "reason", text) &&
	    cJSON_AddStringToObject(o, "source", death_source_name(d->source)) &&
	    (d->cause == DEATH_UNKNOWN || cJSON_AddNumberToObject(o, d->signal ? "signal" : "exit_code",
								   d->signal ? d->signal : d->exit_code)))
		return o;
	cJSON_Delete(o);
	return NULL;
}

cJSON *record_memory(const struct record_origin *from, const struct model *m, int64_t unix_ms)
{
	cJSON *o = cJSON_CreateObject();

	if (o && cJSON_AddNumberToObject(o, "total_ram", (double)m->total_ram_kib) &&
	    cJSON_AddNumberToObject(o, "free_ram", (double)m->free_ram_kib) &&
	    cJSON_AddNumberToObject(o, "used_ram", (double)m->used_ram_kib) &&
	    cJSON_AddNumberToObject(o, "available_ram", (double)m->available_ram_kib) &&
	    !add_origin(o, from, "memory", unix_ms))
		return o;
	cJSON_Delete(o);
	return NULL;
}
