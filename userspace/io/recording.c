// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/recording.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define MAGIC "SYSINREC"
#define MAGIC_LEN 8
#define FILE_HEADER 16
#define FRAME_HEADER 16

#define FLAG_AFTER_LAST 1

struct recording {
	int fd;
	uint64_t len, max;
	ZSTD_CCtx *zstd;
	struct recording_last last[RECORDING_KINDS];
	uint8_t *frame;		/* a scratch buffer */
	size_t room;
};

static void put32(uint8_t *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return le32toh(value);
}

static uint32_t frame_crc(const uint8_t *header, const uint8_t *stored, uint32_t len)
{
	uLong crc = crc32(0, header, FRAME_HEADER - 4);

	return (uint32_t)crc32(crc, stored, len);
}

/* --- writing ------------------------------------------------------------------ */

/* Where there is a recording already, it becomes the old one. */
static int put_aside(const char *path, char *reason)
{
	char old[PATH_MAX], magic[MAGIC_LEN];
	struct stat st;
	bool busy;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) ? read(fd, magic, sizeof(magic)) : -1;
	busy = n >= 0 && flock(fd, LOCK_EX | LOCK_NB);
	if (fd >= 0)
		close(fd);
	if (busy) {
		snprintf(reason, RECORDING_REASON_SIZE, "another monitor records to %.300s", path);
		return -EEXIST;
	}
	/* Of one that a crash left at its very beginning there is nothing. */
	if (n != 0 && (n != sizeof(magic) || memcmp(magic, MAGIC, sizeof(magic)))) {
		snprintf(reason, RECORDING_REASON_SIZE,
			 "%.300s is there and is no recording: it is left as it is", path);
		return -EEXIST;
	}
	if (snprintf(old, sizeof(old), "%s.old", path) >= (int)sizeof(old))
		return -ENAMETOOLONG;
	return rename(path, old) ? -errno : 0;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int recording_create(const char *path, uint32_t version, uint64_t max_bytes, struct recording **ret,
		     char *reason)
{
	uint8_t header[FILE_HEADER] = MAGIC;
	struct recording *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		goto fail;
	r->fd = -1;
	r->max = max_bytes;
	r->zstd = ZSTD_createCCtx();
	if (!r->zstd)
		goto fail;
	err = put_aside(path, reason);
	if (err == -EEXIST) {
		recording_close(r);
		return err;
	}
	if (err)
		goto fail;
	r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->fd < 0) {
		err = -errno;
		goto fail;
	}
	/* For as long as it is written: see put_aside(). */
	flock(r->fd, LOCK_EX | LOCK_NB);
	put32(header + MAGIC_LEN, version);
	err = write_all(r->fd, header, sizeof(header));
	if (err)
		goto fail;
	r->len = sizeof(header);
	*ret = r;
	return 0;

fail:
	snprintf(reason, RECORDING_REASON_SIZE, "can't record to %.300s: %s", path, strerror(-err));
	recording_close(r);
	return err;
}

static int deflate_frame(struct recording *r, const struct recording_last *last,
			 const void *content, size_t len, size_t *ret_len)
{
	size_t room = FRAME_HEADER + ZSTD_compressBound(len), n;
	uint8_t *more;

	if (room > r->room) {
		more = realloc(r->frame, room);
		if (!more)
			return -ENOMEM;
		r->frame = more;
		r->room = room;
	}
	n = ZSTD_CCtx_reset(r->zstd, ZSTD_reset_session_and_parameters);
	if (!ZSTD_isError(n) && last->content)
		n = ZSTD_CCtx_refPrefix(r->zstd, last->content, last->len);
	if (!ZSTD_isError(n))
		n = ZSTD_compress2(r->zstd, r->frame + FRAME_HEADER, r->room - FRAME_HEADER, content, len);
	if (ZSTD_isError(n))
		return -ENOMEM;	/* nothing else can fail here */
	*ret_len = n;
	return 0;
}

