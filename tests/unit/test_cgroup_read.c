// SPDX-License-Identifier: GPL-2.0
/*
 * The reader of cgroup accounts, on ordinary files in the place of the kernel's.  What only the
 * kernel has, its file system's magic and -ENODEV of a removed group, is tested where cgroup v2 is
 * mounted and may be written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "userspace/io/cgroup_read.h"

#define GROUP "/docker/abc"
#define UNTOUCHED 0x5a5a5a5aU
/* One byte more than is read of such a file. */
#define TOO_LONG (16 * 1024 + 1)

static char folder[] = "/tmp/test_cgroup_read-XXXXXX";
static int root = -1, group = -1;
static size_t fds_before;

/* As Linux 6.1 has them. */
static const struct {
	const char *name, *text;
} files[] = {
	{ "memory.current", "123456789\n" },
	{ "memory.stat", "anon 5\nfile 6\nactive_file 7\ninactive_file 4096\nslab 8\n" },
	{ "cpu.stat", "usage_usec 777\nuser_usec 700\nsystem_usec 77\n" },
	{ "memory.events", "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n" },
	{ "pids.current", "12\n" },
	{ "cgroup.events", "populated 1\nfrozen 0\n" },
	{ "cgroup.controllers", "cpu memory pids\n" },
};

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Whatever stands there. */
static void take_away(const char *name)
{
	if (unlinkat(group, name, 0))
		unlinkat(group, name, AT_REMOVEDIR);
}

static void put(const char *name, const char *text)
{
	int fd;

	take_away(name);
	fd = openat(group, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* The text is whole, and then there is too much behind it. */
static void put_long(const char *name, const char *text)
{
	int fd;

	put(name, text);
	fd = openat(group, name, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, TOO_LONG), 0);
	close(fd);
}

static int put_all(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(files); i++)
		put(files[i].name, files[i].text);
	fds_before = count_fds();
	return 0;
}

static int check_fds(void **state)
{
	(void)state;
	return count_fds() != fds_before;
}

static int begin(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || mkdirat(root, "docker", 0700) || mkdirat(root, "docker/abc", 0700))
		return -1;
	group = openat(root, "docker/abc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return group < 0 ? -1 : 0;
}

static int end(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(files); i++)
		take_away(files[i].name);
	unlinkat(root, "docker/link", 0);
	unlinkat(root, "docker/file", 0);
	unlinkat(root, "docker/abc", AT_REMOVEDIR);
	unlinkat(root, "docker", AT_REMOVEDIR);
	close(group);
	close(root);
	return rmdir(folder);
}

/* --- the accounts ------------------------------------------------------------------ */

static struct model_cgroup read_group(void)
{
	struct model_cgroup c;

