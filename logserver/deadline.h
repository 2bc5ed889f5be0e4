/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A moment for each connection at which it is cut, however busily it sends one
 * byte now and then: libmicrohttpd's own time-out begins anew with every byte.
 */
#ifndef LOGSERVER_DEADLINE_H
#define LOGSERVER_DEADLINE_H

struct deadlines;
struct deadline;

/* Starts a thread. 0 or negative errno. */
int deadlines_new(struct deadlines **ret);
/* There must be no connection left. */
void deadlines_free(struct deadlines *deadlines);

/* Watch a socket. NULL: no memory. */
struct deadline *deadline_add(struct deadlines *deadlines, int fd, int seconds);
/* From now on this long. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline, int seconds);
/* Before the socket is closed. */
void deadline_remove(struct deadlines *deadlines, struct deadline *deadline);

#endif
