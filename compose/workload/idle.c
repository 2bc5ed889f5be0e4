// SPDX-License-Identifier: GPL-2.0
/* A light one: waits. */
#include <unistd.h>

int main(void)
{
	for (;;)
		pause();
}
