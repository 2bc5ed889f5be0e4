// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/collect/own_containers.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* The cgroups that the tests make, below one of their own. */
enum place { TOP, A, A_IN, A_DEEP, A2, B, PLACES };

static const char *const names[PLACES] = {
	[TOP] = "", [A] = "/A", [A_IN] = "/A/in", [A_DEEP] = "/A/in/deep", [A2] = "/A2", [B] = "/B",
};

/* Bits of what is marked: the containers are /A, /B and /A2, whose name begins as another's. */
#define IN_A 1u
#define IN_B 2u
#define IN_A2 4u

static char mount_path[PATH_MAX];
static char top[128]; /* from the root of the hierarchy */
static int root = -1;
static int places[PLACES];
static int procs[PLACES]; /* cgroup.procs, opened in the initial cgroup namespace */

/* What a child has seen. */
static struct result {
	int find;
	int mark;
	unsigned int marked;
	bool ready;
	uint64_t by_pidfd, by_socket;
	int pidfd_err, socket_err;
	char reason[OWN_REASON_SIZE];
} *result;

struct world {
	struct model model;
	struct model_container containers[3];
	struct model_process processes[2];
};

static void world_init(struct world *w)
{
	static const enum place of[] = { A, B, A2 };
	size_t i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < COUNT(of); i++)
		snprintf(w->containers[i].path, sizeof(w->containers[i].path), "%s%s", top,
			 names[of[i]]);
	w->model.containers = w->containers;
	w->model.container_count = COUNT(of);
	w->model.processes = w->processes;
}

static void mark(struct own_containers *o)
{
	struct world w;
	size_t i;

	world_init(&w);
	result->mark = own_containers_mark(o, &w.model, result->reason);
	result->marked = 0;
	for (i = 0; i < w.model.container_count; i++)
		result->marked |= (unsigned int)w.containers[i].self << i;
}

static bool enter(enum place place)
{
	return write(procs[place], "0", 1) == 1;
}

/* On as a child, whose end is the parent's. */
static bool go_on_as_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid <= 0)
		return !pid;
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static bool unshare_pid(void)
{
	return !unshare(CLONE_NEWPID | CLONE_NEWNS) && go_on_as_child() &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("proc", "/proc", "proc", 0, NULL);
}

/* A cgroup's directory leads elsewhere, as far as this process sees; NULL: to no cgroup. */
static bool cover(const char *name, const char *with)
{
	char path[PATH_MAX], source[PATH_MAX];

	snprintf(path, sizeof(path), "%.1024s%s%s", mount_path, top, name);
	snprintf(source, sizeof(source), "%.1024s%s%s", mount_path, top, with ?: "");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	return !(with ? mount(source, path, NULL, MS_BIND, NULL) :
			mount("none", path, "tmpfs", 0, NULL));
}

/* Each letter is a step. */
static bool do_step(char step)
{
	static const char letters[] = "0aidxb";
	const char *letter = strchr(letters, step);

	if (letter)
		return enter((enum place)(letter - letters));
	switch (step) {
	case 'f':
		return go_on_as_child();
	case 'C':
		return !unshare(CLONE_NEWCGROUP);
	case 'P':
		return unshare_pid();
	case 'N':
		return !unshare(CLONE_NEWNET);
	case 'U':
		return !setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		       !setresuid(NOBODY, NOBODY, NOBODY);
	case 'T':
		return cover("/A", NULL);
	case 'O':
		return cover("/A", "/B");
	case 'Q':
		return cover("/B", "/A");
	}
	return false;
}

static void run_steps(const char *steps, int cgroup_root)
{
	struct own_containers *o = NULL;

	for (; *steps; steps++)
		if (!do_step(*steps))
			_exit(2);
	/* A descriptor from before stays in the mount namespace that it is of. */
	if (cgroup_root == root)
		cgroup_root = open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result->pidfd_err = own_containers_id_by_pidfd(&result->by_pidfd);
	result->socket_err = own_containers_id_by_socket(&result->by_socket);
	result->find = own_containers_find(cgroup_root, &o, result->reason);
	if (o)
		mark(o);
	result->ready = o != NULL;
	own_containers_free(o);
}

