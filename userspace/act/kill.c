// SPDX-License-Identifier: GPL-2.0
#include "userspace/act/kill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/io/cgroup_read.h"
#include "userspace/io/file.h"

/* Groups within a group that are searched: beyond, nothing is known. */
#define DEPTH_MAX 16
#define PROCS_MAX (16u << 20)
#define STATUS_MAX (64u << 10)

void kill_close_empty(struct victim_handles *h)
{
	if (h->kill >= 0)
		close(h->kill);
	if (h->events >= 0)
		close(h->events);
	h->kill = h->events = -1;
}

void kill_close(struct victim_handles *h)
{
	kill_close_empty(h);
	if (h->group >= 0)
		close(h->group);
	h->group = -1;
}

static enum receipt_found found_of(const struct victim_group *group, uint64_t inode,
				   const struct cgroup_events *events, int err)
{
	if (inode != group->inode)
		return RECEIPT_REPLACED;
	if (err == -ENODEV || err == -ENOENT || (!err && !events->populated))
		return RECEIPT_EMPTY;
	return err ? RECEIPT_UNREADABLE : RECEIPT_FOUND;
}

static int open_group(int cgroup_root, const struct victim_group *group, enum receipt_found *ret_found,
		      struct victim_handles *ret)
{
	struct cgroup_events events = { 0 };
	uint64_t inode = 0;
	int err;

	*ret = (struct victim_handles)VICTIM_HANDLES_NONE;
	err = cgroup_open(cgroup_root, group->path, &ret->group, &inode);
	if (err) {
		ret->group = -1;
		/* That it can't be looked at does not mean that it is gone. */
		*ret_found = err == -ENOENT ? RECEIPT_ABSENT : RECEIPT_UNREADABLE;
		return err;
	}
	ret->events = openat(ret->group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	err = ret->events < 0 ? -errno : cgroup_events_read(ret->events, &events);
	*ret_found = found_of(group, inode, &events, err);
	return err;
}

void kill_open(int cgroup_root, const struct victim_group *group, struct receipt *r,
	       struct victim_handles *ret)
{
	int err = open_group(cgroup_root, group, &r->found, ret);

	if (r->found == RECEIPT_UNREADABLE)
		snprintf(r->reason, sizeof(r->reason), "%s", strerror(-err));
	if (r->found != RECEIPT_FOUND) {
		kill_close(ret);
		return;
	}
	r->has_memory = !cgroup_memory(ret->group, &r->memory_before);
	ret->kill = openat(ret->group, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	/* A plain user may not, which is no trouble: the runtime's forced removal is the kill. */
	if (ret->kill < 0 && errno != EACCES && errno != EPERM)
		snprintf(r->reason, sizeof(r->reason), "cgroup.kill: %s", strerror(errno));
}

bool kill_last_look(const struct victim_handles *h, struct receipt *r)
{
	struct cgroup_events events = { 0 };
	int err = cgroup_events_read(h->events, &events);

	if (err == -ENODEV || (!err && !events.populated))
		r->found = RECEIPT_EMPTY;
	else if (err)
		r->found = RECEIPT_UNREADABLE;
	else if (events.frozen)
		r->withheld = RECEIPT_FROZEN;
	return r->found == RECEIPT_FOUND && !r->withheld;
}

bool kill_group(const struct victim_handles *h, struct receipt *r, uint64_t now_us)
{
	bool written = write(h->kill, "1", 1) == 1;

	if (written) {
		r->killed = true;
		if (!r->act_us)
			r->act_us = now_us;
	} else {
		snprintf(r->reason, sizeof(r->reason), "cgroup.kill: %s", strerror(errno));
	}
	return written;
}

bool kill_is_empty(const struct victim_handles *h)
{
	struct cgroup_events events;
	int err = cgroup_events_read(h->events, &events);

	return err == -ENODEV || (!err && !events.populated);
}

void kill_measure_after(const struct victim_handles *h, struct receipt *r)
{
	if (h->group < 0 || cgroup_memory(h->group, &r->memory_after))
		r->memory_after = 0;
}

enum receipt_found kill_check(int cgroup_root, const struct victim_group *group)
{
	struct victim_handles h;
	enum receipt_found found;

	open_group(cgroup_root, group, &found, &h);
	kill_close(&h);
	return found;
}

bool kill_is_allowed(int cgroup_root, const struct victim_group *group)
{
	uint64_t inode;
	bool allowed;
	int fd;

	/* That is seen when it is opened to be killed. */
	if (cgroup_open(cgroup_root, group->path, &fd, &inode))
		return true;
	/* Not there before Linux 5.14. */
	allowed = !faccessat(fd, "cgroup.kill", W_OK, AT_EACCESS) ||
		  (errno != EACCES && errno != EPERM && errno != EROFS && errno != ENOENT);
	close(fd);
	return allowed;
}

/* Has this thread a SIGKILL that it has not died of yet?  cgroup.kill's is each thread's own. */
static bool thread_has_sigkill(const char *path)
{
	static const char *const keys[] = { "\nSigPnd:", "\nShdPnd:" };
	bool found = false;
	size_t i, len;
	char *text;

	if (file_read_all(AT_FDCWD, path, STATUS_MAX, &text, &len))
		return false;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *at = strstr(text, keys[i]);

		found |= at && strtoull(at + strlen(keys[i]), NULL, 16) >> (SIGKILL - 1) & 1;
	}
	free(text);
	return found;
}

/* Of a process whose first thread has ended others may sit in the kernel. */
static bool has_sigkill(long pid)
{
	char folder[64], path[64 + NAME_MAX + 16];
	struct dirent *entry;
	bool found = false;
	DIR *d;

	snprintf(folder, sizeof(folder), "/proc/%ld/task", pid);
	d = pid > 0 ? opendir(folder) : NULL;
	while (d && !found && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/status", folder, entry->d_name);
		found = thread_has_sigkill(path);
	}
	if (d)
		closedir(d);
	return found;
}

static bool pending_in(int dir, const char *name, int depth);

static bool pending_below(int group, int depth)
{
	int again = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;
	bool found = false;

	if (!d) {
		if (again >= 0)
			close(again);
		return false;
	}
	while (!found && (entry = readdir(d)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			found = pending_in(group, entry->d_name, depth + 1);
	closedir(d);
	return found;
}

static bool pending_in(int dir, const char *name, int depth)
{
	int group = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char *text, *at, *end;
	bool found = false;
	size_t len;

	if (group < 0 || depth > DEPTH_MAX)
		goto out;
	if (!file_read_all(group, "cgroup.procs", PROCS_MAX, &text, &len)) {
		for (at = text; !found; at = end) {
			long pid = strtol(at, &end, 10);

			if (end == at)
				break;
			found = has_sigkill(pid);
		}
		free(text);
	}
	found = found || pending_below(group, depth);
out:
	if (group >= 0)
		close(group);
	return found;
}

bool kill_is_pending(int cgroup_root, const struct victim_group *group)
{
	return kill_check(cgroup_root, group) == RECEIPT_FOUND &&
	       pending_in(cgroup_root, group->path + strspn(group->path, "/"), 0);
}
