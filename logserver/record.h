/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a record is: its fields, their types and limits. Pure: JSON text in,
 * a checked line and a summary out.
 */
#ifndef LOGSERVER_RECORD_H
#define LOGSERVER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"

enum record_kind { RECORD_KILL, RECORD_MEMORY, RECORD_KINDS };

enum record_class { RECORD_CLASS_HIGH, RECORD_CLASS_LOW, RECORD_CLASS_UNKNOWN, RECORD_CLASSES };

/* What became of the container, by `action`. Only of the first two a bar is drawn. */
enum record_outcome {
	RECORD_REMOVED,    /* "killed", and any other word: the reference has its own */
	RECORD_DRY_RUN,    /* "would_kill", or `dry_run` is true */
	RECORD_SURVIVED,   /* "survived": was to be removed */
	RECORD_GONE,       /* "gone", "died": ended, but not by the monitor */
	RECORD_OUTCOMES
};

/* Names on graphs and pages are cut to this; the stored line is whole. */
#define RECORD_SHORT_BYTES 48
#define RECORD_CONTAINER_BYTES 12

struct record_kill {
	enum record_class class;
	enum record_outcome outcome;
	char name[RECORD_SHORT_BYTES + 1];
	char image[RECORD_SHORT_BYTES + 1];
	char container[RECORD_CONTAINER_BYTES + 1];  /* as docker shortens an id */
	uint64_t image_hash; /* of the whole name: see record_image_hash() */
	char reason[RECORD_SHORT_BYTES * 2 + 1];
	double memory_kib;   /* memory_current where there is one, else rss */
	double cpu_percent;
};

struct record_memory {
	double total_kib, free_kib, used_kib;
	double available_kib;  /* negative: not known */
};

/* What the server itself needs to know of a record. */
struct record {
	enum record_kind kind;
	int64_t time_ms;
	char event_id[LIMITS_EVENT_ID_BYTES + 1];  /* empty: none, as the reference's */
	char host[LIMITS_HOST_BYTES + 1];          /* empty: not named */
	union {
		struct record_kill kill;
		struct record_memory memory;
	};
};

/* Why a body was refused. index is -1 and field empty where they don't apply. */
struct record_error {
	int index;
	char field[LIMITS_FIELD_NAME_BYTES + 1];
	char message[160];
};

/*
 * Check one JSON object against @kind and summarise it. If @line is not NULL it
 * receives the object as one line of compact JSON with a newline and a 0 at
 * its end; it must hold RECORD_LINE_BYTES. @zone_s as in timestamp_read().
 *
 * 0, -EINVAL with @ret_error filled in (index untouched), or -ENOMEM.
 */
#define RECORD_LINE_BYTES (LIMITS_RECORD_BYTES + 2)
int record_read(enum record_kind kind, const char *json, size_t len, int zone_s,
		struct record *ret, char *line, size_t *ret_line_len, struct record_error *ret_error);

/* Records of one request, checked, with their lines one after the other. */
struct record_batch {
	struct record *records;
	size_t *line_ends;  /* offset of the end of each record's line in @lines */
	size_t count;
	char *lines;
	size_t lines_len;
};

/*
 * Check a request's body, a JSON array of objects: all of it or nothing. If
 * @host is not NULL, every record is of that host: one that names none is given
 * it, one that names another is refused.
 * 0 with @ret to be freed by record_batch_free(), -EINVAL, -EACCES (another
 * host) or -E2BIG (more than LIMITS_RECORDS) with @ret_error filled in, or -ENOMEM.
 */
int record_read_body(enum record_kind kind, const char *body, size_t len, int zone_s,
		     const char *host, struct record_batch *ret, struct record_error *ret_error);
void record_batch_free(struct record_batch *batch);

/* Names of images are compared by this; never 0. */
uint64_t record_image_hash(const char *image);

/* The name of a kind's known field @i; NULL behind the last one. */
const char *record_field_name(enum record_kind kind, size_t i);

/* The words of the enum as they stand in records: "high", "low", "unknown". */
const char *record_class_name(enum record_class class);

#endif
