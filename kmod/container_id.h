/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which container does a cgroup path belong to?
 *
 * Pure, and compiled into the module, the monitor and the tests. The path is
 * the one in the default hierarchy, seen from its root ("/docker/<id>/sub").
 * It is read from the root, and the first component that is a container's
 * decides: whoever is inside a container can create groups below it with any
 * name, but none above.
 *
 * What runtimes name their groups (the id is 64 lower-case hex digits unless
 * said otherwise):
 *   docker      /docker/<id>, docker-<id>.scope
 *   podman      libpod-<id>.scope, /libpod_parent/libpod-<id>,
 *               libpod-payload-<id> (--cgroups=split)
 *   containerd  cri-containerd-<id>.scope, nerdctl-<id>.scope,
 *               .../kubepods/.../pod<uid>/<id>
 *   cri-o       crio-<id>.scope, .../kubepods/.../pod<uid>/crio-<id>
 *   lxc         lxc.payload.<name>, /lxc/<name>; the name is the id
 *   any         <slice>:<docker|libpod|cri-containerd|crio>:<id>: a path in
 *               systemd's notation taken literally by a cgroupfs driver
 */
#ifndef CONTAINER_ID_H
#define CONTAINER_ID_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#endif

#define CONTAINER_ID_HEX 64

enum container_runtime {
	CONTAINER_RUNTIME_NONE,
	CONTAINER_RUNTIME_DOCKER,
	CONTAINER_RUNTIME_PODMAN,
	CONTAINER_RUNTIME_CONTAINERD,
	CONTAINER_RUNTIME_CRIO,
	CONTAINER_RUNTIME_LXC,
};

/**
 * struct container_id - where in a path the container's identity is
 * @runtime: who made the container
 * @id: offset of the id in the path
 * @id_len: its length in bytes; any bytes but '/' and NUL if the runtime is LXC
 * @prefix_len: length of the part of the path that is the container's own,
 *	outermost cgroup
 */
struct container_id {
	enum container_runtime runtime;
	size_t id;
	size_t id_len;
	size_t prefix_len;
};

/* The runtime's name as the snapshot has it; "" for none. */
static inline const char *container_id_runtime_name(enum container_runtime runtime)
{
	switch (runtime) {
	case CONTAINER_RUNTIME_DOCKER:
		return "docker";
	case CONTAINER_RUNTIME_PODMAN:
		return "podman";
	case CONTAINER_RUNTIME_CONTAINERD:
		return "containerd";
	case CONTAINER_RUNTIME_CRIO:
		return "cri-o";
	case CONTAINER_RUNTIME_LXC:
		return "lxc";
	case CONTAINER_RUNTIME_NONE:
		break;
	}
	return "";
}

/* A slice of the path: one component, or a part of one. */
struct container_id_part {
	const char *at;
	size_t len;
};

static inline bool container_id_equals(struct container_id_part part, const char *word)
{
	return part.len == strlen(word) && !memcmp(part.at, word, part.len);
}

static inline bool container_id_skip_prefix(struct container_id_part *part, const char *word)
{
	size_t len = strlen(word);

	if (part->len < len || memcmp(part->at, word, len))
		return false;
	part->at += len;
	part->len -= len;
	return true;
}

static inline bool container_id_drop_suffix(struct container_id_part *part, const char *word)
{
	size_t len = strlen(word);

	if (part->len < len || memcmp(part->at + part->len - len, word, len))
		return false;
	part->len -= len;
	return true;
}

