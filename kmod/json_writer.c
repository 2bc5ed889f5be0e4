// SPDX-License-Identifier: GPL-2.0
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <limits.h>
#include <string.h>
#endif

#include "json_writer.h"

/* Eight times this byte. */
#define BYTES(byte) (0x0101010101010101ULL * (byte))

/**
 * json_writer_init() - start a text
 * @w: the writer
 * @buf: where to write; may be NULL if @size is 0
 * @size: bytes that fit there
 * @grow: see struct json_writer; may be NULL
 */
void json_writer_init(struct json_writer *w, char *buf, size_t size,
		      int (*grow)(struct json_writer *w, size_t need))
{
	w->buf = buf;
	w->at = buf;
	w->end = buf + size;
	w->error = 0;
	w->grow = grow;
}

/* json_writer_grow() - what json_writer_has_room() does when there is none */
bool json_writer_grow(struct json_writer *w, size_t need)
{
	if (!w->error)
		w->error = w->grow ? w->grow(w, need) : -ENOSPC;
	if (w->error)
		w->end = w->at;
	return !w->error;
}

/*
 * How many: 1233 / 4096 is a little more than log10(2), so that the number of bits
 * gives the number of digits or one more (Warren, Hacker's Delight, 11-4).
 */
static unsigned int json_writer_digits(unsigned long long value)
{
	static const unsigned long long powers[] = {
		0ULL,
		10ULL,
		100ULL,
		1000ULL,
		10000ULL,
		100000ULL,
		1000000ULL,
		10000000ULL,
		100000000ULL,
		1000000000ULL,
		10000000000ULL,
		100000000000ULL,
		1000000000000ULL,
		10000000000000ULL,
		100000000000000ULL,
		1000000000000000ULL,
		10000000000000000ULL,
		100000000000000000ULL,
		1000000000000000000ULL,
		10000000000000000000ULL,
	};
	unsigned int guess = (64 - __builtin_clzll(value | 1)) * 1233 >> 12;

	return guess + (value >= powers[guess]);
}

/* Two digits that end at @at. Return: where they begin. */
static inline char *json_writer_put_pair(char *at, unsigned int pair)
{
	static const char pairs[] = {
		"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899",
	};

	return memcpy(at - 2, pairs + 2 * pair, 2);
}

/*
 * From the right, to where they stay: a pair takes one multiplication and one
 * look-up. Few numbers are so long that they must be divided in 64 bits.
 */
static char *json_writer_put_u64(char *to, unsigned long long value)
{
	unsigned int digits = json_writer_digits(value), rest;
	char *at = to + digits;

	for (; value > UINT_MAX; value /= 100)
		at = json_writer_put_pair(at, value % 100);
	for (rest = value; rest >= 10; rest /= 100)
		at = json_writer_put_pair(at, rest % 100);
	if (at > to)
		*to = '0' + rest;
	return to + digits;
}

void json_writer_u64(struct json_writer *w, unsigned long long value)
{
	if (!json_writer_has_room(w, JSON_WRITER_NUMBER_MAX))
		return;
	if (value < 10)
		*w->at++ = '0' + value;
	else
		w->at = json_writer_put_u64(w->at, value);
}

/* json_writer_hundredths() - a number with two decimals: 123 is 1.23 */
void json_writer_hundredths(struct json_writer *w, unsigned long long hundredths)
{
	if (!json_writer_has_room(w, JSON_WRITER_NUMBER_MAX))
		return;
	w->at = json_writer_put_u64(w->at, hundredths / 100);
	*w->at++ = '.';
	w->at += 2;
	json_writer_put_pair(w->at, hundredths % 100);
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

/* Copy what at the start of these bytes needs no escape. Return: how many bytes that were. */
static size_t json_writer_plain(char *to, const char *s, size_t len)
{
	unsigned long long word;
	size_t plain = 0;

	for (; len - plain >= sizeof(word); plain += sizeof(word)) {
		memcpy(&word, s + plain, sizeof(word));
		if (!json_writer_are_plain(word))
			break;
		memcpy(to + plain, &word, sizeof(word));
	}
	for (; plain < len && json_writer_is_plain(s[plain]); plain++)
		to[plain] = s[plain];
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
	/* No byte becomes less than one: room for all of them is no waste. */
	while (json_writer_has_room(w, len + 1)) {
		plain = json_writer_plain(w->at, (const char *)s, len);
		w->at += plain;
		s += plain;
		len -= plain;
		if (!len)
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
