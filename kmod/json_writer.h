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

/**
 * struct json_writer - a buffer being written
 * @buf: the text; not ended by NUL. Belongs to whoever called json_writer_init().
 * @len: bytes written
 * @size: bytes that fit in @buf
 * @error: 0, or the negative errno that stopped the writing: what is written
 *	after it is dropped, so that only the end of a document need look
 * @grow: makes @size at least @len + @need and returns 0, or a negative errno;
 *	NULL if the buffer can't grow
 */
struct json_writer {
	char *buf;
	size_t len;
	size_t size;
	int error;
	int (*grow)(struct json_writer *w, size_t need);
};

void json_writer_init(struct json_writer *w, char *buf, size_t size,
		      int (*grow)(struct json_writer *w, size_t need));
bool json_writer_make_room(struct json_writer *w, size_t need);
void json_writer_again(struct json_writer *w, size_t from, size_t len);
void json_writer_u64(struct json_writer *w, unsigned long long value);
void json_writer_hundredths(struct json_writer *w, unsigned long long hundredths);
void json_writer_string(struct json_writer *w, const char *bytes, size_t len);
size_t json_writer_utf8_trim(const char *bytes, size_t len);

/*
 * json_writer_raw() - @len bytes of JSON text, as they stand
 *
 * Inline because most of a document are literals of a few bytes, whose copying
 * is then a store or two; a call of memcpy() costs many times that.
 */
static inline void json_writer_raw(struct json_writer *w, const char *text, size_t len)
{
	if ((w->error || len > w->size - w->len) && !json_writer_make_room(w, len))
		return;
	memcpy(w->buf + w->len, text, len);
	w->len += len;
}

/* A string literal of JSON text, as it stands. */
#define json_writer_text(w, literal) json_writer_raw(w, "" literal, sizeof(literal) - 1)

#endif
