// SPDX-License-Identifier: GPL-2.0
#include "userspace/runtime/log_endpoint.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static socklen_t address_size(const struct sockaddr_storage *at)
{
	return at->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* bind() gives EADDRNOTAVAIL for an address that no local interface has (ip(7)). */
static bool is_local(const struct sockaddr_storage *at)
{
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return false;
	err = bind(fd, (const struct sockaddr *)at, address_size(at));
	close(fd);
	return !err;
}

void log_endpoint_refresh(struct log_endpoint *e)
{
	size_t i, n = 0;

	for (i = 0; i < e->other_count; i++) {
		const struct sockaddr_storage *at = &e->others[i];

		if (is_local(at) && !getnameinfo((const struct sockaddr *)at, address_size(at),
						 e->addresses[e->count], sizeof(e->addresses[0]),
						 NULL, 0, NI_NUMERICHOST))
			e->count++;
		else
			e->others[n++] = *at;
	}
	e->other_count = n;
}

/* The addresses have port 0, with which bind() depends on the address alone. */
static int log_endpoint_resolve(const char *host, struct log_endpoint *e)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *all, *a;

	if (getaddrinfo(host, NULL, &hints, &all))
		return -ENOENT;
	for (a = all; a && e->other_count < LOG_ENDPOINT_ADDRESSES_MAX; a = a->ai_next)
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
			memcpy(&e->others[e->other_count++], a->ai_addr, a->ai_addrlen);
	freeaddrinfo(all);
	log_endpoint_refresh(e);
	return 0;
}

/* libcurl leaves the brackets of "[::1]" on, which getaddrinfo() does not know. */
static void strip_brackets(char *host)
{
	if (*host != '[')
		return;
	memmove(host, host + 1, strlen(host));
	host[strcspn(host, "]")] = '\0';
}

int log_endpoint_find(const char *url, struct log_endpoint *ret)
{
	char *host = NULL, *port = NULL;
	CURLU *u = curl_url();
	struct log_endpoint e;
	int err = -EINVAL;

	if (!u)
		return -ENOMEM;
	/* The padding, too: it goes through the pipe. */
	memset(&e, 0, sizeof(e));
	if (!curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)) {
		strip_brackets(host);
		e.port = (uint16_t)strtoul(port, NULL, 10);
		err = log_endpoint_resolve(host, &e);
	}
	if (!err)
		memcpy(ret, &e, sizeof(e));
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return err;
}

bool log_endpoint_matches(const struct log_endpoint *e, const char *address, double port)
{
	size_t i;

	if (!e->count || port != e->port)
		return false;
	if (!*address || !strcmp(address, "0.0.0.0") || !strcmp(address, "::"))
		return true;
	for (i = 0; i < e->count; i++)
		if (!strcmp(address, e->addresses[i]))
			return true;
	return false;
}
