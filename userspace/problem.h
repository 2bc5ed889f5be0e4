/* SPDX-License-Identifier: GPL-2.0 */
/* What went wrong in a cycle, as one line for the report: the first is the cause. */
#ifndef PROBLEM_H
#define PROBLEM_H

#define PROBLEM_SIZE 640

struct problem {
	char text[PROBLEM_SIZE];	/* "": none */
};

/* Unless there is one already. */
void problem_set(struct problem *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
