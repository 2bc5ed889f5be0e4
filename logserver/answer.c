// SPDX-License-Identifier: GPL-2.0
/* What is answered to each request. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "gzip.h"
#include "hash.h"
#include "http_request.h"
#include "openapi.h"
#include "query.h"

/* What the policy of everything but the page allows: nothing. */
#define POLICY_CLOSED "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; " \
		      "form-action 'none'"
#define ETAG_BYTES 48
/* MHD's buffer for a streamed answer. */
#define STREAM_BUFFER_BYTES (16 * 1024)

/* What there is to say of an answer besides its body; NULL where there is nothing. */
struct head {
	unsigned int status;
	const char *type;
	const char *policy;
	const char *etag;
	const char *link;
	const char *encoding;
};

/* --- Sending -------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct http *http, struct request *request,
				   const struct head *head, struct MHD_Response *response)
{
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	if (head->type)
		MHD_add_response_header(response, "Content-Type", head->type);
	MHD_add_response_header(response, "Content-Security-Policy",
				head->policy ? head->policy : POLICY_CLOSED);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Frame-Options", "DENY");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	MHD_add_response_header(response, "Vary", "Accept, Accept-Encoding, Authorization");
	/* With a tag it may be kept, but is asked for again every time. */
	MHD_add_response_header(response, "Cache-Control",
				head->etag ? "private, no-cache" : "no-store");
	if (head->etag)
		MHD_add_response_header(response, "ETag", head->etag);
	if (head->link)
		MHD_add_response_header(response, "Link", head->link);
	if (head->encoding)
		MHD_add_response_header(response, "Content-Encoding", head->encoding);
	if (head->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", request->allow);
	if (head->status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	if (head->status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, "Retry-After", "5");
	if (head->status == MHD_HTTP_TOO_MANY_REQUESTS)
		MHD_add_response_header(response, "Retry-After", "1");
	if (atomic_load(&http->draining))
		MHD_add_response_header(response, "Connection", "close");
	/* Before it is sent: who has the answer in hand finds it counted. */
	atomic_fetch_add(&http->metrics.by_status[head->status], 1);
	queued = MHD_queue_response(request->connection, head->status, response);
	MHD_destroy_response(response);
	return queued;
}

static bool takes_gzip(const struct request *request)
{
	return gzip_is_accepted(request_header(request, "Accept-Encoding"));
}

/* @text is from malloc and is freed with the answer. */
static enum MHD_Result send_text(struct http *http, struct request *request, struct head head,
				 char *text, size_t len)
{
	struct MHD_Response *response;
	char *packed;

	/* A picture is compressed already. */
	if (len >= LIMITS_GZIP_LEAST_BYTES && strcmp(head.type, "image/png") != 0 &&
	    takes_gzip(request) && gzip_text(text, len, &packed, &len) == 0) {
		free(text);
		text = packed;
		head.encoding = "gzip";
	}
	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(text);
	return send_answer(http, request, &head, response);
}

static enum MHD_Result send_json(struct http *http, struct request *request, struct head head,
				 cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	cJSON_Delete(json);
	if (!text)
		return MHD_NO;
	return send_text(http, request, head, text, strlen(text));
}

/* --- Refusals ------------------------------------------------------------------- */

void request_refuse(struct request *request, unsigned int status, const char *format, ...)
{
	va_list args;

	request->refusal = status;
	request->error.index = -1;
	request->error.field[0] = 0;
	va_start(args, format);
	vsnprintf(request->error.message, sizeof(request->error.message), format, args);
	va_end(args);
}

static void refuse_loading(struct http *http, struct request *request)
{
	request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
		       "the index is being made from the lines, %.1f %% done",
		       store_progress(http->options.store) * 100);
}

bool request_can_be_answered(struct http *http, struct request *request)
{
	switch (request->route.id) {
	case ROUTE_HEALTH:
	case ROUTE_READY:
	case ROUTE_METRICS:
	case ROUTE_OPENAPI:
		return true;
	default:
		if (store_progress(http->options.store) == 1)
			return true;
		refuse_loading(http, request);
		return false;
	}
}

/* RFC 9457, with what the contract promises beside it: error, index and field. */
enum MHD_Result answer_refusal(struct http *http, struct request *request)
{
	struct head head = { .status = request->refusal, .type = "application/problem+json" };
	const struct record_error *error = &request->error;
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "type", "about:blank");
	cJSON_AddStringToObject(json, "title", MHD_get_reason_phrase_for(head.status));
	cJSON_AddNumberToObject(json, "status", head.status);
	cJSON_AddStringToObject(json, "detail", error->message);
	cJSON_AddStringToObject(json, "error", error->message);
	if (error->index >= 0)
		cJSON_AddNumberToObject(json, "index", error->index);
	else
		cJSON_AddNullToObject(json, "index");
	if (error->field[0])
		cJSON_AddStringToObject(json, "field", error->field);
	else
		cJSON_AddNullToObject(json, "field");
	return send_json(http, request, head, json);
}

