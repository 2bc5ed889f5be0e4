// SPDX-License-Identifier: GPL-2.0
#include "userspace/core/escape.h"

#include <stdio.h>

const char *escape(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		int plain = c >= 0x20 && c < 0x7f && c != '\\';

		if (n + (plain ? 1 : 4) >= size)
			break;
		if (plain)
			buf[n++] = (char)c;
		else
			n += (size_t)sprintf(buf + n, "\\x%02x", c);
	}
	buf[n] = '\0';
	return buf;
}
