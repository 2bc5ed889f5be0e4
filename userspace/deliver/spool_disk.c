// SPDX-License-Identifier: GPL-2.0
#include "userspace/deliver/spool_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/deliver/slot.h"
#include "userspace/io/file.h"

#define ARMED "armed"
#define DISARMED "disarmed"
#define VERSION "version"
#define REFUSED "refused-"
#define SLOTS 2
#define NAME_SIZE SPOOL_BATCH_NAME_SIZE
/* Far more than one cycle can make; what is larger is not ours. */
#define FILE_SIZE_MAX (64u << 20)
/* Room for the first intents, found before the disk is full: some 100 of them. */
#define SLOT_SIZE_AT_START (64u << 10)
#define LOCK_TRIES 50
#define LOCK_PAUSE_US 20000
#define NEW_FILE (O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

static const char *const slot_names[SLOTS] = { "intent.json", "intent.2.json" };

void spool_disk_init(struct spool_disk *s, const char *path)
{
	*s = (struct spool_disk){ .path = path, .dir = -1, .lock = -1, .next = 1, .current = -1 };
}

/* --- names ----------------------------------------------------------------------------- */

static void broken_name(char *buf, uint64_t number)
{
	snprintf(buf, NAME_SIZE, "broken-%020llu-%s", (unsigned long long)number, slot_names[0]);
}

/* The highest number is none of ours: there would be no next one. */
static bool parse_batch_name(const char *name, struct spool_batch *ret)
{
	char again[NAME_SIZE];
	int kind;

	ret->number = strtoull(name, NULL, 10);
	for (kind = 0; kind < SPOOL_KINDS; kind++) {
		ret->kind = (enum spool_kind)kind;
		spool_batch_name(again, ret);
		if (!strcmp(again, name))
			return ret->number != UINT64_MAX;
	}
	return false;
}

static bool parse_broken_name(const char *name, uint64_t *ret)
{
	char again[NAME_SIZE];

	if (strncmp(name, "broken-", strlen("broken-")))
		return false;
	*ret = strtoull(name + strlen("broken-"), NULL, 10);
	broken_name(again, *ret);
	return !strcmp(again, name) && *ret != UINT64_MAX;
}

/* What a killed monitor left half written was never in its place: file_write_durably(). */
static bool is_half_written(const char *name)
{
	char stem[NAME_SIZE];
	struct spool_batch b;
	size_t len = strlen(name);

	if (len < 4 || len - 4 >= sizeof(stem) || strcmp(name + len - 4, ".new"))
		return false;
	memcpy(stem, name, len - 4);
	stem[len - 4] = '\0';
	return parse_batch_name(stem, &b) || !strcmp(stem, slot_names[0]) ||
	       !strcmp(stem, DISARMED);
}

/* --- what is there at the start -------------------------------------------------------- */

struct spool_scan {
	struct spool_batch *list;
	size_t count, room;
	size_t refused;
};

