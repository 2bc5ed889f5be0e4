/* SPDX-License-Identifier: GPL-2.0 */
/* The file in /proc. */
#ifndef SYSINFO_PROC_FILE_H
#define SYSINFO_PROC_FILE_H

#include <linux/types.h>

#include "snapshot.h"

int proc_file_create(umode_t mode, kgid_t group, const struct snapshot_options *options);
void proc_file_remove(void);

#endif
