// SPDX-License-Identifier: GPL-2.0
#include "http.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "metrics.h"
#include "query.h"
#include "route.h"

#define FIRST_BODY_BYTES 4096

/* What the policy of everything but the page allows: nothing. */
#define POLICY_CLOSED "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; " \
		      "form-action 'none'"

struct http {
	struct http_options options;
	struct MHD_Daemon *daemon;
	struct metrics metrics;
	atomic_size_t body_bytes;           /* held by all requests together */
	atomic_int disk_errors[RECORD_KINDS];
	atomic_bool draining;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned int active;                /* requests begun and not completed; by the lock */
};

/* A request from its request line to its completion. */
struct request {
	char *target;
	bool begun;
	struct route route;
	char *body;
	size_t body_len, body_capacity;
	size_t dropped;        /* bytes of a refused body */
	time_t deadline;       /* for the body, CLOCK_MONOTONIC */
	unsigned int refusal;  /* status decided before the end of the body; 0: none */
	unsigned int status;   /* what was answered */
	const char *allow;
	struct record_error error;
};

static time_t monotonic_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* --- Answers ------------------------------------------------------------------ */

static enum MHD_Result answer(struct http *http, struct MHD_Connection *connection,
			      struct request *request, unsigned int status, const char *type,
			      const char *policy, struct MHD_Response *response)
{
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Content-Security-Policy", policy);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Frame-Options", "DENY");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", request->allow);
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, "Retry-After", "5");
	if (atomic_load(&http->draining))
		MHD_add_response_header(response, "Connection", "close");
	request->status = status;
	queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

/* @text is from malloc and is freed with the response. */
static enum MHD_Result answer_text(struct http *http, struct MHD_Connection *connection,
				   struct request *request, unsigned int status, const char *type,
				   const char *policy, char *text, size_t len)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);

	if (!response)
		free(text);
	return answer(http, connection, request, status, type, policy, response);
}

static enum MHD_Result answer_json(struct http *http, struct MHD_Connection *connection,
				   struct request *request, unsigned int status, cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	cJSON_Delete(json);
	if (!text)
		return MHD_NO;
	return answer_text(http, connection, request, status, "application/json", POLICY_CLOSED,
			   text, strlen(text));
}

static enum MHD_Result answer_error(struct http *http, struct MHD_Connection *connection,
				    struct request *request, unsigned int status)
{
	const struct record_error *error = &request->error;
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "error", error->message);
	if (error->index >= 0)
		cJSON_AddNumberToObject(json, "index", error->index);
	else
		cJSON_AddNullToObject(json, "index");
	if (error->field[0])
		cJSON_AddStringToObject(json, "field", error->field);
	else
		cJSON_AddNullToObject(json, "field");
	return answer_json(http, connection, request, status, json);
}

/* Note what is wrong with the request as a whole. */
__attribute__((format(printf, 3, 4)))
static void refuse(struct request *request, unsigned int status, const char *format, ...)
{
	va_list args;

	request->refusal = status;
	request->error.index = -1;
	request->error.field[0] = 0;
	va_start(args, format);
	vsnprintf(request->error.message, sizeof(request->error.message), format, args);
	va_end(args);
}

/* --- The endpoints --------------------------------------------------------------- */

static void release_body(struct http *http, struct request *request)
{
	free(request->body);
	atomic_fetch_sub(&http->body_bytes, request->body_capacity);
	request->body = NULL;
	request->body_len = request->body_capacity = 0;
}

static void note_disk(struct http *http, enum record_kind kind, int err)
{
	if (atomic_exchange(&http->disk_errors[kind], err) != err)
		http->options.disk_changed(kind, err);
}

static enum MHD_Result store_records(struct http *http, struct MHD_Connection *connection,
				     struct request *request)
{
	enum record_kind kind = request->route.kind;
	struct store_result result;
	struct record_batch batch;
	cJSON *json;
	int err;

