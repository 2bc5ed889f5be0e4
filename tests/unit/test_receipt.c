// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/receipt.h"

#include <signal.h>

#define ACT 1000000

/* The three processes that the snapshot had, and an act that went well. */
static struct receipt_process processes[3];

static struct receipt begin(void)
{
	static const struct receipt_process seen[] = {
		{ .pid = 10, .start_us = 100 }, { .pid = 20, .start_us = 200 }, { .pid = 30, .start_us = 300 },
	};

	memcpy(processes, seen, sizeof(seen));
	return (struct receipt){
		.found = RECEIPT_FOUND, .runtime = RECEIPT_LET_GO, .killed = true, .watched = true, .whole = true,
		.act_us = ACT, .empty_us = ACT + 1500, .removed_us = ACT + 230000,
		.processes = processes, .process_count = COUNT(seen),
	};
}

/* Recorded sequences of deaths, and what may be claimed after them. */
static void sequences(void **state)
{
	static const struct {
		const char *what;
		struct receipt_death deaths[6];
		enum receipt_outcome outcome;
		size_t known_dead, by_sigkill, by_signal, by_itself;
		int signal;
	} cases[] = {
		{ "all by SIGKILL, and a child that no snapshot saw",
		  { { 20, 200, ACT + 900, -1, SIGKILL, false }, { 10, 100, ACT + 800, -1, SIGKILL, true },
		    { 30, 300, ACT + 1200, -1, SIGKILL, false }, { 77, 7000, ACT + 1100, -1, SIGKILL, false } },
		  RECEIPT_VERIFIED, 3, 4, 0, 0, SIGKILL },
		{ "one had died before the act",
		  { { 20, 200, ACT - 5, 0, 0, false }, { 10, 100, ACT + 800, -1, SIGKILL, true },
		    { 30, 300, ACT + 1200, -1, SIGKILL, false } },
		  RECEIPT_VERIFIED, 3, 2, 0, 0, SIGKILL },
		{ "one was never seen to die: it was moved elsewhere and lives",
		  { { 10, 100, ACT + 800, -1, SIGKILL, true }, { 30, 300, ACT + 1200, -1, SIGKILL, false } },
		  RECEIPT_UNVERIFIED, 2, 2, 0, 0, SIGKILL },
		{ "another process has the pid by now, and dies: it is not the one that was known",
		  { { 10, 100, ACT + 800, -1, SIGKILL, true }, { 20, 201, ACT + 900, -1, SIGKILL, false },
		    { 30, 300, ACT + 1200, -1, SIGKILL, false } },
		  RECEIPT_UNVERIFIED, 2, 3, 0, 0, SIGKILL },
		{ "told twice of the same, as after a restart",
		  { { 10, 100, ACT + 800, -1, SIGKILL, true }, { 10, 100, ACT + 800, -1, SIGKILL, true },
		    { 20, 200, ACT + 900, -1, SIGKILL, false }, { 30, 300, ACT + 950, -1, SIGKILL, false } },
		  RECEIPT_VERIFIED, 3, 4, 0, 0, SIGKILL },
		{ "they ended by themselves in the moment of the act",
		  { { 10, 100, ACT + 10, 3, 0, true }, { 20, 200, ACT + 11, 0, 0, false },
		    { 30, 300, ACT + 12, 0, 0, false } },
		  RECEIPT_GONE, 3, 0, 0, 3, 0 },
		{ "somebody else's SIGTERM was faster, and the rest went by ours",
		  { { 10, 100, ACT + 10, -1, SIGTERM, true }, { 20, 200, ACT + 90, -1, SIGKILL, false },
		    { 30, 300, ACT + 91, -1, SIGKILL, false } },
		  RECEIPT_VERIFIED, 3, 2, 1, 0, SIGTERM },
		{ "nothing was seen", { { 0 } }, RECEIPT_UNVERIFIED, 0, 0, 0, 0, 0 },
	};
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct receipt r = begin();

		for (n = 0; cases[i].deaths[n].pid; n++)
			receipt_note(&r, &cases[i].deaths[n]);
		receipt_conclude(&r);
		if (r.outcome != cases[i].outcome || r.known_dead != cases[i].known_dead ||
		    r.by_sigkill != cases[i].by_sigkill || r.by_signal != cases[i].by_signal ||
		    r.by_itself != cases[i].by_itself || r.signal != cases[i].signal)
			fail_msg("%s: %s, %zu known, %zu+%zu+%zu, signal %d", cases[i].what,
				 receipt_outcome_name(r.outcome), r.known_dead, r.by_sigkill, r.by_signal,
				 r.by_itself, r.signal);
	}
}

