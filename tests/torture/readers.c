// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmod/sysinfo_abi.h"
#include "tests/kmod/document.h"
#include "tests/kmod/subject.h"
#include "tests/kmod/tap.h"
#include "torture.h"

#define FIRST_TEXT "{\"SchemaVersion\":"
#define LAST_TEXT "\n]}\n"

/* One whole snapshot in so many is parsed: parsing takes longer than all the rest. */
#define PARSED_OF 32

/* Never grown, so that injected failures meet the kernel alone. */
static char text[1 << 20];

static void wrong(const char *what, int error)
{
	torture_counts->wrong++;
	printf("# %s: %s\n", what, strerror(error));
}

static int reader_open(void)
{
	int fd = open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		torture_counts->snapshots++;
	else if (errno == ENOMEM)
		torture_counts->no_memory++;
	else if (errno == ENOENT)
		torture_counts->no_module++;
	else if (errno == EBUSY)
		torture_counts->busy++;
	else
		wrong("open", errno);
	return fd;
}

/* A call that read: how many bytes; 0 also if there will be no more. */
static size_t reader_took(ssize_t n)
{
	if (n >= 0) {
		torture_counts->bytes += n;
		return n;
	}
	if (errno == EIO)
		torture_counts->cut_off++;
	else if (errno != ENOMEM)
		wrong("read", errno);
	return 0;
}

static bool looks_whole(size_t len)
{
	return len > sizeof(FIRST_TEXT) + sizeof(LAST_TEXT) &&
	       !memcmp(text, FIRST_TEXT, sizeof(FIRST_TEXT) - 1) &&
	       !memcmp(text + len - sizeof(LAST_TEXT) + 1, LAST_TEXT, sizeof(LAST_TEXT) - 1);
}

static void read_whole(int fd, bool parse)
{
	size_t step = 1 + torture_random(1 << 17), len = 0, n;
	unsigned long cut_off = torture_counts->cut_off;
	struct json_object *document;

	while (len < sizeof(text) - step &&
	       (n = reader_took(read(fd, text + len, step))))
		len += n;
	/* Somebody's read was cut off meanwhile; it may have been this one. */
	if (torture_counts->cut_off != cut_off)
		return;
	torture_counts->whole++;
	if (!looks_whole(len)) {
		wrong("not a whole document", 0);
		return;
	}
	if (!parse)
		return;
	text[len] = '\0';
	document = document_parse(text, len);
	if (!document)
		wrong("not a document", 0);
	torture_counts->parsed++;
	json_object_put(document);
}

static void read_short(int fd)
{
	for (unsigned int i = torture_random(40); i; i--)
		if (!reader_took(read(fd, text, 1 + torture_random(100))))
			return;
}

static void read_anywhere(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);

	for (unsigned int i = torture_random(20); i && end > 0; i--) {
		off_t at = torture_random(end + 100);

		if (i % 2)
			reader_took(pread(fd, text, 1 + torture_random(5000), at));
		else if (lseek(fd, at, SEEK_SET) == at)
			reader_took(read(fd, text, 1 + torture_random(5000)));
	}
}

static void read_by_pipe(int fd)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return;
	reader_took(sendfile(ends[1], fd, NULL, 1 + torture_random(30000)));
	close(ends[0]);
	close(ends[1]);
}

static void read_somehow(int fd, bool parse)
{
	switch (torture_random(8)) {
	case 0:
		read_short(fd);
		break;
	case 1:
		read_anywhere(fd);
		break;
	case 2:
		read_by_pipe(fd);
		break;
	case 3:
		/* closed unread */
		break;
	default:
		read_whole(fd, parse && !torture_random(PARSED_OF));
	}
}

static void reader(unsigned int parse)
{
	for (;;) {
		int fd = reader_open();

		if (fd < 0) {
			usleep(20000);
			continue;
		}
		read_somehow(fd, parse);
		close(fd);
	}
}

static void reader_plain(unsigned int arg)
{
	(void)arg;
	reader(true);
}

/* Its own allocations in the kernel fail now and then. */
static void reader_unlucky(unsigned int arg)
{
	(void)arg;
	/* A page fault that fails is tried again, and complained about. */
	must(mlockall(MCL_CURRENT | MCL_FUTURE));
	torture_write("/proc/self/make-it-fail", "1");
	reader(false);
}

/* The memory of its cgroup is always just about used up. */
static void reader_pressed(unsigned int arg)
{
	(void)arg;
	subject_enter("/pressed");
	reader(true);
}

static void reader_unprivileged(unsigned int arg)
{
	(void)arg;
	must(setgid(65534));
	must(setuid(65534));
	reader(true);
}

/* Two that read one open file at the same time. */
static void readers_of_one(unsigned int arg)
{
	(void)arg;
	for (;;) {
		int fd = reader_open();
		pid_t pid;

		if (fd < 0) {
			torture_pause();
			continue;
		}
		pid = must(fork());
		read_anywhere(fd);
		read_short(fd);
		if (!pid)
			_exit(0);
		close(fd);
		must(waitpid(pid, NULL, 0));
	}
}

/* Killed wherever it is. */
static void reader_killed(unsigned int arg)
{
	(void)arg;
	for (;;) {
		pid_t pid = must(fork());

		if (!pid) {
			torture_seed();
			reader(false);
		}
		usleep(torture_random(40000));
		must(kill(pid, SIGKILL));
		must(waitpid(pid, NULL, 0));
		torture_counts->killed_readers++;
	}
}

unsigned int readers_start(void)
{
	static void (*const loops[])(unsigned int arg) = {
		reader_plain,	reader_plain,	reader_plain,	     reader_plain,   reader_unlucky,
		reader_unlucky, reader_pressed, reader_unprivileged, readers_of_one, reader_killed,
	};
	const unsigned int n = sizeof(loops) / sizeof(loops[0]);

	for (unsigned int i = 0; i < n; i++)
		torture_start(loops[i], i);
	return n;
}

unsigned int readers_fail_in_turn(void)
{
	int nth = must(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
	char number[16] = "";
	unsigned int n;

	must(mlockall(MCL_CURRENT | MCL_FUTURE));
	for (n = 1;; n++) {
		size_t len = 0, got;
		int fd;

		/* What is left of the count tells whether the n-th was reached. */
		must(pwrite(nth, number, snprintf(number, sizeof(number), "%u", n), 0));
		fd = reader_open();
		memset(number, 0, sizeof(number));
		must(pread(nth, number, sizeof(number) - 1, 0));
		must(pwrite(nth, "0", 1, 0));
		if (fd >= 0) {
			while ((got = reader_took(read(fd, text + len, sizeof(text) - len))))
				len += got;
			tap_expect(looks_whole(len), "no document when allocation %u fails", n);
			close(fd);
		}
		if (atoi(number)) {
			tap_expect(fd >= 0, "the open fails without a reason");
			break;
		}
	}
	close(nth);
	must(munlockall());
	return n - 1;
}
