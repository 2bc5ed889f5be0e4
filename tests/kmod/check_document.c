// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "procfs.h"
#include "subject.h"
#include "tap.h"

static int64_t now_us(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_BOOTTIME, &now));
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int64_t cpu_ticks_us(const int64_t *ticks, int first, int last)
{
	int64_t sum = 0;

	for (int i = first; i <= last; i++)
		sum += ticks[i];
	return sum * 1000000 / sysconf(_SC_CLK_TCK);
}

static void read_cpu(int64_t *ret_ticks)
{
	char text[4096];

	procfs_read("/proc/stat", text, sizeof(text));
	if (sscanf(text, "cpu %ld %ld %ld %ld %ld %ld %ld %ld", &ret_ticks[0], &ret_ticks[1],
		   &ret_ticks[2], &ret_ticks[3], &ret_ticks[4], &ret_ticks[5], &ret_ticks[6],
		   &ret_ticks[7]) != 8)
		tap_bail_out("/proc/stat");
}

static void expect_between(struct json_object *object, const char *key, int64_t before,
			   int64_t after, int64_t slack)
{
	int64_t low = (before < after ? before : after) - slack;
	int64_t high = (before < after ? after : before) + slack;
	int64_t value = document_number(object, key);

	tap_expect(value >= low && value <= high, "%s: %ld is not in %ld..%ld", key, value, low,
		   high);
}

static void machine_is_right(void)
{
	static const struct {
		const char *key, *proc;
		int64_t slack_kib;
	} memory[] = {
		{ "TotalRAM", "MemTotal:", 0 },
		/* per-CPU page lists come and go between two looks */
		{ "FreeRAM", "MemFree:", 4096 },
		{ "AvailableRAM", "MemAvailable:", 4096 },
		{ "BufferRAM", "Buffers:", 64 },
	};
	int64_t before[4], after[4], cpu_before[8], cpu_after[8], begin, end;
	char load_before[64], load_after[64], load[64];
	struct json_object *document, *cpu, *averages;
	struct utsname uts;
	/* each of the columns summed is cut to a tick, on each side */
	int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);

	for (int i = 0; i < 4; i++)
		before[i] = procfs_number("/proc/meminfo", memory[i].proc);
	procfs_read("/proc/loadavg", load_before, sizeof(load_before));
	read_cpu(cpu_before);
	begin = now_us();
	document = document_take();
	end = now_us();
	read_cpu(cpu_after);
	procfs_read("/proc/loadavg", load_after, sizeof(load_after));
	for (int i = 0; i < 4; i++)
		after[i] = procfs_number("/proc/meminfo", memory[i].proc);

	for (int i = 0; i < 4; i++)
		expect_between(document, memory[i].key, before[i], after[i], memory[i].slack_kib);
	tap_expect(document_number(document, "UsedRAM") ==
			   document_number(document, "TotalRAM") -
				   document_number(document, "FreeRAM"),
		   "UsedRAM");
	expect_between(document, "BootTimeUs", begin, end, 0);
	expect_between(document, "CollectUs", 0, end - begin, 0);
	tap_expect(document_number(document, "SchemaVersion") == SYSINFO_SCHEMA_VERSION,
		   "SchemaVersion");
	must(uname(&uts));
	tap_expect(!strcmp(document_string(document, "Kernel"), uts.release), "Kernel");
	tap_expect(document_number(document, "CPUs") == sysconf(_SC_NPROCESSORS_ONLN), "CPUs");

	cpu = json_object_object_get(document, "CPU");
	expect_between(cpu, "UserUs", cpu_ticks_us(cpu_before, 0, 1),
		       cpu_ticks_us(cpu_after, 0, 1), 2 * tick_us);
	expect_between(cpu, "SystemUs",
		       cpu_ticks_us(cpu_before, 2, 2) + cpu_ticks_us(cpu_before, 5, 6),
		       cpu_ticks_us(cpu_after, 2, 2) + cpu_ticks_us(cpu_after, 5, 6), 3 * tick_us);
	expect_between(cpu, "IdleUs", cpu_ticks_us(cpu_before, 3, 3),
		       cpu_ticks_us(cpu_after, 3, 3), tick_us);
	expect_between(cpu, "IOWaitUs", cpu_ticks_us(cpu_before, 4, 4),
		       cpu_ticks_us(cpu_after, 4, 4), tick_us);
	expect_between(cpu, "StealUs", cpu_ticks_us(cpu_before, 7, 7),
		       cpu_ticks_us(cpu_after, 7, 7), tick_us);

	averages = json_object_object_get(document, "LoadAvg");
	snprintf(load, sizeof(load), "%.2f %.2f %.2f ",
		 json_object_get_double(json_object_array_get_idx(averages, 0)),
		 json_object_get_double(json_object_array_get_idx(averages, 1)),
		 json_object_get_double(json_object_array_get_idx(averages, 2)));
	tap_expect(!strncmp(load, load_before, strlen(load)) ||
			   !strncmp(load, load_after, strlen(load)),
		   "LoadAvg %s is neither %s nor %s", load, load_before, load_after);
	json_object_put(document);
}

static void snapshots_are_numbered(void)
{
	struct json_object *first = document_take(), *second = document_take(), *third;

	tap_expect(document_number(second, "Sequence") == document_number(first, "Sequence") + 1,
		   "not one more");
	tap_expect(!strcmp(document_string(first, "Instance"), document_string(second, "Instance")),
		   "another instance without a reload");
	tap_expect(strlen(document_string(first, "Instance")) == 36, "not a UUID");
	module_reload("");
	third = document_take();
	tap_expect(document_number(third, "Sequence") == 1, "doesn't start at 1");
	tap_expect(strcmp(document_string(first, "Instance"), document_string(third, "Instance")),
		   "the same instance after a reload");
	json_object_put(first);
	json_object_put(second);
	json_object_put(third);
}

