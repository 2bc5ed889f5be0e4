// SPDX-License-Identifier: GPL-2.0
/*
 * Runs as root in a bare guest of the torture kernel:
 *	torture MODULE.ko SECONDS SNAPSHOTS
 * Readers against all that can change under them, for as long as SECONDS or until
 * there were SNAPSHOTS, whichever comes first; then looks whether the kernel has
 * anything to say, and whether anything is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/kmod/procfs.h"
#include "tests/kmod/subject.h"
#include "tests/kmod/tap.h"
#include "torture.h"

#define DEBUGFS "/sys/kernel/debug/"

/* Enough for several pieces of a document, and both tables of cgroups to grow in its middle. */
#define CROWD 70
#define CROWD_CGROUP \
	TORTURE_CONTAINER "/a-group-with-a-name-that-is-long-enough-to-make-the-paths-of-all-of-" \
	"them-together-more-than-there-is-room-for-at-first-which-takes-some-two-hundred-bytes-" \
	"apiece-and-here-they-are"
#define CROWD_CGROUP_SIZE (sizeof(CROWD_CGROUP) + 64)

#define STARTED_MAX 32
#define TOLD_EVERY_S 30

/* How much longer than told a run may take until it has met everything: on a busy host. */
#define LONGER_S 300

struct torture_counts *torture_counts;
const char *torture_module;

static pid_t started[STARTED_MAX];
static unsigned int started_count;
static int log_fd;
static time_t seconds;
static unsigned long snapshots;

static uint64_t random_state;

void torture_seed(void)
{
	random_state = 0x9e3779b97f4a7c15 * (getpid() + 1) ^ time(NULL);
}

uint64_t torture_random(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % below;
}

/* Any bytes but NUL. */
void torture_fill(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = 1 + torture_random(255);
	bytes[len] = '\0';
}

void torture_pause(void)
{
	usleep(torture_random(5000));
}

void torture_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		tap_bail_out(path);
	close(fd);
}

pid_t torture_start(void (*loop)(unsigned int arg), unsigned int arg)
{
	pid_t pid;

	fflush(stdout);
	pid = must(fork());
	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		must(setpgid(0, 0));
		torture_seed();
		loop(arg);
	}
	if (started_count == STARTED_MAX)
		tap_bail_out("STARTED_MAX");
	started[started_count++] = pid;
	return pid;
}

/* --- what the kernel says --- */

/*
 * Said when the host was busy elsewhere, when kmemleak itself is the unlucky one, when
 * another cache than the module's is, and of every module that is not the kernel's own.
 */
static bool is_expected(const char *message)
{
	return strstr(message, "hrtimer: interrupt took") ||
	       strstr(message, "clocksource: Long readout interval") ||
	       strstr(message, "kmemleak: Cannot allocate a scan area") ||
	       strstr(message, "SLUB: Unable to allocate memory on CPU") ||
	       strstr(message, ";  cache: ") || strstr(message, ";  node ") ||
	       strstr(message, "  names_cache debugging increased min order, ") ||
	       strstr(message, "loading out-of-tree module taints kernel") ||
	       strstr(message, "module verification failed");
}

/* A warning, or worse. All that has been said since the last call. */
static void expect_silence(void)
{
	char record[8192];
	ssize_t len;

	while ((len = read(log_fd, record, sizeof(record) - 1)) > 0) {
		char *message;

		record[len] = '\0';
		message = strchr(record, ';');
		if (!message || (atoi(record) & 7) > 4 || is_expected(message))
			continue;
		tap_expect(false, "the kernel: %s", message + 1);
	}
	tap_expect(len == -1 && errno == EAGAIN, "messages of the kernel were lost");
}

/* Lockdep gives up for good after its first report, or when its tables are full. */
static void lockdep_is_on(void)
{
	tap_expect(procfs_number("/proc/lockdep_stats", " debug_locks:") == 1, "lockdep is off");
}

/* --- the tests --- */

static void crowd(pid_t *pids)
{
	char path[CROWD_CGROUP_SIZE];

	for (unsigned int i = 0; i < CROWD; i++) {
		snprintf(path, sizeof(path), CROWD_CGROUP, 0xc0000 + i);
		subject_cgroup(path);
		pids[i] = subject_start(path, NULL, NULL);
	}
}

static void disperse(const pid_t *pids)
{
	char path[CROWD_CGROUP_SIZE];

	for (unsigned int i = 0; i < CROWD; i++) {
		snprintf(path, sizeof(path), CROWD_CGROUP, 0xc0000 + i);
		subject_end(pids[i]);
		subject_cgroup_remove(path);
	}
}

/* Of any allocation, but only to tasks that ask for it. */
static void failures_are_possible(void)
{
	static const char *const options[][2] = {
		{ "probability", "3" }, { "interval", "1" },	    { "times", "-1" },
		{ "verbose", "0" },	{ "task-filter", "Y" },	    { "ignore-gfp-wait", "N" },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), DEBUGFS "failslab/%s", options[i][0]);
		torture_write(path, options[i][1]);
		snprintf(path, sizeof(path), DEBUGFS "fail_page_alloc/%s", options[i][0]);
		torture_write(path, options[i][1]);
	}
	torture_write(DEBUGFS "fail_page_alloc/min-order", "0");
	torture_write(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
}

