/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kill protocol: the monitor, its file of intents, its spool, the log server, the runtime,
 * the containers and their owners, the operator, the disk. The monitor may end (SIGKILL, and it
 * is started again) or the machine may be booted between any two statements of the monitor.
 *
 * Properties. PMASK chooses which are checked, bit n for Pn; without it all are.
 *
 *   P1   A kill has a durable intent.
 *   P2   No kill and no removal is asked for after a call-off was delivered.
 *   P3   Only the evaluated incarnation is killed, and not while it is paused. Exceptions:
 *        - a successor under the same id that a forced removal takes after the victim was told
 *          and seen empty. The record names it, or the monitor ended before it could;
 *        - plain user: what runs under the id when the slow runtime serves the removal that is
 *          the kill. While this monitor lives, a restart policy has not begun it.
 *   P4   "killed" is recorded only of what we killed: hit by our SIGKILL, or sent its stop signal
 *        while seen populated and then seen empty. Exceptions, never recorded as verified: ended
 *        between the last look and the write, and no complete witness (RACE); plain user: ended
 *        between the last look and the runtime's work.
 *   P5   "gone" and "survived, not touched" are recorded only of what this act did not touch;
 *        "survived, asked to stop" only of what no SIGKILL of ours hit.
 *   P6   One event id has one content.
 *   P7   What an act killed has exactly one record that says so ("killed" or "unknown"; of a plain
 *        user's acts each may have one), and every intent that an act relied on has a record.
 *        What ended of our stop signal within its grace is not recorded as "survived", unless
 *        the act was called off or it was paused.
 *   P8   No intent stays open and no batch waits once nothing can happen any more. Exception:
 *        plain user, the runtime dropped the request without an answer and the victim lives.
 *   P9   No kill and no removal is asked for after "disarmed" was durable and answered.
 *   P10  Nothing is removed that we did not kill (same exceptions as P4).
 *   P11  "unknown" is recorded only after the monitor or the machine ended.
 *   P12  A container that is not removed has its owner's restart policy in the end.
 *
 * Rules that can be left out, one flag each; tests/model/mutations lists the property that
 * each of them protects: NO_CALLOFF NO_LAST_LOOK NO_GENTLE NO_UNKNOWN NO_BOOT NO_PENDING
 * NO_STAY_DYING NO_KILLED NO_OUTCOME NO_RESYNC NO_REWRITE NO_SLOTS NO_INTENT NO_MARK_FIRST NO_TOLD_ONLY
 * NO_REPORT NO_SET_BACK NO_SET_BACK_AGAIN NO_OPEN_ID NO_WITNESS NO_WITNESS_FIRST NO_STOP_WORD NO_GRACE_WORD
 * NO_GRACE_WAIT NO_PLAIN_SETTLE NO_PLAIN_POLICY NO_PLAIN_PENDING.
 */

/* Which monitor. */
#ifndef GRACE
#define GRACE	0	/* 1: a stop signal and a grace before the kill */
#endif
#ifndef WITNESS
#define WITNESS	0	/* 1: the BPF witness sees every death; 2: it may lose some */
#endif
#ifndef PLAIN
#define PLAIN	0	/* 1: a plain user, who may not write cgroup.kill */
#endif
#ifndef RACE
#define RACE	0	/* 1: the last look and the write are two steps, as in life */
#endif

/* Bounds: how many, and how often each may happen. */
#ifndef V
#define V	1	/* containers */
#endif
#ifndef ACTS
#define ACTS	1	/* acts of the monitor */
#endif
#ifndef NCRASH
#define NCRASH	1	/* SIGKILLs of the monitor */
#endif
#ifndef NBOOT
#define NBOOT	0	/* boots of the machine */
#endif
#ifndef NFAIL
#define NFAIL	1	/* failing writes, refusals and dropped requests, stale plans */
#endif
#ifndef NENV
#define NENV	1	/* what containers and their owners do */
#endif
#ifndef NOP
#define NOP	1	/* signals and control requests */
#endif
#ifndef NSTUCK
#define NSTUCK	1	/* a SIGKILL waits in the kernel */
#endif
#ifndef NLOST
#define NLOST	1	/* an answer of the log server is lost */
#endif
#ifndef PMASK
#define PMASK	65535
#endif

#define MAXI	5	/* incarnations of a container, and a free one */
#define E	(V * ACTS)	/* intents, one for each container and act */
#define P(n, c)	assert(!((PMASK >> n) & 1) || (c))

/* Outcomes. */
#define NONE		0
#define KILLED		1
#define GONE		2
#define SURVIVED	3	/* not touched */
#define UNKNOWN		4
#define ASKED		5	/* survived: asked to stop, then called off, paused or refused */
#define MAYBE		6	/* survived: may have been asked to stop by a monitor that ended */

/* How far an intent has come in this life of the monitor. */
#define OLD	0	/* of an earlier life */
#define PLANNED	1
#define OPENED	2
#define STOPPING 3	/* its stop signal was sent */
#define LOOKED	4	/* the last look let it pass (RACE) */
#define TOLD	5	/* dying */
#define EMPTY	6	/* told and seen empty */
#define GENTLE	7	/* the gentle removal was asked for */
#define NAMED	8	/* refused, as a successor runs; its inode was read */
#define FORCED	9	/* the forced removal was asked for */
#define DONE	10	/* nothing more is asked of the runtime */

/* Requests to the runtime and its answers. */
#define ASK_GENTLE	1
#define ASK_FORCED	2
#define OK		1
#define CONFLICT	2
#define REFUSED		3

/* The containers. ino is the incarnation that runs under the id. */
byte ino[V];
bool alive[V], paused[V], dying[V], known[V];
bool restarting[V];	/* the runtime decided at its end to begin it again */
bool policy[V], owners[V];	/* restart policy: as it is, as its owner chose it */
bool stopsig[V];	/* it was sent its stop signal */

/* The runtime's requests, served at any time or dropped; the answers reach only this life. */
byte req[E], ans[E];
bool req_stop[E], req_policy[V];

/* The disk. */
bool disk[E]; byte disk_o[E], disk_c[E];
bool mark = 1;		/* the file `armed` */
chan spool = [2 * E + 1] of { byte, byte, byte };
#if NBOOT && NFAIL
bool unsynced, old[E]; byte old_o[E], old_c[E];	/* what a boot brings back after a failed fsync */
#endif

/* The monitor's memory. */
bool mi[E], removed[E], stopped[E], dirty, off_ok[E];
byte st[E], mo[E], mc[E], vo[E], named[E];
bool armed, up;
byte life, acts;

/* In the intent, constant once it is made: the inode; it has a restart policy to set back. */
byte sino[E];
bool orig[E];

/* The operator. */
bool want = 1, term, said_off;

/* Ghosts, for the properties. */
bool slain[E];		/* the SIGKILL of this act hit the evaluated incarnation */
bool stop_sent[E];	/* its stop signal was sent */
bool told_stop[E];	/* our stop signal reached the evaluated incarnation */
bool stop_dead[E];	/* ... and it ended of it within the grace */
bool gap[E];		/* the write met a group that had become empty after the last look */
bool sent[E];		/* plain user: the removal that is the kill was sent */
bool took[E];		/* a forced removal took a successor */
bool relied[E];		/* the act went on after this intent was made durable */
bool ended[E], booted[E];	/* the monitor, the machine ended while it was open */
bool by_policy[V];	/* the running incarnation was begun by a restart policy */
bool passed[E];		/* the grace has passed */
bool dropped[E];	/* the runtime dropped the request */
#if WITNESS
byte cause[V * MAXI];	/* what the witness has of its end: 1 SIGKILL, 2 exit, 3 lost */
#endif
byte srv[E], srv_c[E];	/* what the log server has */
byte ncrash, nboot, nfail, nenv, nop, nstuck, nlost;
hidden byte i, w;

#define OF(e)		((e) % V)
#define SAME(e)		(alive[OF(e)] && ino[OF(e)] == sino[e])
#define INC(e)		(OF(e) * MAXI + sino[e])
#define SLAIN(e)	slain[e]
#define CALLED_OFF	(!want || term)
#define SURVIVOR(e)	(stopped[e] -> ASKED : SURVIVED)

/* An intent that the monitor can carry on with now. */
#ifdef NO_PENDING
#define PENDING(e)	false
#else
#define PENDING(e)	dying[OF(e)]
#endif
#if GRACE && !PLAIN && !defined(NO_GRACE_WAIT)
#define GRACE_PASSED(e)	passed[e]
#else
#define GRACE_PASSED(e)	true
#endif
#ifdef NO_STAY_DYING
#define WATCHED(e)	true
#else
#define WATCHED(e)	(!SAME(e) || (PLAIN && ans[e]))
#endif
#define READY(e)	(mi[e] && (mo[e] || vo[e] || st[e] >= EMPTY || \
			(st[e] == TOLD && WATCHED(e)) || \
			(st[e] == OLD && (booted[e] || !SAME(e) || (!PENDING(e) && GRACE_PASSED(e))))))
