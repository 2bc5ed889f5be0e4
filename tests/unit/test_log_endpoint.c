// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/runtime/log_endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LABEL_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void urls(void **state)
{
	struct log_endpoint e;

	(void)state;
	assert_int_equal(log_endpoint_find("http://127.0.0.1:8000", &e), 0);
	assert_int_equal(e.port, 8000);
	assert_int_equal(e.count, 1);
	assert_string_equal(e.addresses[0], "127.0.0.1");
	assert_int_equal(log_endpoint_find("https://localhost/", &e), 0);
	assert_int_equal(e.port, 443);
	assert_true(e.count >= 1);
	/* RFC 5737 and RFC 3849 reserve these for documents: they are not on this machine. */
	assert_int_equal(log_endpoint_find("http://192.0.2.1:8000", &e), 0);
	assert_int_equal(e.count, 0);
	assert_int_equal(log_endpoint_find("http://[2001:db8::1]:8000", &e), 0);
	assert_int_equal(e.count, 0);
	e.port = 7;
	assert_int_equal(log_endpoint_find("nothing of the kind ://", &e), -EINVAL);
	/* No name has a label of more than 63 bytes (RFC 1035, 2.3.4): no server is asked. */
	assert_int_equal(log_endpoint_find("http://" LABEL_64 ":8000/", &e), -ENOENT);
	assert_int_equal(e.port, 7);
}

/* The machine gets the address later. */
static void comes_up_late(void **state)
{
	struct sockaddr_in late = { .sin_family = AF_INET };
	struct log_endpoint e;

	(void)state;
	assert_int_equal(log_endpoint_find("http://192.0.2.1:8000", &e), 0);
	assert_int_equal(e.other_count, 1);
	log_endpoint_refresh(&e);
	assert_int_equal(e.count, 0);
	assert_int_equal(e.other_count, 1);
	late.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&e.others[0], &late, sizeof(late));
	log_endpoint_refresh(&e);
	assert_int_equal(e.count, 1);
	assert_int_equal(e.other_count, 0);
	assert_true(log_endpoint_matches(&e, "127.0.0.1", 8000));
	log_endpoint_refresh(&e);
	assert_int_equal(e.count, 1);
}

/* A child resolves the name, and the result comes by a pipe. */
static void by_pipe(void **state)
{
	struct log_endpoint here, there;
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(log_endpoint_find("http://127.0.0.1:8000", &here), 0);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (log_endpoint_find("http://127.0.0.1:8000", &there))
			_exit(1);
		_exit(write(fds[1], &there, sizeof(there)) != sizeof(there));
	}
	assert_int_equal(read(fds[0], &there, sizeof(there)), sizeof(there));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_memory_equal(&here, &there, sizeof(here));
	close(fds[0]);
	close(fds[1]);
}

static void published_ports(void **state)
{
	static const struct log_endpoint here = {
		.port = 8000,
		.addresses = { "127.0.0.1", "::1" },
		.count = 2,
	};
	static const struct log_endpoint elsewhere = { .port = 8000 };
	static const struct {
		const char *address;
		double port;
		bool matches;
	} cases[] = {
		{ "127.0.0.1", 8000, true },	{ "::1", 8000, true },
		{ "0.0.0.0", 8000, true },	{ "127.0.0.1", 8001, false },
		{ "::", 8000, true },		{ "", 8000, true },
		{ "127.0.0.2", 8000, false },	{ "127.0.0.11", 8000, false }, { "", 0, false },
		{ "127.0.0.1", 8000.5, false },	{ "127.0.0.1", -1, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		const char *address = cases[i].address;
		double port = cases[i].port;

		if (log_endpoint_matches(&here, address, port) != cases[i].matches)
			fail_msg("%s %g", address, port);
		assert_false(log_endpoint_matches(&elsewhere, address, port));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(comes_up_late),
		cmocka_unit_test(by_pipe),
		cmocka_unit_test(published_ports),
	};

	return RUN(tests);
}
