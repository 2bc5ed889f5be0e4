/* SPDX-License-Identifier: GPL-2.0 */
/* What went wrong in a cycle, as one line for the report: the first is the cause. */
#ifndef TROUBLE_H
#define TROUBLE_H

#define TROUBLE_SIZE 640

struct trouble {
	char text[TROUBLE_SIZE];	/* "": none */
};

/* Unless there is one already. */
void trouble_set(struct trouble *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
