/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IO_CGROUP_READ_H
#define IO_CGROUP_READ_H

#include "userspace/core/model.h"

/**
 * cgroup_root_open() - open the root of the cgroup v2 hierarchy
 * @root: where it is mounted
 * @ret_fd: descriptor of the folder; the caller closes it
 *
 * Return: 0; -EMEDIUMTYPE: something else is mounted there (cgroup v1); negative errno.
 */
int cgroup_root_open(const char *root, int *ret_fd);

/*
 * Whether this hierarchy has the memory controller: where cgroup v1 has it, as on hybrid
 * hosts, no group of v2 has a memory.current.
 */
bool cgroup_has_memory(int root);

/**
 * cgroup_open() - open a container's own group
 * @root: of the hierarchy
 * @path: of the group from there, with a leading slash
 * @ret_fd: descriptor of the folder, which stays this group's whatever is made under its
 *	name later; the caller closes it
 * @ret_inode: its inode, which is the cgroup's id
 *
 * Return: 0; -ENOENT: there is none; negative errno.
 */
int cgroup_open(int root, const char *path, int *ret_fd, uint64_t *ret_inode);

/**
 * cgroup_read() - read a container's accounts
 * @root: of the hierarchy
 * @path: of the group
 * @ret: what could be read, and what couldn't, is said in it
 */
void cgroup_read(int root, const char *path, struct model_cgroup *ret);

/* memory.current, in bytes, of an open group.  Return: 0 or negative errno. */
int cgroup_memory(int group, uint64_t *ret);

/* Of a group and all below it. */
struct cgroup_events {
	bool populated;		/* there are processes */
	bool frozen;		/* they are stopped, by cgroup.freeze */
};

/**
 * cgroup_events_read() - read a group's cgroup.events
 * @fd: descriptor of that file, on which a change raises POLLPRI after this
 * @ret: what it says
 *
 * Return: 0; -ENODEV: the group was removed; negative errno.
 */
int cgroup_events_read(int fd, struct cgroup_events *ret);

#endif
