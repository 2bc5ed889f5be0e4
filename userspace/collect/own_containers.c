// SPDX-License-Identifier: GPL-2.0
#include "userspace/collect/own_containers.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "userspace/host/namespace.h"
#include "userspace/io/file.h"

/* Descriptors that the walk holds, one a level. */
#define OWN_WALK_DEPTH_MAX 64
/* A walk over as many takes about a second. */
#define OWN_WALK_MAX 100000
/* Fourteen lines of v1 hierarchies and one of v2, each of a path at most. */
#define OWN_PROC_FILE_MAX (64 * 1024)
#define OWN_CHAIN_MAX 1024

/* include/uapi/linux/pidfd.h of Linux 6.13, which older headers lack; version 0 of the struct. */
struct own_pidfd_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t others[12];
};
#define OWN_PIDFD_GET_INFO _IOWR(0xFF, 11, struct own_pidfd_info)
#define OWN_PIDFD_INFO_CGROUPID (1u << 2)

/* Where a directory is: a mount over a cgroup leads to another cgroup, or to other files. */
struct own_place {
	uint64_t mount;
	uint64_t inode;
};

struct own_containers {
	int root;
	bool is_initial_cgroup;
	bool is_initial_pid;
	/* In a cgroup namespace of its own: what was found for the id; "" and 0: nothing yet. */
	uint64_t id;
	char path[OWN_PATH_SIZE];
	uint64_t missing; /* the id that a whole walk didn't find; 0: none */
};

struct own_walk {
	struct own_place wanted;
	size_t left; /* directories */
	size_t len;
	char path[OWN_PATH_SIZE];
};

/* Puts the reason down.  Return: -EXDEV. */
__attribute__((format(printf, 2, 3))) static int own_refuse(char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, OWN_REASON_SIZE, format, args);
	va_end(args);
	return -EXDEV;
}

int own_containers_id_by_pidfd(uint64_t *ret)
{
	struct own_pidfd_info info = { .mask = OWN_PIDFD_INFO_CGROUPID };
	int fd, err = 0;

	fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, OWN_PIDFD_GET_INFO, &info))
		err = -errno;
	else if (!(info.mask & OWN_PIDFD_INFO_CGROUPID))
		err = -ENODATA;
	else
		*ret = info.cgroupid;
	close(fd);
	return err;
}

struct own_socket_request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

/*
 * Both ends are the socket's own address, since udp_dump_one() takes them the other way round
 * than inet_diag_find_one_icsk().  The cookie makes sure that it is this socket.
 */
static int own_socket_request(int fd, int type, struct own_socket_request *ret)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at), cookie_len = sizeof(uint64_t);
	uint64_t cookie;

	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) ||
	    getsockname(fd, (struct sockaddr *)&at, &len) ||
	    (type == SOCK_STREAM && listen(fd, 1)) ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_len))
		return -errno;
	*ret = (struct own_socket_request){
		.header = { .nlmsg_len = sizeof(*ret),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST,
			    .nlmsg_seq = 1 },
		.body = { .sdiag_family = AF_INET,
			  .idiag_states = ~0u,
			  .sdiag_protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP },
	};
	ret->body.id.idiag_sport = ret->body.id.idiag_dport = at.sin_port;
	ret->body.id.idiag_src[0] = ret->body.id.idiag_dst[0] = at.sin_addr.s_addr;
	ret->body.id.idiag_cookie[0] = (uint32_t)cookie;
	ret->body.id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
	return 0;
}

