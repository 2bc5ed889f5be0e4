/* SPDX-License-Identifier: GPL-2.0 */
/* One monitor that kills for each container runtime, whoever runs it. */
#ifndef IO_HOST_LOCK_H
#define IO_HOST_LOCK_H

/**
 * host_lock_take() - be the only one, for as long as this process lives
 * @socket: of the runtime
 * @ret_fd: what holds the lock; close(2) gives it back
 *
 * The lock is an abstract Unix socket (unix(7)), named by the path of the runtime's socket
 * without links: any user can take it, it needs no folder, the kernel gives it back however
 * the process ends, and it holds when the runtime is restarted and makes its socket anew.
 * It reaches as far as the network namespace.
 *
 * Return: 0; -EBUSY: another has it; negative errno.
 */
int host_lock_take(const char *socket, int *ret_fd);

#endif
