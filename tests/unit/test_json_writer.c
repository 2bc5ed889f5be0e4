// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kmod/json_writer.h"

#define FFFD "\xef\xbf\xbd"

struct escaped {
	const char *bytes;
	size_t len;
	const char *json;
};

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct escaped escaped[] = {
	{ BYTES(""), "\"\"" },
	{ BYTES("plain ~text/"), "\"plain ~text/\"" },
	{ BYTES("\"\\"), "\"\\\"\\\\\"" },
	{ BYTES("\",\"PID\":1}"), "\"\\\",\\\"PID\\\":1}\"" },
	{ BYTES("a\0b"), "\"a\\u0000b\"" },
	{ BYTES("\b\t\n\r\x1b\x1f"), "\"\\u0008\\u0009\\u000a\\u000d\\u001b\\u001f\"" },
	{ BYTES("\x7f"), "\"\\u007f\"" },
	/* C1 controls are escaped; what follows them is not */
	{ BYTES("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0"), "\"\\u0080\\u009b\\u009f\xc2\xa0\"" },
	/* the first and the last code point of each length */
	{ BYTES("\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"), "\"\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\"" },
	{ BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
	{ BYTES("\xed\x9f\xbf\xee\x80\x80"), "\"\xed\x9f\xbf\xee\x80\x80\"" },
	/* stray and overlong */
	{ BYTES("\x80"), "\"" FFFD "\"" },
	{ BYTES("\xc0\xaf"), "\"" FFFD FFFD "\"" },
	{ BYTES("\xc1\xbf"), "\"" FFFD FFFD "\"" },
	{ BYTES("\xe0\x9f\xbf"), "\"" FFFD FFFD FFFD "\"" },
	{ BYTES("\xf0\x8f\xbf\xbf"), "\"" FFFD FFFD FFFD FFFD "\"" },
	/* surrogates, and past the last code point */
	{ BYTES("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\"" },
	{ BYTES("\xf4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\"" },
	{ BYTES("\xf5\xfe\xff"), "\"" FFFD FFFD FFFD "\"" },
	/* cut short: one replacement for what could have become a character */
	{ BYTES("\xe2\x82"), "\"" FFFD "\"" },
	{ BYTES("\xe2\x82\""), "\"" FFFD "\\\"\"" },
	{ BYTES("\xf0\x9f\x98" "a"), "\"" FFFD "a\"" },
	{ BYTES("\xc3\xc3\xa9"), "\"" FFFD "\xc3\xa9\"" },
};

static void escapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(escaped) / sizeof(escaped[0]); i++) {
		char buf[128];
		struct json_writer w;

		json_writer_init(&w, buf, sizeof(buf), NULL);
		json_writer_string(&w, escaped[i].bytes, escaped[i].len);
		print_message("# %s\n", escaped[i].json);
		assert_int_equal(w.error, 0);
		assert_int_equal(json_writer_len(&w), strlen(escaped[i].json));
		assert_memory_equal(w.buf, escaped[i].json, json_writer_len(&w));
	}
}

static void writes_numbers(void **state)
{
	char buf[256];
	struct json_writer w;
	static const char expected[] = "18446744073709551615 0.00 0.07 0.10 1.00 123.45 "
				       "184467440737095516.15 ";

	(void)state;
	json_writer_init(&w, buf, sizeof(buf), NULL);
	json_writer_u64(&w, UINT64_MAX);
	json_writer_text(&w, " ");
	static const uint64_t hundredths[] = { 0, 7, 10, 100, 12345, UINT64_MAX };

	for (size_t i = 0; i < sizeof(hundredths) / sizeof(hundredths[0]); i++) {
		json_writer_hundredths(&w, hundredths[i]);
		json_writer_text(&w, " ");
	}
	assert_int_equal(w.error, 0);
	assert_int_equal(json_writer_len(&w), sizeof(expected) - 1);
	assert_memory_equal(w.buf, expected, json_writer_len(&w));
}

/* Every number of digits, and both sides of where it changes. */
static void writes_what_printf_writes(void **state)
{
	(void)state;
	for (uint64_t power = 1;; power *= 10) {
		for (uint64_t value = power - 1; value <= power + 1; value++) {
			char buf[64], expected[64];
			struct json_writer w;

			json_writer_init(&w, buf, sizeof(buf), NULL);
			json_writer_u64(&w, value);
			snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
			assert_int_equal(json_writer_len(&w), strlen(expected));
			assert_memory_equal(buf, expected, strlen(expected));
		}
		if (power > UINT64_MAX / 10)
			break;
	}
}

/* Whatever the size: nothing is written past it, and the error stays. */
static void stays_in_bounds(void **state)
{
	(void)state;
	for (size_t size = 0; size < 48; size++) {
		char *buf = malloc(size + 1);
		struct json_writer w;

		assert_non_null(buf);
		buf[size] = '#';
		json_writer_init(&w, buf, size, NULL);
		json_writer_string(&w, BYTES("ab\"\n\xff\xc3\xa9"));
		json_writer_u64(&w, 42);
		/* "ab\"\u000a<U+FFFD>é" is 17 bytes, and a number wants room for any */
		assert_int_equal(w.error, size < 17 + JSON_WRITER_NUMBER_MAX ? -ENOSPC : 0);
		assert_true(json_writer_len(&w) <= size);
		assert_int_equal(buf[size], '#');
		if (w.error) {
			size_t len = json_writer_len(&w);

			json_writer_u64(&w, 1);
			json_writer_hundredths(&w, 1);
			json_writer_string(&w, "", 0);
			json_writer_raw(&w, "x", 1);
			assert_int_equal(json_writer_len(&w), len);
		}
		free(buf);
	}
}

/* Pieces of 8 bytes, or what is wanted in a row if that is more; 64 bytes in all. */
struct pieces {
	struct json_writer w;
	char text[64];
	size_t before;
	int asked;
};

static int another_piece(struct json_writer *w, size_t need)
{
	struct pieces *p = (struct pieces *)((char *)w - offsetof(struct pieces, w));
	size_t size = need > 8 ? need : 8;

	p->asked++;
	p->before += json_writer_len(w);
	if (p->before + size > sizeof(p->text))
		return -EFBIG;
	json_writer_init(w, p->text + p->before, size, another_piece);
	return 0;
}

static void goes_on_in_another_piece(void **state)
{
	struct pieces p = { .asked = 0 };
	const char *first;

	(void)state;
	json_writer_init(&p.w, p.text, 0, another_piece);
	json_writer_text(&p.w, "0123456789");
	first = p.w.buf;
	json_writer_text(&p.w, "abcde");
	json_writer_raw(&p.w, first, 3);
	/* the writer's own room for a closing quote moves it on */
	json_writer_string(&p.w, "x", 1);
	assert_int_equal(p.w.error, 0);
	assert_int_equal(p.before + json_writer_len(&p.w), 21);
	assert_memory_equal(p.text, "0123456789abcde012\"x\"", 21);
	assert_int_equal(p.asked, 3);
	for (int i = 0; i < 10; i++)
		json_writer_text(&p.w, "0123456789");
	assert_int_equal(p.w.error, -EFBIG);
	/* asked once for each copy that there is room for, once more, and never after it was refused */
	assert_int_equal(p.asked, 8);
}

static void trims(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		size_t kept;
	} cases[] = {
		{ BYTES(""), 0 },
		{ BYTES("abc"), 3 },
		{ BYTES("ab\xc3"), 2 },
		{ BYTES("ab\xc3\xa9"), 4 },
		{ BYTES("a\xe2\x82"), 1 },
		{ BYTES("a\xe2\x82\xac"), 4 },
		{ BYTES("\xf0\x9f\x98"), 0 },
		{ BYTES("\xf0\x9f\x98\x80"), 4 },
		/* no start of a sequence: left for the writer to replace */
		{ BYTES("a\x80\x80"), 3 },
		{ BYTES("a\x80\x80\x80\x80"), 5 },
		{ BYTES("a\xff"), 2 },
		{ BYTES("a\xe0\x80"), 3 },
		{ BYTES("\xc3\xa9\xa9"), 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# case %zu\n", i);
		assert_int_equal(json_writer_utf8_trim(cases[i].bytes, cases[i].len),
				 cases[i].kept);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes),
		cmocka_unit_test(writes_numbers),
		cmocka_unit_test(writes_what_printf_writes),
		cmocka_unit_test(stays_in_bounds),
		cmocka_unit_test(goes_on_in_another_piece),
		cmocka_unit_test(trims),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("json_writer", tests, NULL, NULL);
}
