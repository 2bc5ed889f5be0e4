// SPDX-License-Identifier: GPL-2.0
#include "metrics.h"

#include <inttypes.h>

static const char *const log_names[RECORD_KINDS] = {
	[RECORD_KILL] = "kills",
	[RECORD_MEMORY] = "memory",
};

static void write_by_log(FILE *out, const char *name, const char *help,
			 const atomic_uint_fast64_t counters[RECORD_KINDS])
{
	fprintf(out, "# TYPE logserver_%s counter\n# HELP logserver_%s %s\n", name, name, help);
	for (int kind = 0; kind < RECORD_KINDS; kind++)
		fprintf(out, "logserver_%s_total{log=\"%s\"} %" PRIuFAST64 "\n", name,
			log_names[kind], atomic_load(&counters[kind]));
}

void metrics_write(FILE *out, const struct metrics *metrics)
{
	write_by_log(out, "records_stored", "Records made durable.", metrics->stored);
	write_by_log(out, "records_duplicate", "Records that were stored before.",
		     metrics->duplicates);
	write_by_log(out, "requests_rejected", "Requests whose records were malformed.",
		     metrics->rejected);
	write_by_log(out, "requests_failed", "Requests whose records could not be stored.",
		     metrics->failed);
	fputs("# TYPE logserver_responses counter\n"
	      "# HELP logserver_responses Responses by HTTP status.\n", out);
	for (int status = 0; status < METRICS_STATUSES; status++) {
		uint_fast64_t count = atomic_load(&metrics->by_status[status]);

		if (count)
			fprintf(out, "logserver_responses_total{status=\"%d\"} %" PRIuFAST64 "\n",
				status, count);
	}
	fputs("# EOF\n", out);
}
