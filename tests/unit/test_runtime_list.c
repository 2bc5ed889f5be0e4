// SPDX-License-Identifier: GPL-2.0
/*
 * The runtime's list, whole and in pieces.  Linked with --wrap for malloc, calloc, realloc,
 * reallocarray and strdup, so that each allocation can fail.
 */
#include "tests/unit/unit.h"
#include "userspace/runtime/list.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TEXT_SIZE (64 * 1024)

static const struct log_endpoint here = { .port = 8000, .addresses = { "127.0.0.1" }, .count = 1 };

/* --- allocations that fail ---------------------------------------------------- */

/* How many allocations succeed before one fails; negative: all do. */
static long left = -1;

static bool fails_now(void)
{
	return left >= 0 && !left--;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails_now() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *s)
{
	return fails_now() ? NULL : __real_strdup(s);
}

/* --- reading a list and writing down what came of it ------------------------------ */

static uint64_t rng = 1;

/* xorshift64 (Marsaglia 2003): the same on every machine. */
static unsigned int pick(unsigned int below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned int)(rng >> 32) % below;
}

static struct model_container containers[] = {
	{ .id = HEX64 }, { .id = "a" }, { .id = "b" }, { .id = "c" }, { .id = "d" },
};
static struct model host = { .containers = containers, .container_count = COUNT(containers) };

static void clear_host(void)
{
	size_t i;

	for (i = 0; i < COUNT(containers); i++) {
		free(containers[i].runtime.labels);
		containers[i].runtime = (struct model_runtime){ 0 };
	}
}

struct dump {
	char text[TEXT_SIZE];
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) put(struct dump *d, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(d->text + d->len, sizeof(d->text) - d->len, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(d->text) - d->len);
	d->len += (size_t)n;
}

static void put_runtime(struct dump *d, const char *id, const struct model_runtime *r)
{
	size_t at;

	put(d, " %s:%s%s%s%s%s%s:%s:%s{", id, r->running ? "r" : "", r->is_protected ? "p" : "",
	    r->log_server ? "l" : "", r->name_cut ? "N" : "", r->image_unsure ? "I" : "",
	    r->labels_cut ? "L" : "", r->name, r->image);
	for (at = 0; at < r->labels_len; at += strlen(r->labels + at) + 1)
		put(d, "%s;", r->labels + at);
	put(d, "}");
}

/* The error, or the count of unclear entries and each known container. */
static void dump(int err, const struct runtime_list *l, struct dump *d)
{
	size_t i;

	d->len = 0;
	d->text[0] = '\0';
	if (err)
		put(d, "%s", strerrorname_np(-err));
	else
		put(d, "%zu", runtime_list_unclear(l));
	for (i = 0; i < COUNT(containers); i++)
		if (containers[i].runtime.known)
			put_runtime(d, containers[i].id, &containers[i].runtime);
}

enum way { WHOLE, BYTES, PIECES, WAYS };

static int feed(struct runtime_list *l, const char *text, size_t len, enum way way)
{
	size_t at, n;
	int err = 0;

	for (at = 0; at < len && !err; at += n) {
		n = way == WHOLE ? len : way == BYTES ? 1 : 1 + pick(40);
		if (n > len - at)
			n = len - at;
		err = runtime_list_feed(l, text + at, n);
	}
	return err;
}

/* With "'" for each quotation mark, the lists below can be read. */
static char *quote(const char *text, size_t len)
{
	/* Of the exact size, so that a sanitizer sees a byte read too much. */
	char *copy = malloc(len + !len);
	size_t i;

	assert_non_null(copy);
	for (i = 0; i < len; i++)
		copy[i] = text[i] == '\'' ? '"' : text[i];
	return copy;
}

static void read_list(const char *text, size_t len, enum way way, struct dump *d)
{
	char *quoted = quote(text, len);
	struct runtime_list *l;
	int err, applied;

	clear_host();
	assert_int_equal(runtime_list_new(&here, &l), 0);
	err = feed(l, quoted, len, way);
	free(quoted);
	if (err)
		assert_int_equal(runtime_list_end(l), err);
	else
		err = runtime_list_end(l);
	applied = runtime_list_apply(l, &host);
	assert_int_equal(!applied, !err);
	dump(err, l, d);
	runtime_list_free(l);
	clear_host();
}

static void check_each_way(const char *text, size_t len, const char *expected)
{
	static struct dump d;
	int way;

	for (way = WHOLE; way < WAYS; way++) {
		read_list(text, len, (enum way)way, &d);
		if (strcmp(d.text, expected))
			fail_msg("way %d: %.2000s\n  is       %s\n  and not  %s", way, text, d.text,
				 expected);
	}
}

/* --- tables --------------------------------------------------------------------- */

struct text_case {
	const char *text;
	const char *expected;
};

static void check_cases(const struct text_case *cases, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		check_each_way(cases[i].text, strlen(cases[i].text), cases[i].expected);
}

