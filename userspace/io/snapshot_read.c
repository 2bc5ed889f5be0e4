// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/snapshot_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/sysinfo_abi.h"
#include "userspace/host/namespace.h"
#include "userspace/io/file.h"

static int explain(int err, const char *path, char *reason)
{
	const char *advice = "";

	if (err == -ENOENT)
		advice = "; load the module: sudo insmod ./sysinfo.ko";
	else if (err == -EPERM && !namespace_is_initial_pid())
		advice = "; the module answers only readers in the host's PID namespace: start the container with --pid=host";
	else if (err == -EACCES || err == -EPERM)
		advice = "; run as root, or load the module with group=<your gid>";
	snprintf(reason, SNAPSHOT_READ_REASON_SIZE, "can't read the snapshot %s: %s%s", path,
		 strerror(-err), advice);
	return err;
}

int snapshot_read(const char *path, struct snapshot **ret, char *reason)
{
	char why[SNAPSHOT_REASON_SIZE];
	char *text;
	size_t len;
	int err;

	err = file_read_all(AT_FDCWD, path, SYSINFO_DOCUMENT_MAX, &text, &len);
	if (err)
		return explain(err, path, reason);
	err = snapshot_parse(text, len, ret, why);
	free(text);
	if (err == -ENOMEM)
		return explain(err, path, reason);
	if (err)
		snprintf(reason, SNAPSHOT_READ_REASON_SIZE, "the snapshot %s is not usable: %s", path,
			 why);
	return err;
}
