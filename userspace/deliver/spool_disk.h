/* SPDX-License-Identifier: GPL-2.0 */
/* The spool's half in the disk process, and what crosses between it and the loop. */
#ifndef DELIVER_SPOOL_DISK_H
#define DELIVER_SPOOL_DISK_H

#include <limits.h>

#include "userspace/deliver/spool.h"
#include "userspace/host/disk.h"

enum spool_op {
	SPOOL_OP_START,		/* answer: struct spool_start_answer, the batches, the intents */
	SPOOL_OP_SAVE_INTENTS,	/* room; the text */
	SPOOL_OP_PUT,		/* kind; the body. Answer: struct spool_batch */
	SPOOL_OP_READ,		/* batch. Answer: the body */
	SPOOL_OP_REMOVE,	/* batch */
	SPOOL_OP_REFUSE,	/* batch */
	SPOOL_OP_MARK,		/* armed; why */
};

/* Before the text of each call. */
struct spool_question {
	struct spool_batch batch;
	uint64_t room;
	bool armed;
};

struct spool_start_answer {
	bool armed;
	int intents_err;
	uint64_t intents_len;
	uint64_t batch_count;
	uint64_t refused_count;
	bool slot_damaged;
	char why[512];
	char lock_path[PATH_MAX];
};

/* The state there; before the fork all but @path is as spool_disk_init() leaves it. */
struct spool_disk {
	const char *path;
	int dir, lock;
	bool versioned;		/* the file "version" is there */
	uint64_t next;		/* batch's number */
	int current;		/* slot of the intents that hold; -1: none */
	uint64_t sequence;	/* the last that was given to a slot */
	bool slot_damaged;	/* see struct spool_start */
};

void spool_disk_init(struct spool_disk *s, const char *path);

/* A disk_handler_fn. */
void spool_disk_handle(void *ctx, uint32_t op, const char *data, size_t len,
		       struct disk_answer *ret);

#endif
