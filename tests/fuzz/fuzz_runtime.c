// SPDX-License-Identifier: GPL-2.0
/* Answers to GET /containers/json. Only a container that the snapshot has is filled in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/io/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_container containers[] = {
		{ .id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
		{ .id = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" },
		{ .id = "name" },
	};
	const struct model_runtime nothing = { 0 };
	const struct door door = { .port = 8000, .addresses = { "127.0.0.1" }, .count = 1 };
	struct model m = { .containers = containers, .container_count = 3 };
	char *text = malloc(size + 1);
	size_t i;
	int err;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	err = runtime_parse_list(text, size, &door, &m);
	for (i = 0; i < m.container_count; i++) {
		const struct model_runtime *r = &containers[i].runtime;

		if ((err || !r->known) && memcmp(r, &nothing, sizeof(nothing)))
			abort();
		if (strlen(r->name) >= sizeof(r->name) || strlen(r->image) >= sizeof(r->image))
			abort();
		/* Whole strings, so that they can be walked through. */
		if (r->labels_len > MODEL_LABELS_MAX || (r->labels_len && r->labels[r->labels_len - 1]))
			abort();
		free(r->labels);
	}
	free(text);
	return 0;
}
