// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/host/clock.h"
#include "userspace/host/disk.h"

enum { OP_ECHO, OP_ERROR, OP_STATE, OP_GATE, OP_EXIT, OP_LOCK, OP_COUNT, OP_BIG };

/* Each test works in a folder of its own, which is its working directory. */
static char folder[64];
static sd_event *event;
static int counter;

struct answer {
	int err;
	char *data;
	size_t len;
	int number; /* in which order it came, from 1 on; 0: not yet */
};

static int answers;

static void keep(void *ctx, int err, const char *data, size_t len)
{
	struct answer *a = ctx;

	assert_int_equal(a->number, 0);
	assert_int_equal(data[len], '\0');
	a->err = err;
	a->data = malloc(len + 1);
	assert_non_null(a->data);
	memcpy(a->data, data, len + 1);
	a->len = len;
	a->number = ++answers;
}

static int enter(void **state)
{
	(void)state;
	answers = counter = 0;
	strcpy(folder, "/tmp/test-disk-XXXXXX");
	return mkdtemp(folder) && !chdir(folder) && !mkfifo("gate", 0600) &&
			       sd_event_new(&event) >= 0
		       ? 0
		       : -1;
}

static int leave(void **state)
{
	char command[128];

	(void)state;
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command) ? -1 : 0;
}

/* --- in the disk process --------------------------------------------------------------- */

static size_t list_descriptors(char *buf, size_t size)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t n = 0;

	while ((entry = readdir(d))) {
		if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(d))
			n += (size_t)snprintf(buf + n, size - n, "%s ", entry->d_name);
	}
	closedir(d);
	return n;
}

static void tell_state(struct disk_answer *ret)
{
	unsigned long ignored = 0, blocked = 1;
	char line[256], name[32] = "";
	FILE *f = fopen("/proc/self/status", "r");
	size_t n;

	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "SigIgn: %lx", &ignored);
		sscanf(line, "SigBlk: %lx", &blocked);
	}
	fclose(f);
	prctl(PR_GET_NAME, name);
	ret->data = malloc(4096);
	n = (size_t)snprintf(ret->data, 4096, "%s %d %d %lx ", name, getpriority(PRIO_PROCESS, 0),
			     blocked != 0, ignored & 0xffff);
	ret->len = n + list_descriptors(ret->data + n, 4096 - n);
}

/* Hangs until somebody opens and closes the other end, and leaves a file then. */
static void pass_gate(struct disk_answer *ret)
{
	int fd = open("gate", O_RDONLY);
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
	close(fd);
	close(open("passed", O_CREAT | O_WRONLY, 0600));
	ret->err = 7;
}

static void handle(void *ctx, uint32_t op, const char *data, size_t len, struct disk_answer *ret)
{
	int *count = ctx;

	(*count)++;
	switch (op) {
	case OP_ECHO:
		ret->data = malloc(len + 1);
		memcpy(ret->data, data, len + 1);
		ret->len = len;
		break;
	case OP_ERROR:
		ret->err = -(int)strtol(data, NULL, 10);
		break;
	case OP_STATE:
		tell_state(ret);
		break;
	case OP_GATE:
		pass_gate(ret);
		break;
	case OP_EXIT:
		_exit(3);
	case OP_LOCK:
		ret->err =
			flock(open("lock", O_CREAT | O_RDWR, 0600), LOCK_EX | LOCK_NB) ? -errno : 0;
		break;
	case OP_COUNT:
		ret->err = *count;
		break;
	case OP_BIG:
		ret->len = (size_t)strtoul(data, NULL, 10);
		ret->data = calloc(1, ret->len);
	}
}

/* --- on the loop ----------------------------------------------------------------------- */

static struct disk *new_disk(void)
{
	struct disk *d = NULL;

	assert_int_equal(disk_new(event, handle, &counter, &d), 0);
	assert_non_null(d);
	return d;
}

