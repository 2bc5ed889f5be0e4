/* SPDX-License-Identifier: GPL-2.0 */
/* The clocks, in one place: what is pure takes the time as a parameter. */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Unix time in milliseconds: for people and records, never for an interval. */
static inline int64_t clock_unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* CLOCK_BOOTTIME in microseconds: the snapshot's clock, which goes on in suspend. */
static inline uint64_t clock_boottime_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* CLOCK_MONOTONIC in milliseconds: for deadlines and latencies. */
static inline double clock_monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/*
 * How long the machine has slept since it was booted, in microseconds: CLOCK_MONOTONIC
 * stands still meanwhile.  Between reading the two we may be held up, so the least of some.
 */
static inline uint64_t clock_slept_us(void)
{
	uint64_t least = UINT64_MAX;
	int i;

	for (i = 0; i < 3; i++) {
		uint64_t awake_us = (uint64_t)(clock_monotonic_ms() * 1e3);
		uint64_t us = clock_boottime_us() - awake_us;

		if (us < least)
			least = us;
	}
	return least;
}

#endif
