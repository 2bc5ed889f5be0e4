// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/unit.h"
#include "userspace/core/receipt.h"

#include <signal.h>

#define ACT 1000000
#define OWN 4000	/* the monitor's pid */
#define SHIM 5000	/* another's */

/* The three processes that the snapshot had, and one that was born since. */
#define INIT 10
#define SECOND 20
#define THIRD 30
#define CHILD 77

static struct receipt_process processes[3];

static const struct receipt_process snapshot[] = {
	{ .pid = INIT, .start_us = 100 }, { .pid = SECOND, .start_us = 200 }, { .pid = THIRD, .start_us = 300 },
};

/* How one of them ended; each some µs after the act. */
#define DEATH_AT(pid_, at_us, ...) \
	{ .pid = (pid_), .start_us = (pid_) * 10, .exit_us = (at_us), .init = (pid_) == INIT, __VA_ARGS__ }
#define DEATH(pid_, ...) DEATH_AT(pid_, ACT + (pid_), __VA_ARGS__)
#define BY_KILL(pid_, sender) DEATH(pid_, .exit_code = -1, .signal = SIGKILL, .sender_pid = (sender))
#define BY_TERM(pid_) DEATH(pid_, .exit_code = -1, .signal = SIGTERM, .sender_pid = SHIM)
#define BY_EXIT(pid_) DEATH(pid_, .exit_code = 0)

/* Facts that a receipt is put together from: each table says what it adds to them. */
#define FOUND .found = RECEIPT_FOUND
#define TOLD FOUND, .act_us = ACT
#define DEAD TOLD, .empty_us = ACT + 1500
#define REMOVED .runtime = RECEIPT_REMOVED, .removed_us = ACT + 230000
#define KILLED DEAD, REMOVED, .killed = true
#define STOPPED DEAD, REMOVED, .stopped = true
#define FORCED DEAD, REMOVED, .forced = true
#define WITNESS .watched = true, .whole = true, .own_pid = OWN
#define TORN_WITNESS .watched = true, .own_pid = OWN
#define ALL_BY(sender) { BY_KILL(INIT, sender), BY_KILL(SECOND, sender), BY_KILL(THIRD, sender) }
#define ALL_BY_EXIT { BY_EXIT(INIT), BY_EXIT(SECOND), BY_EXIT(THIRD) }

struct story {
	const char *what;
	struct receipt facts;
	struct receipt_death deaths[5];
	enum receipt_outcome outcome;
	const char *seen_by;
};

static const struct story kills[] = {
	{ "all by the monitor's SIGKILL, and removed", { KILLED, WITNESS }, ALL_BY(OWN),
	  RECEIPT_VERIFIED, "witness" },
	{ "a child that no snapshot saw, too", { KILLED, WITNESS },
	  { BY_KILL(SECOND, OWN), BY_KILL(INIT, OWN), BY_KILL(THIRD, OWN), BY_KILL(CHILD, OWN) },
	  RECEIPT_VERIFIED, "witness" },
	{ "one had died before", { KILLED, WITNESS },
	  { DEATH_AT(SECOND, ACT - 1, .exit_code = 0), BY_KILL(INIT, OWN), BY_KILL(THIRD, OWN) },
	  RECEIPT_VERIFIED, "witness" },
	{ "one SIGKILL of the monitor is enough where the others were faster", { KILLED, WITNESS },
	  { BY_TERM(INIT), BY_KILL(SECOND, SHIM), BY_KILL(THIRD, OWN) }, RECEIPT_VERIFIED, "witness" },
	{ "the monitor's SIGKILL of a child that no snapshot saw is one, too", { KILLED, WITNESS },
	  { BY_TERM(INIT), BY_KILL(SECOND, SHIM), BY_EXIT(THIRD), BY_KILL(CHILD, OWN) },
	  RECEIPT_VERIFIED, "witness" },
	{ "asked to stop, then killed", { STOPPED, WITNESS, .killed = true },
	  { BY_TERM(INIT), BY_KILL(SECOND, OWN), BY_KILL(THIRD, OWN) }, RECEIPT_VERIFIED, "witness" },
	{ "asked to stop, then killed, all by the monitor", { STOPPED, WITNESS, .killed = true }, ALL_BY(OWN),
	  RECEIPT_VERIFIED, "witness" },
};