/* --- ETags ---------------------------------------------------------------------- */

/*
 * What an answer is made from decides its tag: the log from where to where, and
 * everything about the request that changes the text. A log only grows at its
 * end and shrinks at its start, so two positions stand for its contents.
 */
static void make_etag(struct http *http, const struct request *request, enum record_kind kind,
		      const char *variant, char *etag)
{
	const uint64_t key[2] = { 0 };
	struct store_extent extent;
	char text[LIMITS_TARGET_BYTES + 192];
	struct hash hash;

	store_extent(http->options.store, kind, &extent);
	snprintf(text, sizeof(text), "%d %" PRId64 " %" PRId64 " %s %d %s", kind, extent.start,
		 extent.end, variant, takes_gzip(request), request->target);
	hash = hash_bytes(key, text, strlen(text));
	snprintf(etag, ETAG_BYTES, "\"%016" PRIx64 "%016" PRIx64 "\"", hash.half[0], hash.half[1]);
}

/* Whether If-None-Match names the tag; a weak one is as good (RFC 9110, 13.1.2). */
static bool is_known(const struct request *request, const char *etag)
{
	const char *header = request_header(request, "If-None-Match");

	return header && (strcmp(header, "*") == 0 || strstr(header, etag));
}

static enum MHD_Result answer_unchanged(struct http *http, struct request *request,
					const char *etag)
{
	struct head head = { .status = MHD_HTTP_NOT_MODIFIED, .etag = etag };

	return send_answer(http, request, &head,
			   MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT));
}

/* --- Records -------------------------------------------------------------------- */

static void note_disk(struct http *http, enum record_kind kind, int err)
{
	if (atomic_exchange(&http->disk_errors[kind], err) != err)
		http->options.disk_changed(kind, err);
}

static unsigned int refusal_of(int err)
{
	switch (err) {
	case -E2BIG:
		return MHD_HTTP_CONTENT_TOO_LARGE;
	case -EACCES:
		return MHD_HTTP_FORBIDDEN;
	default:
		return MHD_HTTP_BAD_REQUEST;
	}
}

static enum MHD_Result store_records(struct http *http, struct request *request)
{
	const char *host = request->token && request->token->host[0] ? request->token->host : NULL;
	struct head head = { .status = MHD_HTTP_OK, .type = "application/json" };
	enum record_kind kind = request->route.kind;
	struct store_result result;
	struct record_batch batch;
	cJSON *json;
	int err;

	err = record_read_body(kind, request->body, request->body_len, http->options.zone_s, host,
			       &batch, &request->error);
	request_release_body(http, request);
	if (err == -ENOMEM) {
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory; send it again");
		return answer_refusal(http, request);
	}
	if (err) {
		atomic_fetch_add(&http->metrics.rejected[kind], 1);
		request->refusal = refusal_of(err);
		return answer_refusal(http, request);
	}

	err = store_append(http->options.store, kind, &batch, &result);
	record_batch_free(&batch);
	note_disk(http, kind, err);
	if (err) {
		atomic_fetch_add(&http->metrics.failed[kind], 1);
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "nothing was stored: %s; send it again", strerrordesc_np(-err));
		return answer_refusal(http, request);
	}
	atomic_fetch_add(&http->metrics.stored[kind], result.stored);
	atomic_fetch_add(&http->metrics.duplicates[kind], result.duplicates);

	json = cJSON_CreateObject();
	cJSON_AddTrueToObject(json, "received");
	cJSON_AddNumberToObject(json, "stored", (double)result.stored);
	cJSON_AddNumberToObject(json, "duplicates", (double)result.duplicates);
	return send_json(http, request, head, json);
}

/* An answer of records on its way. */
struct stream {
	struct http *http;
	struct query *query;
	struct gzip *gzip;  /* NULL: as it is */
};

static ssize_t read_query(void *context, char *buffer, size_t size)
{
	return query_read(context, buffer, size);
}

