/* SPDX-License-Identifier: GPL-2.0 */
/* Compress an answer: all of it, or piece by piece as it is read. */
#ifndef LOGSERVER_GZIP_H
#define LOGSERVER_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether an Accept-Encoding header (or NULL) takes gzip. */
bool gzip_is_accepted(const char *header);

/* 0 with memory that the caller frees, or -ENOMEM. */
int gzip_text(const char *text, size_t len, char **ret, size_t *ret_len);

struct gzip;
/* Compress what @read gives: as many bytes as it says, 0 at the end, or negative errno. */
int gzip_open(ssize_t (*read)(void *context, char *buffer, size_t size), void *context,
	      struct gzip **ret);
/* Up to @size bytes more; 0 at the end, or negative errno. */
ssize_t gzip_read(struct gzip *gzip, char *buffer, size_t size);
void gzip_close(struct gzip *gzip);

#endif
