// SPDX-License-Identifier: GPL-2.0
/* What a cycle of many made-up containers costs to judge and to record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/property/world.h"
#include "userspace/core/look.h"
#include "userspace/io/recording.h"

#define LOOKS 30

static struct world world;

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void bench(uint32_t containers, const char *path)
{
	struct judge_sight last = { 0 };
	struct chance order = { 1 };
	double judged = 0, kept = 0;
	char reason[RECORDING_REASON_SIZE];
	struct recording *recording;
	struct judge j = { 0 };
	struct stat st;
	int i;

	unlink(path);
	if (recording_create(path, LOOK_VERSION, 1 << 30, &recording, reason)) {
		fprintf(stderr, "bench_judge: %s\n", reason);
		exit(1);
	}
	world_begin(&world, 5, containers);
	world.calm = true;
	for (i = 0; i < LOOKS; i++) {
		struct look_bytes bytes = { 0 };
		struct judgement g;
		struct judge_sight now;
		struct ledger_sum *sums;
		double begin;

		world_step(&world);
		now = world_sight(&world, &order);
		sums = malloc(world.sum_count * sizeof(*sums) + 1);
		memcpy(sums, world.sums, world.sum_count * sizeof(*sums));
		begin = cpu_ms();
		if (judge_step(&j, &world.policy, &now, i ? &last : NULL, &g))
			abort();
		judged += cpu_ms() - begin;
		judgement_free(&g);
		begin = cpu_ms();
		look_encode(&(struct look){ .seen = true, .sight = now }, &bytes);
		if (bytes.failed || recording_put(recording, RECORDING_LOOK, bytes.data, bytes.len))
			abort();
		kept += cpu_ms() - begin;
		free(bytes.data);
		model_free(last.model);
		free((void *)last.reading.sums);
		last = now;
		last.reading.sums = sums;
	}
	stat(path, &st);
	printf("%10u %10zu %14.2f %14.2f %14.1f\n", containers, last.model->process_count, judged / LOOKS,
	       kept / LOOKS, (double)st.st_size / 1024 / LOOKS);
	model_free(last.model);
	free((void *)last.reading.sums);
	judge_forget(&j);
	recording_close(recording);
	unlink(path);
}

int main(void)
{
	static const uint32_t sizes[] = { 10, 100, 2000 };
	char folder[] = "/tmp/bench_judge-XXXXXX", path[64];
	size_t i;

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/recording", folder);
	printf("%10s %10s %14s %14s %14s\n", "containers", "processes", "judge, ms CPU", "record, ms CPU",
	       "KiB a look");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		bench(sizes[i], path);
	rmdir(folder);
	return 0;
}
