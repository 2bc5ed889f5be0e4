// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "tests/unit/unit.h"
#include "userspace/core/snapshot_parse.h"

#define HEAD \
	"{\"SchemaVersion\":1,\"Instance\":\"i\",\"Sequence\":3,\"BootTimeUs\":99,\"CollectUs\":5," \
	"\"TotalRAM\":100,\"FreeRAM\":40,\"UsedRAM\":60,\"AvailableRAM\":50,\"CPUs\":2,"
#define PROCESS(pid, extra) \
	"{\"PID\":" pid ",\"PPID\":1,\"Name\":\"n\",\"ContainerID\":\"c\",\"Runtime\":\"docker\"," \
	"\"Cgroup\":\"/docker/c\",\"CgroupID\":8,\"State\":\"S\",\"Threads\":1,\"StartTimeUs\":1,\"Vsz\":2,\"Rss\":3," \
	"\"MemoryUsage\":1.23,\"CPUUsage\":4.5" extra "}"
#define GOOD PROCESS("7", ",\"CPUTimeUs\":6")

static void whole(void **state)
{
	static const char text[] = HEAD "\"Processes\":[" GOOD "," PROCESS("8", ",\"CPUTimeUs\":9007199254740992") "]}\n";
	char reason[SNAPSHOT_REASON_SIZE];
	struct snapshot *s;

	(void)state;
	assert_int_equal(snapshot_parse(text, sizeof(text) - 1, &s, reason), 0);
	assert_string_equal(s->instance, "i");
	assert_int_equal(s->sequence, 3);
	assert_int_equal(s->boot_time_us, 99);
	assert_int_equal(s->used_ram_kib, 60);
	assert_int_equal(s->cpus, 2);
	assert_int_equal(s->process_count, 2);
	assert_int_equal(s->processes[0].pid, 7);
	assert_int_equal(s->processes[0].cgroup_id, 8);
	assert_int_equal(s->processes[0].cpu_us, 6);
	assert_true(s->processes[0].memory_percent > 1.22 && s->processes[0].memory_percent < 1.24);
	assert_int_equal(s->processes[1].cpu_us, 9007199254740992);
	snapshot_free(s);
}

/* A document that was cut anywhere is no document. */
static void cut(void **state)
{
	static const char text[] = HEAD "\"Processes\":[" GOOD "]}";
	char reason[SNAPSHOT_REASON_SIZE];
	struct snapshot *s;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(snapshot_parse(text, len, &s, reason), -EBADMSG);
	assert_int_equal(snapshot_parse(text, sizeof(text) - 1, &s, reason), 0);
	snapshot_free(s);
}

static void bad(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *reason;
	} cases[] = {
		{ "", -EBADMSG, "not a whole JSON object" },
		{ "[]", -EBADMSG, "not a whole JSON object" },
		{ "null", -EBADMSG, "not a whole JSON object" },
		{ HEAD "\"Processes\":[]} {}", -EBADMSG, "not a whole JSON object" },
		{ "{}", -EBADMSG, "SchemaVersion is missing" },
		{ "{\"SchemaVersion\":2}", -EPROTO, "schema version 2" },
		{ "{\"SchemaVersion\":1}", -EBADMSG, "Instance is missing" },
		{ HEAD "\"Processes\":{}}", -EBADMSG, "Processes is missing" },
		{ HEAD "\"Processes\":[1]}", -EBADMSG, "the entry of process 0 is no object" },
		{ HEAD "\"Processes\":[" GOOD ",[]]}", -EBADMSG, "of process 1" },
		{ HEAD "\"Processes\":[" PROCESS("7", "") "]}", -EBADMSG, "CPUTimeUs of process 0 is missing" },
		{ HEAD "\"Processes\":[" PROCESS("0", ",\"CPUTimeUs\":1") "]}", -EBADMSG, "PID of process 0 is 0" },
		{ HEAD "\"Processes\":[" PROCESS("-1", ",\"CPUTimeUs\":1") "]}", -EBADMSG, "out of range" },
		{ HEAD "\"Processes\":[" PROCESS("1.5", ",\"CPUTimeUs\":1") "]}", -EBADMSG, "no integer" },
		{ HEAD "\"Processes\":[" PROCESS("1e99", ",\"CPUTimeUs\":1") "]}", -EBADMSG, "out of range" },
		{ HEAD "\"Processes\":[" PROCESS("\"7\"", ",\"CPUTimeUs\":1") "]}", -EBADMSG, "no number" },
	};
	char reason[SNAPSHOT_REASON_SIZE];
	struct snapshot *s = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(snapshot_parse(cases[i].text, strlen(cases[i].text), &s, reason),
				 cases[i].err);
		if (!strstr(reason, cases[i].reason))
			fail_msg("case %zu: '%s' lacks '%s'", i, reason, cases[i].reason);
		assert_null(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(cut),
		cmocka_unit_test(bad),
	};

	return RUN(tests);
}
