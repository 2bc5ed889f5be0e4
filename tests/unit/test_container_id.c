// SPDX-License-Identifier: GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kmod/container_id.h"

#define HEX_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define HEX_63 "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_UPPER "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_G "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD "/pod1b2c3d4e-0000-1111-2222-333344445555"

struct found {
	const char *path;
	enum container_runtime runtime;
	const char *id;
	const char *prefix;
};

static const struct found found[] = {
	/* each runtime's own ways */
	{ "/docker/" HEX_A, CONTAINER_RUNTIME_DOCKER, HEX_A, "/docker/" HEX_A },
	{ "/system.slice/docker-" HEX_A ".scope", CONTAINER_RUNTIME_DOCKER, HEX_A,
	  "/system.slice/docker-" HEX_A ".scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" HEX_A ".scope",
	  CONTAINER_RUNTIME_DOCKER, HEX_A,
	  "/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" HEX_A ".scope" },
	{ "/machine.slice/libpod-" HEX_A ".scope/container", CONTAINER_RUNTIME_PODMAN, HEX_A,
	  "/machine.slice/libpod-" HEX_A ".scope" },
	{ "/machine.slice/machine-libpod_pod_" HEX_B ".slice/libpod-" HEX_A ".scope",
	  CONTAINER_RUNTIME_PODMAN, HEX_A,
	  "/machine.slice/machine-libpod_pod_" HEX_B ".slice/libpod-" HEX_A ".scope" },
	{ "/libpod_parent/libpod-" HEX_A, CONTAINER_RUNTIME_PODMAN, HEX_A,
	  "/libpod_parent/libpod-" HEX_A },
	{ "/system.slice/web.service/libpod-payload-" HEX_A, CONTAINER_RUNTIME_PODMAN, HEX_A,
	  "/system.slice/web.service/libpod-payload-" HEX_A },
	{ "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" HEX_A ".scope",
	  CONTAINER_RUNTIME_CONTAINERD, HEX_A,
	  "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" HEX_A ".scope" },
	{ "/system.slice/kubepods-pod1.slice:cri-containerd:" HEX_A "/init",
	  CONTAINER_RUNTIME_CONTAINERD, HEX_A,
	  "/system.slice/kubepods-pod1.slice:cri-containerd:" HEX_A },
	{ "/system.slice:docker:" HEX_A, CONTAINER_RUNTIME_DOCKER, HEX_A,
	  "/system.slice:docker:" HEX_A },
	{ "/kubepods/burstable" POD "/" HEX_A, CONTAINER_RUNTIME_CONTAINERD, HEX_A,
	  "/kubepods/burstable" POD "/" HEX_A },
	{ "/kubepods" POD "/" HEX_A, CONTAINER_RUNTIME_CONTAINERD, HEX_A,
	  "/kubepods" POD "/" HEX_A },
	{ "/kubelet/kubepods/besteffort" POD "/" HEX_A, CONTAINER_RUNTIME_CONTAINERD, HEX_A,
	  "/kubelet/kubepods/besteffort" POD "/" HEX_A },
	{ "/kubepods/besteffort" POD "/crio-" HEX_A, CONTAINER_RUNTIME_CRIO, HEX_A,
	  "/kubepods/besteffort" POD "/crio-" HEX_A },
	{ "/kubepods.slice/crio-" HEX_A ".scope", CONTAINER_RUNTIME_CRIO, HEX_A,
	  "/kubepods.slice/crio-" HEX_A ".scope" },
	{ "/system.slice/nerdctl-" HEX_A ".scope", CONTAINER_RUNTIME_CONTAINERD, HEX_A,
	  "/system.slice/nerdctl-" HEX_A ".scope" },
	{ "/lxc.payload.web-1", CONTAINER_RUNTIME_LXC, "web-1", "/lxc.payload.web-1" },
	{ "/lxc/101/ns/init.scope", CONTAINER_RUNTIME_LXC, "101", "/lxc/101" },
	{ "/lxc/lxc.payload.", CONTAINER_RUNTIME_LXC, "lxc.payload.", "/lxc/lxc.payload." },
	{ "/lxc/libpod-payload-" HEX_63, CONTAINER_RUNTIME_LXC, "libpod-payload-" HEX_63,
	  "/lxc/libpod-payload-" HEX_63 },
	{ "/lxc.payload.a \"b\n", CONTAINER_RUNTIME_LXC, "a \"b\n", "/lxc.payload.a \"b\n" },

	/* what is inside a container never changes which one it is */
	{ "/docker/" HEX_A "/docker/" HEX_B, CONTAINER_RUNTIME_DOCKER, HEX_A, "/docker/" HEX_A },
	{ "/docker/" HEX_A "/system.slice/docker-" HEX_B ".scope", CONTAINER_RUNTIME_DOCKER,
	  HEX_A, "/docker/" HEX_A },
	{ "/system.slice/docker-" HEX_A ".scope/lxc.payload.x/libpod-" HEX_B ".scope",
	  CONTAINER_RUNTIME_DOCKER, HEX_A, "/system.slice/docker-" HEX_A ".scope" },
	{ "/lxc.payload.outer/docker/" HEX_B, CONTAINER_RUNTIME_LXC, "outer",
	  "/lxc.payload.outer" },
	{ "/docker/" HEX_A "/../" HEX_B, CONTAINER_RUNTIME_DOCKER, HEX_A, "/docker/" HEX_A },
};

