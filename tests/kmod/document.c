// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "tap.h"

static const char *const document_keys[] = {
	"SchemaVersion", "Instance", "Sequence", "BootTimeUs", "CollectUs", "Kernel", "TotalRAM",
	"FreeRAM", "UsedRAM", "AvailableRAM", "BufferRAM", "CPUs", "CPU", "LoadAvg", "Processes",
	NULL
};

static const char *const cpu_keys[] = { "UserUs", "SystemUs", "IdleUs", "IOWaitUs", "StealUs",
					NULL };

static const char *const process_keys[] = {
	"PID", "PPID", "Name", "Cmdline", "ContainerID", "Runtime", "Cgroup", "CgroupID", "State",
	"Threads", "StartTimeUs", "Vsz", "Rss", "MemoryUsage", "CPUUsage", "UserTimeUs",
	"SystemTimeUs", "CPUTimeUs", NULL
};

static const char *const strings[] = { "Instance", "Kernel", "Name", "Cmdline", "ContainerID",
				       "Runtime", "Cgroup", "State", NULL };
static const char *const percents[] = { "MemoryUsage", "CPUUsage", NULL };

static bool is_one_of(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (!strcmp(key, *keys))
			return true;
	return false;
}

char *document_read_fd(int fd, size_t *ret_len)
{
	size_t size = 1 << 20, len = 0;
	char *text = malloc(size);
	ssize_t n;

	if (!text)
		tap_bail_out("malloc");
	while ((n = must(read(fd, text + len, size - len - 1))) > 0) {
		len += n;
		if (len == size - 1) {
			size *= 2;
			text = realloc(text, size);
			if (!text)
				tap_bail_out("realloc");
		}
	}
	text[len] = '\0';
	*ret_len = len;
	return text;
}

char *document_read(size_t *ret_len)
{
	int fd = must(open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC));
	char *text = document_read_fd(fd, ret_len);

	close(fd);
	return text;
}

/* What json-c lets pass in strict mode: raw control characters. */
static bool has_no_controls(const char *text, size_t len)
{
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = text[i];

		if (c == 0x7f || (c < 0x20 && (c != '\n' || in_string)))
			return false;
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
	}
	return !in_string;
}

static bool value_is_right(const char *key, struct json_object *value)
{
	if (is_one_of(key, strings))
		return json_object_is_type(value, json_type_string);
	if (is_one_of(key, percents))
		return json_object_is_type(value, json_type_double) &&
		       json_object_get_double(value) >= 0;
	if (!strcmp(key, "CPU"))
		return json_object_is_type(value, json_type_object);
	if (!strcmp(key, "LoadAvg"))
		return json_object_is_type(value, json_type_array) &&
		       json_object_array_length(value) == 3;
	if (!strcmp(key, "Processes"))
		return json_object_is_type(value, json_type_array);
	/* beyond 2^53 a reader with doubles loses the last digits */
	return json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
	       json_object_get_int64(value) < 1LL << 53;
}

static bool keys_are(struct json_object *object, const char *const *keys)
{
	struct json_object_iterator at, end;

	if (!json_object_is_type(object, json_type_object))
		return tap_expect(false, "not an object: %s", json_object_get_string(object));
	at = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; *keys && !json_object_iter_equal(&at, &end); keys++, json_object_iter_next(&at)) {
		const char *key = json_object_iter_peek_name(&at);

		if (!tap_expect(!strcmp(key, *keys), "%s where %s should be", key, *keys) ||
		    !tap_expect(value_is_right(key, json_object_iter_peek_value(&at)),
				"%s is %s", key,
				json_object_get_string(json_object_iter_peek_value(&at))))
			return false;
	}
	return tap_expect(!*keys && json_object_iter_equal(&at, &end), "too few or many keys");
}

/* An object with a key twice looks right to a parser: count what is written, too. */
static size_t count(const char *text, const char *needle)
{
	size_t n = 0;

	for (; (text = strstr(text, needle)); text++)
		n++;
	return n;
}

