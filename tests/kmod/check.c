// SPDX-License-Identifier: GPL-2.0
/*
 * Runs as root in a guest: check MODULE.ko
 * Loads the module, sets subjects up, compares what the snapshot says of them
 * with what the kernel's own files say.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/userfaultfd.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "procfs.h"
#include "subject.h"
#include "tap.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DOCKER_A "/docker/" HEX_A

/* A group and a user that are nobody else's in the guest. */
#define READERS 7777

static const char *module_path;

static void load(const char *parameters)
{
	int fd = must(open(module_path, O_RDONLY | O_CLOEXEC));

	must(syscall(SYS_finit_module, fd, parameters, 0));
	close(fd);
}

static void unload(void)
{
	must(syscall(SYS_delete_module, "sysinfo", O_NONBLOCK));
}

static void reload(const char *parameters)
{
	unload();
	load(parameters);
}

static int64_t now_us(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_BOOTTIME, &now));
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* --- the document and the file --- */

static void loads_refuse_bad_parameters(void)
{
	static const char *const bad[] = { "mode=0640", "mode=666", "mode=8", "mode=01444", "mode=0",
					   "scope=some", "cmdline=maybe", "group=-1",
					   "group=4294967295" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = must(open(module_path, O_RDONLY | O_CLOEXEC));

		if (!tap_expect(syscall(SYS_finit_module, fd, bad[i], 0) && errno == EINVAL, "%s",
				bad[i]))
			unload();
		close(fd);
	}
}

static int64_t cpu_ticks_us(const int64_t *ticks, int first, int last)
{
	int64_t sum = 0;

	for (int i = first; i <= last; i++)
		sum += ticks[i];
	return sum * 1000000 / sysconf(_SC_CLK_TCK);
}

static void read_cpu(int64_t *ret_ticks)
{
	char text[4096];

	procfs_read("/proc/stat", text, sizeof(text));
	if (sscanf(text, "cpu %ld %ld %ld %ld %ld %ld %ld %ld", &ret_ticks[0], &ret_ticks[1],
		   &ret_ticks[2], &ret_ticks[3], &ret_ticks[4], &ret_ticks[5], &ret_ticks[6],
		   &ret_ticks[7]) != 8)
		tap_bail_out("/proc/stat");
}

static void expect_between(struct json_object *object, const char *key, int64_t before,
			   int64_t after, int64_t slack)
{
	int64_t low = (before < after ? before : after) - slack;
	int64_t high = (before < after ? after : before) + slack;
	int64_t value = document_number(object, key);

	tap_expect(value >= low && value <= high, "%s: %ld is not in %ld..%ld", key, value, low,
		   high);
}

static void machine_is_right(void)
{
	static const struct {
		const char *key, *proc;
		int64_t slack_kib;
	} memory[] = {
		{ "TotalRAM", "MemTotal:", 0 },
		/* per-CPU page lists come and go between two looks */
		{ "FreeRAM", "MemFree:", 4096 },
		{ "AvailableRAM", "MemAvailable:", 4096 },
		{ "BufferRAM", "Buffers:", 64 },
	};
	int64_t before[4], after[4], cpu_before[8], cpu_after[8], begin, end;
	char load_before[64], load_after[64], load[64];
	struct json_object *document, *cpu, *averages;
	struct utsname uts;
	/* each of the columns summed is cut to a tick, on each side */
	int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);

	for (int i = 0; i < 4; i++)
		before[i] = procfs_number("/proc/meminfo", memory[i].proc);
	procfs_read("/proc/loadavg", load_before, sizeof(load_before));
	read_cpu(cpu_before);
	begin = now_us();
	document = document_take();
	end = now_us();
	read_cpu(cpu_after);
	procfs_read("/proc/loadavg", load_after, sizeof(load_after));
	for (int i = 0; i < 4; i++)
		after[i] = procfs_number("/proc/meminfo", memory[i].proc);

	for (int i = 0; i < 4; i++)
		expect_between(document, memory[i].key, before[i], after[i], memory[i].slack_kib);
	tap_expect(document_number(document, "UsedRAM") ==
			   document_number(document, "TotalRAM") -
				   document_number(document, "FreeRAM"),
		   "UsedRAM");
	expect_between(document, "BootTimeUs", begin, end, 0);
	expect_between(document, "CollectUs", 0, end - begin, 0);
	tap_expect(document_number(document, "SchemaVersion") == SYSINFO_SCHEMA_VERSION,
		   "SchemaVersion");
	must(uname(&uts));
	tap_expect(!strcmp(document_string(document, "Kernel"), uts.release), "Kernel");
	tap_expect(document_number(document, "CPUs") == sysconf(_SC_NPROCESSORS_ONLN), "CPUs");

	cpu = json_object_object_get(document, "CPU");
	expect_between(cpu, "UserUs", cpu_ticks_us(cpu_before, 0, 1),
		       cpu_ticks_us(cpu_after, 0, 1), 2 * tick_us);
	expect_between(cpu, "SystemUs",
		       cpu_ticks_us(cpu_before, 2, 2) + cpu_ticks_us(cpu_before, 5, 6),
		       cpu_ticks_us(cpu_after, 2, 2) + cpu_ticks_us(cpu_after, 5, 6), 3 * tick_us);
	expect_between(cpu, "IdleUs", cpu_ticks_us(cpu_before, 3, 3),
		       cpu_ticks_us(cpu_after, 3, 3), tick_us);
	expect_between(cpu, "IOWaitUs", cpu_ticks_us(cpu_before, 4, 4),
		       cpu_ticks_us(cpu_after, 4, 4), tick_us);
	expect_between(cpu, "StealUs", cpu_ticks_us(cpu_before, 7, 7),
		       cpu_ticks_us(cpu_after, 7, 7), tick_us);

	averages = json_object_object_get(document, "LoadAvg");
	snprintf(load, sizeof(load), "%.2f %.2f %.2f ",
		 json_object_get_double(json_object_array_get_idx(averages, 0)),
		 json_object_get_double(json_object_array_get_idx(averages, 1)),
		 json_object_get_double(json_object_array_get_idx(averages, 2)));
	tap_expect(!strncmp(load, load_before, strlen(load)) ||
			   !strncmp(load, load_after, strlen(load)),
		   "LoadAvg %s is neither %s nor %s", load, load_before, load_after);
	json_object_put(document);
}

