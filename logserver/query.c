// SPDX-License-Identifier: GPL-2.0
#include "query.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "files.h"

/* Blocks looked up at a time. */
#define BLOCKS_AT_ONCE 8

/* A walk over the lines that match, from a position on. */
struct walk {
	struct block blocks[BLOCKS_AT_ONCE];
	size_t count, at;        /* blocks at hand, and the one being read */
	int64_t position;        /* of the next line */
	bool reading;            /* the block's text is in @text */
	bool all_match;
	char *text;
	int64_t done, length;    /* of the text */
};

struct query {
	struct store *store;
	enum record_kind kind;
	struct route_query wanted;
	int zone_s;
	int64_t end;             /* what was stored later is not in it */
	int64_t next_cursor;
	size_t skip, left;       /* matches to pass over, and then to give */
	struct walk walk;
	enum { NEXT_OPENING, NEXT_RECORD, NEXT_LINE, NEXT_END, NEXT_NOTHING } next;
	bool separate;           /* a record was given: a comma before the next */
	const char *line;        /* the match at hand; valid until the next one is read */
	size_t line_len;
	const char *piece;       /* what of the answer comes next, */
	size_t piece_len;        /* this much of it not yet given */
	char *row;               /* the match as CSV */
};

/* --- Lines -------------------------------------------------------------------------- */

/* Look up the next blocks. 1, 0 at the end, or negative errno. */
static int next_blocks(struct query *query, struct walk *walk)
{
	int err;

	/* The last block may have grown since: it would be given again for ever. */
	if (walk->position >= query->end)
		return 0;
	err = store_blocks(query->store, query->kind, walk->position, query->end, false,
			   &query->wanted.filter, walk->blocks, BLOCKS_AT_ONCE, &walk->count);
	walk->at = 0;
	return err ? err : walk->count > 0;
}

/* Read the next block that can have a match. 1, 0 at the end, or negative errno. */
static int next_block(struct query *query, struct walk *walk)
{
	int err;

	for (;;) {
		const struct block *block = &walk->blocks[walk->at];

		if (walk->at == walk->count) {
			err = next_blocks(query, walk);
			if (err <= 0)
				return err;
			continue;
		}
		walk->at++;
		if (block->start + block->length <= walk->position)
			continue;
		if (!block_may_match(block, &query->wanted.filter)) {
			walk->position = block->start + block->length;
			continue;
		}
		err = store_read_block(query->store, query->kind, block, walk->text);
		/* Removed meanwhile, because it is old. */
		if (err == -ENOENT) {
			walk->position = block->start + block->length;
			continue;
		}
		if (err)
			return err;
		walk->all_match = block_all_match(block, &query->wanted.filter);
		walk->done = walk->position > block->start ? walk->position - block->start : 0;
		walk->position = block->start + walk->done;
		/* It may have grown since the query began. */
		walk->length = block->length < query->end - block->start ?
			       block->length : query->end - block->start;
		walk->reading = true;
		return 1;
	}
}

static bool line_matches(const struct query *query, const char *line, size_t len)
{
	struct record_error why;
	struct record record;

	/* Lines that are no records (a damaged disk, an editor) are passed over. */
	return !record_read(query->kind, line, len, query->zone_s, &record, NULL, NULL, &why) &&
	       block_record_matches(&record, &query->wanted.filter);
}

/* The next line that matches: 1, 0 at the end, or negative errno. */
static int next_match(struct query *query, struct walk *walk, const char **ret_line,
		      size_t *ret_len)
{
	int err;

	for (;;) {
		const char *line = walk->text + walk->done, *newline;
		size_t len;

		if (!walk->reading) {
			err = next_block(query, walk);
			if (err <= 0)
				return err;
			continue;
		}
		newline = walk->done < walk->length ?
			  memchr(line, '\n', (size_t)(walk->length - walk->done)) : NULL;
		if (!newline) {
			walk->position += walk->length - walk->done;
			walk->reading = false;
			continue;
		}
		len = (size_t)(newline - line);
		walk->done += (int64_t)len + 1;
		walk->position += (int64_t)len + 1;
		if (walk->all_match || line_matches(query, line, len)) {
			*ret_line = line;
			*ret_len = len;
			return 1;
		}
	}
}

static void rewind_walk(struct walk *walk, int64_t position)
{
	walk->position = position;
	walk->reading = false;
	walk->count = walk->at = 0;
}

/* --- Limits ------------------------------------------------------------------------- */

/* How many records of a block match, which is read only if it must be. */
static int count_matches(struct query *query, struct walk *walk, const struct block *block,
			 size_t *ret)
{
	int64_t end = query->end;
	const char *line;
	size_t len;
	int err;

	*ret = 0;
	if (!block_may_match(block, &query->wanted.filter))
		return 0;
	/* One that has grown since the query began is not counted as it is now. */
	if (block_all_match(block, &query->wanted.filter) &&
	    block->start + block->length <= query->end) {
		*ret = (size_t)block->records;
		return 0;
	}
	if (block->start + block->length < end)
		query->end = block->start + block->length;
	rewind_walk(walk, block->start);
	while ((err = next_match(query, walk, &line, &len)) == 1)
		++*ret;
	query->end = end;
	return err;
}

