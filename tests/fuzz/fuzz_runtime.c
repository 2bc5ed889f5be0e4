// SPDX-License-Identifier: GPL-2.0
/*
 * The runtime's list.  The first byte seeds the lengths of the pieces, the rest is the list,
 * which is read whole and in those pieces.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/runtime/label.h"
#include "userspace/runtime/list.h"

#define CHECK(ok)                \
	do {                     \
		if (!(ok))       \
			abort(); \
	} while (0)

#define CONTAINERS 3

struct outcome {
	int err;
	size_t unclear;
	struct model_container containers[CONTAINERS];	/* by id */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct log_endpoint endpoint = {
	.port = 8000,
	.addresses = { "127.0.0.1" },
	.count = 1,
};

static int feed(struct runtime_list *l, const char *text, size_t len, uint8_t seed)
{
	uint32_t state = seed;
	size_t at, n;
	int err = 0;

	for (at = 0; at < len && !err; at += n) {
		/* Numerical Recipes' generator. */
		state = state * 1664525 + 1013904223;
		n = seed ? 1 + (state >> 24) % (seed / 4 + 1) : len;
		if (n > len - at)
			n = len - at;
		err = runtime_list_feed(l, text + at, n);
	}
	return err;
}

/* @seed: 0: whole. */
static void read_list(const char *text, size_t len, uint8_t seed, struct outcome *o)
{
	struct model m = { .containers = o->containers, .container_count = CONTAINERS };
	struct runtime_list *l;
	int err;

	memset(o, 0, sizeof(*o));
	memset(o->containers[0].id, 'a', 64);
	memset(o->containers[1].id, 'b', 64);
	strcpy(o->containers[2].id, "name");
	CHECK(!runtime_list_new(&endpoint, &l));
	err = feed(l, text, len, seed);
	o->err = runtime_list_end(l);
	CHECK(!err || o->err == err);
	CHECK(!o->err || o->err == -EBADMSG);
	CHECK(!runtime_list_apply(l, &m) == !o->err);
	o->unclear = runtime_list_unclear(l);
	runtime_list_free(l);
}

static void check_container(const struct outcome *o, const struct model_runtime *r)
{
	const struct model_runtime nothing = { 0 };

	CHECK(r->known || !memcmp(r, &nothing, sizeof(nothing)));
	CHECK(!o->err || !r->known);
	CHECK(memchr(r->name, '\0', sizeof(r->name)) && memchr(r->image, '\0', sizeof(r->image)));
	/* Whole strings, so that they can be walked through. */
	CHECK(r->labels_len <= MODEL_LABELS_MAX && !r->labels_len == !r->labels);
	CHECK(!r->labels_len || !r->labels[r->labels_len - 1]);
}

static void check_same(const struct model_runtime *a, const struct model_runtime *b)
{
	struct model_runtime p = *a, q = *b;

	p.labels = q.labels = NULL;
	CHECK(!memcmp(&p, &q, sizeof(p)));
	CHECK(!a->labels_len || !memcmp(a->labels, b->labels, a->labels_len));
}

static bool has_protected_copy(const cJSON *entry)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, entry)
		if (!strcmp(item->string, "Labels") && cJSON_IsObject(item) &&
		    runtime_label_protects(item))
			return true;
	return false;
}

/*
 * \u0000, and what cJSON takes for it: \u without four hexadecimal digits.  Its strings end
 * there, so that its "name" may be the id of another container.
 */
static bool has_nul(const char *text, size_t len)
{
	const char *end = text + len, *at = text;

	while ((at = memmem(at, (size_t)(end - at), "\\u", 2))) {
		char digits[5] = "";

		at += 2;
		memcpy(digits, at, end - at < 4 ? (size_t)(end - at) : 4);
		if (strspn(digits, "0123456789abcdefABCDEF") != 4 || !strcmp(digits, "0000"))
			return true;
	}
	return false;
}

/*
 * cJSON parses it all: a container that one of the entries protects is not known as
 * unprotected.
 */
static void check_protection(const char *text, size_t len, const struct outcome *o)
{
	cJSON *list = has_nul(text, len) ? NULL : cJSON_ParseWithLength(text, len);
	const cJSON *entry;
	size_t i, count = 0;

	cJSON_ArrayForEach(entry, list) {
		const cJSON *key = cJSON_GetObjectItemCaseSensitive(entry, "Id");
		const char *id = cJSON_GetStringValue(key);

		count++;
		for (i = 0; id && cJSON_IsArray(list) && i < CONTAINERS; i++)
			if (!strcmp(id, o->containers[i].id) && has_protected_copy(entry))
				CHECK(!o->containers[i].runtime.known ||
				      o->containers[i].runtime.is_protected);
	}
	CHECK(o->err || !list || o->unclear <= count);
	cJSON_Delete(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, pieces;
	const char *text = (const char *)data + 1;
	size_t i;

	if (!size)
		return 0;
	read_list(text, size - 1, 0, &whole);
	read_list(text, size - 1, data[0] ? data[0] : 1, &pieces);
	CHECK(whole.err == pieces.err && (whole.err || whole.unclear == pieces.unclear));
	for (i = 0; i < CONTAINERS; i++) {
		check_container(&whole, &whole.containers[i].runtime);
		check_same(&whole.containers[i].runtime, &pieces.containers[i].runtime);
	}
	check_protection(text, size - 1, &whole);
	for (i = 0; i < CONTAINERS; i++) {
		free(whole.containers[i].runtime.labels);
		free(pieces.containers[i].runtime.labels);
	}
	return 0;
}
