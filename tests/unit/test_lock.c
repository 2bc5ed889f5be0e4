// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/host/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of nobody's; its folder in /tmp is made and removed by these tests. */
#define STRANGER 61234
#define STRANGER_FOLDER "/tmp/sysinfo-monitor-61234"

static char reason[LOCK_REASON_SIZE];
static char temporary[64];
static char cgroup[PATH_MAX];
static int cgroup_fd;

/* A name below the test's own folder; four may be in use at a time. */
static const char *at(const char *name)
{
	static char paths[4][PATH_MAX];
	static size_t next;
	char *path = paths[next++ % COUNT(paths)];

	snprintf(path, PATH_MAX, "%s/%s", temporary, name);
	return path;
}

static void make_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", temporary, name);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

/* The runtime is started again.  The old socket stays: its inode's number isn't used again. */
static void replace_socket(void)
{
	static unsigned int count;
	char name[32];

	snprintf(name, sizeof(name), "old.%u", count++);
	assert_int_equal(rename(at("socket"), at(name)), 0);
	make_socket("socket");
}

static int take(const char *folder, struct lock **ret)
{
	reason[0] = '\0';
	return lock_take_in(at(folder), at("socket"), cgroup_fd, ret, reason);
}

static size_t count_entries(const char *folder, unsigned char type)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_type == type && entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* What fn returns in a child, negated: an errno. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(-fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* A child that holds the lock until it is killed. */
static pid_t start_holder(const char *folder)
{
	struct lock *l;
	int pipes[2];
	char result = 1;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		result = (char)-take(folder, &l);
		if (write(pipes[1], &result, 1) == 1)
			pause();
		_exit(1);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &result, 1), 1);
	close(pipes[0]);
	assert_int_equal(result, 0);
	return pid;
}

static void end_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int become_stranger(void)
{
	return setgroups(0, NULL) || setresgid(STRANGER, STRANGER, STRANGER) ||
	       setresuid(STRANGER, STRANGER, STRANGER);
}

static bool find_cgroup_mount(char *ret)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *mount;
	bool found = false;

	while (mounts && !found && (mount = getmntent(mounts)))
		if (!strcmp(mount->mnt_type, "cgroup2")) {
			snprintf(ret, PATH_MAX, "%s", mount->mnt_dir);
			found = true;
		}
	if (mounts)
		endmntent(mounts);
	return found;
}

static int set_up(void **state)
{
	(void)state;
	cgroup_fd = -1;
	strcpy(temporary, "/tmp/test_lock.XXXXXX");
	if (!mkdtemp(temporary) || chmod(temporary, 0755))
		return -1;
	make_socket("socket");
	return chmod(at("socket"), 0777);
}

/* With a cgroup of the test's for cgroup v2's root. */
static int set_up_cgroup(void **state)
{
	char mount[PATH_MAX];

	if (set_up(state))
		return -1;
	if (geteuid() || !find_cgroup_mount(mount))
		return 0;
	snprintf(cgroup, sizeof(cgroup), "%.1024s/sysinfo-test-lock-%d", mount, getpid());
	if (!mkdir(cgroup, 0755))
		cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	remove(path);
	return 0;
}

