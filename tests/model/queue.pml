/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The spool's queue: numbered batches, one sender, a disk with room for some of them.
 *
 * The sender takes the batch with the fewest answers against it, of those a kill before a
 * sample, then the lowest number. No answer at all counts against no batch. An answer that is
 * not in our server's words (500, foreign 4xx), and a file that cannot be read, counts one
 * against its batch. A refusal in our server's words (400, 409, 413, 422) puts the batch aside
 * under another name; if that fails, it counts one against the batch. On a full disk the oldest
 * waiting sample is given up for a kill, never a kill.
 *
 * Properties:
 *
 *   Q1  ltl leaves: a good batch that waits is stored in the end, unless it is a sample and was
 *       given up for a kill. Searched under weak fairness.
 *   Q2  No sample is sent before a kill with no more answers against it.
 *   Q3  No kill is given up.
 *   Q4  No kill waits for room on a disk with a sample that could be given up.
 *
 * Rules that can be left out: NO_ORDER (the lowest number first, again and again), NO_COUNT
 * (a foreign answer does not count), NO_PASS (a batch that cannot be put aside does not count),
 * NO_CONFLICT (409 is an unknown answer, which does not count), NO_KILLS_FIRST,
 * NO_GIVE_UP (a full disk keeps its samples), NO_KEEP_KILLS (it gives up the oldest batch).
 */
#ifndef N
#define N	3	/* batches */
#endif
#ifndef ROOM
#define ROOM	2	/* on the disk; what is aside takes room as well */
#endif
#ifndef NDOWN
#define NDOWN	1	/* how often the server is down */
#endif
#ifndef NFOREIGN
#define NFOREIGN 1	/* foreign answers to good batches */
#endif
#ifndef NCRASH
#define NCRASH	1	/* ends of the monitor: the counts are in memory only */
#endif
#define MOST	3	/* the counts go no further here; more than NFOREIGN */

#ifndef PMASK
#define PMASK	255	/* which of Q2 to Q4 are checked, bit n for Qn */
#endif
#define P(n, c)	assert(!((PMASK >> n) & 1) || (c))

#define NOT	0
#define WAITS	1
#define STORED	2
#define ASIDE	3
#define GIVEN_UP 4

#define GOOD	0
#define STUCK	1	/* a foreign answer each time, or a file that cannot be read */
#define REFUSED	2	/* 400, 413, 422 in our server's words */
#define CONFLICT 3	/* 409: same id, other content */

byte state[N], kind[N], against[N];
bool is_kill[N], down;
byte used, next, mine = 255, ndown, nforeign, ncrash;
hidden byte o;

#ifndef NO_KEEP_KILLS
#define MAY_GO(n)	(state[n] == WAITS && !is_kill[n])
#else
#define MAY_GO(n)	(state[n] == WAITS)
#endif
#define SAMPLE(n)	(state[n] == WAITS && !is_kill[n])
#if N == 3
#define ANY(m)	(m(0) || m(1) || m(2))
#else
#define ANY(m)	(m(0) || m(1) || m(2) || m(3))
#endif
#define WAITING(n)	(state[n] == WAITS)

/* Only within d_step. */
inline leave(n, s)
{
	state[n] = s; against[n] = 0;
	if
	:: s == STORED || s == GIVEN_UP -> used--
	:: else
	fi
}

inline count(n)
{
	against[n] = (against[n] < MOST -> against[n] + 1 : MOST)
}

active proctype Producer()
{
	byte k;
	bool kill;

	do
	:: next < N ->
		atomic {
			if :: kill = 0 :: kill = 1 fi;
			if :: k = GOOD :: k = STUCK :: k = REFUSED :: k = CONFLICT fi };
		if
		:: d_step { used >= ROOM && kill ->
#ifndef NO_GIVE_UP
			o = 0;
			do
			:: o < N && !MAY_GO(o) -> o++
			:: else -> break
			od;
			if
			:: o < N -> P(3, !is_kill[o]); leave(o, GIVEN_UP)
			:: else
			fi;
			o = 0;
#endif
			P(4, used < ROOM || !ANY(SAMPLE)) }
		:: used < ROOM || !kill
		fi;
		if
		:: atomic { used < ROOM ->
			is_kill[next] = kill; kind[next] = k; state[next] = WAITS; used++;
			/* one of the good is followed */
			if
			:: mine == 255 && k == GOOD -> mine = next
			:: skip
			fi;
			next++ }
		:: d_step { used >= ROOM && !kill -> next++ }	/* this sample is not kept */
		/* else the intent of this kill stays open, and its put waits for room */
		fi;
		d_step { kill = 0; k = 0 }
	:: else -> break
	od
}

active proctype Sender()
{
	byte n, b;

end:
	do
	:: d_step { ANY(WAITING) ->
		b = 255; n = 0;
		do
		:: n < N ->
			if
			:: state[n] == WAITS && b == 255 -> b = n
#ifndef NO_ORDER
			:: state[n] == WAITS && b != 255 && against[n] < against[b] -> b = n
#ifndef NO_KILLS_FIRST
			:: state[n] == WAITS && b != 255 && against[n] == against[b] && is_kill[n] && !is_kill[b] -> b = n
#endif
#endif
			:: else
			fi;
			n++
		:: else -> break
		od;
#ifndef NO_ORDER
		n = 0;
		do
		:: n < N ->
			P(2, is_kill[b] || !is_kill[n] || state[n] != WAITS || against[n] > against[b]);
			n++
		:: else -> break
		od;
#endif
		n = 0 };
		/* a batch given up meanwhile was read before */
		if
		:: d_step { down || state[b] != WAITS -> b = 0 }
		:: d_step { !down && state[b] == WAITS && kind[b] == GOOD -> leave(b, STORED); b = 0 }
		:: d_step { !down && state[b] == WAITS && kind[b] == GOOD && nforeign < NFOREIGN ->
			nforeign++; count(b); b = 0 }
		:: d_step { !down && state[b] == WAITS && kind[b] == STUCK ->
#ifndef NO_COUNT
			count(b);
#endif
			b = 0 }
#ifndef NO_CONFLICT
		:: d_step { !down && state[b] == WAITS && kind[b] >= REFUSED -> leave(b, ASIDE); b = 0 }
#else
		:: d_step { !down && state[b] == WAITS && kind[b] == CONFLICT -> b = 0 }
		:: d_step { !down && state[b] == WAITS && kind[b] == REFUSED -> leave(b, ASIDE); b = 0 }
#endif
		/* the new name finds no room in its folder */
		:: d_step { !down && state[b] == WAITS && kind[b] >= REFUSED && used >= ROOM ->
#ifndef NO_PASS
			count(b);
#endif
			b = 0 }
		/* the monitor ends and begins again */
		:: d_step { ncrash < NCRASH -> ncrash++; n = 0;
			do
			:: n < N -> against[n] = 0; n++
			:: else -> break
			od;
			n = 0; b = 0 }
		fi
	od
}

active proctype Net()
{
end:
	do
	:: d_step { !down && ndown < NDOWN -> ndown++; down = 1 }
	:: d_step { down -> down = 0 }
	od
}

#define waits	(mine < N && state[mine] == WAITS)

ltl leaves { [] (waits -> <> !waits) }
