// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

/* Enough to see what is wrong; a broken field is broken in every process. */
#define TOLD_MAX 8

static int tests, failed, unmet;

void tap_run(const char *name, void (*test)(void))
{
	unmet = 0;
	test();
	tests++;
	failed += unmet > 0;
	printf("%sok %d - %s\n", unmet ? "not " : "", tests, name);
	fflush(stdout);
}

bool tap_expect_at(bool met, const char *file, int line, const char *format, ...)
{
	va_list args;

	if (met || ++unmet > TOLD_MAX)
		return met;
	printf("# %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return met;
}

int tap_done(void)
{
	printf("1..%d\n", tests);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void tap_bail_out(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(EXIT_FAILURE);
}
