// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/io/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static void urls(void **state)
{
	struct door d;

	(void)state;
	assert_int_equal(door_find("http://127.0.0.1:8000", &d), 0);
	assert_int_equal(d.port, 8000);
	assert_int_equal(d.count, 1);
	assert_string_equal(d.addresses[0], "127.0.0.1");
	assert_int_equal(door_find("https://localhost/", &d), 0);
	assert_int_equal(d.port, 443);
	assert_true(d.count >= 1);
	/* An address of nobody's (RFC 5737): the door is not on this machine. */
	assert_int_equal(door_find("http://192.0.2.1:8000", &d), 0);
	assert_int_equal(d.count, 0);
	assert_int_equal(door_find("http://[2001:db8::1]:8000", &d), 0);
	assert_int_equal(d.count, 0);
	d.port = 7;
	assert_int_equal(door_find("nothing of the kind ://", &d), -EINVAL);
	assert_int_equal(d.port, 7);
}

/* An address that the machine gets later, as a name's of which nothing is its own yet. */
static void comes_up_late(void **state)
{
	struct sockaddr_in late = { .sin_family = AF_INET };
	struct door d;

	(void)state;
	assert_int_equal(door_find("http://192.0.2.1:8000", &d), 0);
	assert_int_equal(d.other_count, 1);
	door_look(&d);
	assert_int_equal(d.count, 0);
	assert_int_equal(d.other_count, 1);
	late.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&d.others[0], &late, sizeof(late));
	door_look(&d);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.other_count, 0);
	assert_true(door_is_at(&d, "127.0.0.1", 8000));
	door_look(&d);
	assert_int_equal(d.count, 1);
}

static void who_stands_in_it(void **state)
{
	static const struct door here = { .port = 8000, .addresses = { "127.0.0.1", "::1" }, .count = 2 };
	static const struct door elsewhere = { .port = 8000 };
	static const struct {
		const char *address;
		double port;
		bool is;
	} cases[] = {
		{ "127.0.0.1", 8000, true },	{ "::1", 8000, true },	  { "0.0.0.0", 8000, true },
		{ "::", 8000, true },		{ "", 8000, true },	  { "127.0.0.1", 8001, false },
		{ "127.0.0.2", 8000, false },	{ "127.0.0.11", 8000, false }, { "", 0, false },
		{ "127.0.0.1", 8000.5, false },	{ "127.0.0.1", -1, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (door_is_at(&here, cases[i].address, cases[i].port) != cases[i].is)
			fail_msg("%s %g", cases[i].address, cases[i].port);
		assert_false(door_is_at(&elsewhere, cases[i].address, cases[i].port));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(comes_up_late),
		cmocka_unit_test(who_stands_in_it),
	};

	return RUN(tests);
}