#define CONCLUDED(e)	(mi[e] && mo[e])
#define UNWRITTEN(e)	(mi[e] && mo[e] && (!disk[e] || disk_o[e] != mo[e]))
#if E == 1
#define ANY(m)	m(0)
#elif E == 2
#define ANY(m)	(m(0) || m(1))
#elif E == 3
#define ANY(m)	(m(0) || m(1) || m(2))
#else
#define ANY(m)	(m(0) || m(1) || m(2) || m(3))
#endif
#define REQUESTED(e)	(req[e] || req_stop[e] || ((e) < V && req_policy[OF(e)]))
#define WORK	(ANY(READY) || acts < ACTS || dirty || armed != mark || armed != want)

/* --- the disk --- */

inline copy_out()
{
	for (i : 0 .. E - 1) {
#if NBOOT && NFAIL
		old[i] = disk[i]; old_o[i] = disk_o[i]; old_c[i] = disk_c[i];
#endif
		disk[i] = mi[i];
#ifndef NO_OUTCOME
		disk_o[i] = (mi[i] -> mo[i] : 0); disk_c[i] = (mi[i] -> mc[i] : 0)
#endif
	}
	i = 0
}

#if NBOOT && NFAIL
#define SYNCED(y)	unsynced = !y
#else
#define SYNCED(y)	skip
#endif

