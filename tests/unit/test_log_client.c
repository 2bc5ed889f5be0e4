// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/deliver/log_client.h"
#include "userspace/host/clock.h"

/* Each test works in a folder of its own, which is its working directory. */
static char folder[64];
static sd_event *event;

/* --- a stand-in for HTTP: a function answers ------------------------------------------- */

struct http_call {
	sd_event_source *source;
	struct http_question q;
	char *url, *body;
};

typedef void answer_fn(const struct http_question *q, struct http_request *r);

static struct {
	answer_fn *answer; /* NULL: none comes */
	size_t requests, open, most_open;
	char first_url[128];
	char order[64]; /* of each request, the last character of the second word of its body */
	double at_ms[64];
} server;

static void free_request(struct http_request *r)
{
	sd_event_source_disable_unref(r->call->source);
	free(r->call->url);
	free(r->call->body);
	free(r->call);
	free(r->answer);
	free(r);
	server.open--;
}

static int on_answer(sd_event_source *source, void *ctx)
{
	struct http_request *r = ctx;

	(void)source;
	server.answer(&r->call->q, r);
	if (!r->answer)
		r->answer = strdup("");
	r->answer_len = strlen(r->answer);
	r->call->q.on_done(r, r->call->q.ctx);
	free_request(r);
	return 0;
}

int http_request(struct http *h, const struct http_question *q, struct http_request **ret)
{
	struct http_request *r = calloc(1, sizeof(*r));
	struct http_call *call = calloc(1, sizeof(*call));
	size_t n = server.requests++;

	(void)h;
	assert_string_equal(q->method, "POST");
	assert_int_equal(strlen(q->body), q->body_len);
	assert_int_equal(q->timeout_ms, 10000);
	assert_null(q->unix_socket);
	if (!n)
		snprintf(server.first_url, sizeof(server.first_url), "%s", q->url);
	if (n < COUNT(server.order) - 1) {
		server.order[n] = q->body_len > 1 ? q->body[1] : '?';
		server.at_ms[n] = clock_monotonic_ms();
	}
	*call = (struct http_call){ .q = *q, .url = strdup(q->url), .body = strdup(q->body) };
	call->q.url = call->url;
	call->q.body = call->body;
	r->call = call;
	if (++server.open > server.most_open)
		server.most_open = server.open;
	if (server.answer)
		assert_true(sd_event_add_defer(event, &call->source, on_answer, r) >= 0);
	*ret = r;
	return 0;
}

void http_cancel(struct http_request *r)
{
	if (r)
		free_request(r);
}

char *http_url(const char *format, ...)
{
	char *url = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&url, format, args) < 0)
		url = NULL;
	va_end(args);
	return url;
}

static int records_of(const char *body)
{
	cJSON *json = cJSON_Parse(body);
	int n = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : -1;

	cJSON_Delete(json);
	return n;
}

static void take(const struct http_question *q, struct http_request *r)
{
	r->status = 200;
	if (asprintf(&r->answer, "{\"received\": true, \"stored\": %d, \"duplicates\": 0}",
		     records_of(q->body)) < 0)
		r->answer = NULL;
}

static void no_answer(const struct http_question *q, struct http_request *r)
{
	(void)q;
	strcpy(r->reason, "connection refused");
}

static void fail_500(const struct http_question *q, struct http_request *r)
{
	(void)q;
	r->status = 500;
	r->answer = strdup("no");
}

static void refuse(const struct http_question *q, struct http_request *r)
{
	(void)q;
	r->status = 422;
	r->answer = strdup("{\"error\": \"the record is wrong\"}");
}

/* Batches that begin with 9 are poison. */
static void fail_nine(const struct http_question *q, struct http_request *r)
{
	if (q->body[1] == '9')
		fail_500(q, r);
	else
		take(q, r);
}

static void refuse_nine(const struct http_question *q, struct http_request *r)
{
	if (q->body[1] == '9')
		refuse(q, r);
	else
		take(q, r);
}

/* --- the others, waited for ------------------------------------------------------------ */

