// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/self.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/io/file.h"

/* The parent's pid; 0: none, or not known. */
static uint32_t parent_of(uint32_t pid)
{
	char path[64], *text, *at;
	uint32_t parent = 0;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (file_read_all(AT_FDCWD, path, 4096, &text, &len))
		return 0;
	/* "pid (comm) state ppid": comm may hold anything, so from its end (proc(5)). */
	at = strrchr(text, ')');
	if (at && sscanf(at + 1, " %*c %u", &parent) != 1)
		parent = 0;
	free(text);
	return parent;
}

/* The container that this cgroup, or one above it, is. */
static void mark_group(struct model *m, const char *group)
{
	size_t i, len;

	for (i = 0; i < m->container_count; i++) {
		struct model_container *c = &m->containers[i];

		len = strlen(c->path);
		if (!strncmp(group, c->path, len) && (group[len] == '/' || group[len] == '\n'))
			c->self = true;
	}
}

/* By its place in cgroup v2, the line "0::PATH" (cgroups(7)). */
static void mark_place(struct model *m, uint32_t pid)
{
	char path[64], *text, *line;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	if (file_read_all(AT_FDCWD, path, 64 * 1024, &text, &len))
		return;
	line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
	if (line)
		mark_group(m, strchr(line, '/') ?: "");
	free(text);
}

void self_mark(struct model *m)
{
	uint32_t pid;
	size_t i;

	for (pid = (uint32_t)getpid(); pid; pid = parent_of(pid)) {
		mark_place(m, pid);
		for (i = 0; i < m->process_count; i++)
			if (m->processes[i].pid == pid)
				m->containers[m->processes[i].container].self = true;
	}
}
