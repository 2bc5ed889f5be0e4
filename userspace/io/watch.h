/* SPDX-License-Identifier: GPL-2.0 */
/* Something else to attend to during a wait, however long it takes. */
#ifndef IO_WATCH_H
#define IO_WATCH_H

struct watch {
	int fd;			/* readable: there is something to do */
	void (*attend)(void *ctx);
	void *ctx;
};

#endif
