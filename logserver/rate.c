// SPDX-License-Identifier: GPL-2.0
#include "rate.h"

/* Places in which a client's bucket can be. */
#define WAYS 8

/* The client's bucket, or the one of those in its place that was idle longest. */
static struct rate_bucket *find_bucket(struct rate *rate, uint64_t client)
{
	struct rate_bucket *oldest = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		struct rate_bucket *bucket = &rate->buckets[(client + i) % LIMITS_RATE_CLIENTS];

		if (bucket->client == client)
			return bucket;
		if (!oldest || !bucket->client || bucket->at_ms < oldest->at_ms)
			oldest = bucket;
		if (!bucket->client)
			break;
	}
	oldest->client = 0;
	return oldest;
}

bool rate_take(struct rate *rate, uint64_t client, int64_t now_ms)
{
	double most = rate->per_s * LIMITS_RATE_BURST_S;
	struct rate_bucket *bucket;

	if (rate->per_s <= 0)
		return true;
	bucket = find_bucket(rate, client);
	if (!bucket->client) {
		bucket->client = client;
		bucket->tokens = most;
		bucket->at_ms = now_ms;
	} else if (now_ms > bucket->at_ms) {
		bucket->tokens += (double)(now_ms - bucket->at_ms) / 1000 * rate->per_s;
		if (bucket->tokens > most)
			bucket->tokens = most;
		bucket->at_ms = now_ms;
	}
	if (bucket->tokens < 1)
		return false;
	bucket->tokens--;
	return true;
}