static void run_until(const struct answer *last)
{
	while (!last->number)
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static void call(struct disk *d, uint32_t op, const char *data, struct answer *ret)
{
	*ret = (struct answer){ 0 };
	assert_int_equal(disk_call(d, op, data, strlen(data), keep, ret), 0);
}

static void call_and_wait(struct disk *d, uint32_t op, const char *data, struct answer *ret)
{
	call(d, op, data, ret);
	run_until(ret);
}

static void open_gate(void)
{
	int fd = open("gate", O_WRONLY);

	assert_true(fd >= 0);
	close(fd);
}

/* The only child; needs no signal. */
static pid_t child_of(void)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atoi(text);
}

static void wait_for_end(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void assert_reaped(pid_t pid)
{
	wait_for_end(pid);
	while (!kill(pid, 0))
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void finish(struct disk *d)
{
	pid_t pid = child_of();

	disk_free(d);
	assert_reaped(pid);
}

static void order(void **state)
{
	static const size_t lens[] = { 0, 1, 7, 8, 4095, 4096, 65536, 1 << 20, 3, 0 };
	struct answer list[COUNT(lens) * 20] = { { 0 } };
	struct disk *d = new_disk();
	char *data = malloc(1 << 20);
	size_t i;

	(void)state;
	assert_int_equal(disk_pending(d), 0);
	assert_int_equal(disk_waits_since_us(d), 0);
	for (i = 0; i < COUNT(list); i++) {
		memset(data, (int)i, lens[i % COUNT(lens)]);
		assert_int_equal(disk_call(d, OP_ECHO, data, lens[i % COUNT(lens)], keep, &list[i]),
				 0);
		assert_int_equal(disk_pending(d), i + 1);
	}
	assert_int_equal(answers, 0);
	run_until(&list[COUNT(list) - 1]);
	for (i = 0; i < COUNT(list); i++) {
		assert_int_equal(list[i].number, i + 1);
		assert_int_equal(list[i].err, 0);
		assert_int_equal(list[i].len, lens[i % COUNT(lens)]);
		memset(data, (int)i, list[i].len);
		assert_memory_equal(list[i].data, data, list[i].len);
		free(list[i].data);
	}
	assert_int_equal(disk_pending(d), 0);
	assert_int_equal(disk_waits_since_us(d), 0);
	free(data);
	finish(d);
}

static void errors(void **state)
{
	static const char *const texts[] = { "0", "1", "28", "5", "4095" };
	struct disk *d = new_disk();
	struct answer a;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		call_and_wait(d, OP_ERROR, texts[i], &a);
		assert_int_equal(a.err, -atoi(texts[i]));
		assert_int_equal(a.len, 0);
		free(a.data);
	}
	/* The state is the child's own. */
	assert_int_equal(disk_call(d, OP_ERROR, "", 0, NULL, NULL), 0);
	call_and_wait(d, OP_COUNT, "", &a);
	assert_int_equal(a.err, COUNT(texts) + 2);
	assert_int_equal(counter, 0);
	free(a.data);
	call_and_wait(d, OP_BIG, "50000000", &a);
	assert_int_equal(a.len, 50000000);
	free(a.data);
	finish(d);
}

static void surroundings(void **state)
{
	static const int sent[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE };
	unsigned long ignored = 0;
	int fd, high, blocked = -1, priority = -1, eaten = 0;
	sigset_t some, before;
	char name[32] = "";
	struct answer a;
	struct disk *d;
	pid_t pid;
	size_t i;

	(void)state;
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGCHLD);
	sigprocmask(SIG_BLOCK, &some, &before);
	fd = open("secret", O_CREAT | O_RDWR, 0600);
	high = fcntl(fd, F_DUPFD, 200);
	assert_true(fd >= 0 && high >= 200);
	if (!geteuid())
		assert_int_equal(setpriority(PRIO_PROCESS, 0, -7), 0);
	d = new_disk();
	setpriority(PRIO_PROCESS, 0, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	pid = child_of();
	call_and_wait(d, OP_STATE, "", &a);
	assert_int_equal(sscanf(a.data, "%31s %d %d %lx %n", name, &priority, &blocked, &ignored,
				&eaten),
			 4);
	assert_string_equal(name, "monitor-disk");
	assert_int_equal(priority, 0);
	assert_int_equal(blocked, 0);
	assert_string_equal(a.data + eaten, "0 1 2 3 ");
	for (i = 0; i < COUNT(sent); i++) {
		assert_true(ignored & 1ul << (sent[i] - 1));
		assert_int_equal(kill(pid, sent[i]), 0);
	}
	free(a.data);
	call_and_wait(d, OP_ECHO, "still here", &a);
	assert_string_equal(a.data, "still here");
	free(a.data);
	close(fd);
	close(high);
	finish(d);
}

/* A disk that hangs holds up nobody, and costs a bounded amount of memory. */
static void hanging(void **state)
{
	const size_t len = 1 << 20;
	static struct answer list[64];
	struct answer gate = { 0 }, later = { 0 };
	uint64_t before = clock_boottime_us();
	char *data = calloc(1, DISK_PENDING_MAX);
	struct disk *d = new_disk();
	size_t i, n;

	(void)state;
	memset(list, 0, sizeof(list));
	call(d, OP_GATE, "", &gate);
	for (n = 0; n < COUNT(list); n++) {
		if (disk_call(d, OP_ECHO, data, len, keep, &list[n]))
			break;
	}
	assert_int_equal(n, DISK_PENDING_MAX / len - 1);
	assert_int_equal(disk_call(d, OP_ECHO, data, len, keep, &later), -EBUSY);
	assert_int_equal(disk_call(d, OP_ECHO, data, DISK_PENDING_MAX, keep, &later), -EBUSY);
	assert_int_equal(disk_call(d, OP_ECHO, data, SIZE_MAX, keep, &later), -EBUSY);
	assert_int_equal(disk_pending(d), n + 1);
	assert_true(disk_waits_since_us(d) >= before);
	assert_true(disk_waits_since_us(d) <= clock_boottime_us());
	assert_true(sd_event_run(event, 0) >= 0);
	assert_int_equal(answers, 0);
	open_gate();
	run_until(&list[n - 1]);
	assert_int_equal(gate.err, 7);
	for (i = 0; i < n; i++) {
		assert_int_equal(list[i].number, i + 2);
		assert_int_equal(list[i].len, len);
		free(list[i].data);
	}
	call_and_wait(d, OP_ECHO, "again", &later);
	assert_string_equal(later.data, "again");
	free(gate.data);
	free(later.data);
	free(data);
	finish(d);
}

static void killed(void **state)
{
	struct answer list[10], later;
	struct disk *d = new_disk();
	pid_t pid = child_of();
	size_t i;

	(void)state;
	call(d, OP_GATE, "", &list[0]);
	for (i = 1; i < COUNT(list); i++)
		call(d, OP_ECHO, "never", &list[i]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	run_until(&list[COUNT(list) - 1]);
	for (i = 0; i < COUNT(list); i++) {
		assert_int_equal(list[i].number, i + 1);
		assert_int_equal(list[i].err, -EIO);
		assert_int_equal(list[i].len, 0);
		free(list[i].data);
	}
	assert_int_equal(disk_pending(d), 0);
	assert_reaped(pid);
	for (i = 0; i < 2; i++) {
		call(d, OP_ECHO, "", &later);
		assert_int_equal(later.number, 0);
		assert_int_equal(disk_pending(d), 1);
		run_until(&later);
		assert_int_equal(later.err, -EIO);
		free(later.data);
	}
	disk_free(d);
}

/* What was answered before the end is known, also where the next call finds the end first. */
static void ended(void **state)
{
	struct answer list[6], last;
	struct disk *d = new_disk();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(list) - 1; i++)
		call(d, OP_ECHO, "yes", &list[i]);
	call(d, OP_EXIT, "", &list[i]);
	wait_for_end(child_of());
	call(d, OP_ECHO, "no", &last);
	assert_int_equal(answers, 0);
	run_until(&last);
	for (i = 0; i < COUNT(list); i++) {
		assert_int_equal(list[i].number, i + 1);
		assert_int_equal(list[i].err, i < COUNT(list) - 1 ? 0 : -EIO);
		free(list[i].data);
	}
	assert_int_equal(last.err, -EIO);
	free(last.data);
	disk_free(d);
	while (waitpid(-1, NULL, WNOHANG) != -1)
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

/* The call that is under way ends well, and its lock holds until then. */
static void outlives(void **state)
{
	struct answer lock, gate;
	struct disk *d = new_disk();
	pid_t pid = child_of();
	int fd;

	(void)state;
	call_and_wait(d, OP_LOCK, "", &lock);
	assert_int_equal(lock.err, 0);
	fd = open("lock", O_RDWR);
	assert_true(fd >= 0);
	call(d, OP_GATE, "", &gate);
	disk_free(d);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(access("passed", F_OK), -1);
	open_gate();
	assert_reaped(pid);
	assert_int_equal(access("passed", F_OK), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(gate.number, 0);
	close(fd);
	free(lock.data);
}

static void free_it(void *ctx, int err, const char *data, size_t len)
{
	struct disk **d = ctx;

	disk_free(*d);
	*d = NULL;
	answers++;
	/* Still there: it is gone only on return. */
	assert_int_equal(strlen(data), err ? 0 : len);
}

/* From within an answer, and from within one of a dead process. */
static void freed_within(void **state)
{
	struct answer never = { 0 };
	struct disk *d;
	int dead;

	(void)state;
	for (dead = 0; dead < 2; dead++) {
		d = new_disk();
		assert_int_equal(disk_call(d, dead ? OP_EXIT : OP_ECHO, "x", 1, free_it, &d), 0);
		assert_int_equal(disk_call(d, OP_ECHO, "x", 1, keep, &never), 0);
		while (d)
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
		assert_int_equal(answers, dead + 1);
		assert_int_equal(never.number, 0);
		while (waitpid(-1, NULL, WNOHANG) != -1)
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	}
	disk_free(NULL);
}

struct chain {
	struct disk *d;
	int left;
	bool inside;
	struct answer last;
};

static void link_call(void *ctx, int err, const char *data, size_t len)
{
	struct chain *c = ctx;

	(void)data;
	(void)len;
	assert_false(c->inside);
	c->inside = true;
	if (c->left--)
		assert_int_equal(disk_call(c->d, OP_ECHO, "x", 1, link_call, c), 0);
	else
		c->last.number = 1;
	c->last.err = err;
	c->inside = false;
}

static void chained(void **state)
{
	struct chain c = { .d = new_disk(), .left = 100 };
	pid_t pid = child_of();

	(void)state;
	link_call(&c, 0, "", 0);
	run_until(&c.last);
	assert_int_equal(c.last.err, 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	c = (struct chain){ .d = c.d, .left = 100 };
	link_call(&c, 0, "", 0);
	run_until(&c.last);
	assert_int_equal(c.last.err, -EIO);
	disk_free(c.d);
	assert_reaped(pid);
}

/* Nothing of what fails leaves a process or a descriptor behind. */
static void no_descriptors(void **state)
{
	struct rlimit before, few;
	struct disk *d = NULL;
	int fd = dup(0), err = -1, i;

	(void)state;
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (i = 0; err && i < 10; i++) {
		few = (struct rlimit){ (rlim_t)(fd + i), before.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		err = disk_new(event, handle, &counter, &d);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (!err)
			break;
		assert_int_equal(err, -EMFILE);
		assert_null(d);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(dup(0), fd);
		close(fd);
	}
	assert_int_equal(i, 3);
	finish(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(order),   TEST(errors),	     TEST(surroundings), TEST(hanging),
		TEST(killed),  TEST(ended),	     TEST(outlives),	 TEST(freed_within),
		TEST(chained), TEST(no_descriptors),
	};

	alarm(120);
	return RUN(tests);
}
