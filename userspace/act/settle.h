/* SPDX-License-Identifier: GPL-2.0 */
/* What an earlier monitor intended, and did not see the outcome of. */
#ifndef ACT_SETTLE_H
#define ACT_SETTLE_H

#include "userspace/act/act.h"

/**
 * settle() - step "settle": give an earlier monitor's intents their outcomes
 * @a: with those intents
 *
 * By looking; nothing is touched or removed.  Of another boot, or dead: unknown.  Alive, and
 * no SIGKILL waits for its processes: it survived, and was not touched.  Alive with one: it
 * is dying, and waited for, in each cycle again.
 */
void settle(struct act *a);

#endif