static int scan_keep(struct spool_scan *scan, const struct spool_batch *b)
{
	size_t room = scan->room ? scan->room * 2 : 256;
	struct spool_batch *more;

	if (scan->count == scan->room) {
		more = reallocarray(scan->list, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		scan->list = more;
		scan->room = room;
	}
	scan->list[scan->count++] = *b;
	return 0;
}

/* What was put aside keeps its number, or a later one would take its place. */
static int scan_name(struct spool_disk *s, struct spool_scan *scan, const char *name)
{
	struct spool_batch b;
	int err = 0;

	if (is_half_written(name)) {
		unlinkat(s->dir, name, 0);
		return 0;
	}
	if (parse_batch_name(name, &b))
		err = scan_keep(scan, &b);
	else if (!strncmp(name, REFUSED, strlen(REFUSED)) &&
		 parse_batch_name(name + strlen(REFUSED), &b))
		scan->refused++;
	else if (!parse_broken_name(name, &b.number))
		return 0;
	if (b.number >= s->next)
		s->next = b.number + 1;
	return err;
}

static int compare_batches(const void *a, const void *b)
{
	const struct spool_batch *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int scan_folder(struct spool_disk *s, struct spool_scan *scan)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int err = 0;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while (!err) {
		errno = 0;
		entry = readdir(d);
		if (!entry) {
			err = -errno;
			break;
		}
		err = scan_name(s, scan, entry->d_name);
	}
	closedir(d);
	if (scan->count)
		qsort(scan->list, scan->count, sizeof(*scan->list), compare_batches);
	return err;
}

static int spool_disk_sync(struct spool_disk *s)
{
	return fsync(s->dir) ? -errno : 0;
}

/* A folder that a power cut takes would take with it what was told to be durable. */
static int spool_disk_sync_parent(int dir)
{
	int parent = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (parent < 0)
		return -errno;
	err = fsync(parent) ? -errno : 0;
	close(parent);
	return err;
}

static int spool_disk_open_folder(struct spool_disk *s)
{
	bool made = !mkdir(s->path, 0700);

	if (!made && errno != EEXIST)
		return -errno;
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return -errno;
	return made ? spool_disk_sync_parent(s->dir) : 0;
}

/*
 * The generator's script holds the lock for a moment when it looks whether somebody has
 * it: that is waited for, a monitor is not.
 */
static int spool_disk_lock(struct spool_disk *s)
{
	int tries;

	s->lock = openat(s->dir, "lock", O_RDWR | NEW_FILE, 0600);
	if (s->lock < 0)
		return -errno;
	for (tries = 0; flock(s->lock, LOCK_EX | LOCK_NB); tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (tries == LOCK_TRIES)
			return -EBUSY;
		usleep(LOCK_PAUSE_US);
	}
	return 0;
}

/* The generator's script is run from elsewhere. */
static int spool_disk_lock_path(const struct spool_disk *s, char ret[PATH_MAX])
{
	char *path = realpath(s->path, NULL);
	int n;

	if (!path)
		return -errno;
	n = snprintf(ret, PATH_MAX, "%s/lock", path);
	free(path);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* --- the mark -------------------------------------------------------------------------- */

/* Return: 1: there is a file of this name, or anything else; 0: there is not; negative errno. */
static int mark_is_there(const struct spool_disk *s, const char *name)
{
	struct stat st;

	if (!fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

/* An empty file says all by being there, and a full disk has room for it more often than not. */
static int mark_make_file(struct spool_disk *s, const char *name, const char *text)
{
	int fd = openat(s->dir, name, O_WRONLY | NEW_FILE, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = file_check_regular(fd);
	if (!err && *text && pwrite(fd, text, strlen(text), 0) < 0 && errno != ENOSPC &&
	    errno != EDQUOT)
		err = -errno;
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	return err ? err : spool_disk_sync(s);
}

static int mark_make_version(struct spool_disk *s)
{
	int err = s->versioned ? 0 : mark_make_file(s, VERSION, "2\n");

	s->versioned = !err;
	return err;
}

static int mark_remove(struct spool_disk *s, const char *name)
{
	return unlinkat(s->dir, name, 0) && errno != ENOENT ? -errno : 0;
}

/* Return: 1: armed; 0: no mark; negative errno: it can't be told. */
static int mark_read_armed(struct spool_disk *s)
{
	char *text;
	size_t len;
	int err = file_read_regular(s->dir, ARMED, FILE_SIZE_MAX, &text, &len);

	if (err)
		return err == -ENOENT ? 0 : err;
	free(text);
	return 1;
}

static void mark_read_why(struct spool_disk *s, char *why, size_t size)
{
	char *text, *c;
	size_t len;

	if (file_read_regular(s->dir, DISARMED, FILE_SIZE_MAX, &text, &len))
		return;
	text[strcspn(text, "\r\n")] = '\0';
	for (c = text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	snprintf(why, size, "%s", text);
	free(text);
}

/*
 * A spool without any of the three files is new, or of a version that had no "armed": it
 * becomes armed once. "version" comes last: after a crash in between that is done again.
 */
static void mark_start(struct spool_disk *s, struct spool_start_answer *ret)
{
	int version = mark_is_there(s, VERSION), disarmed = mark_is_there(s, DISARMED);
	int armed = mark_read_armed(s);
	int err = version < 0 ? version : disarmed < 0 ? disarmed : armed < 0 ? armed : 0;

	s->versioned = version > 0;
	if (disarmed > 0)
		mark_read_why(s, ret->why, sizeof(ret->why));
	else if (err)
		snprintf(ret->why, sizeof(ret->why),
			 "whether it is armed can't be read from the spool: %s", strerror(-err));
	else if (!armed && !version)
		err = mark_make_file(s, ARMED, "");
	if (!*ret->why && err && !disarmed)
		snprintf(ret->why, sizeof(ret->why), "the mark that it is armed can't be made: %s",
			 strerror(-err));
	ret->armed = !err && !disarmed && (armed || !version);
	if (!err)
		mark_make_version(s);
}

static int mark_arm(struct spool_disk *s)
{
	int err = mark_remove(s, DISARMED);

	return err ? err : mark_make_file(s, ARMED, "");
}

/*
 * Each of the two disarms: that "armed" is not there, where there is "version", and that
 * "disarmed" is.
 */
static int mark_disarm(struct spool_disk *s, const char *why)
{
	int removed = mark_remove(s, ARMED), told, version;

	if (!removed)
		removed = spool_disk_sync(s);
	version = mark_make_version(s);
	told = file_write_durably(s->dir, DISARMED, why, strlen(why), 0600);
	if (!told)
		return 0;
	return removed ? removed : version;
}

/* --- intents --------------------------------------------------------------------------- */

static int spool_slot_write(int fd, const char *text, size_t len, size_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, text, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * Newlines, not a hole: the blocks must be there. The slot that holds may be extended,
 * since what follows its text is not looked at.
 */
static int spool_slot_extend(int fd, size_t from, size_t to)
{
	char *padding;
	int err;

	padding = malloc(to - from);
	if (!padding)
		return -ENOMEM;
	memset(padding, '\n', to - from);
	err = spool_slot_write(fd, padding, to - from, from);
	free(padding);
	if (!err && fsync(fd))
		err = -errno;
	return err;
}

/* Opens a slot that has @size bytes at least. Return: descriptor or negative errno. */
static int spool_slot_open(struct spool_disk *s, int slot, size_t size, size_t *ret_size)
{
	int fd = openat(s->dir, slot_names[slot], O_RDWR | NEW_FILE, 0600);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	err = file_check_regular(fd);
	if (!err && fstat(fd, &st))
		err = -errno;
	if (!err && (size > FILE_SIZE_MAX || st.st_size > (off_t)FILE_SIZE_MAX))
		err = -EFBIG;
	if (!err && (size_t)st.st_size < size) {
		err = spool_slot_extend(fd, (size_t)st.st_size, size);
		if (!err)
			err = spool_disk_sync(s);
	}
	if (err) {
		close(fd);
		return err;
	}
	*ret_size = (size_t)st.st_size < size ? size : (size_t)st.st_size;
	return fd;
}

static int spool_slot_reserve(struct spool_disk *s, int slot, size_t room)
{
	size_t size;
	int fd = spool_slot_open(s, slot, SLOT_HEAD_MAX + room, &size);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/*
 * In place: a file system that writes over the blocks of a file needs no room for that. The
 * other slot holds until this one is on disk, and has the room for what comes next.
 */
static int spool_disk_save_intents(struct spool_disk *s, const char *text, size_t len,
				   uint64_t room)
{
	int target = s->current == 0 ? 1 : 0, fd, err;
	size_t size;
	char *buf;

	if (room > FILE_SIZE_MAX - SLOT_HEAD_MAX || len > FILE_SIZE_MAX - SLOT_HEAD_MAX)
		return -EFBIG;
	err = room ? spool_slot_reserve(s, !target, room) : 0;
	if (err)
		return err;
	fd = spool_slot_open(s, target, SLOT_HEAD_MAX + (room > len ? room : len), &size);
	if (fd < 0)
		return fd;
	buf = malloc(size);
	err = buf ? 0 : -ENOMEM;
	if (!err) {
		slot_format(++s->sequence, text, len, buf, size);
		err = spool_slot_write(fd, buf, size, 0);
	}
	if (!err && fsync(fd))
		err = -errno;
	if (!err)
		s->current = target;
	free(buf);
	close(fd);
	return err;
}

/* Return: which slot holds, or -1. */
static int spool_slot_choose(const struct slot *slots)
{
	int i, best = -1;

	for (i = 0; i < SLOTS; i++) {
		if (slots[i].state == SLOT_VALID &&
		    (best < 0 || slots[i].sequence > slots[best].sequence))
			best = i;
	}
	for (i = 0; best < 0 && i < SLOTS; i++) {
		if (slots[i].state == SLOT_PLAIN)
			best = i;
	}
	return best;
}

/* Return: -EBADMSG; -ENOENT: none is broken; negative errno. */
static int spool_slot_put_aside(struct spool_disk *s, const struct slot *slots)
{
	char aside[NAME_SIZE];
	int i, err = -ENOENT;

	for (i = 0; i < SLOTS; i++) {
		if (slots[i].state != SLOT_BROKEN)
			continue;
		if (s->next == UINT64_MAX)
			return -EOVERFLOW;
		broken_name(aside, s->next++);
		if (renameat(s->dir, slot_names[i], s->dir, aside))
			return -errno;
		err = -EBADMSG;
	}
	if (err == -EBADMSG && fsync(s->dir))
		return -errno;
	return err;
}

static int spool_slot_take(struct spool_disk *s, const struct slot *slots, char **ret,
			   size_t *ret_len)
{
	int best = spool_slot_choose(slots);
	char *text;

	if (best < 0)
		return spool_slot_put_aside(s, slots);
	text = strndup(slots[best].text, slots[best].len);
	if (!text)
		return -ENOMEM;
	/*
	 * The other one was damaged, or being written when the machine stopped: what it said may be
	 * newer, so it is not just written over.
	 */
	s->slot_damaged = spool_slot_put_aside(s, slots) != -ENOENT;
	s->current = best;
	s->sequence = slots[best].sequence;
	*ret = text;
	*ret_len = strlen(text);
	return 0;
}

static int spool_disk_load_intents(struct spool_disk *s, char **ret, size_t *ret_len)
{
	struct slot slots[SLOTS] = { { .state = SLOT_BLANK } };
	char *files[SLOTS] = { NULL };
	int i, err, failed = 0;
	size_t len;

	for (i = 0; i < SLOTS; i++) {
		err = file_read_regular(s->dir, slot_names[i], FILE_SIZE_MAX, &files[i], &len);
		if (!err)
			slot_parse(files[i], len, &slots[i]);
		else if (err != -ENOENT)
			failed = err;
	}
	if (failed && spool_slot_choose(slots) < 0)
		err = failed;
	else
		err = spool_slot_take(s, slots, ret, ret_len);
	for (i = 0; i < SLOTS; i++)
		free(files[i]);
	return err;
}

/* --- calls ----------------------------------------------------------------------------- */

static int spool_disk_answer_start(const struct spool_start_answer *head,
				   const struct spool_scan *scan, const char *intents,
				   struct disk_answer *ret)
{
	size_t list_len = scan->count * sizeof(*scan->list);
	char *to;

	ret->len = sizeof(*head) + list_len + head->intents_len;
	ret->data = malloc(ret->len);
	if (!ret->data)
		return -ENOMEM;
	to = mempcpy(ret->data, head, sizeof(*head));
	if (scan->count)
		to = mempcpy(to, scan->list, list_len);
	if (intents)
		memcpy(to, intents, head->intents_len);
	return 0;
}

/* A slot without room is no failure yet: the disk may have some when it is needed. */
static int spool_disk_start(struct spool_disk *s, struct disk_answer *ret)
{
	struct spool_start_answer head = { .armed = false };
	struct spool_scan scan = { .list = NULL };
	char *intents = NULL;
	size_t len = 0;
	int i, err;

	err = spool_disk_open_folder(s);
	if (!err)
		err = spool_disk_lock(s);
	if (!err)
		err = spool_disk_lock_path(s, head.lock_path);
	if (!err)
		err = scan_folder(s, &scan);
	if (!err) {
		head.intents_err = spool_disk_load_intents(s, &intents, &len);
		mark_start(s, &head);
		for (i = 0; i < SLOTS; i++)
			spool_slot_reserve(s, i, SLOT_SIZE_AT_START - SLOT_HEAD_MAX);
		head.intents_len = len;
		head.batch_count = scan.count;
		head.refused_count = scan.refused;
		head.slot_damaged = s->slot_damaged;
		err = spool_disk_answer_start(&head, &scan, intents, ret);
	}
	free(scan.list);
	free(intents);
	return err;
}

static int spool_disk_put(struct spool_disk *s, enum spool_kind kind, const char *body, size_t len,
			  struct disk_answer *ret)
{
	struct spool_batch *b;
	char name[NAME_SIZE];
	int err;

	if (s->next == UINT64_MAX)
		return -EOVERFLOW;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->number = s->next++;
	b->kind = kind;
	spool_batch_name(name, b);
	err = file_write_durably(s->dir, name, body, len, 0600);
	if (err) {
		free(b);
		return err;
	}
	ret->data = (char *)b;
	ret->len = sizeof(*b);
	return 0;
}

/* Not synced: sent twice after a crash, the record is stored once by its event_id. */
static int spool_disk_refuse(struct spool_disk *s, const char *name)
{
	char aside[NAME_SIZE + sizeof(REFUSED)];

	snprintf(aside, sizeof(aside), REFUSED "%s", name);
	return renameat(s->dir, name, s->dir, aside) ? -errno : 0;
}

static int spool_disk_dispatch(struct spool_disk *s, uint32_t op, const struct spool_question *q,
			       const char *text, size_t len, struct disk_answer *ret)
{
	char name[NAME_SIZE];

	spool_batch_name(name, &q->batch);
	switch ((enum spool_op)op) {
	case SPOOL_OP_START:
		return spool_disk_start(s, ret);
	case SPOOL_OP_SAVE_INTENTS:
		return spool_disk_save_intents(s, text, len, q->room);
	case SPOOL_OP_PUT:
		return spool_disk_put(s, q->batch.kind, text, len, ret);
	case SPOOL_OP_READ:
		return file_read_regular(s->dir, name, FILE_SIZE_MAX, &ret->data, &ret->len);
	case SPOOL_OP_REMOVE:
		/* Not synced: as with spool_disk_refuse(). */
		return unlinkat(s->dir, name, 0) ? -errno : 0;
	case SPOOL_OP_REFUSE:
		return spool_disk_refuse(s, name);
	case SPOOL_OP_MARK:
		return q->armed ? mark_arm(s) : mark_disarm(s, text);
	}
	return -ENOSYS;
}

static void spool_disk_close(struct spool_disk *s)
{
	if (s->lock >= 0)
		close(s->lock);
	if (s->dir >= 0)
		close(s->dir);
	spool_disk_init(s, s->path);
}

void spool_disk_handle(void *ctx, uint32_t op, const char *data, size_t len,
		       struct disk_answer *ret)
{
	struct spool_disk *s = ctx;
	struct spool_question q;

	if (len < sizeof(q) || (op == SPOOL_OP_START) != (s->dir < 0)) {
		ret->err = -EBADF;
		return;
	}
	memcpy(&q, data, sizeof(q));
	if ((unsigned int)q.batch.kind >= SPOOL_KINDS) {
		ret->err = -EINVAL;
		return;
	}
	ret->err = spool_disk_dispatch(s, op, &q, data + sizeof(q), len - sizeof(q), ret);
	if (ret->err && op == SPOOL_OP_START)
		spool_disk_close(s);
}
