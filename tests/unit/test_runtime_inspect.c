// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/runtime/inspect.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>

/* With "'" for each quotation mark, the answers below can be read. */
static int parse(const char *text, struct runtime_inspect *ret)
{
	size_t len = strlen(text), i;
	/* Of the exact size, so that a sanitizer sees a byte read too much. */
	char *copy = malloc(len + !len);
	int err;

	assert_non_null(copy);
	for (i = 0; i < len; i++)
		copy[i] = text[i] == '\'' ? '"' : text[i];
	err = runtime_inspect_parse(copy, len, ret);
	free(copy);
	return err;
}

static struct runtime_inspect must_parse(const char *text)
{
	struct runtime_inspect r;

	memset(&r, 0x5a, sizeof(r));
	if (parse(text, &r))
		fail_msg("refused: %s", text);
	return r;
}

static void whole_answer(void **state)
{
	/* Docker 20.10, shortened. */
	struct runtime_inspect r = must_parse(
		"{'Id':'4ea1','Created':'2024-01-01T00:00:00Z','Path':'sh','Args':['-c'],"
		"'State':{'Status':'running','Running':true,'Paused':false,'Restarting':false,"
		"'OOMKilled':false,'Dead':false,'Pid':4711,'ExitCode':0,'Error':''},"
		"'Image':'sha256:12','Name':'/x','HostConfig':{'RestartPolicy':{'Name':"
		"'on-failure','MaximumRetryCount':5},'AutoRemove':true,'Binds':null},"
		"'Config':{'Hostname':'4ea1','Labels':{'k':'v','sysinfo.protect':'true'},"
		"'StopSignal':'SIGQUIT'}}\n");

	(void)state;
	assert_string_equal(r.id, "4ea1");
	assert_true(r.has_state);
	assert_true(r.running);
	assert_false(r.paused);
	assert_false(r.restarting);
	assert_false(r.dead);
	assert_int_equal(r.pid, 4711);
	assert_string_equal(r.policy, "on-failure");
	assert_int_equal(r.max_retries, 5);
	assert_string_equal(r.stop_signal, "SIGQUIT");
	assert_true(r.protected_now);
}

static void nothing_told(void **state)
{
	static const char *const texts[] = {
		"{}", " {} ", "{'x':[1,2]}", "{'State':null,'HostConfig':null,'Config':null}",
		"{'State':{},'HostConfig':{'RestartPolicy':null},'Config':{'Labels':null}}",
		"{'Id':null,'HostConfig':{'RestartPolicy':{'Name':null}}}",
		"{'state':{'Running':true},'x':{'Config':{'StopSignal':'SIGINT'}}}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		struct runtime_inspect r = must_parse(texts[i]);

		assert_string_equal(r.id, "");
		assert_false(r.has_state);
		assert_false(r.running);
		assert_int_equal(r.pid, 0);
		assert_string_equal(r.policy, "");
		assert_int_equal(r.max_retries, 0);
		assert_string_equal(r.stop_signal, "SIGTERM");
		assert_false(r.protected_now);
	}
}

