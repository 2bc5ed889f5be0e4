/* SPDX-License-Identifier: GPL-2.0 */
/* That only one monitor kills for a container runtime. */
#ifndef HOST_LOCK_H
#define HOST_LOCK_H

struct lock;

#define LOCK_REASON_SIZE 512

/**
 * lock_take() - be the only one
 * @socket_path: of the runtime
 * @cgroup_root: descriptor of cgroup v2's root, or -1; the caller's, open until lock_free()
 * @ret: freed by lock_free()
 * @reason: on failure, one line for the user (LOCK_REASON_SIZE)
 *
 * There are two locks.  One is by the socket's path without links, in a folder of this user's
 * (/run/sysinfo-monitor, for others than root $XDG_RUNTIME_DIR/sysinfo-monitor, or one in
 * /tmp); the path stays when the runtime is restarted.  One is by the socket's device and
 * inode, by a cgroup at the root, which all mount, PID and network namespaces share.  The
 * kernel gives both back however the process ends.
 *
 * Return: 0; -EBUSY: another monitor has it; -EPERM: another user has made the folder, or can
 * enter it; negative errno.
 */
int lock_take(const char *socket_path, int cgroup_root, struct lock **ret, char *reason);

/* The same with the lock by path in this folder, which is made if there is none. */
int lock_take_in(const char *folder, const char *socket_path, int cgroup_root, struct lock **ret,
		 char *reason);

/**
 * lock_check() - is this still the only one?
 * @l: the lock
 * @reason: on failure, one line for the user (LOCK_REASON_SIZE)
 *
 * Before each act: the runtime may have been started again since, with a new socket, or what
 * was locked may have been removed by hand.  A runtime that has no socket now is no failure.
 *
 * Return: 0; -EBUSY: another monitor has taken the new socket's; negative errno.
 */
int lock_check(struct lock *l, char *reason);

/* Lets go, and removes what was made but the folder.  NULL is no error. */
void lock_free(struct lock *l);

#endif
