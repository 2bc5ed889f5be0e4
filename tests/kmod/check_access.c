// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "subject.h"
#include "tap.h"

/* A group and a user that are nobody else's in the guest. */
#define READERS 7777

/* Runs try in a process of its own, which may change what it is; its result. */
static int elsewhere(int (*try)(void))
{
	pid_t pid = must(fork());
	int status;

	if (!pid)
		_exit(try());
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* 0 if it can be opened, else the errno. */
static int try_open(void)
{
	int fd = open(SYSINFO_PATH, O_RDONLY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int try_as_stranger(void)
{
	must(setgroups(0, NULL));
	must(setresgid(READERS + 1, READERS + 1, READERS + 1));
	must(setresuid(READERS, READERS, READERS));
	return try_open();
}

static int try_as_reader(void)
{
	must(setgroups(0, NULL));
	must(setresgid(READERS, READERS, READERS));
	must(setresuid(READERS, READERS, READERS));
	return try_open();
}

static int try_in_pid_namespace(void)
{
	must(unshare(CLONE_NEWPID | CLONE_NEWNS));
	return elsewhere(try_open);
}

static int try_own_proc(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mount("proc", "/proc", "proc", 0, NULL));
	return try_open();
}

static int try_in_container(void)
{
	must(unshare(CLONE_NEWPID | CLONE_NEWNS));
	return elsewhere(try_own_proc);
}

static void expect_mode(const char *parameters, mode_t mode, gid_t group)
{
	struct stat st;

	module_reload(parameters);
	must(stat(SYSINFO_PATH, &st));
	tap_expect(st.st_mode == (S_IFREG | mode) && st.st_uid == 0 && st.st_gid == group,
		   "%s: %o %d:%d", parameters, st.st_mode, st.st_uid, st.st_gid);
}

static void access_is_as_told(void)
{
	expect_mode("", 0440, 0);
	tap_expect(elsewhere(try_as_stranger) == EACCES, "a stranger reads");
	tap_expect(elsewhere(try_as_reader) == EACCES, "the group reads that was not told");
	expect_mode("group=7777", 0440, READERS);
	tap_expect(elsewhere(try_as_stranger) == EACCES, "a stranger reads");
	tap_expect(elsewhere(try_as_reader) == 0, "the group doesn't read");
	expect_mode("mode=444", 0444, 0);
	tap_expect(elsewhere(try_as_stranger) == 0, "a stranger doesn't read");
	expect_mode("mode=0400 group=7777", 0400, READERS);
	tap_expect(elsewhere(try_as_reader) == EACCES, "the group reads without the mode");
	module_reload("");
}

static void containers_may_not_read(void)
{
	module_reload("mode=0444");
	tap_expect(elsewhere(try_open) == 0, "not readable at all");
	tap_expect(elsewhere(try_in_pid_namespace) == EPERM, "by the host's /proc");
	tap_expect(elsewhere(try_in_container) == EPERM, "by its own /proc");
	module_reload("");
}

static int try_open_many(void)
{
	must(setgroups(0, NULL));
	must(setresgid(READERS, READERS, READERS));
	for (int i = 0; i < SYSINFO_OPEN_MAX; i++)
		if (open(SYSINFO_PATH, O_RDONLY) < 0)
			return errno;
	/* one more is for root */
	if (open(SYSINFO_PATH, O_RDONLY) < 0)
		return 1;
	must(setresuid(READERS, READERS, READERS));
	return try_open();
}

static void open_files_are_limited(void)
{
	module_reload("group=7777");
	tap_expect(elsewhere(try_open_many) == EBUSY, "no limit");
	tap_expect(elsewhere(try_as_reader) == 0, "what was open still counts");
	module_reload("");
}

static void command_lines_can_be_off(void)
{
	pid_t pid = subject_start(DOCKER_A, NULL, NULL);
	struct json_object *document, *process;
	char expected[3 * SYSINFO_CMDLINE_MAX];

	module_reload("cmdline=0");
	document = document_take();
	process = document_process(document, pid);
	tap_expect(process && document_string_is(process, "Cmdline", "", 0), "still shown");
	tap_expect(process && document_number(process, "Rss") > 0, "memory is off too");
	json_object_put(document);
	module_reload("");
	expect_cmdline(pid, "back on", expected, expected_cmdline(pid, expected));
}

void check_access(void)
{
	tap_run("mode and group", access_is_as_told);
	tap_run("containers may not read", containers_may_not_read);
	tap_run("open files are limited", open_files_are_limited);
	tap_run("command lines can be off", command_lines_can_be_off);
}
