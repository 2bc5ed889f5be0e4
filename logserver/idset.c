// SPDX-License-Identifier: GPL-2.0
#include "idset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_TABLE 1024

void idset_init(struct idset *set, uint64_t secret)
{
	memset(set, 0, sizeof(*set));
	set->spread = secret | 1;
}

void idset_free(struct idset *set)
{
	free(set->young.slots);
	free(set->old.slots);
	memset(set, 0, sizeof(*set));
}

static bool is_empty(const struct hash *slot)
{
	return !slot->half[0] && !slot->half[1];
}

/*
 * The slot that holds @id, or the empty one where it belongs. The client chose
 * the number in half[1]; multiplied by a secret it gives no choice of slots.
 */
static struct hash *find_slot(const struct idset *set, const struct idset_table *table,
			      struct hash id)
{
	size_t i = (size_t)((id.half[0] ^ (id.half[1] * set->spread)) >> 20);

	for (;; i++) {
		struct hash *slot = &table->slots[i & (table->slot_count - 1)];

		if (is_empty(slot) || memcmp(slot, &id, sizeof(id)) == 0)
			return slot;
	}
}

static bool table_has(const struct idset *set, const struct idset_table *table, struct hash id)
{
	return table->slot_count && !is_empty(find_slot(set, table, id));
}

/* At most half full, so that probes stay short. */
int idset_reserve(struct idset *set, size_t count)
{
	struct idset_table bigger = { .slot_count = SMALLEST_TABLE };
	struct idset_table *table = &set->young;

	while (bigger.slot_count < (table->used + count) * 2)
		bigger.slot_count *= 2;
	if (bigger.slot_count <= table->slot_count)
		return 0;
	bigger.slots = calloc(bigger.slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < table->slot_count; i++) {
		if (!is_empty(&table->slots[i]))
			*find_slot(set, &bigger, table->slots[i]) = table->slots[i];
	}
	bigger.used = table->used;
	free(table->slots);
	*table = bigger;
	return 0;
}

bool idset_has(const struct idset *set, struct hash id)
{
	return table_has(set, &set->young, id) || table_has(set, &set->old, id);
}

void idset_add(struct idset *set, struct hash id)
{
	*find_slot(set, &set->young, id) = id;
	set->young.used++;
}

void idset_undo(struct idset *set, struct hash id)
{
	/* The last one in is at the end of its probe run: nothing behind it moves. */
	memset(find_slot(set, &set->young, id), 0, sizeof(id));
	set->young.used--;
}

void idset_turn(struct idset *set)
{
	set->old = set->young;
	memset(&set->young, 0, sizeof(set->young));
}

static int by_value(const void *a, const void *b)
{
	const struct hash *first = a, *second = b;

	for (int i = 0; i < 2; i++) {
		if (first->half[i] != second->half[i])
			return first->half[i] < second->half[i] ? -1 : 1;
	}
	return 0;
}

int idset_old(const struct idset *set, struct hash **ret, size_t *ret_count)
{
	struct hash *ids = calloc(set->old.used ? set->old.used : 1, sizeof(*ids));
	size_t count = 0;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < set->old.slot_count; i++) {
		if (!is_empty(&set->old.slots[i]))
			ids[count++] = set->old.slots[i];
	}
	qsort(ids, count, sizeof(*ids), by_value);
	*ret = ids;
	*ret_count = count;
	return 0;
}

void idset_forget_old(struct idset *set)
{
	free(set->old.slots);
	memset(&set->old, 0, sizeof(set->old));
}
