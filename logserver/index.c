// SPDX-License-Identifier: GPL-2.0
#include "index.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Of the tables and of what is in the blobs. */
#define INDEX_VERSION 2

enum { LOOKUP, READ, WRITE, CONNECTIONS };

enum statement {
	STATEMENT_HAS, STATEMENT_FORWARDS, STATEMENT_BACKWARDS, STATEMENT_ADD_ID,
	STATEMENT_ADD_BLOCK, STATEMENT_SET_FRAME, STATEMENT_SET_STATE, STATEMENT_SET_GRAPHS,
	STATEMENT_DROP_ID, STATEMENT_DROP_BLOCKS, STATEMENTS
};

#define BLOCK_COLUMNS "start, length, frame_at, frame_len, records, damaged, first_ms, last_ms, names"
#define BLOCKS_WANTED "SELECT " BLOCK_COLUMNS " FROM blocks WHERE " \
		      "start >= coalesce((SELECT max(start) FROM blocks WHERE start <= ?1), ?1) " \
		      "AND start + length > ?1 AND start < ?2 AND last_ms >= ?3 AND first_ms <= ?4 ORDER BY start "

static const struct {
	int connection;
	const char *sql;
} statements[STATEMENTS] = {
	[STATEMENT_HAS] = { LOOKUP, "SELECT 1 FROM ids WHERE id = ?1" },
	[STATEMENT_FORWARDS] = { READ, BLOCKS_WANTED "LIMIT ?5" },
	[STATEMENT_BACKWARDS] = { READ, BLOCKS_WANTED "DESC LIMIT ?5" },
	[STATEMENT_ADD_ID] = { WRITE, "INSERT OR IGNORE INTO ids VALUES (?1)" },
	/* Memory may still hold a block whose file was compressed meanwhile, and not know of
	 * its frame: that stays as it is. */
	[STATEMENT_ADD_BLOCK] = { WRITE, "INSERT INTO blocks (" BLOCK_COLUMNS ") "
					 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
					 "ON CONFLICT (start) DO UPDATE SET length = ?2, records = ?5, "
					 "damaged = ?6, first_ms = ?7, last_ms = ?8, names = ?9" },
	[STATEMENT_SET_FRAME] = { WRITE, "UPDATE blocks SET frame_at = ?2, frame_len = ?3 "
					 "WHERE start = ?1" },
	[STATEMENT_SET_STATE] = { WRITE, "UPDATE state SET end = ?1, records = ?2, damaged = ?3, "
					 "tail_hash = ?4" },
	[STATEMENT_SET_GRAPHS] = { WRITE, "UPDATE state SET graphs = ?1" },
	[STATEMENT_DROP_ID] = { WRITE, "DELETE FROM ids WHERE id = ?1" },
	[STATEMENT_DROP_BLOCKS] = { WRITE, "DELETE FROM blocks WHERE start < ?1" },
};

struct index {
	sqlite3 *connections[CONNECTIONS];
	sqlite3_stmt *statements[STATEMENTS];
};

static int error_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR:  /* a table that is not there, or is another */
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

static int execute(struct index *index, int connection, const char *sql)
{
	return error_of(sqlite3_exec(index->connections[connection], sql, NULL, NULL, NULL));
}

/* Step a statement that gives no rows, and make it ready for the next time. */
static int run(sqlite3_stmt *statement)
{
	int err = error_of(sqlite3_step(statement));

	sqlite3_reset(statement);
	return err;
}

/* Big-endian, so that the index's order is the numbers' order. */
static void bind_id(sqlite3_stmt *statement, struct hash id, uint64_t bytes[2])
{
	bytes[0] = htobe64(id.half[0]);
	bytes[1] = htobe64(id.half[1]);
	sqlite3_bind_blob(statement, 1, bytes, 16, SQLITE_STATIC);
}

/* --- Opening ------------------------------------------------------------------ */