/*
 * The file of intents is written. A write that fails leaves the older content, or the newer
 * content of which nobody knows whether it is on the disk.
 */
inline save(r)
{
	if
	:: d_step { copy_out(); SYNCED(1); r = 0 }
	:: d_step { nfail < NFAIL -> nfail++; r = 1 }
	:: d_step { nfail < NFAIL -> nfail++;
#ifndef NO_SLOTS
		copy_out(); SYNCED(0);
#else
		for (i : 0 .. E - 1) { disk[i] = 0; disk_o[i] = 0; disk_c[i] = 0 }
		i = 0;
#endif
		r = 1
	   }
	fi
}

/* Only within d_step. */
inline forget(n)
{
	mi[n] = 0; mo[n] = 0; mc[n] = 0; vo[n] = 0; st[n] = OLD; named[n] = 0;
	removed[n] = 0; stopped[n] = 0; off_ok[n] = 0; ans[n] = 0
}

/* --- containers and runtime --- */

/* A container's end; by: 1 SIGKILL, 2 exit. Only within atomic. */
inline ends(c, by)
{
	alive[c] = 0; paused[c] = 0; dying[c] = 0; stopsig[c] = 0;
	restarting[c] = known[c] && policy[c] && ino[c] < 3;
#if WITNESS == 1
	cause[c * MAXI + ino[c]] = by
#elif WITNESS == 2
	if :: cause[c * MAXI + ino[c]] = by :: cause[c * MAXI + ino[c]] = 3 fi
#endif
}

/* What every request that kills or removes must satisfy when it is made. */
#define MAY_ASK(e)	P(1, disk[e]); P(9, !said_off); P(2, RACE || !CALLED_OFF)

/* SIGKILL reaches the living group of the evaluated incarnation. Only within atomic. */
inline hit(n)
{
	SLAIN(n) = 1;
	if
	:: ends(OF(n), 1)
	:: nstuck < NSTUCK -> nstuck++; dying[OF(n)] = 1
	fi
}

/* We killed the evaluated incarnation, as far as anybody can know. */
#define OURS(n)		(SLAIN(n) || stop_sent[n] || (gap[n] && WITNESS != 1))

/* The runtime serves a removal. Only within atomic. */
inline serve(n)
{
	if
	:: !known[OF(n)] -> ans[n] = OK
	:: known[OF(n)] && !alive[OF(n)] && restarting[OF(n)] && req[n] == ASK_GENTLE -> ans[n] = CONFLICT
	:: known[OF(n)] && !alive[OF(n)] && !(restarting[OF(n)] && req[n] == ASK_GENTLE) ->
		P(10, OURS(n) || sent[n]);
		known[OF(n)] = 0; restarting[OF(n)] = 0; ans[n] = OK
	:: known[OF(n)] && alive[OF(n)] && req[n] == ASK_GENTLE -> ans[n] = CONFLICT
	:: known[OF(n)] && dying[OF(n)] && req[n] == ASK_FORCED -> ans[n] = REFUSED
	:: known[OF(n)] && SAME(n) && !dying[OF(n)] && req[n] == ASK_FORCED ->
		P(3, sent[n]);
		hit(n);
		if
		:: dying[OF(n)] -> ans[n] = REFUSED
		:: else -> known[OF(n)] = 0; restarting[OF(n)] = 0; ans[n] = OK
		fi
	:: known[OF(n)] && alive[OF(n)] && !SAME(n) && !dying[OF(n)] && req[n] == ASK_FORCED ->
		P(3, (OURS(n) && took[n]) ||
			(sent[n] && (!by_policy[OF(n)] || ended[n] || SLAIN(n))));
		ends(OF(n), 1); known[OF(n)] = 0; restarting[OF(n)] = 0; ans[n] = OK
	fi;
	ans[n] = (up && st[n] != OLD -> ans[n] : 0);
	req[n] = 0
}

