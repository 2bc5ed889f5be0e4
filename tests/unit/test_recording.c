// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "userspace/io/file.h"
#include "userspace/io/recording.h"

static char folder[] = "/tmp/test_recording-XXXXXX";
static char path[64], old[70], reason[RECORDING_REASON_SIZE];

static struct recording *begin(uint64_t max)
{
	struct recording *r = NULL;

	if (recording_create(path, 3, max, &r, reason))
		fail_msg("%s", reason);
	return r;
}

/* Frames of 1000 bytes that differ in a few, and one of another kind now and then. */
static void fill(uint8_t *content, unsigned int i)
{
	unsigned int at;

	for (at = 0; at < 1000; at++)
		content[at] = (uint8_t)(at * at >> 3);
	memcpy(content + 500, &i, sizeof(i));
}

static void write_some(struct recording *r, unsigned int count)
{
	uint8_t content[1000];
	unsigned int i;

	for (i = 0; i < count; i++) {
		fill(content, i);
		assert_int_equal(recording_put(r, i % 5 ? RECORDING_LOOK : RECORDING_OUTCOME, content,
					       sizeof(content)), 0);
	}
}

/* How many are read, all of them right. */
static unsigned int read_some(const uint8_t *data, size_t len, size_t *ret_torn)
{
	struct recording_reader r;
	struct recording_frame f;
	uint8_t content[1000];
	unsigned int i = 0;

	assert_int_equal(recording_begin(&r, data, len, 3), 0);
	for (; !recording_next(&r, &f); i++) {
		fill(content, i);
		assert_int_equal(f.kind, i % 5 ? RECORDING_LOOK : RECORDING_OUTCOME);
		assert_int_equal(f.len, sizeof(content));
		assert_memory_equal(f.content, content, sizeof(content));
	}
	*ret_torn = recording_torn(&r);
	recording_end(&r);
	return i;
}

static uint8_t *slurp(const char *name, size_t *ret_len)
{
	char *text;

	assert_int_equal(file_read_all(AT_FDCWD, name, 1 << 24, &text, ret_len), 0);
	return (uint8_t *)text;
}

static void frames(void **state)
{
	struct recording *r = begin(1 << 20);
	size_t len, torn, at;
	unsigned int all = 0;
	uint8_t *data;

	(void)state;
	write_some(r, 100);
	recording_close(r);
	data = slurp(path, &len);
	/* One is much like the one before: two whole ones, and a few bytes for each other. */
	assert_true(len < 8000);
	assert_int_equal(read_some(data, len, &torn), 100);
	assert_int_equal(torn, 0);
	/* Cut anywhere, as by a crash: what was whole is there. */
	for (at = 16; at < len; at++) {
		unsigned int n = read_some(data, at, &torn);

		assert_true(n >= all && n < 100 && torn < len - 16);
		all = n;
	}
	assert_int_equal(all, 99);
	/* Any byte changed: nothing wrong is read. */
	for (at = 16; at < len; at++) {
		data[at] ^= 0x10;
		assert_true(read_some(data, len, &torn) < 100);
		assert_true(torn > 0);
		data[at] ^= 0x10;
	}
	free(data);
}

static void not_ours(void **state)
{
	static const uint8_t other[16] = "SYSINREC\4";
	struct recording_reader r;
	struct recording *rec;

	(void)state;
	assert_int_equal(recording_begin(&r, other, sizeof(other), 3), -EPROTO);
	assert_int_equal(recording_begin(&r, other, 15, 4), -EBADMSG);
	assert_int_equal(recording_begin(&r, (const uint8_t *)"GIF89a..........", 16, 3), -EBADMSG);

	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(recording_create(path, 3, 1, &rec, reason), -EEXIST);
	rmdir(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(recording_create(path, 3, 1, &rec, reason), -EEXIST);
	assert_non_null(strstr(reason, "no recording"));
	unlink(path);
	assert_int_equal(symlink("/nowhere/at/all", path), 0);
	assert_true(recording_create(path, 3, 1, &rec, reason) < 0);
	unlink(path);
}

static void begun_anew(void **state)
{
	struct recording *r = begin(1000), *other;
	size_t len, torn;
	uint8_t *data;

	(void)state;
	assert_false(recording_full(r));
	write_some(r, 20);
	assert_true(recording_full(r));
	/* Not while it is being written. */
	assert_int_equal(recording_create(path, 3, 1, &other, reason), -EEXIST);
	assert_non_null(strstr(reason, "another monitor"));
	recording_close(r);
	r = begin(1000);
	write_some(r, 3);
	recording_close(r);
	data = slurp(old, &len);
	assert_int_equal(read_some(data, len, &torn), 20);
	free(data);
	data = slurp(path, &len);
	assert_int_equal(read_some(data, len, &torn), 3);
	free(data);
	/* What a crash left at its very beginning is no one's. */
	assert_int_equal(truncate(path, 0), 0);
	recording_close(begin(1000));
	unlink(path);
	unlink(old);
}

static void too_long(void **state)
{
	struct recording *r = begin(1 << 20);
	uint8_t *much = calloc(1, RECORDING_CONTENT_MAX + 1), *data;
	struct recording_reader reader;
	struct recording_frame f;
	size_t len;

	(void)state;
	assert_int_equal(recording_put(r, RECORDING_LOOK, much, RECORDING_CONTENT_MAX + 1), -EMSGSIZE);
	assert_int_equal(recording_put(r, RECORDING_LOOK, much, RECORDING_CONTENT_MAX), 0);
	assert_int_equal(recording_put(r, RECORDING_LOOK, much, 0), 0);
	recording_close(r);
	data = slurp(path, &len);
	assert_int_equal(recording_begin(&reader, data, len, 3), 0);
	assert_int_equal(recording_next(&reader, &f), 0);
	assert_int_equal(f.len, RECORDING_CONTENT_MAX);
	assert_int_equal(recording_next(&reader, &f), 0);
	assert_int_equal(f.len, 0);
	assert_int_equal(recording_next(&reader, &f), -ENOENT);
	recording_end(&reader);
	free(much);
	free(data);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(not_ours),
		cmocka_unit_test(begun_anew),
		cmocka_unit_test(too_long),
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/r", folder);
	snprintf(old, sizeof(old), "%s.old", path);
	failed = RUN(tests);
	unlink(path);
	unlink(old);
	rmdir(folder);
	return failed;
}