static void snapshots_are_numbered(void)
{
	struct json_object *first = document_take(), *second = document_take(), *third;

	tap_expect(document_number(second, "Sequence") == document_number(first, "Sequence") + 1,
		   "not one more");
	tap_expect(!strcmp(document_string(first, "Instance"), document_string(second, "Instance")),
		   "another instance without a reload");
	tap_expect(strlen(document_string(first, "Instance")) == 36, "not a UUID");
	reload("");
	third = document_take();
	tap_expect(document_number(third, "Sequence") == 1, "doesn't start at 1");
	tap_expect(strcmp(document_string(first, "Instance"), document_string(third, "Instance")),
		   "the same instance after a reload");
	json_object_put(first);
	json_object_put(second);
	json_object_put(third);
}

static void reads_agree(void)
{
	static const size_t sizes[] = { 1, 3, 7, 61, 4095, 4097, 1 << 20 };
	pid_t pids[40];
	char *whole, *part;
	size_t len;
	int fd;

	for (size_t i = 0; i < 40; i++)
		pids[i] = subject_start(DOCKER_A, NULL, NULL);
	fd = must(open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC));
	whole = document_read_fd(fd, &len);
	/* What happens afterwards is not in it. */
	for (size_t i = 0; i < 40; i++)
		subject_end(pids[i]);
	tap_expect(len > 10000, "only %zu bytes: this shows little", len);
	tap_expect(document_parse(whole, len), "not a document");

	part = malloc(len + (1 << 20));
	if (!part)
		tap_bail_out("malloc");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t got = 0;
		ssize_t n;

		tap_expect(lseek(fd, 0, SEEK_SET) == 0, "lseek to the start");
		while ((n = read(fd, part + got, sizes[i])) > 0)
			got += n;
		tap_expect(n == 0 && got == len && !memcmp(part, whole, len),
			   "another document by reads of %zu", sizes[i]);
		got = 0;
		while ((n = pread(fd, part + got, sizes[i], got)) > 0)
			got += n;
		tap_expect(n == 0 && got == len && !memcmp(part, whole, len),
			   "another document by preads of %zu", sizes[i]);
	}
	for (size_t at = len + 5; at > 0; at -= at < 37 ? at : 37) {
		ssize_t want = at >= len ? 0 : len - at < 100 ? len - at : 100;

		tap_expect(pread(fd, part, 100, at) == want && !memcmp(part, whole + at, want),
			   "another document at %zu", at);
	}
	tap_expect(lseek(fd, 0, SEEK_END) == (off_t)len, "SEEK_END is not the end");
	tap_expect(read(fd, part, 1) == 0, "something after the end");
	tap_expect(lseek(fd, -10, SEEK_CUR) == (off_t)len - 10, "SEEK_CUR");
	tap_expect(read(fd, part, 100) == 10 && !memcmp(part, whole + len - 10, 10), "the last 10");
	tap_expect(lseek(fd, -1, SEEK_SET) == -1 && errno == EINVAL, "before the start");

	char *nowhere = must(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	tap_expect(pread(fd, nowhere, 10, 0) == -1 && errno == EFAULT, "to a bad address");
	munmap(nowhere, 4096);
	tap_expect(write(fd, "x", 1) == -1, "written to");

	int ends[2];

	must(pipe(ends));
	tap_expect(sendfile(ends[1], fd, &(off_t){ 100 }, 1000) == 1000, "sendfile");
	tap_expect(read(ends[0], part, 2000) == 1000 && !memcmp(part, whole + 100, 1000),
		   "another document by sendfile");
	close(ends[0]);
	close(ends[1]);
	close(fd);
	free(part);
	free(whole);
}

/* --- identity --- */

struct place {
	const char *cgroup, *id, *runtime;
};

#define DEEP "/nested-group-with-a-rather-long-name-so-that-many-make-a-long-path"
#define DEEP4 DEEP DEEP DEEP DEEP
#define DEEP16 DEEP4 DEEP4 DEEP4 DEEP4

static const struct place places[] = {
	{ DOCKER_A, HEX_A, "docker" },
	{ "/system.slice/docker-" HEX_B ".scope", HEX_B, "docker" },
	{ "/machine.slice/libpod-" HEX_B ".scope/container", HEX_B, "podman" },
	{ "/kubepods.slice/cri-containerd-" HEX_B ".scope", HEX_B, "containerd" },
	{ "/kubepods/burstable/pod1-2-3/" HEX_B, HEX_B, "containerd" },
	{ "/kubepods.slice/crio-" HEX_B ".scope", HEX_B, "cri-o" },
	{ "/system.slice:cri-containerd:" HEX_B, HEX_B, "containerd" },
	{ "/lxc.payload.web \"1\"", "web \"1\"", "lxc" },
	{ "/lxc/101/ns/init.scope", "101", "lxc" },
	/* groups that a container made itself */
	{ DOCKER_A "/sub/group", HEX_A, "docker" },
	{ DOCKER_A "/docker/" HEX_B, HEX_A, "docker" },
	{ DOCKER_A "/docker-" HEX_B ".scope", HEX_A, "docker" },
	{ DOCKER_A "/x\",\"ContainerID\":\"y\\", HEX_A, "docker" },
	{ DOCKER_A "/\x01\x7f\x80\xc3\xa9", HEX_A, "docker" },
};

