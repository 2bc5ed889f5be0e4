// SPDX-License-Identifier: GPL-2.0
/*
 * procfs as fast as it goes: openat() below one descriptor of /proc, one read() a
 * file, no allocation, no libc parsing; cgroup first, as it tells whether the rest
 * is wanted. stat has all numbers, so that statm and status need not be opened.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kmod/container_id.h"
#include "reader.h"

static int proc = -1;

struct record {
	long pid, ppid, threads, user_ticks, system_ticks, start_ticks, vsz, rss;
	char state;
	char name[64];
	size_t cmdline_len, cgroup_len;
	struct container_id container;
};

/* To where the kernel's answers go, one process after the other. */
static char cgroup[4096], stat_text[1024], cmdline[4097];
static struct record record;

static int procfs_begin(void)
{
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc < 0 ? -1 : 0;
}

static ssize_t read_file(const char *path, char *to, size_t size)
{
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, to, size);
	close(fd);
	return n;
}

static const char *number(const char *at, long *ret)
{
	long value = 0;

	while (*at == ' ')
		at++;
	if (*at == '-')
		at++;
	while (*at >= '0' && *at <= '9')
		value = value * 10 + *at++ - '0';
	*ret = value;
	return at;
}

static void parse_stat(size_t len)
{
	const char *open = memchr(stat_text, '(', len);
	const char *at = memrchr(stat_text, ')', len);
	long skipped;

	number(stat_text, &record.pid);
	memcpy(record.name, open + 1, at - open - 1);
	record.state = at[2];
	at = number(at + 3, &record.ppid);
	for (int i = 5; i <= 24; i++) {
		long *to = i == 14 ? &record.user_ticks : i == 15 ? &record.system_ticks :
			   i == 20 ? &record.threads : i == 22 ? &record.start_ticks :
			   i == 23 ? &record.vsz : i == 24 ? &record.rss : &skipped;

		at = number(at, to);
	}
}

static size_t read_process(const char *name, size_t name_len)
{
	char path[32];
	ssize_t n, len;

	memcpy(path, name, name_len);
	strcpy(path + name_len, "/cgroup");
	n = read_file(path, cgroup, sizeof(cgroup));
	/* "0::/path\n" */
	if (n < 5 || container_id_find(cgroup + 3, n - 4, &record.container))
		return 0;
	record.cgroup_len = n - 4;
	len = n;
	strcpy(path + name_len, "/stat");
	n = read_file(path, stat_text, sizeof(stat_text) - 1);
	if (n <= 0)
		return 0;
	parse_stat(n);
	len += n;
	strcpy(path + name_len, "/cmdline");
	n = read_file(path, cmdline, sizeof(cmdline) - 1);
	record.cmdline_len = n > 0 ? n : 0;
	return len + record.cmdline_len;
}

struct linux_dirent {
	unsigned long ino;
	long off;
	unsigned short len;
	unsigned char type;
	char name[];
};

static void procfs_read(struct reader_result *ret)
{
	static char entries[1 << 16] __attribute__((aligned(8)));
	long n;

	*ret = (struct reader_result){};
	lseek(proc, 0, SEEK_SET);
	while ((n = syscall(SYS_getdents64, proc, entries, sizeof(entries))) > 0) {
		for (char *at = entries; at < entries + n;) {
			struct linux_dirent *entry = (struct linux_dirent *)at;
			size_t len;

			at += entry->len;
			if (entry->name[0] < '1' || entry->name[0] > '9')
				continue;
			len = read_process(entry->name, strlen(entry->name));
			ret->bytes += len;
			ret->processes += len > 0;
		}
	}
}

const struct reader reader_procfs = { .name = "procfs", .begin = procfs_begin, .read = procfs_read };