static void reads_agree(void)
{
	static const size_t sizes[] = { 1, 3, 7, 61, 4095, 4097, 1 << 20 };
	char *whole, *part, *nowhere, argument[SYSINFO_CMDLINE_MAX];
	pid_t pids[20];
	int fd, ends[2];
	size_t len;

	memset(argument, 'x', sizeof(argument) - 1);
	argument[sizeof(argument) - 1] = '\0';
	for (size_t i = 0; i < 20; i++)
		pids[i] = subject_exec(DOCKER_A, (char *[]){ argument, NULL }, (char *[]){ NULL });
	fd = must(open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC));
	whole = document_read_fd(fd, &len);
	/* What happens afterwards is not in it. */
	for (size_t i = 0; i < 20; i++)
		subject_end(pids[i]);
	tap_expect(len > SYSINFO_PIECE, "only %zu bytes: this shows little", len);
	tap_expect(document_parse(whole, len), "not a document");

	part = malloc(len + (1 << 20));
	if (!part)
		tap_bail_out("malloc");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t got = 0;
		ssize_t n;

		tap_expect(lseek(fd, 0, SEEK_SET) == 0, "lseek to the start");
		while ((n = read(fd, part + got, sizes[i])) > 0)
			got += n;
		tap_expect(n == 0 && got == len && !memcmp(part, whole, len),
			   "another document by reads of %zu", sizes[i]);
		got = 0;
		while ((n = pread(fd, part + got, sizes[i], got)) > 0)
			got += n;
		tap_expect(n == 0 && got == len && !memcmp(part, whole, len),
			   "another document by preads of %zu", sizes[i]);
	}
	for (size_t at = len + 5; at > 0; at -= at < 37 ? at : 37) {
		ssize_t want = at >= len ? 0 : len - at < 100 ? len - at : 100;

		tap_expect(pread(fd, part, 100, at) == want && !memcmp(part, whole + at, want),
			   "another document at %zu", at);
	}
	tap_expect(lseek(fd, 0, SEEK_END) == (off_t)len, "SEEK_END is not the end");
	tap_expect(read(fd, part, 1) == 0, "something after the end");
	tap_expect(lseek(fd, -10, SEEK_CUR) == (off_t)len - 10, "SEEK_CUR");
	tap_expect(read(fd, part, 100) == 10 && !memcmp(part, whole + len - 10, 10), "the last 10");
	tap_expect(lseek(fd, -1, SEEK_SET) == -1 && errno == EINVAL, "before the start");

	/* a page that can be written to, and one that can't */
	nowhere = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0));
	must(mprotect(nowhere + 4096, 4096, PROT_NONE));
	tap_expect(pread(fd, nowhere + 4096, 10, 0) == -1 && errno == EFAULT, "to a bad address");
	tap_expect(lseek(fd, 50, SEEK_SET) == 50 && read(fd, nowhere + 4000, 4096) == 96 &&
			   !memcmp(nowhere + 4000, whole + 50, 96),
		   "up to a bad address");
	tap_expect(lseek(fd, 0, SEEK_CUR) == 146, "the offset is not behind what was read");
	munmap(nowhere, 8192);
	tap_expect(write(fd, "x", 1) == -1, "written to");

	must(pipe(ends));
	tap_expect(sendfile(ends[1], fd, &(off_t){ 100 }, 1000) == 1000, "sendfile");
	tap_expect(read(ends[0], part, 2000) == 1000 && !memcmp(part, whole + 100, 1000),
		   "another document by sendfile");
	close(ends[0]);
	close(ends[1]);
	close(fd);
	free(part);
	free(whole);
}

#define HELD_KIB (48 << 10)

static void act_touch_much(void *unused)
{
	(void)unused;
	memset(must(mmap(NULL, HELD_KIB << 10, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)), 1, HELD_KIB << 10);
}

/* Whoever is in a snapshot can end, be buried, give its memory back and lose its cgroup. */
static void open_snapshots_hold_nobody(void)
{
	int64_t free_kib, deadline_us;
	pid_t pid;
	char byte;
	int fd;

	subject_cgroup("/docker/" HEX_B);
	pid = subject_start("/docker/" HEX_B, act_touch_much, NULL);
	free_kib = procfs_number("/proc/meminfo", "MemFree:");
	fd = must(open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC));
	must(read(fd, &byte, 1));
	subject_end(pid);
	tap_expect(!rmdir(SUBJECT_CGROUP_ROOT "/docker/" HEX_B), "its cgroup is held: %s",
		   strerror(errno));
	/* its last pages go back by and by */
	deadline_us = now_us() + 5000000;
	while (procfs_number("/proc/meminfo", "MemFree:") < free_kib + HELD_KIB / 2)
		if (!tap_expect(now_us() < deadline_us, "its memory is held"))
			break;
	close(fd);
}

void check_document(void)
{
	tap_run("the machine's numbers are the kernel's", machine_is_right);
	tap_run("snapshots are numbered", snapshots_are_numbered);
	tap_run("an open file is one document, however it is read", reads_agree);
	tap_run("an open file holds up nobody", open_snapshots_hold_nobody);
}
