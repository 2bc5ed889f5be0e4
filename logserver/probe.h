/* SPDX-License-Identifier: GPL-2.0 */
/* Ask a running server whether it is well: for a container's health check, which
 * so needs neither shell nor curl. */
#ifndef LOGSERVER_PROBE_H
#define LOGSERVER_PROBE_H

#include <netdb.h>
#include <stdbool.h>

/*
 * GET /healthz from @address; 0 if the answer is 200, else negative errno. With
 * @tls the certificate is not checked: it need not be made for that address, and
 * nothing is told to whom it is.
 */
int probe_health(const struct addrinfo *address, bool tls);

#endif