inline boot()
{
	for (i : 0 .. V - 1) {
		req_policy[i] = 0; paused[i] = 0; dying[i] = 0; stopsig[i] = 0; restarting[i] = 0;
		by_policy[i] = 1;
		alive[i] = known[i] && policy[i];
		ino[i] = ino[i] + (ino[i] < MAXI - 1)
	}
	for (i : 0 .. E - 1) {
		booted[i] = booted[i] || disk[i]; req[i] = 0; req_stop[i] = 0; passed[i] = 0
	}
	i = 0
}

/* The first processes, so that their numbers are those of the containers. */
active [V] proctype Container()
{
	atomic {
		ino[_pid] = 1; alive[_pid] = 1; known[_pid] = 1;
		if :: policy[_pid] = 1; owners[_pid] = 1 :: skip fi }
end:
	do
	/* it ends by itself; its owner pauses it and goes on */
	:: atomic { alive[_pid] && !paused[_pid] && !dying[_pid] && !stopsig[_pid] && nenv < NENV ->
		nenv++; ends(_pid, 2) }
	:: atomic { alive[_pid] && !paused[_pid] && !dying[_pid] && nenv < NENV -> nenv++; paused[_pid] = 1 }
	:: atomic { alive[_pid] && paused[_pid] && nenv < NENV -> nenv++; paused[_pid] = 0 }
	/* it ends of its stop signal, or of a SIGKILL that had to wait */
	:: atomic { alive[_pid] && !paused[_pid] && !dying[_pid] && stopsig[_pid] ->
		for (i : 0 .. E - 1) {
			if
			:: OF(i) == _pid && told_stop[i] && sino[i] == ino[_pid] && !passed[i] -> stop_dead[i] = 1
			:: else
			fi
		}
		i = 0;
		ends(_pid, 2) }
	:: atomic { dying[_pid] -> ends(_pid, 1) }
	/* begun again, by its restart policy or its owner */
	:: atomic { restarting[_pid] -> restarting[_pid] = 0; ino[_pid]++; alive[_pid] = 1; by_policy[_pid] = 1 }
	:: atomic { !alive[_pid] && known[_pid] && !restarting[_pid] && ino[_pid] < 3 && nenv < NENV ->
		nenv++; ino[_pid]++; alive[_pid] = 1; by_policy[_pid] = 0 }
	od
}

/* One request at a time is served, whenever the runtime likes. */
active proctype Runtime()
{
	byte n;

end:
	do
	:: atomic { ANY(REQUESTED) ->
		if
		:: REQUESTED(0)
#if E > 1
		:: REQUESTED(1) -> n = 1
#endif
#if E > 2
		:: REQUESTED(2) -> n = 2
#endif
#if E > 3
		:: REQUESTED(3) -> n = 3
#endif
		fi;
		if
		:: req[n] -> serve(n)
		:: req[n] && nfail < NFAIL -> nfail++; req[n] = 0;
			if
			:: ans[n] = (up && st[n] != OLD -> REFUSED : 0)
			:: dropped[n] = 1
			fi
		:: req_stop[n] -> req_stop[n] = 0;
			if
			:: alive[OF(n)] -> stopsig[OF(n)] = 1; told_stop[n] = told_stop[n] || SAME(n)
			:: else
			fi
		:: n < V && req_policy[OF(n)] -> req_policy[OF(n)] = 0;
			policy[OF(n)] = (known[OF(n)] -> 0 : policy[OF(n)])
		fi;
		n = 0 }
	od
}

/* --- the monitor --- */

/* What is not durable is lost with the monitor. */
inline begin()
{
	for (i : 0 .. E - 1) {
		ended[i] = ended[i] || disk[i];
		forget(i);
		mi[i] = disk[i]; mo[i] = disk_o[i]; mc[i] = disk_c[i]
	}
	i = 0; life++; armed = mark; want = mark; term = 0; dirty = 0; up = 1
}

