// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userspace/host/priority.h"
#include "userspace/host/privilege.h"
#include "userspace/host/process.h"

#define NEEDED_MIB 64
#define LIMIT_MIB 8
#define MIB (1ul << 20)

/* The address sanitizer makes mlockall(2) do nothing. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOCKS_NOTHING 1
#endif
#endif
#ifndef LOCKS_NOTHING
#define LOCKS_NOTHING 0
#endif

/* What came of it in a process of its own, as nothing of it can be undone. */
struct outcome {
	bool locked;
	int oom_adj;
	int drop;
	bool allocated;
	unsigned long locked_kib;
	bool limited;
	bool has_ipc_lock;
	bool has_other;
	bool bound_ipc_lock;
	int nice;
	int status;
	char child[256];
};

static unsigned long read_locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long kib = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %lu", &kib);
	if (f)
		fclose(f);
	return kib;
}

static bool allocate(void)
{
	size_t i;

	for (i = 0; i < NEEDED_MIB; i++) {
		char *p = malloc(MIB);

		if (!p)
			return false;
		memset(p, 1, MIB);
	}
	return true;
}

static void keep_child(void *ctx, int status, const char *out, size_t out_len, const char *err)
{
	struct outcome *o = ctx;

	(void)out_len;
	(void)err;
	o->status = status;
	snprintf(o->child, sizeof(o->child), "%s", out);
}

static void start_child(struct outcome *o)
{
	char *argv[] = { "sh", "-c", "cat /proc/self/oom_score_adj; nice; ulimit -l; "
			 "grep -o 'VmLck:.*[0-9]' /proc/self/status", NULL };
	const struct process_options options = { .argv = argv, .done = keep_child, .ctx = o,
						 .timeout_ms = 20000, .kill_late = true };
	sd_event *event;

	o->status = -1;
	if (sd_event_new(&event) < 0 || process_start(event, &options, NULL))
		return;
	while (!*o->child && o->status == -1 && sd_event_run(event, UINT64_MAX) >= 0)
		;
	sd_event_unref(event);
}

static void set_limit(rlim_t max)
{
	const struct rlimit limit = { LIMIT_MIB * MIB, max };

	setrlimit(RLIMIT_MEMLOCK, &limit);
}

static void drop_capability(unsigned int capability)
{
	capng_get_caps_process();
	capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability);
	capng_apply(CAPNG_SELECT_CAPS);
}

static void protect(struct outcome *o)
{
	struct rlimit limit;

	priority_raise();
	priority_protect(&o->locked, &o->oom_adj);
	o->drop = privilege_drop(o->locked);
	o->allocated = allocate();
	o->locked_kib = read_locked_kib();
	o->nice = getpriority(PRIO_PROCESS, 0);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	o->limited = limit.rlim_cur != RLIM_INFINITY;
	capng_get_caps_process();
	o->has_ipc_lock = capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK);
	o->bound_ipc_lock = capng_have_capability(CAPNG_BOUNDING_SET, CAP_IPC_LOCK);
	o->has_other = capng_have_capability(CAPNG_PERMITTED, CAP_SYS_ADMIN) ||
		       capng_have_capability(CAPNG_PERMITTED, CAP_SYS_NICE);
	start_child(o);
}

static void nothing_before(void)
{
}

static void as_daemons_start(void)
{
	set_limit(LIMIT_MIB * MIB);
}

static void without_ipc_lock(void)
{
	set_limit(LIMIT_MIB * MIB);
	drop_capability(CAP_IPC_LOCK);
	drop_capability(CAP_SYS_RESOURCE);
}

/* Its limit is raised by itself; the capability isn't needed. */
static void with_room_for_the_limit(void)
{
	set_limit(RLIM_INFINITY);
}

static void in_process(void (*before)(void), struct outcome *ret)
{
	struct outcome *o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_ptr_not_equal(o, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		before();
		process_remember_start();
		protect(o);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	*ret = *o;
	munmap(o, sizeof(*o));
}

static int current_oom_adj(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "r");
	int adj = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &adj), 1);
	fclose(f);
	return adj;
}

/* Those of another user namespace's root count for nothing of this (user_namespaces(7)). */
static bool have(unsigned int capability)
{
	unsigned long inside = 1, outside = 1, count = 0;
	FILE *f = fopen("/proc/self/uid_map", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu %lu", &inside, &outside, &count), 3);
	fclose(f);
	capng_get_caps_process();
	return !inside && !outside && count == UINT32_MAX &&
	       capng_have_capability(CAPNG_EFFECTIVE, capability);
}

/* Whatever became of it: all that is asked for later can be had, and no child has any of it. */
static void check_outcome(const struct outcome *o, const char *limit)
{
	int adj = current_oom_adj(), status;
	char expected[256];

	assert_int_equal(o->drop, 0);
	assert_true(o->allocated);
	assert_false(o->has_other);
	status = snprintf(expected, sizeof(expected), "%d\n%d\n%s\nVmLck:\t       0\n", adj,
			  getpriority(PRIO_PROCESS, 0), limit);
	assert_true(status > 0);
	assert_int_equal(o->status, 0);
	assert_string_equal(o->child, expected);
	assert_int_equal(o->oom_adj, have(CAP_SYS_RESOURCE) && adj > -900 ? -900 : adj);
	if (have(CAP_SYS_NICE) && !getpriority(PRIO_PROCESS, 0))
		assert_int_equal(o->nice, -20);
}

static void check_locked(const struct outcome *o)
{
	assert_true(o->locked);
	if (!LOCKS_NOTHING)
		assert_true(o->locked_kib >= NEEDED_MIB << 10);
}

static void protected(void **state)
{
	struct outcome o;

	(void)state;
	if (!have(CAP_IPC_LOCK)) {
		print_message("protected: needs CAP_IPC_LOCK\n");
		return;
	}
	in_process(as_daemons_start, &o);
	check_outcome(&o, "8192");
	check_locked(&o);
	assert_int_equal(o.limited, !have(CAP_SYS_RESOURCE));
	assert_int_equal(o.has_ipc_lock, o.limited);
	if (have(CAP_SETPCAP))
		assert_false(o.bound_ipc_lock);
}

static void protected_by_its_limit(void **state)
{
	struct rlimit limit;
	struct outcome o;

	(void)state;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_max != RLIM_INFINITY && !have(CAP_SYS_RESOURCE)) {
		print_message("protected_by_its_limit: needs CAP_SYS_RESOURCE\n");
		return;
	}
	in_process(with_room_for_the_limit, &o);
	check_outcome(&o, "8192");
	check_locked(&o);
	assert_false(o.limited || o.has_ipc_lock);
}

/* Locked memory would be worse than none: no allocation beyond the limit would succeed. */
static void not_protected(void **state)
{
	struct outcome o;

	(void)state;
	in_process(without_ipc_lock, &o);
	check_outcome(&o, "8192");
	assert_false(o.has_ipc_lock);
	if (LOCKS_NOTHING)
		return;
	assert_false(o.locked);
	assert_int_equal(o.locked_kib, 0);
}

static void twice(void **state)
{
	struct outcome o;
	bool locked;
	int adj;

	(void)state;
	in_process(nothing_before, &o);
	assert_true(o.allocated);
	/* And here, so that what the sanitizer sees is the code itself. */
	priority_protect(&locked, &adj);
	priority_protect(&locked, &adj);
	assert_int_equal(adj, current_oom_adj());
	munlockall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protected),
		cmocka_unit_test(protected_by_its_limit),
		cmocka_unit_test(not_protected),
		cmocka_unit_test(twice),
	};

	return RUN(tests);
}