struct json_object *document_parse(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *document, *processes;
	bool right;

	if (!tokener)
		tap_bail_out("json_tokener_new");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	document = json_tokener_parse_ex(tokener, text, len);
	right = tap_expect(document, "not JSON: %s at byte %zu",
			   json_tokener_error_desc(json_tokener_get_error(tokener)),
			   json_tokener_get_parse_end(tokener)) &&
		tap_expect(json_tokener_get_parse_end(tokener) + 1 >= len && text[len - 1] == '\n',
			   "something follows the document") &&
		tap_expect(strlen(text) == len, "NUL in the document") &&
		tap_expect(has_no_controls(text, len), "raw control character") &&
		keys_are(document, document_keys) &&
		keys_are(json_object_object_get(document, "CPU"), cpu_keys);
	json_tokener_free(tokener);
	if (right) {
		processes = json_object_object_get(document, "Processes");
		for (size_t i = 0; i < json_object_array_length(processes) && right; i++)
			right = keys_are(json_object_array_get_idx(processes, i), process_keys);
		for (const char *const *key = process_keys; *key && right; key++) {
			char written[32];

			/* quotes are escaped in strings, so that this can only be a key */
			snprintf(written, sizeof(written), "\"%s\":", *key);
			right = tap_expect(count(text, written) ==
						   json_object_array_length(processes),
					   "%s more than once in a process", *key);
		}
	}
	if (!right) {
		json_object_put(document);
		return NULL;
	}
	return document;
}

struct json_object *document_take(void)
{
	size_t len;
	char *text = document_read(&len);
	struct json_object *document = document_parse(text, len);

	if (!document) {
		printf("# %.2000s\n", text);
		tap_bail_out("the snapshot is not what it should be");
	}
	free(text);
	return document;
}

struct json_object *document_process(struct json_object *document, pid_t pid)
{
	struct json_object *processes = json_object_object_get(document, "Processes");
	struct json_object *found = NULL;

	for (size_t i = 0; i < json_object_array_length(processes); i++) {
		struct json_object *process = json_object_array_get_idx(processes, i);

		if (document_number(process, "PID") != pid)
			continue;
		tap_expect(!found, "process %d is there twice", pid);
		found = process;
	}
	return found;
}

int64_t document_number(struct json_object *object, const char *key)
{
	return json_object_get_int64(json_object_object_get(object, key));
}

double document_percent(struct json_object *object, const char *key)
{
	return json_object_get_double(json_object_object_get(object, key));
}

const char *document_string(struct json_object *object, const char *key)
{
	return json_object_get_string(json_object_object_get(object, key));
}

bool document_string_is(struct json_object *object, const char *key, const char *bytes,
			size_t len)
{
	struct json_object *string = json_object_object_get(object, key);

	return json_object_get_string_len(string) == (int)len &&
	       !memcmp(json_object_get_string(string), bytes, len);
}

static bool is_character(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	uint32_t code;

	if (n == 1)
		return s[0] < 0x80;
	if ((s[0] & (unsigned char)~(0x7f >> n)) != lead[n])
		return false;
	code = s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return false;
		code = code << 6 | (s[i] & 0x3f);
	}
	return code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

/* Could these n bytes be made a character by adding some? The extremes tell. */
static bool may_begin_character(const unsigned char *s, size_t n)
{
	for (size_t whole = n + 1; whole <= 4; whole++) {
		for (unsigned int way = 0; way < 1u << (whole - n); way++) {
			unsigned char tried[4];

			memcpy(tried, s, n);
			for (size_t i = n; i < whole; i++)
				tried[i] = way >> (i - n) & 1 ? 0xbf : 0x80;
			if (is_character(tried, whole))
				return true;
		}
	}
	return false;
}

size_t document_repair(const char *bytes, size_t len, char *to)
{
	const unsigned char *s = (const unsigned char *)bytes;
	char *start = to;

	for (size_t at = 0, n; at < len; at += n) {
		for (n = 1; n <= 4 && at + n <= len; n++)
			if (is_character(s + at, n))
				break;
		if (n <= 4 && at + n <= len) {
			memcpy(to, s + at, n);
			to += n;
			continue;
		}
		for (n = 3; n > 1; n--)
			if (at + n <= len && may_begin_character(s + at, n))
				break;
		memcpy(to, "\xef\xbf\xbd", 3);
		to += 3;
	}
	return to - start;
}