	err = record_read_body(kind, request->body, request->body_len, http->options.zone_s,
			       NULL, &batch, &request->error);
	release_body(http, request);
	if (err == -ENOMEM) {
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory; send it again");
		return answer_error(http, connection, request, request->refusal);
	}
	if (err) {
		atomic_fetch_add(&http->metrics.rejected[kind], 1);
		return answer_error(http, connection, request,
				    err == -E2BIG ? MHD_HTTP_CONTENT_TOO_LARGE :
						    MHD_HTTP_BAD_REQUEST);
	}

	err = store_append(http->options.store, kind, &batch, &result);
	record_batch_free(&batch);
	note_disk(http, kind, err);
	if (err) {
		atomic_fetch_add(&http->metrics.failed[kind], 1);
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
		       "nothing was stored: %s; send it again", strerrordesc_np(-err));
		return answer_error(http, connection, request, request->refusal);
	}
	atomic_fetch_add(&http->metrics.stored[kind], result.stored);
	atomic_fetch_add(&http->metrics.duplicates[kind], result.duplicates);

	json = cJSON_CreateObject();
	cJSON_AddTrueToObject(json, "received");
	cJSON_AddNumberToObject(json, "stored", (double)result.stored);
	cJSON_AddNumberToObject(json, "duplicates", (double)result.duplicates);
	return answer_json(http, connection, request, MHD_HTTP_OK, json);
}

static ssize_t read_query(void *context, uint64_t at, char *buffer, size_t size)
{
	ssize_t got = query_read(context, buffer, size);

	(void)at;
	if (got < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return got ? got : MHD_CONTENT_READER_END_OF_STREAM;
}

static void close_query(void *context)
{
	query_close(context);
}

static enum MHD_Result answer_records(struct http *http, struct MHD_Connection *connection,
				      struct request *request)
{
	struct MHD_Response *response;
	struct query *query;
	int err;

	err = query_open(http->options.store, request->route.kind, &request->route.query,
			 http->options.zone_s, &query);
	if (err) {
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the records can't be read: %s",
		       strerrordesc_np(-err));
		return answer_error(http, connection, request, request->refusal);
	}
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 32 * 1024, read_query, query,
						     close_query);
	if (!response)
		query_close(query);
	return answer(http, connection, request, MHD_HTTP_OK, "application/json", POLICY_CLOSED,
		      response);
}

static enum MHD_Result answer_undrawn(struct http *http, struct MHD_Connection *connection,
				      struct request *request, int err)
{
	refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the graph could not be drawn: %s",
	       err == -ENOENT	 ? "gnuplot is not installed" :
	       err == -ETIMEDOUT ? "gnuplot took too long" :
	       err == -EIO	 ? "gnuplot failed" : strerrordesc_np(-err));
	return answer_error(http, connection, request, request->refusal);
}

static enum MHD_Result answer_graph(struct http *http, struct MHD_Connection *connection,
				    struct request *request)
{
	const struct route *route = &request->route;
	char *picture;
	size_t len;
	int err;

	err = graphs_picture(http->options.graphs, route->kind, route->svg, &picture, &len);
	if (err)
		return answer_undrawn(http, connection, request, err);
	/* gnuplot's SVG has its styles inside. */
	return answer_text(http, connection, request, MHD_HTTP_OK,
			   route->svg ? "image/svg+xml" : "image/png",
			   route->svg ? POLICY_CLOSED "; style-src 'unsafe-inline'" : POLICY_CLOSED,
			   picture, len);
}

static enum MHD_Result draw_graphs(struct http *http, struct MHD_Connection *connection,
				   struct request *request)
{
	cJSON *json, *images;
	int err;

