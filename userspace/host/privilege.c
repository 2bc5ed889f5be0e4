// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/resource.h>

static bool privilege_is_lock_limited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur != RLIM_INFINITY;
}

int privilege_drop(bool keep_ipc_lock)
{
	bool dac_override, ipc_lock, setpcap;

	if (capng_get_caps_process())
		return -EIO;
	dac_override = capng_have_capability(CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
	ipc_lock = keep_ipc_lock && privilege_is_lock_limited() &&
		   capng_have_capability(CAPNG_PERMITTED, CAP_IPC_LOCK);
	setpcap = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	if (setpcap) {
		capng_clear(CAPNG_SELECT_BOUNDS);
		capng_updatev(CAPNG_ADD, CAPNG_BOUNDING_SET, CAP_DAC_OVERRIDE, CAP_CHOWN,
			      CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, -1);
		if (capng_apply(CAPNG_SELECT_BOUNDS))
			return -EPERM;
	}
	/* The ambient set goes with it. */
	capng_clear(CAPNG_SELECT_CAPS);
	if (dac_override)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
	if (ipc_lock)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_IPC_LOCK);
	return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}
