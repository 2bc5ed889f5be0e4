/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Other programs, and functions of this one, run as child processes beside the event loop.
 * A process that goes on when its loop is freed is left to itself, and nobody is told.
 */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

struct process;

/* Of what a child prints, so much is kept. */
#define PROCESS_OUTPUT_MAX (16u << 20)

/*
 * @status: exit status; 128 and a signal's number; negative errno: it could not be executed
 * (-ENOENT: there is no such program; -ENOEXEC: there is, but what is to interpret it is
 * not; -EACCES), or -ENOMEM: what it printed can't be had, or -ETIMEDOUT: it took too long,
 * and was killed or left to itself; then it may still run.
 * @out, @err: what it has printed; end in NUL, gone on return.
 */
typedef void process_done_fn(void *ctx, int status, const char *out, size_t out_len,
			     const char *err);

struct process_options {
	char *const *argv;	/* argv[0] is looked for in PATH */
	char *const *set_env;	/* "NAME=value", beside those at the start; NULL: none */
	const char *input;	/* its standard input; NULL: empty */
	size_t input_len;
	long timeout_ms;	/* 0: none */
	bool kill_late;		/* one that takes too long is killed, with its group; else left */
	process_done_fn *done;
	void *ctx;
};

/**
 * process_remember_start() - keep how the program was started, for its children
 *
 * First thing in main(); later calls change nothing.  Kept are signals, niceness, scheduling
 * policy, OOM score, limit of locked memory and environment.  From here on SIGCHLD is not
 * ignored, so that children can be waited for.
 */
void process_remember_start(void);

/**
 * process_be_helper() - in a child that was just forked: to be one that outlasts the program
 * @name: as ps(1) shows it
 *
 * It is ended by its connection alone, by no signal that means the program, and has an
 * ordinary niceness.  SIGXFSZ too is ignored: a write beyond RLIMIT_FSIZE is to fail with
 * EFBIG, setrlimit(2).
 */
void process_be_helper(const char *name);

/**
 * process_start() - start a program
 * @event: the loop
 * @o: what and how; all copied
 * @ret: may be NULL; invalid once done has returned
 *
 * In a process group of its own: the terminal's Ctrl-C does not reach it.  Signals, niceness
 * and OOM score are those that the monitor was started with.  Done is called once, from the
 * loop, never from within this function; also if the program is not there, since exec may
 * hang on a dead file system.
 *
 * Return: 0; or negative errno, and then done is not called.
 */
int process_start(sd_event *event, const struct process_options *o, struct process **ret);

/**
 * process_call() - run a function in a forked child
 * @fn: returns the child's exit status, 0 to 127; what it writes to @fd is given to done as
 *	its output.  It has no other descriptors but 0 to 2, which are /dev/null
 * @fn_ctx: as it is now
 * The others as above; one that takes too long is killed.  For what may wait (a resolver, a
 * configuration on a dead server).
 */
int process_call(sd_event *event, int (*fn)(void *ctx, int fd), void *fn_ctx, long timeout_ms,
		 process_done_fn *done, void *ctx, struct process **ret);

/**
 * process_try() - run a function in a forked child, for the end of the program
 * @fn: what may hang
 * @ctx: of @fn
 * @timeout_ms: waited for at most; then the child goes on by itself
 *
 * Without the loop, which has ended.  Return: whether it has ended in time with 0.
 */
bool process_try(int (*fn)(void *ctx), void *ctx, int timeout_ms);

#endif
