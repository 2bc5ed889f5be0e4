// SPDX-License-Identifier: GPL-2.0
#include "route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "timestamp.h"
#include "utf8.h"

struct endpoint {
	const char *path;
	struct route route;
};

static const struct endpoint endpoints[] = {
	{ "/logs", { .id = ROUTE_STORE, .kind = RECORD_KILL } },
	{ "/logsmemory", { .id = ROUTE_STORE, .kind = RECORD_MEMORY } },
	{ "/logs/all", { .id = ROUTE_RECORDS, .kind = RECORD_KILL } },
	{ "/logs/memory", { .id = ROUTE_RECORDS, .kind = RECORD_MEMORY } },
	{ "/logs/grafica", { .id = ROUTE_DRAW } },
	{ "/graphs", { .id = ROUTE_PAGE } },
	{ "/graphs/memory.png", { .id = ROUTE_GRAPH, .kind = RECORD_MEMORY } },
	{ "/graphs/memory.svg", { .id = ROUTE_GRAPH, .kind = RECORD_MEMORY, .svg = true } },
	{ "/graphs/processes.png", { .id = ROUTE_GRAPH, .kind = RECORD_KILL } },
	{ "/graphs/processes.svg", { .id = ROUTE_GRAPH, .kind = RECORD_KILL, .svg = true } },
	{ "/healthz", { .id = ROUTE_HEALTH } },
	{ "/readyz", { .id = ROUTE_READY } },
	{ "/openapi.json", { .id = ROUTE_OPENAPI } },
	{ "/metrics", { .id = ROUTE_METRICS } },
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Percent-decode @len bytes into @to of @size; false if malformed, too long, or with a NUL. */
static bool decode(const char *from, size_t len, char *to, size_t size)
{
	size_t put = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(from[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(from[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c || put + 1 >= size)
			return false;
		to[put++] = c;
	}
	to[put] = 0;
	return utf8_is_valid(to, put);
}

static int refuse(struct record_error *error, const char *name, const char *message)
{
	error->index = -1;
	utf8_copy(error->field, sizeof(error->field), name);
	snprintf(error->message, sizeof(error->message), "%s", message);
	return -EINVAL;
}

static int read_time(const char *name, const char *value, int zone_s, bool *has, int64_t *ret_ms,
		     struct record_error *error)
{
	if (*has)
		return refuse(error, name, "stands twice in the query");
	if (timestamp_read(value, zone_s, ret_ms))
		return refuse(error, name, "must be a time like 2026-11-23T06:40:01Z");
	*has = true;
	return 0;
}

static int read_limit(const char *value, size_t *ret, struct record_error *error)
{
	size_t limit = 0;

	for (const char *p = value; *p; p++) {
		if (*p < '0' || *p > '9')
			return refuse(error, "limit", "must be a number");
		limit = limit * 10 + (size_t)(*p - '0');
		if (limit > LIMITS_QUERY_RECORDS)
			break;
	}
	if (limit < 1 || limit > LIMITS_QUERY_RECORDS)
		return refuse(error, "limit", "must be from 1 to " LIMITS_TEXT(LIMITS_QUERY_RECORDS));
	*ret = limit;
	return 0;
}

/* A cursor is what we gave: a position in the log. */
static int read_cursor(const char *value, struct route_query *query, struct record_error *error)
{
	int64_t cursor = 0;

	for (const char *p = value; *p; p++) {
		if (*p < '0' || *p > '9' || cursor > INT64_MAX / 100)
			return refuse(error, "cursor", "must be 0 or what an answer gave");
		cursor = cursor * 10 + (*p - '0');
	}
	if (!*value || query->has_cursor)
		return refuse(error, "cursor", "must be 0 or what an answer gave, once");
	query->has_cursor = true;
	query->cursor = cursor;
	return 0;
}

static int read_format(const char *value, struct route_query *query, struct record_error *error)
{
	static const char *const names[] = { "json", "ndjson", "csv" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			query->format = (enum route_format)i;
			query->has_format = true;
			return 0;
		}
	}
	return refuse(error, "format", "must be json, ndjson or csv");
}

static int read_parameter(const char *text, size_t len, const struct route *route, int zone_s,
			  struct route_query *query, struct record_error *error)
{
	const char *equals = memchr(text, '=', len);
	char name[LIMITS_FIELD_NAME_BYTES + 1], value[LIMITS_IMAGE_BYTES + 1];
	size_t name_len = equals ? (size_t)(equals - text) : len;
	struct block_filter *filter = &query->filter;

	if (!decode(text, name_len, name, sizeof(name)))
		return refuse(error, "", "the query has a malformed name");
	if (!equals || !decode(equals + 1, len - name_len - 1, value, sizeof(value)))
		return refuse(error, name, "is malformed");
	if (strcmp(name, "since") == 0)
		return read_time(name, value, zone_s, &filter->has_since, &filter->since_ms, error);
	if (strcmp(name, "until") == 0)
		return read_time(name, value, zone_s, &filter->has_until, &filter->until_ms, error);
	if (strcmp(name, "limit") == 0)
		return read_limit(value, &query->limit, error);
	if (strcmp(name, "cursor") == 0)
		return read_cursor(value, query, error);
	if (strcmp(name, "format") == 0)
		return read_format(value, query, error);
	if (strcmp(name, "host") == 0) {
		if (!value[0] || strlen(value) > LIMITS_HOST_BYTES)
			return refuse(error, name, "must be 1 to " LIMITS_TEXT(LIMITS_HOST_BYTES)
						   " bytes long");
		strcpy(filter->host, value);
		return 0;
	}
	if (route->kind == RECORD_KILL && strcmp(name, "container") == 0) {
		if (!value[0])
			return refuse(error, name, "must not be empty");
		/* As records are summarised: the first bytes decide, as with docker's ids. */
		utf8_copy(filter->container, sizeof(filter->container), value);
		return 0;
	}
	if (route->kind == RECORD_KILL && strcmp(name, "image") == 0) {
		if (!value[0])
			return refuse(error, name, "must not be empty");
		filter->image_hash = record_image_hash(value);
		return 0;
	}
	return refuse(error, name, route->kind == RECORD_KILL ?
		      "is none of since, until, host, container, image, limit, cursor, format" :
		      "is none of since, until, host, limit, cursor, format");
}

static int read_query(const char *text, int zone_s, struct route *route,
		      struct record_error *error)
{
	int err;

	while (*text) {
		size_t len = strcspn(text, "&");

		if (len > 0) {
			err = read_parameter(text, len, route, zone_s, &route->query, error);
			if (err)
				return err;
		}
		text += len + (text[len] == '&');
	}
	if (route->query.has_cursor && !route->query.limit)
		route->query.limit = LIMITS_PAGE_RECORDS;
	return 0;
}

/* "http://host:port/path" is allowed on a request line (RFC 9112, 3.2.2). */
static const char *skip_authority(const char *target)
{
	const char *slash;

	if (strncmp(target, "http://", 7) != 0)
		return target;
	slash = strchr(target + 7, '/');
	return slash ? slash : "/";
}

int route_find(const char *method, const char *target, int zone_s, struct route *ret,
	       const char **ret_allow, struct record_error *ret_error)
{
	const struct endpoint *endpoint = NULL;
	struct record_error error;
	char path[64];
	size_t path_len;
	struct route route;
	bool post;
	int err;

	if (strlen(target) > LIMITS_TARGET_BYTES)
		return -E2BIG;
	target = skip_authority(target);
	path_len = strcspn(target, "?");
	if (!decode(target, path_len, path, sizeof(path)))
		return -ENOENT;
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (strcmp(endpoints[i].path, path) == 0)
			endpoint = &endpoints[i];
	}
	if (!endpoint)
		return -ENOENT;

	route = endpoint->route;
	post = route.id == ROUTE_STORE;
	if (post ? strcmp(method, "POST") != 0
		 : strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		*ret_allow = post ? "POST" : "GET, HEAD";
		return -EPERM;
	}
	if (route.id == ROUTE_RECORDS && target[path_len] == '?') {
		err = read_query(target + path_len + 1, zone_s, &route, &error);
		if (err) {
			*ret_error = error;
			return err;
		}
	}
	*ret = route;
	return 0;
}
