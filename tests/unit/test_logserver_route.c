// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "logserver/route.h"

static void test_paths(void **state)
{
	static const struct {
		const char *method, *target;
		int err;
		enum route_id id;
		enum record_kind kind;
		bool svg;
	} cases[] = {
		{ "POST", "/logs", 0, ROUTE_STORE, RECORD_KILL, false },
		{ "POST", "/logsmemory", 0, ROUTE_STORE, RECORD_MEMORY, false },
		{ "GET", "/logs/all", 0, ROUTE_RECORDS, RECORD_KILL, false },
		{ "HEAD", "/logs/memory", 0, ROUTE_RECORDS, RECORD_MEMORY, false },
		{ "GET", "/logs/grafica", 0, ROUTE_DRAW, RECORD_KILL, false },
		{ "GET", "/graphs", 0, ROUTE_PAGE, RECORD_KILL, false },
		{ "GET", "/graphs?x=y", 0, ROUTE_PAGE, RECORD_KILL, false },
		{ "GET", "/graphs/memory.png", 0, ROUTE_GRAPH, RECORD_MEMORY, false },
		{ "GET", "/graphs/processes.svg", 0, ROUTE_GRAPH, RECORD_KILL, true },
		{ "GET", "/%67raphs", 0, ROUTE_PAGE, RECORD_KILL, false },
		{ "GET", "http://127.0.0.1:8000/healthz", 0, ROUTE_HEALTH, RECORD_KILL, false },
		{ "GET", "/readyz", 0, ROUTE_READY, RECORD_KILL, false },
		{ "GET", "/openapi.json", 0, ROUTE_OPENAPI, RECORD_KILL, false },
		{ "GET", "/metrics", 0, ROUTE_METRICS, RECORD_KILL, false },
		{ "GET", "/", -ENOENT, 0, 0, false },
		{ "GET", "", -ENOENT, 0, 0, false },
		{ "GET", "http://example.org", -ENOENT, 0, 0, false },
		{ "GET", "/logs/", -ENOENT, 0, 0, false },
		{ "GET", "/graphs/../logs/all", -ENOENT, 0, 0, false },
		{ "GET", "/graphs%00.png", -ENOENT, 0, 0, false },
		{ "GET", "/graphs%", -ENOENT, 0, 0, false },
		{ "GET", "/graphs%6", -ENOENT, 0, 0, false },
		{ "GET", "/LOGS/ALL", -ENOENT, 0, 0, false },
		{ "GET", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  -ENOENT, 0, 0, false },
		{ "GET", "/logs", -EPERM, 0, 0, false },
		{ "PUT", "/logs", -EPERM, 0, 0, false },
		{ "POST", "/graphs", -EPERM, 0, 0, false },
		{ "DELETE", "/logs/all", -EPERM, 0, 0, false },
		{ "get", "/logs/all", -EPERM, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_error error;
		const char *allow = NULL;
		struct route route;
		int err = route_find(cases[i].method, cases[i].target, 0, &route, &allow, &error);

		if (err != cases[i].err || (!err && (route.id != cases[i].id ||
						     route.kind != cases[i].kind ||
						     route.svg != cases[i].svg)))
			fail_msg("%s %s: %d", cases[i].method, cases[i].target, err);
		if (err == -EPERM)
			assert_string_equal(allow, strcmp(cases[i].target, "/logs") == 0 ?
						   "POST" : "GET, HEAD");
	}
}

static void test_queries(void **state)
{
	static const struct {
		const char *query, *field;  /* field NULL: good */
	} cases[] = {
		{ "", NULL },
		{ "&&", NULL },
		{ "limit=1", NULL },
		{ "since=2026-11-23T06:40:01Z&until=23%2F11%2F2026%2006:40:02&host=a%20b", NULL },
		{ "limit=100000", NULL },
		{ "limit=0", "limit" },
		{ "limit=100001", "limit" },
		{ "limit=99999999999999999999999", "limit" },
		{ "limit=-1", "limit" },
		{ "limit=", "limit" },
		{ "limit", "limit" },
		{ "since=yesterday", "since" },
		{ "since=2026-11-23T06:40:01Z&since=2026-11-23T06:40:01Z", "since" },
		{ "until=", "until" },
		{ "host=", "host" },
		{ "host=%ff", "host" },
		{ "host=%00", "host" },
		{ "host=%zz", "host" },
		{ "host=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "host" },
		{ "container=4f1c9a0e77d2&image=a%2Fb&cursor=0&format=csv", NULL },
		{ "container=", "container" },
		{ "image=", "image" },
		{ "format=xml", "format" },
		{ "cursor=", "cursor" },
		{ "cursor=-1", "cursor" },
		{ "cursor=1&cursor=2", "cursor" },
		{ "cursor=99999999999999999999", "cursor" },
		{ "color=red", "color" },
		{ "%3cscript%3e=1", "<script>" },
		{ "=1", "" },
		{ "%=1", "" },
	};
	char target[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_error error = { 0 };
		struct route route;
		const char *allow;
		int err;

		strcpy(target, "/logs/all?");
		strcat(target, cases[i].query);
		err = route_find("GET", target, 0, &route, &allow, &error);
		if (!cases[i].field ? err != 0 :
		    err != -EINVAL || strcmp(error.field, cases[i].field) != 0)
			fail_msg("%s: %d, %s", target, err, error.field);
	}
}

static void test_filter(void **state)
{
	struct record_error error;
	struct route route;
	const char *allow;

	(void)state;
	assert_int_equal(route_find("GET", "/logs/all?since=23/11/2026%2000:40:01&"
				    "until=2026-11-23T06:40:02.5Z&host=h%2D1&limit=20",
				    -6 * 3600, &route, &allow, &error), 0);
	assert_true(route.query.filter.has_since && route.query.filter.has_until);
	assert_int_equal(route.query.filter.since_ms, 1795416001000);
	assert_int_equal(route.query.filter.until_ms, 1795416002500);
	assert_string_equal(route.query.filter.host, "h-1");
	assert_int_equal(route.query.limit, 20);
}

static void test_long_target(void **state)
{
	char *target = malloc(LIMITS_TARGET_BYTES + 2);
	struct record_error error;
	struct route route;
	const char *allow;

	(void)state;
	memset(target, '/', LIMITS_TARGET_BYTES + 1);
	target[LIMITS_TARGET_BYTES + 1] = 0;
	assert_int_equal(route_find("GET", target, 0, &route, &allow, &error), -E2BIG);
	free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_long_target),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
