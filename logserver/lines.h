/* SPDX-License-Identifier: GPL-2.0 */
/* The lines of a file, in order, in bounded memory whatever stands in it. */
#ifndef LOGSERVER_LINES_H
#define LOGSERVER_LINES_H

#include <stddef.h>
#include <sys/types.h>

struct lines {
	int fd;
	off_t at, end;   /* what is still to be read */
	char *buffer;
	size_t start, filled;
	off_t line_at;   /* where the last line given starts */
};

/* Read @fd (only with pread) from @start to @end. 0 or -ENOMEM. */
int lines_open(struct lines *lines, int fd, off_t start, off_t end);
void lines_close(struct lines *lines);

/*
 * The next line, without its newline; it stays valid until the next call.
 * 1; 0 at the end, where what follows the last newline is not given; -E2BIG for
 * a line longer than any record, which is skipped; or another negative errno.
 */
int lines_next(struct lines *lines, const char **ret_line, size_t *ret_len);

#endif
