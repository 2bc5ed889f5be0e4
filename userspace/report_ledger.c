// SPDX-License-Identifier: GPL-2.0
#include "userspace/report_ledger.h"

#include <inttypes.h>

#include "userspace/core/escape.h"

/* The sums over all containers that were compared. */
static struct reconcile_books add_up(const struct plan *plan, size_t *verdicts)
{
	struct reconcile_books sum = { 0 };
	size_t i;

	for (i = 0; i < plan->count; i++) {
		const struct reconcile_books *b = plan->decisions[i].books;

		verdicts[b->verdict]++;
		if (b->verdict != RECONCILE_NONE)
			reconcile_add(&sum, b);
	}
	return sum;
}

static double ms(uint64_t us)
{
	return (double)us / 1e3;
}

static double percent(const struct reconcile_books *b, bool witness)
{
	return reconcile_explained(b, witness) / 100.0;
}

static void print_end(const struct ledger_end *end, FILE *out)
{
	char id[13];

	fprintf(out, "%-13s %-12s", end->brief ? "came and went" : "ended", escape(end->id, id, sizeof(id)));
	if (!end->has_status)
		fprintf(out, "  how is not known");
	else if (end->signal)
		fprintf(out, "  signal %d%s", end->signal, end->oom ? " (out of memory)" : "");
	else
		fprintf(out, "  exit status %d", end->exit_code);
	if (end->has_status && end->signal && end->killer_pid)
		fprintf(out, " from process %" PRIu32, end->killer_pid);
	fprintf(out, "; CPU ms %.1f, %" PRIu64 " exits\n", ms(end->cpu_us), end->exits);
}

void report_ledger_text(const struct plan *plan, const struct ledger_window *window,
			uint64_t exits_lost, FILE *out)
{
	size_t i, verdicts[RECONCILE_DISPUTED + 1] = { 0 };
	const struct reconcile_books sum = add_up(plan, verdicts);

	fprintf(out, "cross-check   %zu agreed, %zu disputed, %zu not compared; CPU ms: module %.1f + exited %.1f"
		" %+.1f skew = scheduler %.1f = cgroup %.1f\n",
		verdicts[RECONCILE_AGREED], verdicts[RECONCILE_DISPUTED], verdicts[RECONCILE_NONE],
		ms(sum.module_us), ms(sum.exited_us), (double)sum.skew_us / 1e3, ms(sum.scheduler_us),
		ms(sum.cgroup_us));
	fprintf(out, "explained     %.2f %% (%.2f %% without the witness); dark CPU ms %.1f; %" PRIu64
		" exits, %" PRIu64 " lost; %zu unexplained deaths",
		percent(&sum, true), percent(&sum, false), ms(sum.dark_us), sum.exits, exits_lost,
		window->unexplained);
	for (i = 0; i < window->unexplained && i < LEDGER_NAMED_MAX; i++)
		fprintf(out, "%s%" PRIu32, i ? ", " : ": process ", window->vanished[i].pid);
	if (sum.oom_exits || sum.oom_kills)
		fprintf(out, "; %" PRIu64 " killed for want of memory, memory.events says %" PRIu64,
			sum.oom_exits, sum.oom_kills);
	if (window->lost)
		fprintf(out, "; %zu more with their events lost", window->lost);
	if (window->undead)
		fprintf(out, "; %zu seen to die and still there", window->undead);
	fputc('\n', out);
	for (i = 0; i < window->end_count; i++)
		print_end(&window->ends[i], out);
}

static cJSON *end_json(const struct ledger_end *end)
{
	char shown[4 * MODEL_ID_SIZE];
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "id", escape(end->id, shown, sizeof(shown)));
	cJSON_AddBoolToObject(o, "brief", end->brief);
	if (end->has_status) {
		cJSON_AddNumberToObject(o, "exit_code", end->exit_code);
		cJSON_AddNumberToObject(o, "signal", end->signal);
		cJSON_AddBoolToObject(o, "oom", end->oom);
		cJSON_AddNumberToObject(o, "killer_pid", end->killer_pid);
	}
	cJSON_AddNumberToObject(o, "cpu_us", (double)end->cpu_us);
	cJSON_AddNumberToObject(o, "exits", (double)end->exits);
	return o;
}

void report_ledger_json(const struct plan *plan, const struct ledger_window *window,
			uint64_t exits_lost, cJSON *o)
{
	size_t i, verdicts[RECONCILE_DISPUTED + 1] = { 0 };
	const struct reconcile_books sum = add_up(plan, verdicts);
	cJSON *list;

	cJSON_AddNumberToObject(o, "explained", percent(&sum, true));
	cJSON_AddNumberToObject(o, "explained_without_witness", percent(&sum, false));
	cJSON_AddNumberToObject(o, "dark_us", (double)sum.dark_us);
	cJSON_AddNumberToObject(o, "exits", (double)sum.exits);
	cJSON_AddNumberToObject(o, "exits_lost", (double)exits_lost);
	cJSON_AddNumberToObject(o, "unexplained_deaths", (double)window->unexplained);
	list = cJSON_AddArrayToObject(o, "vanished");
	for (i = 0; i < window->unexplained && i < LEDGER_NAMED_MAX; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber(window->vanished[i].pid));
	cJSON_AddNumberToObject(o, "deaths_lost", (double)window->lost);
	cJSON_AddNumberToObject(o, "undead", (double)window->undead);
	list = cJSON_AddArrayToObject(o, "ended");
	for (i = 0; i < window->end_count; i++)
		cJSON_AddItemToArray(list, end_json(&window->ends[i]));
}

void report_books_json(const struct reconcile_books *b, cJSON *o)
{
	if (b->verdict == RECONCILE_NONE)
		return;
	cJSON_AddNumberToObject(o, "module_us", (double)b->module_us);
	cJSON_AddNumberToObject(o, "exited_us", (double)b->exited_us);
	cJSON_AddNumberToObject(o, "dark_us", (double)b->dark_us);
	cJSON_AddNumberToObject(o, "skew_us", (double)b->skew_us);
	cJSON_AddNumberToObject(o, "joined_us", (double)b->joined_us);
	cJSON_AddNumberToObject(o, "lost_us", (double)b->lost_us);
	cJSON_AddNumberToObject(o, "scheduler_us", (double)b->scheduler_us);
	if (b->has_cgroup)
		cJSON_AddNumberToObject(o, "cgroup_us", (double)b->cgroup_us);
	cJSON_AddNumberToObject(o, "apart_us", (double)b->apart_us);
	cJSON_AddNumberToObject(o, "tolerance_us", (double)b->tolerance_us);
	cJSON_AddNumberToObject(o, "exits", (double)b->exits);
	cJSON_AddNumberToObject(o, "exits_lost", (double)b->exits_lost);
	cJSON_AddNumberToObject(o, "oom_exits", (double)b->oom_exits);
	cJSON_AddNumberToObject(o, "oom_kills", (double)b->oom_kills);
	cJSON_AddNumberToObject(o, "explained", percent(b, true));
	cJSON_AddNumberToObject(o, "explained_without_witness", percent(b, false));
}
