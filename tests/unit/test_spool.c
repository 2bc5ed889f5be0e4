// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/deliver/slot.h"
#include "userspace/deliver/spool_disk.h"

#define SLOT_SIZE 65536

/* Each test works in a folder of its own, which is its working directory. */
static char folder[64];
static sd_event *event;

static int enter(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test-spool-XXXXXX");
	return mkdtemp(folder) && !chdir(folder) && sd_event_new(&event) >= 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	(void)state;
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command) ? -1 : 0;
}

/* --- calls that are waited for --------------------------------------------------------- */

struct got {
	int calls, err;
	bool armed;
	int intents_err;
	char why[512], lock_path[PATH_MAX];
	char *text; /* the intents, or a body */
	size_t len;
	struct spool_batch *batches;
	size_t batch_count, refused_count;
	struct spool_batch batch;
};

static struct got got;

static void forget_got(void)
{
	free(got.text);
	free(got.batches);
	got = (struct got){ .err = 1 };
}

static void on_started(void *ctx, int err, const struct spool_start *start)
{
	assert_ptr_equal(ctx, &got);
	got.calls++;
	got.err = err;
	assert_int_equal(!start, err != 0);
	if (err)
		return;
	got.armed = start->armed;
	got.intents_err = start->intents_err;
	strcpy(got.why, start->why);
	strcpy(got.lock_path, start->lock_path);
	if (!start->intents_err) {
		assert_int_equal(start->intents[start->intents_len], '\0');
		got.text = strdup(start->intents);
		got.len = start->intents_len;
	}
	got.batch_count = start->batch_count;
	got.batches = calloc(start->batch_count + 1, sizeof(*got.batches));
	memcpy(got.batches, start->batches, start->batch_count * sizeof(*got.batches));
	got.refused_count = start->refused_count;
}

static void on_done(void *ctx, int err)
{
	assert_ptr_equal(ctx, &got);
	got.calls++;
	got.err = err;
}

static void on_read(void *ctx, int err, const char *body, size_t len)
{
	assert_ptr_equal(ctx, &got);
	got.calls++;
	got.err = err;
	got.text = err ? NULL : strdup(body);
	got.len = len;
	if (!err)
		assert_int_equal(body[len], '\0');
}

static void on_put(void *ctx, int err, const struct spool_batch *batch)
{
	assert_ptr_equal(ctx, &got);
	got.calls++;
	got.err = err;
	assert_int_equal(!batch, err != 0);
	if (!err)
		got.batch = *batch;
}

static int wait_for_call(void)
{
	while (!got.calls)
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	return got.err;
}

static int start(const char *dir, struct spool **ret)
{
	forget_got();
	assert_int_equal(spool_open(event, dir, on_started, &got, ret), 0);
	assert_int_equal(got.calls, 0);
	return wait_for_call();
}

static struct spool *open_spool(void)
{
	struct spool *s = NULL;

	assert_int_equal(start("spool", &s), 0);
	return s;
}

/* Waits for the end of the disk process, which holds the lock. */
static void close_spool(struct spool *s)
{
	int fd = open("spool/lock", O_RDWR);

	spool_close(s);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	close(fd);
}

static int put(struct spool *s, enum spool_kind kind, const char *body)
{
	forget_got();
	assert_int_equal(spool_put(s, kind, body, on_put, &got), 0);
	return wait_for_call();
}

static int read_batch(struct spool *s, uint64_t number, enum spool_kind kind)
{
	const struct spool_batch b = { number, kind };

	forget_got();
	assert_int_equal(spool_read(s, &b, on_read, &got), 0);
	return wait_for_call();
}

typedef int batch_fn(struct spool *s, const struct spool_batch *batch, spool_done_fn *done,
		     void *ctx);

static int with_batch(struct spool *s, batch_fn *fn, uint64_t number, enum spool_kind kind)
{
	const struct spool_batch b = { number, kind };

	forget_got();
	assert_int_equal(fn(s, &b, on_done, &got), 0);
	return wait_for_call();
}

static int save(struct spool *s, const char *text, size_t room)
{
	forget_got();
	assert_int_equal(spool_save_intents(s, text, room, on_done, &got), 0);
	return wait_for_call();
}

static int mark(struct spool *s, bool armed, const char *why)
{
	forget_got();
	assert_int_equal(spool_mark(s, armed, why, on_done, &got), 0);
	return wait_for_call();
}