/* The newest @limit matches: go back until they are found. */
static int start_at_newest(struct query *query)
{
	struct block *blocks = calloc(BLOCKS_AT_ONCE, sizeof(*blocks));
	int64_t to = query->end, start = 0;
	size_t found = 0, count, matches;
	int err = blocks ? 0 : -ENOMEM;

	while (!err && found < query->left) {
		err = store_blocks(query->store, query->kind, 0, to, true, &query->wanted.filter,
				   blocks, BLOCKS_AT_ONCE, &count);
		if (err || !count)
			break;
		for (size_t i = 0; i < count && found < query->left && !err; i++) {
			err = count_matches(query, &query->walk, &blocks[i], &matches);
			found += matches;
			start = to = blocks[i].start;
		}
	}
	free(blocks);
	query->skip = found > query->left ? found - query->left : 0;
	rewind_walk(&query->walk, start);
	return err;
}

/* The page's end has to be known before it is sent: where the next one starts. */
static int find_next_page(struct query *query)
{
	struct walk *walk = &query->walk;
	size_t found = 0, len;
	const char *line;
	int err = 0;

	while (found < query->left && (err = next_match(query, walk, &line, &len)) == 1)
		found++;
	if (found == query->left) {
		query->next_cursor = walk->position;
		/* Are there more? */
		err = next_match(query, walk, &line, &len);
		if (err == 0)
			query->next_cursor = -1;
	}
	rewind_walk(walk, query->wanted.cursor);
	return err < 0 ? err : 0;
}

/* --- The answer --------------------------------------------------------------------- */

int query_open(struct store *store, enum record_kind kind, const struct route_query *wanted,
	       int zone_s, struct query **ret)
{
	struct query *query = calloc(1, sizeof(*query));
	struct store_extent extent;
	int err = 0;

	if (!query)
		return -ENOMEM;
	store_extent(store, kind, &extent);
	query->store = store;
	query->kind = kind;
	query->wanted = *wanted;
	query->zone_s = zone_s;
	query->end = extent.end;
	query->next_cursor = -1;
	query->left = wanted->limit ? wanted->limit : SIZE_MAX;
	query->walk.text = malloc(FILES_BLOCK_BYTES);
	query->row = wanted->format == ROUTE_CSV ? malloc(CSV_ROW_BYTES) : NULL;
	if (!query->walk.text || (wanted->format == ROUTE_CSV && !query->row))
		err = -ENOMEM;
	query->walk.position = wanted->cursor;
	if (!err && wanted->has_cursor)
		err = find_next_page(query);
	else if (!err && wanted->limit)
		err = start_at_newest(query);
	if (err) {
		query_close(query);
		return err;
	}
	*ret = query;
	return 0;
}

void query_close(struct query *query)
{
	free(query->walk.text);
	free(query->row);
	free(query);
}

int64_t query_next_cursor(const struct query *query)
{
	return query->next_cursor;
}

static void set_piece(struct query *query, const char *text, size_t len)
{
	query->piece = text;
	query->piece_len = len;
}

static void set_line(struct query *query)
{
	enum route_format format = query->wanted.format;

	if (format == ROUTE_CSV)
		set_piece(query, query->row,
			  csv_row(query->kind, query->line, query->line_len, query->row));
	else
		/* A line's newline stands behind it in the block. */
		set_piece(query, query->line, query->line_len + (format == ROUTE_NDJSON));
}

/* 1 with a piece to give, 0 at the end, or negative errno. */
static int next_piece(struct query *query)
{
	bool array = query->wanted.format == ROUTE_JSON;
	int err;

	switch (query->next) {
	case NEXT_OPENING:
		if (query->wanted.format == ROUTE_CSV)
			set_piece(query, query->row, csv_heading(query->kind, query->row));
		else
			set_piece(query, "[", array);
		query->next = NEXT_RECORD;
		return 1;
	case NEXT_RECORD:
		do {
			err = query->left ? next_match(query, &query->walk, &query->line,
						       &query->line_len) : 0;
		} while (err == 1 && query->skip && query->skip--);
		if (err < 0)
			return err;
		if (err == 0) {
			query->next = NEXT_END;
			return 1;
		}
		query->left--;
		if (array && query->separate) {
			set_piece(query, ",\n", 2);
			query->next = NEXT_LINE;
		} else {
			set_line(query);
			query->separate = true;
		}
		return 1;
	case NEXT_LINE:
		set_line(query);
		query->next = NEXT_RECORD;
		return 1;
	case NEXT_END:
		set_piece(query, "]\n", array ? 2 : 0);
		query->next = NEXT_NOTHING;
		return 1;
	case NEXT_NOTHING:
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
			continue;
		}
		len = query->piece_len < size - put ? query->piece_len : size - put;
		memcpy(buffer + put, query->piece, len);
		put += len;
		query->piece += len;
		query->piece_len -= len;
	}
	return (ssize_t)put;
}
