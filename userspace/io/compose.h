/* SPDX-License-Identifier: GPL-2.0 */
#ifndef IO_COMPOSE_H
#define IO_COMPOSE_H

#define COMPOSE_REASON_SIZE 512

/**
 * compose_up() - bring the log server up, and wait until compose says it is
 * @file: the compose file
 * @socket: of the runtime
 * @reason: on failure, one line for the user (COMPOSE_REASON_SIZE)
 *
 * By "docker compose" where there is one, else "docker-compose".
 *
 * Return: 0 or negative errno.
 */
int compose_up(const char *file, const char *socket, char *reason);

#endif
