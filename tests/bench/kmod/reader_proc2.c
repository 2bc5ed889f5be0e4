// SPDX-License-Identifier: GPL-2.0
/* libproc2, the library of procps (ps, top), asked for the same fields. */
#include <libproc2/pids.h>
#include <string.h>

#include "kmod/container_id.h"
#include "reader.h"

static struct pids_info *info;

enum { AT_PID, AT_PPID, AT_NAME, AT_CMDLINE, AT_CGROUP, AT_STATE, AT_THREADS, AT_START, AT_VSZ,
       AT_RSS, AT_USER, AT_SYSTEM, AT_COUNT };

static int proc2_begin(void)
{
	enum pids_item items[] = { PIDS_ID_TGID,     PIDS_ID_PPID,     PIDS_CMD,
				   PIDS_CMDLINE,     PIDS_CGROUP,      PIDS_STATE,
				   PIDS_NLWP,	     PIDS_TICS_BEGAN,  PIDS_VM_SIZE,
				   PIDS_VM_RSS,	     PIDS_TICS_USER,   PIDS_TICS_SYSTEM };

	return procps_pids_new(&info, items, AT_COUNT) < 0 ? -1 : 0;
}

static void proc2_read(struct reader_result *ret)
{
	struct pids_fetch *fetched = procps_pids_reap(info, PIDS_FETCH_TASKS_ONLY);

	*ret = (struct reader_result){};
	for (int i = 0; fetched && i < fetched->counts->total; i++) {
		struct pids_result *fields = fetched->stacks[i]->head;
		const char *path = strstr(fields[AT_CGROUP].result.str, "::");
		struct container_id container;

		if (!path || container_id_find(path + 2, strlen(path + 2), &container))
			continue;
		ret->processes++;
		ret->bytes += strlen(fields[AT_CMDLINE].result.str);
	}
}

const struct reader reader_proc2 = { .name = "libproc2", .begin = proc2_begin, .read = proc2_read };
