// SPDX-License-Identifier: GPL-2.0
#include "query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"

struct query {
	struct lines lines;
	enum record_kind kind;
	struct route_filter filter;
	int zone_s;
	enum { NEXT_OPENING, NEXT_RECORD, NEXT_LINE, NEXT_END } next;
	bool separate;           /* a record was given: a comma before the next */
	const char *line;        /* the match at hand; valid until the next one is read */
	size_t line_len;
	const char *piece;       /* what of the answer comes next, */
	size_t piece_len;        /* this much of it not yet given */
};

static bool matches(const struct query *query, const struct record *record)
{
	const struct route_filter *filter = &query->filter;

	return !(filter->has_since && record->time_ms < filter->since_ms) &&
	       !(filter->has_until && record->time_ms >= filter->until_ms) &&
	       !(filter->host[0] && strcmp(filter->host, record->host) != 0);
}

/* The next line that matches: 1, 0 at the end, or negative errno. */
static int next_match(struct query *query, const char **ret_line, size_t *ret_len)
{
	struct record_error why;
	struct record record;
	int err;

	while ((err = lines_next(&query->lines, ret_line, ret_len)) == 1 || err == -E2BIG) {
		/* Lines that are no records (a damaged disk, an editor) are passed over. */
		if (err == 1 && !record_read(query->kind, *ret_line, *ret_len, query->zone_s,
					     &record, NULL, NULL, &why) &&
		    matches(query, &record))
			return 1;
	}
	return err;
}

/* Where the newest @limit matches start. */
static int find_start(struct query *query, off_t *ret_start)
{
	size_t limit = query->filter.limit, count = 0, len;
	off_t *starts = calloc(limit, sizeof(*starts));
	const char *line;
	int err;

	if (!starts)
		return -ENOMEM;
	while ((err = next_match(query, &line, &len)) == 1)
		starts[count++ % limit] = query->lines.line_at;
	if (!err)
		*ret_start = count < limit ? starts[0] : starts[count % limit];
	free(starts);
	return err;
}

int query_open(struct store *store, enum record_kind kind, const struct route_filter *filter,
	       int zone_s, struct query **ret)
{
	struct query *query = calloc(1, sizeof(*query));
	int fd = store_fd(store, kind), err;
	off_t end = store_end(store, kind), start;

	if (!query)
		return -ENOMEM;
	query->kind = kind;
	query->filter = *filter;
	query->zone_s = zone_s;
	err = lines_open(&query->lines, fd, 0, end);
	if (!err && filter->limit) {
		err = find_start(query, &start);
		lines_close(&query->lines);
		if (!err)
			err = lines_open(&query->lines, fd, start, end);
	}
	if (err) {
		query_close(query);
		return err;
	}
	*ret = query;
	return 0;
}

void query_close(struct query *query)
{
	lines_close(&query->lines);
	free(query);
}

static void set_piece(struct query *query, const char *text, size_t len)
{
	query->piece = text;
	query->piece_len = len;
}

/* 1 with a piece to give, 0 at the end, or negative errno. */
static int next_piece(struct query *query)
{
	int err;

	switch (query->next) {
	case NEXT_OPENING:
		set_piece(query, "[", 1);
		query->next = NEXT_RECORD;
		return 1;
	case NEXT_RECORD:
		err = next_match(query, &query->line, &query->line_len);
		if (err < 0)
			return err;
		if (err == 0) {
			set_piece(query, "]\n", 2);
			query->next = NEXT_END;
		} else if (query->separate) {
			set_piece(query, ",\n", 2);
			query->next = NEXT_LINE;
		} else {
			set_piece(query, query->line, query->line_len);
			query->separate = true;
		}
		return 1;
	case NEXT_LINE:
		set_piece(query, query->line, query->line_len);
		query->next = NEXT_RECORD;
		return 1;
	case NEXT_END:
		break;
	}
	return 0;
}

ssize_t query_read(struct query *query, char *buffer, size_t size)
{
	size_t put = 0, len;
	int err;

	while (put < size) {
		if (!query->piece_len) {
			err = next_piece(query);
			if (err < 0)
				return err;
			if (err == 0)
				break;
		}
		len = query->piece_len < size - put ? query->piece_len : size - put;
		memcpy(buffer + put, query->piece, len);
		put += len;
		query->piece += len;
		query->piece_len -= len;
	}
	return (ssize_t)put;
}