static const char *const no_places[] = {
	"/", "/system.slice", "/docker", "/docker/" HEX_A "0", "/system.slice/docker-" HEX_B,
	"/system.slice/docker-" HEX_B ".scope.d", "/user.slice/docker/" HEX_B,
	"/machine.slice/libpod-conmon-" HEX_B ".scope",
};

static int64_t cgroup_inode(const char *cgroup)
{
	char path[2048];
	struct stat st;

	snprintf(path, sizeof(path), SUBJECT_CGROUP_ROOT "%s", cgroup);
	must(stat(path, &st));
	return st.st_ino;
}

static void expect_place(struct json_object *process, const struct place *place)
{
	char repaired[4096];
	size_t len = document_repair(place->cgroup, strlen(place->cgroup), repaired);

	tap_expect(!strcmp(document_string(process, "ContainerID"), place->id), "%s is in %s",
		   place->cgroup, document_string(process, "ContainerID"));
	tap_expect(!strcmp(document_string(process, "Runtime"), place->runtime), "%s runs in %s",
		   place->cgroup, document_string(process, "Runtime"));
	tap_expect(document_string_is(process, "Cgroup", repaired, len), "%s has path %s",
		   place->cgroup, document_string(process, "Cgroup"));
	tap_expect(document_number(process, "CgroupID") == cgroup_inode(place->cgroup),
		   "%s has id %ld", place->cgroup, document_number(process, "CgroupID"));
}

static void containers_are_recognised(void)
{
	const size_t n = sizeof(places) / sizeof(places[0]);
	pid_t pids[sizeof(places) / sizeof(places[0])];
	struct json_object *document, *process;

	for (size_t i = 0; i < n; i++) {
		subject_cgroup(places[i].cgroup);
		pids[i] = subject_start(places[i].cgroup, NULL, NULL);
	}
	document = document_take();
	for (size_t i = 0; i < n; i++) {
		process = document_process(document, pids[i]);
		if (tap_expect(process, "nothing in %s", places[i].cgroup))
			expect_place(process, &places[i]);
	}
	json_object_put(document);
	for (size_t i = 0; i < n; i++)
		subject_end(pids[i]);
	for (size_t i = n; i-- > 1;)
		subject_cgroup_remove(places[i].cgroup);
}

static void others_are_not_listed(void)
{
	const size_t n = sizeof(no_places) / sizeof(no_places[0]);
	pid_t pids[sizeof(no_places) / sizeof(no_places[0])], inside;
	struct json_object *document;

	inside = subject_start(DOCKER_A, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		subject_cgroup(no_places[i]);
		pids[i] = subject_start(no_places[i], NULL, NULL);
	}
	document = document_take();
	for (size_t i = 0; i < n; i++)
		tap_expect(!document_process(document, pids[i]), "listed: %s", no_places[i]);
	tap_expect(document_process(document, inside), "not listed: %s", DOCKER_A);
	tap_expect(json_object_array_length(json_object_object_get(document, "Processes")) == 1,
		   "others are listed");
	json_object_put(document);
	subject_end(inside);
	for (size_t i = 0; i < n; i++)
		subject_end(pids[i]);
	for (size_t i = n; i-- > 2;)
		subject_cgroup_remove(no_places[i]);
}

/* A path too long to show is cut after a component; the container is the same. */
static void deep_groups_are_cut(void)
{
	static const char deep[] = DOCKER_A DEEP16;
	struct place place = { NULL, HEX_A, "docker" };
	struct json_object *document, *process;
	char shown[sizeof(deep)];
	size_t len = sizeof(DOCKER_A) - 1;
	pid_t pid;

	while (len + sizeof(DEEP) - 1 <= SYSINFO_CGROUP_MAX)
		len += sizeof(DEEP) - 1;
	memcpy(shown, deep, len);
	shown[len] = '\0';
	place.cgroup = shown;
	tap_expect(sizeof(deep) > SYSINFO_CGROUP_MAX, "not deep enough to show anything");

	subject_cgroup(deep);
	pid = subject_start(deep, NULL, NULL);
	document = document_take();
	process = document_process(document, pid);
	if (tap_expect(process, "not listed"))
		expect_place(process, &place);
	json_object_put(document);
	subject_end(pid);
	subject_cgroup_remove(deep);
}

/* Migration, and a group that is gone while a zombie is still in it. */
static void groups_change(void)
{
	struct json_object *document, *process;
	char path[256], number[16];
	pid_t pid;
	int fd;

	subject_cgroup("/docker/" HEX_B);
	pid = subject_start(DOCKER_A, NULL, NULL);
	snprintf(path, sizeof(path), SUBJECT_CGROUP_ROOT "/docker/%s/cgroup.procs", HEX_B);
	fd = must(open(path, O_WRONLY | O_CLOEXEC));
	must(write(fd, number, sprintf(number, "%d", pid)));
	close(fd);
	document = document_take();
	process = document_process(document, pid);
	tap_expect(process && !strcmp(document_string(process, "ContainerID"), HEX_B),
		   "still where it was");
	json_object_put(document);

	must(kill(pid, SIGKILL));
	subject_wait_state(pid, 'Z');
	subject_cgroup_remove("/docker/" HEX_B);
	document = document_take();
	process = document_process(document, pid);
	tap_expect(process && !strcmp(document_string(process, "ContainerID"), HEX_B) &&
			   !strcmp(document_string(process, "Cgroup"), "/docker/" HEX_B),
		   "a zombie lost its group");
	json_object_put(document);
	must(waitpid(pid, NULL, 0));
}

/* --- fields --- */

/* As the contract has it: NULs become spaces, those at the end go. */
static size_t expected_cmdline(pid_t pid, char *to)
{
	static char raw[SYSINFO_CMDLINE_MAX + 1];
	size_t len = procfs_read_of(pid, "cmdline", raw, sizeof(raw));

	while (len && !raw[len - 1])
		len--;
	for (size_t i = 0; i < len; i++)
		if (!raw[i])
			raw[i] = ' ';
	return document_repair(raw, len, to);
}

