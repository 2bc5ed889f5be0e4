// SPDX-License-Identifier: GPL-2.0
#include "series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
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

/* The kills' part of a series. */
#define KILLS_START offsetof(struct series, by_outcome)
#define KILLS_BYTES (sizeof(struct series) - KILLS_START)

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

uint64_t series_host_hash(const char *host)
{
	const uint64_t key[2] = { 0 };

	return hash_bytes(key, host, strlen(host)).half[0];
}

static bool is_drawn(const struct record_kill *kill)
{
	return kill->outcome == RECORD_REMOVED || kill->outcome == RECORD_DRY_RUN;
}

uint64_t series_drawn(const struct series *series)
{
	return series->by_outcome[RECORD_REMOVED] + series->by_outcome[RECORD_DRY_RUN];
}

static uint64_t not_drawn(const struct series *series)
{
	return series->by_outcome[RECORD_SURVIVED] + series->by_outcome[RECORD_GONE];
}

int series_add(struct series *series, const struct record *record)
{
	const struct record_kill *kill = &record->kill;
	struct series_kill *slot;

	if (record->kind == RECORD_MEMORY)
		return add_memory(series, record);

	if (is_drawn(kill))
		slot = &series->recent[series_drawn(series) % LIMITS_SERIES_KILLS];
	else
		slot = &series->others[not_drawn(series) % LIMITS_SERIES_OTHERS];
	slot->time_ms = record->time_ms;
	slot->host = series_host_hash(record->host);
	slot->kill = *kill;
	series->by_outcome[kill->outcome]++;
	if (kill->outcome == RECORD_REMOVED) {
		series->by_class[kill->class]++;
		count_image(series, kill->image);
	}
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

static int by_time(const void *a, const void *b)
{
	const struct series_kill *first = a, *second = b;

	return (first->time_ms > second->time_ms) - (first->time_ms < second->time_ms);
}

static size_t at_hand(uint64_t added, size_t capacity)
{
	return added < capacity ? (size_t)added : capacity;
}

static void copy_ring(const struct series_kill *ring, size_t capacity, uint64_t added,
		      struct series_kill *ret)
{
	size_t count = at_hand(added, capacity);
	size_t oldest = added > count ? (size_t)(added % count) : 0;

	for (size_t i = 0; i < count; i++)
		ret[i] = ring[(oldest + i) % capacity];
	/* Records that waited in a monitor's spool come late. glibc's qsort keeps
	 * the order of equals when it has memory for it, as it has for these. */
	qsort(ret, count, sizeof(*ret), by_time);
}

size_t series_recent_count(const struct series *series)
{
	return at_hand(series_drawn(series), LIMITS_SERIES_KILLS);
}

void series_recent(const struct series *series, struct series_kill *ret)
{
	copy_ring(series->recent, LIMITS_SERIES_KILLS, series_drawn(series), ret);
}

size_t series_others_count(const struct series *series)
{
	return at_hand(not_drawn(series), LIMITS_SERIES_OTHERS);
}

void series_others(const struct series *series, struct series_kill *ret)
{
	copy_ring(series->others, LIMITS_SERIES_OTHERS, not_drawn(series), ret);
}

int64_t series_bin_time(const struct series_memory *memory, const struct series_bin *bin)
{
	return bin->index * memory->width_ms + memory->width_ms / 2;
}

int series_save(const struct series *series, enum record_kind kind, void **ret, size_t *ret_len)
{
	size_t hosts_len = series->host_count * sizeof(struct series_memory);
	size_t len = kind == RECORD_KILL ? KILLS_BYTES : sizeof(uint64_t) + hosts_len;
	char *state = malloc(len);

	if (!state)
		return -ENOMEM;
	if (kind == RECORD_KILL) {
		memcpy(state, (const char *)series + KILLS_START, len);
	} else {
		memcpy(state, &series->not_followed, sizeof(uint64_t));
		for (size_t i = 0; i < series->host_count; i++)
			memcpy(state + sizeof(uint64_t) + i * sizeof(struct series_memory),
			       series->hosts[i], sizeof(struct series_memory));
	}
	*ret = state;
	*ret_len = len;
	return 0;
}

/* The index is ours, but what is on disk is never trusted to index an array. */
static bool is_sound(const struct series_memory *memory)
{
	return memory->width_ms > 0 && memory->bin_count > 0 &&
	       memory->bin_count <= LIMITS_SERIES_BINS &&
	       memchr(memory->host, 0, sizeof(memory->host));
}

static bool is_sound_kill(const struct record_kill *kill)
{
	return kill->class < RECORD_CLASSES && kill->outcome < RECORD_OUTCOMES;
}

static bool load_hosts(struct series *series, const char *state, size_t len)
{
	if (len < sizeof(uint64_t) || (len - sizeof(uint64_t)) % sizeof(struct series_memory) ||
	    len / sizeof(struct series_memory) > LIMITS_SERIES_HOSTS)
		return false;
	memcpy(&series->not_followed, state, sizeof(uint64_t));
	for (size_t at = sizeof(uint64_t); at < len; at += sizeof(struct series_memory)) {
		struct series_memory *memory = malloc(sizeof(*memory));

		if (!memory)
			return false;
		memcpy(memory, state + at, sizeof(*memory));
		series->hosts[series->host_count++] = memory;
		if (!is_sound(memory))
			return false;
	}
	return true;
}

bool series_load(struct series *series, enum record_kind kind, const void *state, size_t len)
{
	bool sound = len == KILLS_BYTES;

	if (kind == RECORD_MEMORY) {
		sound = load_hosts(series, state, len);
		for (; !sound && series->host_count > 0; series->host_count--)
			free(series->hosts[series->host_count - 1]);
		return sound;
	}
	if (sound)
		memcpy((char *)series + KILLS_START, state, len);
	for (size_t i = 0; sound && i < LIMITS_SERIES_KILLS; i++)
		sound = is_sound_kill(&series->recent[i].kill);
	for (size_t i = 0; sound && i < LIMITS_SERIES_OTHERS; i++)
		sound = is_sound_kill(&series->others[i].kill);
	if (!sound || series->image_count > LIMITS_SERIES_IMAGES) {
		memset((char *)series + KILLS_START, 0, KILLS_BYTES);
		return false;
	}
	return true;
}
