// SPDX-License-Identifier: GPL-2.0
/* A light one: wakes ten times a second and does next to nothing. */
#include <time.h>

int main(void)
{
	const struct timespec rest = { .tv_nsec = 100000000L };

	for (;;)
		nanosleep(&rest, NULL);
}
