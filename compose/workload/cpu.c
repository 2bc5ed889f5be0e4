// SPDX-License-Identifier: GPL-2.0
/* A heavy one: busy for 30 ms of every 100, so that ten of them leave room for others. */
#include <time.h>

#define BUSY_NS 30000000L
#define PERIOD_NS 100000000L

static long long cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void)
{
	const struct timespec rest = { .tv_nsec = PERIOD_NS - BUSY_NS };

	for (;;) {
		long long until = cpu_ns() + BUSY_NS;

		while (cpu_ns() < until)
			;
		nanosleep(&rest, NULL);
	}
}
