// SPDX-License-Identifier: GPL-2.0
#include "graphs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "page.h"
#include "plot.h"
#include "series.h"

struct picture {
	uint64_t version;  /* of the series when it was drawn */
	char *data;        /* NULL: never drawn */
	size_t len;
};

struct graphs {
	/* Held for moments: a record is counted, a description written. */
	pthread_mutex_t series_lock;
	struct series series;
	uint64_t versions[RECORD_KINDS];
	/* Held while gnuplot runs; taken before series_lock. */
	pthread_mutex_t drawing_lock;
	struct picture pictures[RECORD_KINDS][2];
};

static const char *const file_names[RECORD_KINDS] = {
	[RECORD_KILL] = "Processes.png",
	[RECORD_MEMORY] = "Memory.png",
};

const char *graphs_file_name(enum record_kind kind)
{
	return file_names[kind];
}

int graphs_new(struct graphs **ret)
{
	struct graphs *graphs = calloc(1, sizeof(*graphs));

	if (!graphs)
		return -ENOMEM;
	pthread_mutex_init(&graphs->series_lock, NULL);
	pthread_mutex_init(&graphs->drawing_lock, NULL);
	*ret = graphs;
	return 0;
}

void graphs_free(struct graphs *graphs)
{
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		free(graphs->pictures[kind][false].data);
		free(graphs->pictures[kind][true].data);
	}
	series_free(&graphs->series);
	pthread_mutex_destroy(&graphs->series_lock);
	pthread_mutex_destroy(&graphs->drawing_lock);
	free(graphs);
}

void graphs_add(void *context, const struct record *record)
{
	struct graphs *graphs = context;

	pthread_mutex_lock(&graphs->series_lock);
	/* A host too many for the memory there is: its records are stored all the same. */
	(void)series_add(&graphs->series, record);
	graphs->versions[record->kind]++;
	pthread_mutex_unlock(&graphs->series_lock);
}

int graphs_save_state(void *context, enum record_kind kind, void **ret, size_t *ret_len)
{
	struct graphs *graphs = context;
	int err;

	pthread_mutex_lock(&graphs->series_lock);
	err = series_save(&graphs->series, kind, ret, ret_len);
	pthread_mutex_unlock(&graphs->series_lock);
	return err;
}

bool graphs_load_state(void *context, enum record_kind kind, const void *state, size_t len)
{
	struct graphs *graphs = context;
	bool loaded;

	pthread_mutex_lock(&graphs->series_lock);
	loaded = series_load(&graphs->series, kind, state, len);
	pthread_mutex_unlock(&graphs->series_lock);
	return loaded;
}

/* A picture being brought up to date. */
struct drawing {
	struct picture *picture;
	uint64_t version;
	struct plot_run run;
	bool runs;
	int err;
};

/* What is drawn of a kind changes with this. The series lock is held. */
static uint64_t version_of(const struct graphs *graphs, enum record_kind kind)
{
	/* Removals are marked in the graph of memory. */
	return graphs->versions[RECORD_KILL] +
	       (kind == RECORD_MEMORY ? graphs->versions[RECORD_MEMORY] : 0);
}

/* Begin to bring a picture up to date; the drawing lock is held until refresh_end(). */
static void refresh_begin(struct graphs *graphs, enum record_kind kind, bool svg,
			  struct drawing *drawing)
{
	struct plot_job job;

	*drawing = (struct drawing){ .picture = &graphs->pictures[kind][svg] };
	pthread_mutex_lock(&graphs->series_lock);
	drawing->version = version_of(graphs, kind);
	if (drawing->picture->data && drawing->picture->version == drawing->version) {
		pthread_mutex_unlock(&graphs->series_lock);
		return;
	}
	drawing->err = plot_describe(kind, svg, &graphs->series, &job);
	pthread_mutex_unlock(&graphs->series_lock);
	if (drawing->err)
		return;
	drawing->err = plot_start(&job, &drawing->run);
	drawing->runs = !drawing->err;
	plot_job_free(&job);
}

