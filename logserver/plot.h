/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Graphs, by gnuplot as a child process. The script is ours and constant but
 * for numbers; everything a client said reaches gnuplot as data, and text only
 * in the characters of plot_label().
 */
#ifndef LOGSERVER_PLOT_H
#define LOGSERVER_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "series.h"

/* Where a script finds its data. */
#define PLOT_DATA_FD 3

/* Everything one gnuplot run needs; both texts are freed by plot_job_free(). */
struct plot_job {
	char *script, *data;
	size_t script_len, data_len;
};

/* Write down the graph of the newest host's memory, or of the last kills. Pure.
 * 0 or -ENOMEM. */
int plot_describe(enum record_kind kind, bool svg, const struct series *series,
		  struct plot_job *ret);
void plot_job_free(struct plot_job *job);

/* plot_run.c: a gnuplot at work. */
struct plot_run {
	pid_t pid;
	int picture;
};

/* Start gnuplot on it. 0, after which there must be a plot_finish(); -ENOENT: no gnuplot;
 * or another negative errno. */
int plot_start(const struct plot_job *job, struct plot_run *ret);
/* Wait for it. 0 with the picture in *ret, to be freed; -ETIMEDOUT, -EIO it failed, or
 * another negative errno. */
int plot_finish(struct plot_run *run, char **ret, size_t *ret_len);

/* Copy @text with all that gnuplot could take for more than text made '_'. */
void plot_label(const char *text, char *to, size_t size);

#endif