static void expect_texts(struct json_object *process, pid_t pid)
{
	char name[64], expected[3 * SYSINFO_CMDLINE_MAX];
	size_t len = procfs_read_of(pid, "comm", name, sizeof(name)) - 1;

	tap_expect(document_string_is(process, "Name", expected,
				      document_repair(name, len, expected)),
		   "Name: %s", document_string(process, "Name"));
	len = expected_cmdline(pid, expected);
	tap_expect(document_string_is(process, "Cmdline", expected, len), "Cmdline: %s, not %.*s",
		   document_string(process, "Cmdline"), (int)len, expected);
}

static void expect_rounded(struct json_object *process, const char *key, double low, double high)
{
	double value = document_percent(process, key);

	tap_expect(value >= low - 0.00501 && value <= high + 0.00501, "%s: %.2f is not in %f..%f",
		   key, value, low, high);
}

/* All fields of a process that does nothing meanwhile. */
static void expect_fields(struct json_object *document, pid_t pid)
{
	struct json_object *process = document_process(document, pid);
	int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	int64_t rss, cpu, start, begin, end;
	struct procfs_stat stat;

	if (!tap_expect(process, "process %d is not listed", pid))
		return;
	procfs_stat(pid, &stat);
	tap_expect(document_number(process, "PPID") == stat.ppid, "PPID");
	tap_expect(document_string(process, "State")[0] == stat.state &&
			   !document_string(process, "State")[1],
		   "State: %s, not %c", document_string(process, "State"), stat.state);
	tap_expect(document_number(process, "Threads") == stat.threads, "Threads: %ld, not %ld",
		   document_number(process, "Threads"), stat.threads);
	start = document_number(process, "StartTimeUs");
	tap_expect(start / tick_us == stat.start_ticks, "StartTimeUs: %ld, not %ld ticks", start,
		   stat.start_ticks);
	if (stat.state != 'Z')
		tap_expect(document_number(process, "Vsz") * 1024 == stat.vsz_bytes,
			   "Vsz: %ld KiB, not %ld bytes", document_number(process, "Vsz"),
			   stat.vsz_bytes);
	rss = document_number(process, "Rss");
	if (stat.state != 'Z')
		tap_expect(rss == procfs_rss_kib(pid), "Rss: %ld, not %ld", rss,
			   procfs_rss_kib(pid));
	expect_rounded(process, "MemoryUsage",
		       100.0 * rss / document_number(document, "TotalRAM"),
		       100.0 * rss / document_number(document, "TotalRAM"));
	cpu = document_number(process, "CPUTimeUs");
	tap_expect(document_number(process, "UserTimeUs") / tick_us == stat.user_ticks,
		   "UserTimeUs: %ld, not %ld ticks", document_number(process, "UserTimeUs"),
		   stat.user_ticks);
	tap_expect(document_number(process, "SystemTimeUs") / tick_us == stat.system_ticks,
		   "SystemTimeUs: %ld, not %ld ticks", document_number(process, "SystemTimeUs"),
		   stat.system_ticks);
	/* each cut to a microsecond */
	tap_expect(labs(cpu - document_number(process, "UserTimeUs") -
			document_number(process, "SystemTimeUs")) <= 1, "CPUTimeUs is not the sum");
	begin = document_number(document, "BootTimeUs") - start;
	end = begin + document_number(document, "CollectUs");
	if (begin > 10000)
		expect_rounded(process, "CPUUsage", 100.0 * cpu / end, 100.0 * cpu / begin);
	expect_texts(process, pid);
}

/* Burns CPU until this thread has had that much. */
static void burn_us(int64_t us)
{
	struct timespec spent;

	do {
		must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent));
	} while (spent.tv_sec * 1000000LL + spent.tv_nsec / 1000 < us);
}

static void *burn_thread(void *us)
{
	burn_us((intptr_t)us);
	return NULL;
}

static void *wait_thread(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void act_burn(void *us)
{
	burn_us((intptr_t)us);
}

static void act_touch_memory(void *shared)
{
	size_t size = 24 << 20;
	char *memory = must(mmap(NULL, size, PROT_READ | PROT_WRITE,
				 MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0));

	memset(memory, 1, size / 2);
}

static void act_map_file(void *unused)
{
	int fd = must(open("/proc/self/exe", O_RDONLY));
	struct stat st;
	char *file;

	(void)unused;
	must(fstat(fd, &st));
	file = must(mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0));
	for (off_t at = 0; at < st.st_size; at += 4096)
		(void)*(volatile char *)(file + at);
}

static void act_threads(void *unused)
{
	pthread_t thread;

	(void)unused;
	for (int i = 0; i < 5; i++)
		pthread_create(&thread, NULL, wait_thread, NULL);
}

#define BURNED_BY_DEAD_US 100000

static void act_dead_threads(void *unused)
{
	pthread_t threads[3];

	(void)unused;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, burn_thread, (void *)BURNED_BY_DEAD_US);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* joined is not yet gone */
	while (procfs_number("/proc/self/status", "Threads:") > 1)
		usleep(1000);
}

static void fields_are_right(void)
{
	static const struct {
		void (*act)(void *);
		void *arg;
	} acts[] = {
		{ NULL, NULL },
		{ act_burn, (void *)150000 },
		{ act_touch_memory, NULL },
		{ act_touch_memory, (void *)1 },
		{ act_map_file, NULL },
		{ act_threads, NULL },
		{ act_dead_threads, NULL },
	};
	pid_t pids[sizeof(acts) / sizeof(acts[0])];
	struct json_object *document;
	const size_t n = sizeof(acts) / sizeof(acts[0]);

	for (size_t i = 0; i < n; i++)
		pids[i] = subject_start(DOCKER_A, acts[i].act, acts[i].arg);
	document = document_take();
	for (size_t i = 0; i < n; i++) {
		printf("# act %zu\n", i);
		expect_fields(document, pids[i]);
	}
	tap_expect(document_number(document_process(document, pids[2]), "Rss") >= 12 << 10,
		   "12 MiB of anonymous memory are not in Rss");
	tap_expect(document_number(document_process(document, pids[3]), "Rss") >= 12 << 10,
		   "12 MiB of shared memory are not in Rss");
	tap_expect(document_number(document_process(document, pids[5]), "Threads") == 6,
		   "not 6 threads");
	tap_expect(document_number(document_process(document, pids[6]), "CPUTimeUs") >=
			   3 * BURNED_BY_DEAD_US,
		   "CPU time of dead threads is lost");
	json_object_put(document);
	for (size_t i = 0; i < n; i++)
		subject_end(pids[i]);
}

