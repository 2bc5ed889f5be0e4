// SPDX-License-Identifier: GPL-2.0
#include "utf8.h"

#include <string.h>

bool utf8_is_valid(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	while (p < end) {
		/* RFC 3629, section 4: what the second byte may be depends on the first. */
		unsigned char first = *p++, low = 0x80, high = 0xbf;
		int more;

		if (first < 0x80)
			continue;
		if (first >= 0xc2 && first <= 0xdf)
			more = 1;
		else if (first >= 0xe0 && first <= 0xef)
			more = 2;
		else if (first >= 0xf0 && first <= 0xf4)
			more = 3;
		else
			return false;
		if (first == 0xe0)
			low = 0xa0;
		else if (first == 0xed)
			high = 0x9f;
		else if (first == 0xf0)
			low = 0x90;
		else if (first == 0xf4)
			high = 0x8f;
		for (; more > 0; more--, p++) {
			if (p == end || *p < low || *p > high)
				return false;
			low = 0x80;
			high = 0xbf;
		}
	}
	return true;
}

void utf8_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(to, from, len);
	to[len] = 0;
}
