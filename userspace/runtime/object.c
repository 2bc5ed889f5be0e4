// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/object.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* A backslash that follows an odd number of others is itself escaped. */
static bool object_has_nul(const char *text, size_t len)
{
	const char *end = text + len, *at = text, *p;

	if (memchr(text, '\0', len))
		return true;
	while ((at = memmem(at, (size_t)(end - at), "\\u0000", 6))) {
		for (p = at; p > text && p[-1] == '\\'; p--)
			;
		if ((at - p) % 2 == 0)
			return true;
		at++;
	}
	return false;
}

static bool object_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

cJSON *runtime_object_parse(const char *text, size_t len)
{
	const char *end = NULL;
	cJSON *o;

	while (len && object_is_space(text[len - 1]))
		len--;
	while (len && object_is_space(*text)) {
		text++;
		len--;
	}
	/*
	 * cJSON before 1.7.18 reads a byte too much of a text that ends in a comma
	 * (CVE-2023-53154).
	 */
	if (len < 2 || *text != '{' || text[len - 1] != '}' || object_has_nul(text, len))
		return NULL;
	o = cJSON_ParseWithLengthOpts(text, len, &end, false);
	if (o && end == text + len)
		return o;
	cJSON_Delete(o);
	return NULL;
}

int runtime_object_get(const cJSON *object, const char *key, int types, const cJSON **ret)
{
	const cJSON *item, *found = NULL;

	cJSON_ArrayForEach(item, object) {
		if (!item->string || strcmp(item->string, key))
			continue;
		if (found)
			return -EBADMSG;
		found = item;
	}
	if (found && !(found->type & (types | cJSON_NULL)))
		return -EBADMSG;
	*ret = cJSON_IsNull(found) ? NULL : found;
	return 0;
}
