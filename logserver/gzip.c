// SPDX-License-Identifier: GPL-2.0
#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "limits.h"

/* Gzip's header, as deflateInit2() is asked for it. */
#define GZIP_WRAPPER 16
#define INPUT_BYTES 8192

struct gzip {
	z_stream stream;
	ssize_t (*read)(void *context, char *buffer, size_t size);
	void *context;
	bool input_ended, ended;
	char input[INPUT_BYTES];
};

bool gzip_is_accepted(const char *header)
{
	while (header && *header) {
		size_t len = strcspn(header, ","), skip = strspn(header, " \t");
		const char *name = header + skip, *q = name + strcspn(name, "; \t,");
		bool is_gzip = (size_t)(q - name) == 4 && strncasecmp(name, "gzip", 4) == 0;

		/* "gzip;q=0" says no. */
		if (is_gzip) {
			q += strspn(q, "; \t");
			return strncasecmp(q, "q=", 2) != 0 || strtod(q + 2, NULL) > 0;
		}
		header += len + (header[len] == ',');
	}
	return false;
}

/* A small window: what one of these holds is what a client can make the server hold. */
static int start(z_stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	return deflateInit2(stream, Z_BEST_SPEED, Z_DEFLATED, LIMITS_GZIP_WINDOW_BITS + GZIP_WRAPPER,
			    LIMITS_GZIP_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : -ENOMEM;
}

int gzip_text(const char *text, size_t len, char **ret, size_t *ret_len)
{
	z_stream stream;
	size_t room;
	char *packed;
	int code;

	if (start(&stream))
		return -ENOMEM;
	room = deflateBound(&stream, len);
	packed = malloc(room);
	if (!packed) {
		deflateEnd(&stream);
		return -ENOMEM;
	}
	stream.next_in = (Bytef *)text;
	stream.avail_in = (uInt)len;
	stream.next_out = (Bytef *)packed;
	stream.avail_out = (uInt)room;
	code = deflate(&stream, Z_FINISH);
	*ret_len = room - stream.avail_out;
	deflateEnd(&stream);
	if (code != Z_STREAM_END) {
		free(packed);
		return -ENOMEM;
	}
	*ret = packed;
	return 0;
}

int gzip_open(ssize_t (*read)(void *context, char *buffer, size_t size), void *context,
	      struct gzip **ret)
{
	struct gzip *gzip = malloc(sizeof(*gzip));

	if (!gzip || start(&gzip->stream)) {
		free(gzip);
		return -ENOMEM;
	}
	gzip->read = read;
	gzip->context = context;
	gzip->input_ended = gzip->ended = false;
	*ret = gzip;
	return 0;
}

ssize_t gzip_read(struct gzip *gzip, char *buffer, size_t size)
{
	z_stream *stream = &gzip->stream;
	ssize_t got;

	stream->next_out = (Bytef *)buffer;
	stream->avail_out = (uInt)size;
	while (stream->avail_out && !gzip->ended) {
		if (!stream->avail_in && !gzip->input_ended) {
			got = gzip->read(gzip->context, gzip->input, sizeof(gzip->input));
			if (got < 0)
				return got;
			gzip->input_ended = got == 0;
			stream->next_in = (Bytef *)gzip->input;
			stream->avail_in = (uInt)got;
		}
		gzip->ended = deflate(stream, gzip->input_ended ? Z_FINISH : Z_NO_FLUSH) ==
			      Z_STREAM_END;
	}
	return (ssize_t)(size - stream->avail_out);
}

void gzip_close(struct gzip *gzip)
{
	deflateEnd(&gzip->stream);
	free(gzip);
}