static void zombies_are_right(void)
{
	pid_t pid = subject_start(DOCKER_A, act_dead_threads, NULL);
	struct json_object *document, *process;

	must(kill(pid, SIGKILL));
	subject_wait_state(pid, 'Z');
	document = document_take();
	expect_fields(document, pid);
	process = document_process(document, pid);
	tap_expect(process && document_number(process, "Vsz") == 0 &&
			   document_number(process, "Rss") == 0,
		   "a zombie has memory");
	tap_expect(process && document_number(process, "CPUTimeUs") >= 3 * BURNED_BY_DEAD_US,
		   "CPU time is lost");
	json_object_put(document);
	must(waitpid(pid, NULL, 0));
}

/* The process lives on in its other thread, and so does its memory; /proc/PID/stat shows none. */
static void ended_leaders_have_memory(void)
{
	pid_t pid = must(fork());
	struct json_object *document, *process;
	pthread_t thread;

	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		subject_enter(DOCKER_A);
		pthread_create(&thread, NULL, wait_thread, NULL);
		pthread_exit(NULL);
	}
	subject_wait_state(pid, 'Z');
	document = document_take();
	process = document_process(document, pid);
	if (tap_expect(process, "not listed")) {
		tap_expect(!strcmp(document_string(process, "State"), "Z"), "State: %s",
			   document_string(process, "State"));
		tap_expect(document_number(process, "Threads") == 2, "Threads: %ld",
			   document_number(process, "Threads"));
		tap_expect(document_number(process, "Vsz") > 0, "no memory");
		tap_expect(*document_string(process, "Cmdline"), "no arguments");
	}
	json_object_put(document);
	subject_end(pid);
}

static void act_churn(void *unused)
{
	(void)unused;
	subject_busy();
	for (;;) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			if (pthread_create(&threads[i], NULL, burn_thread, (void *)500))
				tap_bail_out("pthread_create");
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
}

static void cpu_time_never_goes_back(void)
{
	static const char *const keys[] = { "UserTimeUs", "SystemTimeUs", "CPUTimeUs" };
	int64_t last[3][3] = {}, first[3] = {};
	pid_t pids[3];

	for (int i = 0; i < 3; i++)
		pids[i] = subject_start(DOCKER_A, act_churn, NULL);
	for (int round = 0; round < 400; round++) {
		struct json_object *document = document_take();

		for (int i = 0; i < 3; i++) {
			struct json_object *process = document_process(document, pids[i]);

			if (!tap_expect(process, "not listed"))
				continue;
			for (int k = 0; k < 3; k++) {
				int64_t value = document_number(process, keys[k]);

				tap_expect(value >= last[i][k], "%s: %ld after %ld", keys[k],
					   value, last[i][k]);
				last[i][k] = value;
			}
			if (!round)
				first[i] = last[i][2];
			/* others who ask must not upset it */
			struct procfs_stat stat;

			procfs_stat(pids[i], &stat);
		}
		json_object_put(document);
	}
	for (int i = 0; i < 3; i++) {
		tap_expect(last[i][2] > first[i], "no CPU time at all");
		subject_end(pids[i]);
	}
}

/* --- hostile text --- */

static void set_args(unsigned long start, unsigned long end)
{
	/* in this order the start is never past the end: the stack is above any mapping */
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_START, start, 0, 0));
	must(prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0));
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void random_bytes(char *to, size_t len)
{
	static const char *const pieces[] = {
		"\"", "\\", "\",\"PID\":1,\"", "}]}", "\\u0000", "\n", "\r\n", "\x1b[2J", "\xc2\x9b",
		"\xe2\x80\xa8", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3\xa9", "\xf0\x9f\x98\x80",
		"\xef\xbb\xbf", "\xff\xfe",
	};

	for (size_t at = 0; at < len;) {
		uint64_t r = random_next();

		if (r & 1) {
			to[at++] = r >> 8;
		} else {
			const char *piece = pieces[(r >> 8) % (sizeof(pieces) / sizeof(pieces[0]))];

			while (*piece && at < len)
				to[at++] = *piece++;
		}
	}
}

#define ROUNDS 400

/* Each subject gives itself a name, and is told to take the next by a byte. */
static int orders[2], answers[2];

static void act_random_names(void *unused)
{
	char name[16], byte;

	(void)unused;
	subject_busy();
	while (read(orders[0], name, sizeof(name)) == sizeof(name)) {
		must(prctl(PR_SET_NAME, name));
		must(write(answers[1], &byte, 1));
	}
	_exit(0);
}

