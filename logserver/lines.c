// SPDX-License-Identifier: GPL-2.0
#include "lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limits.h"

#define BUFFER_BYTES (8 * (LIMITS_RECORD_BYTES + 1))

int lines_open(struct lines *lines, int fd, off_t start, off_t end)
{
	char *buffer = malloc(BUFFER_BYTES);

	if (!buffer)
		return -ENOMEM;
	*lines = (struct lines){ .fd = fd, .at = start, .end = end, .buffer = buffer };
	return 0;
}

void lines_close(struct lines *lines)
{
	free(lines->buffer);
	lines->buffer = NULL;
}

/* Move what is left to the front and read behind it. 1, 0 at the end, or -errno. */
static int refill(struct lines *lines)
{
	size_t room;
	ssize_t got;

	memmove(lines->buffer, lines->buffer + lines->start, lines->filled - lines->start);
	lines->filled -= lines->start;
	lines->start = 0;
	room = BUFFER_BYTES - lines->filled;
	if ((off_t)room > lines->end - lines->at)
		room = (size_t)(lines->end - lines->at);
	if (!room)
		return 0;
	do {
		got = pread(lines->fd, lines->buffer + lines->filled, room, lines->at);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	lines->at += got;
	lines->filled += (size_t)got;
	return got > 0;
}

int lines_next(struct lines *lines, const char **ret_line, size_t *ret_len)
{
	bool too_long = false;
	char *newline, *line;
	size_t have;
	int err;

	for (;;) {
		line = lines->buffer + lines->start;
		have = lines->filled - lines->start;
		newline = memchr(line, '\n', have);
		if (newline)
			break;
		if (have > LIMITS_RECORD_BYTES) {
			too_long = true;
			lines->start = lines->filled;
		}
		err = refill(lines);
		if (err <= 0)
			return err;
	}
	lines->line_at = lines->at - (off_t)have;
	lines->start += (size_t)(newline - line) + 1;
	if (too_long || newline - line > LIMITS_RECORD_BYTES)
		return -E2BIG;
	*ret_line = line;
	*ret_len = (size_t)(newline - line);
	return 1;
}
