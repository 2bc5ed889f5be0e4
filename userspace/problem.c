// SPDX-License-Identifier: GPL-2.0
#include "userspace/problem.h"

#include <stdarg.h>
#include <stdio.h>

void problem_set(struct problem *t, const char *format, ...)
{
	va_list ap;

	if (t->text[0])
		return;
	va_start(ap, format);
	vsnprintf(t->text, sizeof(t->text), format, ap);
	va_end(ap);
}
