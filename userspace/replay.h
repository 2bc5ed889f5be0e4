/* SPDX-License-Identifier: GPL-2.0 */
/* What a policy would have done with what a recording holds. */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdio.h>

#include "userspace/config.h"

#define REPLAY_REASON_SIZE 512

/**
 * replay_run() - judge a recording anew
 * @config: CONFIG_REPLAY: prints who would have died beside who did; CONFIG_EXPLAIN: the
 *	grounds of its last decision
 * @data: the recording
 * @len: its length
 * @out: where it is printed
 * @reason: on failure, one line for the user; else what is to be said besides, or ""
 *	(REPLAY_REASON_SIZE)
 *
 * Only up to the cycle config->cycles, unless that is 0.
 *
 * By the recorded policy, unless @config names another file.  Options win in any case.
 * The same recording and policy give the same bytes.
 *
 * Who dies here and lived on there is taken out of what is seen from then on: it would
 * not have been there.  Who died there and would have lived can't be followed.
 *
 * Return: 0 or negative errno.
 */
int replay_run(struct config *config, const unsigned char *data, size_t len, FILE *out,
	       char *reason);

#endif
