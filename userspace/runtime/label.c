// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/label.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "userspace/runtime/list.h"

#define SPACE " \t\n\v\f\r"

static bool label_is_no(const char *value)
{
	static const char *const noes[] = { "false", "f", "no", "n", "off", "0" };
	size_t i, len;

	value += strspn(value, SPACE);
	len = strlen(value);
	while (len && strchr(SPACE, value[len - 1]))
		len--;
	for (i = 0; i < sizeof(noes) / sizeof(noes[0]); i++)
		if (len == strlen(noes[i]) && !strncasecmp(value, noes[i], len))
			return true;
	return false;
}

bool runtime_label_protects(const cJSON *labels)
{
	const cJSON *label;

	cJSON_ArrayForEach(label, labels)
		if (!strcmp(label->string, RUNTIME_LABEL_PROTECT) &&
		    !(cJSON_IsString(label) && label_is_no(label->valuestring)))
			return true;
	return false;
}
