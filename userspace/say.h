/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SAY_H
#define SAY_H

/* One line to the user, on stderr, whatever is in it. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
