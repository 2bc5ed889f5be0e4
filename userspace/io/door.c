// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/door.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t size_of(const struct sockaddr_storage *at)
{
	return at->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* A machine can only bind to an address of its own. */
static bool is_ours(const struct sockaddr_storage *at)
{
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return false;
	err = bind(fd, (const struct sockaddr *)at, size_of(at));
	close(fd);
	return !err;
}

void door_look(struct door *d)
{
	size_t i, n = 0;

	for (i = 0; i < d->other_count; i++) {
		const struct sockaddr_storage *at = &d->others[i];

		if (is_ours(at) && !getnameinfo((const struct sockaddr *)at, size_of(at),
						d->addresses[d->count], sizeof(d->addresses[0]), NULL, 0,
						NI_NUMERICHOST))
			d->count++;
		else
			d->others[n++] = *at;
	}
	d->other_count = n;
}

/* Of no port yet, so that binding asks for the address alone. */
static int resolve(const char *host, struct door *d)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *all, *a;

	if (getaddrinfo(host, NULL, &hints, &all))
		return -ENOENT;
	for (a = all; a && d->other_count < DOOR_ADDRESSES_MAX; a = a->ai_next)
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
			memcpy(&d->others[d->other_count++], a->ai_addr, a->ai_addrlen);
	freeaddrinfo(all);
	door_look(d);
	return 0;
}

int door_find(const char *url, struct door *ret)
{
	char *host = NULL, *port = NULL;
	CURLU *u = curl_url();
	struct door d = { 0 };
	int err = -EINVAL;

	if (!u)
		return -ENOMEM;
	if (!curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)) {
		/* "[::1]" */
		if (*host == '[') {
			memmove(host, host + 1, strlen(host));
			host[strcspn(host, "]")] = '\0';
		}
		d.port = (uint16_t)strtoul(port, NULL, 10);
		err = resolve(host, &d);
	}
	if (!err)
		*ret = d;
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return err;
}

bool door_is_at(const struct door *d, const char *address, double port)
{
	size_t i;

	if (!d->count || port != d->port)
		return false;
	if (!*address || !strcmp(address, "0.0.0.0") || !strcmp(address, "::"))
		return true;
	for (i = 0; i < d->count; i++)
		if (!strcmp(address, d->addresses[i]))
			return true;
	return false;
}
