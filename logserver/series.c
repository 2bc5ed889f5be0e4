// SPDX-License-Identifier: GPL-2.0
#include "series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define FIRST_WIDTH_MS 1000

static void join(struct series_bin *to, const struct series_bin *from)
{
	to->count += from->count;
	to->available_count += from->available_count;
	to->total_kib += from->total_kib;
	to->free_kib += from->free_kib;
	to->used_kib += from->used_kib;
	to->available_kib += from->available_kib;
}

/* The first bin whose index is not below @index. */
static size_t lower_bound(const struct series_memory *memory, int64_t index)
{
	size_t low = 0, high = memory->bin_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memory->bins[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void halve_resolution(struct series_memory *memory)
{
	size_t kept = 0;

	memory->width_ms *= 2;
	for (size_t i = 0; i < memory->bin_count; i++) {
		struct series_bin bin = memory->bins[i];

		bin.index /= 2;
		if (kept && memory->bins[kept - 1].index == bin.index)
			join(&memory->bins[kept - 1], &bin);
		else
			memory->bins[kept++] = bin;
	}
	memory->bin_count = kept;
}

static void add_sample(struct series_memory *memory, int64_t time_ms,
		       const struct record_memory *sample)
{
	struct series_bin bin = {
		.count = 1,
		.total_kib = sample->total_kib,
		.free_kib = sample->free_kib,
		.used_kib = sample->used_kib,
	};
	size_t at;

	if (sample->available_kib >= 0) {
		bin.available_count = 1;
		bin.available_kib = sample->available_kib;
	}
	if (!memory->samples || sample->used_kib < memory->least_used_kib)
		memory->least_used_kib = sample->used_kib;
	if (!memory->samples || sample->used_kib > memory->most_used_kib)
		memory->most_used_kib = sample->used_kib;
	if (!memory->samples || time_ms >= memory->last_ms) {
		memory->last_ms = time_ms;
		memory->last_used_kib = sample->used_kib;
		memory->last_total_kib = sample->total_kib;
	}
	memory->samples++;

	for (;;) {
		bin.index = time_ms / memory->width_ms;
		at = lower_bound(memory, bin.index);
		if (at < memory->bin_count && memory->bins[at].index == bin.index) {
			join(&memory->bins[at], &bin);
			return;
		}
		if (memory->bin_count < LIMITS_SERIES_BINS)
			break;
		halve_resolution(memory);
	}
	memmove(&memory->bins[at + 1], &memory->bins[at],
		(memory->bin_count - at) * sizeof(bin));
	memory->bins[at] = bin;
	memory->bin_count++;
}

static int add_memory(struct series *series, const struct record *record)
{
	struct series_memory *memory = NULL;

	for (size_t i = 0; i < series->host_count && !memory; i++) {
		if (strcmp(series->hosts[i]->host, record->host) == 0)
			memory = series->hosts[i];
	}
	if (!memory) {
		if (series->host_count == LIMITS_SERIES_HOSTS) {
			series->not_followed++;
			return 0;
		}
		memory = calloc(1, sizeof(*memory));
		if (!memory)
			return -ENOMEM;
		strcpy(memory->host, record->host);
		memory->width_ms = FIRST_WIDTH_MS;
		series->hosts[series->host_count++] = memory;
	}
	add_sample(memory, record->time_ms, &record->memory);
	return 0;
}

static void count_image(struct series *series, const char *image)
{
	for (size_t i = 0; i < series->image_count; i++) {
		if (strcmp(series->images[i].image, image) == 0) {
			series->images[i].count++;
			return;
		}
	}
	if (series->image_count == LIMITS_SERIES_IMAGES) {
		series->other_images++;
		return;
	}
	strcpy(series->images[series->image_count].image, image);
	series->images[series->image_count++].count = 1;
}

int series_add(struct series *series, const struct record *record)
{
	struct series_kill *slot;

	if (record->kind == RECORD_MEMORY)
		return add_memory(series, record);

	slot = &series->recent[series->kills++ % LIMITS_SERIES_KILLS];
	slot->time_ms = record->time_ms;
	slot->kill = record->kill;
	series->by_class[record->kill.class]++;
	count_image(series, record->kill.image);
	if (record->time_ms > series->last_kill_ms)
		series->last_kill_ms = record->time_ms;
	return 0;
}

void series_free(struct series *series)
{
	for (size_t i = 0; i < series->host_count; i++)
		free(series->hosts[i]);
	memset(series, 0, sizeof(*series));
}

const struct series_memory *series_newest_host(const struct series *series)
{
	const struct series_memory *newest = NULL;

	for (size_t i = 0; i < series->host_count; i++) {
		if (!newest || series->hosts[i]->last_ms > newest->last_ms)
			newest = series->hosts[i];
	}
	return newest;
}

size_t series_recent_count(const struct series *series)
{
	return series->kills < LIMITS_SERIES_KILLS ? (size_t)series->kills : LIMITS_SERIES_KILLS;
}

static int by_time(const void *a, const void *b)
{
	const struct series_kill *first = a, *second = b;

	return (first->time_ms > second->time_ms) - (first->time_ms < second->time_ms);
}

void series_recent(const struct series *series, struct series_kill *ret)
{
	size_t count = series_recent_count(series);
	size_t oldest = series->kills > count ? (size_t)(series->kills % count) : 0;

	for (size_t i = 0; i < count; i++)
		ret[i] = series->recent[(oldest + i) % LIMITS_SERIES_KILLS];
	/* Records that waited in a monitor's spool come late. glibc's qsort keeps
	 * the order of equals when it has memory for it, as it has for these. */
	qsort(ret, count, sizeof(*ret), by_time);
}

int64_t series_bin_time(const struct series_memory *memory, const struct series_bin *bin)
{
	return bin->index * memory->width_ms + memory->width_ms / 2;
}
