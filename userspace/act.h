/* SPDX-License-Identifier: GPL-2.0 */
/* Acting and recording: intent on disk, the act, its record on disk. */
#ifndef ACT_H
#define ACT_H

#include "userspace/core/decide.h"
#include "userspace/io/kill.h"
#include "userspace/setup.h"
#include "userspace/trouble.h"

/**
 * act_carry_out() - do what a plan says
 * @s: what to work with
 * @plan: the plan
 * @m: the model that it rests on
 * @victims: room for plan->kills; filled with the plan's RULE_SURPLUS in its order, and
 *	how it went
 * @t: why it was not done
 *
 * Return: whether it was done; if not, no container was touched.
 */
bool act_carry_out(const struct setup *s, const struct plan *plan, const struct model *m,
		   struct kill_victim *victims, struct trouble *t);

/* Has a sample of the machine's memory on disk, on its way to the log server. */
void act_record_sample(const struct setup *s, const struct model *m, struct trouble *t);

/**
 * act_recover() - resolve what an earlier monitor intended but did not complete
 * @s: what to work with
 *
 * By looking: a victim that is dead gets its record.  One of another boot, or that has
 * survived, gets none: nothing is claimed that isn't known.  What can't be read is put
 * aside in the spool.
 *
 * Return: 0; -EBADMSG: they couldn't be read, and are put aside; -EAGAIN: one is still on
 * its way out; negative errno.
 */
int act_recover(const struct setup *s);

#endif