static int tear_down(void **state)
{
	struct dirent *entry;
	DIR *dir;

	(void)state;
	nftw(temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (cgroup_fd < 0)
		return 0;
	dir = fdopendir(cgroup_fd);
	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	closedir(dir);
	return rmdir(cgroup);
}

static void one_at_a_time(void **state)
{
	struct lock *l, *second = NULL;

	(void)state;
	assert_int_equal(take("run", &l), 0);
	assert_int_equal(lock_check(l, reason), 0);
	assert_int_equal(take("run", &second), -EBUSY);
	assert_non_null(strstr(reason, "another monitor removes containers for the runtime at"));
	assert_non_null(strstr(reason, "--dry-run"));
	assert_null(strchr(reason, '\n'));
	assert_null(second);
	lock_free(l);
	assert_int_equal(count_entries(at("run"), DT_REG), 0);
	if (cgroup_fd >= 0)
		assert_int_equal(count_entries(cgroup, DT_DIR), 0);
	assert_int_equal(take("run", &l), 0);
	lock_free(l);
	lock_free(NULL);
}

static void other_paths(void **state)
{
	struct lock *l, *second;

	(void)state;
	assert_int_equal(symlink("socket", at("link")), 0);
	assert_int_equal(link(at("socket"), at("hard")), 0);
	assert_int_equal(take("run", &l), 0);
	assert_int_equal(lock_take_in(at("run"), at("link"), -1, &second, reason), -EBUSY);
	assert_int_equal(lock_take_in(at("run"), at("run/../socket"), -1, &second, reason), -EBUSY);
	assert_int_equal(lock_take_in(at("run"), at("hard"), cgroup_fd, &second, reason), -EBUSY);
	assert_int_equal(lock_take_in(at("run"), at("none"), cgroup_fd, &second, reason), -ENOENT);
	/* Another runtime is another's. */
	make_socket("other");
	assert_int_equal(lock_take_in(at("run"), at("other"), cgroup_fd, &second, reason), 0);
	lock_free(second);
	lock_free(l);
}

static void killed(void **state)
{
	struct lock *l;
	pid_t pid;

	(void)state;
	pid = start_holder("run");
	assert_int_equal(take("run", &l), -EBUSY);
	end_holder(pid);
	assert_true(count_entries(at("run"), DT_REG) >= 1);
	assert_int_equal(take("run", &l), 0);
	lock_free(l);
	assert_int_equal(count_entries(at("run"), DT_REG), 0);
}

/* A child that has only been forked keeps the descriptors. */
static void forked(void **state)
{
	struct lock *l;
	int pipes[2];
	pid_t pid;

	(void)state;
	assert_int_equal(take("run", &l), 0);
	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		_exit((int)read(pipes[0], reason, 1));
	}
	lock_free(l);
	assert_int_equal(take("run", &l), 0);
	lock_free(l);
	close(pipes[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pipes[0]);
}

static void restarted(void **state)
{
	struct lock *l, *second;

	(void)state;
	assert_int_equal(take("run", &l), 0);
	assert_int_equal(rename(at("socket"), at("socket.old")), 0);
	assert_int_equal(lock_check(l, reason), 0);
	make_socket("socket");
	assert_int_equal(lock_check(l, reason), 0);
	assert_int_equal(lock_check(l, reason), 0);
	/* Both sockets' now, by whatever path. */
	assert_int_equal(link(at("socket"), at("new")), 0);
	assert_int_equal(lock_take_in(at("run"), at("new"), cgroup_fd, &second, reason), -EBUSY);
	assert_int_equal(lock_take_in(at("run"), at("socket.old"), cgroup_fd, &second, reason),
			 -EBUSY);
	lock_free(l);
	assert_int_equal(count_entries(at("run"), DT_REG), 0);
	if (cgroup_fd >= 0)
		assert_int_equal(count_entries(cgroup, DT_DIR), 0);
}

/* The new socket is another monitor's already, who came by another path. */
static void restarted_taken(void **state)
{
	struct lock *l, *second;

	(void)state;
	assert_int_equal(take("run", &l), 0);
	replace_socket();
	assert_int_equal(link(at("socket"), at("new")), 0);
	assert_int_equal(lock_take_in(at("run"), at("new"), cgroup_fd, &second, reason), 0);
	reason[0] = '\0';
	assert_int_equal(lock_check(l, reason), -EBUSY);
	assert_non_null(strstr(reason, "another monitor"));
	lock_free(second);
	assert_int_equal(lock_check(l, reason), 0);
	lock_free(l);
}

static int take_in_child(void)
{
	struct lock *l;

	return take("run", &l);
}

static void many_restarts(void **state)
{
	size_t before, after;
	struct lock *l;
	int i;

	(void)state;
	before = count_entries("/proc/self/fd", DT_LNK);
	assert_int_equal(take("run", &l), 0);
	for (i = 0; i < 100; i++) {
		replace_socket();
		assert_int_equal(lock_check(l, reason), 0);
	}
	after = count_entries("/proc/self/fd", DT_LNK);
	if (after > before + 16)
		fail_msg("%zu descriptors, before %zu", after, before);
	assert_int_equal(in_child(take_in_child), -EBUSY);
	lock_free(l);
	assert_int_equal(count_entries("/proc/self/fd", DT_LNK), before);
	assert_int_equal(count_entries(at("run"), DT_REG), 0);
}

/* By an administrator, or whoever tidies up /tmp. */
static void removed_by_hand(void **state)
{
	struct lock *l, *second;
	struct dirent *entry;
	DIR *dir;

	(void)state;
	assert_int_equal(take("run", &l), 0);
	nftw(at("run"), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	dir = cgroup_fd >= 0 ? opendir(cgroup) : NULL;
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "sysinfo-monitor.", 16))
			assert_int_equal(unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR), 0);
	if (dir)
		closedir(dir);
	assert_int_equal(take("run", &second), 0);
	assert_int_equal(lock_check(l, reason), -EBUSY);
	/* What the first has left is the second's. */
	lock_free(l);
	assert_int_equal(take("run", &l), -EBUSY);
	assert_int_equal(lock_check(second, reason), 0);
	lock_free(second);
	assert_int_equal(take("run", &l), 0);
	nftw(at("run"), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(lock_check(l, reason), 0);
	assert_int_equal(take("run", &second), -EBUSY);
	lock_free(l);
}

