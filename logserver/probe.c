// SPDX-License-Identifier: GPL-2.0
#include "probe.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "limits.h"

static const char question[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
			       "Connection: close\r\n\r\n";
static const char good[] = "HTTP/1.1 200 ";

static int ask_plain(int fd, char *reply, size_t len)
{
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question))
		return -EIO;
	return recv(fd, reply, len, MSG_WAITALL) == (ssize_t)len ? 0 : -EIO;
}

static int ask_tls(int fd, char *reply, size_t len)
{
	gnutls_certificate_credentials_t nobody = NULL;
	gnutls_session_t session = NULL;
	ssize_t got = -1;
	int code;

	if (gnutls_init(&session, GNUTLS_CLIENT) != GNUTLS_E_SUCCESS ||
	    gnutls_certificate_allocate_credentials(&nobody) != GNUTLS_E_SUCCESS ||
	    gnutls_set_default_priority(session) != GNUTLS_E_SUCCESS ||
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nobody) != GNUTLS_E_SUCCESS)
		goto out;
	gnutls_transport_set_int(session, fd);
	do {
		code = gnutls_handshake(session);
	} while (code < 0 && !gnutls_error_is_fatal(code) && code != GNUTLS_E_AGAIN);
	if (code == GNUTLS_E_SUCCESS &&
	    gnutls_record_send(session, question, strlen(question)) > 0)
		got = gnutls_record_recv(session, reply, len);
out:
	if (session)
		gnutls_deinit(session);
	if (nobody)
		gnutls_certificate_free_credentials(nobody);
	return got == (ssize_t)len ? 0 : -EIO;
}

static int ask(int fd, const struct addrinfo *address, bool tls)
{
	struct timeval patience = { .tv_sec = LIMITS_PROBE_S };
	char reply[sizeof(good) - 1];
	int err;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, address->ai_addr, address->ai_addrlen))
		return -errno;
	err = tls ? ask_tls(fd, reply, sizeof(reply)) : ask_plain(fd, reply, sizeof(reply));
	if (err)
		return err;
	return memcmp(reply, good, sizeof(reply)) == 0 ? 0 : -EPROTO;
}

int probe_health(const struct addrinfo *address, bool tls)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = ask(fd, address, tls);
	close(fd);
	return err;
}
