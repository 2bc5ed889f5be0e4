/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an operator requests of a running monitor, by signals and over the control socket, and
 * whether it may go on with what it is doing.  The mode is changed here at once, and kept on
 * disk over the monitor's end.
 */
#ifndef CONTROL_OPERATOR_H
#define CONTROL_OPERATOR_H

#include "userspace/context.h"
#include "userspace/core/brake.h"
#include "userspace/core/look.h"
#include "userspace/host/signals.h"

struct control;

struct operator {
	struct context *ctx;
	struct signals signals;
	struct control *control;	/* NULL: no socket */
	struct brake *brake;		/* the mode */
	bool ending;			/* SIGINT, SIGTERM */
	bool reload;			/* SIGHUP */
	char requests[LOOK_HAND_MAX + 1];	/* see struct look; since the last cycle */
	enum { MARK_UNKNOWN, MARK_ARMED, MARK_DISARMED } mark;	/* on disk */
	bool marking;			/* it is being written */
	bool mark_told;			/* that it could not be written */
	int mark_err;
	/*
	 * Called by the loop, never from within a step that asks whether it may continue, when an
	 * operator has changed the mode, or requests an end or a reload.
	 */
	void (*changed)(void *ctx);
	void *changed_ctx;
	sd_event_source *notify;
};

/**
 * operator_open() - begin to listen to signals
 * @o: all zeroes but for ctx and brake
 * Return: 0 or negative errno.
 */
int operator_open(struct operator *o);

/* Listens on the loop as well.  Return: 0 or negative errno. */
int operator_attach(struct operator *o, sd_event *event);

void operator_close(struct operator *o);

/*
 * Asked right before each step that kills or removes: has nobody called it off?  What was
 * delivered as a signal before this call counts.
 */
bool operator_should_continue(struct operator *o);

/* The mode that an earlier monitor left; @why: "" or why it is disarmed. */
void operator_start_mode(struct operator *o, bool armed, const char *why);

/* Has the loop call @o->changed. */
void operator_notify(struct operator *o);

/* By an operator; @by: "SIGUSR1", "control socket".  Idempotent. */
void operator_disarm(struct operator *o, const char *by);
void operator_arm(struct operator *o, const char *by);

/*
 * Has the mode on disk, if it is not yet; tried again in each cycle, also where the kill limits
 * have disarmed it.
 */
void operator_mark(struct operator *o);

/* Notes that the mode could not be put on disk, unless something else is wrong already. */
void operator_note_problem(const struct operator *o);

/* Whether the next start would find the mode of now. */
bool operator_is_marked(const struct operator *o);

#endif
