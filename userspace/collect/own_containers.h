/* SPDX-License-Identifier: GPL-2.0 */
/* In which containers the monitor itself and its ancestors run: they are never removed. */
#ifndef COLLECT_OWN_CONTAINERS_H
#define COLLECT_OWN_CONTAINERS_H

#include "userspace/core/model.h"

#define OWN_REASON_SIZE 512
/* A path of the kernel's, and its NUL. */
#define OWN_PATH_SIZE 4096

struct own_containers;

/**
 * own_containers_find() - find out where the monitor runs
 * @cgroup_root: descriptor of the cgroup v2 root that containers are looked for in; the
 *	caller's, open until own_containers_free()
 * @ret: freed by own_containers_free(), also after -EXDEV
 * @reason: of -EXDEV, one line for the user (OWN_REASON_SIZE)
 *
 * Return: 0; -EXDEV: it runs in a cgroup namespace of its own, and which container that is can't
 * be told (or /proc can't be read), so it must not remove any; -ENOMEM, and then @ret isn't set.
 */
int own_containers_find(int cgroup_root, struct own_containers **ret, char *reason);

/**
 * own_containers_mark() - mark the containers in a model that must not be removed
 * @o: where the monitor runs
 * @m: its containers' self is set
 * @reason: of -EXDEV, one line for the user (OWN_REASON_SIZE)
 *
 * The container that the monitor's own cgroup lies in, those of its ancestors' cgroups as far as
 * /proc shows ancestors, and in the initial PID namespace those that the model has one of
 * these processes in.
 *
 * Return: 0; -EXDEV: it was moved since, and where to can't be told; -ENOMEM.  Then some may be
 * marked, but not all.
 */
int own_containers_mark(struct own_containers *o, struct model *m, char *reason);

/* NULL is no error. */
/* The monitor's pid as the whole machine has it; 0: it has a PID namespace of its own. */
uint32_t own_containers_pid(const struct own_containers *o);

/*
 * Whether a process, by the runtime's word, is in a cgroup or below it.  Where namespaces hide
 * that, it is not contradicted: true.
 */
bool own_containers_holds(const struct own_containers *o, uint32_t pid, const char *path);

void own_containers_free(struct own_containers *o);

/**
 * own_containers_id_by_pidfd() - ask for the id of this process's cgroup
 * @ret: in cgroup v2, where it is the inode of the cgroup's directory
 *
 * Return: 0; negative errno (-ENOTTY before Linux 6.13).
 */
int own_containers_id_by_pidfd(uint64_t *ret);

/*
 * The same by way of a socket of its own, since Linux 5.9.  Before 5.15 it is the root's where
 * cgroup v1's net_cls or net_prio are in use, wherever the process is.
 */
int own_containers_id_by_socket(uint64_t *ret);

/**
 * own_containers_resolve() - a cgroup's path from the root of the hierarchy
 * @base: path of the cgroup namespace's root; "/" in the initial namespace
 * @path: as /proc/PID/cgroup has it in that namespace: it begins with "/.." for each cgroup
 *	that is to be left (cgroup_namespaces(7))
 * @ret: of OWN_PATH_SIZE bytes; "" for the root
 *
 * Return: 0; -EXDEV: above the root, or no path; -ENAMETOOLONG.
 */
int own_containers_resolve(const char *base, const char *path, char *ret);

#endif