static int own_socket_answer(const struct nlmsghdr *header, size_t len, uint64_t *ret)
{
	const struct nlmsgerr *error = NLMSG_DATA(header);
	const struct rtattr *attribute;
	int left;

	if (!NLMSG_OK(header, len) || header->nlmsg_seq != 1)
		return -EBADMSG;
	if (header->nlmsg_type == NLMSG_ERROR && header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)))
		return error->error < 0 ? error->error : -EBADMSG;
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    header->nlmsg_len < NLMSG_SPACE(sizeof(struct inet_diag_msg)))
		return -EBADMSG;
	attribute =
		(const void *)((const char *)header + NLMSG_SPACE(sizeof(struct inet_diag_msg)));
	left = (int)(header->nlmsg_len - NLMSG_SPACE(sizeof(struct inet_diag_msg)));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == INET_DIAG_CGROUP_ID &&
		    RTA_PAYLOAD(attribute) == sizeof(*ret)) {
			memcpy(ret, RTA_DATA(attribute), sizeof(*ret));
			return 0;
		}
	return -ENODATA;
}

/* The kernel answers within sendto(): nothing is waited for. */
static int own_socket_ask(const struct own_socket_request *request, uint64_t *ret)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	socklen_t kernel_len = sizeof(kernel);
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} answer;
	ssize_t n = -1;
	int fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	if (sendto(fd, request, sizeof(*request), 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) == (ssize_t)sizeof(*request))
		n = recvfrom(fd, &answer, sizeof(answer), MSG_DONTWAIT, (struct sockaddr *)&kernel,
			     &kernel_len);
	if (n < 0)
		err = -errno;
	else
		err = kernel.nl_pid ? -EBADMSG : own_socket_answer(&answer.header, (size_t)n, ret);
	close(fd);
	return err;
}

/* net/core/sock.c: a new socket is charged to the cgroup of the process that makes it. */
int own_containers_id_by_socket(uint64_t *ret)
{
	/* Each has a module of its own, which may not be there: udp_diag, tcp_diag. */
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	struct own_socket_request request;
	int fd, err = -ENOENT;
	size_t i;

	for (i = 0; err && i < sizeof(types) / sizeof(types[0]); i++) {
		fd = socket(AF_INET, types[i] | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		err = own_socket_request(fd, types[i], &request);
		if (!err)
			err = own_socket_ask(&request, ret);
		close(fd);
	}
	return err;
}

/* Of a name below a directory; "": the directory itself. */
static int own_place(int dir, const char *name, struct own_place *ret)
{
	struct statx st;

	if (statx(dir, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_MNT_ID, &st))
		return -errno;
	/* Since Linux 5.8, which is less than the id takes. */
	if (!(st.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	ret->mount = st.stx_mnt_id;
	ret->inode = st.stx_ino;
	return 0;
}

static bool own_is_place(int dir, const char *name, const struct own_place *wanted)
{
	struct own_place place;

	return !own_place(dir, name, &place) && place.mount == wanted->mount &&
	       place.inode == wanted->inode;
}

static int own_walk_dir(struct own_walk *w, int fd, int depth);

/* Of one entry.  Return: 1: it is the one, or it is below; 0: it isn't; negative errno. */
static int own_walk_entry(struct own_walk *w, int dir, const struct dirent *entry, int depth)
{
	size_t len = w->len, name_len = strlen(entry->d_name);
	struct own_place place;
	int fd, err;

	/* Longer than what can be opened. */
	if (len + 1 + name_len >= sizeof(w->path))
		return 0;
	if (!w->left--)
		return -E2BIG;
	fd = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
	err = own_place(fd, "", &place);
	if (err || place.mount != w->wanted.mount) {
		close(fd);
		return err;
	}
	snprintf(w->path + len, sizeof(w->path) - len, "/%s", entry->d_name);
	w->len = len + 1 + name_len;
	if (place.inode == w->wanted.inode) {
		close(fd);
		return 1;
	}
	err = own_walk_dir(w, fd, depth + 1);
	if (err != 1)
		w->len = len;
	return err;
}

/* Of a directory, whose descriptor is this function's from now on.  Return: as above. */
static int own_walk_dir(struct own_walk *w, int fd, int depth)
{
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	dir = depth < OWN_WALK_DEPTH_MAX ? fdopendir(fd) : NULL;
	if (!dir) {
		err = depth < OWN_WALK_DEPTH_MAX ? -errno : 0;
		close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir)))
		/* kernfs always has the type (fs/kernfs/dir.c, kernfs_fop_readdir()). */
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") &&
		    strcmp(entry->d_name, ".."))
			err = own_walk_entry(w, dirfd(dir), entry, depth);
	closedir(dir);
	return err;
}

