// SPDX-License-Identifier: GPL-2.0
/* A heavy one: holds 128 MiB, and touches it now and then so that it stays. */
#include <stdlib.h>
#include <time.h>

#define BYTES (128UL << 20)
#define PAGE 4096

int main(void)
{
	const struct timespec rest = { .tv_sec = 5 };
	volatile char *memory = malloc(BYTES);
	size_t i;

	if (!memory)
		return 1;
	for (;;) {
		for (i = 0; i < BYTES; i += PAGE)
			memory[i]++;
		nanosleep(&rest, NULL);
	}
}
