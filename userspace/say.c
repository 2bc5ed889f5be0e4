// SPDX-License-Identifier: GPL-2.0
#include "userspace/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "userspace/core/escape.h"

void say(const char *format, ...)
{
	char line[2048], shown[2400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fprintf(stderr, "monitor: %s\n", escape(line, shown, sizeof(shown)));
}
