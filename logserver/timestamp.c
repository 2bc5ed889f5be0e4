// SPDX-License-Identifier: GPL-2.0
#include "timestamp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "limits.h"

struct clock_face {
	int year, month, day, hour, minute, second;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly @digits digits at *@p, which moves past them. */
static bool take_number(const char **p, int digits, int *ret)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		if (!is_digit((*p)[i]))
			return false;
		value = value * 10 + ((*p)[i] - '0');
	}
	*p += digits;
	*ret = value;
	return true;
}

static bool take_char(const char **p, const char *any_of)
{
	if (!**p || !strchr(any_of, **p))
		return false;
	(*p)++;
	return true;
}

static bool take_time_of_day(const char **p, struct clock_face *face)
{
	return take_number(p, 2, &face->hour) && take_char(p, ":") &&
	       take_number(p, 2, &face->minute) && take_char(p, ":") &&
	       take_number(p, 2, &face->second);
}

/* ".123456" becomes 123; no dot, no decimals. */
static bool take_decimals(const char **p, int *ret_ms)
{
	int ms = 0, weight = 100;

	if (!take_char(p, ".")) {
		*ret_ms = 0;
		return true;
	}
	if (!is_digit(**p))
		return false;
	for (; is_digit(**p); (*p)++, weight /= 10)
		ms += (**p - '0') * weight;
	*ret_ms = ms;
	return true;
}

static bool take_offset(const char **p, int *ret_s)
{
	int hours, minutes, sign;

	if (take_char(p, "Zz")) {
		*ret_s = 0;
		return true;
	}
	sign = **p == '-' ? -1 : 1;
	if (!take_char(p, "+-") || !take_number(p, 2, &hours) || !take_char(p, ":") ||
	    !take_number(p, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool is_date(const struct clock_face *face)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (face->year % 4 == 0 && face->year % 100 != 0) || face->year % 400 == 0;

	if (face->month < 1 || face->month > 12 || face->day < 1)
		return false;
	if (face->day > days[face->month - 1] + (face->month == 2 && leap))
		return false;
	/* 60: RFC 3339 writes a leap second so; it counts as the next second. */
	return face->hour < 24 && face->minute < 60 && face->second <= 60;
}

int timestamp_read(const char *text, int zone_s, int64_t *ret_ms)
{
	struct clock_face face = { 0 };
	struct tm tm = { 0 };
	const char *p = text;
	int offset_s = zone_s, decimals = 0;
	int64_t ms;

	if (take_number(&p, 4, &face.year) && take_char(&p, "-")) {
		if (!take_number(&p, 2, &face.month) || !take_char(&p, "-") ||
		    !take_number(&p, 2, &face.day) || !take_char(&p, "Tt ") ||
		    !take_time_of_day(&p, &face) || !take_decimals(&p, &decimals) ||
		    !take_offset(&p, &offset_s))
			return -EINVAL;
	} else {
		p = text;
		if (!take_number(&p, 2, &face.day) || !take_char(&p, "/") ||
		    !take_number(&p, 2, &face.month) || !take_char(&p, "/") ||
		    !take_number(&p, 4, &face.year) || !take_char(&p, " ") ||
		    !take_time_of_day(&p, &face))
			return -EINVAL;
	}
	if (*p || !is_date(&face))
		return -EINVAL;

	tm.tm_year = face.year - 1900;
	tm.tm_mon = face.month - 1;
	tm.tm_mday = face.day;
	tm.tm_hour = face.hour;
	tm.tm_min = face.minute;
	tm.tm_sec = face.second;
	ms = ((int64_t)timegm(&tm) - offset_s) * 1000 + decimals;
	if (ms < 0 || ms > LIMITS_TIME_MS)
		return -ERANGE;
	*ret_ms = ms;
	return 0;
}

int timestamp_read_zone(const char *text, int *ret_zone_s)
{
	const char *p = text;
	int zone_s;

	if (strcmp(text, "UTC") == 0) {
		*ret_zone_s = 0;
		return 0;
	}
	if (!take_offset(&p, &zone_s) || *p)
		return -EINVAL;
	*ret_zone_s = zone_s;
	return 0;
}

void timestamp_write(int64_t ms, char *text)
{
	time_t seconds = ms / 1000;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, TIMESTAMP_BYTES, "%Y-%m-%d %H:%M:%S UTC", &tm);
}
