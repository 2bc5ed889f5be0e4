// SPDX-License-Identifier: GPL-2.0
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif

#include "json_writer.h"

/* Eight times this byte. */
#define BYTES(byte) (0x0101010101010101ULL * (byte))

/**
 * json_writer_init() - start a document
 * @w: the writer
 * @buf: where to write; may be NULL if @size is 0
 * @size: bytes that fit there
 * @grow: see struct json_writer; may be NULL
 */
void json_writer_init(struct json_writer *w, char *buf, size_t size,
		      int (*grow)(struct json_writer *w, size_t need))
{
	w->buf = buf;
	w->len = 0;
	w->size = size;
	w->error = 0;
	w->grow = grow;
}

/* json_writer_make_room() - is there room for @need bytes, if need be after growing? */
bool json_writer_make_room(struct json_writer *w, size_t need)
{
	if (w->error)
		return false;
	if (need <= w->size - w->len)
		return true;
	w->error = w->grow ? w->grow(w, need) : -ENOSPC;
	return !w->error;
}

/* json_writer_again() - once more the @len bytes that were written at @from */
void json_writer_again(struct json_writer *w, size_t from, size_t len)
{
	if (json_writer_make_room(w, len)) {
		memcpy(w->buf + w->len, w->buf + from, len);
		w->len += len;
	}
}

static unsigned int json_writer_digits(unsigned long long value)
{
	unsigned int digits = 1;

	for (; value >= 10000; value /= 10000)
		digits += 4;
	return digits + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* In pairs, as a division is what costs most: from the right, to where they stay. */
void json_writer_u64(struct json_writer *w, unsigned long long value)
{
	unsigned int digits = json_writer_digits(value);
	char *at;

	if (!json_writer_make_room(w, digits))
		return;
	w->len += digits;
	at = w->buf + w->len;
	for (; digits > 1; digits -= 2) {
		unsigned int pair = value % 100;

		*--at = '0' + pair % 10;
		*--at = '0' + pair / 10;
		value /= 100;
	}
	if (digits)
		*--at = '0' + value;
}

/* json_writer_hundredths() - a number with two decimals: 123 is 1.23 */
void json_writer_hundredths(struct json_writer *w, unsigned long long hundredths)
{
	unsigned int fraction = hundredths % 100;
	char decimals[3] = { '.', '0' + fraction / 10, '0' + fraction % 10 };

	json_writer_u64(w, hundredths / 100);
	json_writer_raw(w, decimals, sizeof(decimals));
}

/*
 * json_writer_sequence() - what UTF-8 sequence do these bytes start with?
 * @ret_valid: whether it is whole and well-formed (Unicode 15, table 3-7)
 *
 * Return: its length; of a malformed one, the length of its longest part that
 * could have begun a well-formed one, at least 1: that part is replaced by one
 * U+FFFD, as Unicode recommends and web browsers do.
 */
static size_t json_writer_sequence(const unsigned char *s, size_t len, bool *ret_valid)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t need, i;

	*ret_valid = false;
	if (s[0] < 0x80) {
		need = 1;
	} else if (s[0] < 0xc2) {
		return 1; /* a continuation byte, or an overlong form */
	} else if (s[0] < 0xe0) {
		need = 2;
	} else if (s[0] < 0xf0) {
		need = 3;
		if (s[0] == 0xe0)
			low = 0xa0; /* below: overlong */
		else if (s[0] == 0xed)
			high = 0x9f; /* above: surrogates */
	} else if (s[0] < 0xf5) {
		need = 4;
		if (s[0] == 0xf0)
			low = 0x90; /* below: overlong */
		else if (s[0] == 0xf4)
			high = 0x8f; /* above: past U+10FFFF */
	} else {
		return 1;
	}
	for (i = 1; i < need; i++) {
		if (i == len || s[i] < low || s[i] > high)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	*ret_valid = true;
	return need;
}

/* \u00XX: @code is below 0x100 */
static void json_writer_escape(struct json_writer *w, unsigned char code)
{
	static const char hex[] = "0123456789abcdef";
	char escape[6] = { '\\', 'u', '0', '0', hex[code >> 4], hex[code & 15] };

	json_writer_raw(w, escape, sizeof(escape));
}

static bool json_writer_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/*
 * The same of eight bytes at once. Where none has its top bit set, subtracting
 * n from each sets that of the first byte below n; x ^ c is 0 where x is c.
 */
static bool json_writer_are_plain(unsigned long long x)
{
	unsigned long long marked = x | (x - BYTES(0x20)) | ((x ^ BYTES('"')) - BYTES(1)) |
				    ((x ^ BYTES('\\')) - BYTES(1)) |
				    ((x ^ BYTES(0x7f)) - BYTES(1));

	return !(marked & BYTES(0x80));
}

/*
 * Write what at the start of these bytes needs no escape. Room for all of them
 * is no waste: no byte becomes less than one.
 *
 * Return: how many bytes that were.
 */
static size_t json_writer_plain(struct json_writer *w, const unsigned char *s, size_t len)
{
	size_t plain = 0;
	char *to;

	if (!json_writer_make_room(w, len))
		return 0;
	to = w->buf + w->len;
	while (len - plain >= sizeof(unsigned long long)) {
		unsigned long long word;

		memcpy(&word, s + plain, sizeof(word));
		if (!json_writer_are_plain(word))
			break;
		memcpy(to + plain, &word, sizeof(word));
		plain += sizeof(word);
	}
	for (; plain < len && json_writer_is_plain(s[plain]); plain++)
		to[plain] = s[plain];
	w->len += plain;
	return plain;
}

/**
 * json_writer_string() - any bytes as a JSON string, quotes included
 * @w: the writer
 * @bytes: the bytes; NUL is a byte like the others
 * @len: how many
 *
 * What is not UTF-8 becomes U+FFFD. Beyond what JSON demands, DEL and the C1
 * controls are escaped: the document is looked at on terminals, and to some of
 * them U+009B is the start of a command.
 */
void json_writer_string(struct json_writer *w, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t plain, step;
	bool valid;

	json_writer_text(w, "\"");
	while (len) {
		plain = json_writer_plain(w, s, len);
		s += plain;
		len -= plain;
		if (!len || w->error)
			break;

		step = json_writer_sequence(s, len, &valid);
		if (!valid) {
			json_writer_text(w, "\xef\xbf\xbd");
		} else if (step == 1 && (s[0] == '"' || s[0] == '\\')) {
			char escape[2] = { '\\', s[0] };

			json_writer_raw(w, escape, sizeof(escape));
		} else if (step == 1) {
			json_writer_escape(w, s[0]);
		} else if (s[0] == 0xc2 && s[1] < 0xa0) {
			json_writer_escape(w, s[1]);
		} else {
			json_writer_raw(w, (const char *)s, step);
		}
		s += step;
		len -= step;
	}
	json_writer_text(w, "\"");
}

/**
 * json_writer_utf8_trim() - where to end a text that was cut at @len
 * @bytes: the text
 * @len: its length after the cut
 *
 * Return: @len, or less if the last bytes are the first ones of a UTF-8
 * sequence whose rest was cut off.
 */
size_t json_writer_utf8_trim(const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t back;
	bool valid;

	/* A sequence is at most 4 bytes: only the last 3 can be the start of one. */
	for (back = 1; back <= 3 && back <= len; back++) {
		const unsigned char *at = s + len - back;

		if (*at < 0x80)
			break;
		if (*at < 0xc2)
			continue; /* in the middle of something */
		if (json_writer_sequence(at, back, &valid) == back && !valid && *at < 0xf5)
			return len - back;
		break;
	}
	return len;
}