	err = graphs_save(http->options.graphs, http->options.images);
	if (err)
		return answer_undrawn(http, connection, request, err);
	json = cJSON_CreateObject();
	cJSON_AddTrueToObject(json, "drawn");
	cJSON_AddStringToObject(json, "directory", http->options.images);
	images = cJSON_AddArrayToObject(json, "images");
	cJSON_AddItemToArray(images, cJSON_CreateString(graphs_file_name(RECORD_MEMORY)));
	cJSON_AddItemToArray(images, cJSON_CreateString(graphs_file_name(RECORD_KILL)));
	return answer_json(http, connection, request, MHD_HTTP_OK, json);
}

static enum MHD_Result answer_page(struct http *http, struct MHD_Connection *connection,
				   struct request *request)
{
	char nonce[33], policy[256], *page;
	unsigned char random[16];
	size_t len;
	int err;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return MHD_NO;
	for (size_t i = 0; i < sizeof(random); i++)
		sprintf(nonce + 2 * i, "%02x", random[i]);
	snprintf(policy, sizeof(policy), POLICY_CLOSED "; img-src data:; style-src 'nonce-%s'",
		 nonce);
	err = graphs_page(http->options.graphs, nonce, &page, &len);
	if (err)
		return answer_undrawn(http, connection, request, err);
	return answer_text(http, connection, request, MHD_HTTP_OK, "text/html; charset=utf-8",
			   policy, page, len);
}

static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection,
				      struct request *request)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return MHD_NO;
	metrics_write(out, &http->metrics);
	if (fclose(out)) {
		free(text);
		return MHD_NO;
	}
	return answer_text(http, connection, request, MHD_HTTP_OK,
			   "application/openmetrics-text; version=1.0.0; charset=utf-8",
			   POLICY_CLOSED, text, len);
}

static enum MHD_Result answer_health(struct http *http, struct MHD_Connection *connection,
				     struct request *request)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "status", "ok");
	return answer_json(http, connection, request, MHD_HTTP_OK, json);
}

static enum MHD_Result answer_route(struct http *http, struct MHD_Connection *connection,
				    struct request *request)
{
	switch (request->route.id) {
	case ROUTE_STORE:
		return store_records(http, connection, request);
	case ROUTE_RECORDS:
		return answer_records(http, connection, request);
	case ROUTE_PAGE:
		return answer_page(http, connection, request);
	case ROUTE_GRAPH:
		return answer_graph(http, connection, request);
	case ROUTE_DRAW:
		return draw_graphs(http, connection, request);
	case ROUTE_HEALTH:
		return answer_health(http, connection, request);
	case ROUTE_METRICS:
		return answer_metrics(http, connection, request);
	case ROUTE_READY:
	case ROUTE_OPENAPI:
	case ROUTE_NONE:
		break;
	}
	return MHD_NO;
}

/* --- The life of a request --------------------------------------------------------- */

static void *request_line(void *context, const char *target, struct MHD_Connection *connection)
{
	struct request *request = calloc(1, sizeof(*request));

	(void)context;
	(void)connection;
	if (!request)
		return NULL;
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

/* Decide on everything that can be decided before the body. */
static void begin(struct http *http, struct MHD_Connection *connection, struct request *request,
		  const char *method)
{
	const char *length, *type;
	int err;

	request->begun = true;
	request->deadline = monotonic_s() + LIMITS_UPLOAD_S;
	pthread_mutex_lock(&http->lock);
	http->active++;
	pthread_mutex_unlock(&http->lock);

	err = route_find(method, request->target, http->options.zone_s, &request->route,
			 &request->allow, &request->error);
	if (err == -EINVAL) {
		request->refusal = MHD_HTTP_BAD_REQUEST;
	} else if (err == -EPERM) {
		refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "this path takes %s", request->allow);
	} else if (err == -E2BIG) {
		refuse(request, MHD_HTTP_URI_TOO_LONG, "the path has at most %d bytes",
		       LIMITS_TARGET_BYTES);
	} else if (err) {
		refuse(request, MHD_HTTP_NOT_FOUND, "there is no such path");
	}
	if (request->refusal || request->route.id != ROUTE_STORE)
		return;

	type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
	length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
	if (!is_json(type))
		refuse(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
		       "the Content-Type must be application/json");
	else if (length && strtoull(length, NULL, 10) > LIMITS_BODY_BYTES)
		refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most %d bytes",
		       LIMITS_BODY_BYTES);
}