/* --- files ----------------------------------------------------------------------------- */

static void write_bytes(const char *name, const char *bytes, size_t len)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static size_t read_bytes(const char *name, char *buf, size_t size)
{
	FILE *f = fopen(name, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, size, f);
	fclose(f);
	return n;
}

static bool there(const char *name)
{
	return !access(name, F_OK);
}

static off_t size_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return st.st_size;
}

/* --- batches --------------------------------------------------------------------------- */

static void new_spool(void **state)
{
	static const char *const files[] = { "spool/lock", "spool/armed", "spool/version",
					     "spool/intent.json", "spool/intent.2.json" };
	struct spool *s = open_spool();
	struct stat st;
	size_t i;

	(void)state;
	assert_true(got.armed);
	assert_string_equal(got.why, "");
	assert_int_equal(got.intents_err, -ENOENT);
	assert_int_equal(got.batch_count, 0);
	assert_int_equal(got.refused_count, 0);
	assert_int_equal(*got.lock_path, '/');
	assert_string_equal(got.lock_path + strlen(got.lock_path) - 11, "/spool/lock");
	assert_int_equal(stat("spool", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (i = 0; i < COUNT(files); i++) {
		assert_int_equal(stat(files[i], &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(st.st_size, i < 2 ? 0 : i < 3 ? 2 : SLOT_SIZE);
		/* No hole: a full disk takes none of it. */
		if (i >= 3)
			assert_true(st.st_blocks * 512 >= SLOT_SIZE);
	}
	close_spool(s);
	close_spool(open_spool());
	assert_int_equal(got.intents_err, -ENOENT);
}

static void batches(void **state)
{
	struct spool *s = open_spool();
	char body[16];
	int i;

	(void)state;
	for (i = 1; i <= 12; i++) {
		snprintf(body, sizeof(body), "[%d]", i);
		assert_int_equal(put(s, i % 3 ? SPOOL_MEMORY : SPOOL_KILLS, body), 0);
		assert_int_equal(got.batch.number, i);
		assert_int_equal(got.batch.kind, i % 3 ? SPOOL_MEMORY : SPOOL_KILLS);
	}
	assert_true(there("spool/00000000000000000012-logs.json"));
	assert_true(there("spool/00000000000000000011-logsmemory.json"));
	for (i = 1; i <= 4; i++)
		assert_int_equal(with_batch(s, spool_remove, (uint64_t)i,
					    i % 3 ? SPOOL_MEMORY : SPOOL_KILLS),
				 0);
	assert_int_equal(with_batch(s, spool_remove, 4, SPOOL_MEMORY), -ENOENT);
	close_spool(s);
	s = open_spool();
	assert_int_equal(got.batch_count, 8);
	for (i = 0; i < 8; i++) {
		assert_int_equal(got.batches[i].number, i + 5);
		assert_int_equal(got.batches[i].kind, (i + 5) % 3 ? SPOOL_MEMORY : SPOOL_KILLS);
	}
	for (i = 5; i <= 12; i++) {
		assert_int_equal(read_batch(s, (uint64_t)i, i % 3 ? SPOOL_MEMORY : SPOOL_KILLS), 0);
		snprintf(body, sizeof(body), "[%d]", i);
		assert_string_equal(got.text, body);
		assert_int_equal(got.len, strlen(body));
	}
	assert_int_equal(read_batch(s, 5, SPOOL_KILLS), -ENOENT);
	assert_int_equal(put(s, SPOOL_KILLS, "[]"), 0);
	assert_int_equal(got.batch.number, 13);
	close_spool(s);
}

static void refused(void **state)
{
	struct spool *s = open_spool();
	int i;

	(void)state;
	for (i = 1; i <= 3; i++)
		assert_int_equal(put(s, SPOOL_KILLS, "[1]"), 0);
	assert_int_equal(with_batch(s, spool_refuse, 3, SPOOL_KILLS), 0);
	assert_int_equal(with_batch(s, spool_refuse, 3, SPOOL_KILLS), -ENOENT);
	assert_true(there("spool/refused-00000000000000000003-logs.json"));
	close_spool(s);
	s = open_spool();
	assert_int_equal(got.batch_count, 2);
	assert_int_equal(got.refused_count, 1);
	assert_int_equal(put(s, SPOOL_KILLS, "[1]"), 0);
	assert_int_equal(got.batch.number, 4);
	close_spool(s);
}

/* What a killed monitor left half written goes; what is not ours stays. */
static void half_written(void **state)
{
	static const char *const ours[] = { "spool/00000000000000000003-logs.json.new",
					    "spool/intent.json.new", "spool/disarmed.new" };
	size_t i;

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	for (i = 0; i < COUNT(ours); i++)
		write_file(ours[i], "[{");
	write_file("spool/mine.new", "x");
	write_file("spool/.new", "x");
	close_spool(open_spool());
	for (i = 0; i < COUNT(ours); i++)
		assert_false(there(ours[i]));
	assert_true(there("spool/mine.new"));
	assert_true(there("spool/.new"));
}

/* What else may lie in the folder is neither sent nor counted nor overwritten. */
static void strangers(void **state)
{
	static const char *const names[] = {
		"spool/1-logs.json",
		"spool/00000000000000000001-other.json",
		"spool/-0000000000000000001-logs.json",
		"spool/+0000000000000000001-logs.json",
		"spool/99999999999999999999-logs.json",
		"spool/18446744073709551615-logs.json",
		"spool/00000000000000000001-logs.jso",
		"spool/00000000000000000001-logs.jsonx",
		"spool/.00000000000000000001-logs.json",
		"spool/refused-1-logs.json",
		"spool/refused-refused-00000000000000000007-logs.json",
		"spool/broken-7-intent.json",
		"spool/broken-18446744073709551615-intent.json",
	};
	struct spool *s;
	size_t i;

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	for (i = 0; i < COUNT(names); i++)
		write_file(names[i], "[0]");
	s = open_spool();
	assert_int_equal(got.batch_count, 0);
	assert_int_equal(got.refused_count, 0);
	assert_int_equal(put(s, SPOOL_KILLS, "[1]"), 0);
	assert_int_equal(got.batch.number, 1);
	for (i = 0; i < COUNT(names); i++)
		assert_int_equal(size_of(names[i]), 3);
	close_spool(s);
}

/* There is no number after the last. */
static void last_number(void **state)
{
	struct spool *s;

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	write_file("spool/18446744073709551613-logs.json", "[0]");
	s = open_spool();
	assert_int_equal(got.batch_count, 1);
	assert_int_equal(put(s, SPOOL_KILLS, "[1]"), 0);
	assert_int_equal(put(s, SPOOL_KILLS, "[1]"), -EOVERFLOW);
	assert_int_equal(put(s, SPOOL_KILLS, "[1]"), -EOVERFLOW);
	assert_int_equal(size_of("spool/18446744073709551613-logs.json"), 3);
	close_spool(s);
}

/* What has a batch's name and is none can't be read, and holds nobody up. */
static void unreadable(void **state)
{
	struct spool *s;

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	assert_int_equal(mkdir("spool/00000000000000000001-logs.json", 0700), 0);
	assert_int_equal(symlink("/etc/passwd", "spool/00000000000000000002-logs.json"), 0);
	assert_int_equal(mkfifo("spool/00000000000000000003-logs.json", 0600), 0);
	assert_int_equal(symlink("nowhere", "spool/00000000000000000004-logs.json"), 0);
	write_file("spool/00000000000000000005-logs.json", "");
	assert_int_equal(truncate("spool/00000000000000000005-logs.json", (64 << 20) + 1), 0);
	s = open_spool();
	assert_int_equal(got.batch_count, 5);
	assert_int_equal(read_batch(s, 1, SPOOL_KILLS), -EISDIR);
	assert_int_equal(read_batch(s, 2, SPOOL_KILLS), -ELOOP);
	assert_int_equal(read_batch(s, 3, SPOOL_KILLS), -EBADFD);
	assert_int_equal(read_batch(s, 4, SPOOL_KILLS), -ELOOP);
	assert_int_equal(read_batch(s, 5, SPOOL_KILLS), -EFBIG);
	assert_int_equal(read_batch(s, 6, SPOOL_KILLS), -ENOENT);
	assert_int_equal(with_batch(s, spool_remove, 1, SPOOL_KILLS), -EISDIR);
	close_spool(s);
}

/* --- intents --------------------------------------------------------------------------- */

static void assert_intents(const char *text)
{
	struct spool *s = open_spool();

	assert_int_equal(got.intents_err, 0);
	assert_string_equal(got.text, text);
	assert_int_equal(got.len, strlen(text));
	close_spool(s);
}

static void intents(void **state)
{
	static const char *const texts[] = { "[\"one\"]", "[]", "[1,\n\n2]", "[\"three\", {}]" };
	struct spool *s;
	size_t i;

	(void)state;
	for (i = 0; i < 20; i++) {
		s = open_spool();
		assert_int_equal(save(s, "[0]", 0), 0);
		assert_int_equal(save(s, texts[i % COUNT(texts)], i * 100), 0);
		assert_int_equal(put(s, SPOOL_KILLS, "[]"), 0);
		if (i % 3)
			assert_int_equal(save(s, texts[i % COUNT(texts)], 0), 0);
		close_spool(s);
		assert_intents(texts[i % COUNT(texts)]);
	}
	assert_int_equal(size_of("spool/intent.json"), SLOT_SIZE);
	assert_int_equal(size_of("spool/intent.2.json"), SLOT_SIZE);
}

/* Also what is longer than the room at the start; a slot never shrinks. */
static void growing(void **state)
{
	struct spool *s = open_spool();
	char *text = malloc(300001);

	(void)state;
	memset(text, ' ', 300000);
	text[0] = '[';
	text[299999] = ']';
	text[300000] = '\0';
	assert_int_equal(save(s, text, 0), 0);
	close_spool(s);
	assert_intents(text);
	s = open_spool();
	assert_int_equal(save(s, "[1]", 400000), 0);
	assert_int_equal(size_of("spool/intent.json"), 400000 + SLOT_HEAD_MAX);
	assert_int_equal(size_of("spool/intent.2.json"), 400000 + SLOT_HEAD_MAX);
	assert_int_equal(save(s, "[2]", 10), 0);
	assert_int_equal(save(s, "[3]", SIZE_MAX), -EFBIG);
	assert_int_equal(size_of("spool/intent.json"), 400000 + SLOT_HEAD_MAX);
	close_spool(s);
	assert_intents("[2]");
	free(text);
}

/* An earlier version's file is taken over, and stays until something newer is on disk. */
static void plain_array(void **state)
{
	struct spool *s;
	char text[8];

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	write_file("spool/intent.json", "[{\"a\":1}]\n");
	s = open_spool();
	assert_int_equal(got.intents_err, 0);
	assert_memory_equal(got.text, "[{\"a\":1}]\n", 10);
	assert_int_equal(save(s, "[2]", 0), 0);
	assert_int_equal(read_bytes("spool/intent.json", text, 5), 5);
	assert_memory_equal(text, "[{\"a\"", 5);
	close_spool(s);
	assert_intents("[2]");
	s = open_spool();
	assert_int_equal(save(s, "[3]", 0), 0);
	close_spool(s);
	assert_intents("[3]");
}

static void broken(void **state)
{
	static const char *const contents[] = { "x",
						"\n\n[]",
						"{}",
						"[",
						"[1] x",
						"[1",
						"\nx",
						"sysinfo",
						"sysinfo-intents 1 1 00000000 0\n",
						"sysinfo-intents 2 1 00000000 0\n",
						"sysinfo-intents 1 -1 00000000 0\n",
						"sysinfo-intents 1 1 zzzzzzzz 2\n[]" };
	struct spool *s;
	char name[64];
	size_t i;

	(void)state;
	assert_int_equal(mkdir("spool", 0700), 0);
	for (i = 0; i < COUNT(contents); i++) {
		write_file(i % 2 ? "spool/intent.2.json" : "spool/intent.json", contents[i]);
		s = open_spool();
		assert_int_equal(got.intents_err, -EBADMSG);
		close_spool(s);
		snprintf(name, sizeof(name), "spool/broken-%020zu-intent.json", i + 1);
		assert_int_equal(size_of(name), strlen(contents[i]));
		s = open_spool();
		assert_int_equal(got.intents_err, -ENOENT);
		close_spool(s);
	}
	write_file("spool/intent.json", "a");
	write_bytes("spool/intent.2.json", "\0\0\0\0", 4);
	s = open_spool();
	assert_int_equal(got.intents_err, -EBADMSG);
	assert_int_equal(put(s, SPOOL_KILLS, "[1]"), 0);
	assert_int_equal(got.batch.number, COUNT(contents) + 3);
	assert_int_equal(save(s, "[4]", 0), 0);
	close_spool(s);
	assert_intents("[4]");
}

/* A slot that can't be read at all is told, unless the other one holds. */
static void slot_of_another_kind(void **state)
{
	struct spool *s = open_spool();

	(void)state;
	assert_int_equal(save(s, "[1]", 0), 0);
	close_spool(s);
	assert_int_equal(unlink("spool/intent.2.json"), 0);
	assert_int_equal(symlink("/etc/passwd", "spool/intent.2.json"), 0);
	s = open_spool();
	assert_int_equal(got.intents_err, 0);
	assert_string_equal(got.text, "[1]");
	assert_int_equal(save(s, "[2]", 0), -ELOOP);
	close_spool(s);
	assert_int_equal(unlink("spool/intent.json"), 0);
	s = open_spool();
	assert_int_equal(got.intents_err, -ELOOP);
	close_spool(s);
}

/* Started in this process, without a fork: many times. */
static void assert_holds(const char *text, const char *or_text, size_t at)
{
	const struct spool_start_answer *head;
	const char *intents;
	struct spool_question q = { .room = 0 };
	struct disk_answer a = { 0 };
	struct spool_disk there;
	size_t len;

	spool_disk_init(&there, "spool");
	spool_disk_handle(&there, SPOOL_OP_START, (const char *)&q, sizeof(q), &a);
	assert_int_equal(a.err, 0);
	head = (const struct spool_start_answer *)a.data;
	assert_int_equal(head->intents_err, 0);
	intents = a.data + sizeof(*head);
	len = head->intents_len;
	if ((len != strlen(text) || memcmp(intents, text, len)) &&
	    (!or_text || len != strlen(or_text) || memcmp(intents, or_text, len)))
		fail_msg("at %zu: %.*s", at, (int)len, intents);
	free(a.data);
	close(there.lock);
	close(there.dir);
}

/*
 * Whatever a crash or a disk does to the slot that is written: the other one holds. What
 * follows the text is no part of it, so a change there changes nothing.
 */
static void torn(void **state)
{
	const char *old = "[{\"id\":\"old\"}]", *new = "[{\"id\":\"new\"}, 22]";
	static char slot[SLOT_SIZE], changed[SLOT_SIZE];
	struct spool *s = open_spool();
	size_t i, content;
	int bit;

	(void)state;
	assert_int_equal(save(s, "[]", 0), 0);
	assert_int_equal(save(s, old, 0), 0);
	assert_int_equal(save(s, new, 0), 0);
	close_spool(s);
	assert_int_equal(read_bytes("spool/intent.json", slot, sizeof(slot)), SLOT_SIZE);
	content = (size_t)(strstr(slot, new) - slot) + strlen(new);
	for (i = 0; i <= content + 2; i++) {
		write_bytes("spool/intent.json", slot, i);
		assert_holds(i < content ? old : new, NULL, i);
	}
	for (i = 0; i < content + 2; i++) {
		for (bit = 1; bit < 256; bit = bit < 128 ? bit * 2 : 256) {
			memcpy(changed, slot, sizeof(slot));
			changed[i] = (char)(changed[i] ^ bit);
			write_bytes("spool/intent.json", changed, 512);
			assert_holds(i < content ? old : new, NULL, i);
		}
	}
	/* Pages that reached the disk or did not: the file's beginning and the rest. */
	for (i = 1; i < content; i++) {
		memset(changed, '\n', sizeof(changed));
		memcpy(changed + i, slot + i, content - i);
		write_bytes("spool/intent.json", changed, 512);
		assert_holds(old, NULL, i);
	}
}

/* Each byte in each of its 256 values. */
static void slot_bytes(void **state)
{
	char file[256], text[] = "[\"an intent\", {\"b\": [1, 2]}]";
	struct slot slot;
	size_t i, content;
	int value;

	(void)state;
	slot_format(1234567, text, strlen(text), file, sizeof(file) - 1);
	file[sizeof(file) - 1] = '\0';
	slot_parse(file, sizeof(file) - 1, &slot);
	assert_int_equal(slot.state, SLOT_VALID);
	assert_int_equal(slot.sequence, 1234567);
	assert_int_equal(slot.len, strlen(text));
	assert_memory_equal(slot.text, text, slot.len);
	content = (size_t)(slot.text - file) + slot.len;
	for (i = 0; i < content; i++) {
		for (value = 0; value < 256; value++) {
			char before = file[i];

			file[i] = (char)value;
			slot_parse(file, sizeof(file) - 1, &slot);
			assert_int_equal(slot.state, file[i] == before ? SLOT_VALID : SLOT_BROKEN);
			file[i] = before;
		}
	}
	slot_format(UINT64_MAX, text, strlen(text), file, sizeof(file) - 1);
	slot_parse(file, sizeof(file) - 1, &slot);
	assert_int_equal(slot.state, SLOT_BROKEN);
}

/* --- the mark -------------------------------------------------------------------------- */

static void assert_mark(bool armed, const char *why)
{
	struct spool *s = open_spool();

	assert_int_equal(got.armed, armed);
	assert_string_equal(got.why, why);
	close_spool(s);
}

static void marks(void **state)
{
	struct spool *s = open_spool();

	(void)state;
	assert_int_equal(mark(s, true, NULL), 0);
	assert_int_equal(mark(s, false, "for a reason"), 0);
	assert_false(there("spool/armed"));
	close_spool(s);
	assert_mark(false, "for a reason");
	s = open_spool();
	assert_int_equal(mark(s, false, "for another\nand more"), 0);
	close_spool(s);
	assert_mark(false, "for another");
	s = open_spool();
	assert_int_equal(mark(s, true, NULL), 0);
	assert_int_equal(size_of("spool/armed"), 0);
	assert_false(there("spool/disarmed"));
	close_spool(s);
	assert_mark(true, "");
}

/* Which files are there, and what follows; again by the start after that. */
static void mark_files(void **state)
{
	static const struct {
		const char *armed, *disarmed, *version;
		bool is_armed;
		const char *why;
	} cases[] = {
		/* An earlier version's spool. */
		{ NULL, NULL, NULL, true, "" },
		{ NULL, "by hand", NULL, false, "by hand" },
		{ "", NULL, NULL, true, "" },
		{ "", "by hand", NULL, false, "by hand" },
		{ NULL, NULL, "2\n", false, "" },
		{ NULL, NULL, "", false, "" },
		{ NULL, "by hand", "2\n", false, "by hand" },
		{ "", NULL, "2\n", true, "" },
		{ "x", NULL, "2\n", true, "" },
		{ "", "", "2\n", false, "" },
		{ "", "\x1b[31mred\n", "2\n", false, "?[31mred" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(mkdir("spool", 0700), 0);
		write_file("spool/lock", "");
		if (cases[i].armed)
			write_file("spool/armed", cases[i].armed);
		if (cases[i].disarmed)
			write_file("spool/disarmed", cases[i].disarmed);
		if (cases[i].version)
			write_file("spool/version", cases[i].version);
		assert_mark(cases[i].is_armed, cases[i].why);
		assert_mark(cases[i].is_armed, cases[i].why);
		assert_true(there("spool/version"));
		assert_int_equal(system("rm -r spool"), 0);
	}
}

/* A mark that can't be read disarms. */
static void mark_unreadable(void **state)
{
	struct spool *s;

	(void)state;
	close_spool(open_spool());
	assert_int_equal(unlink("spool/armed"), 0);
	assert_int_equal(symlink("version", "spool/armed"), 0);
	s = open_spool();
	assert_false(got.armed);
	assert_non_null(strstr(got.why, "can't be read"));
	close_spool(s);
	assert_int_equal(unlink("spool/armed"), 0);
	assert_int_equal(mkdir("spool/armed", 0700), 0);
	s = open_spool();
	assert_false(got.armed);
	assert_int_equal(mark(s, true, NULL), -EISDIR);
	/* Its reason alone disarms. */
	assert_int_equal(mark(s, false, "so"), 0);
	close_spool(s);
	assert_mark(false, "so");
	assert_int_equal(unlink("spool/disarmed"), 0);
	assert_int_equal(mkdir("spool/disarmed", 0700), 0);
	s = open_spool();
	assert_false(got.armed);
	close_spool(s);
}

/* --- a full disk ----------------------------------------------------------------------- */

static bool mount_disk(const char *options)
{
	return !geteuid() && !mkdir("disk", 0700) && !unshare(CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("test", "disk", "tmpfs", 0, options) && !chdir("disk");
}

static void unmount_disk(void)
{
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(umount2("disk", MNT_DETACH), 0);
}

static void fill_disk(void)
{
	static const char block[4096];
	int fd = open("fill", O_CREAT | O_WRONLY | O_APPEND, 0600);

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* What was reserved serves, what was not is told, and what was there stays. */
static void full_disk(void **state)
{
	struct spool *s;
	char *text;
	int i;

	(void)state;
	if (!mount_disk("size=1m"))
		skip();
	s = open_spool();
	assert_int_equal(save(s, "[1]", 100000), 0);
	fill_disk();
	text = malloc(100001);
	memset(text, ' ', 100000);
	text[100000] = '\0';
	for (i = 0; i < 6; i++) {
		memcpy(text, "[", 1);
		text[99999 - i] = ']';
		assert_int_equal(save(s, text, 100000), 0);
		assert_int_equal(save(s, text, 300000), -ENOSPC);
		assert_int_equal(put(s, SPOOL_KILLS, "[123456789]"), -ENOSPC);
	}
	close_spool(s);
	assert_intents(text);
	assert_false(there("spool/00000000000000000001-logs.json"));
	assert_false(there("spool/00000000000000000001-logs.json.new"));
	s = open_spool();
	assert_int_equal(mark(s, false, "no room for this"), 0);
	assert_false(there("spool/disarmed.new"));
	close_spool(s);
	assert_mark(false, "");
	s = open_spool();
	assert_int_equal(mark(s, true, NULL), 0);
	close_spool(s);
	assert_mark(true, "");
	assert_int_equal(unlink("fill"), 0);
	s = open_spool();
	assert_int_equal(put(s, SPOOL_KILLS, "[123456789]"), 0);
	free(text);
	close_spool(s);
	unmount_disk();
}

/* Full from the start: that is no failure, and each save tells it. */
static void always_full_disk(void **state)
{
	struct spool *s;

	(void)state;
	if (!mount_disk("size=1m"))
		skip();
	fill_disk();
	s = open_spool();
	assert_true(got.armed);
	assert_int_equal(got.intents_err, -ENOENT);
	assert_int_equal(save(s, "[1]", 0), -ENOSPC);
	assert_int_equal(mark(s, false, "why"), 0);
	close_spool(s);
	assert_mark(false, "");
	assert_int_equal(unlink("fill"), 0);
	s = open_spool();
	assert_int_equal(save(s, "[1]", 0), 0);
	close_spool(s);
	assert_intents("[1]");
	unmount_disk();
}

/* Not even an empty file finds room; but to remove the mark makes some. */
static void no_inodes(void **state)
{
	struct spool *s;

	(void)state;
	/* The root, the folder, the lock, and the mark. */
	if (!mount_disk("size=1m,nr_inodes=4"))
		skip();
	s = open_spool();
	assert_true(got.armed);
	assert_false(there("spool/version"));
	assert_int_equal(save(s, "[]", 0), -ENOSPC);
	assert_int_equal(put(s, SPOOL_KILLS, "[]"), -ENOSPC);
	assert_int_equal(mark(s, false, "why"), 0);
	close_spool(s);
	s = open_spool();
	assert_false(got.armed);
	assert_int_equal(mark(s, true, NULL), -ENOSPC);
	close_spool(s);
	unmount_disk();
}

/* What does not last is not told to be durable: the next start would be armed. */
static void no_room_for_the_mark(void **state)
{
	struct spool *s;

	(void)state;
	if (!mount_disk("size=1m,nr_inodes=3"))
		skip();
	s = open_spool();
	assert_false(got.armed);
	assert_non_null(strstr(got.why, "can't be made"));
	assert_int_equal(mark(s, true, NULL), -ENOSPC);
	assert_int_equal(mark(s, false, "why"), -ENOSPC);
	close_spool(s);
	unmount_disk();
}

/* A write that comes up short leaves nothing, and what was there stays. */
static void short_writes(void **state)
{
	struct rlimit before, little = { .rlim_cur = SLOT_SIZE };
	char *body = malloc(100001);
	struct spool *s;

	(void)state;
	memset(body, ' ', 100000);
	body[0] = '[';
	body[99999] = ']';
	body[100000] = '\0';
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	s = open_spool();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(save(s, "[1]", 0), 0);
	assert_int_equal(save(s, body, 0), -EFBIG);
	assert_int_equal(put(s, SPOOL_KILLS, body), -EFBIG);
	assert_false(there("spool/00000000000000000001-logs.json"));
	assert_false(there("spool/00000000000000000001-logs.json.new"));
	assert_int_equal(save(s, "[2]", 100000), -EFBIG);
	close_spool(s);
	assert_intents("[1]");
	free(body);
}

/* --- the lock and the process ---------------------------------------------------------- */

static int release(sd_event_source *source, uint64_t usec, void *fd)
{
	(void)source;
	(void)usec;
	return flock(*(int *)fd, LOCK_UN);
}

static void locked(void **state)
{
	struct spool *s = open_spool(), *other = NULL;
	int fd;

	(void)state;
	assert_int_equal(start("spool", &other), -EBUSY);
	/* It is of no use then. */
	assert_int_equal(put(other, SPOOL_KILLS, "[]"), -EBADF);
	spool_close(other);
	assert_int_equal(put(s, SPOOL_KILLS, "[]"), 0);
	close_spool(s);

	/* The generator's script has it for a moment. */
	fd = open("spool/lock", O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_true(sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 100000, 1, release,
					       &fd) >= 0);
	close_spool(open_spool());
	close(fd);
}

static void unusable(void **state)
{
	static const struct {
		const char *dir;
		int err;
	} cases[] = {
		{ "file", -ENOTDIR }, { "file/spool", -ENOTDIR }, { "no/such/folder", -ENOENT },
		{ "", -ENOENT },      { "lockless", -EISDIR },	  { "linked", -ELOOP },
	};
	struct spool *s;
	size_t i;

	(void)state;
	write_file("file", "");
	assert_int_equal(mkdir("lockless", 0700), 0);
	assert_int_equal(mkdir("lockless/lock", 0700), 0);
	assert_int_equal(mkdir("linked", 0700), 0);
	assert_int_equal(symlink("../file", "linked/lock"), 0);
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(start(cases[i].dir, &s), cases[i].err);
		spool_close(s);
	}
	spool_close(NULL);
}

/* The newest one, of this test. */
static pid_t last_child(void)
{
	char path[64];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1)
		;
	fclose(f);
	return pid;
}

static void killed(void **state)
{
	struct spool *s = open_spool();
	int i;

	(void)state;
	assert_int_equal(save(s, "[1]", 0), 0);
	assert_int_equal(kill(last_child(), SIGKILL), 0);
	forget_got();
	assert_int_equal(spool_save_intents(s, "[2]", 0, NULL, NULL), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(save(s, "[2]", 0), -EIO);
		assert_int_equal(put(s, SPOOL_KILLS, "[]"), -EIO);
		assert_int_equal(read_batch(s, 1, SPOOL_KILLS), -EIO);
		assert_int_equal(mark(s, false, ""), -EIO);
	}
	assert_int_equal(spool_pending(s), 0);
	spool_close(s);
	assert_mark(true, "");
	assert_intents("[1]");
}

static void never(void *ctx, int err)
{
	(void)ctx;
	(void)err;
	fail();
}

static void forgotten(void **state)
{
	struct spool *s = open_spool();
	int some;

	(void)state;
	assert_int_equal(spool_waits_since_us(s), 0);
	assert_int_equal(spool_save_intents(s, "[1]", 0, never, &some), 0);
	assert_int_equal(spool_save_intents(s, "[2]", 0, never, &some), 0);
	forget_got();
	assert_int_equal(spool_save_intents(s, "[3]", 0, on_done, &got), 0);
	assert_int_equal(spool_pending(s), 3);
	assert_true(spool_waits_since_us(s) > 0);
	spool_forget(s, &some);
	assert_int_equal(wait_for_call(), 0);
	/* Closed with a call that waits. */
	assert_int_equal(spool_save_intents(s, "[4]", 0, never, NULL), 0);
	close_spool(s);
	assert_true(sd_event_run(event, 0) >= 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_spool),
		TEST(batches),
		TEST(refused),
		TEST(half_written),
		TEST(strangers),
		TEST(last_number),
		TEST(unreadable),
		TEST(intents),
		TEST(growing),
		TEST(plain_array),
		TEST(broken),
		TEST(slot_of_another_kind),
		TEST(torn),
		cmocka_unit_test(slot_bytes),
		TEST(marks),
		TEST(mark_files),
		TEST(mark_unreadable),
		TEST(full_disk),
		TEST(always_full_disk),
		TEST(no_inodes),
		TEST(no_room_for_the_mark),
		TEST(short_writes),
		TEST(locked),
		TEST(unusable),
		TEST(killed),
		TEST(forgotten),
	};
	int failed;

	alarm(300);
	failed = RUN(tests);
	forget_got();
	return failed;
}