static void hostile_folders(void **state)
{
	struct lock *l = NULL;

	(void)state;
	assert_int_equal(mkdir(at("open"), 0755), 0);
	assert_int_equal(take("open", &l), -EPERM);
	assert_non_null(strstr(reason, "0700"));
	assert_int_equal(mkdir(at("mine"), 0700), 0);
	assert_int_equal(symlink("mine", at("linked")), 0);
	assert_int_equal(take("linked", &l), -EPERM);
	assert_non_null(strstr(reason, "no folder"));
	make_socket("file");
	assert_int_equal(take("file", &l), -EPERM);
	assert_int_equal(take("none/below", &l), -ENOENT);
	if (!geteuid()) {
		assert_int_equal(mkdir(at("theirs"), 0700), 0);
		assert_int_equal(chown(at("theirs"), STRANGER, STRANGER), 0);
		assert_int_equal(take("theirs", &l), -EPERM);
		assert_non_null(strstr(reason, "belongs to user 61234"));
	}
	assert_null(l);
	assert_int_equal(count_entries(at("mine"), DT_REG), 0);
}

static const char *const *squatted;

/* Return: 0 if none of what the monitor has locked can be opened, let alone locked. */
static int squat(void)
{
	const char *const *path;
	int fd;

	if (become_stranger())
		return -EINVAL;
	for (path = squatted; *path; path++) {
		fd = open(*path, O_RDONLY);
		if (fd >= 0 || errno != EACCES)
			return -EEXIST;
		fd = open(*path, O_RDWR | O_CREAT, 0666);
		if (fd >= 0)
			return -EEXIST;
		/* All that is left is a descriptor that flock(2) doesn't take. */
		fd = open(*path, O_PATH);
		if (fd >= 0 && (!flock(fd, LOCK_EX | LOCK_NB) || errno != EBADF))
			return -EEXIST;
		if (!rmdir(*path) || !unlink(*path))
			return -EEXIST;
	}
	return 0;
}

static void first_entry(const char *folder, const char *prefix, char *ret)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	do {
		entry = readdir(dir);
		assert_non_null(entry);
	} while (strncmp(entry->d_name, prefix, strlen(prefix)));
	snprintf(ret, PATH_MAX + NAME_MAX + 1, "%s/%s", folder, entry->d_name);
	closedir(dir);
}

static int take_as_stranger(void)
{
	struct lock *l;
	int err;

	if (become_stranger())
		return -EINVAL;
	unsetenv("XDG_RUNTIME_DIR");
	reason[0] = '\0';
	err = lock_take(at("socket"), cgroup_fd, &l, reason);
	if (err == -EBUSY)
		return strstr(reason, "root's monitor") && strstr(reason, "rmdir") &&
				       strstr(reason, cgroup) ?
			       err :
			       -EINVAL;
	/* Not freed: the folder stays, as after a kill. */
	return err;
}

