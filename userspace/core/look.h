/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a recording holds of a cycle, as bytes: the look, which is all that judge_step()
 * rests on, and what was decided and done.  Pure; written with care for what is read: the
 * bytes may be anybody's.
 */
#ifndef CORE_LOOK_H
#define CORE_LOOK_H

#include "userspace/core/judge.h"

/* Goes up when the bytes mean something else. */
#define LOOK_VERSION 4

/* More is refused by look_decode(), so that no recording can take all memory. */
#define LOOK_CONTAINERS_MAX 65536
#define LOOK_PROCESSES_MAX 4194304
#define LOOK_TEXT_MAX 512

/* The user's hand on the brake since the look before: 'A' armed, 'D' disarmed, in order. */
#define LOOK_HAND_MAX 15

struct look {
	int64_t unix_ms;
	uint64_t cycle;
	bool seen;			/* else nothing was, and the sight is empty */
	char hand[LOOK_HAND_MAX + 1];
	struct judge_sight sight;
};

/* What became of a container in its cycle. */
enum look_fate {
	LOOK_STAYED,
	LOOK_KILLED,
	LOOK_UNVERIFIED,
	LOOK_DYING,	/* told to die, not seen dead yet */
	LOOK_GONE,
	LOOK_SURVIVED,
	LOOK_WOULD,	/* in a dry run */
	LOOK_FATES,
};

struct look_verdict {
	uint8_t class;
	uint8_t rule;
	uint8_t fate;
};

struct look_outcome {
	enum brake_mode mode;
	char why[BRAKE_REASON_SIZE];	/* it is disarmed */
	bool decided;
	struct look_verdict *verdicts;	/* of the look's containers, in their order */
	size_t count;
};

struct look_bytes {
	uint8_t *data;		/* freed by the caller */
	size_t len, room;
	bool failed;		/* there was no memory: the bytes are not whole */
};

/* Each appends.  A look whose model is NULL is one that was not seen. */
void look_encode(const struct look *l, struct look_bytes *to);
void look_encode_outcome(const struct look_outcome *o, struct look_bytes *to);

/**
 * look_decode() - the look that these bytes are
 * @ret: the caller frees it with look_free()
 *
 * Return: 0; -EBADMSG: they are none; -ENOMEM.
 */
int look_decode(const uint8_t *data, size_t len, struct look *ret);
int look_decode_outcome(const uint8_t *data, size_t len, struct look_outcome *ret);

/* Of what look_decode() made. */
void look_free(struct look *l);
void look_free_outcome(struct look_outcome *o);

/* "stayed", "killed", … */
const char *look_fate_name(enum look_fate fate);

#endif