/* 0 if the picture is up to date now. */
static int refresh_end(struct drawing *drawing)
{
	struct picture drawn = { .version = drawing->version };

	if (drawing->runs)
		drawing->err = plot_finish(&drawing->run, &drawn.data, &drawn.len);
	if (drawing->runs && !drawing->err) {
		free(drawing->picture->data);
		*drawing->picture = drawn;
	}
	return drawing->err;
}

/* All kinds' pictures at a time: one gnuplot beside the other. */
static void refresh_all(struct graphs *graphs, bool svg, int errs[RECORD_KINDS])
{
	struct drawing drawings[RECORD_KINDS];

	for (int kind = 0; kind < RECORD_KINDS; kind++)
		refresh_begin(graphs, kind, svg, &drawings[kind]);
	for (int kind = 0; kind < RECORD_KINDS; kind++)
		errs[kind] = refresh_end(&drawings[kind]);
}

int graphs_picture(struct graphs *graphs, enum record_kind kind, bool svg, char **ret,
		   size_t *ret_len)
{
	const struct picture *picture = &graphs->pictures[kind][svg];
	struct drawing drawing;
	char *copy = NULL;
	int err;

	pthread_mutex_lock(&graphs->drawing_lock);
	refresh_begin(graphs, kind, svg, &drawing);
	err = refresh_end(&drawing);
	if (!err) {
		copy = malloc(picture->len);
		if (copy) {
			memcpy(copy, picture->data, picture->len);
			*ret_len = picture->len;
			*ret = copy;
		} else {
			err = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&graphs->drawing_lock);
	return err;
}

int graphs_page(struct graphs *graphs, const char *nonce, char **ret, size_t *ret_len)
{
	struct page_picture pictures[RECORD_KINDS] = { 0 };
	char *page = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&page, &len);
	int errs[RECORD_KINDS], err;

	if (!out)
		return -ENOMEM;
	pthread_mutex_lock(&graphs->drawing_lock);
	refresh_all(graphs, true, errs);
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		/* Without gnuplot the page still has its figures and tables. */
		if (!errs[kind])
			pictures[kind] = (struct page_picture){
				.svg = graphs->pictures[kind][true].data,
				.len = graphs->pictures[kind][true].len,
			};
	}
	pthread_mutex_lock(&graphs->series_lock);
	err = page_write(out, &graphs->series, &pictures[RECORD_MEMORY], &pictures[RECORD_KILL],
			 nonce, (int64_t)time(NULL) * 1000);
	pthread_mutex_unlock(&graphs->series_lock);
	pthread_mutex_unlock(&graphs->drawing_lock);
	if (ferror(out))
		err = -ENOMEM;
	if (fclose(out))
		err = -ENOMEM;
	if (err) {
		free(page);
		return err;
	}
	*ret = page;
	*ret_len = len;
	return 0;
}

/* A reader sees the old picture or the new one, never half of one. */
static int replace_file(int directory, const char *name, const char *data, size_t len)
{
	char temporary[64];
	ssize_t put;
	int fd, err = 0;

	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	if (fd < 0)
		return -errno;
	while (len > 0 && !err) {
		put = write(fd, data, len);
		if (put < 0 && errno != EINTR)
			err = -errno;
		if (put > 0) {
			data += put;
			len -= (size_t)put;
		}
	}
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(directory, temporary, directory, name))
		err = -errno;
	if (err)
		unlinkat(directory, temporary, 0);
	return err;
}

int graphs_save(struct graphs *graphs, const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), errs[RECORD_KINDS], err = 0;

	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&graphs->drawing_lock);
	refresh_all(graphs, false, errs);
	for (int kind = 0; kind < RECORD_KINDS && !err; kind++) {
		const struct picture *picture = &graphs->pictures[kind][false];

		err = errs[kind];
		if (!err)
			err = replace_file(fd, file_names[kind], picture->data, picture->len);
	}
	pthread_mutex_unlock(&graphs->drawing_lock);
	close(fd);
	return err;
}
