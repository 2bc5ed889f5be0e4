/* SPDX-License-Identifier: GPL-2.0 */
/* The log server's published endpoint: the address that the monitor sends its records to. */
#ifndef RUNTIME_LOG_ENDPOINT_H
#define RUNTIME_LOG_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A name usually has one address or two, of IPv4 and of IPv6. */
#define LOG_ENDPOINT_ADDRESSES_MAX 4

/* Without pointers, so that it can be written to a pipe.  All zeroes: not on this machine. */
struct log_endpoint {
	uint16_t port;
	char addresses[LOG_ENDPOINT_ADDRESSES_MAX][INET6_ADDRSTRLEN]; /* this machine's own */
	size_t count;
	struct sockaddr_storage others[LOG_ENDPOINT_ADDRESSES_MAX]; /* not this machine's so far */
	size_t other_count;
};

/**
 * log_endpoint_find() - resolve a URL, and find which of its addresses are this machine's
 * @url: http or https
 * @ret: the endpoint
 *
 * getaddrinfo() has no time limit of its own: a caller that must not wait forks a child for it.
 *
 * Return: 0, or negative errno: the URL has no host or port, or its name is not known.
 */
int log_endpoint_find(const char *url, struct log_endpoint *ret);

/*
 * Looks whether any of the other addresses is this machine's by now: a network may come up
 * late.  An address that was its own stays in the list, as a network may also go down again.
 * Never waits.
 */
void log_endpoint_refresh(struct log_endpoint *e);

/**
 * log_endpoint_matches() - does a published port lead to the endpoint?
 * @e: the endpoint
 * @address: the port is published on it; "", "0.0.0.0" and "::": on all of the machine's
 * @port: its number
 */
bool log_endpoint_matches(const struct log_endpoint *e, const char *address, double port);

#endif
