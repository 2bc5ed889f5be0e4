/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HOST_JSON_H
#define HOST_JSON_H

#include <cjson/cJSON.h>

/* The text under a key; "": there is none. */
static inline const char *json_text(const cJSON *object, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return s ? s : "";
}

#endif