static void strangers(void **state)
{
	char file[PATH_MAX + NAME_MAX + 1], group[PATH_MAX + NAME_MAX + 1], folder[PATH_MAX];
	const char *const paths[] = { folder, file, group, NULL };
	struct lock *l;
	pid_t pid;

	(void)state;
	if (cgroup_fd < 0) {
		print_message("strangers: needs root and cgroup v2\n");
		skip();
	}
	nftw(STRANGER_FOLDER, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	pid = start_holder("run");
	snprintf(folder, sizeof(folder), "%s", at("run"));
	first_entry(folder, "path-", file);
	first_entry(cgroup, "sysinfo-monitor.", group);
	squatted = paths;
	assert_int_equal(in_child(squat), 0);
	assert_int_equal(in_child(take_as_stranger), -EBUSY);
	end_holder(pid);
	/* What the killed one has left tells the stranger, and is no obstacle to root. */
	assert_int_equal(in_child(squat), 0);
	assert_int_equal(in_child(take_as_stranger), -EBUSY);
	assert_int_equal(take("run", &l), 0);
	lock_free(l);
	/* Who can't make the cgroup has files of both kinds in a folder of his own. */
	assert_int_equal(in_child(take_as_stranger), 0);
	assert_int_equal(count_entries(STRANGER_FOLDER, DT_REG), 2);
	nftw(STRANGER_FOLDER, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	/* Somebody else was there first. */
	assert_int_equal(mkdir(STRANGER_FOLDER, 0777), 0);
	assert_int_equal(in_child(take_as_stranger), -EPERM);
	assert_int_equal(rmdir(STRANGER_FOLDER), 0);
	assert_int_equal(symlink("/", STRANGER_FOLDER), 0);
	assert_int_equal(in_child(take_as_stranger), -EPERM);
	assert_int_equal(unlink(STRANGER_FOLDER), 0);
}

/* A stranger's lock by file sees root's cgroup when it appears. */
static int hold_as_stranger(void)
{
	struct lock *l;
	int err;

	if (become_stranger())
		return -EINVAL;
	setenv("XDG_RUNTIME_DIR", at("home"), 1);
	err = lock_take(at("socket"), cgroup_fd, &l, reason);
	if (err || lock_check(l, reason))
		return -EINVAL;
	raise(SIGSTOP);
	err = lock_check(l, reason);
	lock_free(l);
	return err;
}

static void root_after_stranger(void **state)
{
	struct lock *l;
	int status;
	pid_t pid;

	(void)state;
	if (cgroup_fd < 0) {
		print_message("root_after_stranger: needs root and cgroup v2\n");
		skip();
	}
	assert_int_equal(mkdir(at("home"), 0700), 0);
	assert_int_equal(chown(at("home"), STRANGER, STRANGER), 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(-hold_as_stranger());
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(count_entries(at("home/sysinfo-monitor"), DT_REG), 2);
	assert_int_equal(take("run", &l), 0);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EBUSY);
	lock_free(l);
	assert_int_equal(count_entries(at("home/sysinfo-monitor"), DT_REG), 0);
}

static int take_in_net(void)
{
	return unshare(CLONE_NEWNET) ? -EINVAL : take_in_child();
}

/* The socket at another path, and a /run of its own: as in a container. */
static int take_in_mount(void)
{
	struct lock *l;
	int fd;

	mkdir(at("run"), 0700);
	fd = open(at("bound"), O_WRONLY | O_CREAT, 0600);
	if (fd < 0 || close(fd) || unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", at("run"), "tmpfs", 0, "mode=0700") ||
	    mount(at("socket"), at("bound"), NULL, MS_BIND, NULL))
		return -EINVAL;
	return lock_take_in(at("run"), at("bound"), cgroup_fd, &l, reason);
}

static void namespaces(void **state)
{
	struct lock *l;

	(void)state;
	if (cgroup_fd < 0) {
		print_message("namespaces: needs root and cgroup v2\n");
		skip();
	}
	assert_int_equal(in_child(take_in_mount), 0);
	assert_int_equal(take("run", &l), 0);
	assert_int_equal(in_child(take_in_net), -EBUSY);
	assert_int_equal(in_child(take_in_mount), -EBUSY);
	lock_free(l);
	assert_int_equal(in_child(take_in_net), 0);
}

/* What happens between the opening of what is to be locked and its locking; NULL: nothing. */
static void (*before_lock)(void);
static int locks_before;

/* In libc's place. */
int flock(int fd, int operation)
{
	void (*hook)(void) = before_lock;

	if (hook && !locks_before--) {
		before_lock = NULL;
		hook();
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static struct lock *first, *third;

static void end_first(void)
{
	lock_free(first);
}

static void end_first_begin_third(void)
{
	lock_free(first);
	assert_int_equal(take("run", &third), 0);
}

/* The one that is found ends just then, and another may begin, with what it makes anew. */
static void replaced_while_opening(void **state)
{
	static const struct {
		const char *socket;
		int locks_before;
	} cases[] = { { "socket", 0 }, { "hard", 1 } };
	struct lock *second;
	char *path;
	size_t i;

	(void)state;
	assert_int_equal(link(at("socket"), at("hard")), 0);
	for (i = 0; i < COUNT(cases); i++) {
		path = strdup(at(cases[i].socket));
		assert_int_equal(take("run", &first), 0);
		locks_before = cases[i].locks_before;
		before_lock = end_first;
		assert_int_equal(lock_take_in(at("run"), path, cgroup_fd, &second, reason), 0);
		assert_null(before_lock);
		assert_int_equal(lock_check(second, reason), 0);
		assert_int_equal(take("run", &first), -EBUSY);
		lock_free(second);

		assert_int_equal(take("run", &first), 0);
		locks_before = cases[i].locks_before;
		before_lock = end_first_begin_third;
		assert_int_equal(lock_take_in(at("run"), path, cgroup_fd, &second, reason), -EBUSY);
		assert_null(before_lock);
		lock_free(third);
		free(path);
	}
}

static atomic_int *holders;

/* Return: 0 if it was always the only one. */
static int compete(const char *socket_name)
{
	int taken = 0, wrong = 0, i, err;
	struct lock *l;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (taken < 100 && !wrong) {
		err = lock_take_in(at("run"), at(socket_name), cgroup_fd, &l, reason);
		wrong += err && err != -EBUSY;
		if (err)
			continue;
		wrong += atomic_fetch_add(holders, 1) != 0;
		taken++;
		for (i = 0; i < 5000 && !wrong; i++)
			wrong += atomic_load(holders) != 1;
		atomic_fetch_sub(holders, 1);
		lock_free(l);
	}
	return wrong;
}

/*
 * Each removes what it has made, under the hands of those who open it.  Of the two locks one
 * alone is in common: that by identity.
 */
static void races(void **state)
{
	char name[16];
	int i, status;
	pid_t pid;

	(void)state;
	holders = mmap(NULL, sizeof(*holders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_ptr_not_equal(holders, MAP_FAILED);
	fflush(NULL);
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "hard.%d", i);
		assert_int_equal(link(at("socket"), at(name)), 0);
		if (!fork())
			_exit(compete(name) != 0);
	}
	while ((pid = wait(&status)) > 0)
		assert_int_equal(status, 0);
	munmap(holders, sizeof(*holders));
	assert_int_equal(count_entries(at("run"), DT_REG), 0);
}

#define BOTH(test)                                                                        \
	{ #test, test, set_up, tear_down, NULL },                                         \
	{ #test " by cgroup", test, set_up_cgroup, tear_down, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(one_at_a_time),
		BOTH(other_paths),
		BOTH(killed),
		BOTH(forked),
		BOTH(restarted),
		BOTH(restarted_taken),
		BOTH(many_restarts),
		BOTH(removed_by_hand),
		BOTH(replaced_while_opening),
		BOTH(races),
		cmocka_unit_test_setup_teardown(hostile_folders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strangers, set_up_cgroup, tear_down),
		cmocka_unit_test_setup_teardown(root_after_stranger, set_up_cgroup, tear_down),
		cmocka_unit_test_setup_teardown(namespaces, set_up_cgroup, tear_down),
	};

	return RUN(tests);
}
