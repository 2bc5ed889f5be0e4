/* SPDX-License-Identifier: GPL-2.0 */
/* Other programs: run one, wait for it, keep what it prints. */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include <stddef.h>

/**
 * process_run() - run a program and wait for it
 * @argv: its words, the first looked up in PATH; no shell
 * @input: what it reads, or NULL: nothing
 * @ret_output: what it printed on stdout, ends in NUL, freed by the caller; or NULL: its
 *	stdout goes where ours goes
 *
 * Return: its exit status; 128 + the signal that ended it; -ENOENT: there is no such
 * program; another negative errno.
 */
int process_run(char *const argv[], const char *input, char **ret_output);

#endif
