/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process of its own that writes what the program prints into a file.  A write to a file can
 * only be waited for, and on a disk that hangs not even SIGKILL ends that wait; a pipe to such
 * a process is written without one (output.h).
 */
#ifndef HOST_FILE_WRITER_H
#define HOST_FILE_WRITER_H

struct file_writer {
	int pidfd;		/* -1: none is needed */
};

/**
 * file_writer_divert() - have a process write to the file that a descriptor is
 * @fd: STDOUT_FILENO or STDERR_FILENO; one that is a regular file becomes a pipe to that
 *	process, of any other kind it is left as it is
 * @ret: for file_writer_finish(); @ret->pidfd is -1 if there is no process
 *
 * To be called before there are threads.  What finds no room in the file is counted by lines,
 * and told in the file once there is room again.
 *
 * Return: 0 or negative errno.
 */
int file_writer_divert(int fd, struct file_writer *ret);

/**
 * file_writer_finish() - wait until all is written
 * @w: its descriptor must be closed by now, wherever it was
 * @timeout_ms: beyond that the process goes on by itself
 *
 * Return: 0; -EIO: a line was lost; -ETIMEDOUT.
 */
int file_writer_finish(struct file_writer *w, int timeout_ms);

#endif
