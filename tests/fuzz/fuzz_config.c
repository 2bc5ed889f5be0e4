// SPDX-License-Identifier: GPL-2.0
/* A configuration file's text. What is taken can be written down, and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)           \
	do {                       \
		if (!(condition))  \
			abort();   \
	} while (0)

static char *words[] = { "monitor", NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config c, again;
	char reason[CONFIG_REASON_SIZE] = "", *text = malloc(size + 1), *policy;

	CHECK(text);
	memcpy(text, data, size);
	text[size] = '\0';
	memset(&c, 0, sizeof(c));
	c.policy.measure.window = 1;
	memset(&again, 0, sizeof(again));
	again.argc = 1;
	again.argv = words;
	if (!config_read_text(&c, "file", text, size, reason)) {
		CHECK(!strncmp(reason, "file:", 5) && strlen(reason) < sizeof(reason));
	} else {
		policy = config_policy_text(&c);
		CHECK(policy);
		CHECK(config_read_policy(&again, policy, strlen(policy), reason));
		CHECK(!memcmp(&c.policy.classify, &again.policy.classify, sizeof(c.policy.classify)));
		CHECK(c.policy.decide.scope.count == again.policy.decide.scope.count);
		CHECK(c.policy.decide.protect.count == again.policy.decide.protect.count);
		free(policy);
	}
	free(text);
	return 0;
}
