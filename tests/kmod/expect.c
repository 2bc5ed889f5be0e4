// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "procfs.h"
#include "subject.h"
#include "tap.h"

/* As the contract has it: NULs become spaces, those at the end go. */
size_t expected_cmdline(pid_t pid, char *to)
{
	static char raw[SYSINFO_CMDLINE_MAX + 1];
	size_t len = procfs_read_of(pid, "cmdline", raw, sizeof(raw));

	while (len && !raw[len - 1])
		len--;
	for (size_t i = 0; i < len; i++)
		if (!raw[i])
			raw[i] = ' ';
	return document_repair(raw, len, to);
}

void expect_texts(struct json_object *process, pid_t pid)
{
	char name[64], expected[3 * SYSINFO_CMDLINE_MAX];
	size_t len = procfs_read_of(pid, "comm", name, sizeof(name)) - 1;

	tap_expect(document_string_is(process, "Name", expected,
				      document_repair(name, len, expected)),
		   "Name: %s", document_string(process, "Name"));
	len = expected_cmdline(pid, expected);
	tap_expect(document_string_is(process, "Cmdline", expected, len), "Cmdline: %s, not %.*s",
		   document_string(process, "Cmdline"), (int)len, expected);
}

static void expect_rounded(struct json_object *process, const char *key, double low, double high)
{
	double value = document_percent(process, key);

	tap_expect(value >= low - 0.00501 && value <= high + 0.00501, "%s: %.2f is not in %f..%f",
		   key, value, low, high);
}

/* All fields of a process that does nothing meanwhile. */
void expect_fields(struct json_object *document, pid_t pid)
{
	struct json_object *process = document_process(document, pid);
	int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	int64_t rss, cpu, start, begin, end;
	struct procfs_stat stat;

	if (!tap_expect(process, "process %d is not listed", pid))
		return;
	procfs_stat(pid, &stat);
	tap_expect(document_number(process, "PPID") == stat.ppid, "PPID");
	tap_expect(document_string(process, "State")[0] == stat.state &&
			   !document_string(process, "State")[1],
		   "State: %s, not %c", document_string(process, "State"), stat.state);
	tap_expect(document_number(process, "Threads") == stat.threads, "Threads: %ld, not %ld",
		   document_number(process, "Threads"), stat.threads);
	start = document_number(process, "StartTimeUs");
	tap_expect(start / tick_us == stat.start_ticks, "StartTimeUs: %ld, not %ld ticks", start,
		   stat.start_ticks);
	if (stat.state != 'Z')
		tap_expect(document_number(process, "Vsz") * 1024 == stat.vsz_bytes,
			   "Vsz: %ld KiB, not %ld bytes", document_number(process, "Vsz"),
			   stat.vsz_bytes);
	rss = document_number(process, "Rss");
	if (stat.state != 'Z')
		tap_expect(rss == procfs_rss_kib(pid), "Rss: %ld, not %ld", rss,
			   procfs_rss_kib(pid));
	expect_rounded(process, "MemoryUsage",
		       100.0 * rss / document_number(document, "TotalRAM"),
		       100.0 * rss / document_number(document, "TotalRAM"));
	cpu = document_number(process, "CPUTimeUs");
	tap_expect(document_number(process, "UserTimeUs") / tick_us == stat.user_ticks,
		   "UserTimeUs: %ld, not %ld ticks", document_number(process, "UserTimeUs"),
		   stat.user_ticks);
	tap_expect(document_number(process, "SystemTimeUs") / tick_us == stat.system_ticks,
		   "SystemTimeUs: %ld, not %ld ticks", document_number(process, "SystemTimeUs"),
		   stat.system_ticks);
	/* each cut to a microsecond */
	tap_expect(labs(cpu - document_number(process, "UserTimeUs") -
			document_number(process, "SystemTimeUs")) <= 1, "CPUTimeUs is not the sum");
	begin = document_number(document, "BootTimeUs") - start;
	end = begin + document_number(document, "CollectUs");
	if (begin > 10000)
		expect_rounded(process, "CPUUsage", 100.0 * cpu / end, 100.0 * cpu / begin);
	expect_texts(process, pid);
}
void expect_cmdline(pid_t pid, const char *what, const char *expected, size_t len)
{
	struct json_object *document = document_take();
	struct json_object *process = document_process(document, pid);

	tap_expect(process && document_string_is(process, "Cmdline", expected, len), "%s: %.100s",
		   what, process ? document_string(process, "Cmdline") : "not listed");
	json_object_put(document);
	subject_end(pid);
}

int64_t cgroup_inode(const char *cgroup)
{
	char path[2048];
	struct stat st;

	snprintf(path, sizeof(path), SUBJECT_CGROUP_ROOT "%s", cgroup);
	must(stat(path, &st));
	return st.st_ino;
}
