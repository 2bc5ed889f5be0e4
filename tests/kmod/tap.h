/* SPDX-License-Identifier: GPL-2.0 */
/* A test is a function; what it expects and doesn't get is told, and fails it. */
#ifndef KMOD_TAP_H
#define KMOD_TAP_H

#include <stdbool.h>

void tap_run(const char *name, void (*test)(void));
bool tap_expect_at(bool met, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int tap_done(void);

/* Setting the stage failed: nothing can be tested. */
void tap_bail_out(const char *what) __attribute__((noreturn));

#define tap_expect(met, ...) tap_expect_at(met, __FILE__, __LINE__, __VA_ARGS__)

/* For calls of the test itself, not of what is tested: the value, or the end. */
#define must(call)                                          \
	({                                                  \
		__typeof__(call) must_value = (call);       \
		if (must_value == (__typeof__(call))-1)     \
			tap_bail_out(#call);                \
		must_value;                                 \
	})

#endif
