/* SPDX-License-Identifier: GPL-2.0 */
/* The two ways of writing a time that records use. Pure. */
#ifndef LOGSERVER_TIMESTAMP_H
#define LOGSERVER_TIMESTAMP_H

#include <stddef.h>
#include <stdint.h>

#define TIMESTAMP_BYTES 32

/*
 * Read "2026-11-23T06:40:01.123Z" (RFC 3339, any offset, any number of
 * decimals; those after the third are dropped) or "23/11/2026 06:40:01", the
 * reference system's form, which names no zone: it is read as local time of
 * the zone that is @zone_s seconds ahead of UTC.
 *
 * Gives milliseconds since 1970 UTC; -EINVAL if it is neither form or no date,
 * -ERANGE if before 1970 or after LIMITS_TIME_MS.
 */
int timestamp_read(const char *text, int zone_s, int64_t *ret_ms);

/* Read "UTC" or "+HH:MM" / "-HH:MM" into seconds ahead of UTC; -EINVAL if neither. */
int timestamp_read_zone(const char *text, int *ret_zone_s);

/* Write @ms as "2026-11-23 06:40:01 UTC" into @text of TIMESTAMP_BYTES. */
void timestamp_write(int64_t ms, char *text);

#endif
