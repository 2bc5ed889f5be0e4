// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "document.h"
#include "kmod/sysinfo_abi.h"
#include "subject.h"
#include "tap.h"

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

void check_identity(void)
{
	tap_run("containers of every runtime are recognised", containers_are_recognised);
	tap_run("what is not in a container is not listed", others_are_not_listed);
	tap_run("deep cgroup paths are cut after a component", deep_groups_are_cut);
	tap_run("migration and removed cgroups", groups_change);
}
