// SPDX-License-Identifier: GPL-2.0
/* Request bodies. What is accepted must be accepted again as a stored line, unchanged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "logserver/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(enum record_kind kind, const struct record_batch *batch)
{
	size_t start = 0;

	for (size_t i = 0; i < batch->count; i++) {
		char line[RECORD_LINE_BYTES];
		size_t len = batch->line_ends[i] - start, again;
		struct record_error error;
		struct record record;

		if (memchr(batch->lines + start, '\n', len) != batch->lines + start + len - 1)
			abort();
		if (record_read(kind, batch->lines + start, len - 1, 0, &record, line, &again,
				&error))
			abort();
		if (again != len || memcmp(line, batch->lines + start, len) != 0)
			abort();
		if (memcmp(&record, &batch->records[i], sizeof(record)) != 0)
			abort();
		start += len;
	}
	if (start != batch->lines_len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_batch batch;
	struct record_error error;

	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		if (record_read_body(kind, (const char *)data, size, 0, NULL, &batch, &error))
			continue;
		check_lines(kind, &batch);
		record_batch_free(&batch);
	}
	return 0;
}