	memset(&c, 0xff, sizeof(c));
	cgroup_read(root, GROUP, &c);
	return c;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static struct model_cgroup whole(void)
{
	return (struct model_cgroup){
		.known = true, .inode = inode_of(group), .has_memory = true, .memory_bytes = 123456789,
		.has_inactive = true, .inactive_bytes = 4096, .has_cpu = true, .cpu_us = 777,
		.has_oom = true, .oom_kills = 5, .has_pids = true, .pids = 12,
	};
}

static void check_same(const char *what, const struct model_cgroup *a, const struct model_cgroup *b)
{
	if (a->known != b->known || a->inode != b->inode || a->frozen != b->frozen ||
	    a->has_memory != b->has_memory || a->memory_bytes != b->memory_bytes ||
	    a->has_inactive != b->has_inactive || a->inactive_bytes != b->inactive_bytes ||
	    a->has_cpu != b->has_cpu || a->cpu_us != b->cpu_us || a->has_oom != b->has_oom ||
	    a->oom_kills != b->oom_kills || a->has_pids != b->has_pids || a->pids != b->pids)
		fail_msg("%s: known %d, memory %d %llu, inactive %d %llu, cpu %d %llu, oom %d %llu, pids %d %llu, "
			 "frozen %d", what, a->known, a->has_memory, (unsigned long long)a->memory_bytes,
			 a->has_inactive, (unsigned long long)a->inactive_bytes, a->has_cpu,
			 (unsigned long long)a->cpu_us, a->has_oom, (unsigned long long)a->oom_kills, a->has_pids,
			 (unsigned long long)a->pids, a->frozen);
}

/* Each account alone is lost with its file, and takes no other along. */
static void lose(struct model_cgroup *c, size_t file)
{
	switch (file) {
	case 0:
		c->has_memory = false;
		c->memory_bytes = 0;
		break;
	case 1:
		c->has_inactive = false;
		c->inactive_bytes = 0;
		break;
	case 2:
		c->has_cpu = false;
		c->cpu_us = 0;
		break;
	case 3:
		c->has_oom = false;
		c->oom_kills = 0;
		break;
	case 4:
		c->has_pids = false;
		c->pids = 0;
		break;
	}
}

static void all_accounts(void **state)
{
	struct model_cgroup expected = whole(), c = read_group();

	(void)state;
	check_same("whole", &c, &expected);
}

static void no_group(void **state)
{
	static const struct model_cgroup nothing;
	struct model_cgroup c;

	(void)state;
	memset(&c, 0xff, sizeof(c));
	cgroup_read(root, "/docker/none", &c);
	check_same("none", &c, &nothing);
}

static void make_missing(const char *name, const char *text)
{
	(void)text;
	take_away(name);
}

/* Reading it fails, for root too. */
static void make_folder(const char *name, const char *text)
{
	(void)text;
	take_away(name);
	assert_int_equal(mkdirat(group, name, 0700), 0);
}

static void make_loop(const char *name, const char *text)
{
	(void)text;
	take_away(name);
	assert_int_equal(symlinkat(name, group, name), 0);
}

/* Nobody is at its other end: whoever waits for that does so for good. */
static void make_fifo(const char *name, const char *text)
{
	(void)text;
	take_away(name);
	assert_int_equal(mkfifoat(group, name, 0600), 0);
}

static void make_empty(const char *name, const char *text)
{
	(void)text;
	put(name, "");
}

static void make_garbage(const char *name, const char *text)
{
	(void)text;
	put(name, "\x1b\xff garbage\n\n\n \nkey\nkey \n");
}

static void unreadable(void **state)
{
	static const struct {
		const char *what;
		void (*make)(const char *name, const char *text);
	} ways[] = {
		{ "missing", make_missing }, { "a folder", make_folder }, { "a loop", make_loop },
		{ "a FIFO", make_fifo },     { "empty", make_empty },     { "garbage", make_garbage },
		{ "too long", put_long },
	};
	size_t i, file;
	char what[100];

	(void)state;
	/* All but cgroup.controllers, which is of the hierarchy. */
	for (i = 0; i < COUNT(ways); i++)
		for (file = 0; file + 1 < COUNT(files); file++) {
			struct model_cgroup expected = whole(), c;

			lose(&expected, file);
			ways[i].make(files[file].name, files[file].text);
			c = read_group();
			snprintf(what, sizeof(what), "%s: %s", files[file].name, ways[i].what);
			check_same(what, &c, &expected);
			put(files[file].name, files[file].text);
		}
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		bool is_one;
		uint64_t value;
	} cases[] = {
		{ "0\n", true, 0 },
		{ "18446744073709551615\n", true, UINT64_MAX },
		{ "18446744073709551616\n", false, 0 },
		{ "99999999999999999999999\n", false, 0 },
		/* The kernel's line has an end: one without it was cut. */
		{ "12", false, 0 },
		{ "max\n", false, 0 },
		{ "\n", false, 0 },
		{ "12 \n", false, 0 },
		{ "12x\n", false, 0 },
		{ "12.5\n", false, 0 },
		{ "0x12\n", false, 0 },
		{ "x12\n", false, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct model_cgroup c;
		uint64_t memory = UNTOUCHED;
		int err;

		put("memory.current", cases[i].text);
		put("pids.current", cases[i].text);
		c = read_group();
		if (c.has_memory != cases[i].is_one || c.memory_bytes != cases[i].value ||
		    c.has_pids != cases[i].is_one || c.pids != cases[i].value)
			fail_msg("'%s': %d %llu", cases[i].text, c.has_memory, (unsigned long long)c.memory_bytes);
		err = cgroup_memory(group, &memory);
		assert_int_equal(err, cases[i].is_one ? 0 : -EBADMSG);
		assert_true(memory == (cases[i].is_one ? cases[i].value : UNTOUCHED));
	}
	take_away("memory.current");
	assert_int_equal(cgroup_memory(group, &(uint64_t){ 0 }), -ENOENT);
	put_long("memory.current", "1\n");
	assert_int_equal(cgroup_memory(group, &(uint64_t){ 0 }), -EFBIG);
}

/* A key is a whole word at the beginning of a line, and the first of it counts. */
static void keys(void **state)
{
	static const struct {
		const char *text;
		bool is_there;
		uint64_t value;
	} cases[] = {
		{ "oom_kill 3\n", true, 3 },
		{ "oom_kill 3", true, 3 },
		{ "oom 1\noom_kill 18446744073709551615\n", true, UINT64_MAX },
		{ "\n\noom_kill 0\n", true, 0 },
		{ "oom_kill 3\noom_kill 4\n", true, 3 },
		{ "oom_group_kill 6\n", false, 0 },
		{ "oom_kill_more 6\n", false, 0 },
		{ "oom 6\n", false, 0 },
		{ "oom_kiln 6\n", false, 0 },
		{ "my oom_kill 6\n", false, 0 },
		{ " oom_kill 6\n", false, 0 },
		{ "oom_kill\n6\n", false, 0 },
		{ "oom_kill\t6\n", false, 0 },
		{ "OOM_KILL 6\n", false, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct model_cgroup c;

		put("memory.events", cases[i].text);
		c = read_group();
		if (c.has_oom != cases[i].is_there || c.oom_kills != cases[i].value)
			fail_msg("'%s': %d %llu", cases[i].text, c.has_oom, (unsigned long long)c.oom_kills);
	}
}

/* --- cgroup.events ------------------------------------------------------------------- */

static const struct {
	const char *text;
	int err;
	bool populated, frozen;
} events[] = {
	{ "populated 0\nfrozen 0\n", 0, false, false },
	{ "populated 1\nfrozen 0\n", 0, true, false },
	{ "populated 0\nfrozen 1\n", 0, false, true },
	{ "populated 1\nfrozen 1\n", 0, true, true },
	{ "frozen 1\npopulated 1\n", 0, true, true },
	{ "populated 1\nlater 7\nfrozen 1", 0, true, true },
	/* Linux before 5.2 has no such line. */
	{ "populated 1\n", 0, true, false },
	{ "populated 1\nfrozen\n", 0, true, false },
	{ "populated 1\nfrozenx 1\n", 0, true, false },
	{ "populated 1\nunfrozen 1\n", 0, true, false },
	/* What is no number is 0. */
	{ "populated 1\nfrozen \n", 0, true, false },
	{ "populated 1\nfrozen yes\n", 0, true, false },
	{ "frozen 1\n", -EBADMSG, false, true },
	{ "populated\nfrozen 1\n", -EBADMSG, false, true },
	{ "populated_too 1\nfrozen 1\n", -EBADMSG, false, true },
	{ "", -EBADMSG, false, false },
	{ "\n\n\x1b\xff\n", -EBADMSG, false, false },
};

static void frozen(void **state)
{
	struct model_cgroup expected = whole(), c;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(events); i++) {
		put("cgroup.events", events[i].text);
		expected.frozen = events[i].frozen;
		c = read_group();
		check_same(events[i].text, &c, &expected);
	}
}

static int open_events(int flags)
{
	int fd = openat(group, "cgroup.events", flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Nothing is said on failure. */
static void check_failure(int fd, int err)
{
	struct cgroup_events e = { .populated = true, .frozen = true };

	assert_int_equal(cgroup_events_read(fd, &e), err);
	assert_true(e.populated && e.frozen);
	e = (struct cgroup_events){ 0 };
	assert_int_equal(cgroup_events_read(fd, &e), err);
	assert_true(!e.populated && !e.frozen);
}

static void events_read(void **state)
{
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(events); i++) {
		struct cgroup_events e;

		put("cgroup.events", events[i].text);
		fd = open_events(O_RDONLY);
		memset(&e, !events[i].frozen, sizeof(e));
		if (events[i].err) {
			check_failure(fd, events[i].err);
		} else if (cgroup_events_read(fd, &e) || e.populated != events[i].populated ||
			   e.frozen != events[i].frozen) {
			fail_msg("'%s': populated %d, frozen %d", events[i].text, e.populated, e.frozen);
		}
		close(fd);
	}
}

/* One descriptor is read again and again, as poll(2) tells of each change on it. */
static void events_read_again(void **state)
{
	struct cgroup_events e;
	int fd, writer;

	(void)state;
	fd = open_events(O_RDONLY);
	writer = open_events(O_WRONLY);
	assert_int_equal(cgroup_events_read(fd, &e), 0);
	assert_true(e.populated && !e.frozen);
	assert_int_equal(pwrite(writer, "populated 0\nfrozen 1\n", 21, 0), 21);
	assert_int_equal(cgroup_events_read(fd, &e), 0);
	assert_true(!e.populated && e.frozen);
	close(writer);
	close(fd);
}

static void events_unreadable(void **state)
{
	char text[4096] = "populated 1\nfrozen 1\n";
	struct cgroup_events e = { 0 };
	int fd;

	(void)state;
	fd = open_events(O_WRONLY);
	check_failure(fd, -EBADF);
	close(fd);
	check_failure(-1, -EBADF);
	check_failure(group, -EISDIR);
	/* More than there is room for. */
	memset(text + strlen(text), 'x', sizeof(text) - 1 - strlen(text));
	put("cgroup.events", text);
	fd = open_events(O_RDONLY);
	assert_int_equal(cgroup_events_read(fd, &e), 0);
	assert_true(e.populated && e.frozen);
	close(fd);
	memset(text, 'x', sizeof(text) - 1);
	put("cgroup.events", text);
	fd = open_events(O_RDONLY);
	check_failure(fd, -EBADMSG);
	close(fd);
}

/* --- groups and their root ----------------------------------------------------------- */

static void check_not_opened(const char *path, int err)
{
	uint64_t inode = UNTOUCHED;
	int fd = (int)UNTOUCHED;

	assert_int_equal(cgroup_open(root, path, &fd, &inode), err);
	assert_true(fd == (int)UNTOUCHED && inode == UNTOUCHED);
}

static void groups(void **state)
{
	static const char *const paths[] = { GROUP, "docker/abc", "///docker/abc" };
	uint64_t inode;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(paths); i++) {
		assert_int_equal(cgroup_open(root, paths[i], &fd, &inode), 0);
		assert_true(inode == inode_of(group) && inode == inode_of(fd));
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		close(fd);
	}
	check_not_opened("/docker/none", -ENOENT);
	check_not_opened("", -ENOENT);
	fd = openat(root, "docker/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	check_not_opened("/docker/file", -ENOTDIR);
	/* What a name points to is another's group. */
	assert_int_equal(symlinkat("abc", root, "docker/link"), 0);
	check_not_opened("/docker/link", -ENOTDIR);
}

static void controllers(void **state)
{
	static const struct {
		const char *text;
		bool has_memory;
	} cases[] = {
		{ "cpuset cpu io memory hugetlb pids rdma misc\n", true },
		{ "memory\n", true },
		{ "memory", true },
		{ "cpu memory", true },
		{ "cpu io pids\n", false },
		{ "memory_too\n", false },
		{ "inmemory memory.high\n", false },
		{ "\n", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		put("cgroup.controllers", cases[i].text);
		if (cgroup_has_memory(group) != cases[i].has_memory)
			fail_msg("'%s'", cases[i].text);
	}
	make_folder("cgroup.controllers", NULL);
	assert_false(cgroup_has_memory(group));
	take_away("cgroup.controllers");
	assert_false(cgroup_has_memory(group));
}

static void no_root(void **state)
{
	char path[100];
	int fd = (int)UNTOUCHED;

	(void)state;
	assert_int_equal(cgroup_root_open(folder, &fd), -EMEDIUMTYPE);
	snprintf(path, sizeof(path), "%s/none", folder);
	assert_int_equal(cgroup_root_open(path, &fd), -ENOENT);
	snprintf(path, sizeof(path), "%s%s/pids.current", folder, GROUP);
	assert_int_equal(cgroup_root_open(path, &fd), -ENOTDIR);
	assert_int_equal(fd, (int)UNTOUCHED);
}

static bool find_cgroup2(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	while (mounts && !found && (m = getmntent(mounts))) {
		found = !strcmp(m->mnt_type, "cgroup2");
		if (found)
			snprintf(path, size, "%s", m->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

/* A group of the kernel's own, which is removed while its cgroup.events is open. */
static void removed_group(void **state)
{
	char path[256], name[64];
	struct cgroup_events e = { .populated = true };
	struct model_cgroup c;
	uint64_t inode;
	int real, fd, file;

	(void)state;
	if (!find_cgroup2(path, sizeof(path)))
		skip();
	assert_int_equal(cgroup_root_open(path, &real), 0);
	snprintf(name, sizeof(name), "/test_cgroup_read-%d", (int)getpid());
	if (mkdirat(real, name + 1, 0700)) {
		close(real);
		skip();
	}
	cgroup_read(real, name, &c);
	assert_true(c.known && c.has_cpu && !c.frozen);
	assert_int_equal(cgroup_open(real, name, &fd, &inode), 0);
	assert_true(inode == c.inode);
	file = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	assert_int_equal(cgroup_events_read(file, &e), 0);
	assert_true(!e.populated && !e.frozen);
	assert_int_equal(unlinkat(real, name + 1, AT_REMOVEDIR), 0);
	check_failure(file, -ENODEV);
	close(file);
	close(fd);
	close(real);
}

/* Each begins with all files, and leaves no descriptor open. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, put_all, check_fds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_accounts),
		TEST(no_group),
		TEST(unreadable),
		TEST(numbers),
		TEST(keys),
		TEST(frozen),
		TEST(events_read),
		TEST(events_read_again),
		TEST(events_unreadable),
		TEST(groups),
		TEST(controllers),
		TEST(no_root),
		TEST(removed_group),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, begin, end);
}
