/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IO_SELF_H
#define IO_SELF_H

#include "userspace/core/model.h"

/* Marks the containers that this process or an ancestor of it runs in. */
void self_mark(struct model *m);

#endif