static int connect_to(struct index *index, int connection, const char *path)
{
	/* WAL with synchronous=NORMAL: consistent after a power cut, though not up
	 * to date, which is caught up from the lines; an fsync for each checkpoint
	 * only. No memory map: it would count as ours. */
	static const char settings[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0;"
		"PRAGMA wal_autocheckpoint = " LIMITS_TEXT(LIMITS_INDEX_WAL_PAGES) ";"
		"PRAGMA journal_size_limit = 0; PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -" LIMITS_TEXT(LIMITS_INDEX_CACHE_KIB);
	int code;

	code = sqlite3_open_v2(path, &index->connections[connection],
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_NOFOLLOW,
			       NULL);
	if (code != SQLITE_OK)
		return error_of(code);
	sqlite3_busy_timeout(index->connections[connection], LIMITS_INDEX_BUSY_MS);
	return execute(index, connection, settings);
}

static int make_tables(struct index *index)
{
	unsigned char key[16];
	sqlite3_stmt *statement;
	int err;

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -EIO;
	err = execute(index, WRITE,
		      "BEGIN;"
		      "CREATE TABLE ids (id BLOB PRIMARY KEY) WITHOUT ROWID;"
		      "CREATE TABLE blocks (start INTEGER PRIMARY KEY, length INTEGER, "
		      "frame_at INTEGER, frame_len INTEGER, records INTEGER, damaged INTEGER, "
		      "first_ms INTEGER, last_ms INTEGER, names BLOB);"
		      "CREATE TABLE state (key BLOB, end INTEGER, records INTEGER, "
		      "damaged INTEGER, tail_hash INTEGER, graphs BLOB);"
		      "PRAGMA user_version = " LIMITS_TEXT(INDEX_VERSION));
	if (err)
		return err;
	err = error_of(sqlite3_prepare_v2(index->connections[WRITE],
					  "INSERT INTO state VALUES (?1, 0, 0, 0, 0, NULL)", -1,
					  &statement, NULL));
	if (err)
		return err;
	sqlite3_bind_blob(statement, 1, key, sizeof(key), SQLITE_STATIC);
	err = run(statement);
	sqlite3_finalize(statement);
	return err ? err : execute(index, WRITE, "COMMIT");
}

static int query_number(struct index *index, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement;
	int err;

	err = error_of(sqlite3_prepare_v2(index->connections[WRITE], sql, -1, &statement, NULL));
	if (err)
		return err;
	err = sqlite3_step(statement) == SQLITE_ROW ? 0 : -EUCLEAN;
	if (!err)
		*ret = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return err;
}

static int read_state(struct index *index, struct index_state *state)
{
	sqlite3_stmt *statement;
	int err;

	err = error_of(sqlite3_prepare_v2(index->connections[WRITE],
					  "SELECT key, end, records, damaged, tail_hash FROM state",
					  -1, &statement, NULL));
	if (err)
		return err;
	if (sqlite3_step(statement) == SQLITE_ROW &&
	    sqlite3_column_bytes(statement, 0) == sizeof(state->key)) {
		memcpy(state->key, sqlite3_column_blob(statement, 0), sizeof(state->key));
		state->end = sqlite3_column_int64(statement, 1);
		state->records = sqlite3_column_int64(statement, 2);
		state->damaged = sqlite3_column_int64(statement, 3);
		state->tail_hash = (uint64_t)sqlite3_column_int64(statement, 4);
	} else {
		err = -EUCLEAN;
	}
	sqlite3_finalize(statement);
	return err;
}

static int open_all(struct index *index, const char *path, struct index_state *state)
{
	int64_t version = 0;
	int err;

	err = connect_to(index, WRITE, path);
	if (!err)
		err = query_number(index, "PRAGMA user_version", &version);
	if (!err && version == 0)
		err = make_tables(index);
	else if (!err && version != INDEX_VERSION)
		err = -EUCLEAN;
	for (int i = 0; i < WRITE && !err; i++)
		err = connect_to(index, i, path);
	for (int i = 0; i < STATEMENTS && !err; i++)
		err = error_of(sqlite3_prepare_v3(
			index->connections[statements[i].connection], statements[i].sql, -1,
			SQLITE_PREPARE_PERSISTENT, &index->statements[i], NULL));
	return err ? err : read_state(index, state);
}

int index_discard(const char *directory, const char *name)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	char path[PATH_MAX + 16];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s.index%s", directory, name, endings[i]);
		if (unlink(path) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int index_open(const char *directory, const char *name, bool fresh, struct index **ret,
	       struct index_state *ret_state)
{
	struct index_state state = { 0 };
	char path[PATH_MAX + 8];
	struct index *index;
	int err;

	if (fresh) {
		err = index_discard(directory, name);
		if (err)
			return err;
	}
	snprintf(path, sizeof(path), "%s/%s.index", directory, name);
	index = calloc(1, sizeof(*index));
	if (!index)
		return -ENOMEM;
	err = open_all(index, path, &state);
	if (err) {
		index_close(index);
		return err;
	}
	*ret_state = state;
	*ret = index;
	return 0;
}

void index_close(struct index *index)
{
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(index->statements[i]);
	for (int i = 0; i < CONNECTIONS; i++)
		sqlite3_close(index->connections[i]);
	free(index);
}

/* --- Ids ------------------------------------------------------------------------ */

int index_lookup_begin(struct index *index)
{
	return execute(index, LOOKUP, "BEGIN");
}

void index_lookup_end(struct index *index)
{
	execute(index, LOOKUP, "COMMIT");
}

int index_has(struct index *index, struct hash id)
{
	sqlite3_stmt *statement = index->statements[STATEMENT_HAS];
	uint64_t bytes[2];
	int code;

	bind_id(statement, id, bytes);
	code = sqlite3_step(statement);
	sqlite3_reset(statement);
	return code == SQLITE_ROW ? 1 : error_of(code);
}

/* --- Writing -------------------------------------------------------------------- */

static int write_state(struct index *index, const struct index_state *state)
{
	sqlite3_stmt *statement = index->statements[STATEMENT_SET_STATE];

	sqlite3_bind_int64(statement, 1, state->end);
	sqlite3_bind_int64(statement, 2, state->records);
	sqlite3_bind_int64(statement, 3, state->damaged);
	sqlite3_bind_int64(statement, 4, (int64_t)state->tail_hash);
	return run(statement);
}

static int write_block(struct index *index, const struct block *block)
{
	const int64_t numbers[] = { block->start, block->length, block->frame_at,
				    block->frame_len, block->records, block->damaged,
				    block->first_ms, block->last_ms };
	sqlite3_stmt *statement = index->statements[STATEMENT_ADD_BLOCK];
	int count = sizeof(numbers) / sizeof(numbers[0]);

	for (int i = 0; i < count; i++)
		sqlite3_bind_int64(statement, i + 1, numbers[i]);
	sqlite3_bind_blob(statement, count + 1, block->names, sizeof(block->names), SQLITE_STATIC);
	return run(statement);
}

static int for_ids(struct index *index, enum statement which, const struct hash *ids, size_t count)
{
	uint64_t bytes[2];
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		bind_id(index->statements[which], ids[i], bytes);
		err = run(index->statements[which]);
	}
	return err;
}

static int end_transaction(struct index *index, int err)
{
	if (!err)
		err = execute(index, WRITE, "COMMIT");
	if (err)
		execute(index, WRITE, "ROLLBACK");
	return err;
}

int index_write(struct index *index, const struct index_batch *batch)
{
	sqlite3_stmt *graphs = index->statements[STATEMENT_SET_GRAPHS];
	int err = execute(index, WRITE, "BEGIN IMMEDIATE");

	if (err)
		return err;
	err = for_ids(index, STATEMENT_ADD_ID, batch->ids, batch->id_count);
	for (size_t i = 0; i < batch->block_count && !err; i++)
		err = write_block(index, &batch->blocks[i]);
	if (!err) {
		sqlite3_bind_blob64(graphs, 1, batch->graphs, batch->graphs_len, SQLITE_STATIC);
		err = run(graphs);
		sqlite3_clear_bindings(graphs);
	}
	if (!err)
		err = write_state(index, batch->state);
	return end_transaction(index, err);
}

int index_graphs(struct index *index, void **ret, size_t *ret_len)
{
	sqlite3_stmt *statement;
	void *graphs = NULL;
	size_t len = 0;
	int err;

	err = error_of(sqlite3_prepare_v2(index->connections[WRITE], "SELECT graphs FROM state", -1,
					  &statement, NULL));
	if (err)
		return err;
	if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_bytes(statement, 0) > 0) {
		len = (size_t)sqlite3_column_bytes(statement, 0);
		graphs = malloc(len);
		if (graphs)
			memcpy(graphs, sqlite3_column_blob(statement, 0), len);
		else
			err = -ENOMEM;
	}
	sqlite3_finalize(statement);
	if (err)
		return err;
	*ret = graphs;
	*ret_len = len;
	return 0;
}

