/* SPDX-License-Identifier: GPL-2.0 */
/* What the user wishes of a running monitor, by signals. */
#ifndef IO_SIGNALS_H
#define IO_SIGNALS_H

#include <stdbool.h>

enum signals_wish {
	SIGNALS_NONE,
	SIGNALS_END,	/* SIGINT, SIGTERM; SIGHUP when the terminal it was started from is gone */
	SIGNALS_RELOAD,	/* SIGHUP */
	SIGNALS_TOGGLE,	/* SIGUSR1 */
};

struct signals {
	int fd;		/* readable when there is one */
	int terminal;	/* the controlling one; -1: there is none */
	bool nohup;	/* SIGHUP was ignored at the start, as by nohup(1) */
};

/* Blocks them, also in threads made later.  Return: 0 or negative errno. */
int signals_open(struct signals *s);

/* Does not block. */
enum signals_wish signals_next(struct signals *s);

void signals_close(struct signals *s);

#endif
