// SPDX-License-Identifier: GPL-2.0
/* Request lines: "METHOD target". What is accepted stays within its limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "logserver/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_error error = { 0 };
	const char *allow = NULL;
	struct route route;
	char *line, *target;

	if (memchr(data, 0, size))
		return 0;
	line = malloc(size + 1);
	if (!line)
		return 0;
	memcpy(line, data, size);
	line[size] = 0;
	target = strchr(line, ' ');
	if (target) {
		*target++ = 0;
		if (route_find(line, target, 0, &route, &allow, &error) == 0) {
			if (route.id == ROUTE_NONE || route.kind >= RECORD_KINDS ||
			    route.query.limit > LIMITS_QUERY_RECORDS ||
			    strlen(route.query.filter.host) > LIMITS_HOST_BYTES)
				abort();
		}
	}
	free(line);
	return 0;
}
