// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/cgroup_read.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "userspace/io/file.h"

/* memory.stat has some 50 lines, the others a dozen. */
#define CONTROL_FILE_MAX (16 * 1024)

int cgroup_root_open(const char *root, int *ret_fd)
{
	struct statfs fs;
	int fd, err;

	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs))
		err = -errno;
	else if (fs.f_type != CGROUP2_SUPER_MAGIC)
		err = -EMEDIUMTYPE;
	else {
		*ret_fd = fd;
		return 0;
	}
	close(fd);
	return err;
}

bool cgroup_has_memory(int root)
{
	bool found = false;
	char *text, *rest, *word;
	size_t len;

	if (file_read_all(root, "cgroup.controllers", CONTROL_FILE_MAX, &text, &len))
		return false;
	for (word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
		found |= !strcmp(word, "memory");
	free(text);
	return found;
}

int cgroup_open(int root, const char *path, int *ret_fd, uint64_t *ret_inode)
{
	struct stat st;
	int fd, err;

	fd = openat(root, path + strspn(path, "/"), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	*ret_inode = st.st_ino;
	return 0;
}

/* A file of one number. */
static int read_number(int dir, const char *name, uint64_t *ret)
{
	char *text, *end;
	size_t len;
	uint64_t value;
	int err;

	err = file_read_all(dir, name, CONTROL_FILE_MAX, &text, &len);
	if (err)
		return err;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end != '\n')
		err = -EBADMSG;
	else
		*ret = value;
	free(text);
	return err;
}

/* In lines "key number", which may be cut up. */
static int find_key(char *text, const char *key, uint64_t *ret)
{
	size_t key_len = strlen(key);
	char *line, *rest;

	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!strncmp(line, key, key_len) && line[key_len] == ' ') {
			*ret = strtoull(line + key_len + 1, NULL, 10);
			return 0;
		}
	return -EBADMSG;
}

static int read_key(int dir, const char *name, const char *key, uint64_t *ret)
{
	size_t len;
	char *text;
	int err;

	err = file_read_all(dir, name, CONTROL_FILE_MAX, &text, &len);
	if (err)
		return err;
	err = find_key(text, key, ret);
	free(text);
	return err;
}

void cgroup_read(int root, const char *path, struct model_cgroup *ret)
{
	uint64_t frozen;
	int fd;

	memset(ret, 0, sizeof(*ret));
	if (cgroup_open(root, path, &fd, &ret->inode))
		return;
	ret->known = true;
	ret->has_memory = !read_number(fd, "memory.current", &ret->memory_bytes);
	ret->has_inactive = !read_key(fd, "memory.stat", "inactive_file", &ret->inactive_bytes);
	ret->has_cpu = !read_key(fd, "cpu.stat", "usage_usec", &ret->cpu_us);
	ret->has_oom = !read_key(fd, "memory.events", "oom_kill", &ret->oom_kills);
	ret->has_pids = !read_number(fd, "pids.current", &ret->pids);
	ret->frozen = !read_key(fd, "cgroup.events", "frozen", &frozen) && frozen;
	close(fd);
}

int cgroup_memory(int group, uint64_t *ret)
{
	return read_number(group, "memory.current", ret);
}

int cgroup_events_read(int fd, struct cgroup_events *ret)
{
	char text[256], again[256];
	uint64_t populated, frozen;
	ssize_t n;
	int err;

	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	memcpy(again, text, (size_t)n + 1);
	err = find_key(text, "populated", &populated);
	if (err)
		return err;
	ret->populated = populated;
	/* Since Linux 5.2. */
	ret->frozen = !find_key(again, "frozen", &frozen) && frozen;
	return 0;
}
