/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DELIVER_DRAW_H
#define DELIVER_DRAW_H

#define DRAW_REASON_SIZE 512

/**
 * draw_graphs() - have the log server draw the graphs, and fetch them
 * @url: of the log server
 * @folder: Memory.png and Processes.png are put there; made if it isn't there
 * @reason: on failure, one line for the user (DRAW_REASON_SIZE)
 *
 * It waits, for some 20 s at most a picture: to be called in a process of its own.  The folder
 * is locked by flock(2) until that ends, so that others may wait for the pictures.
 *
 * Return: 0 or negative errno.
 */
int draw_graphs(const char *url, const char *folder, char *reason);

#endif
