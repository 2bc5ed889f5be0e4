/* SPDX-License-Identifier: GPL-2.0 */
/* What an operator requests of a running monitor by signals. */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include <stdbool.h>

enum signals_request {
	SIGNALS_NONE,
	SIGNALS_END,	/* SIGINT, SIGTERM; SIGHUP when the terminal it was started from is gone */
	SIGNALS_RELOAD,	/* SIGHUP */
	SIGNALS_DISARM,	/* SIGUSR1 */
	SIGNALS_ARM,	/* SIGUSR2 */
};

struct signals {
	int fd;		/* readable when there is one */
	int terminal;	/* the controlling one; -1: there is none */
	bool nohup;	/* SIGHUP was ignored at the start, as by nohup(1) */
};

/*
 * Blocks them, also in threads made later, and in children until they are told otherwise.
 * Return: 0 or negative errno.
 */
int signals_open(struct signals *s);

/* Does not block. */
enum signals_request signals_next(struct signals *s);

void signals_close(struct signals *s);

#endif
