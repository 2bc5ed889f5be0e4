/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Steps at which a test ends the monitor.  Only a build for that test has anything here
 * (tests/kill/fault.c); to the product they are words in its source.
 */
#ifndef FAULT_H
#define FAULT_H

#ifdef FAULT_POINTS
void fault_point(const char *step);
#else
static inline void fault_point(const char *step)
{
	(void)step;
}
#endif

#endif
