/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The files of a log, which together are one stream of lines: closed ones, in
 * order, and the open one that is written. "logs.jsonl" is the open one;
 * "logs.<first byte>-<end>.jsonl" is closed, with ".zst" behind it once it is
 * compressed, one frame for each block. The names say where in the stream each
 * one stands, so that nothing else is needed to put them together.
 *
 * Not locked here: the log that owns it does that.
 */
#ifndef LOGSERVER_FILES_H
#define LOGSERVER_FILES_H

#include "block.h"

struct files_closed {
	int64_t start, end;
	bool compressed;
	int64_t bytes;  /* on disk */
};

struct files {
	int directory_fd;
	const char *name;              /* "logs" */
	struct files_closed *closed;   /* oldest first */
	size_t closed_count, closed_capacity;
	int fd;                        /* the open one */
	int64_t start;                 /* where in the stream it starts */
};

/* Find what is there, make the open file if it is not. 0 or negative errno. */
int files_open(struct files *files, int directory_fd, const char *name);
void files_close(struct files *files);

/* Where the stream starts: what was before is removed. */
int64_t files_start(const struct files *files);

/* Close the open file, which ends at @end, and start another. Nothing has
 * changed where it fails. */
int files_rotate(struct files *files, int64_t end);

/* The descriptor of the file that holds @position, for the caller to close, and
 * which it is (NULL: the open one). */
int files_holding(const struct files *files, int64_t position, int *ret_fd,
		  const struct files_closed **ret_closed);
int files_open_closed(const struct files *files, const struct files_closed *closed, int *ret_fd);

/* Note, when its compressed copy is complete, that it is used now; remove the other. */
void files_compressed(struct files *files, int64_t start, int64_t bytes);
/* Remove the oldest closed file, as files_oldest() gave it; the newest one is
 * left empty instead, because its name says where the stream goes on. */
int files_remove_oldest(struct files *files);

/* The name of a closed file, in @name of FILES_NAME_BYTES. */
#define FILES_NAME_BYTES 96
void files_name(const struct files *files, const struct files_closed *closed, char *name);

/*
 * Compress @blocks, which are one after the other, of the plain file @from into
 * @to, which stands at *@at and moves on; gives each its frame.
 */
struct files_packer;
int files_packer_new(struct files_packer **ret);
void files_packer_free(struct files_packer *packer);
int files_pack(struct files_packer *packer, int from, int64_t from_start, int to, int64_t *at,
	       struct block *block);

/*
 * The text of a block, from the open descriptor of the file that holds it, whose
 * first byte is @file_start in the stream. @text has room for FILES_BLOCK_BYTES.
 */
#define FILES_BLOCK_BYTES (LIMITS_BLOCK_BYTES + LIMITS_RECORD_BYTES + 1)
int files_read_block(int fd, int64_t file_start, const struct block *block, char *text);

/*
 * For making the index anew from a compressed file: the frame at @at. Gives its
 * length in the file, its text and the text's length; 0 at the end of the file,
 * 1, or negative errno (-EUCLEAN: this is no frame that we wrote).
 */
int files_next_frame(int fd, int64_t at, char *text, int64_t *ret_frame_len, int64_t *ret_len);

/* Write or read all of it. 0 or negative errno (-EIO: the file ends before). */
int files_write_all(int fd, const char *data, size_t len, int64_t at);
int files_read_all(int fd, void *data, size_t len, int64_t at);

#endif