static void random_texts_survive(void)
{
	struct json_object *document, *process;
	char name[16], *arguments, byte;
	pid_t named, argued;
	int fd;

	must(pipe(orders));
	must(pipe(answers));
	named = subject_start(DOCKER_A, act_random_names, NULL);

	/* written to from here through /proc/PID/mem, into its own arguments */
	arguments = malloc(3001);
	memset(arguments, 'x', 3000);
	arguments[3000] = '\0';
	argued = subject_exec(DOCKER_A, (char *[]){ "subject", arguments, NULL },
			      (char *[]){ NULL });
	char path[64], text[1024], *at;
	unsigned long arg_start = 0;

	procfs_read_of(argued, "stat", text, sizeof(text));
	at = strrchr(text, ')');
	/* field 48 is arg_start, and 3 follows the name */
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %lu", &arg_start) != 1)
		tap_bail_out("arg_start");
	snprintf(path, sizeof(path), "/proc/%d/mem", argued);
	fd = must(open(path, O_RDWR | O_CLOEXEC));

	for (int round = 0; round < ROUNDS; round++) {
		size_t len = random_next() % 2990;

		random_bytes(name, sizeof(name));
		must(write(orders[1], name, sizeof(name)));
		must(read(answers[0], &byte, 1));
		random_bytes(arguments, len);
		must(pwrite(fd, arguments, len, arg_start));

		document = document_take();
		process = document_process(document, named);
		if (tap_expect(process, "round %d: not listed", round))
			expect_texts(process, named);
		process = document_process(document, argued);
		if (tap_expect(process, "round %d: not listed", round))
			expect_texts(process, argued);
		json_object_put(document);
	}
	close(fd);
	free(arguments);
	subject_end(named);
	subject_end(argued);
	close(orders[0]);
	close(orders[1]);
	close(answers[0]);
	close(answers[1]);
}

static void expect_cmdline(pid_t pid, const char *what, const char *expected, size_t len)
{
	struct json_object *document = document_take();
	struct json_object *process = document_process(document, pid);

	tap_expect(process && document_string_is(process, "Cmdline", expected, len), "%s: %.100s",
		   what, process ? document_string(process, "Cmdline") : "not listed");
	json_object_put(document);
	subject_end(pid);
}

static void odd_argument_lists(void)
{
	static char *const no_env[] = { NULL };
	char *huge = malloc(100001), *cut = malloc(SYSINFO_CMDLINE_MAX + 2);
	struct json_object *document;
	pid_t pid;

	pid = subject_exec(DOCKER_A, (char *[]){ "", NULL }, no_env);
	expect_cmdline(pid, "one empty argument", "", 0);
	pid = subject_exec(DOCKER_A, (char *[]){ NULL }, no_env);
	expect_cmdline(pid, "no arguments", "", 0);
	pid = subject_exec(DOCKER_A, (char *[]){ "a", "", "b  c", "", "", NULL }, no_env);
	expect_cmdline(pid, "empty arguments within", "a  b  c", 7);

	memset(huge, 'x', 100000);
	huge[100000] = '\0';
	pid = subject_exec(DOCKER_A, (char *[]){ huge, "end", NULL }, no_env);
	document = document_take();
	tap_expect(document_process(document, pid), "huge: not listed");
	json_object_put(document);
	expect_cmdline(pid, "huge", huge, SYSINFO_CMDLINE_MAX);

	/* a character of two bytes across the limit is left out */
	memset(cut, 'y', SYSINFO_CMDLINE_MAX - 1);
	memcpy(cut + SYSINFO_CMDLINE_MAX - 1, "\xc3\xa9", 3);
	pid = subject_exec(DOCKER_A, (char *[]){ cut, NULL }, no_env);
	expect_cmdline(pid, "cut in a character", cut, SYSINFO_CMDLINE_MAX - 1);
	free(huge);
	free(cut);
}

static void act_title(void *title)
{
	char text[1024], *at;
	unsigned long start = 0, end = 0;

	procfs_read("/proc/self/stat", text, sizeof(text));
	at = strrchr(text, ')');
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %lu %lu", &start, &end) != 2)
		tap_bail_out("arg_start");
	/* over the end of the arguments, into the environment, as setproctitle() does */
	memset((char *)start, ' ', end - start);
	strcpy((char *)end - 1, title);
	memcpy((char *)start, "title", 5);
}

static void titles_are_shown(void)
{
	char expected[SYSINFO_CMDLINE_MAX * 3];
	pid_t pid = subject_start(DOCKER_A, act_title, "goes on in the environment");
	size_t len = expected_cmdline(pid, expected);

	tap_expect(len > 26 && !memcmp(expected, "title", 5) &&
			   !memcmp(expected + len - 11, "environment", 11),
		   "the kernel doesn't show it either: %.*s", (int)len, expected);
	expect_cmdline(pid, "title", expected, len);
}

static void act_args_unmapped(void *unused)
{
	char *page = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0));

	(void)unused;
	strcpy(page, "gone");
	set_args((unsigned long)page, (unsigned long)page + 5);
	must(munmap(page, 4096));
}

static void act_args_in_file(void *unused)
{
	int fd = must(open("/proc/self/exe", O_RDONLY));
	char *page = must(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));

	(void)unused;
	(void)*(volatile char *)page;
	set_args((unsigned long)page, (unsigned long)page + 5);
}

static void act_args_in_userfault(void *unused)
{
	char *page = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0));
	int fd = must(syscall(SYS_userfaultfd, O_CLOEXEC));
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (unsigned long)page, 4096 },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	(void)unused;
	must(ioctl(fd, UFFDIO_API, &api));
	must(ioctl(fd, UFFDIO_REGISTER, &range));
	set_args((unsigned long)page, (unsigned long)page + 5);
}

/* Nothing of this may be waited for, or shown. */
static void unreadable_arguments_are_empty(void)
{
	expect_cmdline(subject_start(DOCKER_A, act_args_unmapped, NULL), "unmapped", "", 0);
	expect_cmdline(subject_start(DOCKER_A, act_args_in_file, NULL), "in a file", "", 0);
	expect_cmdline(subject_start(DOCKER_A, act_args_in_userfault, NULL), "userfaultfd", "", 0);
}

/* --- a busy machine --- */

static void act_fork_storm(void *unused)
{
	(void)unused;
	signal(SIGCHLD, SIG_IGN);
	subject_busy();
	for (;;)
		if (!fork())
			_exit(0);
}

