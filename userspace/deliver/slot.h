/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One of the two files that intents are written to in turn: a line that tells its sequence,
 * checksum and length, the intents as JSON, and newlines up to the room that is reserved.
 * A write that a crash tears leaves a slot that is seen to be broken. Pure.
 */
#ifndef DELIVER_SLOT_H
#define DELIVER_SLOT_H

#include <stddef.h>
#include <stdint.h>

/* Of the line: a name, two numbers of 20 digits at most, a checksum. */
#define SLOT_HEAD_MAX 96

enum slot_state {
	SLOT_BLANK,	/* nothing but newlines */
	SLOT_VALID,
	SLOT_PLAIN,	/* an earlier version's: the JSON array alone */
	SLOT_BROKEN,
};

struct slot {
	enum slot_state state;
	uint64_t sequence;
	const char *text;	/* in the file's bytes; does not end in NUL */
	size_t len;
};

/* @file ends in NUL, and lives longer than @ret. */
void slot_parse(const char *file, size_t len, struct slot *ret);

/**
 * slot_format() - fill a file's bytes
 * @sequence: higher than the other slot's
 * @text: the JSON array
 * @len: its length
 * @buf: the whole file
 * @size: its size, at least SLOT_HEAD_MAX + @len
 */
void slot_format(uint64_t sequence, const char *text, size_t len, char *buf, size_t size);

#endif