/*
 * The root of the whole hierarchy, as only there paths are those that the module reports: a
 * cgroup namespace mounts its own root instead, and any cgroup can be bind-mounted.  The real
 * root alone has no cgroup.events (CFTYPE_NOT_ON_ROOT).
 */
static int own_root_place(int root, struct own_place *ret)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(root, &fs))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EMEDIUMTYPE;
	if (!fstatat(root, "cgroup.events", &st, AT_SYMLINK_NOFOLLOW) || errno != ENOENT)
		return -EXDEV;
	return own_place(root, "", ret);
}

/* Return: 0; -ENOENT: it isn't there; negative errno. */
static int own_walk(int root, const struct own_place *wanted, char *ret)
{
	struct own_walk w = { .wanted = *wanted, .left = OWN_WALK_MAX };
	int fd, err;

	fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = own_walk_dir(&w, fd, 0);
	if (err < 0)
		return err;
	if (!err)
		return -ENOENT;
	memcpy(ret, w.path, w.len + 1);
	return 0;
}

/* Finds the path of a cgroup by its id, or finds that the known one still leads there. */
static int own_locate(struct own_containers *o, uint64_t id)
{
	struct own_place place;
	int err;

	err = own_root_place(o->root, &place);
	if (err)
		return err;
	if (place.inode == id) {
		o->path[0] = '\0';
		return 0;
	}
	place.inode = id;
	if (o->id == id && o->path[0] && own_is_place(o->root, o->path + 1, &place))
		return 0;
	if (o->missing == id)
		return -ENOENT;
	err = own_walk(o->root, &place, o->path);
	if (!err)
		o->id = id;
	/* What failed for another reason is tried again at the next cycle. */
	o->missing = err == -ENOENT || err == -E2BIG ? id : 0;
	return err;
}

/*
 * The kernel's word on the process is taken before that on a socket, of which the root is no
 * evidence, as the header says: then it stays unknown.
 */
static int own_id(const struct own_containers *o, uint64_t *ret)
{
	struct own_place root;
	uint64_t id;
	int err;

	if (!own_containers_id_by_pidfd(ret))
		return 0;
	err = own_containers_id_by_socket(&id);
	if (err)
		return err;
	if (!own_root_place(o->root, &root) && root.inode == id)
		return -ENODATA;
	*ret = id;
	return 0;
}

int own_containers_resolve(const char *base, const char *path, char *ret)
{
	char out[OWN_PATH_SIZE];
	size_t len = strcmp(base, "/") ? strlen(base) : 0, part;

	if (len >= sizeof(out))
		return -ENAMETOOLONG;
	if ((len && base[0] != '/') || path[0] != '/')
		return -EXDEV;
	memcpy(out, base, len);
	while (*path) {
		path++;
		part = strcspn(path, "/");
		if (part == 2 && !strncmp(path, "..", 2)) {
			if (!len)
				return -EXDEV;
			while (out[--len] != '/')
				;
		} else if (part) {
			if (len + 1 + part >= sizeof(out))
				return -ENAMETOOLONG;
			out[len++] = '/';
			memcpy(out + len, path, part);
			len += part;
		}
		path += part;
	}
	memcpy(ret, out, len);
	ret[len] = '\0';
	return 0;
}

/*
 * The line "0::PATH" (cgroups(7)).  Without it cgroup v2 has never been mounted
 * (proc_cgroup_show()), and every process is in its root.
 * Return: 0; -ESRCH: there is no such process, or none that is shown; negative errno.
 */