static void entries(void **state)
{
	static const struct text_case cases[] = {
		{ "[]", "0" },
		{ " \t\r\n[ ] \n", "0" },
		{ "[{'Id':'a'}]", "0 a:::{}" },
		{ "[{'Id':'" HEX64 "','State':'running'}]", "0 " HEX64 ":r::{}" },
		{ "[{'Id':'a','State':'running'},{'Id':'b','State':'paused'},"
		  "{'Id':'other'}]", "0 a:r::{} b:::{}" },
		{ "[{'State':'running','Id':'a'}]", "0 a:r::{}" },
		{ "[{'Id':'a','State':'Running'}]", "0 a:::{}" },
		{ "[{'Id':'a','Names':['/b/x','/n','/m'],'Image':'i'}]", "0 a::n:i{}" },
		{ "[{'Id':'a','Names':['/b/x']}]", "0 a::b/x:{}" },
		{ "[{'Id':'a','Names':['n']}]", "0 a::n:{}" },
		{ "[{'Id':'a','Names':[],'Labels':{},'Ports':[]}]", "0 a:::{}" },
		{ "[{'Id':'a','Names':null,'Image':null,'State':null,'Labels':null,"
		  "'Ports':null}]", "0 a:::{}" },
		{ "[{'Id':'a','Image':'sha256:12'}]", "0 a:I::sha256:12{}" },
		{ "[{'Id':'a','Labels':{'k':'v','':''}}]", "0 a:::{k=v;=;}" },
		/* Brackets, quotes and escapes in strings are no structure. */
		{ "[{'Id':'a','Labels':{']}':',[{\\'\\\\'}}]", "0 a:::{]}=,[{\"\\;}" },
		{ "[{'x':{'Id':'b'},'y':['Id',{'Id':'c'}],'Id':'a'}]", "0 a:::{}" },
		{ "[{'x':'Id','Id':'a'}]", "0 a:::{}" },
		{ "[{'I\\u0064':'\\u0061'}]", "0 a:::{}" },
		{ "[{'id':'a'}]", "1" },
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

static void unclear_entries(void **state)
{
	static const struct text_case cases[] = {
		{ "[{}]", "1" },
		{ "[1,-2.5e3,true,null,'x',[],[[{}]],{'Id':'a'}]", "7 a:::{}" },
		{ "[ 1 , null ]", "2" },
		{ "[{'Id':''},{'Id':null},{'Id':7},{'Id':['a']},{'Id':{'Id':'a'}}]", "5" },
		{ "[{'Id':'a',},{'Id':'b'}]", "1 b:::{}" },
		{ "[{'Id':'a' 'x'},{'Id':'b'}]", "1 b:::{}" },
		{ "[{'Id':'a','x':\\},{'Id':'b'}]", "1 b:::{}" },
		{ "[{'Id':'a','x':'\\q'},{'Id':'b'}]", "1 b:::{}" },
		{ "[{'Id':'a','x':[1 2]},{'Id':'b'}]", "1 b:::{}" },
		{ "[nonsense,{'Id':'b'}]", "1 b:::{}" },
		{ "[{'Id':'a','Labels':[]}]", "1" },
		{ "[{'Id':'a','Labels':'sysinfo.protect'}]", "1" },
		{ "[{'Id':'a','Labels':false}]", "1" },
		{ "[{'Id':'a','Labels':{},'Labels':{'sysinfo.protect':'true'}}]", "1" },
		{ "[{'Id':'a','State':7}]", "1" },
		{ "[{'Id':'a','Image':[]}]", "1" },
		{ "[{'Id':'a','Names':'/n'}]", "1" },
		{ "[{'Id':'a','Names':['/n',7]}]", "1" },
		{ "[{'Id':'a','Ports':{'IP':''}}]", "1" },
		{ "[{'Id':'a','Ports':[7]}]", "1" },
		{ "[{'Id':'a','Ports':[{'PublicPort':'8000'}]}]", "1" },
		{ "[{'Id':'a','Ports':[{'IP':7}]}]", "1" },
		{ "[{'Id':'a','Ports':[{'Type':7}]}]", "1" },
		/* A NUL would end cJSON's strings: here this would be the log server's label. */
		{ "[{'Id':'a','Labels':{'sysinfo.role':'logserver\\u0000'}}]", "1" },
		{ "[{'Id':'a','Labels':{'k':'\\\\u0000'}}]", "0 a:::{k=\\u0000;}" },
		{ "[{'Id':'a','Labels':{'k':'\\\\\\u0000'}}]", "1" },
	};
	char text[MODEL_ID_SIZE + 32], with_nul[] = "[{'Id':'a','x':'?'},{'Id':'b'}]";

	(void)state;
	check_cases(cases, COUNT(cases));
	snprintf(text, sizeof(text), "[{'Id':'%0*d'}]", MODEL_ID_SIZE, 0);
	check_each_way(text, strlen(text), "1");
	*strchr(with_nul, '?') = '\0';
	check_each_way(with_nul, sizeof(with_nul) - 1, "1 b:::{}");
}

/* Which of them is right is not known, so that none is. */
static void same_id_twice(void **state)
{
	static const struct text_case cases[] = {
		{ "[{'Id':'a'},{'Id':'b'},{'Id':'a'}]", "2 b:::{}" },
		{ "[{'Id':'a'},{'Id':'a'},{'Id':'a'},{'Id':'a'}]", "4" },
		{ "[{'Id':'a'},{'Id':'a','Labels':7}]", "2" },
		{ "[{'Id':'a','x':nonsense},{'Id':'a'}]", "2" },
		{ "[{'x':nonsense,'y':{'Id':'b'} , 'Id' : 'a'},{'Id':'a'},{'Id':'b'}]",
		  "2 b:::{}" },
		{ "[{'Id':nonsense,'x':'b'},{'Id':'b'}]", "1 b:::{}" },
		{ "[{'Id':'a','Id':'b'},{'Id':'a'}]", "2" },
		{ "[{'Id':7,'Id':'a'},{'Id':'a'}]", "2" },
		/* With an escape, only a parser knows it. */
		{ "[{'Id':'\\u0061','Labels':7},{'Id':'a'}]", "2" },
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

/* An id that is too long is not another one that it begins with. */
static void overlong_id(void **state)
{
	struct model_container *longest = &containers[COUNT(containers) - 1];
	char text[4 * MODEL_ID_SIZE], expected[2 * MODEL_ID_SIZE], before[MODEL_ID_SIZE];

	(void)state;
	strcpy(before, longest->id);
	snprintf(longest->id, sizeof(longest->id), "%0*d", MODEL_ID_SIZE - 1, 0);
	snprintf(text, sizeof(text), "[{'Id':'%s0','x':nonsense},{'Id':'%s'}]", longest->id,
		 longest->id);
	snprintf(expected, sizeof(expected), "1 %s:::{}", longest->id);
	check_each_way(text, strlen(text), expected);
	snprintf(text, sizeof(text), "[{'Id':'%s','x':nonsense},{'Id':'%s'}]", longest->id,
		 longest->id);
	check_each_way(text, strlen(text), "2");
	strcpy(longest->id, before);
}

static void no_lists(void **state)
{
	static const char *const texts[] = {
		"", " ", "[", "[{'Id':'a'}", "[{'Id':'a'},", "[{'Id':'a'},]", "[,]",
		"[,{'Id':'a'}]", "[{'Id':'a'},,{'Id':'b'}]", "[{'Id':'a'}{'Id':'b'}]",
		"[{'Id':'a'} {'Id':'b'}]", "[{'Id':'a'}'x']", "['x'{}]", "[1{}]", "[1 2]",
		"[1'x']", "[1}]", "[:1]", "[}]", "{'message':'no'}", "{}", "null", "'[]'", "7",
		"[]]", "[][]", "[]x", "[]\x01", "[{'Id':'a'}]{", "[{'Id':'a']}", "[{]", "[[}]",
		"[[{'Id':'a'})]", "[{'Id':'a'}]]", "[{'Id':'a}]", "[{'Id':'a\\'}]", "x[]",
		"\xef\xbb\xbf[]", "[{'Id':'a'}\x01]", "[{\x02'Id':'a'}]", "[\x1f]", "[1", "['",
	};
	static const char nul_outside[] = "[{'Id':'a'}\0]", nul_after[] = "[{'Id':'a'}]\0";
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(texts); i++)
		check_each_way(texts[i], strlen(texts[i]), "EBADMSG");
	check_each_way(nul_outside, sizeof(nul_outside) - 1, "EBADMSG");
	check_each_way(nul_after, sizeof(nul_after) - 1, "EBADMSG");
}

/* The list's own bracket is the first. */
static void nesting(void **state)
{
	static const size_t depths[] = { 2, 63, 64, 65, 200, 2000 };
	char text[8192];
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(depths); i++) {
		size_t len = 0;

		for (j = 0; j < depths[i]; j++)
			len += (size_t)sprintf(text + len, "%s", j % 2 ? "{'':" : "[");
		len += (size_t)sprintf(text + len, "7");
		while (j--)
			text[len++] = j % 2 ? '}' : ']';
		text[len] = '\0';
		check_each_way(text, len, depths[i] <= 64 ? "1" : "EBADMSG");
	}
}

static void protect_label(void **state)
{
	static const struct {
		const char *value;	/* JSON */
		bool protects;
	} cases[] = {
		{ "'true'", true },	{ "'yes'", true },	{ "'1'", true },
		{ "'on'", true },	{ "'t'", true },	{ "'y'", true },
		{ "'TRUE'", true },	{ "' true\\n'", true }, { "'false'", false },
		{ "'no'", false },	{ "'0'", false },	{ "'off'", false },
		{ "'f'", false },	{ "'n'", false },	{ "'False'", false },
		{ "'\\t NO \\r\\n'", false }, { "''", true }, { "' '", true },
		{ "'fals'", true },	{ "'falsey'", true },	{ "'00'", true },
		{ "'no thanks'", true }, { "'2'", true },	{ "'nein'", true },
		{ "true", true },	{ "false", true },	{ "0", true },
		{ "null", true },	{ "{}", true },		{ "['no']", true },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		static struct dump d;

		snprintf(text, sizeof(text), "[{'Id':'a','Labels':{'sysinfo.protect':%s}}]",
			 cases[i].value);
		read_list(text, strlen(text), WHOLE, &d);
		if (strncmp(d.text, cases[i].protects ? "0 a:p::{" : "0 a:::{", 7))
			fail_msg("%s: %s", text, d.text);
	}
}

static void labels(void **state)
{
	static const struct text_case cases[] = {
		{ "[{'Id':'a','Labels':{'x':7,'k':'v'}}]", "0 a:L::{k=v;}" },
		{ "[{'Id':'a','Labels':{'sysinfo.role':[]}}]", "0 a:L::{}" },
		{ "[{'Id':'a','Labels':{'Sysinfo.Protect':'true'}}]",
		  "0 a:::{Sysinfo.Protect=true;}" },
		{ "[{'Id':'a','Labels':{'sysinfo.protect':'no','sysinfo.protect':'yes'}}]",
		  "0 a:p::{sysinfo.protect=no;sysinfo.protect=yes;}" },
		{ "[{'Id':'a','Labels':{'x':null,'sysinfo.protect':7}}]", "0 a:pL::{}" },
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

#define PORT(ip, port) \
	"'Ports':[{'PrivatePort':1},{'IP':'" ip "','PublicPort':" port ",'Type':'tcp'}]"
#define ROLE "'Labels':{'sysinfo.role':'logserver'}"

static void log_server(void **state)
{
	static const struct text_case cases[] = {
		{ "[{'Id':'a'," ROLE "},{'Id':'b'," ROLE "},{'Id':'c'}]",
		  "0 a:l::{sysinfo.role=logserver;} b:l::{sysinfo.role=logserver;} c:::{}" },
		{ "[{'Id':'a'," ROLE "},{'Id':'b'," PORT("127.0.0.1", "8000") "}]",
		  "0 a:::{sysinfo.role=logserver;} b:l::{}" },
		/* One that the snapshot does not have is the holder, too. */
		{ "[{'Id':'x'," PORT("", "8000") "},{'Id':'a'," ROLE "}]",
		  "0 a:::{sysinfo.role=logserver;}" },
		{ "[{'Id':'a'," ROLE "," PORT("10.0.0.1", "8000") "}]",
		  "0 a:l::{sysinfo.role=logserver;}" },
		{ "[{'Id':'a'," PORT("0.0.0.0", "8001") "}]", "0 a:::{}" },
		{ "[{'Id':'a','Ports':[{'IP':'::','PublicPort':8000}]}]", "0 a:l::{}" },
		{ "[{'Id':'a','Ports':[{'IP':'::','PublicPort':8000,'Type':'udp'}]}]",
		  "0 a:::{}" },
		/* What is unclear has no port, and so the label still protects. */
		{ "[{'Id':'b'," PORT("", "8000") "},{'Id':'b'},{'Id':'a'," ROLE "}]",
		  "2 a:l::{sysinfo.role=logserver;}" },
		{ "[{'Id':'b','State':7," PORT("", "8000") "},{'Id':'a'," ROLE "}]",
		  "1 a:l::{sysinfo.role=logserver;}" },
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

/* --- long ones --------------------------------------------------------------------- */

/* An entry of @len bytes, in a list with others; the long part is a label. */
static char *long_list(const char *id, size_t len, size_t *ret)
{
	const char *before = "[{'Id':'b'},", *after = ",{'Id':'c'}]";
	char *text = malloc(len + 64), *at = text;

	assert_non_null(text);
	at = stpcpy(at, before);
	at += sprintf(at, "{'Id':'%s','Labels':{'k':'", id);
	while (at < text + strlen(before) + len - 3)
		*at++ = 'x';
	at = stpcpy(stpcpy(at, "'}}"), after);
	*ret = (size_t)(at - text);
	return text;
}

static void long_entries(void **state)
{
	static struct dump d;
	size_t len;
	char *text;

	(void)state;
	text = long_list("a", RUNTIME_ENTRY_MAX, &len);
	check_each_way(text, len, "0 a:L::{} b:::{} c:::{}");
	free(text);
	text = long_list("a", RUNTIME_ENTRY_MAX + 1, &len);
	check_each_way(text, len, "1 b:::{} c:::{}");
	free(text);
	/* Its id is known although it is skipped. */
	text = long_list("c", RUNTIME_ENTRY_MAX + 1, &len);
	check_each_way(text, len, "2 b:::{}");
	text[len - 1] = ' ';
	read_list(text, len, WHOLE, &d);
	assert_string_equal(d.text, "EBADMSG");
	free(text);
}

/* The id is found at the end of a long entry, too, and neither in values nor in what is nested. */
static void late_id(void **state)
{
	char *text = malloc(RUNTIME_ENTRY_MAX + 256), *at = text;

	(void)state;
	assert_non_null(text);
	at = stpcpy(at, "[{'x':{'Id':'b'},'y':'Id','z':'");
	memset(at, 'x', RUNTIME_ENTRY_MAX);
	at = stpcpy(at + RUNTIME_ENTRY_MAX, "','Id':'c'},{'Id':'b'},{'Id':'c'}]");
	check_each_way(text, (size_t)(at - text), "2 b:::{}");
	free(text);
}

static void labels_limit(void **state)
{
	static const size_t lens[] = { MODEL_LABELS_MAX, MODEL_LABELS_MAX + 1 };
	static struct dump d;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lens); i++) {
		char text[MODEL_LABELS_MAX + 256];
		/* "k=", the value and its NUL */
		int len = sprintf(text, "[{'Id':'a','Labels':{'k':'%0*d'}}]", (int)lens[i] - 3, 0);

		read_list(text, (size_t)len, WHOLE, &d);
		if (i)
			assert_string_equal(d.text, "0 a:L::{}");
		else
			assert_int_equal(d.len, strlen("0 a:::{;}") + MODEL_LABELS_MAX - 1);
	}
}

static void long_names(void **state)
{
	static struct dump d;
	char text[1024];
	int len, more;

	(void)state;
	for (more = 0; more < 2; more++) {
		len = sprintf(text, "[{'Id':'a','Names':['/%0*d'],'Image':'%0*d'}]",
			      MODEL_NAME_SIZE - 1 + more, 0, MODEL_IMAGE_SIZE - 1 + more, 0);
		read_list(text, (size_t)len, WHOLE, &d);
		assert_int_equal(strncmp(d.text, more ? "0 a:NI:0" : "0 a::0", more ? 8 : 6), 0);
		assert_int_equal(d.len, strlen("0 a::") + (more ? 2 : 0) + MODEL_NAME_SIZE - 1 +
						strlen(":") + MODEL_IMAGE_SIZE - 1 + strlen("{}"));
	}
}

static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static long peak_rss_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* A label of 33 MiB costs no more than the bytes of the longest entry that is read. */
static void memory_of_a_huge_label(void **state)
{
	static char piece[16 * 1024];
	const char *begin = "[{\"Id\":\"a\",\"Labels\":{\"k\":\"", *end = "\"}},{\"Id\":\"b\"}]";
	size_t before, peak = 0, i;
	struct runtime_list *l;
	long rss;

	(void)state;
	/* A sanitizer's malloc() has its own statistics. */
	if (SANITIZED)
		return;
	memset(piece, 'x', sizeof(piece));
	before = heap();
	rss = peak_rss_kib();
	assert_int_equal(runtime_list_new(&here, &l), 0);
	assert_int_equal(runtime_list_feed(l, begin, strlen(begin)), 0);
	for (i = 0; i < (33u << 20) / sizeof(piece); i++) {
		assert_int_equal(runtime_list_feed(l, piece, sizeof(piece)), 0);
		if (heap() - before > peak)
			peak = heap() - before;
	}
	assert_int_equal(runtime_list_feed(l, end, strlen(end)), 0);
	assert_int_equal(runtime_list_end(l), 0);
	assert_int_equal(runtime_list_unclear(l), 1);
	assert_in_range(peak, RUNTIME_ENTRY_MAX, RUNTIME_ENTRY_MAX + 32 * 1024);
	/* The buffer may be copied once, when it grows to its last size. */
	assert_in_range(peak_rss_kib() - rss, 0, 2048);
	/* Only the two records are left. */
	assert_in_range(heap() - before, 1, 8 * 1024);
	runtime_list_free(l);
}

#define MANY 10000

static void many_entries(void **state)
{
	struct model m = { .container_count = MANY };
	struct runtime_list *l;
	size_t before, i;
	char text[512];

	(void)state;
	m.containers = calloc(MANY, sizeof(*m.containers));
	assert_non_null(m.containers);
	before = heap();
	assert_int_equal(runtime_list_new(&here, &l), 0);
	for (i = 0; i < MANY; i++) {
		/* 7919 is prime: every number below 10 000 comes once, but in no order. */
		size_t n = i * 7919 % MANY;
		int len = sprintf(text,
				  "%c{\"Id\":\"%064zu\",\"Names\":[\"/n%zu\"],\"Labels\":"
				  "{\"com.docker.compose.project\":\"p%zu\"}}",
				  i ? ',' : '[', n, n, n);

		sprintf(m.containers[i].id, "%064zu", i);
		assert_int_equal(runtime_list_feed(l, text, (size_t)len), 0);
	}
	assert_int_equal(runtime_list_feed(l, "]", 1), 0);
	assert_int_equal(runtime_list_end(l), 0);
	if (!SANITIZED)
		assert_in_range(heap() - before, MANY * sizeof(struct model_runtime), MANY * 800);
	assert_int_equal(runtime_list_apply(l, &m), 0);
	for (i = 0; i < MANY; i++) {
		sprintf(text, "n%zu", i);
		assert_string_equal(m.containers[i].runtime.name, text);
		free(m.containers[i].runtime.labels);
	}
	runtime_list_free(l);
	free(m.containers);
}

static void too_long_a_list(void **state)
{
	char *spaces = malloc(1u << 20);
	struct runtime_list *l;
	size_t i;

	(void)state;
	assert_non_null(spaces);
	memset(spaces, ' ', 1u << 20);
	assert_int_equal(runtime_list_new(&here, &l), 0);
	assert_int_equal(runtime_list_feed(l, "[]", 2), 0);
	for (i = 1; i < RUNTIME_LIST_MAX >> 20; i++)
		assert_int_equal(runtime_list_feed(l, spaces, 1u << 20), 0);
	assert_int_equal(runtime_list_feed(l, spaces, (1u << 20) - 2), 0);
	assert_int_equal(runtime_list_feed(l, spaces, 1), -EFBIG);
	assert_int_equal(runtime_list_end(l), -EFBIG);
	assert_int_equal(runtime_list_apply(l, &host), -EBADMSG);
	runtime_list_free(l);
	free(spaces);
}

/* --- failures ------------------------------------------------------------------------ */

/* What a container was known for before is forgotten, if the list is not whole. */
static void not_whole(void **state)
{
	const char *text = "[{\"Id\":\"a\"}";
	struct runtime_list *l;

	(void)state;
	assert_int_equal(runtime_list_new(&here, &l), 0);
	assert_int_equal(runtime_list_feed(l, text, strlen(text)), 0);
	containers[1].runtime.known = true;
	containers[2].runtime.known = true;
	assert_int_equal(runtime_list_apply(l, &host), -EBADMSG);
	assert_false(containers[1].runtime.known);
	containers[2].runtime.known = true;
	assert_int_equal(runtime_list_feed(l, "]", 1), 0);
	assert_int_equal(runtime_list_end(l), 0);
	assert_int_equal(runtime_list_end(l), 0);
	assert_int_equal(runtime_list_apply(l, &host), 0);
	assert_true(containers[1].runtime.known);
	assert_false(containers[2].runtime.known);
	runtime_list_free(l);
	runtime_list_free(NULL);
	clear_host();
}

static int read_with_failure(const char *text)
{
	struct runtime_list *l = NULL;
	int err = runtime_list_new(&here, &l);

	if (!err)
		err = runtime_list_feed(l, text, strlen(text));
	if (!err)
		err = runtime_list_end(l);
	if (!err)
		err = runtime_list_apply(l, &host);
	runtime_list_free(l);
	return err;
}

/* Each allocation fails in turn: nobody is known, and nothing leaks (under a sanitizer). */
static void no_memory(void **state)
{
	const char *text = "[{\"Id\":\"a\",\"Labels\":{\"k\":\"v\"}},{\"Id\":\"b\",\"x\":nonsense},"
			   "{\"Id\":\"c\",\"Labels\":{\"k\":\"v\"}}]";
	size_t failures = 0, i;
	bool used;

	(void)state;
	do {
		int err;

		left = (long)failures;
		err = read_with_failure(text);
		used = left < 0;
		left = -1;
		assert_int_equal(err, used ? -ENOMEM : 0);
		for (i = 0; i < COUNT(containers); i++)
			assert_int_equal(containers[i].runtime.known, !used && (i == 1 || i == 3));
		failures++;
	} while (used);
	/* The reader, the buffer, its entries; ids, records, labels, and those of the model. */
	assert_true(failures > 12);
	clear_host();
}

/* --- random lists, against a parse of the whole --------------------------------------- */

static const char *const ids[] = { HEX64, "a", "b", "c", "d", "e", "f", "g", "" };
static const char *const texts[] = {
	"running", "paused", "", "/n", "/n/m", "n\"\\]}", "\xc3\xa4\n\t", "sha256:1", "true", "no",
	"logserver", "tcp", "udp", "127.0.0.1", "0.0.0.0", "10.1.1.1",
};
static const char *const keys[] = { "sysinfo.protect", "sysinfo.role", "k", "", "Id", "]" };

/* Mostly text; now and then something else. */
static cJSON *random_value(void)
{
	switch (pick(30)) {
	case 0:
		return cJSON_CreateNull();
	case 1:
		return cJSON_CreateNumber(pick(9));
	case 2:
		return cJSON_CreateArray();
	case 3:
		return cJSON_CreateBool(pick(2));
	}
	return cJSON_CreateString(texts[pick(COUNT(texts))]);
}

static void add_labels(cJSON *entry)
{
	cJSON *all = pick(20) ? cJSON_AddObjectToObject(entry, "Labels") :
				cJSON_AddNullToObject(entry, "Labels");
	unsigned int n = pick(4);

	while (cJSON_IsObject(all) && n--)
		cJSON_AddItemToObject(all, keys[pick(COUNT(keys))], random_value());
}

static void add_ports(cJSON *entry)
{
	cJSON *all = cJSON_AddArrayToObject(entry, "Ports"), *port;
	unsigned int n = pick(3);

	while (n--) {
		port = cJSON_CreateObject();
		cJSON_AddItemToArray(all, port);
		if (pick(4))
			cJSON_AddStringToObject(port, "IP", texts[13 + pick(3)]);
		if (pick(4))
			cJSON_AddNumberToObject(port, "PublicPort", 7999 + pick(3));
		if (pick(4))
			cJSON_AddStringToObject(port, "Type", texts[11 + pick(2)]);
		if (!pick(40))
			cJSON_AddItemToObject(port, "Type", random_value());
	}
}

static cJSON *random_entry(void)
{
	cJSON *entry, *names;
	unsigned int n;

	if (!pick(25))
		return random_value();
	entry = cJSON_CreateObject();
	if (pick(2))
		cJSON_AddItemToObject(entry, "State", random_value());
	cJSON_AddStringToObject(entry, "Id", ids[pick(COUNT(ids))]);
	if (!pick(30))
		cJSON_AddItemToObject(entry, keys[4 + pick(2)], random_value());
	if (pick(2)) {
		names = cJSON_AddArrayToObject(entry, "Names");
		for (n = pick(3); n; n--)
			cJSON_AddItemToArray(names, random_value());
	}
	if (pick(2))
		cJSON_AddItemToObject(entry, "Image", random_value());
	if (pick(2))
		add_labels(entry);
	if (pick(2))
		add_ports(entry);
	return entry;
}

/* The key's value; @wrong becomes true if it is there twice, or neither null nor of the type. */
static const cJSON *oracle_get(const cJSON *o, const char *key,
			       cJSON_bool (*is)(const cJSON *const), bool *wrong)
{
	const cJSON *item, *first = NULL;

	for (item = o ? o->child : NULL; item; item = item->next)
		if (!strcmp(item->string, key)) {
			*wrong |= first || !(is(item) || cJSON_IsNull(item));
			first = first ? first : item;
		}
	return first && is(first) ? first : NULL;
}

struct oracle {
	const char *id;
	bool unclear, publishes, labelled;
	struct model_runtime r;
	char labels[4096];
};

static void oracle_labels(const cJSON *all, struct oracle *o)
{
	const cJSON *label;

	o->r.labels = o->labels;
	for (label = all ? all->child : NULL; label; label = label->next) {
		bool is_protect = !strcmp(label->string, "sysinfo.protect");
		const char *s = cJSON_GetStringValue(label);

		if (is_protect && !(s && !strcasecmp(s, "no")))
			o->r.is_protected = true;
		if (!s && !is_protect)
			o->r.labels_cut = true;
		if (s)
			o->r.labels_len += (size_t)sprintf(o->labels + o->r.labels_len, "%s=%s",
							   label->string, s) + 1;
		if (s && !strcmp(label->string, "sysinfo.role") && !strcmp(s, "logserver"))
			o->labelled = true;
	}
}

static void oracle_ports(const cJSON *all, struct oracle *o)
{
	const cJSON *port;

	for (port = all ? all->child : NULL; port; port = port->next) {
		const cJSON *ip = oracle_get(port, "IP", cJSON_IsString, &o->unclear);
		const cJSON *number = oracle_get(port, "PublicPort", cJSON_IsNumber, &o->unclear);
		const cJSON *type = oracle_get(port, "Type", cJSON_IsString, &o->unclear);

		if (number && number->valueint == 8000 &&
		    (!ip || strcmp(ip->valuestring, "10.1.1.1")) &&
		    (!type || !*type->valuestring || !strcmp(type->valuestring, "tcp")))
			o->publishes = true;
	}
}

static void oracle_entry(const cJSON *entry, struct oracle *o)
{
	const cJSON *id = oracle_get(entry, "Id", cJSON_IsString, &o->unclear);
	const cJSON *name, *image, *text;
	bool own = false;

	o->id = id && *id->valuestring ? id->valuestring : NULL;
	o->unclear |= !o->id;
	text = oracle_get(entry, "State", cJSON_IsString, &o->unclear);
	o->r.running = text && !strcmp(text->valuestring, "running");
	image = oracle_get(entry, "Image", cJSON_IsString, &o->unclear);
	strcpy(o->r.image, image ? image->valuestring : "");
	o->r.image_unsure = !strcmp(o->r.image, "sha256:1");
	text = oracle_get(entry, "Names", cJSON_IsArray, &o->unclear);
	for (name = text ? text->child : NULL; name; name = name->next) {
		o->unclear |= !cJSON_IsString(name);
		if (own || !cJSON_IsString(name))
			continue;
		strcpy(o->r.name, name->valuestring + (*name->valuestring == '/'));
		own = !strchr(o->r.name, '/');
	}
	oracle_labels(oracle_get(entry, "Labels", cJSON_IsObject, &o->unclear), o);
	oracle_ports(oracle_get(entry, "Ports", cJSON_IsArray, &o->unclear), o);
}

#define ENTRIES_MAX 10

static bool is_twice(const struct oracle *all, size_t count, size_t i)
{
	size_t j;

	for (j = 0; j < count; j++)
		if (j != i && all[i].id && all[j].id && !strcmp(all[i].id, all[j].id))
			return true;
	return false;
}

static void oracle_dump(const cJSON *list, struct dump *d)
{
	static struct oracle all[ENTRIES_MAX];
	bool twice[ENTRIES_MAX], held = false;
	size_t count = 0, unclear = 0, i, j;
	const cJSON *entry;

	memset(all, 0, sizeof(all));
	for (entry = list->child; entry; entry = entry->next)
		oracle_entry(entry, &all[count++]);
	for (i = 0; i < count; i++) {
		twice[i] = all[i].unclear || is_twice(all, count, i);
		unclear += twice[i];
		held |= !twice[i] && all[i].publishes;
	}
	d->len = 0;
	put(d, "%zu", unclear);
	for (j = 0; j < COUNT(containers); j++)
		for (i = 0; i < count; i++) {
			all[i].r.log_server = held ? all[i].publishes : all[i].labelled;
			if (!twice[i] && !strcmp(all[i].id, containers[j].id))
				put_runtime(d, all[i].id, &all[i].r);
		}
}

static void random_lists(void **state)
{
	static struct dump expected;
	size_t round, known = 0, unclear = 0;

	(void)state;
	rng = 20240607;
	for (round = 0; round < 3000; round++) {
		cJSON *list = cJSON_CreateArray(), *parsed;
		unsigned int n = pick(ENTRIES_MAX + 1);
		char *text;

		while (n--)
			cJSON_AddItemToArray(list, random_entry());
		text = pick(2) ? cJSON_Print(list) : cJSON_PrintUnformatted(list);
		parsed = cJSON_Parse(text);
		assert_non_null(parsed);
		oracle_dump(parsed, &expected);
		check_each_way(text, strlen(text), expected.text);
		known += !!strchr(expected.text, ':');
		unclear += expected.text[0] != '0';
		cJSON_Delete(list);
		cJSON_Delete(parsed);
		cJSON_free(text);
	}
	/* The lists are neither all clear nor all unclear. */
	assert_in_range(known, 1000, 2990);
	assert_in_range(unclear, 1000, 2990);
}

/* One byte of a list becomes another one: all ways say the same, and nothing breaks. */
static void broken_lists(void **state)
{
	static const char bytes[] = "[]{},:\"\\ x0\n\x01";
	static const char list[] = "[{\"Id\":\"a\",\"Names\":[\"/n\"],\"Labels\":{\"k\":\"v\"}},\n"
				   "{\"Id\":\"b\",\"State\":\"running\"},7]";
	static struct dump whole;
	char text[sizeof(list)];
	size_t at, i;

	(void)state;
	for (at = 0; at < sizeof(list) - 1; at++)
		for (i = 0; i < sizeof(bytes); i++) {
			memcpy(text, list, sizeof(list));
			text[at] = bytes[i];
			read_list(text, sizeof(list) - 1, WHOLE, &whole);
			check_each_way(text, sizeof(list) - 1, whole.text);
		}
}

int main(void)
{
	/* The first one compares the peak of the process's memory. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_huge_label),
		cmocka_unit_test(entries),
		cmocka_unit_test(unclear_entries),
		cmocka_unit_test(same_id_twice),
		cmocka_unit_test(overlong_id),
		cmocka_unit_test(no_lists),
		cmocka_unit_test(nesting),
		cmocka_unit_test(protect_label),
		cmocka_unit_test(labels),
		cmocka_unit_test(log_server),
		cmocka_unit_test(long_entries),
		cmocka_unit_test(late_id),
		cmocka_unit_test(labels_limit),
		cmocka_unit_test(long_names),
		cmocka_unit_test(many_entries),
		cmocka_unit_test(too_long_a_list),
		cmocka_unit_test(not_whole),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(random_lists),
		cmocka_unit_test(broken_lists),
	};

	return RUN(tests);
}
