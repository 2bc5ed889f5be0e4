/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who comes back however often it is killed: something starts it again, or it doesn't die.
 * To go on killing it helps nobody.  Pure.
 */
#ifndef CORE_COMEBACK_H
#define CORE_COMEBACK_H

#include "userspace/core/model.h"

/* A kill is remembered for so long after the last one of the same. */
#define COMEBACK_MEMORY_US 3600000000ULL
/* The oldest are forgotten beyond so many: ten kills a cycle for an hour. */
#define COMEBACK_MAX 3600

/* Who it is: the same by its id, or by its name and image. */
struct comeback_who {
	char id[MODEL_ID_SIZE];
	char name[MODEL_NAME_SIZE];
	char image[MODEL_IMAGE_SIZE];
};

/* One that was killed, or couldn't be; and how often, within the memory. */
struct comeback {
	struct comeback_who who;
	uint32_t count;
	uint64_t last_us;	/* CLOCK_BOOTTIME */
};

/* All zeroes: none. */
struct comebacks {
	struct comeback *list;
	size_t count, room;
};

/**
 * comebacks_note() - a container was killed, or survived it
 * @b: what is remembered
 * @who: the container
 * @now_us: CLOCK_BOOTTIME
 *
 * Return: 0 or -ENOMEM.
 */
int comebacks_note(struct comebacks *b, const struct comeback_who *who, uint64_t now_us);

void comeback_who(const struct model_container *c, struct comeback_who *ret);

/* How often it was killed already. */
uint32_t comebacks_count(const struct comebacks *b, const struct model_container *c,
			 uint64_t now_us);

void comebacks_forget(struct comebacks *b);

#endif
