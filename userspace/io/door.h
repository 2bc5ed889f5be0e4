/* SPDX-License-Identifier: GPL-2.0 */
/* The door of the log server: the address that the monitor sends its records to. */
#ifndef IO_DOOR_H
#define IO_DOOR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A name has one or two. */
#define DOOR_ADDRESSES_MAX 4

/* All zeroes: not on this machine. */
struct door {
	uint16_t port;
	char addresses[DOOR_ADDRESSES_MAX][INET6_ADDRSTRLEN];	/* this machine's own */
	size_t count;
	struct sockaddr_storage others[DOOR_ADDRESSES_MAX];	/* not seen to be its own yet */
	size_t other_count;
};

/**
 * door_find() - where a URL leads to, if that is on this machine
 * @url: http or https
 * @ret: the door
 *
 * Return: 0, or negative errno: the URL has no host or port, or its name is not known.
 */
int door_find(const char *url, struct door *ret);

/*
 * Looks whether what was not this machine's is by now: a network may come up late.  Its own
 * it stays, as the network may go down again, too.
 */
void door_look(struct door *d);

/**
 * door_is_at() - does who publishes a port stand in the door?
 * @d: the door
 * @address: that it listens at; "", "0.0.0.0" and "::": at all of the machine's
 * @port: its port
 */
bool door_is_at(const struct door *d, const char *address, double port);

#endif
