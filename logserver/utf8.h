/* SPDX-License-Identifier: GPL-2.0 */
/* UTF-8: valid or not, and cutting without breaking a character. Pure. */
#ifndef LOGSERVER_UTF8_H
#define LOGSERVER_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* As RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_is_valid(const char *text, size_t len);

/* Copy the valid UTF-8 string @from, cut between characters if it doesn't fit. */
void utf8_copy(char *to, size_t size, const char *from);

#endif
