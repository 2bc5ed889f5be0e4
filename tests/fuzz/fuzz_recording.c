// SPDX-License-Identifier: GPL-2.0
/*
 * A recording by anybody. The first byte says what the rest is: the file as it is; or the
 * contents of its frames, each a kind, two bytes of length and so many bytes, of which a
 * whole file is made, so that the checksums and the compression don't stand in the way.
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "userspace/core/look.h"
#include "userspace/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *words[] = { "monitor", "replay", "file", NULL };

static void put32(uint8_t *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
}

/* The caller frees it. */
static uint8_t *make_file(const uint8_t *data, size_t size, size_t *ret_len)
{
	/* Three bytes become a frame of 16 and an empty content of nine. */
	uint8_t *file = calloc(1, 1024 + size * 32 + ZSTD_compressBound(size)), *at = file + 16;

	if (!file)
		abort();
	memcpy(file, "SYSINREC", 8);
	put32(file + 8, LOOK_VERSION);
	while (size >= 3) {
		size_t len = data[1] | (size_t)data[2] << 8, stored;
		uint8_t kind = data[0];

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		stored = ZSTD_compress(at + 16, ZSTD_compressBound(len), data, len, 1);
		if (ZSTD_isError(stored))
			abort();
		put32(at, (uint32_t)stored);
		put32(at + 4, (uint32_t)len);
		at[8] = kind;
		memset(at + 9, 0, 3);
		put32(at + 12, (uint32_t)crc32(crc32(0, at, 12), at + 16, (uInt)stored));
		at += 16 + stored;
		data += len;
		size -= len;
	}
	*ret_len = (size_t)(at - file);
	return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[REPLAY_REASON_SIZE];
	static struct config config;
	static FILE *nowhere;
	uint8_t *file = NULL;
	size_t len;
	int err;

	if (!size)
		return 0;
	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	config = (struct config){
		.command = data[0] & 2 ? CONFIG_EXPLAIN : CONFIG_REPLAY, .json = data[0] & 4,
		.argc = 3, .argv = words,
	};
	config.policy.measure.window = 1;
	config.policy.brake = (struct brake_policy){ 100, 100, 100 };
	if (data[0] & 1)
		file = make_file(data + 1, size - 1, &len);
	err = replay_run(&config, file ? file : data + 1, file ? len : size - 1, nowhere, reason);
	if (err && !*reason)
		abort();
	free(file);
	return 0;
}
