/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The graphs of a running server: the series behind them, the pictures drawn
 * last, the page. Every function may be called from any thread.
 */
#ifndef LOGSERVER_GRAPHS_H
#define LOGSERVER_GRAPHS_H

#include "record.h"

struct graphs;

/* 0 or negative errno. */
int graphs_new(struct graphs **ret);
void graphs_free(struct graphs *graphs);

/* Count a record in; made to be a store's listener with the graphs as @context. */
void graphs_add(void *context, const struct record *record);

/* The state of a kind, for the store to keep; see series_save() and series_load(). */
int graphs_save_state(void *context, enum record_kind kind, void **ret, size_t *ret_len);
bool graphs_load_state(void *context, enum record_kind kind, const void *state, size_t len);

/*
 * The picture as it stands now, in memory that the caller frees. Drawn only if
 * there is something new; one gnuplot at a time, however many ask.
 * 0 or negative errno, see plot_start() and plot_finish().
 */
int graphs_picture(struct graphs *graphs, enum record_kind kind, bool svg, char **ret,
		   size_t *ret_len);

/* The page with both pictures in it, in memory that the caller frees. */
int graphs_page(struct graphs *graphs, const char *nonce, char **ret, size_t *ret_len);

/* Draw Memory.png and Processes.png into the directory, each replaced at once. */
int graphs_save(struct graphs *graphs, const char *directory);
/* "Memory.png" or "Processes.png". */
const char *graphs_file_name(enum record_kind kind);

#endif
