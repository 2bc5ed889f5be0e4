// SPDX-License-Identifier: GPL-2.0
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* zstd's default. Records compress to a tenth with it, at 300 MB/s and more. */
#define ZSTD_LEVEL 3
#define FRAME_BYTES ZSTD_COMPRESSBOUND(FILES_BLOCK_BYTES)

struct files_packer {
	ZSTD_CCtx *context;
	char text[FILES_BLOCK_BYTES];
	char frame[FRAME_BYTES];
};

int files_write_all(int fd, const char *data, size_t len, int64_t at)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, data, len, at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		at += put;
		len -= (size_t)put;
	}
	return 0;
}

int files_read_all(int fd, void *data, size_t len, int64_t at)
{
	char *p = data;

	while (len > 0) {
		ssize_t got = pread(fd, p, len, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		p += got;
		at += got;
		len -= (size_t)got;
	}
	return 0;
}

/* --- Names ----------------------------------------------------------------------- */

void files_name(const struct files *files, const struct files_closed *closed, char *name)
{
	snprintf(name, FILES_NAME_BYTES, "%s.%015" PRId64 "-%015" PRId64 ".jsonl%s", files->name,
		 closed->start, closed->end, closed->compressed ? ".zst" : "");
}

static void open_name(const struct files *files, char *name)
{
	snprintf(name, FILES_NAME_BYTES, "%s.jsonl", files->name);
}

/* Whether @name is exactly how we name a closed file of this log. */
static bool is_closed_name(const struct files *files, const char *name, struct files_closed *ret)
{
	struct files_closed closed = { 0 };
	size_t len = strlen(files->name);
	char again[FILES_NAME_BYTES];

	if (strncmp(name, files->name, len) != 0 || name[len] != '.' ||
	    sscanf(name + len, ".%" SCNd64 "-%" SCNd64 ".", &closed.start, &closed.end) != 2 ||
	    closed.start < 0 || closed.end <= closed.start)
		return false;
	for (int compressed = 0; compressed < 2; compressed++) {
		closed.compressed = compressed;
		files_name(files, &closed, again);
		if (strcmp(name, again) == 0) {
			*ret = closed;
			return true;
		}
	}
	return false;
}

/* What a killed server left half made. */
static bool is_half_made(const struct files *files, const char *name)
{
	size_t len = strlen(name), own = strlen(files->name);

	return strncmp(name, files->name, own) == 0 && name[own] == '.' && len > 4 &&
	       strcmp(name + len - 4, ".new") == 0;
}

/* --- Opening --------------------------------------------------------------------- */

static int add_closed(struct files *files, const struct files_closed *closed)
{
	if (files->closed_count == files->closed_capacity) {
		size_t grown = files->closed_capacity * 2 + 8;
		void *list = reallocarray(files->closed, grown, sizeof(*files->closed));

		if (!list)
			return -ENOMEM;
		files->closed = list;
		files->closed_capacity = grown;
	}
	files->closed[files->closed_count++] = *closed;
	return 0;
}

/* By place; where there are both, the plain one first. */
static int by_start(const void *a, const void *b)
{
	const struct files_closed *first = a, *second = b;

	if (first->start != second->start)
		return first->start < second->start ? -1 : 1;
	return (int)first->compressed - (int)second->compressed;
}

static int find_closed(struct files *files)
{
	int fd = openat(files->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	struct files_closed closed;
	struct dirent *entry;
	struct stat st;
	DIR *directory;

	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(directory))) {
		if (is_half_made(files, entry->d_name)) {
			unlinkat(files->directory_fd, entry->d_name, 0);
		} else if (is_closed_name(files, entry->d_name, &closed)) {
			if (fstatat(files->directory_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			    !S_ISREG(st.st_mode))
				continue;
			closed.bytes = st.st_size;
			err = add_closed(files, &closed);
		}
	}
	closedir(directory);
	return err;
}

/* Killed while it was compressed: the plain file is whole, the other may not be known. */
static void drop_second_copies(struct files *files)
{
	char name[FILES_NAME_BYTES];
	size_t kept = 0;

	/* qsort() wants no NULL. */
	if (files->closed_count)
		qsort(files->closed, files->closed_count, sizeof(*files->closed), by_start);
	for (size_t i = 0; i < files->closed_count; i++) {
		if (kept && files->closed[i].start < files->closed[kept - 1].end) {
			if (files->closed[i].start == files->closed[kept - 1].start) {
				files_name(files, &files->closed[i], name);
				unlinkat(files->directory_fd, name, 0);
			}
			continue;
		}
		files->closed[kept++] = files->closed[i];
	}
	files->closed_count = kept;
}

static int open_current(const struct files *files, int flags, int *ret_fd)
{
	char name[FILES_NAME_BYTES];
	int fd;

	open_name(files, name);
	fd = openat(files->directory_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags,
		    0644);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int files_open(struct files *files, int directory_fd, const char *name)
{
	int err;

	*files = (struct files){ .directory_fd = directory_fd, .name = name, .fd = -1 };
	err = find_closed(files);
	if (err)
		return err;
	drop_second_copies(files);
	if (files->closed_count)
		files->start = files->closed[files->closed_count - 1].end;
	return open_current(files, 0, &files->fd);
}

void files_close(struct files *files)
{
	if (files->fd >= 0)
		close(files->fd);
	free(files->closed);
	files->closed = NULL;
	files->closed_count = 0;
	files->fd = -1;
}

int64_t files_start(const struct files *files)
{
	for (size_t i = 0; i < files->closed_count; i++) {
		if (files->closed[i].bytes)
			return files->closed[i].start;
	}
	return files->start;
}

/* --- Rotation -------------------------------------------------------------------- */

int files_rotate(struct files *files, int64_t end)
{
	struct files_closed closed = { .start = files->start, .end = end, .bytes = end - files->start };
	char from[FILES_NAME_BYTES], to[FILES_NAME_BYTES];
	int fd = -1, err;

	/* Room first: nothing may fail behind the renaming. */
	err = add_closed(files, &closed);
	if (err)
		return err;
	files->closed_count--;
	open_name(files, from);
	files_name(files, &closed, to);
	if (renameat(files->directory_fd, from, files->directory_fd, to))
		return -errno;
	err = open_current(files, O_EXCL, &fd);
	if (!err && fsync(files->directory_fd)) {
		err = -errno;
		close(fd);
		unlinkat(files->directory_fd, from, 0);
	}
	if (err) {
		renameat(files->directory_fd, to, files->directory_fd, from);
		return err;
	}
	close(files->fd);
	files->fd = fd;
	files->start = end;
	files->closed_count++;
	return 0;
}

int files_open_closed(const struct files *files, const struct files_closed *closed, int *ret_fd)
{
	char name[FILES_NAME_BYTES];
	int fd;

	files_name(files, closed, name);
	fd = openat(files->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int files_holding(const struct files *files, int64_t position, int *ret_fd,
		  const struct files_closed **ret_closed)
{
	size_t low = 0, high = files->closed_count;
	int fd;

	if (position >= files->start) {
		fd = fcntl(files->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		*ret_fd = fd;
		*ret_closed = NULL;
		return 0;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (files->closed[middle].end <= position)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == files->closed_count || files->closed[low].start > position)
		return -ENOENT;
	*ret_closed = &files->closed[low];
	return files_open_closed(files, *ret_closed, ret_fd);
}

void files_compressed(struct files *files, int64_t start, int64_t bytes)
{
	char name[FILES_NAME_BYTES];

	for (size_t i = 0; i < files->closed_count; i++) {
		if (files->closed[i].start != start)
			continue;
		files_name(files, &files->closed[i], name);
		files->closed[i].compressed = true;
		files->closed[i].bytes = bytes;
		/* What stays of it when this fails goes at the next start. */
		unlinkat(files->directory_fd, name, 0);
	}
}

int files_remove_oldest(struct files *files)
{
	struct files_closed *oldest = files->closed;
	char name[FILES_NAME_BYTES];
	int fd;

	files_name(files, oldest, name);
	if (files->closed_count == 1) {
		fd = openat(files->directory_fd, name, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		close(fd);
		oldest->bytes = 0;
		return 0;
	}
	if (unlinkat(files->directory_fd, name, 0) && errno != ENOENT)
		return -errno;
	files->closed_count--;
	memmove(oldest, oldest + 1, files->closed_count * sizeof(*oldest));
	return 0;
}

/* --- Blocks ---------------------------------------------------------------------- */

int files_packer_new(struct files_packer **ret)
{
	struct files_packer *packer = malloc(sizeof(*packer));

	if (!packer)
		return -ENOMEM;
	packer->context = ZSTD_createCCtx();
	if (!packer->context) {
		free(packer);
		return -ENOMEM;
	}
	ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(packer->context, ZSTD_c_checksumFlag, 1);
	*ret = packer;
	return 0;
}

void files_packer_free(struct files_packer *packer)
{
	ZSTD_freeCCtx(packer->context);
	free(packer);
}

int files_pack(struct files_packer *packer, int from, int64_t from_start, int to, int64_t *at,
	       struct block *block)
{
	int64_t done = 0, piece, start = *at;
	size_t len;
	int err;

	/* Longer than a frame may be is only a damaged line, which is never read. */
	for (; done < block->length; done += piece) {
		piece = block->length - done;
		if (piece > FILES_BLOCK_BYTES)
			piece = FILES_BLOCK_BYTES;
		err = files_read_all(from, packer->text, (size_t)piece,
				     block->start - from_start + done);
		if (err)
			return err;
		len = ZSTD_compress2(packer->context, packer->frame, sizeof(packer->frame),
				     packer->text, (size_t)piece);
		if (ZSTD_isError(len))
			return -ENOMEM;
		err = files_write_all(to, packer->frame, len, *at);
		if (err)
			return err;
		if (done == 0)
			block->frame_len = (int64_t)len;
		*at += (int64_t)len;
	}
	block->frame_at = start;
	return 0;
}

static int unpack(const char *frame, size_t frame_len, char *text, int64_t *ret_len)
{
	size_t len = ZSTD_decompress(text, FILES_BLOCK_BYTES, frame, frame_len);

	if (ZSTD_isError(len))
		return -EUCLEAN;
	*ret_len = (int64_t)len;
	return 0;
}

int files_read_block(int fd, int64_t file_start, const struct block *block, char *text)
{
	int64_t len = 0;
	char *frame;
	int err;

	if (block->length > FILES_BLOCK_BYTES)
		return -EUCLEAN;
	if (!block->frame_len)
		return files_read_all(fd, text, (size_t)block->length, block->start - file_start);
	if (block->frame_len > (int64_t)FRAME_BYTES)
		return -EUCLEAN;
	frame = malloc((size_t)block->frame_len);
	if (!frame)
		return -ENOMEM;
	err = files_read_all(fd, frame, (size_t)block->frame_len, block->frame_at);
	if (!err)
		err = unpack(frame, (size_t)block->frame_len, text, &len);
	if (!err && len != block->length)
		err = -EUCLEAN;
	free(frame);
	return err;
}

int files_next_frame(int fd, int64_t at, char *text, int64_t *ret_frame_len, int64_t *ret_len)
{
	char *frame = malloc(FRAME_BYTES);
	size_t frame_len;
	ssize_t got;
	int err = 0;

	if (!frame)
		return -ENOMEM;
	got = pread(fd, frame, FRAME_BYTES, at);
	if (got <= 0) {
		err = got < 0 ? -errno : 0;
		free(frame);
		return err;
	}
	frame_len = ZSTD_findFrameCompressedSize(frame, (size_t)got);
	if (ZSTD_isError(frame_len))
		err = -EUCLEAN;
	if (!err)
		err = unpack(frame, frame_len, text, ret_len);
	if (!err)
		*ret_frame_len = (int64_t)frame_len;
	free(frame);
	return err ? err : 1;
}
