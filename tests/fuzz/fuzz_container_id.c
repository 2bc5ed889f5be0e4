// SPDX-License-Identifier: GPL-2.0
#include <stdint.h>
#include <stdlib.h>

#include "kmod/container_id.h"

#define INNER "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define CHECK(condition)           \
	do {                       \
		if (!(condition))  \
			abort();   \
	} while (0)

static bool same(const struct container_id *a, const struct container_id *b)
{
	return a->runtime == b->runtime && a->id == b->id && a->id_len == b->id_len &&
	       a->prefix_len == b->prefix_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = (const char *)data;
	struct container_id c, again;
	char *longer;

	if (container_id_find(path, size, &c))
		return 0;

	CHECK(*container_id_runtime_name(c.runtime));
	CHECK(c.id_len > 0 && c.id + c.id_len <= c.prefix_len && c.prefix_len <= size);
	CHECK(c.runtime == CONTAINER_RUNTIME_LXC || c.id_len == CONTAINER_ID_HEX);
	CHECK(!memchr(path + c.id, '/', c.id_len));
	CHECK(c.prefix_len == size || path[c.prefix_len] == '/');

	/* The container's own group is in the container, and in no other. */
	CHECK(!container_id_find(path, c.prefix_len, &again) && same(&c, &again));

	/* Whatever is made inside changes nothing. */
	longer = malloc(size + sizeof(INNER));
	CHECK(longer);
	memcpy(longer, path, size);
	memcpy(longer + size, INNER, sizeof(INNER));
	CHECK(!container_id_find(longer, size + sizeof(INNER) - 1, &again));
	if (c.prefix_len < size || path[size - 1] != '/')
		CHECK(same(&c, &again));
	free(longer);
	return 0;
}
