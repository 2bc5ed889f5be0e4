// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path's, and the identities of the last sockets: each restart of the runtime adds one. */
#define LOCK_HELD_MAX 16
/* Each try lost to another monitor that ended at that moment and removed what it had made. */
#define LOCK_TRIES_MAX 64
/* "sysinfo-monitor." and two numbers of 64 bits. */
#define LOCK_NAME_SIZE 64

/*
 * flock(2) and not fcntl(2): it belongs to the open file, so no close() of another descriptor
 * gives it back, and it works on a directory.
 */
struct lock_held {
	int dir; /* what path is relative to: cgroup v2's root, or AT_FDCWD */
	char *path;
	int fd;
};

struct lock {
	char *socket;
	char *folder;
	char path_name[LOCK_NAME_SIZE];
	int cgroup_root;
	struct lock_held held[LOCK_HELD_MAX]; /* the path's is the first */
	size_t held_count;
};

/* Puts the reason down.  Return: @err. */
__attribute__((format(printf, 3, 4))) static int lock_refuse(char *reason, int err,
							     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, LOCK_REASON_SIZE, format, args);
	va_end(args);
	return err;
}

static int lock_busy(const struct lock *l, char *reason)
{
	return lock_refuse(reason, -EBUSY,
			   "another monitor removes containers for the runtime at %s; "
			   "end it first, or look with --dry-run",
			   l->socket);
}

static int lock_failed(const char *what, int err, char *reason)
{
	return lock_refuse(reason, err, "can't lock %s: %s", what, strerror(-err));
}

/* FNV-1a: a file's name has less room than a path. */
static uint64_t lock_hash(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	return hash;
}

/*
 * Another user who could open what is in it could hold the lock, and who owns it could
 * replace what is in it; /tmp lets anybody make this name first.
 */
static int lock_folder_check(const char *folder, int fd, char *reason)
{
	struct stat st;

	if (fstat(fd, &st))
		return lock_failed(folder, -errno, reason);
	if (st.st_uid != geteuid())
		return lock_refuse(
			reason, -EPERM,
			"can't lock in %s: it belongs to user %u; have it removed, or set "
			"XDG_RUNTIME_DIR to a folder of your own",
			folder, st.st_uid);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return lock_refuse(
			reason, -EPERM,
			"can't lock in %s: other users can enter it; set its mode to 0700", folder);
	return 0;
}