static ssize_t read_stream(void *context, uint64_t at, char *buffer, size_t size)
{
	struct stream *stream = context;
	ssize_t got = stream->gzip ? gzip_read(stream->gzip, buffer, size) :
				     query_read(stream->query, buffer, size);

	(void)at;
	if (got < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return got ? got : MHD_CONTENT_READER_END_OF_STREAM;
}

static void close_stream(void *context)
{
	struct stream *stream = context;

	if (stream->gzip)
		gzip_close(stream->gzip);
	if (stream->query)
		query_close(stream->query);
	atomic_fetch_sub(&stream->http->streams, 1);
	free(stream);
}

static enum route_format choose_format(const struct request *request)
{
	const struct route_query *query = &request->route.query;
	const char *accept = request_header(request, "Accept");

	if (query->has_format || !accept)
		return query->format;
	if (strstr(accept, "application/x-ndjson"))
		return ROUTE_NDJSON;
	return strstr(accept, "text/csv") ? ROUTE_CSV : ROUTE_JSON;
}

/* The target with the cursor of the next page in it. */
static void write_link(const struct request *request, int64_t cursor, char *link, size_t size)
{
	const char *query = request->target + strcspn(request->target, "?");
	size_t put;

	put = (size_t)snprintf(link, size, "<%.*s?", (int)(query - request->target), request->target);
	for (query += *query == '?'; *query && put < size; ) {
		size_t len = strcspn(query, "&");

		if (len && strncmp(query, "cursor=", 7) != 0)
			put += (size_t)snprintf(link + put, size - put, "%.*s&", (int)len, query);
		query += len + (query[len] == '&');
	}
	if (put < size)
		snprintf(link + put, size - put, "cursor=%" PRId64 ">; rel=\"next\"", cursor);
}

static int open_stream(struct http *http, struct request *request, struct stream **ret)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	int err;

	if (!stream)
		return -ENOMEM;
	stream->http = http;
	if (atomic_fetch_add(&http->streams, 1) >= LIMITS_STREAMS) {
		close_stream(stream);
		return -EBUSY;
	}
	err = query_open(http->options.store, request->route.kind, &request->route.query,
			 http->options.zone_s, &stream->query);
	if (!err && takes_gzip(request))
		err = gzip_open(read_query, stream->query, &stream->gzip);
	if (err) {
		close_stream(stream);
		return err;
	}
	*ret = stream;
	return 0;
}

static enum MHD_Result answer_records(struct http *http, struct request *request)
{
	static const char *const types[] = {
		[ROUTE_JSON] = "application/json",
		[ROUTE_NDJSON] = "application/x-ndjson",
		[ROUTE_CSV] = "text/csv; charset=utf-8; header=present",
	};
	char etag[ETAG_BYTES], link[LIMITS_TARGET_BYTES + 64];
	struct head head = { .status = MHD_HTTP_OK, .etag = etag };
	struct MHD_Response *response;
	struct stream *stream;
	int err;

	request->route.query.format = choose_format(request);
	head.type = types[request->route.query.format];
	make_etag(http, request, request->route.kind, head.type, etag);
	if (is_known(request, etag))
		return answer_unchanged(http, request, etag);
	err = open_stream(http, request, &stream);
	if (err) {
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the records can't be read: %s",
			       err == -EBUSY ? "too many ask at once" : strerrordesc_np(-err));
		return answer_refusal(http, request);
	}
	if (stream->gzip)
		head.encoding = "gzip";
	if (query_next_cursor(stream->query) >= 0) {
		write_link(request, query_next_cursor(stream->query), link, sizeof(link));
		head.link = link;
	}
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BUFFER_BYTES,
						     read_stream, stream, close_stream);
	if (!response)
		close_stream(stream);
	return send_answer(http, request, &head, response);
}

/* --- Graphs --------------------------------------------------------------------- */

static enum MHD_Result answer_undrawn(struct http *http, struct request *request, int err)
{
	request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the graph could not be drawn: %s",
		       err == -ENOENT	 ? "gnuplot is not installed" :
		       err == -ETIMEDOUT ? "gnuplot took too long" :
		       err == -EIO	 ? "gnuplot failed" : strerrordesc_np(-err));
	return answer_refusal(http, request);
}

static enum MHD_Result answer_graph(struct http *http, struct request *request)
{
	const struct route *route = &request->route;
	char etag[ETAG_BYTES], variant[64], *picture;
	struct head head = { .status = MHD_HTTP_OK, .etag = etag };
	struct store_extent kills;
	size_t len;
	int err;

	/* Another build or another gnuplot draws it otherwise; and removals are marked in the
	 * graph of memory, too. */
	store_extent(http->options.store, RECORD_KILL, &kills);
	snprintf(variant, sizeof(variant), "%llx %" PRId64, http->instance, kills.end);
	make_etag(http, request, route->kind, variant, etag);
	if (is_known(request, etag))
		return answer_unchanged(http, request, etag);
	err = graphs_picture(http->options.graphs, route->kind, route->svg, &picture, &len);
	if (err)
		return answer_undrawn(http, request, err);
	/* gnuplot's SVG has its styles inside. */
	head.type = route->svg ? "image/svg+xml" : "image/png";
	if (route->svg)
		head.policy = POLICY_CLOSED "; style-src 'unsafe-inline'";
	return send_text(http, request, head, picture, len);
}

