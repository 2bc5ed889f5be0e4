// SPDX-License-Identifier: GPL-2.0
/* Answers to GET /containers/ID/json. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/runtime/inspect.h"
#include "userspace/runtime/label.h"

#define CHECK(ok)                \
	do {                     \
		if (!(ok))       \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_strings(const struct runtime_inspect *r)
{
	static const char *const known[] = { "", "no", "always", "unless-stopped", "on-failure" };
	size_t i, found = 0;

	CHECK(memchr(r->id, '\0', sizeof(r->id)) && memchr(r->policy, '\0', sizeof(r->policy)));
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		found += !strcmp(r->policy, known[i]);
	CHECK(found == 1);
	CHECK(memchr(r->stop_signal, '\0', sizeof(r->stop_signal)) && *r->stop_signal);
	/* It is put into a URL. */
	CHECK(!strpbrk(r->stop_signal, "/?&#% \r\n\t\"\\"));
}

/* What was taken is one object, and its labels protect by the same rule. */
static void check_against_tree(const char *text, size_t len, const struct runtime_inspect *r)
{
	cJSON *o = cJSON_ParseWithLength(text, len);
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(o, "State");
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(o, "Config");
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(config, "Labels");

	CHECK(cJSON_IsObject(o));
	CHECK(r->protected_now == (cJSON_IsObject(labels) && runtime_label_protects(labels)));
	CHECK(r->running == !!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(state, "Running")));
	CHECK(!r->has_state || cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(state, "Running")));
	cJSON_Delete(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct runtime_inspect r, before;
	int err;

	memset(&r, 0x5a, sizeof(r));
	memcpy(&before, &r, sizeof(r));
	err = runtime_inspect_parse((const char *)data, size, &r);
	CHECK(!err || err == -EBADMSG);
	if (err) {
		CHECK(!memcmp(&r, &before, sizeof(r)));
		return 0;
	}
	check_strings(&r);
	check_against_tree((const char *)data, size, &r);
	return 0;
}