static int own_read_cgroup(const char *process, char *ret)
{
	char file[64], *text, *line;
	size_t len;
	int err;

	snprintf(file, sizeof(file), "/proc/%s/cgroup", process);
	err = file_read_all(AT_FDCWD, file, OWN_PROC_FILE_MAX, &text, &len);
	/* proc(5), hidepid: the others' processes are hidden, or can't be read. */
	if (err == -ENOENT || err == -EACCES || err == -EPERM)
		return -ESRCH;
	if (err)
		return err;
	line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
	line = line ? strchr(line, '/') : NULL;
	len = line ? strcspn(line, "\n") : 0;
	if (len >= OWN_PATH_SIZE) {
		err = -ENAMETOOLONG;
	} else if (len) {
		memcpy(ret, line, len);
		ret[len] = '\0';
	} else {
		strcpy(ret, "/");
	}
	free(text);
	return err;
}

/*
 * From "pid (comm) state ppid": comm may hold anything, so from its end (proc(5)).  The pids
 * are those of the PID namespace that /proc was mounted in, whatever getpid() says.
 */
static int own_read_stat(const char *process, uint32_t *ret_pid, uint32_t *ret_parent)
{
	char file[64], *text, *at;
	size_t len;
	int err;

	snprintf(file, sizeof(file), "/proc/%s/stat", process);
	err = file_read_all(AT_FDCWD, file, OWN_PROC_FILE_MAX, &text, &len);
	if (err == -ENOENT || err == -EACCES || err == -EPERM)
		return -ESRCH;
	if (err)
		return err;
	at = strrchr(text, ')');
	if (!at || sscanf(text, "%u", ret_pid) != 1 || sscanf(at + 1, " %*c %u", ret_parent) != 1)
		err = -EBADMSG;
	free(text);
	return err;
}

static void own_mark_path(struct model *m, const char *path)
{
	size_t i, len;

	for (i = 0; i < m->container_count; i++) {
		len = strlen(m->containers[i].path);
		if (!strncmp(path, m->containers[i].path, len) && (path[len] == '/' || !path[len]))
			m->containers[i].self = true;
	}
}

static void own_mark_pid(struct model *m, uint32_t pid)
{
	size_t i;

	for (i = 0; i < m->process_count; i++)
		if (m->processes[i].pid == pid)
			m->containers[m->processes[i].container].self = true;
}

static int own_proc_failed(const char *process, int err, char *reason)
{
	if (err == -ENOMEM)
		return err;
	return own_refuse(
		reason,
		"the monitor can't read which cgroup it runs in from /proc/%s: %s, so it removes "
		"nothing: mount /proc",
		process, strerror(-err));
}

/* One process of the chain.  Return: 0; -ESRCH: it is gone, or isn't shown; negative errno. */
static int own_mark_process(const struct own_containers *o, struct model *m, const char *base,
			    const char *process, uint32_t *ret_parent)
{
	char relative[OWN_PATH_SIZE], path[OWN_PATH_SIZE];
	uint32_t pid, parent;
	int err;

	err = own_read_stat(process, &pid, &parent);
	if (err)
		return err;
	if (o->is_initial_pid)
		own_mark_pid(m, pid);
	err = own_read_cgroup(process, relative);
	if (!err)
		err = own_containers_resolve(base, relative, path);
	if (err)
		return err;
	own_mark_path(m, path);
	*ret_parent = parent;
	return 0;
}

/*
 * The process and its ancestors as far as /proc shows them.  The parent of a PID namespace's
 * first process is the runtime's, which lives on when a container is removed.
 */
static int own_mark_chain(const struct own_containers *o, struct model *m, const char *base,
			  char *reason)
{
	char process[16] = "self";
	uint32_t parent;
	int err = 0, i;

	for (i = 0; i < OWN_CHAIN_MAX; i++) {
		err = own_mark_process(o, m, base, process, &parent);
		if (err == -ESRCH && i)
			return 0;
		if (err)
			return own_proc_failed(process, err, reason);
		if (!parent)
			return 0;
		snprintf(process, sizeof(process), "%u", parent);
	}
	return own_proc_failed(process, -ELOOP, reason);
}

