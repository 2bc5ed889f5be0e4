// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "procfs.h"
#include "subject.h"
#include "tap.h"

static void set_args(unsigned long start, unsigned long end)
{
	/* in this order the start is never past the end: the stack is above any mapping */
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_START, start, 0, 0));
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0));
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void random_bytes(char *to, size_t len)
{
	static const char *const pieces[] = {
		"\"", "\\", "\",\"PID\":1,\"", "}]}", "\\u0000", "\n", "\r\n", "\x1b[2J", "\xc2\x9b",
		"\xe2\x80\xa8", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3\xa9", "\xf0\x9f\x98\x80",
		"\xef\xbb\xbf", "\xff\xfe",
	};

	for (size_t at = 0; at < len;) {
		uint64_t r = random_next();

		if (r & 1) {
			to[at++] = r >> 8;
		} else {
			const char *piece = pieces[(r >> 8) % (sizeof(pieces) / sizeof(pieces[0]))];

			while (*piece && at < len)
				to[at++] = *piece++;
		}
	}
}

#define ROUNDS 400

/* Each subject gives itself a name, and is told to take the next by a byte. */
static int orders[2], answers[2];

static void act_random_names(void *unused)
{
	char name[16], byte;

	(void)unused;
	subject_busy();
	while (read(orders[0], name, sizeof(name)) == sizeof(name)) {
		must(prctl(PR_SET_NAME, name));
		must(write(answers[1], &byte, 1));
	}
	_exit(0);
}

static void random_texts_survive(void)
{
	struct json_object *document, *process;
	char name[16], *arguments, byte;
	pid_t named, argued;
	int fd;

	must(pipe(orders));
	must(pipe(answers));
	named = subject_start(DOCKER_A, act_random_names, NULL);

	/* written to from here through /proc/PID/mem, into its own arguments */
	arguments = malloc(3001);
	memset(arguments, 'x', 3000);
	arguments[3000] = '\0';
	argued = subject_exec(DOCKER_A, (char *[]){ "subject", arguments, NULL },
			      (char *[]){ NULL });
	char path[64], text[1024], *at;
	unsigned long arg_start = 0;

	procfs_read_of(argued, "stat", text, sizeof(text));
	at = strrchr(text, ')');
	/* field 48 is arg_start, and 3 follows the name */
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %lu", &arg_start) != 1)
		tap_bail_out("arg_start");
	snprintf(path, sizeof(path), "/proc/%d/mem", argued);
	fd = must(open(path, O_RDWR | O_CLOEXEC));

	for (int round = 0; round < ROUNDS; round++) {
		size_t len = random_next() % 2990;

		random_bytes(name, sizeof(name));
		must(write(orders[1], name, sizeof(name)));
		must(read(answers[0], &byte, 1));
		random_bytes(arguments, len);
		must(pwrite(fd, arguments, len, arg_start));

		document = document_take();
		process = document_process(document, named);
		if (tap_expect(process, "round %d: not listed", round))
			expect_texts(process, named);
		process = document_process(document, argued);
		if (tap_expect(process, "round %d: not listed", round))
			expect_texts(process, argued);
		json_object_put(document);
	}
	close(fd);
	free(arguments);
	subject_end(named);
	subject_end(argued);
	close(orders[0]);
	close(orders[1]);
	close(answers[0]);
	close(answers[1]);
}

static void odd_argument_lists(void)
{
	static char *const no_env[] = { NULL };
	char *huge = malloc(100001), *cut = malloc(SYSINFO_CMDLINE_MAX + 2);
	struct json_object *document;
	pid_t pid;

	pid = subject_exec(DOCKER_A, (char *[]){ "", NULL }, no_env);
	expect_cmdline(pid, "one empty argument", "", 0);
	pid = subject_exec(DOCKER_A, (char *[]){ NULL }, no_env);
	expect_cmdline(pid, "no arguments", "", 0);
	pid = subject_exec(DOCKER_A, (char *[]){ "a", "", "b  c", "", "", NULL }, no_env);
	expect_cmdline(pid, "empty arguments within", "a  b  c", 7);

	memset(huge, 'x', 100000);
	huge[100000] = '\0';
	pid = subject_exec(DOCKER_A, (char *[]){ huge, "end", NULL }, no_env);
	document = document_take();
	tap_expect(document_process(document, pid), "huge: not listed");
	json_object_put(document);
	expect_cmdline(pid, "huge", huge, SYSINFO_CMDLINE_MAX);

	/* a character of two bytes across the limit is left out */
	memset(cut, 'y', SYSINFO_CMDLINE_MAX - 1);
	memcpy(cut + SYSINFO_CMDLINE_MAX - 1, "\xc3\xa9", 3);
	pid = subject_exec(DOCKER_A, (char *[]){ cut, NULL }, no_env);
	expect_cmdline(pid, "cut in a character", cut, SYSINFO_CMDLINE_MAX - 1);
	free(huge);
	free(cut);
}

static void act_title(void *title)
{
	char text[1024], *at;
	unsigned long start = 0, end = 0;

	procfs_read("/proc/self/stat", text, sizeof(text));
	at = strrchr(text, ')');
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %lu %lu", &start, &end) != 2)
		tap_bail_out("arg_start");
	/* over the end of the arguments, into the environment, as setproctitle() does */
	memset((char *)start, ' ', end - start);
	strcpy((char *)end - 1, title);
	memcpy((char *)start, "title", 5);
}

static void titles_are_shown(void)
{
	char expected[SYSINFO_CMDLINE_MAX * 3];
	pid_t pid = subject_start(DOCKER_A, act_title, "goes on in the environment");
	size_t len = expected_cmdline(pid, expected);

	tap_expect(len > 26 && !memcmp(expected, "title", 5) &&
			   !memcmp(expected + len - 11, "environment", 11),
		   "the kernel doesn't show it either: %.*s", (int)len, expected);
	expect_cmdline(pid, "title", expected, len);
}

static void act_args_unmapped(void *unused)
{
	char *page = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0));

	(void)unused;
	strcpy(page, "gone");
	set_args((unsigned long)page, (unsigned long)page + 5);
	must(munmap(page, 4096));
}

static void act_args_in_file(void *unused)
{
	int fd = must(open("/proc/self/exe", O_RDONLY));
	char *page = must(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));

	(void)unused;
	(void)*(volatile char *)page;
	set_args((unsigned long)page, (unsigned long)page + 5);
}

static void act_args_in_userfault(void *unused)
{
	char *page = subject_missing_page();

	(void)unused;
	set_args((unsigned long)page, (unsigned long)page + 5);
}

/* Nothing of this may be waited for, or shown. */
static void unreadable_arguments_are_empty(void)
{
	expect_cmdline(subject_start(DOCKER_A, act_args_unmapped, NULL), "unmapped", "", 0);
	expect_cmdline(subject_start(DOCKER_A, act_args_in_file, NULL), "in a file", "", 0);
	expect_cmdline(subject_start(DOCKER_A, act_args_in_userfault, NULL), "userfaultfd", "", 0);
}

void check_text(void)
{
	tap_run("random bytes as names and arguments", random_texts_survive);
	tap_run("empty, huge and cut argument lists", odd_argument_lists);
	tap_run("titles written over the arguments", titles_are_shown);
	tap_run("unreadable arguments", unreadable_arguments_are_empty);
}
