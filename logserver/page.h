/* SPDX-License-Identifier: GPL-2.0 */
/* The HTML page. Pure. */
#ifndef LOGSERVER_PAGE_H
#define LOGSERVER_PAGE_H

#include <stdint.h>
#include <stdio.h>

#include "series.h"

/* A picture to show in the page; NULL where it could not be drawn. */
struct page_picture {
	const char *svg;
	size_t len;
};

/* Write the page; @nonce is the one that the Content-Security-Policy allows.
 * 0 or -ENOMEM; @out's own errors stay in @out. */
int page_write(FILE *out, const struct series *series, const struct page_picture *memory,
	       const struct page_picture *kills, const char *nonce, int64_t now_ms);

/* Write @text so that it is text in HTML and in a quoted attribute. */
void page_escape(FILE *out, const char *text);

#endif
