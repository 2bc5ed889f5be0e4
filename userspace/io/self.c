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

void self_mark(struct model *m)
{
	uint32_t pid;
	size_t i;

	for (pid = (uint32_t)getpid(); pid; pid = parent_of(pid))
		for (i = 0; i < m->process_count; i++)
			if (m->processes[i].pid == pid)
				m->containers[m->processes[i].container].self = true;
}
