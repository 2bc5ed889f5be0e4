/* SPDX-License-Identifier: GPL-2.0 */
/* Text from a container, made fit for a terminal or a log line.  Pure. */
#ifndef CORE_ESCAPE_H
#define CORE_ESCAPE_H

#include <stddef.h>

/**
 * escape() - copy @text into @buf with all but printable ASCII as \xNN
 * @text: any bytes
 * @buf: ends in NUL; what doesn't fit is cut, never within an escape
 * @size: its size
 *
 * Non-ASCII is escaped too: it can turn the direction of a line or look like other text.
 *
 * Return: @buf.
 */
const char *escape(const char *text, char *buf, size_t size);

#endif