static int lock_folder_open(const char *folder, int *ret_fd, char *reason)
{
	int fd, err;

	if (mkdir(folder, 0700) && errno != EEXIST)
		return lock_failed(folder, -errno, reason);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* open(2): a symbolic link is ELOOP, or ENOTDIR because of O_DIRECTORY. */
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return lock_refuse(reason, -EPERM,
				   "can't lock in %s: it is no folder; have it removed", folder);
	if (fd < 0)
		return lock_failed(folder, -errno, reason);
	err = lock_folder_check(folder, fd, reason);
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* The name may lead elsewhere since: whoever ends removes it, and an administrator may. */
static bool lock_leads(const struct lock_held *h)
{
	struct stat here, there;

	return !fstat(h->fd, &here) && !fstatat(h->dir, h->path, &there, AT_SYMLINK_NOFOLLOW) &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/*
 * The name goes first: whoever locks after this sees that it leads elsewhere.  So it doesn't
 * matter that a forked child may still have the descriptor, and with it the lock (flock(2)).
 */
static void lock_let_go(struct lock_held *h)
{
	if (lock_leads(h))
		unlinkat(h->dir, h->path, h->dir == AT_FDCWD ? 0 : AT_REMOVEDIR);
	close(h->fd);
	free(h->path);
}

static struct lock_held *lock_find(struct lock *l, int dir, const char *path)
{
	size_t i;

	for (i = 0; i < l->held_count; i++)
		if (l->held[i].dir == dir && !strcmp(l->held[i].path, path))
			return &l->held[i];
	return NULL;
}

/* In the place of the one of this name that was removed, or of the oldest identity's. */
static void lock_keep(struct lock *l, const struct lock_held *h)
{
	struct lock_held *old = lock_find(l, h->dir, h->path);

	if (old) {
		lock_let_go(old);
		*old = *h;
		return;
	}
	if (l->held_count == LOCK_HELD_MAX) {
		lock_let_go(&l->held[1]);
		memmove(&l->held[1], &l->held[2], (LOCK_HELD_MAX - 2) * sizeof(l->held[0]));
		l->held_count--;
	}
	l->held[l->held_count++] = *h;
}

/*
 * Locks an open descriptor, which is this function's from now on.
 * Return: 0; -EBUSY; -EAGAIN: the name led elsewhere before it was locked; negative errno.
 */
static int lock_fd(struct lock *l, int dir, const char *path, int fd)
{
	struct lock_held h = { .dir = dir, .fd = fd };
	int err = -ENOMEM;

	h.path = strdup(path);
	if (!h.path)
		goto close;
	err = -EAGAIN;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		goto free;
	}
	if (!lock_leads(&h))
		goto free;
	lock_keep(l, &h);
	return 0;

free:
	free(h.path);
close:
	close(fd);
	return err;
}

static int lock_file_try(struct lock *l, const char *name, char *reason)
{
	char path[PATH_MAX];
	int folder = -1, fd, err;

	if (snprintf(path, sizeof(path), "%s/%s", l->folder, name) >= (int)sizeof(path))
		return lock_failed(l->folder, -ENAMETOOLONG, reason);
	err = lock_folder_open(l->folder, &folder, reason);
	if (err)
		return err;
	fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : lock_fd(l, AT_FDCWD, path, fd);
	close(folder);
	if (err == -EBUSY)
		return lock_busy(l, reason);
	return err ? lock_failed(path, err, reason) : 0;
}

/* A file in the folder, unless it is held already. */
static int lock_file(struct lock *l, const char *name, char *reason)
{
	const struct lock_held *held;
	char path[PATH_MAX];
	int tries, err = -EAGAIN;

	snprintf(path, sizeof(path), "%s/%s", l->folder, name);
	held = lock_find(l, AT_FDCWD, path);
	if (held && lock_leads(held))
		return 0;
	for (tries = 0; err == -EAGAIN && tries < LOCK_TRIES_MAX; tries++)
		err = lock_file_try(l, name, reason);
	return err;
}

/* Of the owner of a cgroup that is not this user's. */
static int lock_foreign(const struct lock *l, const char *name, char *reason)
{
	char link[64], root[PATH_MAX] = "", owner[32] = "root";
	struct stat st;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", l->cgroup_root);
	if (readlink(link, root, sizeof(root) - 1) < 0)
		snprintf(root, sizeof(root), "the root of cgroup v2");
	if (!fstatat(l->cgroup_root, name, &st, AT_SYMLINK_NOFOLLOW) && st.st_uid)
		snprintf(owner, sizeof(owner), "user %u", st.st_uid);
	return lock_refuse(
		reason, -EBUSY,
		"%s's monitor removes containers for the runtime at %s, or was killed and left "
		"%.256s/%s: end it, or rmdir that directory",
		owner, l->socket, root, name);
}

/*
 * Makes and opens the cgroup.
 * Return: 0; -EEXIST: it is another user's; -EAGAIN: removed in between; negative errno.
 */
static int lock_cgroup_open(int root, const char *name, int *ret_fd)
{
	struct stat st;
	int fd;

	if (mkdirat(root, name, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		return -EEXIST;
	/* kernfs says ENODEV of one that is being removed. */
	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? -EAGAIN : -errno;
	if (fstat(fd, &st) || st.st_uid != geteuid() || st.st_mode & (S_IRWXG | S_IRWXO)) {
		close(fd);
		return -EEXIST;
	}
	*ret_fd = fd;
	return 0;
}

/*
 * A cgroup of this name, unless it is held already.  cgroup v2 has one superblock, so this is
 * the same inode in every mount, PID and network namespace; its mode keeps other users from
 * opening it, which flock(2) takes.
 * Return: 0; -EBUSY, with a reason; negative errno without.
 */
static int lock_cgroup(struct lock *l, const char *name, char *reason)
{
	const struct lock_held *held = lock_find(l, l->cgroup_root, name);
	int tries, fd = -1, err = -EAGAIN;

	if (held && lock_leads(held))
		return 0;
	for (tries = 0; err == -EAGAIN && tries < LOCK_TRIES_MAX; tries++) {
		err = lock_cgroup_open(l->cgroup_root, name, &fd);
		if (!err)
			err = lock_fd(l, l->cgroup_root, name, fd);
	}
	if (err == -EEXIST)
		return lock_foreign(l, name, reason);
	return err == -EBUSY ? lock_busy(l, reason) : err;
}

/*
 * By the socket's device and inode, which every path and mount of it shares.  Whoever can't
 * make a cgroup at the root locks against monitors of the same user only, but still meets
 * root's cgroup, because mkdir(2) says EEXIST before EROFS and EACCES.
 */
static int lock_identity(struct lock *l, const struct stat *st, char *reason)
{
	char name[LOCK_NAME_SIZE];
	int err = -EROFS;

	snprintf(name, sizeof(name), "sysinfo-monitor.%llx-%llu", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	if (l->cgroup_root >= 0)
		err = lock_cgroup(l, name, reason);
	if (err == -EROFS || err == -EACCES || err == -EPERM)
		return lock_file(l, name, reason);
	return err && err != -EBUSY ? lock_failed(name, err, reason) : err;
}

int lock_check(struct lock *l, char *reason)
{
	struct stat st;
	int err;

	err = lock_file(l, l->path_name, reason);
	if (err)
		return err;
	if (!stat(l->socket, &st))
		return lock_identity(l, &st, reason);
	/* The runtime is being restarted, and makes its socket anew. */
	return errno == ENOENT ? 0 : lock_failed(l->socket, -errno, reason);
}

/*
 * What monitors that were killed have left, for sockets that are no more: the lock of a name
 * that nobody holds is taken, and the name removed.  Who has opened it meanwhile sees that his
 * lock's name leads nowhere, and tries again.
 */
static void lock_sweep(int dir, const char *prefix, int unlink_flags)
{
	/* Not dup(), whose position in the folder is the caller's. */
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;

	if (!d) {
		if (again >= 0)
			close(again);
		return;
	}
	while ((entry = readdir(d))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		fd = openat(dir, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!flock(fd, LOCK_EX | LOCK_NB))
			unlinkat(dir, entry->d_name, unlink_flags);
		close(fd);
	}
	closedir(d);
}

static void lock_sweep_all(const struct lock *l)
{
	int folder = open(l->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (l->cgroup_root >= 0)
		lock_sweep(l->cgroup_root, "sysinfo-monitor.", AT_REMOVEDIR);
	if (folder >= 0) {
		lock_sweep(folder, "path-", 0);
		lock_sweep(folder, "sysinfo-monitor.", 0);
		close(folder);
	}
}

int lock_take_in(const char *folder, const char *socket_path, int cgroup_root, struct lock **ret,
		 char *reason)
{
	char path[PATH_MAX];
	struct lock *l;
	int err;

	if (!realpath(socket_path, path))
		return lock_failed(socket_path, -errno, reason);
	l = calloc(1, sizeof(*l));
	if (!l)
		return lock_failed(socket_path, -ENOMEM, reason);
	l->cgroup_root = cgroup_root;
	snprintf(l->path_name, sizeof(l->path_name), "path-%016llx",
		 (unsigned long long)lock_hash(path));
	l->socket = strdup(socket_path);
	l->folder = strdup(folder);
	err = l->socket && l->folder ? lock_check(l, reason) :
				       lock_failed(socket_path, -ENOMEM, reason);
	/* Without the socket there is no identity yet, and so no lock. */
	if (!err && l->held_count < 2)
		err = lock_failed(socket_path, -ENOENT, reason);
	if (err) {
		lock_free(l);
		return err;
	}
	lock_sweep_all(l);
	*ret = l;
	return 0;
}

/* Whether only this user can make or remove anything in it. */
static bool lock_is_private(const char *folder)
{
	struct stat st;

	return folder && folder[0] == '/' && !lstat(folder, &st) && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int lock_take(const char *socket_path, int cgroup_root, struct lock **ret, char *reason)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	/* One that is too long fails when it is made. */
	char folder[PATH_MAX + 32], user[64];

	if (!geteuid())
		return lock_take_in("/run/sysinfo-monitor", socket_path, cgroup_root, ret, reason);
	snprintf(user, sizeof(user), "/run/user/%u", geteuid());
	if (!lock_is_private(runtime))
		runtime = lock_is_private(user) ? user : NULL;
	if (runtime)
		snprintf(folder, sizeof(folder), "%s/sysinfo-monitor", runtime);
	else
		snprintf(folder, sizeof(folder), "/tmp/sysinfo-monitor-%u", geteuid());
	return lock_take_in(folder, socket_path, cgroup_root, ret, reason);
}

void lock_free(struct lock *l)
{
	size_t i;

	if (!l)
		return;
	for (i = 0; i < l->held_count; i++)
		lock_let_go(&l->held[i]);
	free(l->folder);
	free(l->socket);
	free(l);
}
