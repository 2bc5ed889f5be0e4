// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "kmod/json_writer.h"

#define CHECK(condition)           \
	do {                       \
		if (!(condition))  \
			abort();   \
	} while (0)

/* Another way to know UTF-8 than the writer's: decode, and encode again in the shortest form. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *ret_code)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
	uint32_t code;

	if (!n || n > len)
		return 0;
	code = n == 1 ? s[0] : s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) || (n == 2 && code < 0x80) ||
	    (n == 3 && code < 0x800) || (n == 4 && code < 0x10000))
		return 0;
	*ret_code = code;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bound = 6 * size + 2, kept;
	char *buf = malloc(bound);
	struct json_writer w;
	bool clean = true;
	uint32_t code;
	cJSON *json;

	CHECK(buf);
	json_writer_init(&w, buf, bound, NULL);
	json_writer_string(&w, (const char *)data, size);
	CHECK(!w.error && json_writer_len(&w) >= 2);

	/* What is written is UTF-8, and shows no control character. */
	for (size_t at = 0, n; at < json_writer_len(&w); at += n) {
		n = decode((unsigned char *)w.buf + at, json_writer_len(&w) - at, &code);
		CHECK(n && code >= 0x20 && (code < 0x7f || code > 0x9f));
	}

	/* A parser reads it to the end; what was fine in the first place comes back unchanged. */
	for (size_t at = 0, n; at < size && clean; at += n) {
		n = decode(data + at, size - at, &code);
		clean = n && code;
	}
	json = cJSON_ParseWithLengthOpts(w.buf, json_writer_len(&w), NULL, 0);
	/* cJSON can't hold a NUL */
	if (!memchr(data, 0, size)) {
		CHECK(cJSON_IsString(json));
		if (clean)
			CHECK(strlen(json->valuestring) == size &&
			      !memcmp(json->valuestring, data, size));
	}
	cJSON_Delete(json);

	/* With less room: an error, and nothing past the end (that is the sanitizer's to see). */
	if (json_writer_len(&w) > 2) {
		size_t less = data[0] % json_writer_len(&w);
		char *small = malloc(less);

		json_writer_init(&w, small, less, NULL);
		json_writer_string(&w, (const char *)data, size);
		CHECK(w.error == -ENOSPC && json_writer_len(&w) <= less);
		free(small);
	}

	kept = json_writer_utf8_trim((const char *)data, size);
	CHECK(kept <= size && size - kept <= 3);
	CHECK(json_writer_utf8_trim((const char *)data, kept) == kept || !clean);

	free(buf);
	return 0;
}
