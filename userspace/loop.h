/* SPDX-License-Identifier: GPL-2.0 */
/* The cycle: snapshot -> model -> classify -> decide -> act -> record, every interval. */
#ifndef LOOP_H
#define LOOP_H

#include "userspace/setup.h"

#define LOOP_REASON_SIZE 640

/**
 * loop_run() - run until told to end by a signal, or for the configured number of cycles
 * @setup: what to work with
 * @reason: on failure, one line for the user (LOOP_REASON_SIZE)
 *
 * Trouble within a cycle is reported, and nothing is killed in it; it ends the loop only
 * where going on makes no sense.
 *
 * Return: 0 or negative errno.
 */
int loop_run(struct setup *setup, char *reason);

#endif
