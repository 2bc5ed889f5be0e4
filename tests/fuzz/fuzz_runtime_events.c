// SPDX-License-Identifier: GPL-2.0
/* Answers to GET /events. Each container has one word, and its strings end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/io/runtime_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct death_word *words;
	size_t i, n, count;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (!runtime_parse_events(text, size, &words, &count)) {
		for (i = 0; i < count; i++) {
			if (!words[i].id[0] || strlen(words[i].id) >= sizeof(words[i].id) ||
			    words[i].status < 0 || words[i].status > 255 || words[i].signal < 0)
				abort();
			for (n = 0; n < i; n++)
				if (!strcmp(words[n].id, words[i].id))
					abort();
		}
		free(words);
	}
	free(text);
	return 0;
}
