/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the graphs and the page show, kept up to date record by record in
 * bounded memory, so that drawing never reads the files. Pure.
 */
#ifndef LOGSERVER_SERIES_H
#define LOGSERVER_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"
#include "record.h"

/* The samples of one stretch of time: sums and how many. */
struct series_bin {
	int64_t index;  /* time_ms / the series' width_ms */
	uint32_t count, available_count;
	double total_kib, free_kib, used_kib, available_kib;
};

/*
 * One host's memory over time. Only stretches with samples have a bin; when
 * all are taken, the width doubles and neighbours join. The order in which the
 * samples come does not matter.
 */
struct series_memory {
	char host[LIMITS_HOST_BYTES + 1];
	int64_t width_ms;
	size_t bin_count;
	struct series_bin bins[LIMITS_SERIES_BINS];
	uint64_t samples;
	int64_t last_ms;
	double least_used_kib, most_used_kib, last_used_kib, last_total_kib;
};

struct series_kill {
	int64_t time_ms;
	uint64_t host;  /* series_host_hash() */
	struct record_kill kill;
};

struct series_image {
	char image[RECORD_SHORT_BYTES + 1];
	uint64_t count;
};

struct series {
	struct series_memory *hosts[LIMITS_SERIES_HOSTS];
	size_t host_count;
	uint64_t not_followed;  /* samples of hosts beyond those */

	/* From here on: of kills, saved as they are. */
	uint64_t by_outcome[RECORD_OUTCOMES];
	uint64_t by_class[RECORD_CLASSES];  /* of what was removed */
	/* Rings: of what was removed or would have been, and of all others. */
	struct series_kill recent[LIMITS_SERIES_KILLS];
	struct series_kill others[LIMITS_SERIES_OTHERS];
	/* Of what was removed. */
	struct series_image images[LIMITS_SERIES_IMAGES];
	size_t image_count;
	uint64_t other_images;
	int64_t last_kill_ms;
};

/* Count one record in. 0, or -ENOMEM where a new host's series can't be made. */
int series_add(struct series *series, const struct record *record);
void series_free(struct series *series);

/*
 * What @series knows of a kind of records, as bytes for this build of the server
 * (they are kept in the index, which is made anew for another), and back.
 * save: memory that the caller frees; 0 or -ENOMEM. load: into a series that
 * knows nothing of that kind; false if the bytes are none of ours.
 */
int series_save(const struct series *series, enum record_kind kind, void **ret, size_t *ret_len);
bool series_load(struct series *series, enum record_kind kind, const void *state, size_t len);

/* Hosts of kills are compared by this. */
uint64_t series_host_hash(const char *host);

/* The host with the newest sample, NULL where there is none. */
const struct series_memory *series_newest_host(const struct series *series);

/* How many were removed or would have been; of the newest of them, how many are at hand, and
 * a copy, oldest first by time. */
uint64_t series_drawn(const struct series *series);
size_t series_recent_count(const struct series *series);
void series_recent(const struct series *series, struct series_kill *ret);
/* Likewise all others. */
size_t series_others_count(const struct series *series);
void series_others(const struct series *series, struct series_kill *ret);

/* The middle of a bin's stretch of time, in ms. */
int64_t series_bin_time(const struct series_memory *memory, const struct series_bin *bin);

#endif