static enum MHD_Result draw_graphs(struct http *http, struct request *request)
{
	struct head head = { .status = MHD_HTTP_OK, .type = "application/json" };
	cJSON *json, *images;
	int err;

	err = graphs_save(http->options.graphs, http->options.images);
	if (err)
		return answer_undrawn(http, request, err);
	json = cJSON_CreateObject();
	cJSON_AddTrueToObject(json, "drawn");
	cJSON_AddStringToObject(json, "directory", http->options.images);
	images = cJSON_AddArrayToObject(json, "images");
	cJSON_AddItemToArray(images, cJSON_CreateString(graphs_file_name(RECORD_MEMORY)));
	cJSON_AddItemToArray(images, cJSON_CreateString(graphs_file_name(RECORD_KILL)));
	return send_json(http, request, head, json);
}

static enum MHD_Result answer_page(struct http *http, struct request *request)
{
	struct head head = { .status = MHD_HTTP_OK, .type = "text/html; charset=utf-8" };
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
	head.policy = policy;
	err = graphs_page(http->options.graphs, nonce, &page, &len);
	if (err)
		return answer_undrawn(http, request, err);
	return send_text(http, request, head, page, len);
}

/* --- The server itself ----------------------------------------------------------- */

static enum MHD_Result answer_metrics(struct http *http, struct request *request)
{
	const char *accept = request_header(request, "Accept");
	bool plain = accept && !strstr(accept, "application/openmetrics-text") &&
		     strstr(accept, "text/plain");
	struct head head = {
		.status = MHD_HTTP_OK,
		.type = plain ? "text/plain; version=0.0.4; charset=utf-8" :
				"application/openmetrics-text; version=1.0.0; charset=utf-8",
	};
	struct store_extent extents[RECORD_KINDS] = { 0 };
	double progress = store_progress(http->options.store);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return MHD_NO;
	for (int kind = 0; kind < RECORD_KINDS && progress == 1; kind++)
		store_extent(http->options.store, kind, &extents[kind]);
	metrics_write(out, &http->metrics, progress, extents, !plain);
	if (fclose(out)) {
		free(text);
		return MHD_NO;
	}
	return send_text(http, request, head, text, len);
}

static enum MHD_Result answer_status(struct http *http, struct request *request,
				     const char *status)
{
	struct head head = { .status = MHD_HTTP_OK, .type = "application/json" };
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "status", status);
	return send_json(http, request, head, json);
}

static enum MHD_Result answer_ready(struct http *http, struct request *request)
{
	bool failed = false;
	int err;

	for (int kind = 0; kind < RECORD_KINDS; kind++)
		failed |= atomic_load(&http->disk_errors[kind]) != 0;
	err = atomic_load(&http->draining) ? -ESHUTDOWN :
					     store_check(http->options.store, failed);
	if (!err)
		return answer_status(http, request, "ready");
	if (err == -EINPROGRESS) {
		refuse_loading(http, request);
		return answer_refusal(http, request);
	}
	request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "records can't be stored: %s",
		       err == -ESHUTDOWN ? "the server is stopping" : strerrordesc_np(-err));
	return answer_refusal(http, request);
}

static enum MHD_Result answer_openapi(struct http *http, struct request *request)
{
	size_t len = (size_t)(openapi_end - openapi_start);
	const uint64_t key[2] = { (uint64_t)takes_gzip(request), 0 };
	struct hash hash = hash_bytes(key, openapi_start, len);
	struct head head = { .status = MHD_HTTP_OK, .type = "application/json" };
	char etag[ETAG_BYTES], *text;

	snprintf(etag, sizeof(etag), "\"%016" PRIx64 "\"", hash.half[0]);
	head.etag = etag;
	if (is_known(request, etag))
		return answer_unchanged(http, request, etag);
	text = malloc(len);
	if (!text)
		return MHD_NO;
	memcpy(text, openapi_start, len);
	return send_text(http, request, head, text, len);
}

enum MHD_Result answer_route(struct http *http, struct request *request)
{
	switch (request->route.id) {
	case ROUTE_STORE:
		return store_records(http, request);
	case ROUTE_RECORDS:
		return answer_records(http, request);
	case ROUTE_PAGE:
		return answer_page(http, request);
	case ROUTE_GRAPH:
		return answer_graph(http, request);
	case ROUTE_DRAW:
		return draw_graphs(http, request);
	case ROUTE_HEALTH:
		return answer_status(http, request, "ok");
	case ROUTE_READY:
		return answer_ready(http, request);
	case ROUTE_METRICS:
		return answer_metrics(http, request);
	case ROUTE_OPENAPI:
		return answer_openapi(http, request);
	case ROUTE_NONE:
		break;
	}
	return MHD_NO;
}