/* The state counts only if all of it is told. */
static void state_in_part(void **state)
{
	static const struct {
		const char *text;
		bool has, running, paused, restarting, dead;
	} cases[] = {
		{ "'Running':true,'Paused':true,'Restarting':false,'Dead':false",
		  true, true, true, false, false },
		{ "'Running':false,'Paused':false,'Restarting':true,'Dead':true,'Pid':0",
		  true, false, false, true, true },
		{ "'Paused':false,'Restarting':false,'Dead':true",
		  false, false, false, false, true },
		{ "'Running':null,'Paused':true,'Restarting':false,'Dead':false",
		  false, false, true, false, false },
		{ "'Running':true,'Restarting':true,'Dead':false",
		  false, true, false, true, false },
		{ "'Running':true,'Paused':false,'Dead':false",
		  false, true, false, false, false },
		{ "'Running':true,'Paused':false,'Restarting':true",
		  false, true, false, true, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct runtime_inspect r;
		char text[256];

		snprintf(text, sizeof(text), "{'State':{%s}}", cases[i].text);
		r = must_parse(text);
		if (r.has_state != cases[i].has || r.running != cases[i].running ||
		    r.paused != cases[i].paused || r.restarting != cases[i].restarting ||
		    r.dead != cases[i].dead)
			fail_msg("%s", text);
	}
}

static void refused(void **state)
{
	static const char *const texts[] = {
		"", " ", "{", "}", "{}}", "{}x", "{} {}", "{},", "[]", "[{}]", "null", "7", "'{}'",
		"{'a'}", "{'a':1,", "{'a':1,}", "{'Id':'a'", "x{}", "{'message':'no'} x",
		"{'Id':7}", "{'Id':'a','Id':'a'}", "{'Id':'a\\u0000b'}", "{'State':7}",
		"{'State':[]}", "{'State':{},'State':{}}", "{'State':{'Running':'true'}}",
		"{'State':{'Running':1}}", "{'State':{'Paused':0}}", "{'State':{'Dead':{}}}",
		"{'State':{'Restarting':''}}", "{'State':{'Running':true,'Running':false}}",
		"{'State':{'Pid':'1'}}", "{'State':{'Pid':-1}}", "{'State':{'Pid':1.5}}",
		"{'State':{'Pid':4294967296}}", "{'State':{'Pid':1e300}}", "{'HostConfig':[]}",
		"{'HostConfig':{'RestartPolicy':'no'}}",
		"{'HostConfig':{'RestartPolicy':{'Name':7}}}",
		"{'HostConfig':{'RestartPolicy':{'MaximumRetryCount':-1}}}", "{'Config':''}",
		"{'Config':{'Labels':[]}}", "{'Config':{'Labels':'sysinfo.protect'}}",
		"{'Config':{'Labels':{},'Labels':{}}}",
	};
	struct runtime_inspect r, before;
	size_t i;

	(void)state;
	memset(&r, 0x5a, sizeof(r));
	before = r;
	for (i = 0; i < COUNT(texts); i++) {
		if (parse(texts[i], &r) != -EBADMSG)
			fail_msg("taken: %s", texts[i]);
		assert_memory_equal(&r, &before, sizeof(r));
	}
}

static void id_lengths(void **state)
{
	char text[MODEL_ID_SIZE + 32];
	struct runtime_inspect r;

	(void)state;
	snprintf(text, sizeof(text), "{'Id':'%0*d'}", MODEL_ID_SIZE - 1, 0);
	r = must_parse(text);
	assert_int_equal(strlen(r.id), MODEL_ID_SIZE - 1);
	snprintf(text, sizeof(text), "{'Id':'%0*d'}", MODEL_ID_SIZE, 0);
	assert_int_equal(parse(text, &r), -EBADMSG);
}

static void policies(void **state)
{
	static const char *const cases[][2] = {
		{ "no", "no" },		{ "", "no" },
		{ "always", "always" }, { "unless-stopped", "unless-stopped" },
		{ "on-failure", "on-failure" }, { "Always", "" },
		{ "on-success", "" },	{ "a policy with a name that is long", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		char text[256];

		snprintf(text, sizeof(text), "{'HostConfig':{'RestartPolicy':{'Name':'%s'}}}",
			 cases[i][0]);
		assert_string_equal(must_parse(text).policy, cases[i][1]);
	}
}

static void stop_signals(void **state)
{
	static const char *const cases[][2] = {
		{ "'SIGINT'", "SIGINT" },	{ "'9'", "9" },
		{ "'SIGRTMIN+15'", "SIGRTMIN+15" }, { "'SIGRTMAX-1'", "SIGRTMAX-1" },
		{ "''", "SIGTERM" },		{ "null", "SIGTERM" },
		{ "15", "SIGTERM" },		{ "{}", "SIGTERM" },
		{ "'SIGINT&x=1'", "SIGTERM" }, { "'../x'", "SIGTERM" },
		{ "'SIG INT'", "SIGTERM" },	{ "'SIGINT\\n'", "SIGTERM" },
		{ "'123456789012345'", "123456789012345" }, { "'1234567890123456'", "SIGTERM" },
		{ "'\xc3\xa4'", "SIGTERM" },	{ "'%41'", "SIGTERM" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		char text[256];

		snprintf(text, sizeof(text), "{'Config':{'StopSignal':%s}}", cases[i][0]);
		assert_string_equal(must_parse(text).stop_signal, cases[i][1]);
	}
}

static void protect_label(void **state)
{
	static const struct {
		const char *labels;
		bool protects;
	} cases[] = {
		{ "{}", false },
		{ "{'k':'true'}", false },
		{ "{'sysinfo.protect':'true'}", true },
		{ "{'sysinfo.protect':' No '}", false },
		{ "{'sysinfo.protect':''}", true },
		{ "{'sysinfo.protect':'maybe'}", true },
		{ "{'sysinfo.protect':false}", true },
		{ "{'sysinfo.protect':'0','sysinfo.protect':'1'}", true },
		{ "{'sysinfo.protect':'1','sysinfo.protect':'0'}", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		char text[256];

		snprintf(text, sizeof(text), "{'Config':{'Labels':%s}}", cases[i].labels);
		if (must_parse(text).protected_now != cases[i].protects)
			fail_msg("%s", text);
	}
}

/* A NUL ends no answer early. */
static void nul_bytes(void **state)
{
	static const char inside[] = "{\"Id\":\"a\0b\"}", after[] = "{\"Id\":\"a\"}\0";
	struct runtime_inspect r;

	(void)state;
	assert_int_equal(runtime_inspect_parse(inside, sizeof(inside) - 1, &r), -EBADMSG);
	assert_int_equal(runtime_inspect_parse(after, sizeof(after) - 1, &r), -EBADMSG);
	assert_int_equal(runtime_inspect_parse(after, sizeof(after) - 2, &r), 0);
}

/* A part of an answer is none, wherever it breaks off. */
static void broken_off(void **state)
{
	static const char text[] = "{'Id':'a','State':{'Running':true,'Pid':12},'HostConfig':"
				   "{'AutoRemove':false},'Config':{'Labels':{'k':'v'}}}";
	struct runtime_inspect r;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text) - 1; len++) {
		char part[sizeof(text)];

		memcpy(part, text, len);
		part[len] = '\0';
		assert_int_equal(parse(part, &r), -EBADMSG);
	}
	assert_int_equal(parse(text, &r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_answer),
		cmocka_unit_test(nothing_told),
		cmocka_unit_test(state_in_part),
		cmocka_unit_test(refused),
		cmocka_unit_test(id_lengths),
		cmocka_unit_test(policies),
		cmocka_unit_test(stop_signals),
		cmocka_unit_test(protect_label),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(broken_off),
	};

	return RUN(tests);
}
