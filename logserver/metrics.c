// SPDX-License-Identifier: GPL-2.0
#include "metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

static const char *const log_names[RECORD_KINDS] = {
	[RECORD_KILL] = "kills",
	[RECORD_MEMORY] = "memory",
};

/* In OpenMetrics a counter's family has its samples' name without "_total". */
static void describe(FILE *out, bool openmetrics, const char *name, const char *type,
		     const char *help)
{
	const char *ending = !openmetrics && strcmp(type, "counter") == 0 ? "_total" : "";

	fprintf(out, "# TYPE logserver_%s%s %s\n# HELP logserver_%s%s %s\n", name, ending, type,
		name, ending, help);
}

static void write_counters(FILE *out, bool openmetrics, const char *name, const char *help,
			   const atomic_uint_fast64_t counters[RECORD_KINDS])
{
	describe(out, openmetrics, name, "counter", help);
	for (int kind = 0; kind < RECORD_KINDS; kind++)
		fprintf(out, "logserver_%s_total{log=\"%s\"} %" PRIuFAST64 "\n", name,
			log_names[kind], atomic_load(&counters[kind]));
}

static void write_extents(FILE *out, bool openmetrics,
			  const struct store_extent extents[RECORD_KINDS])
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} gauges[] = {
		{ "records", "Records stored now.", offsetof(struct store_extent, records) },
		{ "disk_bytes", "Bytes of the files of records.",
		  offsetof(struct store_extent, bytes) },
		{ "files", "Files of records.", offsetof(struct store_extent, files) },
		{ "index_pending", "Records that the index does not have yet.",
		  offsetof(struct store_extent, pending) },
	};

	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		describe(out, openmetrics, gauges[i].name, "gauge", gauges[i].help);
		for (int kind = 0; kind < RECORD_KINDS; kind++)
			fprintf(out, "logserver_%s{log=\"%s\"} %" PRId64 "\n", gauges[i].name,
				log_names[kind],
				*(const int64_t *)((const char *)&extents[kind] + gauges[i].offset));
	}
}

void metrics_write(FILE *out, const struct metrics *metrics, double loaded,
		   const struct store_extent extents[RECORD_KINDS], bool openmetrics)
{
	write_counters(out, openmetrics, "records_stored", "Records made durable.", metrics->stored);
	write_counters(out, openmetrics, "records_duplicate", "Records that were stored before.",
		       metrics->duplicates);
	write_counters(out, openmetrics, "requests_rejected",
		       "Requests whose records were malformed.", metrics->rejected);
	write_counters(out, openmetrics, "requests_failed",
		       "Requests whose records could not be stored.", metrics->failed);
	describe(out, openmetrics, "loaded_ratio", "gauge",
		 "How much of the logs is loaded; records are taken and given out when all is.");
	fprintf(out, "logserver_loaded_ratio %.3f\n", loaded);
	if (loaded == 1)
		write_extents(out, openmetrics, extents);
	describe(out, openmetrics, "responses", "counter", "Responses by HTTP status.");
	for (int status = 0; status < METRICS_STATUSES; status++) {
		uint_fast64_t count = atomic_load(&metrics->by_status[status]);

		if (count)
			fprintf(out, "logserver_responses_total{status=\"%d\"} %" PRIuFAST64 "\n",
				status, count);
	}
	if (openmetrics)
		fputs("# EOF\n", out);
}
