/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IO_SELF_H
#define IO_SELF_H

#include "userspace/core/model.h"

/*
 * Marks the containers that this process or an ancestor of it runs in: by the snapshot's
 * pids, and by the cgroups that they are in, whether the snapshot has them or not.
 */
void self_mark(struct model *m);

#endif