static void in_child(const char *steps, int cgroup_root)
{
	int status;
	pid_t pid;

	memset(result, 0, sizeof(*result));
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		run_steps(steps, cgroup_root);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status || !result->ready)
		fail_msg("%s: status %x", steps, (unsigned int)status);
}

static uint64_t inode_of(enum place place)
{
	struct stat st;

	assert_int_equal(fstat(places[place], &st), 0);
	return st.st_ino;
}

static bool find_root(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *entry;

	while (mounts && root < 0 && (entry = getmntent(mounts)))
		if (!strcmp(entry->mnt_type, "cgroup2")) {
			snprintf(mount_path, sizeof(mount_path), "%s", entry->mnt_dir);
			root = open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
	if (mounts)
		endmntent(mounts);
	/* In a container it isn't the root of all. */
	return root >= 0 && faccessat(root, "cgroup.events", F_OK, 0);
}

static int set_up(void **state)
{
	char path[PATH_MAX];
	int i;

	(void)state;
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (result == MAP_FAILED)
		return -1;
	snprintf(top, sizeof(top), "/sysinfo-test-own-%d", getpid());
	if (geteuid() || !find_root())
		return 0;
	for (i = 0; i < PLACES; i++) {
		snprintf(path, sizeof(path), "%s%s", top + 1, names[i]);
		if (mkdirat(root, path, 0755))
			return -1;
		places[i] = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		procs[i] = openat(places[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (procs[i] < 0)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	char path[PATH_MAX];
	int i;

	(void)state;
	if (!procs[TOP])
		return 0;
	for (i = PLACES - 1; i >= 0; i--) {
		snprintf(path, sizeof(path), "%s%s", top + 1, names[i]);
		if (unlinkat(root, path, AT_REMOVEDIR) && errno != ENOENT)
			perror(path);
	}
	return 0;
}

static void skip_without_cgroups(const char *test)
{
	if (procs[TOP])
		return;
	print_message("%s: needs root and the root of cgroup v2\n", test);
	skip();
}

static void resolves(void **state)
{
	static const struct {
		const char *base, *path, *result;
	} cases[] = {
		{ "/", "/", "" },
		{ "", "/", "" },
		{ "/", "/a/b", "/a/b" },
		{ "/a", "/", "/a" },
		{ "/a/b", "/c", "/a/b/c" },
		{ "/a/b", "/..", "/a" },
		{ "/a/b", "/../..", "" },
		{ "/a/b", "/../../c/d", "/c/d" },
		{ "/a/b", "/../..c", "/a/..c" },
		{ "/a/b", "/...", "/a/b/..." },
		{ "/a/b", "/../../..", NULL },
		{ "/", "/..", NULL },
		{ "/a", "", NULL },
		{ "/a", "b", NULL },
		{ "a", "/..", NULL },
	};
	char path[OWN_PATH_SIZE], longest[OWN_PATH_SIZE + 1];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		strcpy(path, "before");
		if (own_containers_resolve(cases[i].base, cases[i].path, path) !=
			    (cases[i].result ? 0 : -EXDEV) ||
		    strcmp(path, cases[i].result ?: "before"))
			fail_msg("%s %s: %s", cases[i].base, cases[i].path, path);
	}
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[OWN_PATH_SIZE] = '\0';
	assert_int_equal(own_containers_resolve("/", longest, path), -ENAMETOOLONG);
	assert_int_equal(own_containers_resolve(longest, "/", path), -ENAMETOOLONG);
	longest[OWN_PATH_SIZE - 1] = '\0';
	assert_int_equal(own_containers_resolve("/", longest, path), 0);
	assert_int_equal(own_containers_resolve(longest, "/", path), 0);
	assert_int_equal(own_containers_resolve("/a", longest, path), -ENAMETOOLONG);
}

/* Whatever the namespaces are, and for any user. */
static void ids(void **state)
{
	static const char *const cases[] = { "i", "iC", "iN", "iU", "iCPNU" };
	size_t i;

	(void)state;
	skip_without_cgroups("ids");
	for (i = 0; i < COUNT(cases); i++) {
		in_child(cases[i], root);
		if (result->pidfd_err && result->pidfd_err != -ENOTTY)
			fail_msg("%s: %d by pidfd", cases[i], result->pidfd_err);
		if (!result->pidfd_err)
			assert_int_equal(result->by_pidfd, inode_of(A_IN));
		if (result->socket_err)
			fail_msg("%s: %d by socket", cases[i], result->socket_err);
		assert_int_equal(result->by_socket, inode_of(A_IN));
	}
}

static void marks(void **state)
{
	static const struct {
		const char *steps;
		unsigned int marked;
	} cases[] = {
		/* In the initial cgroup namespace. */
		{ "", 0 },
		{ "0", 0 },
		{ "a", IN_A },
		{ "d", IN_A },
		{ "x", IN_A2 },
		{ "afb", IN_A | IN_B },
		{ "af0", IN_A },
		{ "bfffd", IN_A | IN_B },
		{ "Pa", IN_A },
		{ "aPf0", IN_A },
		/* The parent of the PID namespace's first process isn't shown. */
		{ "aP0", 0 },
		/* In one of its own. */
		{ "0C", 0 },
		{ "aC", IN_A },
		{ "dC", IN_A },
		{ "xC", IN_A2 },
		{ "aCi", IN_A },
		{ "aCPi", IN_A },
		{ "aCP", IN_A },
		{ "dCP", IN_A },
		{ "aCPU", IN_A },
		{ "0Ca", IN_A },
		{ "0Cafb", IN_A | IN_B },
		/* Mounts over another cgroup that lead to the own. */
		{ "bOC", IN_B },
		{ "aQC", IN_A },
		{ "iQC", IN_A },
		/* Ancestors outside of it: "/..". */
		{ "bfdC", IN_A | IN_B },
		{ "bfaCi", IN_A | IN_B },
		{ "bfaCPi", IN_A },
		{ "xfbfaC", IN_A | IN_B | IN_A2 },
	};
	size_t i;

	(void)state;
	skip_without_cgroups("marks");
	for (i = 0; i < COUNT(cases); i++) {
		in_child(cases[i].steps, root);
		if (result->find || result->mark || result->marked != cases[i].marked)
			fail_msg("\"%s\": %d, %d, %x not %x: %s", cases[i].steps, result->find,
				 result->mark, result->marked, cases[i].marked, result->reason);
	}
}

static void cannot_tell(void **state)
{
	static const struct {
		const char *steps, *word;
		enum { WHOLE, PART, NONE } root;
	} cases[] = {
		/* The container's own part of the tree looks like a root. */
		{ "aC", "--cgroupns=host --pid=host", PART },
		{ "iC", "give the container the host's cgroup tree", PART },
		{ "aC", "can't find its own cgroup", NONE },
		{ "aCP", "can't find its own cgroup", NONE },
		/* Mounts over the cgroup: nothing, or another's. */
		{ "aTC", "can't find its own cgroup", WHOLE },
		{ "aOC", "can't find its own cgroup", WHOLE },
		{ "iOC", "can't find its own cgroup", WHOLE },
		/* Moved out of the namespace's root. */
		{ "aCb", "start it again", WHOLE },
		{ "aC0", "start it again", WHOLE },
	};
	const int roots[] = { [WHOLE] = root, [PART] = places[A], [NONE] = -1 };
	size_t i;

	(void)state;
	skip_without_cgroups("cannot_tell");
	for (i = 0; i < COUNT(cases); i++) {
		in_child(cases[i].steps, roots[cases[i].root]);
		if (result->find != -EXDEV || result->mark != -EXDEV ||
		    !strstr(result->reason, cases[i].word) || strchr(result->reason, '\n'))
			fail_msg("\"%s\": %d, %d: %s", cases[i].steps, result->find, result->mark,
				 result->reason);
	}
}

/* A child does the steps one by one, and marks after each. */
static void check_moves(const char *steps, const unsigned int *marked)
{
	struct own_containers *o = NULL;

	if (own_containers_find(root, &o, result->reason))
		_exit(3);
	for (; *steps; steps++, marked++) {
		if (!do_step(*steps))
			_exit(4);
		mark(o);
		if (result->mark || result->marked != *marked)
			_exit(5);
	}
	own_containers_free(o);
	_exit(0);
}

static void moves(void **state)
{
	static const struct {
		const char *before, *steps;
		unsigned int marked[8];
	} cases[] = {
		{ "0", "aidxb0", { IN_A, IN_A, IN_A, IN_A2, IN_B, 0 } },
		{ "0C", "aidxb0aa", { IN_A, IN_A, IN_A, IN_A2, IN_B, 0, IN_A, IN_A } },
		{ "0CP", "ab0", { IN_A, IN_B, 0 } },
	};
	int status;
	size_t i;
	pid_t pid;

	(void)state;
	skip_without_cgroups("moves");
	for (i = 0; i < COUNT(cases); i++) {
		const char *step = cases[i].before;

		fflush(NULL);
		pid = fork();
		if (!pid) {
			while (*step && do_step(*step))
				step++;
			check_moves(cases[i].steps, cases[i].marked);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status)
			fail_msg("%s %s: %x: %d %x %s", cases[i].before, cases[i].steps,
				 (unsigned int)status, result->mark, result->marked,
				 result->reason);
	}
}

/* A name that was another cgroup's before: what was found is not taken for it. */
static void made_again(void **state)
{
	struct own_containers *o = NULL;
	char path[PATH_MAX];
	int status, fd;
	pid_t pid;

	(void)state;
	skip_without_cgroups("made_again");
	snprintf(path, sizeof(path), "%s/B/again", top + 1);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 3; i++) {
			if (mkdirat(root, path, 0755))
				_exit(2);
			fd = openat(root, path, O_RDONLY | O_DIRECTORY);
			fd = openat(fd, "cgroup.procs", O_WRONLY);
			if (!i && (!enter(TOP) || unshare(CLONE_NEWCGROUP)))
				_exit(3);
			if (write(fd, "0", 1) != 1 ||
			    (!o && own_containers_find(root, &o, result->reason)))
				_exit(4);
			mark(o);
			if (result->mark || result->marked != IN_B || !enter(TOP) ||
			    unlinkat(root, path, AT_REMOVEDIR))
				_exit(5);
		}
		own_containers_free(o);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool is_initial(void)
{
	struct stat st;

	return !stat("/proc/self/ns/pid", &st) && st.st_ino == 0xEFFFFFFC &&
	       !stat("/proc/self/ns/cgroup", &st) && st.st_ino == 0xEFFFFFFB;
}

/* The initial namespace needs no tree. */
static void without_tree(void **state)
{
	(void)state;
	skip_without_cgroups("without_tree");
	if (!is_initial()) {
		print_message("without_tree: needs the initial namespaces\n");
		skip();
	}
	in_child("a", -1);
	assert_int_equal(result->find, 0);
	assert_int_equal(result->marked, IN_A);
}

/* The snapshot's pids are those of the initial PID namespace. */
static void pids(void **state)
{
	struct own_containers *o;
	struct world w;

	(void)state;
	if (!is_initial()) {
		print_message("pids: needs the initial namespaces\n");
		skip();
	}
	assert_int_equal(own_containers_find(-1, &o, result->reason), 0);
	world_init(&w);
	w.processes[0].pid = (uint32_t)getpid();
	w.processes[0].container = 2;
	w.processes[1].pid = (uint32_t)getppid();
	w.processes[1].container = 1;
	w.model.process_count = 2;
	assert_int_equal(own_containers_mark(o, &w.model, result->reason), 0);
	assert_false(w.containers[0].self);
	assert_true(w.containers[1].self);
	assert_true(w.containers[2].self);
	own_containers_free(o);
	own_containers_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resolves), cmocka_unit_test(ids),
		cmocka_unit_test(marks),    cmocka_unit_test(cannot_tell),
		cmocka_unit_test(moves),    cmocka_unit_test(made_again),
		cmocka_unit_test(without_tree), cmocka_unit_test(pids),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