/* One intent of an earlier life. Only within atomic. */
inline settle(n)
{
	if
	:: booted[n] ->
#ifndef NO_BOOT
		vo[n] = UNKNOWN
#else
		vo[n] = GONE
#endif
	:: !booted[n] && !SAME(n) ->	/* left alone */
#ifndef NO_UNKNOWN
		vo[n] = UNKNOWN
#else
		vo[n] = KILLED
#endif
	:: !booted[n] && SAME(n) && PENDING(n)
	:: !booted[n] && SAME(n) && !PENDING(n) && GRACE_PASSED(n) ->
#if PLAIN && !defined(NO_PLAIN_SETTLE)
		vo[n] = UNKNOWN		/* the runtime may still serve the removal */
#elif GRACE && !defined(NO_GRACE_WORD)
		vo[n] = MAYBE
#else
		vo[n] = SURVIVED
#endif
	:: !booted[n] && SAME(n) && !PENDING(n) && !GRACE_PASSED(n)
	fi
}

#ifndef NO_STOP_WORD
#define EXIT_IS_OURS(n)	stopped[n]
#else
#define EXIT_IS_OURS(n)	false
#endif

/* A victim that was told: has its group become empty? Only within atomic. */
inline watch(n)
{
	if
	:: PLAIN && ans[n] == OK -> removed[n] = 1; st[n] = DONE
	:: PLAIN && ans[n] == REFUSED && SAME(n) ->
		ans[n] = 0;
		if
#ifndef NO_PLAIN_PENDING
		:: dying[OF(n)]
		:: !dying[OF(n)] && !stopped[n] -> vo[n] = SURVIVED; st[n] = PLANNED
		:: !dying[OF(n)] && stopped[n] -> vo[n] = ASKED; st[n] = PLANNED
#else
		:: vo[n] = SURVIVOR(n); st[n] = PLANNED
#endif
		fi
	:: !(PLAIN && ans[n] == OK) && !SAME(n) ->
		ans[n] = 0;
		st[n] = (req[n] -> FORCED : EMPTY);
#if WITNESS && !PLAIN && !defined(NO_WITNESS)
		if
		/* it saw every death, and none of SIGKILL */
		:: cause[INC(n)] == 2 && !EXIT_IS_OURS(n) ->
			vo[n] = GONE;
#ifndef NO_WITNESS_FIRST
			st[n] = PLANNED
#endif
		:: else
		fi
#endif
	:: !(PLAIN && ans[n]) && SAME(n)
#ifdef NO_STAY_DYING
		-> vo[n] = SURVIVOR(n); st[n] = PLANNED
#endif
	fi
}

#ifndef NO_CALLOFF
#define REMOVAL_CALLED_OFF	CALLED_OFF
#else
#define REMOVAL_CALLED_OFF	false
#endif

/* Only within atomic. A bound ends each wait for an answer; the request stays with the runtime. */
inline remove(n)
{
	if
	:: st[n] == EMPTY || st[n] == NAMED ->
		if
		:: REMOVAL_CALLED_OFF -> st[n] = DONE
		:: !REMOVAL_CALLED_OFF ->
			MAY_ASK(n);
#ifndef NO_GENTLE
			req[n] = (st[n] == EMPTY -> ASK_GENTLE : ASK_FORCED);
			took[n] = st[n] == NAMED;
			st[n] = (st[n] == EMPTY -> GENTLE : FORCED)
#else
			req[n] = ASK_FORCED;
			st[n] = FORCED
#endif
		fi
	:: (st[n] == GENTLE || st[n] == FORCED) && ans[n] == OK -> removed[n] = 1; st[n] = DONE; ans[n] = 0
	:: (st[n] == GENTLE || st[n] == FORCED) && ans[n] == REFUSED -> st[n] = DONE; ans[n] = 0
	:: st[n] == GENTLE && ans[n] == CONFLICT ->
		ans[n] = 0;
		if
		:: alive[OF(n)] -> named[n] = ino[OF(n)]; st[n] = NAMED
		:: else -> st[n] = EMPTY
		fi
	:: (st[n] == GENTLE || st[n] == FORCED) && ans[n] == 0 -> st[n] = DONE
	:: (st[n] == GENTLE || st[n] == FORCED) && ans[n] == 0 -> skip
	:: else
	fi
}

/* A refused request to set the policy back is made again in the next cycle. */
#ifndef NO_SET_BACK_AGAIN
#define AGAIN	1
#else
#define AGAIN	0
#endif

#ifndef NO_KILLED
#define TOLD_AND_EMPTY	KILLED
#else
#define TOLD_AND_EMPTY	UNKNOWN
#endif