static void act_exec_storm(void *unused)
{
	(void)unused;
	signal(SIGCHLD, SIG_IGN);
	subject_busy();
	for (;;) {
		pid_t pid = vfork();

		if (!pid) {
			execve("/proc/self/exe", (char *[]){ "check", "--nothing", NULL },
			       (char *[]){ NULL });
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
}

static void act_map_storm(void *unused)
{
	(void)unused;
	subject_busy();
	for (;;) {
		char *memory = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		munmap(memory, 8 << 20);
	}
}

static void storms_do_no_harm(void)
{
	static void (*const acts[])(void *) = { act_fork_storm, act_exec_storm, act_map_storm };
	pid_t pids[3], bystander = subject_start(DOCKER_A, NULL, NULL);

	for (int i = 0; i < 3; i++)
		pids[i] = subject_start(DOCKER_A, acts[i], NULL);
	for (int round = 0; round < 100; round++) {
		struct json_object *document = document_take();

		tap_expect(document_process(document, bystander), "the bystander is not listed");
		for (int i = 0; i < 3; i++)
			tap_expect(document_process(document, pids[i]), "a storm is not listed");
		json_object_put(document);
	}
	for (int i = 0; i < 3; i++)
		subject_end(pids[i]);
	subject_end(bystander);
}

/* --- access --- */

/* Runs try in a process of its own, which may change what it is; its result. */
static int elsewhere(int (*try)(void))
{
	pid_t pid = must(fork());
	int status;

	if (!pid)
		_exit(try());
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* 0 if it can be opened, else the errno. */
static int try_open(void)
{
	int fd = open(SYSINFO_PATH, O_RDONLY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int try_as_stranger(void)
{
	must(setgroups(0, NULL));
	must(setresgid(READERS + 1, READERS + 1, READERS + 1));
	must(setresuid(READERS, READERS, READERS));
	return try_open();
}

static int try_as_reader(void)
{
	must(setgroups(0, NULL));
	must(setresgid(READERS, READERS, READERS));
	must(setresuid(READERS, READERS, READERS));
	return try_open();
}

static int try_in_pid_namespace(void)
{
	must(unshare(CLONE_NEWPID | CLONE_NEWNS));
	return elsewhere(try_open);
}

static int try_own_proc(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mount("proc", "/proc", "proc", 0, NULL));
	return try_open();
}

static int try_in_container(void)
{
	must(unshare(CLONE_NEWPID | CLONE_NEWNS));
	return elsewhere(try_own_proc);
}

static void expect_mode(const char *parameters, mode_t mode, gid_t group)
{
	struct stat st;

	reload(parameters);
	must(stat(SYSINFO_PATH, &st));
	tap_expect(st.st_mode == (S_IFREG | mode) && st.st_uid == 0 && st.st_gid == group,
		   "%s: %o %d:%d", parameters, st.st_mode, st.st_uid, st.st_gid);
}

static void access_is_as_told(void)
{
	expect_mode("", 0440, 0);
	tap_expect(elsewhere(try_as_stranger) == EACCES, "a stranger reads");
	tap_expect(elsewhere(try_as_reader) == EACCES, "the group reads that was not told");
	expect_mode("group=7777", 0440, READERS);
	tap_expect(elsewhere(try_as_stranger) == EACCES, "a stranger reads");
	tap_expect(elsewhere(try_as_reader) == 0, "the group doesn't read");
	expect_mode("mode=444", 0444, 0);
	tap_expect(elsewhere(try_as_stranger) == 0, "a stranger doesn't read");
	expect_mode("mode=0400 group=7777", 0400, READERS);
	tap_expect(elsewhere(try_as_reader) == EACCES, "the group reads without the mode");
	reload("");
}

static void containers_may_not_read(void)
{
	reload("mode=0444");
	tap_expect(elsewhere(try_open) == 0, "not readable at all");
	tap_expect(elsewhere(try_in_pid_namespace) == EPERM, "by the host's /proc");
	tap_expect(elsewhere(try_in_container) == EPERM, "by its own /proc");
	reload("");
}

static int try_open_many(void)
{
	must(setgroups(0, NULL));
	must(setresgid(READERS, READERS, READERS));
	for (int i = 0; i < SYSINFO_OPEN_MAX; i++)
		if (open(SYSINFO_PATH, O_RDONLY) < 0)
			return errno;
	/* one more is for root */
	if (open(SYSINFO_PATH, O_RDONLY) < 0)
		return 1;
	must(setresuid(READERS, READERS, READERS));
	return try_open();
}

static void open_files_are_limited(void)
{
	reload("group=7777");
	tap_expect(elsewhere(try_open_many) == EBUSY, "no limit");
	tap_expect(elsewhere(try_as_reader) == 0, "what was open still counts");
	reload("");
}

static void act_namespaces(void *inner)
{
	pid_t pid;

	must(unshare(CLONE_NEWUSER | CLONE_NEWPID));
	pid = must(fork());
	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (;;)
			pause();
	}
	*(pid_t *)inner = pid;
}

/* Pids are the host's, also of those who know themselves by another. */
static void pids_are_the_hosts(void)
{
	pid_t *inner = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0));
	pid_t outer = subject_start(DOCKER_A, act_namespaces, inner);
	struct json_object *document;

	subject_wait_state(*inner, 'S');
	document = document_take();
	expect_fields(document, outer);
	expect_fields(document, *inner);
	tap_expect(document_number(document_process(document, *inner), "PPID") == outer,
		   "its parent is another");
	json_object_put(document);
	subject_end(outer);
	munmap(inner, 4096);
}

static void command_lines_can_be_off(void)
{
	pid_t pid = subject_start(DOCKER_A, NULL, NULL);
	struct json_object *document, *process;
	char expected[3 * SYSINFO_CMDLINE_MAX];

	reload("cmdline=0");
	document = document_take();
	process = document_process(document, pid);
	tap_expect(process && document_string_is(process, "Cmdline", "", 0), "still shown");
	tap_expect(process && document_number(process, "Rss") > 0, "memory is off too");
	json_object_put(document);
	reload("");
	expect_cmdline(pid, "back on", expected, expected_cmdline(pid, expected));
}

/* --- scope=all --- */

static void all_processes_can_be_listed(void)
{
	struct json_object *document, *process;
	pid_t inside = subject_start(DOCKER_A, NULL, NULL);
	pid_t outside = subject_start("/", NULL, NULL);
	size_t listed = 0, kernel_threads = 0;
	struct dirent *entry;
	DIR *proc;

	reload("scope=all");
	document = document_take();
	expect_fields(document, inside);
	expect_fields(document, outside);
	process = document_process(document, inside);
	tap_expect(!strcmp(document_string(process, "ContainerID"), HEX_A), "not in a container");
	process = document_process(document, outside);
	tap_expect(!*document_string(process, "ContainerID") &&
			   !*document_string(process, "Runtime") &&
			   !strcmp(document_string(process, "Cgroup"), "/"),
		   "in a container");
	tap_expect(document_number(process, "CgroupID") == cgroup_inode("/"), "CgroupID of /");

	proc = opendir("/proc");
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		struct procfs_stat stat;

		if (!pid)
			continue;
		process = document_process(document, pid);
		/* the kernel starts and ends workers as it likes */
		if (!process)
			continue;
		listed++;
		procfs_stat(pid, &stat);
		if (stat.vsz_bytes || stat.state == 'Z')
			continue;
		kernel_threads++;
		tap_expect(document_string_is(process, "Cmdline", "", 0) &&
				   document_number(process, "Vsz") == 0 &&
				   document_number(process, "Rss") == 0,
			   "a kernel thread has memory");
		tap_expect(document_number(process, "PPID") == stat.ppid, "its PPID");
	}
	closedir(proc);
	tap_expect(document_process(document, 1) && document_process(document, 2) &&
			   document_process(document, getpid()),
		   "1, 2 or this process is missing");
	tap_expect(kernel_threads > 10, "only %zu kernel threads", kernel_threads);
	tap_expect(json_object_array_length(json_object_object_get(document, "Processes")) <=
			   listed + 5, "more listed than there are");
	json_object_put(document);
	reload("");
	document = document_take();
	tap_expect(!document_process(document, outside), "still listed");
	json_object_put(document);
	subject_end(inside);
	subject_end(outside);
}