static void take_body(struct http *http, struct request *request, const char *data, size_t len)
{
	size_t grown = request->body_capacity ? request->body_capacity : FIRST_BODY_BYTES;
	size_t more;
	char *body;

	if (request->route.id != ROUTE_STORE) {
		refuse(request, MHD_HTTP_BAD_REQUEST, "this request takes no body");
		return;
	}
	if (monotonic_s() > request->deadline) {
		refuse(request, MHD_HTTP_REQUEST_TIMEOUT, "the body took longer than %d s",
		       LIMITS_UPLOAD_S);
		return;
	}
	if (len > LIMITS_BODY_BYTES - request->body_len) {
		refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most %d bytes",
		       LIMITS_BODY_BYTES);
		return;
	}
	while (grown < request->body_len + len)
		grown *= 2;
	more = grown - request->body_capacity;
	if (more) {
		if (atomic_fetch_add(&http->body_bytes, more) + more > LIMITS_BODIES_BYTES) {
			atomic_fetch_sub(&http->body_bytes, more);
			refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "too many requests at once; send it again");
			return;
		}
		body = realloc(request->body, grown);
		if (!body) {
			atomic_fetch_sub(&http->body_bytes, more);
			refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
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
		begin(http, connection, request, method);
		/* Who waits for "100 Continue" is told before it sends what is not wanted. */
		if (request->refusal &&
		    MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Expect"))
			return answer_error(http, connection, request, request->refusal);
		return MHD_YES;
	}
	if (*data_len) {
		if (!request->refusal)
			take_body(http, request, data, *data_len);
		if (request->refusal) {
			release_body(http, request);
			request->dropped += *data_len;
			if (request->dropped > LIMITS_REFUSED_BODY_BYTES ||
			    monotonic_s() > request->deadline + LIMITS_IDLE_S)
				return MHD_NO;
		}
		*data_len = 0;
		return MHD_YES;
	}
	if (request->refusal) {
		if (request->route.id == ROUTE_STORE)
			atomic_fetch_add(&http->metrics.rejected[request->route.kind], 1);
		return answer_error(http, connection, request, request->refusal);
	}
	return answer_route(http, connection, request);
}

static void completed(void *context, struct MHD_Connection *connection, void **request_context,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_context;
	struct http *http = context;

	(void)connection;
	(void)code;
	if (!request)
		return;
	*request_context = NULL;
	release_body(http, request);
	if (request->status)
		atomic_fetch_add(&http->metrics.by_status[request->status], 1);
	if (request->begun) {
		pthread_mutex_lock(&http->lock);
		if (--http->active == 0)
			pthread_cond_signal(&http->idle);
		pthread_mutex_unlock(&http->lock);
	}
	free(request->target);
	free(request);
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

	if (!http)
		return -ENOMEM;
	http->options = *options;
	pthread_mutex_init(&http->lock, NULL);
	pthread_cond_init(&http->idle, NULL);
	/* A thread for each connection: one that waits for the disk, for gnuplot
	 * or for a slow client holds up nobody else. */
	http->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_ITC,
		0, NULL, NULL, handle, http,
		MHD_OPTION_LISTEN_SOCKET, options->listen_fd,
		MHD_OPTION_URI_LOG_CALLBACK, request_line, http,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, completed, http,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)LIMITS_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)LIMITS_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMITS_HEADER_BYTES,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)LIMITS_THREAD_STACK_BYTES,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_END);
	if (!http->daemon) {
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
	if (listen_fd != MHD_INVALID_SOCKET)
		close(listen_fd);
	pthread_mutex_destroy(&http->lock);
	pthread_cond_destroy(&http->idle);
	free(http);
}
