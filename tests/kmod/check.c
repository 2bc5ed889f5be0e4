// SPDX-License-Identifier: GPL-2.0
/*
 * Runs as root in a guest: check MODULE.ko
 * Loads the module, sets subjects up, compares what the snapshot says of them
 * with what the kernel's own files say.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "subject.h"
#include "tap.h"

static const char *module_path;

bool module_loads(const char *parameters)
{
	int fd = must(open(module_path, O_RDONLY | O_CLOEXEC));
	bool loaded = !syscall(SYS_finit_module, fd, parameters, 0);
	int error = errno;

	close(fd);
	errno = error;
	return loaded;
}

static void load(const char *parameters)
{
	if (!module_loads(parameters))
		tap_bail_out(parameters);
}

static void unload(void)
{
	must(syscall(SYS_delete_module, "sysinfo", O_NONBLOCK));
}

void module_reload(const char *parameters)
{
	unload();
	load(parameters);
}

static void loads_refuse_bad_parameters(void)
{
	static const char *const bad[] = { "mode=0640", "mode=666", "mode=8", "mode=01444", "mode=0",
					   "scope=some", "cmdline=maybe", "group=-1",
					   "group=4294967295" };


	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!tap_expect(!module_loads(bad[i]) && errno == EINVAL, "%s", bad[i]))
			unload();
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
	module_reload("scope=all");
	keep_snapshot("/tmp/snapshots/all.json");
	module_reload("cmdline=0");
	keep_snapshot("/tmp/snapshots/no-cmdline.json");
	subject_end(asleep);
	subject_end(named);
	keep_snapshot("/tmp/snapshots/empty.json");
	module_reload("");
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
	check_document();
	check_identity();
	check_process();
	check_text();
	check_access();
	tap_run("fork, exec and mmap storms", storms_do_no_harm);
	tap_run("snapshots are kept for the schema", snapshots_are_kept);
	tap_run("unloads under readers", unloads_under_readers);

	unload();
	subject_cgroup_remove(DOCKER_A "/kept");
	return tap_done();
}