int index_set_frames(struct index *index, const struct block *blocks, size_t count)
{
	sqlite3_stmt *statement = index->statements[STATEMENT_SET_FRAME];
	int err;

	/* Durable at the commit: without this the only copy would lack its frames. */
	err = execute(index, WRITE, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
	for (size_t i = 0; i < count && !err; i++) {
		sqlite3_bind_int64(statement, 1, blocks[i].start);
		sqlite3_bind_int64(statement, 2, blocks[i].frame_at);
		sqlite3_bind_int64(statement, 3, blocks[i].frame_len);
		err = run(statement);
	}
	err = end_transaction(index, err);
	execute(index, WRITE, "PRAGMA synchronous = NORMAL");
	return err;
}

int index_forget(struct index *index, int64_t end, const struct hash *ids, size_t id_count,
		 const struct index_state *state)
{
	sqlite3_stmt *statement = index->statements[STATEMENT_DROP_BLOCKS];
	int err = execute(index, WRITE, "BEGIN IMMEDIATE");

	if (err)
		return err;
	err = for_ids(index, STATEMENT_DROP_ID, ids, id_count);
	if (!err) {
		sqlite3_bind_int64(statement, 1, end);
		err = run(statement);
	}
	if (!err)
		err = write_state(index, state);
	return end_transaction(index, err);
}

/* --- Blocks --------------------------------------------------------------------- */

static bool read_block(sqlite3_stmt *statement, struct block *block)
{
	int64_t *const numbers[] = { &block->start, &block->length, &block->frame_at,
				     &block->frame_len, &block->records, &block->damaged,
				     &block->first_ms, &block->last_ms };
	int count = sizeof(numbers) / sizeof(numbers[0]);

	if (sqlite3_column_bytes(statement, count) != sizeof(block->names))
		return false;
	for (int i = 0; i < count; i++)
		*numbers[i] = sqlite3_column_int64(statement, i);
	memcpy(block->names, sqlite3_column_blob(statement, count), sizeof(block->names));
	return true;
}

int index_blocks(struct index *index, int64_t from, int64_t to, bool backwards,
		 const struct block_filter *filter, struct block *ret, size_t max,
		 size_t *ret_count)
{
	sqlite3_stmt *statement =
		index->statements[backwards ? STATEMENT_BACKWARDS : STATEMENT_FORWARDS];
	size_t count = 0;
	int code;

	sqlite3_bind_int64(statement, 1, from);
	sqlite3_bind_int64(statement, 2, to);
	sqlite3_bind_int64(statement, 3, filter && filter->has_since ? filter->since_ms : INT64_MIN);
	sqlite3_bind_int64(statement, 4, filter && filter->has_until ? filter->until_ms - 1 : INT64_MAX);
	sqlite3_bind_int64(statement, 5, (int64_t)max);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW && count < max) {
		if (!read_block(statement, &ret[count++])) {
			code = SQLITE_CORRUPT;
			break;
		}
	}
	sqlite3_reset(statement);
	if (error_of(code))
		return error_of(code);
	*ret_count = count;
	return 0;
}