static const char *const not_found[] = {
	"", "/", "//", "/init.scope", "/system.slice/docker.service",
	/* nearly an id */
	"/docker/" HEX_63, "/docker/" HEX_A "0", "/docker/" HEX_UPPER, "/docker/" HEX_G,
	"/docker/buildkit/" HEX_A, "/docker", "/docker/",
	/* nearly a unit */
	"/system.slice/docker-" HEX_A ".scope.d", "/system.slice/docker-" HEX_A,
	"/system.slice/docker-" HEX_A ".slice", "/system.slice/docker-" HEX_63 ".scope",
	"/system.slice/xdocker-" HEX_A ".scope", "/system.slice/docker" HEX_A ".scope",
	"/system.slice/docker-" HEX_UPPER ".scope", "/system.slice/" HEX_A ".scope",
	"/system.slice/docker-.scope", "/.scope", "/docker-.scope",
	/* helpers of a runtime, outside of the container */
	"/machine.slice/libpod-conmon-" HEX_A ".scope", "/libpod_parent/conmon",
	"/kubepods.slice/crio-conmon-" HEX_A ".scope", "/lxc.monitor.web-1", "/lxc.monitor/101",
	"/system.slice/containerd.service",
	/* bare ids where no runtime puts them */
	"/" HEX_A, "/user.slice/docker/" HEX_A, "/user.slice/lxc/x", "/foo/" HEX_A,
	"/kubepods/burstable/" HEX_A, "/kubepods" POD, "/burstable" POD "/" HEX_A,
	"/kubepods.slice" POD "/" HEX_A, "/kubepods" POD "/sub/" HEX_A,
	"/x/libpod_parent/libpod-" HEX_A, "/libpod_parent/" HEX_A,
	"/libpod_parent/libpod-" HEX_63, "/x/libpod-payload-" HEX_63,
	/* empty names, and colons without a slice */
	"/lxc.payload.", "/lxc/", "/lxc", "/:docker:" HEX_A, "/a:podman:" HEX_A,
	"/a:docker:" HEX_63, "/a:docker:" HEX_A ":x",
	/* not a path of the kernel's */
	"/docker//" HEX_A, "//docker/" HEX_A,
};

static void finds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
		const struct found *f = &found[i];
		struct container_id c;

		print_message("# %s\n", f->path);
		assert_int_equal(container_id_find(f->path, strlen(f->path), &c), 0);
		assert_int_equal(c.runtime, f->runtime);
		assert_int_equal(c.id_len, strlen(f->id));
		assert_memory_equal(f->path + c.id, f->id, c.id_len);
		assert_int_equal(c.prefix_len, strlen(f->prefix));
		assert_memory_equal(f->path, f->prefix, c.prefix_len);
	}
}

static void finds_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(not_found) / sizeof(not_found[0]); i++) {
		struct container_id c, before;

		memset(&c, 0x5a, sizeof(c));
		before = c;
		print_message("# %s\n", not_found[i]);
		assert_int_equal(container_id_find(not_found[i], strlen(not_found[i]), &c),
				 -ENOENT);
		assert_memory_equal(&c, &before, sizeof(c));
	}
}

/* The length counts, not a NUL: a path cut anywhere short of the id is in no container. */
static void heeds_the_length(void **state)
{
	static const char path[] = "/system.slice/docker-" HEX_A ".scope";
	struct container_id c;

	(void)state;
	for (size_t len = 0; len < sizeof(path) - 1; len++)
		assert_int_equal(container_id_find(path, len, &c), -ENOENT);
	assert_int_equal(container_id_find(path, sizeof(path) - 1, &c), 0);
}

static void names_runtimes(void **state)
{
	(void)state;
	assert_string_equal(container_id_runtime_name(CONTAINER_RUNTIME_NONE), "");
	assert_string_equal(container_id_runtime_name(CONTAINER_RUNTIME_DOCKER), "docker");
	assert_string_equal(container_id_runtime_name(CONTAINER_RUNTIME_PODMAN), "podman");
	assert_string_equal(container_id_runtime_name(CONTAINER_RUNTIME_CONTAINERD), "containerd");
	assert_string_equal(container_id_runtime_name(CONTAINER_RUNTIME_CRIO), "cri-o");
	assert_string_equal(container_id_runtime_name(CONTAINER_RUNTIME_LXC), "lxc");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(finds_none),
		cmocka_unit_test(heeds_the_length),
		cmocka_unit_test(names_runtimes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("container_id", tests, NULL, NULL);
}
