// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "procfs.h"
#include "tap.h"

size_t procfs_read(const char *path, char *text, size_t size)
{
	int fd = must(open(path, O_RDONLY | O_CLOEXEC));
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = must(read(fd, text + len, size - 1 - len))) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	return len;
}

size_t procfs_read_of(pid_t pid, const char *file, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return procfs_read(path, text, size);
}

void procfs_stat(pid_t pid, struct procfs_stat *ret)
{
	char text[1024], *at;

	procfs_read_of(pid, "stat", text, sizeof(text));
	/* The name is in parentheses and may hold any, so look for the last. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1,
			  " %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %*d %*d %*d %*d "
			  "%ld %*d %ld %ld",
			  &ret->state, &ret->ppid, &ret->user_ticks, &ret->system_ticks,
			  &ret->threads, &ret->start_ticks, &ret->vsz_bytes) != 7)
		tap_bail_out("stat");
}

int64_t procfs_rss_kib(pid_t pid)
{
	char text[256];
	int64_t pages;

	procfs_read_of(pid, "statm", text, sizeof(text));
	if (sscanf(text, "%*d %ld", &pages) != 1)
		tap_bail_out("statm");
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int64_t procfs_number(const char *path, const char *key)
{
	static char text[1 << 16];
	char *line;

	procfs_read(path, text, sizeof(text));
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, strlen(key)))
			return strtoll(line + strlen(key), NULL, 10);
	}
	tap_bail_out(key);
}
