// SPDX-License-Identifier: GPL-2.0
#include "tests/witness/bed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char bed_cgroup_root[256];

const char *bed_release(void)
{
	static struct utsname names;

	uname(&names);
	return names.release;
}

void bed_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

void bed_die(const char *what)
{
	printf("Bail out! %s: %s: %s\n", bed_release(), what, strerror(errno));
	exit(1);
}

uint64_t bed_now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

/* Cgroups. */

static char made[256][700];
static int made_count;

struct bed_cgroup bed_make_cgroup(const char *format, ...)
{
	struct bed_cgroup cg;
	struct stat st;
	va_list args;
	int n = snprintf(cg.path, sizeof(cg.path), "%s", bed_cgroup_root);

	va_start(args, format);
	vsnprintf(cg.path + n, sizeof(cg.path) - n, format, args);
	va_end(args);
	for (char *slash = cg.path + n + 1; slash; ) {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (!mkdir(cg.path, 0755)) {
			if (made_count == 256)
				bed_die("too many cgroups");
			strcpy(made[made_count++], cg.path);
		} else if (errno != EEXIST) {
			bed_die(cg.path);
		}
		if (slash)
			*slash++ = '/';
	}
	if (stat(cg.path, &st))
		bed_die(cg.path);
	cg.id = st.st_ino;
	return cg;
}

void bed_wait_empty(const char *path)
{
	char file[800], text[256];
	struct pollfd p = { .events = POLLPRI };

	snprintf(file, sizeof(file), "%s/cgroup.events", path);
	p.fd = open(file, O_RDONLY | O_CLOEXEC);
	while (p.fd >= 0) {
		ssize_t n = pread(p.fd, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		if (n <= 0 || strstr(text, "populated 0"))
			break;
		if (poll(&p, 1, BED_PATIENCE_MS) <= 0)
			break;
	}
	if (p.fd >= 0)
		close(p.fd);
}

void bed_write(const struct bed_cgroup *cg, const char *name, const char *text)
{
	char file[800];
	int fd;

	snprintf(file, sizeof(file), "%s/%s", cg->path, name);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		bed_die(file);
	close(fd);
}

void bed_remove(const char *path)
{
	bed_wait_empty(path);
	if (rmdir(path) && errno != ENOENT)
		bed_note("%s: %s", path, strerror(errno));
}

void bed_remove_all(void)
{
	while (made_count)
		bed_remove(made[--made_count]);
}

static char id_prefix[9];

const char *bed_new_id(void)
{
	static char ids[64][65];
	static unsigned int n;
	char *id = ids[n % 64];

	if (!*id_prefix)
		snprintf(id_prefix, sizeof(id_prefix), "%08x", (unsigned int)getpid());
	snprintf(id, 65, "%s%08x%048x", id_prefix, n, 0xfeedbeef);
	n++;
	return id;
}

bool bed_is_own(const char *id)
{
	return *id_prefix && strstr(id, id_prefix);
}

/* Children. */

static uint64_t read_start_ticks(pid_t pid)
{
	char file[64], line[1024];
	unsigned long long ticks = 0;
	FILE *f;

	snprintf(file, sizeof(file), "/proc/%d/stat", pid);
	f = fopen(file, "re");
	if (f && fgets(line, sizeof(line), f))
		sscanf(strrchr(line, ')') + 2,
		       "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
		       "%*d %llu", &ticks);
	if (f)
		fclose(f);
	return ticks;
}

/* Starts a child inside the cgroup, so that all of its CPU belongs there. */
static pid_t fork_into(const struct bed_cgroup *cg)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = open(cg->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		bed_die("clone3");
	close(args.cgroup);
	return pid;
}

struct bed_child bed_spawn(const struct bed_cgroup *cg, bed_act_fn act, void *arg)
{
	struct bed_child c = {};
	int go[2];
	char byte;

	if (pipe2(go, O_CLOEXEC))
		bed_die("pipe");
	c.pid = fork_into(cg);
	if (!c.pid) {
		close(go[1]);
		/* Ends with the test if that dies. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (read(go[0], &byte, 1) < 0)
			;
		_exit(act(arg));
	}
	close(go[0]);
	c.go = go[1];
	c.start_ticks = read_start_ticks(c.pid);
	return c;
}

void bed_let_go(struct bed_child *c)
{
	if (write(c->go, "", 1) != 1)
		bed_die("let_go");
	close(c->go);
}

void bed_reap(struct bed_child *c)
{
	while (wait4(c->pid, &c->status, 0, &c->usage) < 0)
		if (errno != EINTR)
			bed_die("wait4");
}

/* Memory. */

int bed_act_hog(void *arg)
{
	size_t size = *(size_t *)arg;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return memory == MAP_FAILED;
}

bool bed_has_memory(void)
{
	struct bed_cgroup root = {}, above;
	char file[300], line[256] = "";
	FILE *f;

	snprintf(file, sizeof(file), "%s/cgroup.controllers", bed_cgroup_root);
	f = fopen(file, "re");
	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = '\0';
		fclose(f);
	}
	if (!strstr(line, "memory")) {
		bed_note("no OOM kills here: another cgroup version has the memory controller");
		return false;
	}
	strcpy(root.path, bed_cgroup_root);
	bed_write(&root, "cgroup.subtree_control", "+memory");
	above = bed_make_cgroup("/docker");
	bed_write(&above, "cgroup.subtree_control", "+memory");
	return true;
}

int bed_console_level(int level)
{
	int old = 7;
	FILE *f = fopen("/proc/sys/kernel/printk", "re");

	if (f) {
		if (fscanf(f, "%d", &old) != 1)
			old = 7;
		fclose(f);
	}
	klogctl(8, NULL, level);
	return old;
}

int bed_find_cgroups(void)
{
	char line[1024], type[64];
	FILE *f = fopen("/proc/self/mounts", "re");
	int err = -ENODEV;

	while (f && err && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %255s %63s", bed_cgroup_root, type) == 2 &&
		    !strcmp(type, "cgroup2"))
			err = 0;
	if (f)
		fclose(f);
	return err;
}