/* Killed, but something of that was not seen. */
static const struct story unverified[] = {
	{ "by the monitor, and the runtime was not asked", { DEAD, WITNESS, .killed = true }, ALL_BY(OWN),
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "and the runtime refused", { DEAD, WITNESS, .killed = true, .runtime = RECEIPT_REFUSED }, ALL_BY(OWN),
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "and the runtime did not answer", { DEAD, WITNESS, .killed = true, .runtime = RECEIPT_NO_ANSWER },
	  ALL_BY(OWN), RECEIPT_UNVERIFIED, "cgroup" },
	{ "one was never seen to die: it was moved elsewhere and lives", { KILLED, WITNESS },
	  { BY_KILL(INIT, OWN), BY_KILL(THIRD, OWN) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "another process has the pid by now, and dies", { KILLED, WITNESS },
	  { BY_KILL(INIT, OWN), BY_KILL(THIRD, OWN),
	    { .pid = SECOND, .start_us = 201, .exit_us = ACT, .signal = SIGKILL, .sender_pid = OWN } },
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "the same start, another pid", { KILLED, WITNESS },
	  { BY_KILL(INIT, OWN), BY_KILL(THIRD, OWN),
	    { .pid = SECOND + 1, .start_us = 200, .exit_us = ACT, .signal = SIGKILL, .sender_pid = OWN } },
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "the same death told twice is not two", { KILLED, WITNESS },
	  { BY_KILL(INIT, OWN), BY_KILL(SECOND, OWN), BY_KILL(SECOND, OWN) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "nobody knows who sent the SIGKILL", { KILLED, WITNESS }, ALL_BY(0), RECEIPT_UNVERIFIED, "cgroup" },
	{ "one SIGKILL is nobody's, the others are another's", { KILLED, WITNESS },
	  { BY_KILL(INIT, 0), BY_KILL(SECOND, SHIM), BY_KILL(THIRD, SHIM) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "no death was told: the container was not watched", { KILLED, WITNESS }, { { 0 } },
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "the witness lost something", { KILLED, TORN_WITNESS }, ALL_BY(OWN), RECEIPT_UNVERIFIED, "cgroup" },
	{ "the witness lost something, maybe our SIGKILL", { KILLED, TORN_WITNESS }, ALL_BY(SHIM),
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "exits only, but the witness lost something", { KILLED, TORN_WITNESS }, ALL_BY_EXIT,
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "no witness", { KILLED, .own_pid = OWN }, { { 0 } }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "no witness, whatever else is said", { KILLED, .whole = true, .own_pid = OWN }, ALL_BY(OWN),
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "no witness says that it ended by itself", { KILLED, .whole = true }, ALL_BY_EXIT,
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "nobody knows the monitor's pid, and one was moved", { KILLED, .watched = true, .whole = true },
	  { BY_KILL(INIT, SHIM), BY_KILL(THIRD, SHIM) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "nobody knows the monitor's pid, so each SIGKILL may be another's",
	  { KILLED, .watched = true, .whole = true }, ALL_BY(SHIM), RECEIPT_UNVERIFIED, "cgroup" },
	{ "nobody knows the monitor's pid, and by it are all", { KILLED, .watched = true, .whole = true },
	  ALL_BY(OWN), RECEIPT_UNVERIFIED, "cgroup" },
	{ "nobody knows the monitor's pid nor the sender", { KILLED, .watched = true, .whole = true },
	  ALL_BY(0), RECEIPT_UNVERIFIED, "cgroup" },
	{ "the monitor's SIGKILL is from before the act", { KILLED, WITNESS },
	  { DEATH_AT(INIT, ACT - 1, .exit_code = -1, .signal = SIGKILL, .sender_pid = OWN),
	    BY_KILL(SECOND, SHIM), BY_KILL(THIRD, 0) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, it exits: who can say of what", { STOPPED, WITNESS }, ALL_BY_EXIT,
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, it dies of the signal", { STOPPED, WITNESS },
	  { BY_TERM(INIT), BY_EXIT(SECOND), BY_EXIT(THIRD) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, its end takes the others along", { STOPPED, WITNESS },
	  { BY_EXIT(INIT), BY_KILL(SECOND, INIT), BY_KILL(THIRD, INIT) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "its stop signal was sent, then it was called off, and it ended of it",
	  { STOPPED, WITNESS, .withheld = RECEIPT_CALLED_OFF }, ALL_BY_EXIT, RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, then killed, and ended before that", { STOPPED, WITNESS, .killed = true }, ALL_BY_EXIT,
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, then killed, and not removed", { DEAD, WITNESS, .stopped = true, .killed = true },
	  ALL_BY(OWN), RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, then killed, one was moved", { STOPPED, WITNESS, .killed = true },
	  { BY_TERM(INIT), BY_KILL(SECOND, OWN) }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, then killed, the witness lost something", { STOPPED, TORN_WITNESS, .killed = true },
	  ALL_BY(OWN), RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, no witness", { STOPPED }, { { 0 } }, RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, and not removed", { DEAD, WITNESS, .stopped = true }, ALL_BY_EXIT,
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, one was moved", { STOPPED, WITNESS }, { BY_EXIT(INIT), BY_EXIT(SECOND) },
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "asked to stop, then killed by another", { STOPPED, WITNESS, .killed = true }, ALL_BY(SHIM),
	  RECEIPT_UNVERIFIED, "cgroup" },
	{ "by the runtime", { FORCED, WITNESS }, ALL_BY(SHIM), RECEIPT_UNVERIFIED, "runtime" },
	{ "by the runtime, by its signal and exit", { FORCED, WITNESS }, ALL_BY_EXIT, RECEIPT_UNVERIFIED, "runtime" },
	{ "by the runtime, whatever seems to be the monitor's", { FORCED, WITNESS }, ALL_BY(OWN),
	  RECEIPT_UNVERIFIED, "runtime" },
	{ "by the runtime, no witness", { FORCED }, { { 0 } }, RECEIPT_UNVERIFIED, "runtime" },
	{ "asked to stop, then by the runtime", { FORCED, WITNESS, .stopped = true }, ALL_BY(SHIM),
	  RECEIPT_UNVERIFIED, "runtime" },
	{ "cgroup.kill, and then the runtime for what was left", { FORCED, WITNESS, .killed = true }, ALL_BY(OWN),
	  RECEIPT_UNVERIFIED, "cgroup" },
};

/* Nobody killed it, or the monitor did not. */
static const struct story gone[] = {
	{ "by another's SIGKILL", { KILLED, WITNESS }, ALL_BY(SHIM), RECEIPT_GONE, "none" },
	{ "by exit", { KILLED, WITNESS }, ALL_BY_EXIT, RECEIPT_GONE, "none" },
	{ "by another signal", { KILLED, WITNESS }, { BY_TERM(INIT), BY_TERM(SECOND), BY_TERM(THIRD) },
	  RECEIPT_GONE, "none" },
	{ "by exit, which takes the others along", { KILLED, WITNESS },
	  { BY_EXIT(INIT), BY_KILL(SECOND, INIT), BY_KILL(THIRD, INIT) }, RECEIPT_GONE, "none" },
	{ "by exit, nobody knows the monitor's pid", { KILLED, .watched = true, .whole = true }, ALL_BY_EXIT,
	  RECEIPT_GONE, "none" },
	{ "by exit, and the runtime was not asked", { DEAD, WITNESS, .killed = true }, ALL_BY_EXIT,
	  RECEIPT_GONE, "none" },
	{ "before it was told", { KILLED, WITNESS },
	  { DEATH_AT(INIT, ACT - 3, .exit_code = 0), DEATH_AT(SECOND, ACT - 2, .signal = SIGKILL),
	    DEATH_AT(THIRD, ACT - 1, .exit_code = 0) }, RECEIPT_GONE, "none" },
	{ "empty, and was never told", { DEAD }, { { 0 } }, RECEIPT_GONE, "none" },
	{ "empty, and was never told, in the witness's sight", { DEAD, WITNESS, REMOVED }, ALL_BY(OWN),
	  RECEIPT_GONE, "none" },
	{ "empty, and was called off", { FOUND, .empty_us = ACT, .withheld = RECEIPT_CALLED_OFF }, { { 0 } },
	  RECEIPT_GONE, "none" },
	{ "no group", { .found = RECEIPT_ABSENT }, { { 0 } }, RECEIPT_GONE, "none" },
	{ "another group", { .found = RECEIPT_REPLACED }, { { 0 } }, RECEIPT_GONE, "none" },
	{ "an empty group", { .found = RECEIPT_EMPTY }, { { 0 } }, RECEIPT_GONE, "none" },
	{ "no group, and the plan had expired", { .found = RECEIPT_ABSENT, .withheld = RECEIPT_EXPIRED },
	  { { 0 } }, RECEIPT_GONE, "none" },
};

static const struct story alive[] = {
	{ "cgroup.kill was written", { TOLD, .killed = true }, { { 0 } }, RECEIPT_DYING, "none" },
	{ "and all were seen to die, but the group is not seen empty", { TOLD, WITNESS, REMOVED, .killed = true },
	  ALL_BY(OWN), RECEIPT_DYING, "none" },
	{ "it is in a system call that has no end", { TOLD, WITNESS, .killed = true, .runtime = RECEIPT_REFUSED },
	  { { 0 } }, RECEIPT_DYING, "none" },
	{ "exits only", { TOLD, WITNESS, .killed = true }, { BY_EXIT(INIT) }, RECEIPT_DYING, "none" },
	{ "its stop signal was sent", { TOLD, .stopped = true }, { { 0 } }, RECEIPT_DYING, "none" },
	{ "the runtime was told", { TOLD, .forced = true, .runtime = RECEIPT_NO_ANSWER }, { { 0 } },
	  RECEIPT_DYING, "none" },
	{ "the runtime lies", { TOLD, REMOVED, .forced = true }, { { 0 } }, RECEIPT_DYING, "none" },

	{ "nothing was done", { FOUND }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "cgroup.kill could not be written", { TOLD, WITNESS, .runtime = RECEIPT_REFUSED }, { { 0 } },
	  RECEIPT_SURVIVED, "none" },
	{ "some of it ended by itself", { TOLD, WITNESS }, { BY_EXIT(SECOND) }, RECEIPT_SURVIVED, "none" },
	{ "called off", { FOUND, .withheld = RECEIPT_CALLED_OFF }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "expired", { FOUND, .withheld = RECEIPT_EXPIRED }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "paused", { FOUND, .withheld = RECEIPT_FROZEN }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "the runtime would start it again", { FOUND, .withheld = RECEIPT_POLICY }, { { 0 } },
	  RECEIPT_SURVIVED, "none" },
	{ "called off, and its stop signal had been sent",
	  { TOLD, .stopped = true, .withheld = RECEIPT_CALLED_OFF }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "paused within its grace", { TOLD, WITNESS, .stopped = true, .withheld = RECEIPT_FROZEN },
	  { BY_TERM(SECOND) }, RECEIPT_SURVIVED, "none" },
	{ "the group can't be read", { .found = RECEIPT_UNREADABLE }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "the group can't be read, so that it seems empty says nothing",
	  { .found = RECEIPT_UNREADABLE, .empty_us = ACT, .act_us = ACT, REMOVED, WITNESS }, { { 0 } },
	  RECEIPT_SURVIVED, "none" },
	{ "nobody looked", { .found = RECEIPT_UNTRIED }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "nobody looked: called off", { .found = RECEIPT_UNTRIED, .withheld = RECEIPT_CALLED_OFF }, { { 0 } },
	  RECEIPT_SURVIVED, "none" },
};

/* The intent of an earlier monitor, which can't be asked. */
static const struct story orphaned[] = {
	{ "it lives", { FOUND, .orphaned = true }, { { 0 } }, RECEIPT_SURVIVED, "none" },
	{ "it lives, and the witness is there again", { FOUND, WITNESS, .orphaned = true }, { BY_EXIT(SECOND) },
	  RECEIPT_SURVIVED, "none" },
	{ "it lives, and was perhaps asked to stop", { FOUND, .orphaned = true, .asked_perhaps = true }, { { 0 } },
	  RECEIPT_SURVIVED, "none" },
	{ "it lives, and the runtime may still kill it", { FOUND, .orphaned = true, .forced = true }, { { 0 } },
	  RECEIPT_UNKNOWN, "none" },
	{ "it lives, was perhaps asked to stop, and the runtime may still kill it",
	  { FOUND, .orphaned = true, .asked_perhaps = true, .forced = true }, { { 0 } }, RECEIPT_UNKNOWN, "none" },
	{ "dead, as after the runtime's kill", { .found = RECEIPT_ABSENT, .orphaned = true, .forced = true }, { { 0 } },
	  RECEIPT_UNKNOWN, "none" },
	{ "dead, and was perhaps asked to stop", { .found = RECEIPT_EMPTY, .orphaned = true, .asked_perhaps = true },
	  { { 0 } }, RECEIPT_UNKNOWN, "none" },
	{ "its group is gone", { .found = RECEIPT_ABSENT, .orphaned = true }, { { 0 } }, RECEIPT_UNKNOWN, "none" },
	{ "another group", { .found = RECEIPT_REPLACED, .orphaned = true }, { { 0 } }, RECEIPT_UNKNOWN, "none" },
	{ "an empty group", { .found = RECEIPT_EMPTY, .orphaned = true }, { { 0 } }, RECEIPT_UNKNOWN, "none" },
	{ "its group can't be read", { .found = RECEIPT_UNREADABLE, .orphaned = true }, { { 0 } },
	  RECEIPT_UNKNOWN, "none" },
	{ "nobody looked", { .found = RECEIPT_UNTRIED, .orphaned = true }, { { 0 } }, RECEIPT_UNKNOWN, "none" },
	{ "empty, as after a kill", { .found = RECEIPT_EMPTY, .orphaned = true, .killed = true, .act_us = ACT,
				      .empty_us = ACT, REMOVED, WITNESS }, ALL_BY(OWN), RECEIPT_UNKNOWN, "none" },
	{ "called off by itself", { FOUND, .orphaned = true, .withheld = RECEIPT_CALLED_OFF }, { { 0 } },
	  RECEIPT_SURVIVED, "none" },
};

static struct receipt begin(const struct receipt *facts)
{
	struct receipt r = *facts;

	memcpy(processes, snapshot, sizeof(snapshot));
	r.processes = processes;
	r.process_count = COUNT(snapshot);
	return r;
}

static void note_all(struct receipt *r, const struct receipt_death *deaths)
{
	for (; deaths->pid; deaths++)
		receipt_note(r, deaths);
}

static void tell(const struct story *stories, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const struct story *s = &stories[i];
		struct receipt r = begin(&s->facts);

		note_all(&r, s->deaths);
		receipt_conclude(&r);
		if (r.outcome != s->outcome || strcmp(receipt_seen_by(&r), s->seen_by))
			fail_msg("%s: %s, seen by %s", s->what, receipt_outcome_name(r.outcome), receipt_seen_by(&r));
	}
}

static void verified_kills(void **state)
{
	(void)state;
	tell(kills, COUNT(kills));
}

static void unverified_kills(void **state)
{
	(void)state;
	tell(unverified, COUNT(unverified));
}

static void own_ends(void **state)
{
	(void)state;
	tell(gone, COUNT(gone));
}

static void the_living(void **state)
{
	(void)state;
	tell(alive, COUNT(alive));
}

static void orphans(void **state)
{
	(void)state;
	tell(orphaned, COUNT(orphaned));
}

/* --- what holds of every combination of facts --------------------------------------- */

/* Takes one of @n off @number. */
static unsigned int digit(unsigned long *number, unsigned int n)
{
	unsigned int value = (unsigned int)(*number % n);

	*number /= n;
	return value;
}

static struct receipt combine(unsigned long number)
{
	struct receipt r = { .process_count = 1, .act_us = ACT };

	r.found = (enum receipt_found)digit(&number, RECEIPT_UNTRIED + 1);
	r.runtime = (enum receipt_runtime)digit(&number, RECEIPT_NO_ANSWER + 1);
	r.withheld = digit(&number, 2) ? RECEIPT_FROZEN : RECEIPT_NOT_WITHHELD;
	r.orphaned = digit(&number, 2);
	r.asked_perhaps = digit(&number, 2);
	r.stopped = digit(&number, 2);
	r.killed = digit(&number, 2);
	r.forced = digit(&number, 2);
	r.empty_us = digit(&number, 2) * ACT;
	r.watched = digit(&number, 2);
	r.whole = digit(&number, 2);
	r.own_pid = digit(&number, 2) * OWN;
	r.known_dead = digit(&number, 2);
	r.by_us = r.own_pid ? digit(&number, 2) : 0;
	r.by_others = r.own_pid ? digit(&number, 2) : 0;
	r.by_sigkill = r.by_us + r.by_others + digit(&number, 2);
	r.by_signal = digit(&number, 2);
	r.by_itself = digit(&number, 2);
	return r;
}

#define COMBINATIONS (6UL * 4 << 16)

static void never(unsigned long number, bool is_so, const char *what)
{
	if (is_so)
		fail_msg("combination %lu: %s", number, what);
}

static void check_kill(unsigned long n, const struct receipt *r)
{
	bool is_verified = r->outcome == RECEIPT_VERIFIED;

	never(n, r->found != RECEIPT_FOUND, "killed, and was not found alive");
	never(n, !r->empty_us, "killed, and is not seen empty");
	never(n, !r->killed && !r->stopped && !r->forced, "killed, and was not told to die");
	never(n, r->orphaned, "killed, and nobody saw the act");
	never(n, is_verified && (!r->watched || !r->whole), "verified by no whole witness");
	never(n, is_verified && r->forced, "verified, and the runtime did it by the id");
	never(n, is_verified && r->runtime != RECEIPT_REMOVED, "verified, and is not removed");
	never(n, is_verified && !r->known_dead, "verified, and was not seen to die");
	never(n, is_verified && !r->by_us, "verified, and not by the monitor");
	never(n, is_verified && !r->own_pid, "verified, and the monitor's pid is not known");
	never(n, is_verified && !r->by_sigkill, "verified, without a SIGKILL");
	/* What is asked of it is all that is: nothing else keeps a kill from being verified. */
	never(n, !is_verified && r->killed && !r->forced && r->runtime == RECEIPT_REMOVED && r->watched && r->whole &&
		 r->known_dead && r->by_us, "not verified, and all was seen");
	never(n, !r->stopped && !r->asked_perhaps && !r->forced && r->watched && r->whole && !r->by_sigkill &&
		 (r->known_dead || r->by_signal || r->by_itself), "killed, and a whole witness saw no SIGKILL");
}

static void check_other(unsigned long n, const struct receipt *r)
{
	bool told = r->killed || r->stopped || r->forced;
	bool may_die_yet = r->found != RECEIPT_FOUND || r->forced;

	never(n, r->orphaned && r->outcome != (may_die_yet ? RECEIPT_UNKNOWN : RECEIPT_SURVIVED),
	      "an orphan, of which more is said than that it was found alive");
	never(n, r->outcome == RECEIPT_DYING && (!told || r->empty_us || r->found != RECEIPT_FOUND),
	      "dying, and was not told or is dead");
	never(n, r->outcome == RECEIPT_GONE && r->found == RECEIPT_FOUND && !r->empty_us,
	      "gone, and is not seen empty");
	never(n, r->outcome == RECEIPT_GONE && r->found == RECEIPT_FOUND && r->by_us && told,
	      "gone, and the monitor's SIGKILL was seen");
	never(n, r->outcome == RECEIPT_GONE && r->found == RECEIPT_UNREADABLE, "gone, and nobody could look");
	never(n, r->outcome == RECEIPT_SURVIVED && r->found == RECEIPT_FOUND && r->empty_us && !r->orphaned,
	      "survived, and is empty");
	never(n, r->outcome == RECEIPT_SURVIVED && r->found == RECEIPT_FOUND && told && !r->withheld &&
		 !r->orphaned, "survived, and was told to die");
	never(n, r->outcome == RECEIPT_UNKNOWN && !r->orphaned && (told || !r->asked_perhaps || !r->empty_us),
	      "unknown, and the monitor was there");
	never(n, r->outcome == RECEIPT_DRY, "a dry run");
}

static void combinations(void **state)
{
	size_t had[RECEIPT_UNKNOWN + 1] = { 0 };
	unsigned long n;

	(void)state;
	for (n = 0; n < COMBINATIONS; n++) {
		struct receipt r = combine(n);
		const char *expected;

		receipt_conclude(&r);
		had[r.outcome]++;
		assert_int_equal(receipt_told(&r), r.killed || r.stopped || r.forced);
		never(n, receipt_is_kill(&r) !=
			 (r.outcome == RECEIPT_VERIFIED || r.outcome == RECEIPT_UNVERIFIED), "no kill");
		if (receipt_is_kill(&r))
			check_kill(n, &r);
		else
			check_other(n, &r);
		expected = r.outcome == RECEIPT_VERIFIED ? "witness" : r.outcome != RECEIPT_UNVERIFIED ? "none" :
			   r.forced && !r.killed ? "runtime" : "cgroup";
		never(n, strcmp(receipt_seen_by(&r), expected), receipt_seen_by(&r));
	}
	for (n = 0; n < COUNT(had); n++)
		assert_true(n == RECEIPT_DRY ? !had[n] : had[n] > 0);
}

/* --- deaths -------------------------------------------------------------------------- */

/* What is counted of a death, in three cases: by whom, when, of whom. */
static void counts(void **state)
{
	static const struct {
		struct receipt facts;
		struct receipt_death death;
		size_t known_dead, by_us, by_others, by_sigkill, by_signal, by_itself;
		int signal;
		uint64_t last_us;
	} cases[] = {
		{ { TOLD, .own_pid = OWN }, BY_KILL(INIT, OWN), 1, 1, 0, 1, 0, 0, SIGKILL, ACT + INIT },
		{ { TOLD, .own_pid = OWN }, BY_KILL(SECOND, SHIM), 1, 0, 1, 1, 0, 0, 0, ACT + SECOND },
		{ { TOLD, .own_pid = OWN }, BY_KILL(SECOND, 0), 1, 0, 0, 1, 0, 0, 0, ACT + SECOND },
		{ { TOLD }, BY_KILL(SECOND, SHIM), 1, 0, 0, 1, 0, 0, 0, ACT + SECOND },
		{ { TOLD }, BY_KILL(SECOND, 0), 1, 0, 0, 1, 0, 0, 0, ACT + SECOND },
		{ { TOLD, .own_pid = OWN }, BY_KILL(CHILD, OWN), 0, 1, 0, 1, 0, 0, 0, ACT + CHILD },
		{ { TOLD, .own_pid = OWN }, BY_TERM(INIT), 1, 0, 0, 0, 1, 0, SIGTERM, ACT + INIT },
		/* Another signal is not a kill, whoever sent it. */
		{ { TOLD, .own_pid = SHIM }, BY_TERM(THIRD), 1, 0, 0, 0, 1, 0, 0, ACT + THIRD },
		{ { TOLD, .own_pid = OWN }, BY_EXIT(INIT), 1, 0, 0, 0, 0, 1, 0, ACT + INIT },
		/* In the very moment is since, before is not. */
		{ { TOLD, .own_pid = OWN },
		  DEATH_AT(THIRD, ACT, .signal = SIGKILL, .sender_pid = OWN), 1, 1, 0, 1, 0, 0, 0, ACT },
		{ { TOLD, .own_pid = OWN },
		  DEATH_AT(INIT, ACT - 1, .signal = SIGKILL, .sender_pid = OWN), 1, 0, 0, 0, 0, 0, 0, 0 },
		/* Nothing is since an act that there was not. */
		{ { FOUND, .own_pid = OWN }, BY_KILL(INIT, OWN), 1, 0, 0, 0, 0, 0, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		struct receipt r = begin(&cases[i].facts);

		receipt_note(&r, &cases[i].death);
		if (r.known_dead != cases[i].known_dead || r.by_us != cases[i].by_us ||
		    r.by_others != cases[i].by_others || r.by_sigkill != cases[i].by_sigkill ||
		    r.by_signal != cases[i].by_signal || r.by_itself != cases[i].by_itself ||
		    r.signal != cases[i].signal || r.last_us != cases[i].last_us)
			fail_msg("case %zu: %zu known, %zu ours, %zu others', %zu+%zu+%zu, signal %d", i, r.known_dead,
				 r.by_us, r.by_others, r.by_sigkill, r.by_signal, r.by_itself, r.signal);
	}
}

static void deaths_in_any_order(void **state)
{
	static const struct receipt facts = { KILLED, WITNESS };
	static const struct receipt_death late = BY_KILL(CHILD, OWN), init = BY_KILL(INIT, OWN);
	struct receipt none = { TOLD, .own_pid = OWN }, r = begin(&facts);

	(void)state;
	receipt_note(&r, &late);
	receipt_note(&r, &init);
	receipt_note(&r, &init);
	assert_true(r.last_us == ACT + CHILD);
	assert_int_equal(r.known_dead, 1);
	assert_true(processes[0].dead && !processes[1].dead && !processes[2].dead);
	/* Nothing is known of any process. */
	receipt_note(&none, &init);
	assert_int_equal(none.known_dead, 0);
	assert_int_equal(none.by_us, 1);
}

/* --- texts ----------------------------------------------------------------------------- */

#define BEFORE_TOUCH(text) text " before it was touched"
#define MAY_STILL_KILL "it lives, and the runtime may still kill it: the monitor that intended it has ended"
#define BY_NOBODY_KNOWN \
	"it is dead, and by whom is not known: the monitor that intended it ended before it saw the outcome; " \
	"left alone"

static const struct {
	struct receipt receipt;
	const char *text;
} evidences[] = {
	{ { KILLED, .watched = true, .process_count = 3, .known_dead = 1, .by_sigkill = 1, .last_us = ACT + 800,
	    .has_memory = true, .memory_before = 5 << 20, .memory_after = 1 << 20 },
	  "cgroup.kill; 1 of 3 processes seen to die; "
	  "1 deaths since: 1 by SIGKILL, 0 by another signal, 0 by exit, the last after 0.8 ms; "
	  "populated right before, empty after 1.5 ms; removed by the runtime after 230 ms; 4.0 MiB given back" },
	{ { KILLED, .watched = true, .process_count = 3, .by_signal = 1, .by_itself = 2, .last_us = ACT - 1 },
	  "cgroup.kill; 0 of 3 processes seen to die; "
	  "3 deaths since: 0 by SIGKILL, 1 by another signal, 2 by exit, the last after 0.0 ms; "
	  "populated right before, empty after 1.5 ms; removed by the runtime after 230 ms" },
	{ { DEAD, .killed = true, .watched = true, .process_count = 3, .by_itself = 1, .last_us = ACT + 100 },
	  "cgroup.kill; 0 of 3 processes seen to die; "
	  "1 deaths since: 0 by SIGKILL, 0 by another signal, 1 by exit, the last after 0.1 ms; "
	  "populated right before, empty after 1.5 ms; not removed by the runtime yet" },
	{ { DEAD, .stopped = true, .watched = true, .process_count = 3, .known_dead = 3, .by_signal = 3,
	    .last_us = ACT + 1000, .runtime = RECEIPT_NO_ANSWER },
	  "stop signal sent, no cgroup.kill; 3 of 3 processes seen to die; "
	  "3 deaths since: 0 by SIGKILL, 3 by another signal, 0 by exit, the last after 1.0 ms; "
	  "populated right before, empty after 1.5 ms" },
	{ { KILLED, .watched = true, .process_count = 3 },
	  "cgroup.kill; 0 of 3 processes seen to die; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms" },
	{ { DEAD, .killed = true },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms; not removed by the runtime yet" },
	{ { DEAD, .killed = true, .reason = "the runtime: 409" },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms; the runtime: 409" },
	{ { DEAD, .killed = true, .runtime = RECEIPT_REFUSED },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms" },
	/* Memory that grew, or what it was before is not known, is not given back. */
	{ { KILLED, .has_memory = true, .memory_before = 1, .memory_after = 2 },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms" },
	{ { KILLED, .memory_before = 5 << 20 },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms" },
	/* A clock that seems to go back. */
	{ { TOLD, .killed = true, .empty_us = ACT - 1, .runtime = RECEIPT_REMOVED, .removed_us = ACT - 1 },
	  "cgroup.kill; no witness; populated right before, empty after 0.0 ms; removed by the runtime after 0 ms" },
	{ { STOPPED, .successor = true },
	  "stop signal sent, no cgroup.kill; no witness; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms; "
	  "what the runtime had started again under its id was removed with it" },
	{ { STOPPED, .killed = true },
	  "stop signal sent, cgroup.kill; no witness; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms" },
	{ { FORCED },
	  "killed by the runtime, by its id alone; no witness; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms" },
	{ { FORCED, .killed = true },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms; "
	  "removed by the runtime after 230 ms" },
	{ { TOLD, .stopped = true, .forced = true },
	  "stop signal sent, killed by the runtime, by its id alone; no witness; not seen empty" },
	{ { TOLD, .stopped = true, .withheld = RECEIPT_CALLED_OFF },
	  "stop signal sent, no cgroup.kill; no witness; not seen empty; called off" },
	{ { TOLD, .runtime = RECEIPT_REFUSED, .has_memory = true, .memory_before = 5 << 20,
	    .reason = "cgroup.kill: Permission denied" },
	  "no cgroup.kill; no witness; not seen empty; cgroup.kill: Permission denied" },
	{ { FOUND }, "not touched" },
	{ { FOUND, .empty_us = ACT }, "not touched" },
	{ { FOUND, .withheld = RECEIPT_EXPIRED }, "not touched; the plan had expired" },
	{ { FOUND, .withheld = RECEIPT_FROZEN }, "not touched; paused meanwhile" },
	{ { FOUND, .withheld = RECEIPT_POLICY },
	  "not touched; only the runtime may kill it here, and would start it again" },
	{ { .found = RECEIPT_UNTRIED }, "not touched" },
	{ { .found = RECEIPT_UNTRIED, .withheld = RECEIPT_CALLED_OFF, .reason = "late" },
	  "not touched; called off; late" },
	{ { .found = RECEIPT_ABSENT }, BEFORE_TOUCH("its cgroup was gone") },
	{ { .found = RECEIPT_REPLACED }, BEFORE_TOUCH("another cgroup has its name now,") },
	{ { .found = RECEIPT_EMPTY }, BEFORE_TOUCH("its cgroup was empty") },
	{ { .found = RECEIPT_UNREADABLE, .reason = "Permission denied" },
	  "its cgroup can't be read; Permission denied" },
	{ { FOUND, .asked_perhaps = true, .withheld = RECEIPT_CALLED_OFF }, "not touched; called off" },
	{ { TOLD, .asked_perhaps = true, .withheld = RECEIPT_CALLED_OFF },
	  "stop signal perhaps sent, no cgroup.kill; no witness; not seen empty; called off" },
	{ { DEAD, .asked_perhaps = true, .killed = true, .runtime = RECEIPT_REFUSED },
	  "stop signal perhaps sent, cgroup.kill; no witness; populated right before, empty after 1.5 ms" },
	{ { TOLD, .asked_perhaps = true, .forced = true },
	  "stop signal perhaps sent, killed by the runtime, by its id alone; no witness; not seen empty" },
	/* Its answer came after all. */
	{ { TOLD, .asked_perhaps = true, .stopped = true, .withheld = RECEIPT_CALLED_OFF },
	  "stop signal sent, no cgroup.kill; no witness; not seen empty; called off" },
	/* Whether the runtime was asked is told, not what it was not asked for yet. */
	{ { TOLD, .killed = true }, "cgroup.kill; no witness; not seen empty" },
	{ { DEAD, .killed = true, .runtime = RECEIPT_NO_ANSWER },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms" },
	{ { DEAD, .killed = true, .removed_us = ACT + 1000 },
	  "cgroup.kill; no witness; populated right before, empty after 1.5 ms; removed by the runtime after 1 ms" },
	{ { FOUND, .orphaned = true }, "not touched: the monitor that intended it ended before it acted" },
	{ { FOUND, .orphaned = true, .reason = "the policy: 500" },
	  "not touched: the monitor that intended it ended before it acted; the policy: 500" },
	{ { FOUND, .orphaned = true, .asked_perhaps = true },
	  "it lives, and may have been asked to stop: the monitor that intended it has ended" },
	{ { FOUND, .orphaned = true, .forced = true }, MAY_STILL_KILL },
	{ { FOUND, .orphaned = true, .forced = true, .asked_perhaps = true }, MAY_STILL_KILL },
	{ { .found = RECEIPT_ABSENT, .orphaned = true }, BY_NOBODY_KNOWN },
	{ { .found = RECEIPT_REPLACED, .orphaned = true, .asked_perhaps = true }, BY_NOBODY_KNOWN },
	{ { .found = RECEIPT_EMPTY, .orphaned = true, .forced = true }, BY_NOBODY_KNOWN },
};

static void evidence(void **state)
{
	char buf[RECEIPT_EVIDENCE_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(evidences); i++) {
		receipt_evidence(&evidences[i].receipt, buf, sizeof(buf));
		if (strcmp(buf, evidences[i].text))
			fail_msg("case %zu: %s", i, buf);
	}
}

/* The beginning of the text, with its end, and not a byte beyond the buffer. */
static void check_cut(const struct receipt *r, const char *text, size_t size)
{
	char *buf = malloc(size + 16);
	size_t i, len;

	assert_non_null(buf);
	memset(buf, 'x', size + 16);
	receipt_evidence(r, buf, size);
	len = strnlen(buf, size);
	if (len == size || memcmp(buf, text, len))
		fail_msg("of %zu bytes: %.*s", size, (int)len, buf);
	/* What is left out is no more than a separator needs. */
	if (strlen(text) >= size && len + 3 < size)
		fail_msg("only %zu of %zu bytes: %s", len, size, buf);
	if (strlen(text) < size)
		assert_string_equal(buf, text);
	for (i = size; i < size + 16; i++)
		assert_int_equal(buf[i], 'x');
	free(buf);
}

static void evidence_is_cut(void **state)
{
	size_t i, size;

	(void)state;
	for (i = 0; i < COUNT(evidences); i++)
		for (size = 1; size <= strlen(evidences[i].text) + 8; size++)
			check_cut(&evidences[i].receipt, evidences[i].text, size);
}

/* All there is to say, with a reason as long as can be. */
static void longest_evidence(void **state)
{
	struct receipt r = { FORCED, .stopped = true, .successor = true, .watched = true, .withheld = RECEIPT_POLICY,
			     .process_count = SIZE_MAX, .known_dead = SIZE_MAX, .by_sigkill = SIZE_MAX / 4,
			     .by_signal = SIZE_MAX / 4, .by_itself = SIZE_MAX / 4, .last_us = UINT64_MAX,
			     .has_memory = true, .memory_before = UINT64_MAX };
	char whole[4 * RECEIPT_EVIDENCE_SIZE];
	size_t size;

	(void)state;
	r.removed_us = r.empty_us = UINT64_MAX;
	memset(r.reason, 'r', sizeof(r.reason) - 1);
	receipt_evidence(&r, whole, sizeof(whole));
	assert_true(strlen(whole) > RECEIPT_EVIDENCE_SIZE);
	for (size = 1; size < sizeof(whole); size++)
		check_cut(&r, whole, size);
}

/* --- figures ----------------------------------------------------------------------------- */

static void figures(void **state)
{
	static const struct {
		struct receipt receipt;
		double latency_ms;
		uint64_t freed;
	} cases[] = {
		{ { KILLED, .has_memory = true, .memory_before = 9, .memory_after = 4 }, 1.5, 5 },
		{ { KILLED, .has_memory = true, .memory_before = 9 }, 1.5, 9 },
		{ { KILLED, .has_memory = true, .memory_before = 9, .memory_after = 9 }, 1.5, 0 },
		{ { KILLED, .has_memory = true, .memory_before = 9, .memory_after = 10 }, 1.5, 0 },
		{ { KILLED, .memory_before = 9 }, 1.5, 0 },
		{ { TOLD, .killed = true, .has_memory = true, .memory_before = 9 }, -1, 0 },
		{ { FOUND, .empty_us = ACT }, -1, 0 },
		{ { TOLD, .empty_us = ACT - 1 }, 0, 0 },
		{ { TOLD, .empty_us = ACT }, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (receipt_latency_ms(&cases[i].receipt) != cases[i].latency_ms ||
		    receipt_memory_freed(&cases[i].receipt) != cases[i].freed)
			fail_msg("case %zu: %f ms, %llu bytes", i, receipt_latency_ms(&cases[i].receipt),
				 (unsigned long long)receipt_memory_freed(&cases[i].receipt));
	}
}

static void names(void **state)
{
	static const char *const expected[] = {
		[RECEIPT_SURVIVED] = "survived",
		[RECEIPT_DYING] = "told to die, not dead yet",
		[RECEIPT_VERIFIED] = "killed and verified",
		[RECEIPT_UNVERIFIED] = "killed, not verified",
		[RECEIPT_GONE] = "was already gone",
		[RECEIPT_DRY] = "would be killed (dry run)",
		[RECEIPT_UNKNOWN] = "unknown",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(expected); i++)
		assert_string_equal(receipt_outcome_name((enum receipt_outcome)i), expected[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verified_kills),
		cmocka_unit_test(unverified_kills),
		cmocka_unit_test(own_ends),
		cmocka_unit_test(the_living),
		cmocka_unit_test(orphans),
		cmocka_unit_test(combinations),
		cmocka_unit_test(counts),
		cmocka_unit_test(deaths_in_any_order),
		cmocka_unit_test(evidence),
		cmocka_unit_test(evidence_is_cut),
		cmocka_unit_test(longest_evidence),
		cmocka_unit_test(figures),
		cmocka_unit_test(names),
	};

	return RUN(tests);
}
