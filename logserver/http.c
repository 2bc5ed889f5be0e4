// SPDX-License-Identifier: GPL-2.0
#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "hash.h"
#include "http_request.h"

#define FIRST_BODY_BYTES 4096

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static time_t monotonic_s(void)
{
	return (time_t)(monotonic_ms() / 1000);
}

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static struct deadline *deadline_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

void request_release_body(struct http *http, struct request *request)
{
	free(request->body);
	atomic_fetch_sub(&http->body_bytes, request->body_capacity);
	request->body = NULL;
	request->body_len = request->body_capacity = 0;
}

/* --- The life of a request --------------------------------------------------------- */

static void *request_line(void *context, const char *target, struct MHD_Connection *connection)
{
	struct request *request = calloc(1, sizeof(*request));

	(void)context;
	if (!request)
		return NULL;
	request->connection = connection;
	request->target = strdup(target);
	if (!request->target) {
		free(request);
		return NULL;
	}
	return request;
}

/*
 * Only application/json: a page of another site can make a browser send forms
 * and plain text here, but for this it would have to ask first and be refused.
 */
static bool is_json(const char *type)
{
	size_t len;

	if (!type)
		return false;
	len = strcspn(type, "; \t");
	return len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0;
}

/* Whose request it is, for its rate: the token's if there is one, else the address's. */
static uint64_t client_of(const struct http *http, const struct request *request)
{
	const struct sockaddr *address =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
			->client_addr;
	const uint64_t key[2] = { http->instance, 0 };
	struct hash hash = { 0 };

	if (request->token)
		hash = hash_bytes(key, request->token->secret, sizeof(request->token->secret));
	else if (address && address->sa_family == AF_INET)
		hash = hash_bytes(key, &((const struct sockaddr_in *)address)->sin_addr, 4);
	else if (address && address->sa_family == AF_INET6)
		/* Whoever has one address has the 64 bits behind it as well. */
		hash = hash_bytes(key, &((const struct sockaddr_in6 *)address)->sin6_addr, 8);
	return hash.half[0] | 1;
}

/* Who may not, or not now, is told before anything else. */
static bool is_let_in(struct http *http, struct request *request)
{
	const struct auth *auth = http->options.auth;
	bool open = request->route.id == ROUTE_HEALTH || request->route.id == ROUTE_READY;
	bool in_time;

	if (auth)
		request->token = auth_find(auth, request_header(request, "Authorization"));
	pthread_mutex_lock(&http->lock);
	in_time = rate_take(&http->rate, client_of(http, request), monotonic_ms());
	pthread_mutex_unlock(&http->lock);
	if (!in_time) {
		request_refuse(request, MHD_HTTP_TOO_MANY_REQUESTS, "too many requests a second");
		return false;
	}
	if (auth && !request->token && !open) {
		request_refuse(request, MHD_HTTP_UNAUTHORIZED,
			       "a token is needed: Authorization: Bearer ...");
		return false;
	}
	return true;
}

/* Decide on everything that can be decided before the body. */
static void begin(struct http *http, struct request *request, const char *method)
{
	const char *length;
	int err;

	request->begun = true;
	request->deadline = monotonic_s() + LIMITS_UPLOAD_S;
	deadline_set(http->deadlines, deadline_of(request->connection), LIMITS_ANSWER_S);
	pthread_mutex_lock(&http->lock);
	http->active++;
	pthread_mutex_unlock(&http->lock);

	err = route_find(method, request->target, http->options.zone_s, &request->route,
			 &request->allow, &request->error);
	if (!is_let_in(http, request))
		return;
	if (err == -EINVAL) {
		request->refusal = MHD_HTTP_BAD_REQUEST;
	} else if (err == -EPERM) {
		request_refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "this path takes %s",
			       request->allow);
	} else if (err == -E2BIG) {
		request_refuse(request, MHD_HTTP_URI_TOO_LONG, "the path has at most %d bytes",
			       LIMITS_TARGET_BYTES);
	} else if (err) {
		request_refuse(request, MHD_HTTP_NOT_FOUND, "there is no such path");
	}
	if (request->refusal || !request_can_be_answered(http, request) ||
	    request->route.id != ROUTE_STORE)
		return;

	deadline_set(http->deadlines, deadline_of(request->connection),
		     LIMITS_UPLOAD_S + 2 * LIMITS_IDLE_S);
	length = request_header(request, "Content-Length");
	if (!is_json(request_header(request, "Content-Type")))
		request_refuse(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
			       "the Content-Type must be application/json");
	else if (length && strtoull(length, NULL, 10) > LIMITS_BODY_BYTES)
		request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most %d bytes",
			       LIMITS_BODY_BYTES);
}