static struct spool *spool;
static struct log_client *client;
static struct log_status status;
static int calls, last_err;
static struct spool_batch *found;
static size_t found_count;

static void wait_for_calls(int n)
{
	while (calls < n)
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static void on_started(void *ctx, int err, const struct spool_start *start)
{
	(void)ctx;
	assert_int_equal(err, 0);
	found_count = start->batch_count;
	found = calloc(found_count + 1, sizeof(*found));
	memcpy(found, start->batches, found_count * sizeof(*found));
	calls++;
}

static void on_done(void *ctx, int err)
{
	(void)ctx;
	last_err = err;
	calls++;
}

static void on_drained(void *ctx)
{
	(void)ctx;
	calls++;
}

static void begin(const char *url)
{
	calls = 0;
	found = NULL;
	assert_int_equal(spool_open(event, "spool", on_started, NULL, &spool), 0);
	wait_for_calls(1);
	calls = 0;
	assert_int_equal(log_client_new(event, NULL, spool, url, &client), 0);
	assert_int_equal(log_client_add(client, found, found_count), 0);
	free(found);
}

static void end(void)
{
	int fd;

	log_client_free(client);
	spool_close(spool);
	client = NULL;
	spool = NULL;
	assert_int_equal(server.open, 0);
	fd = open("spool/lock", O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	close(fd);
}

static int put(enum spool_kind kind, const char *body)
{
	calls = 0;
	assert_int_equal(log_client_put(client, kind, body, on_done, NULL), 0);
	wait_for_calls(1);
	calls = 0;
	return last_err;
}

static void drain(void)
{
	calls = 0;
	log_client_drain(client, on_drained, NULL);
	assert_int_equal(calls, 0);
	wait_for_calls(1);
	calls = 0;
	log_client_status(client, &status);
}

static int enter(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	memset(&status, 0, sizeof(status));
	server.answer = take;
	strcpy(folder, "/tmp/test-log-client-XXXXXX");
	return mkdtemp(folder) && !chdir(folder) && !mkdir("spool", 0700) &&
			       sd_event_new(&event) >= 0
		       ? 0
		       : -1;
}

static int leave(void **state)
{
	char command[128];

	(void)state;
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command) ? -1 : 0;
}

static void write_batch(int number, enum spool_kind kind, const char *body)
{
	const struct spool_batch b = { (uint64_t)number, kind };
	char name[SPOOL_BATCH_NAME_SIZE], path[128];
	FILE *f;

	spool_batch_name(name, &b);
	snprintf(path, sizeof(path), "spool/%s", name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(body, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static bool there(const char *name)
{
	return !access(name, F_OK);
}

#define FIRST "spool/00000000000000000001-logs.json"
#define FIRST_REFUSED "spool/refused-00000000000000000001-logs.json"

/* --- the tests ------------------------------------------------------------------------- */

static void sent(void **state)
{
	(void)state;
	begin("http://x:8000");
	assert_int_equal(put(SPOOL_KILLS, "[1, 2]"), 0);
	drain();
	assert_string_equal(server.first_url, "http://x:8000/logs");
	assert_true(status.tried && status.reachable);
	assert_int_equal(status.batches_sent, 1);
	assert_int_equal(status.waiting, 0);
	assert_string_equal(status.reason, "");
	assert_false(there(FIRST));
	server.requests = 0;
	assert_int_equal(put(SPOOL_MEMORY, "[]"), 0);
	drain();
	assert_string_equal(server.first_url, "http://x:8000/logsmemory");
	assert_int_equal(status.batches_sent, 2);
	end();
}

/* Kills first, each kind by number; one request at a time. */
static void in_order(void **state)
{
	(void)state;
	write_batch(1, SPOOL_MEMORY, "[4]");
	write_batch(3, SPOOL_MEMORY, "[5]");
	write_batch(2, SPOOL_KILLS, "[1]");
	write_batch(9, SPOOL_KILLS, "[3]");
	write_batch(7, SPOOL_KILLS, "[2]");
	begin("http://x");
	drain();
	assert_string_equal(server.order, "12345");
	assert_int_equal(server.most_open, 1);
	assert_int_equal(status.waiting, 0);
	end();
}

static struct {
	long status;
	const char *answer;
} scripted;

static void scripted_answer(const struct http_question *q, struct http_request *r)
{
	(void)q;
	r->status = scripted.status;
	r->answer = strdup(scripted.answer);
}

/* What an answer to a batch of two records means: '+': taken, 'x': refused, '-': neither. */
static void answers(void **state)
{
	static const struct {
		long status;
		const char *answer;
		char result;
	} cases[] = {
		{ 200, "{\"received\":true,\"stored\":2,\"duplicates\":0}", '+' },
		{ 200, "{\"received\":true,\"stored\":0,\"duplicates\":2,\"more\":[]}", '+' },
		{ 200, "{\"received\":true,\"stored\":1,\"duplicates\":1}", '+' },
		{ 200, "{\"received\":true,\"stored\":1,\"duplicates\":0}", '-' },
		{ 200, "{\"received\":true,\"stored\":3,\"duplicates\":0}", '-' },
		{ 200, "{\"received\":true,\"stored\":3,\"duplicates\":-1}", '-' },
		{ 200, "{\"received\":true,\"stored\":2}", '-' },
		{ 200, "{\"received\":true}", '-' },
		{ 200, "{\"received\":false,\"stored\":2,\"duplicates\":0}", '-' },
		{ 200, "{\"received\":\"true\",\"stored\":2,\"duplicates\":0}", '-' },
		{ 200, "{\"received\":true,\"stored\":\"2\",\"duplicates\":0}", '-' },
		{ 200, "{\"Received\":true,\"stored\":2,\"duplicates\":0}", '-' },
		{ 200, "{\"error\":\"x\"}", '-' },
		{ 200, "[true]", '-' },
		{ 200, "", '-' },
		{ 200, "It works!", '-' },
		{ 201, "{\"received\":true,\"stored\":2,\"duplicates\":0}", '-' },
		{ 400, "{\"error\":\"no\"}", 'x' },
		{ 409, "{\"error\":\"no\"}", 'x' },
		{ 413, "{\"error\":\"\"}", 'x' },
		{ 422, "{\"error\":\"no\",\"more\":1}", 'x' },
		{ 422, "{\"error\":1}", '-' },
		{ 400, "{\"errors\":\"no\"}", '-' },
		{ 400, "<h1>no</h1>", '-' },
		{ 400, "", '-' },
		{ 401, "{\"error\":\"no\"}", '-' },
		{ 404, "{\"error\":\"no\"}", '-' },
		{ 429, "{\"error\":\"no\"}", '-' },
		{ 500, "{\"error\":\"no\"}", '-' },
		{ 503, "{\"error\":\"no\"}", '-' },
		{ 0, "", '-' },
		{ 0, "{\"received\":true,\"stored\":2,\"duplicates\":0}", '-' },
	};
	size_t i;

	(void)state;
	server.answer = scripted_answer;
	for (i = 0; i < COUNT(cases); i++) {
		scripted.status = cases[i].status;
		scripted.answer = cases[i].answer;
		write_batch(1, SPOOL_KILLS, "[1, 2]");
		server.requests = 0;
		begin("http://x");
		drain();
		if (there(FIRST) != (cases[i].result == '-') ||
		    there(FIRST_REFUSED) != (cases[i].result == 'x'))
			fail_msg("%ld %s", cases[i].status, cases[i].answer);
		assert_int_equal(server.requests, 1);
		assert_int_equal(status.waiting, cases[i].result == '-');
		assert_int_equal(status.reachable, cases[i].result == '+');
		assert_int_equal(status.batches_sent, cases[i].result == '+');
		assert_int_equal(status.batches_refused, cases[i].result == 'x');
		end();
		unlink(FIRST);
		unlink(FIRST_REFUSED);
	}
}

/* An answer of megabytes is not ours, and not looked into. */
static void long_answer(void **state)
{
	char *text = malloc(70000);

	(void)state;
	memset(text, ' ', 70000);
	memcpy(text, "{\"received\":true,\"stored\":2,\"duplicates\":0}", 43);
	text[69999] = '\0';
	server.answer = scripted_answer;
	scripted.status = 200;
	scripted.answer = text;
	write_batch(1, SPOOL_KILLS, "[1, 2]");
	begin("http://x");
	drain();
	assert_int_equal(status.waiting, 1);
	end();
	free(text);
}

/* What the server will not have holds up nothing behind it. */
static void poison(void **state)
{
	(void)state;
	server.answer = fail_nine;
	write_batch(1, SPOOL_KILLS, "[9]");
	write_batch(2, SPOOL_KILLS, "[1]");
	write_batch(3, SPOOL_MEMORY, "[9]");
	write_batch(4, SPOOL_MEMORY, "[2]");
	begin("http://x");
	drain();
	assert_int_equal(status.batches_sent, 2);
	assert_int_equal(status.waiting, 2);
	assert_true(there(FIRST));
	/* Each again after the last success, once. */
	assert_string_equal(server.order, "919299");
	assert_non_null(strstr(status.reason, "00000000000000000003-logsmemory.json"));
	assert_non_null(strstr(status.reason, "500"));
	/* A new one has its turn at once. */
	assert_int_equal(put(SPOOL_KILLS, "[3]"), 0);
	drain();
	assert_int_equal(status.batches_sent, 3);
	assert_int_equal(server.order[6], '3');
	assert_true(server.requests <= 9);
	end();
}

static void refused(void **state)
{
	(void)state;
	server.answer = refuse_nine;
	write_batch(1, SPOOL_KILLS, "[9]");
	write_batch(2, SPOOL_KILLS, "[1]");
	begin("http://x");
	drain();
	assert_string_equal(server.order, "91");
	assert_int_equal(status.batches_refused, 1);
	assert_int_equal(status.batches_sent, 1);
	assert_int_equal(status.waiting, 0);
	assert_string_equal(status.reason,
			    "00000000000000000001-logs.json was refused: the record is wrong");
	assert_true(there(FIRST_REFUSED));
	end();
}

/* What can't be put aside is passed over, and not asked about in a tight loop. */
static void not_put_aside(void **state)
{
	(void)state;
	server.answer = refuse_nine;
	write_batch(1, SPOOL_KILLS, "[9]");
	write_batch(2, SPOOL_KILLS, "[1]");
	assert_int_equal(mkdir(FIRST_REFUSED, 0700), 0);
	begin("http://x");
	drain();
	assert_int_equal(status.batches_refused, 0);
	assert_int_equal(status.batches_sent, 1);
	assert_int_equal(status.waiting, 1);
	assert_string_equal(server.order, "919");
	end();
}

static void take_and_spoil(const struct http_question *q, struct http_request *r)
{
	take(q, r);
	if (q->body[1] != '9')
		return;
	assert_int_equal(unlink(FIRST), 0);
	assert_int_equal(mkdir(FIRST, 0700), 0);
}

/* What was sent and can't be removed is not sent for ever. */
static void not_removed(void **state)
{
	(void)state;
	server.answer = take_and_spoil;
	write_batch(1, SPOOL_KILLS, "[9]");
	write_batch(2, SPOOL_KILLS, "[1]");
	begin("http://x");
	drain();
	assert_string_equal(server.order, "91");
	assert_int_equal(status.batches_sent, 1);
	assert_int_equal(status.waiting, 1);
	assert_true(status.reachable);
	end();
}

static void take_and_lose(const struct http_question *q, struct http_request *r)
{
	take(q, r);
	assert_int_equal(unlink(FIRST), 0);
}

/* Files that somebody else removed have nothing left to send. */
static void removed_by_others(void **state)
{
	(void)state;
	server.answer = take_and_lose;
	write_batch(1, SPOOL_KILLS, "[1]");
	begin("http://x");
	drain();
	assert_int_equal(status.batches_sent, 1);
	assert_int_equal(status.waiting, 0);
	server.answer = NULL;
	end();
	write_batch(1, SPOOL_KILLS, "[1]");
	server.requests = 0;
	begin("http://x");
	assert_int_equal(unlink(FIRST), 0);
	drain();
	assert_int_equal(server.requests, 0);
	assert_int_equal(status.waiting, 0);
	end();
}

/* Files that are no batches are never sent, and hold up nothing. */
static void hostile_files(void **state)
{
	static const char *const bodies[] = { "",  "{}",     "[1",	 "[1] x",
					      "1", "\"[]\"", "\xff\xfe", "[1]]" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bodies); i++)
		write_batch((int)i + 1, SPOOL_KILLS, bodies[i]);
	assert_int_equal(mkdir("spool/00000000000000000011-logs.json", 0700), 0);
	assert_int_equal(mkfifo("spool/00000000000000000012-logs.json", 0600), 0);
	assert_int_equal(symlink("lock", "spool/00000000000000000013-logs.json"), 0);
	write_batch(14, SPOOL_MEMORY, "[7]");
	begin("http://x");
	drain();
	assert_string_equal(server.order, "7");
	assert_int_equal(status.batches_sent, 1);
	assert_int_equal(status.waiting, COUNT(bodies) + 3);
	end();
}

static void run_until_requests(size_t n)
{
	while (server.requests < n)
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static int on_time(sd_event_source *source, uint64_t usec, void *ctx)
{
	(void)source;
	(void)usec;
	(*(int *)ctx)++;
	return 0;
}

/* Pauses grow; a new batch ends one. */
static void pauses(void **state)
{
	int over = 0;

	(void)state;
	server.answer = no_answer;
	write_batch(1, SPOOL_KILLS, "[1]");
	write_batch(2, SPOOL_KILLS, "[2]");
	begin("http://x");
	run_until_requests(3);
	assert_true(server.at_ms[1] - server.at_ms[0] >= 499);
	assert_true(server.at_ms[2] - server.at_ms[1] >= 999);
	/* An unreachable server counts against no batch. */
	assert_string_equal(server.order, "111");
	/* The next pause has two seconds. */
	assert_true(sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 100000, 1, on_time,
					       &over) >= 0);
	while (!over)
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	assert_int_equal(server.requests, 3);
	assert_int_equal(put(SPOOL_MEMORY, "[3]"), 0);
	run_until_requests(4);
	assert_true(server.at_ms[3] - server.at_ms[2] < 1500);
	log_client_status(client, &status);
	assert_true(status.tried && !status.reachable);
	assert_string_equal(status.reason, "connection refused");
	server.answer = take;
	drain();
	assert_int_equal(status.waiting, 0);
	end();
}

/* Where all get the same bad answer, each has its turn, and then there is a pause. */
static void bad_server(void **state)
{
	int i;

	(void)state;
	server.answer = fail_500;
	for (i = 1; i <= 5; i++)
		write_batch(i, SPOOL_KILLS, "[1]");
	begin("http://x");
	run_until_requests(11);
	assert_true(server.at_ms[4] - server.at_ms[0] < 400);
	assert_true(server.at_ms[5] - server.at_ms[4] >= 499);
	assert_true(server.at_ms[10] - server.at_ms[9] >= 999);
	end();
}

static void drains(void **state)
{
	(void)state;
	/* Nothing waits; then nothing is to be sent at all. */
	begin("http://x");
	drain();
	assert_false(status.tried);
	end();
	write_batch(1, SPOOL_KILLS, "[1]");
	begin(NULL);
	drain();
	assert_int_equal(status.waiting, 1);
	assert_int_equal(server.requests, 0);
	/* What is on its way to the disk is waited for. */
	assert_int_equal(log_client_put(client, SPOOL_KILLS, "[2]", NULL, NULL), 0);
	drain();
	assert_int_equal(status.waiting, 2);
	end();
	begin("http://x");
	assert_int_equal(log_client_put(client, SPOOL_KILLS, "[3]", NULL, NULL), 0);
	drain();
	assert_string_equal(server.order, "123");
	assert_int_equal(status.waiting, 0);
	server.answer = no_answer;
	assert_int_equal(log_client_put(client, SPOOL_KILLS, "[4]", NULL, NULL), 0);
	drain();
	assert_int_equal(status.waiting, 1);
	/* Ends the pause that this began. */
	server.answer = take;
	drain();
	assert_int_equal(status.waiting, 0);
	end();
}

static void free_client(void *ctx)
{
	(void)ctx;
	log_client_free(client);
	client = NULL;
	calls++;
}

static void free_client_too(void *ctx, int err)
{
	(void)err;
	free_client(ctx);
}

static void never(void *ctx, int err)
{
	(void)ctx;
	(void)err;
	fail();
}

/* From within its own calls, and with calls and a request under way. */
static void freed(void **state)
{
	int way;

	(void)state;
	for (way = 0; way < 3; way++) {
		begin("http://x");
		server.answer = NULL;
		server.requests = 0;
		assert_int_equal(put(SPOOL_KILLS, "[1]"), 0);
		run_until_requests(1);
		if (way == 0) {
			assert_int_equal(log_client_put(client, SPOOL_KILLS, "[2]", free_client_too,
							NULL),
					 0);
			assert_int_equal(log_client_put(client, SPOOL_MEMORY, "[2]", never, NULL),
					 0);
			wait_for_calls(1);
		} else if (way == 1) {
			assert_int_equal(log_client_put(client, SPOOL_KILLS, "[2]", never, NULL),
					 0);
			assert_int_equal(log_client_put(client, SPOOL_MEMORY, "[2]", never, NULL),
					 0);
			free_client(NULL);
		}
		while (spool_pending(spool))
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
		end();
		begin(NULL);
		assert_int_equal(found_count, 3 * (way < 2 ? way : 2) + (way < 2 ? 3 : 1));
		log_client_drain(client, free_client, NULL);
		wait_for_calls(1);
		end();
	}
	log_client_free(NULL);
}

/* The oldest sample makes room for the newest; kills are no samples. */
static void too_many_samples(void **state)
{
	int i;

	(void)state;
	write_batch(1, SPOOL_KILLS, "[]");
	for (i = 2; i <= SPOOL_MEMORY_BATCHES_MAX + 2; i++)
		write_batch(i, SPOOL_MEMORY, "[]");
	begin(NULL);
	assert_int_equal(put(SPOOL_KILLS, "[]"), 0);
	log_client_status(client, &status);
	assert_int_equal(status.samples_dropped, 0);
	assert_int_equal(put(SPOOL_MEMORY, "[]"), 0);
	log_client_status(client, &status);
	assert_int_equal(status.samples_dropped, 2);
	assert_int_equal(status.waiting, SPOOL_MEMORY_BATCHES_MAX + 2);
	assert_true(there(FIRST));
	assert_false(there("spool/00000000000000000002-logsmemory.json"));
	assert_false(there("spool/00000000000000000003-logsmemory.json"));
	assert_true(there("spool/00000000000000000004-logsmemory.json"));
	end();
}

static struct http_request *held;

static void hold(const struct http_question *q, struct http_request *r)
{
	take(q, r);
	held = r;
	/* While it is under way. */
	assert_int_equal(log_client_put(client, SPOOL_MEMORY, "[8]", NULL, NULL), 0);
	server.answer = take;
}

/* The one that is being sent may be the oldest. */
static void dropped_while_sent(void **state)
{
	int i;

	(void)state;
	write_batch(1, SPOOL_MEMORY, "[1]");
	for (i = 2; i <= SPOOL_MEMORY_BATCHES_MAX; i++)
		write_batch(i, SPOOL_MEMORY, "[2]");
	server.answer = hold;
	begin("http://x");
	run_until_requests(2);
	log_client_status(client, &status);
	assert_int_equal(status.samples_dropped, 1);
	assert_int_equal(status.batches_sent, 0);
	drain();
	assert_int_equal(status.batches_sent, SPOOL_MEMORY_BATCHES_MAX);
	assert_int_equal(status.waiting, 0);
	end();
}

/* A sample is not worth a queue before a disk that hangs. */
static void slow_disk(void **state)
{
	int i;

	(void)state;
	begin(NULL);
	for (i = 0; i <= 100; i++)
		assert_int_equal(log_client_put(client, SPOOL_KILLS, "[]", on_done, NULL), 0);
	assert_int_equal(log_client_put(client, SPOOL_MEMORY, "[]", never, NULL), -EBUSY);
	assert_int_equal(log_client_put(client, SPOOL_KILLS, "[]", on_done, NULL), 0);
	wait_for_calls(102);
	assert_int_equal(put(SPOOL_MEMORY, "[]"), 0);
	log_client_status(client, &status);
	assert_int_equal(status.samples_dropped, 1);
	assert_int_equal(status.waiting, 103);
	end();
}

/* The newest one, of this test. */
static pid_t last_child(void)
{
	char path[64];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1)
		;
	fclose(f);
	return pid;
}

static void dead_disk(void **state)
{
	(void)state;
	write_batch(1, SPOOL_KILLS, "[1]");
	begin("http://x");
	assert_int_equal(kill(last_child(), SIGKILL), 0);
	assert_int_equal(put(SPOOL_KILLS, "[2]"), -EIO);
	assert_int_equal(put(SPOOL_MEMORY, "[2]"), -EIO);
	drain();
	assert_int_equal(server.requests, 0);
	assert_int_equal(status.waiting, 1);
	assert_int_equal(status.samples_dropped, 1);
	end();
}

static bool mount_disk(void)
{
	return !geteuid() && !unshare(CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("test", "spool", "tmpfs", 0, "size=1m");
}

static char *long_body(size_t len)
{
	char *body = malloc(len + 1);

	memset(body, ' ', len);
	body[0] = '[';
	body[len - 1] = ']';
	body[len] = '\0';
	return body;
}

/* Kills find room as long as samples have some; samples find none. */
static void full_disk(void **state)
{
	char *sample = long_body(4000), *kill = long_body(100000);
	int n = 0;

	(void)state;
	if (!mount_disk())
		skip();
	begin(NULL);
	while (!put(SPOOL_MEMORY, sample))
		n++;
	assert_int_equal(last_err, -ENOSPC);
	assert_true(n > 100);
	assert_int_equal(put(SPOOL_KILLS, kill), 0);
	log_client_status(client, &status);
	assert_int_equal(status.samples_dropped, 1 + 25);
	assert_int_equal(status.waiting, n - 25 + 1);
	assert_true(there("spool/00000000000000000026-logsmemory.json"));
	while (!put(SPOOL_KILLS, kill))
		;
	assert_int_equal(last_err, -ENOSPC);
	log_client_status(client, &status);
	assert_int_equal(status.samples_dropped, 1 + n);
	assert_true(status.waiting >= 7);
	drain();
	end();
	assert_int_equal(umount2("spool", MNT_DETACH), 0);
	free(sample);
	free(kill);
}

/* CPU time: what others do on the machine is not in it. */
static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double drain_many(int n)
{
	double from;
	int i;

	for (i = 1; i <= n; i++)
		write_batch(i, i % 2 ? SPOOL_KILLS : SPOOL_MEMORY, "[{\"a\": 1}]");
	server.requests = 0;
	from = cpu_ms();
	begin("http://x");
	drain();
	assert_int_equal(status.batches_sent, n);
	assert_int_equal(server.requests, n);
	end();
	return cpu_ms() - from;
}

/* Four times as many take four times as long, with room for cold caches; not sixteen. */
static void many(void **state)
{
	double few, all;

	(void)state;
	few = drain_many(5000);
	all = drain_many(20000);
	print_message("# 5000 batches: %.0f ms of CPU, 20000: %.0f ms\n", few, all);
	assert_true(all < few * 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sent),
		TEST(in_order),
		TEST(answers),
		TEST(long_answer),
		TEST(poison),
		TEST(refused),
		TEST(not_put_aside),
		TEST(not_removed),
		TEST(removed_by_others),
		TEST(hostile_files),
		TEST(pauses),
		TEST(bad_server),
		TEST(drains),
		TEST(freed),
		TEST(too_many_samples),
		TEST(dropped_while_sent),
		TEST(slow_disk),
		TEST(dead_disk),
		TEST(full_disk),
		TEST(many),
	};

	alarm(300);
	return RUN(tests);
}
