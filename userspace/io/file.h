/* SPDX-License-Identifier: GPL-2.0 */
/* Whole files: read with a bound, written durably. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <stddef.h>

/**
 * file_read_all() - read a file to its end
 * @dir: descriptor that @path is relative to, or AT_FDCWD
 * @path: the file
 * @max: most bytes that are taken
 * @ret: its bytes and a NUL; the caller frees them
 * @ret_len: number of bytes
 *
 * Return: 0; -EFBIG: longer than @max; or negative errno.
 */
int file_read_all(int dir, const char *path, size_t max, char **ret, size_t *ret_len);

/* Return: 0; -EISDIR; -EBADFD: no regular file either; or negative errno. */
int file_check_regular(int fd);

/*
 * As file_read_all(), but of a regular file alone: also -ELOOP for a link, and what
 * file_check_regular() returns.
 */
int file_read_regular(int dir, const char *path, size_t max, char **ret, size_t *ret_len);

/**
 * file_write_durably() - have a file with this content, whole, or not at all
 * @dir: descriptor of the folder, which is synced too
 * @name: of the file in it; replaced if it is there
 * @text: the content
 * @len: its length
 * @mode: of a new file
 *
 * Return: 0 once it is on disk, or negative errno: then what was there before is there still,
 * or, if only the folder could not be synced, the new file is.
 */
int file_write_durably(int dir, const char *name, const char *text, size_t len,
		       unsigned int mode);

#endif
