/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include "userspace/host/output.h"

/**
 * log_line() - write one line for the user to standard error
 * @format: of the line, without its newline; what is not printable ASCII is escaped
 */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on lines are written to @err, which never blocks; NULL: to stderr itself. */
void log_use(struct output *err);

#endif