static void allocations_fail_in_turn(void)
{
	pid_t pids[CROWD];
	unsigned int points;

	crowd(pids);
	failures_are_possible();
	points = readers_fail_in_turn();
	printf("# %u allocations of an open failed in turn; %lu opens were refused\n", points,
	       torture_counts->no_memory);
	tap_expect(points > 20 && torture_counts->no_memory, "too few to show anything");
	tap_expect(!torture_counts->wrong, "something was wrong");
	disperse(pids);
	expect_silence();
}

static void tell_figures(time_t elapsed)
{
	const struct torture_counts *c = torture_counts;

	printf("# %ld s: %lu snapshots (%lu read whole, %lu parsed, %lu MiB), %lu refused for want of "
	       "memory, %lu while unloaded, %lu busy, %lu cut off by unloading, %lu readers killed\n",
	       elapsed, c->snapshots, c->whole, c->parsed, c->bytes >> 20, c->no_memory,
	       c->no_module, c->busy, c->cut_off, c->killed_readers);
	printf("# %ld s: %lu forks, %lu execs, %lu threads, %lu ended leaders, %lu cgroups, "
	       "%lu migrations, %lu maps, %lu MiB of pressure, %lu reloads\n",
	       elapsed, c->forks, c->execs, c->threads, c->leaders, c->cgroups, c->migrations,
	       c->maps, c->pressed_mib, c->reloads);
	fflush(stdout);
}

/* Orphans of the storms end here; none of those that were started may. */
static void reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (unsigned int i = 0; i < started_count; i++)
			tap_expect(started[i] != pid, "reader or storm %u has ended", i);
}

static time_t uptime(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now));
	return now.tv_sec;
}

static void end_all(void)
{
	for (unsigned int i = 0; i < started_count; i++)
		/* its children too; and before it has a group of its own, at least itself */
		if (kill(-started[i], SIGKILL))
			kill(started[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* What has not happened yet, without which a run shows nothing; NULL if all has. */
static const char *missing(void)
{
	const struct {
		const char *what;
		unsigned long count;
	} seen[] = {
		{ "whole documents", torture_counts->whole },
		{ "parsed documents", torture_counts->parsed },
		{ "failed allocations", torture_counts->no_memory },
		{ "opens while unloaded", torture_counts->no_module },
		{ "killed readers", torture_counts->killed_readers },
		{ "forks", torture_counts->forks },
		{ "execs", torture_counts->execs },
		{ "threads", torture_counts->threads },
		{ "ended leaders", torture_counts->leaders },
		{ "cgroups", torture_counts->cgroups },
		{ "migrations", torture_counts->migrations },
		{ "maps", torture_counts->maps },
		{ "pressure", torture_counts->pressed_mib },
		{ "reloads", torture_counts->reloads },
	};

	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		if (!seen[i].count)
			return seen[i].what;
	return NULL;
}

static void storm(void)
{
	time_t begin = uptime(), told = begin;
	unsigned int readers;

	storms_start();
	readers = readers_start();
	printf("# %u readers against %u storms\n", readers, started_count - readers);
	while (!torture_counts->wrong && uptime() - begin < seconds + LONGER_S &&
	       (missing() ||
		(uptime() - begin < seconds && torture_counts->snapshots < snapshots))) {
		struct pollfd said = { .fd = log_fd, .events = POLLIN };

		poll(&said, 1, 1000);
		reap();
		expect_silence();
		if (uptime() - told >= TOLD_EVERY_S) {
			told = uptime();
			tell_figures(told - begin);
		}
	}
	end_all();
	/* the reloading one may have been killed in between */
	if (!storms_load("mode=0444") && errno != EEXIST)
		tap_bail_out("load");
	tell_figures(uptime() - begin);
	tap_expect(!torture_counts->wrong, "%lu times something was wrong", torture_counts->wrong);
	tap_expect(!missing(), "no %s", missing());
}

/*
 * What nothing points to any more. An object must be as old as 5 s to be counted,
 * and is told of when a second look finds it so too.
 */
static void nothing_leaks(void)
{
	char leaks[16384];
	size_t len;

	sleep(6);
	torture_write(DEBUGFS "kmemleak", "scan");
	torture_write(DEBUGFS "kmemleak", "scan");
	len = procfs_read(DEBUGFS "kmemleak", leaks, sizeof(leaks));
	tap_expect(!len, "leaked:\n%s", leaks);
}

static void kernel_is_content(void)
{
	expect_silence();
	lockdep_is_on();
}

int main(int argc, char **argv)
{
	storms_main(argc, argv);
	if (argc != 4)
		return 2;
	torture_module = argv[1];
	seconds = atol(argv[2]);
	snapshots = atol(argv[3]);
	torture_seed();
	must(setvbuf(stdout, NULL, _IOLBF, 0));
	torture_counts = must(mmap(NULL, sizeof(*torture_counts), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	log_fd = must(open("/dev/kmsg", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	must(lseek(log_fd, 0, SEEK_END));
	/* a scan takes seconds of a CPU: only when told; and nothing of the kernel's own start */
	torture_write(DEBUGFS "kmemleak", "scan=off");
	torture_write(DEBUGFS "kmemleak", "clear");
	/* stays, so that no storm removes the folder under another */
	subject_cgroup("/docker/kept");

	must(storms_load("mode=0444") ? 0 : -1);
	tap_run("an open survives the failure of each of its allocations", allocations_fail_in_turn);
	tap_run("readers survive storms", storm);
	tap_run("nothing leaks while loaded", nothing_leaks);
	must(storms_unload() ? 0 : -1);
	tap_run("nothing is left after unloading", nothing_leaks);
	tap_run("the kernel has nothing to say", kernel_is_content);
	return tap_done();
}