static void take_body(struct http *http, struct request *request, const char *data, size_t len)
{
	size_t grown = request->body_capacity ? request->body_capacity : FIRST_BODY_BYTES;
	size_t more;
	char *body;

	if (request->route.id != ROUTE_STORE) {
		request_refuse(request, MHD_HTTP_BAD_REQUEST, "this request takes no body");
		return;
	}
	if (monotonic_s() > request->deadline) {
		request_refuse(request, MHD_HTTP_REQUEST_TIMEOUT, "the body took longer than %d s",
		       LIMITS_UPLOAD_S);
		return;
	}
	if (len > LIMITS_BODY_BYTES - request->body_len) {
		request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most %d bytes",
		       LIMITS_BODY_BYTES);
		return;
	}
	while (grown < request->body_len + len)
		grown *= 2;
	more = grown - request->body_capacity;
	if (more) {
		if (atomic_fetch_add(&http->body_bytes, more) + more > LIMITS_BODIES_BYTES) {
			atomic_fetch_sub(&http->body_bytes, more);
			request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "too many requests at once; send it again");
			return;
		}
		body = realloc(request->body, grown);
		if (!body) {
			atomic_fetch_sub(&http->body_bytes, more);
			request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "out of memory; send it again");
			return;
		}
		request->body = body;
		request->body_capacity = grown;
	}
	memcpy(request->body + request->body_len, data, len);
	request->body_len += len;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_len, void **request_context)
{
	struct request *request = *request_context;
	struct http *http = context;

	(void)url;
	(void)version;
	if (!request)
		return MHD_NO;
	if (!request->begun) {
		begin(http, request, method);
		/* Who waits for "100 Continue" is told before it sends what is not wanted. */
		if (request->refusal &&
		    MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect"))
			return answer_refusal(http, request);
		return MHD_YES;
	}
	if (*data_len) {
		if (!request->refusal)
			take_body(http, request, data, *data_len);
		if (request->refusal) {
			request_release_body(http, request);
			request->dropped += *data_len;
			if (request->dropped > LIMITS_REFUSED_BODY_BYTES ||
			    monotonic_s() > request->deadline + LIMITS_IDLE_S)
				return MHD_NO;
		}
		*data_len = 0;
		return MHD_YES;
	}
	/* From here on it is the answer's time. */
	deadline_set(http->deadlines, deadline_of(connection), LIMITS_ANSWER_S);
	if (request->refusal) {
		if (request->route.id == ROUTE_STORE &&
		    request->refusal < MHD_HTTP_INTERNAL_SERVER_ERROR)
			atomic_fetch_add(&http->metrics.rejected[request->route.kind], 1);
		return answer_refusal(http, request);
	}
	return answer_route(http, request);
}

static void completed(void *context, struct MHD_Connection *connection, void **request_context,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_context;
	struct http *http = context;

	(void)code;
	if (!request)
		return;
	*request_context = NULL;
	deadline_set(http->deadlines, deadline_of(connection), LIMITS_HEADER_S);
	request_release_body(http, request);
	if (request->begun) {
		pthread_mutex_lock(&http->lock);
		if (--http->active == 0)
			pthread_cond_signal(&http->idle);
		pthread_mutex_unlock(&http->lock);
	}
	free(request->target);
	free(request);
}

static void connection_changed(void *context, struct MHD_Connection *connection,
			       void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = deadline_add(
			http->deadlines,
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd,
			LIMITS_HEADER_S);
	} else {
		deadline_remove(http->deadlines, *socket_context);
		*socket_context = NULL;
	}
}

/* MHD would decode paths and queries in place; route_find() wants them as they came. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

int http_start(const struct http_options *options, struct http **ret)
{
	struct http *http = calloc(1, sizeof(*http));
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->tls_certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->tls_key },
		{ MHD_OPTION_END, 0, NULL },
	};
	unsigned int flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
			     MHD_USE_POLL | MHD_USE_ITC;
	int err;

	if (!http)
		return -ENOMEM;
	if (options->tls_certificate)
		flags |= MHD_USE_TLS;
	else
		tls[0].option = MHD_OPTION_END;
	http->options = *options;
	http->rate.per_s = options->client_rate;
	pthread_mutex_init(&http->lock, NULL);
	pthread_cond_init(&http->idle, NULL);
	err = getrandom(&http->instance, sizeof(http->instance), 0) == sizeof(http->instance) ?
	      deadlines_new(&http->deadlines) : -EIO;
	if (err) {
		free(http);
		return err;
	}
	/* A thread for each connection: one that waits for the disk, for gnuplot
	 * or for a slow client holds up nobody else. */
	http->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, handle, http,
		MHD_OPTION_LISTEN_SOCKET, options->listen_fd,
		MHD_OPTION_URI_LOG_CALLBACK, request_line, http,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, completed, http,
		MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)LIMITS_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)LIMITS_CLIENT_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)LIMITS_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMITS_HEADER_BYTES,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)LIMITS_THREAD_STACK_BYTES,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_ARRAY, tls,
		MHD_OPTION_END);
	if (!http->daemon) {
		deadlines_free(http->deadlines);
		free(http);
		return -EIO;
	}
	*ret = http;
	return 0;
}

void http_stop(struct http *http)
{
	MHD_socket listen_fd;
	struct timespec until;

	atomic_store(&http->draining, true);
	listen_fd = MHD_quiesce_daemon(http->daemon);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMITS_DRAIN_S;
	pthread_mutex_lock(&http->lock);
	while (http->active > 0) {
		if (pthread_cond_timedwait(&http->idle, &http->lock, &until) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&http->lock);
	MHD_stop_daemon(http->daemon);
	deadlines_free(http->deadlines);
	if (listen_fd != MHD_INVALID_SOCKET)
		close(listen_fd);
	pthread_mutex_destroy(&http->lock);
	pthread_cond_destroy(&http->idle);
	free(http);
}
