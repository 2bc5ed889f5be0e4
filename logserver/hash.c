// SPDX-License-Identifier: GPL-2.0
#include "hash.h"

#include <endian.h>
#include <string.h>

/* The most digits whose value always fits: 10^15 < 2^50. */
#define NUMBER_DIGITS 15

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

struct hash hash_bytes(const uint64_t key[2], const void *data, size_t len)
{
	const unsigned char *p = data;
	struct hash hash;
	uint64_t v[4], word;

	v[0] = key[0] ^ 0x736f6d6570736575;
	v[1] = key[1] ^ 0x646f72616e646f6d ^ 0xee;
	v[2] = key[0] ^ 0x6c7967656e657261;
	v[3] = key[1] ^ 0x7465646279746573;

	for (size_t left = len;; left -= 8, p += 8) {
		word = 0;
		memcpy(&word, p, left < 8 ? left : 8);
		word = le64toh(word);
		if (left < 8)
			word |= (uint64_t)len << 56;
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
		if (left < 8)
			break;
	}

	v[2] ^= 0xee;
	sip_rounds(v, 4);
	hash.half[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	sip_rounds(v, 4);
	hash.half[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
	return hash;
}

struct hash hash_event_id(const uint64_t key[2], const char *id)
{
	size_t len = strlen(id), prefix = len;
	uint64_t number = 0;
	struct hash hash;

	while (prefix > 0 && len - prefix < NUMBER_DIGITS && id[prefix - 1] >= '0' &&
	       id[prefix - 1] <= '9')
		prefix--;
	/* A number starts with no zero, so "7" and "07" differ by what is before it. */
	while (id[prefix] == '0')
		prefix++;
	for (size_t i = prefix; i < len; i++)
		number = number * 10 + (uint64_t)(id[i] - '0');

	hash = hash_bytes(key, id, prefix);
	hash.half[1] = hash.half[1] << HASH_NUMBER_BITS | number;
	if (!hash.half[0] && !hash.half[1])
		hash.half[0] = 1;
	return hash;
}