/* What the act saw decides where there is no witness, and bounds what there is to claim. */
static void facts(void **state)
{
	static const struct {
		struct receipt receipt;
		enum receipt_outcome outcome;
	} cases[] = {
		{ { .found = RECEIPT_ABSENT }, RECEIPT_GONE },
		{ { .found = RECEIPT_REPLACED }, RECEIPT_GONE },
		{ { .found = RECEIPT_EMPTY }, RECEIPT_GONE },
		{ { .found = RECEIPT_UNREADABLE }, RECEIPT_SURVIVED },
		{ { .act_us = 1, .killed = true, .empty_us = 2, .runtime = RECEIPT_LET_GO }, RECEIPT_VERIFIED },
		{ { .act_us = 1, .killed = true, .empty_us = 2, .runtime = RECEIPT_REFUSED }, RECEIPT_UNVERIFIED },
		{ { .act_us = 1, .killed = true, .empty_us = 2, .runtime = RECEIPT_SILENT }, RECEIPT_UNVERIFIED },
		/* A plain user's: the runtime did it. */
		{ { .act_us = 1, .empty_us = 2, .runtime = RECEIPT_LET_GO }, RECEIPT_VERIFIED },
		/* D state, or a runtime that lies. */
		{ { .act_us = 1, .killed = true, .runtime = RECEIPT_SILENT }, RECEIPT_DYING },
		{ { .act_us = 1, .killed = true, .runtime = RECEIPT_REFUSED }, RECEIPT_DYING },
		{ { .act_us = 1, .runtime = RECEIPT_LET_GO }, RECEIPT_DYING },
		{ { .act_us = 1, .runtime = RECEIPT_SILENT }, RECEIPT_DYING },
		{ { .act_us = 1, .stopped = true, .runtime = RECEIPT_REFUSED }, RECEIPT_DYING },
		{ { .act_us = 1, .runtime = RECEIPT_REFUSED }, RECEIPT_SURVIVED },
		/* An act that was not seen is claimed to be verified by nothing. */
		{ { .empty_us = 2, .runtime = RECEIPT_LET_GO }, RECEIPT_UNVERIFIED },
		/* Without a witness nobody can say that they ended by themselves. */
		{ { .act_us = 1, .killed = true, .empty_us = 2, .runtime = RECEIPT_LET_GO, .by_itself = 1 },
		  RECEIPT_VERIFIED },
		/* What the witness may have missed it has not seen. */
		{ { .act_us = 1, .killed = true, .empty_us = 2, .runtime = RECEIPT_LET_GO, .watched = true,
		    .process_count = 3, .known_dead = 2 }, RECEIPT_UNVERIFIED },
		{ { .act_us = 1, .killed = true, .empty_us = 2, .runtime = RECEIPT_LET_GO, .watched = true,
		    .process_count = 3, .known_dead = 3 }, RECEIPT_VERIFIED },
		{ { .found = RECEIPT_UNTRIED }, RECEIPT_SURVIVED },
		/* After its stop signal to exit is to obey. */
		{ { .act_us = 1, .stopped = true, .watched = true, .whole = true, .by_itself = 1, .empty_us = 2,
		    .runtime = RECEIPT_LET_GO }, RECEIPT_VERIFIED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct receipt r = cases[i].receipt;

		receipt_conclude(&r);
		if (r.outcome != cases[i].outcome)
			fail_msg("case %zu: %s", i, receipt_outcome_name(r.outcome));
		assert_int_equal(receipt_is_kill(&r),
				 r.outcome == RECEIPT_VERIFIED || r.outcome == RECEIPT_UNVERIFIED);
	}
}

static void evidence(void **state)
{
	static const struct receipt_death death = { 10, 100, ACT + 800, -1, SIGKILL, true };
	char buf[RECEIPT_EVIDENCE_SIZE], tiny[20];
	struct receipt r = begin();

	(void)state;
	r.has_memory = true;
	r.memory_before = 5 << 20;
	r.memory_after = 1 << 20;
	receipt_note(&r, &death);
	receipt_conclude(&r);
	receipt_evidence(&r, buf, sizeof(buf));
	assert_string_equal(buf, "cgroup.kill; 1 of 3 processes seen to die; "
			    "1 deaths since: 1 by SIGKILL, 0 by another signal, 0 by exit, the last after 0.8 ms; "
			    "populated 0 after 1.5 ms; let go by the runtime after 230 ms; 4.0 MiB given back");
	assert_true(receipt_latency_ms(&r) == 1.5);
	receipt_evidence(&r, tiny, sizeof(tiny));
	assert_string_equal(tiny, "cgroup.kill; 1 of 3");

	r = (struct receipt){ .found = RECEIPT_FOUND, .act_us = ACT, .frozen = true, .stopped = true,
			      .reason = "the runtime: 500 busy" };
	receipt_evidence(&r, buf, sizeof(buf));
	assert_string_equal(buf, "frozen; stop signal sent, no cgroup.kill; no witness; not seen empty; "
			    "the runtime: 500 busy");
	assert_true(receipt_latency_ms(&r) < 0);
	r = (struct receipt){ .found = RECEIPT_REPLACED };
	receipt_evidence(&r, buf, sizeof(buf));
	assert_string_equal(buf, "another cgroup has its name now");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequences),
		cmocka_unit_test(facts),
		cmocka_unit_test(evidence),
	};

	return RUN(tests);
}
