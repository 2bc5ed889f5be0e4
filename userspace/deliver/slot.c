// SPDX-License-Identifier: GPL-2.0
#include "userspace/deliver/slot.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define SLOT_NAME "sysinfo-intents 1"

/* Of the numbers too: a sequence with a flipped bit would put an old slot before the new one. */
static uint32_t slot_crc(uint64_t sequence, const char *text, size_t len)
{
	char numbers[64];
	int n = snprintf(numbers, sizeof(numbers), "%" PRIu64 " %zu\n", sequence, len);
	uLong crc = crc32_z(0, (const Bytef *)numbers, (z_size_t)n);

	return (uint32_t)crc32_z(crc, (const Bytef *)text, len);
}

static int slot_head(char *buf, uint64_t sequence, uint32_t crc, size_t len)
{
	return snprintf(buf, SLOT_HEAD_MAX, SLOT_NAME " %" PRIu64 " %08" PRIx32 " %zu\n", sequence,
			crc, len);
}

/*
 * The line is made once more from what was read, and compared. A slot without a next
 * sequence is none of ours.
 */
static int slot_parse_valid(const char *file, size_t len, struct slot *ret)
{
	char line[SLOT_HEAD_MAX], again[SLOT_HEAD_MAX];
	const char *end = memchr(file, '\n', len < sizeof(line) - 1 ? len : sizeof(line) - 1);
	size_t head, text_len;
	uint64_t sequence;
	uint32_t crc;

	if (!end)
		return 0;
	head = (size_t)(end - file) + 1;
	memcpy(line, file, head);
	line[head] = '\0';
	if (sscanf(line, SLOT_NAME " %" SCNu64 " %" SCNx32 " %zu", &sequence, &crc, &text_len) != 3)
		return 0;
	if ((size_t)slot_head(again, sequence, crc, text_len) != head || memcmp(again, line, head))
		return 0;
	if (sequence == UINT64_MAX || text_len > len - head ||
	    slot_crc(sequence, file + head, text_len) != crc)
		return 0;
	*ret = (struct slot){ SLOT_VALID, sequence, file + head, text_len };
	return 1;
}

static int slot_is_array(const char *file, size_t len)
{
	const char *end;
	cJSON *json = cJSON_ParseWithLengthOpts(file, len + 1, &end, 1);
	int yes = cJSON_IsArray(json) && end == file + len;

	cJSON_Delete(json);
	return yes;
}

void slot_parse(const char *file, size_t len, struct slot *ret)
{
	size_t newlines = strspn(file, "\n");

	*ret = (struct slot){ .state = SLOT_BROKEN };
	if (newlines == len)
		ret->state = SLOT_BLANK;
	else if (slot_parse_valid(file, len, ret))
		return;
	else if (*file == '[' && slot_is_array(file, len))
		*ret = (struct slot){ SLOT_PLAIN, 0, file, len };
}

void slot_format(uint64_t sequence, const char *text, size_t len, char *buf, size_t size)
{
	int head = slot_head(buf, sequence, slot_crc(sequence, text, len), len);

	memcpy(buf + head, text, len);
	memset(buf + head + len, '\n', size - (size_t)head - len);
}