/* For the schema, which is validated outside of the guest. */
static void keep_snapshot(const char *path)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	size_t len;
	char *text = document_read(&len);

	tap_expect(write(fd, text, len) == (ssize_t)len, "%s", path);
	close(fd);
	free(text);
}

static void snapshots_are_kept(void)
{
	char *odd[] = { "\x01\xff\"\\", "}],\"x\":[{", NULL }, *none[] = { NULL };
	pid_t asleep = subject_start(DOCKER_A, NULL, NULL);
	pid_t named = subject_exec(DOCKER_A, odd, none);

	must(mkdir("/tmp/snapshots", 0755));
	keep_snapshot("/tmp/snapshots/containers.json");
	reload("scope=all");
	keep_snapshot("/tmp/snapshots/all.json");
	reload("cmdline=0");
	keep_snapshot("/tmp/snapshots/no-cmdline.json");
	subject_end(asleep);
	subject_end(named);
	keep_snapshot("/tmp/snapshots/empty.json");
	reload("");
}

/* --- the end --- */

/* Also while somebody holds it open: he gets no more, and no harm comes of it. */
static void unloads_under_readers(void)
{
	char byte;
	int fd = must(open(SYSINFO_PATH, O_RDONLY | O_CLOEXEC));

	must(read(fd, &byte, 1));
	unload();
	tap_expect(access(SYSINFO_PATH, F_OK) && errno == ENOENT, "the file is still there");
	tap_expect(read(fd, &byte, 1) < 0, "still readable");
	close(fd);
	load("");
	json_object_put(document_take());
}

int main(int argc, char **argv)
{
	subject_main();
	if (argc != 2 || argv[1][0] == '-')
		return 2;
	module_path = argv[1];
	must(setvbuf(stdout, NULL, _IOLBF, 0));
	/* the child keeps the parent from being removed with others below it */
	subject_cgroup(DOCKER_A "/kept");

	tap_run("bad parameters are refused", loads_refuse_bad_parameters);
	load("");
	tap_run("the machine's numbers are the kernel's", machine_is_right);
	tap_run("snapshots are numbered", snapshots_are_numbered);
	tap_run("an open file is one document, however it is read", reads_agree);
	tap_run("containers of every runtime are recognised", containers_are_recognised);
	tap_run("what is not in a container is not listed", others_are_not_listed);
	tap_run("deep cgroup paths are cut after a component", deep_groups_are_cut);
	tap_run("migration and removed cgroups", groups_change);
	tap_run("every field of a process is the kernel's", fields_are_right);
	tap_run("zombies", zombies_are_right);
	tap_run("a process whose leader has ended", ended_leaders_have_memory);
	tap_run("pids are the host's, in other namespaces too", pids_are_the_hosts);
	tap_run("CPU time never goes back", cpu_time_never_goes_back);
	tap_run("random bytes as names and arguments", random_texts_survive);
	tap_run("empty, huge and cut argument lists", odd_argument_lists);
	tap_run("titles written over the arguments", titles_are_shown);
	tap_run("unreadable arguments", unreadable_arguments_are_empty);
	tap_run("fork, exec and mmap storms", storms_do_no_harm);
	tap_run("mode and group", access_is_as_told);
	tap_run("containers may not read", containers_may_not_read);
	tap_run("open files are limited", open_files_are_limited);
	tap_run("command lines can be off", command_lines_can_be_off);
	tap_run("scope=all lists every process", all_processes_can_be_listed);
	tap_run("snapshots are kept for the schema", snapshots_are_kept);
	tap_run("unloads under readers", unloads_under_readers);

	unload();
	subject_cgroup_remove(DOCKER_A "/kept");
	return tap_done();
}