/*
 * The path of the cgroup namespace's root: the process's own, less what /proc says of it from
 * there.  That of a process that was moved out of that root begins with "/..", which no path
 * ends in; then there is no way to tell, and the ancestors' paths mean nothing.
 */
static int own_find_base(const char *path, const char *relative, char *ret)
{
	size_t len = strlen(path), tail = strcmp(relative, "/") ? strlen(relative) : 0;

	if (tail > len || memcmp(path + len - tail, relative, tail))
		return -EXDEV;
	memcpy(ret, path, len - tail);
	ret[len - tail] = '\0';
	return 0;
}

static int own_cant_find(const struct own_containers *o, int err, char *reason)
{
	char link[64], root[256] = "";

	if (err == -ENOMEM)
		return err;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", o->root);
	if (readlink(link, root, sizeof(root) - 1) < 0)
		snprintf(root, sizeof(root), "the root of cgroup v2");
	return own_refuse(
		reason,
		"the monitor runs in a cgroup namespace of its own and can't find its own cgroup "
		"below %s%s, so it removes nothing: give the container the host's cgroup tree, or "
		"start it with --cgroupns=host --pid=host",
		root, err == -E2BIG ? " (there are too many)" : "");
}

/* In a cgroup namespace of its own: marks by its own path, and finds out the root's. */
static int own_mark_located(struct own_containers *o, struct model *m, char *ret_base, char *reason)
{
	char relative[OWN_PATH_SIZE];
	uint64_t id, again;
	int err;

	err = own_id(o, &id);
	if (err)
		return own_refuse(
			reason,
			"the monitor runs in a cgroup namespace of its own and the kernel doesn't "
			"tell which cgroup it is in (%s), so it removes nothing: start the "
			"container with --cgroupns=host --pid=host",
			strerror(-err));
	err = own_locate(o, id);
	if (err)
		return own_cant_find(o, err, reason);
	own_mark_path(m, o->path);
	err = own_read_cgroup("self", relative);
	if (err)
		return own_proc_failed("self", err, reason);
	/* Moved in between, the two paths say nothing of the root. */
	if (own_id(o, &again) || again != id || own_find_base(o->path, relative, ret_base))
		return own_refuse(
			reason,
			"the monitor was moved out of its cgroup namespace's root, so it can't "
			"tell which containers its parents run in, and removes nothing: start it "
			"again");
	return 0;
}

int own_containers_mark(struct own_containers *o, struct model *m, char *reason)
{
	char base[OWN_PATH_SIZE] = "/";
	int err = 0;

	if (!o->is_initial_cgroup)
		err = own_mark_located(o, m, base, reason);
	return err ?: own_mark_chain(o, m, base, reason);
}

/* What can't be read is taken for a namespace of its own. */
int own_containers_find(int cgroup_root, struct own_containers **ret, char *reason)
{
	struct model nothing = { .container_count = 0 };
	struct own_containers *o;
	int err;

	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->root = cgroup_root;
	o->is_initial_cgroup = namespace_is_initial_cgroup();
	o->is_initial_pid = namespace_is_initial_pid();
	err = own_containers_mark(o, &nothing, reason);
	if (err == -ENOMEM) {
		own_containers_free(o);
		return err;
	}
	*ret = o;
	return err;
}

void own_containers_free(struct own_containers *o)
{
	free(o);
}

uint32_t own_containers_pid(const struct own_containers *o)
{
	return o->is_initial_pid ? (uint32_t)getpid() : 0;
}

bool own_containers_holds(const struct own_containers *o, uint32_t pid, const char *path)
{
	char process[16], where[OWN_PATH_SIZE];
	size_t len = strlen(path);

	snprintf(process, sizeof(process), "%u", pid);
	if (!o->is_initial_pid || !o->is_initial_cgroup || own_read_cgroup(process, where))
		return true;
	return !strncmp(where, path, len) && (where[len] == '/' || !where[len]);
}
