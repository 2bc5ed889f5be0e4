// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "userspace/core/escape.h"

static struct output *log_output;

void log_use(struct output *err)
{
	log_output = err;
}

void log_line(const char *format, ...)
{
	char text[2048], shown[2400], line[2416];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "monitor: %s\n", escape(text, shown, sizeof(shown)));
	if (log_output)
		output_write(log_output, line, strlen(line));
	else
		fputs(line, stderr);
}
