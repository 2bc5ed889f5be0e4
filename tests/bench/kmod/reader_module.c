// SPDX-License-Identifier: GPL-2.0
/* The module: one open, a few reads. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kmod/sysinfo_abi.h"
#include "reader.h"

static char text[32 << 20];

static int module_begin(void)
{
	memset(text, 1, sizeof(text));
	return 0;
}

static void module_read(struct reader_result *ret)
{
	int fd = open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += n;
	close(fd);
	ret->bytes = len;
	ret->processes = 0;
	/* not part of the reading, but far cheaper than it: one a process */
	for (const char *at = text; (at = memmem(at, text + len - at, "\n{\"PID\"", 7)); at++)
		ret->processes++;
}

const struct reader reader_module = { "module", module_begin, module_read };
