/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Strict JSON (RFC 8259) into a buffer. Pure: compiled into the module and,
 * for the tests, into user space.
 */
#ifndef JSON_WRITER_H
#define JSON_WRITER_H

#ifdef __KERNEL__
#include <linux/string.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#endif

/* A number has at most so many bytes. */
#define JSON_WRITER_NUMBER_MAX 21

/**
 * struct json_writer - a text being written, in one piece or several
 * @buf: the piece being written; not ended by NUL. Belongs to whoever called
 *	json_writer_init() or, later, to @grow.
 * @at: the end of what is written
 * @end: the end of the buffer; after an error no more than @at, so that whoever sees
 *	room need not look for errors
 * @error: 0, or the negative errno that stopped the writing: what is written
 *	after it is dropped, so that only the end of a document need look
 * @grow: sets @buf, @at and @end to where there is room for at least @need bytes, be
 *	it in a further piece, and returns 0, or a negative errno; NULL if that's all
 */
struct json_writer {
	char *buf;
	char *at;
	char *end;
	int error;
	int (*grow)(struct json_writer *w, size_t need);
};

void json_writer_init(struct json_writer *w, char *buf, size_t size,
		      int (*grow)(struct json_writer *w, size_t need));
bool json_writer_grow(struct json_writer *w, size_t need);
void json_writer_u64(struct json_writer *w, unsigned long long value);
void json_writer_hundredths(struct json_writer *w, unsigned long long hundredths);
void json_writer_string(struct json_writer *w, const char *bytes, size_t len);
size_t json_writer_utf8_trim(const char *bytes, size_t len);

/* json_writer_len() - bytes of the piece being written */
static inline size_t json_writer_len(const struct json_writer *w)
{
	return w->at - w->buf;
}

/* json_writer_has_room() - is there room for @need bytes in a row, if need be after growing? */
static inline bool json_writer_has_room(struct json_writer *w, size_t need)
{
	return need <= (size_t)(w->end - w->at) || json_writer_grow(w, need);
}

/*
 * json_writer_raw() - @len bytes of JSON text, as they stand
 *
 * Inline because most of a document are literals of a few bytes, whose copying
 * is then a store or two; a call of memcpy() costs many times that.
 */
static inline void json_writer_raw(struct json_writer *w, const char *text, size_t len)
{
	if (json_writer_has_room(w, len)) {
		memcpy(w->at, text, len);
		w->at += len;
	}
}

/* A string literal of JSON text, as it stands. */
#define json_writer_text(w, literal) json_writer_raw(w, "" literal, sizeof(literal) - 1)

#endif