static inline bool container_id_is_hex(struct container_id_part part)
{
	size_t i;

	if (part.len != CONTAINER_ID_HEX)
		return false;
	for (i = 0; i < part.len; i++) {
		char c = part.at[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

/* "<name>-<id>.scope", the unit that systemd makes for a container */
static inline enum container_runtime
container_id_of_scope(struct container_id_part part, struct container_id_part *ret_id)
{
	static const struct container_id_scope {
		const char *prefix;
		enum container_runtime runtime;
	} scopes[] = {
		{ "docker-", CONTAINER_RUNTIME_DOCKER },
		{ "libpod-", CONTAINER_RUNTIME_PODMAN },
		{ "cri-containerd-", CONTAINER_RUNTIME_CONTAINERD },
		{ "crio-", CONTAINER_RUNTIME_CRIO },
		{ "nerdctl-", CONTAINER_RUNTIME_CONTAINERD },
		{ NULL, CONTAINER_RUNTIME_NONE },
	};
	const struct container_id_scope *scope;

	if (!container_id_drop_suffix(&part, ".scope"))
		return CONTAINER_RUNTIME_NONE;
	for (scope = scopes; scope->prefix; scope++) {
		struct container_id_part id = part;

		if (container_id_skip_prefix(&id, scope->prefix) && container_id_is_hex(id)) {
			*ret_id = id;
			return scope->runtime;
		}
	}
	return CONTAINER_RUNTIME_NONE;
}

/* "<slice>:<name>:<id>" */
static inline enum container_runtime
container_id_of_colons(struct container_id_part part, struct container_id_part *ret_id)
{
	static const struct container_id_infix {
		const char *suffix;
		enum container_runtime runtime;
	} names[] = {
		{ ":docker:", CONTAINER_RUNTIME_DOCKER },
		{ ":libpod:", CONTAINER_RUNTIME_PODMAN },
		{ ":cri-containerd:", CONTAINER_RUNTIME_CONTAINERD },
		{ ":crio:", CONTAINER_RUNTIME_CRIO },
		{ NULL, CONTAINER_RUNTIME_NONE },
	};
	const struct container_id_infix *name;
	struct container_id_part id;

	if (part.len <= CONTAINER_ID_HEX)
		return CONTAINER_RUNTIME_NONE;
	part.len -= CONTAINER_ID_HEX;
	id.at = part.at + part.len;
	id.len = CONTAINER_ID_HEX;
	if (!container_id_is_hex(id))
		return CONTAINER_RUNTIME_NONE;
	for (name = names; name->suffix; name++) {
		struct container_id_part slice = part;

		if (container_id_drop_suffix(&slice, name->suffix) && slice.len) {
			*ret_id = id;
			return name->runtime;
		}
	}
	return CONTAINER_RUNTIME_NONE;
}

/*
 * Groups that a runtime makes itself, without systemd. The bare names are
 * believed only where the runtime puts them, as they say so little themselves.
 */
static inline enum container_runtime
container_id_of_cgroupfs(struct container_id_part part, struct container_id_part parent,
			 size_t depth, bool in_kubepods, struct container_id_part *ret_id)
{
	struct container_id_part name;

	name = part;
	if (container_id_skip_prefix(&name, "lxc.payload.") && name.len) {
		*ret_id = name;
		return CONTAINER_RUNTIME_LXC;
	}
	name = part;
	if (container_id_skip_prefix(&name, "libpod-payload-") && container_id_is_hex(name)) {
		*ret_id = name;
		return CONTAINER_RUNTIME_PODMAN;
	}
	if (in_kubepods && container_id_skip_prefix(&parent, "pod")) {
		*ret_id = part;
		if (container_id_is_hex(part))
			return CONTAINER_RUNTIME_CONTAINERD;
		if (container_id_skip_prefix(ret_id, "crio-") && container_id_is_hex(*ret_id))
			return CONTAINER_RUNTIME_CRIO;
	}
	if (depth != 1)
		return CONTAINER_RUNTIME_NONE;

	*ret_id = part;
	if (container_id_equals(parent, "docker") && container_id_is_hex(part))
		return CONTAINER_RUNTIME_DOCKER;
	if (container_id_equals(parent, "lxc"))
		return CONTAINER_RUNTIME_LXC;
	if (container_id_equals(parent, "libpod_parent") &&
	    container_id_skip_prefix(ret_id, "libpod-") && container_id_is_hex(*ret_id))
		return CONTAINER_RUNTIME_PODMAN;
	return CONTAINER_RUNTIME_NONE;
}

/**
 * container_id_find() - find the outermost container in a cgroup path
 * @path: the path from the root of the hierarchy; need not end in NUL
 * @len: its length in bytes
 * @ret: where the container is; not touched unless 0 is returned
 *
 * Return: 0, or -ENOENT if the path is in no container.
 */
static inline int container_id_find(const char *path, size_t len, struct container_id *ret)
{
	struct container_id_part parent = { path, 0 };
	bool in_kubepods = false;
	size_t start, end, depth = 0;

	for (start = 1; start < len; start = end + 1, depth++) {
		struct container_id_part id, part = { path + start, 0 };
		enum container_runtime runtime;

		end = start;
		while (end < len && path[end] != '/')
			end++;
		part.len = end - start;
		if (!part.len)
			break; /* not a path of the kernel's */

		runtime = container_id_of_scope(part, &id);
		if (!runtime)
			runtime = container_id_of_colons(part, &id);
		if (!runtime)
			runtime = container_id_of_cgroupfs(part, parent, depth, in_kubepods, &id);
		if (runtime) {
			ret->runtime = runtime;
			ret->id = id.at - path;
			ret->id_len = id.len;
			ret->prefix_len = end;
			return 0;
		}
		if (container_id_equals(part, "kubepods"))
			in_kubepods = true;
		parent = part;
	}
	return -ENOENT;
}

#endif