/* Only within atomic. The outcome and the whole record are decided here. */
inline conclude(n)
{
	r = 0;
	if
#ifndef NO_SET_BACK
	:: orig[n] && !removed[n] && known[OF(n)] -> req_policy[OF(n)] = 0; policy[OF(n)] = owners[OF(n)]
	:: orig[n] && !removed[n] && known[OF(n)] && nfail < NFAIL -> nfail++; r = AGAIN
	:: else
#else
	:: true
#endif
	fi;
	if
	:: r
	:: else ->
		mo[n] = (vo[n] -> vo[n] : TOLD_AND_EMPTY); vo[n] = 0; st[n] = PLANNED;
		w = 0;
#if WITNESS && !PLAIN
		w = mo[n] == KILLED && removed[n] && cause[INC(n)] == 1;
		P(4, !w || SLAIN(n));
#endif
		mc[n] = life + 8 * w + 16 * named[n];
		w = 0;
		P(4, mo[n] != KILLED || OURS(n) || sent[n]);
		P(5, mo[n] != GONE || (!SLAIN(n) && !told_stop[n]));
		P(5, mo[n] != SURVIVED || (!SLAIN(n) && !told_stop[n]));
		P(5, (mo[n] != ASKED && mo[n] != MAYBE) || !SLAIN(n));
		P(11, mo[n] != UNKNOWN || ended[n])
	fi;
	r = 0
}

/* The last look of every kill, as a guard: PASSES, or why not. */
#ifndef NO_CALLOFF
#define LOOK_OFF(n)	CALLED_OFF
#else
#define LOOK_OFF(n)	false
#endif
#ifndef NO_LAST_LOOK
#define LOOK_PAUSED(n)	paused[OF(n)]
#else
#define LOOK_PAUSED(n)	false
#endif
/* A plain user leaves alone what a restart policy would begin again. */
#if PLAIN && !defined(NO_PLAIN_POLICY)
#define LOOK_POLICY(n)	(off_ok[n] == 0)
#else
#define LOOK_POLICY(n)	false
#endif

#define NEXT	(acts - 1) * V

/* No id is evaluated again while an intent of it is open (of at most two acts). */
#if ACTS == 1
#define IS_OPEN(n)	false
#elif !defined(NO_OPEN_ID)
#define IS_OPEN(n)	(acts > 1 && mi[n])
#else
#define IS_OPEN(n)	(acts > 1 && mi[n] && sino[n] == ino[n])
#endif