int recording_put(struct recording *r, enum recording_kind kind, const void *content, size_t len)
{
	struct recording_last *last = &r->last[kind];
	uint8_t *copy;
	size_t stored = 0;
	int err;

	if (len > RECORDING_CONTENT_MAX)
		return -EMSGSIZE;
	copy = malloc(len + 1);
	err = copy ? deflate_frame(r, last, content, len, &stored) : -ENOMEM;
	if (err)
		goto out;
	memset(r->frame, 0, FRAME_HEADER);
	put32(r->frame, (uint32_t)stored);
	put32(r->frame + 4, (uint32_t)len);
	r->frame[8] = (uint8_t)kind;
	r->frame[9] = last->content ? FLAG_AFTER_LAST : 0;
	put32(r->frame + 12, frame_crc(r->frame, r->frame + FRAME_HEADER, (uint32_t)stored));
	err = write_all(r->fd, r->frame, FRAME_HEADER + stored);
	if (err) {
		/* The next one must follow what is whole. */
		if (ftruncate(r->fd, (off_t)r->len) || lseek(r->fd, (off_t)r->len, SEEK_SET) < 0)
			r->len = r->max;
		goto out;
	}
	r->len += FRAME_HEADER + stored;
	memcpy(copy, content, len);
	free(last->content);
	last->content = copy;
	last->len = len;
	copy = NULL;
out:
	free(copy);
	return err;
}

bool recording_full(const struct recording *r)
{
	return r->len >= r->max;
}

static void forget_last(struct recording_last *last)
{
	size_t i;

	for (i = 0; i < RECORDING_KINDS; i++) {
		free(last[i].content);
		last[i].content = NULL;
	}
}

void recording_close(struct recording *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	forget_last(r->last);
	ZSTD_freeCCtx(r->zstd);
	free(r->frame);
	free(r);
}

/* --- reading ------------------------------------------------------------------ */

int recording_begin(struct recording_reader *r, const uint8_t *data, size_t len, uint32_t version)
{
	*r = (struct recording_reader){ .data = data, .len = len, .at = FILE_HEADER };
	if (len < FILE_HEADER || memcmp(data, MAGIC, MAGIC_LEN))
		return -EBADMSG;
	return get32(data + MAGIC_LEN) == version ? 0 : -EPROTO;
}

/* Return: 0, -EBADMSG or -ENOMEM. */
static int inflate_frame(const uint8_t *stored, size_t stored_len,
			 const struct recording_last *dictionary, uint8_t **ret, size_t len)
{
	ZSTD_DCtx *zstd = ZSTD_createDCtx();
	uint8_t *content = malloc(len + 1);
	int err = -ENOMEM;
	size_t n = 0;

	if (!zstd || !content)
		goto out;
	/* It stores the length too; a frame within a frame would be another one. */
	err = -EBADMSG;
	if (ZSTD_getFrameContentSize(stored, stored_len) != len ||
	    ZSTD_findFrameCompressedSize(stored, stored_len) != stored_len)
		goto out;
	if (dictionary)
		n = ZSTD_DCtx_refPrefix(zstd, dictionary->content, dictionary->len);
	if (!ZSTD_isError(n))
		n = ZSTD_decompressDCtx(zstd, content, len, stored, stored_len);
	if (ZSTD_isError(n) || n != len)
		goto out;
	/* Some contents are text. */
	content[len] = '\0';
	*ret = content;
	content = NULL;
	err = 0;
out:
	free(content);
	ZSTD_freeDCtx(zstd);
	return err;
}

int recording_next(struct recording_reader *r, struct recording_frame *ret)
{
	const uint8_t *header = r->data + r->at, *stored = header + FRAME_HEADER;
	size_t left = r->len - r->at, stored_len, len;
	struct recording_last *last;
	uint8_t *content;
	bool after;
	int err;

	if (left < FRAME_HEADER)
		return -ENOENT;
	stored_len = get32(header);
	len = get32(header + 4);
	if (stored_len > left - FRAME_HEADER || len > RECORDING_CONTENT_MAX ||
	    get32(header + 12) != frame_crc(header, stored, (uint32_t)stored_len))
		return -ENOENT;
	if (header[8] < RECORDING_ORIGIN || header[8] >= RECORDING_KINDS ||
	    header[9] > FLAG_AFTER_LAST || header[10] || header[11])
		return -ENOENT;
	last = &r->last[header[8]];
	after = header[9] & FLAG_AFTER_LAST;
	if (after && !last->content)
		return -ENOENT;
	err = inflate_frame(stored, stored_len, after ? last : NULL, &content, len);
	if (err)
		return err == -EBADMSG ? -ENOENT : err;
	free(last->content);
	last->content = content;
	last->len = len;
	r->at += FRAME_HEADER + stored_len;
	*ret = (struct recording_frame){ (enum recording_kind)header[8], content, len };
	return 0;
}

size_t recording_torn(const struct recording_reader *r)
{
	return r->len - r->at;
}

void recording_end(struct recording_reader *r)
{
	forget_last(r->last);
}
