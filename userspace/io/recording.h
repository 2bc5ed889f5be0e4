/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recording: a file of frames, each whole or not there.  After "SYSINREC" and a version
 * (4 bytes, little-endian as all that follows) and 4 zero bytes come frames:
 *
 *	4 bytes	length as stored
 *	4 bytes	length of the content
 *	1 byte	kind
 *	1 byte	1: the content's dictionary is that of the last frame of its kind
 *	2 bytes	zero
 *	4 bytes	CRC-32 of the twelve bytes before and of what is stored
 *	…	the content, compressed by zstd
 *
 * A look is much like the one before it, so with that as its dictionary it is small.
 * What a crash leaves of a last frame has no valid CRC, and is not read.
 */
#ifndef IO_RECORDING_H
#define IO_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORDING_REASON_SIZE 512

/* A content is at most this long; a look of 2 000 containers has 1 MiB. */
#define RECORDING_CONTENT_MAX (32u << 20)

enum recording_kind {
	RECORDING_ORIGIN = 1,	/* of whom: text, "key=value" lines */
	RECORDING_POLICY,	/* that is in force from here on: as configuration text */
	RECORDING_LOOK,
	RECORDING_OUTCOME,	/* of the look before */
	RECORDING_KINDS,
};

/* --- writing --- */

struct recording;

/**
 * recording_create() - begin a recording
 * @path: of the file; one that is there is renamed to "@path.old"
 * @version: what the contents mean
 * @max_bytes: recording_full() is true beyond this
 * @ret: the recording; the caller closes it
 * @reason: on failure, one line for the user (RECORDING_REASON_SIZE)
 *
 * A file that is there and is no recording is left alone.
 *
 * Return: 0; -EEXIST: it is another's file, or another monitor writes it; negative errno.
 */
int recording_create(const char *path, uint32_t version, uint64_t max_bytes, struct recording **ret,
		     char *reason);

/**
 * recording_put() - add a frame
 *
 * One that can't be written whole is taken back.
 *
 * Return: 0; -EMSGSIZE: it is too long; negative errno.
 */
int recording_put(struct recording *r, enum recording_kind kind, const void *content, size_t len);

/* Time for a new one. */
bool recording_full(const struct recording *r);

/* NULL is no error. */
void recording_close(struct recording *r);

/* --- reading --- */

struct recording_reader {
	const uint8_t *data;	/* the caller's */
	size_t len, at;
	struct recording_last {
		uint8_t *content;
		size_t len;
	} last[RECORDING_KINDS];
};

struct recording_frame {
	enum recording_kind kind;
	const uint8_t *content;	/* the reader's, until the next frame of the same kind */
	size_t len;
};

/* Return: 0; -EBADMSG: it is no recording; -EPROTO: of another version. */
int recording_begin(struct recording_reader *r, const uint8_t *data, size_t len, uint32_t version);

/* Return: 0; -ENOENT: that was the last whole one; -ENOMEM. */
int recording_next(struct recording_reader *r, struct recording_frame *ret);

/* Bytes at the end that are no whole frame, once recording_next() gave -ENOENT. */
size_t recording_torn(const struct recording_reader *r);

void recording_end(struct recording_reader *r);

#endif