active proctype Monitor()
{
	byte e, r;

	known[V - 1];
start:
	atomic { !up -> begin(); e = 0; r = 0 };
	{
end:
	do
	:: d_step { term -> up = 0 }
	:: !term && WORK ->
#ifdef NO_MARK_FIRST
		d_step { said_off = said_off || !want; armed = want };
#else
		d_step { armed = want };
#endif
step_disarm:
		if
		:: d_step { armed == mark }
		:: d_step { armed != mark -> mark = armed; said_off = !armed && !want }
		:: d_step { armed != mark && nfail < NFAIL -> nfail++ }
		fi;
		e = 0;
		do
		:: e < E ->
step_settle:
			atomic {
				if
				:: mi[e] && !mo[e] && !vo[e] && st[e] == OLD -> settle(e)
				:: else
				fi };
step_watch:
			atomic {
				if
				:: mi[e] && !mo[e] && !vo[e] && st[e] == TOLD -> watch(e)
				:: else
				fi };
step_remove:
			atomic {
				if
				:: mi[e] && !mo[e] && st[e] >= EMPTY && st[e] < DONE -> remove(e)
				:: else
				fi };
step_conclude:
			atomic {
				if
				:: mi[e] && !mo[e] && ((vo[e] && st[e] <= PLANNED) || st[e] == DONE) -> conclude(e)
				:: else
				fi;
				e++ }
		:: else -> break
		od;
		e = 0;
		if
		:: ANY(CONCLUDED) ->
			r = 0;
#ifndef NO_OUTCOME
			if
#ifdef NO_RESYNC
			:: !ANY(UNWRITTEN)
			:: else ->
#else
			:: true ->
#endif
				save(r)
			fi;
			dirty = r || dirty;
#endif
			if
			:: r
			:: else ->
step_put:
				if
				:: atomic {
					for (i : 0 .. E - 1) {
						if
						:: CONCLUDED(i) -> spool!i, mo[i], mc[i]
						:: else
						fi
					}
					i = 0 }
				:: d_step { nfail < NFAIL -> nfail++; r = 1 }
				fi;
				if
				:: r
				:: else ->
step_close:
					d_step {
						for (i : 0 .. E - 1) {
							if :: CONCLUDED(i) -> forget(i) :: else fi
						}
						i = 0 };
					save(r);
#ifndef NO_REWRITE
					dirty = r
#endif
				fi
			fi;
			r = 0
		:: !ANY(CONCLUDED) && dirty -> save(r); d_step { dirty = r; r = 0 }
		:: !ANY(CONCLUDED) && !dirty
		fi;

		/* --- the act --- */
		if
		:: acts == ACTS || term
		:: acts < ACTS && !term ->
step_confirm:
			d_step {
				acts++;
				for (i : 0 .. V - 1) {
					if
					:: alive[i] && !paused[i] && known[i] && !IS_OPEN(i) ->
						mi[NEXT + i] = 1; st[NEXT + i] = PLANNED;
						sino[NEXT + i] = ino[i]; orig[NEXT + i] = policy[i]
					:: else
					fi
				}
				i = 0 };
step_intend:
			d_step {
				r = CALLED_OFF;
				if
				:: r -> for (i : NEXT .. acts * V - 1) { forget(i) } i = 0
				:: else -> for (i : NEXT .. acts * V - 1) { r = r || mi[i] } i = 0; r = !r
				fi };
			if
			:: r -> r = 0; goto acted
			:: else
			fi;
			save(r);
#ifdef NO_INTENT
			r = 0;
#endif
			if
			:: r ->
				d_step { for (i : NEXT .. acts * V - 1) { forget(i) } i = 0; r = 0;
#ifndef NO_REWRITE
					dirty = 1
#endif
				};
				goto acted
			/* the plan has become too old */
			:: d_step { !r && nfail < NFAIL -> nfail++;
				for (i : NEXT .. acts * V - 1) {
					if
					:: mi[i] ->
						relied[i] = 1;
#ifndef NO_REPORT
						vo[i] = SURVIVED
#else
						forget(i); dirty = 1
#endif
					:: else
					fi
				}
				i = 0 };
				goto acted
			:: d_step { !r -> dirty = 0;
				for (i : NEXT .. acts * V - 1) { relied[i] = mi[i] } i = 0 }
			fi;
			e = NEXT;
			do
			:: e < acts * V ->
step_policy_off:
				if
				:: d_step { !mi[e] || !orig[e] -> off_ok[e] = 1 }
				:: d_step { mi[e] && orig[e] -> policy[OF(e)] = 0; off_ok[e] = 1 }
				:: d_step { mi[e] && orig[e] -> req_policy[OF(e)] = 1 }	/* slow */
				:: d_step { mi[e] && orig[e] && nfail < NFAIL -> nfail++ }	/* refused */
				fi;
step_open:
				d_step {
					if
					:: mi[e] && !SAME(e) -> vo[e] = GONE
					:: mi[e] && SAME(e) -> st[e] = OPENED
					:: else
					fi;
					e++ }
			:: else -> break
			od;
#if GRACE
			e = NEXT;
			do
			:: e < acts * V ->
step_stop:
				if
				:: d_step { st[e] != OPENED }
				:: d_step { st[e] == OPENED && LOOK_OFF(e) -> vo[e] = SURVIVED; st[e] = PLANNED }
				:: d_step { st[e] == OPENED && !LOOK_OFF(e) && !SAME(e) -> vo[e] = GONE; st[e] = PLANNED }
				:: d_step { st[e] == OPENED && !LOOK_OFF(e) && SAME(e) && LOOK_PAUSED(e) ->
					vo[e] = SURVIVED; st[e] = PLANNED }
				:: d_step { st[e] == OPENED && !LOOK_OFF(e) && SAME(e) && !LOOK_PAUSED(e) ->
					MAY_ASK(e);
					P(3, !paused[OF(e)]);
					st[e] = STOPPING; stopped[e] = 1; stop_sent[e] = 1; req_stop[e] = 1 }
				/* refused: killed without a grace */
				:: d_step { st[e] == OPENED && !LOOK_OFF(e) && SAME(e) && nfail < NFAIL -> nfail++ }
				fi;
				e++
			:: else -> break
			od;
#endif
			e = NEXT;
			do
			:: e < acts * V ->
#if GRACE
				/* the wait for the grace */
				!(st[e] == STOPPING && !passed[e] && SAME(e) && !LOOK_OFF(e));
#endif
step_last_look:
				if
				:: d_step { st[e] != OPENED && st[e] != STOPPING -> e++ }
				:: d_step { (st[e] == OPENED || st[e] == STOPPING) && stopped[e] && !SAME(e) -> st[e] = TOLD; e++ }
				:: d_step { (st[e] == OPENED || st[e] == STOPPING) && SAME(e) &&
					(LOOK_OFF(e) || LOOK_PAUSED(e) || LOOK_POLICY(e)) ->
					vo[e] = SURVIVOR(e); st[e] = PLANNED; e++ }
				:: d_step { (st[e] == OPENED || st[e] == STOPPING) && !stopped[e] && !SAME(e) ->
					vo[e] = (LOOK_OFF(e) -> SURVIVED : GONE);
#ifndef NO_TOLD_ONLY
					st[e] = PLANNED;
#else
					st[e] = EMPTY;
#endif
					e++ }
				:: atomic { (st[e] == OPENED || st[e] == STOPPING) && SAME(e) &&
					!LOOK_OFF(e) && !LOOK_PAUSED(e) && !LOOK_POLICY(e) ->
#if RACE
					st[e] = LOOKED };
step_kill:
					atomic { st[e] == LOOKED ->
#else
					skip;
step_kill:
#endif
#if PLAIN
						MAY_ASK(e);
						P(3, RACE || !paused[OF(e)]);
						st[e] = TOLD; sent[e] = 1; req[e] = ASK_FORCED;
#else
						if
						:: SAME(e) ->
							MAY_ASK(e);
							P(3, RACE || !paused[OF(e)]);
							st[e] = TOLD;
							hit(e)
						:: !SAME(e) -> st[e] = TOLD; gap[e] = 1
						/* ENODEV; what was asked to stop before is told all the same */
						:: !SAME(e) && stopped[e] -> st[e] = TOLD
						:: !SAME(e) && !stopped[e] -> vo[e] = GONE; st[e] = PLANNED
						fi;
#endif
					e++ }
				fi
			:: else -> break
			od;
acted:
			atomic { e = 0; r = 0 }
		fi
	od
	} unless { !up };
	goto start
}

active proctype Crash()
{
end:
	do
	:: d_step { up && ncrash < NCRASH -> ncrash++; up = 0 }
#if NBOOT
	:: d_step { up && nboot < NBOOT -> nboot++; up = 0; boot() }
#if NFAIL
	:: d_step { up && nboot < NBOOT && unsynced -> nboot++; up = 0; unsynced = 0; boot();
		for (i : 0 .. E - 1) {
			disk[i] = old[i]; disk_o[i] = old_o[i]; disk_c[i] = old_c[i];
			booted[i] = booted[i] || disk[i]
		}
		i = 0 }
#endif
#endif
	od
}

/* Another thread of the monitor; it needs no memory of its own. */
active proctype Sender()
{
	byte e, o, c;

end:
	do
	:: atomic { up && nempty(spool) ->
		spool?<e, o, c>;
		if
		:: srv[e] == NONE -> srv[e] = o; srv_c[e] = c
		:: else -> P(6, srv[e] == o && srv_c[e] == c)
		fi;
		if
		:: spool?e, o, c
		:: nlost < NLOST -> nlost++
		fi;
		e = 0; o = 0; c = 0 }
	od
}

active proctype Operator()
{
end:
	do
	:: d_step { up && want && nop < NOP -> nop++; want = 0 }
	:: d_step { up && !want && nop < NOP -> nop++; want = 1; said_off = 0 }
	:: d_step { up && !term && nop < NOP -> nop++; term = 1 }
	od
}

#if GRACE
/* Boot time; the grace counts from the intent, and the longest age of a plan is added. */
active proctype Clock()
{
end:
	do
	:: d_step { disk[0] && !passed[0] -> passed[0] = 1 }
#if E > 1
	:: d_step { disk[1] && !passed[1] -> passed[1] = 1 }
#endif
	od
}
#endif

/* When nothing can happen any more. */
active proctype Rest()
{
	byte s, e;

	atomic {
		timeout ->
		P(8, empty(spool));
		e = 0;
		do
		:: e < E ->
			P(8, (!mi[e] && !disk[e]) || (PLAIN && dropped[e] && mi[e] && SAME(e)));
			P(7, !relied[e] || srv[e] || disk[e]);
			P(7, !stop_dead[e] || (srv[e] != SURVIVED && srv[e] != MAYBE && srv[e] != GONE));
			P(3, PLAIN || !took[e] || !(known[OF(e)] == 0 && ino[OF(e)] > sino[e]) ||
				srv[e] == UNKNOWN || srv_c[e] / 16);
			P(12, !known[OF(e)] || policy[OF(e)] == owners[OF(e)] ||
				disk[OF(e)] || disk[(OF(e) + V) % E]);	/* see P8 */
			e++
		:: else -> break
		od;
		s = 0;
		do
		:: s < E && slain[s] ->
			P(7, srv[s] == KILLED || srv[s] == UNKNOWN || disk[s]);
			e = 0;
			do
			:: e < E ->
				P(7, PLAIN || e == s || INC(e) != INC(s) || (srv[e] != KILLED && srv[e] != UNKNOWN));
				e++
			:: else -> break
			od;
			s++
		:: s < E && !slain[s] -> s++
		:: else -> break
		od
	}
}
