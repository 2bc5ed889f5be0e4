// SPDX-License-Identifier: GPL-2.0
#include "plot.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KIB_PER_GIB (1024.0 * 1024.0)
#define KIB_PER_MIB 1024.0

/* A line is broken where nothing was heard for this long: the server or the
 * monitor was down, and what lay in between is not known. */
#define GAP_MS (10 * 60 * 1000)
/* Up to here each sample is marked, each bar named. */
#define MARKED_SAMPLES 120
#define NAMED_BARS 25
/* Fewer bars than this still leave the room of so many. */
#define LEAST_BARS 10
#define TIME_TICKS 10
#define PAGE_WIDTH 1600
#define MEMORY_HEIGHT 720
#define KILLS_HEIGHT 920
/* Of a picture that has nothing to show. */
#define EMPTY_HEIGHT 300
/* Of a host's name in the legend; more would reach the heading. */
#define HOST_LABEL_BYTES 32
/* Of a name below a bar; more would leave the page at the left. */
#define BAR_NAME_BYTES 22
/* How high a removal's mark stands in the graph of memory. */
#define MARK_HEIGHT 0.04
/* Above this the gaps between the bars would be thinner than a pixel. */
#define NARROW_BARS 150

/* The palette of Okabe and Ito, which colour-blind eyes tell apart too. */
#define COLOUR_USED "#D55E00"
#define COLOUR_FREE "#0072B2"
#define COLOUR_AVAILABLE "#009E73"
#define COLOUR_TOTAL "#555555"
#define COLOUR_REMOVAL "#882255"

/* Kinds of bars: the classes, then the classes in a dry run, which has killed nobody. */
#define BAR_KINDS (2 * RECORD_CLASSES)
static const char *const class_colours[RECORD_CLASSES] = { "#D55E00", "#0072B2", "#999999" };
static const char *const bar_titles[BAR_KINDS] = {
	"high consumer", "low consumer", "class unknown",
	"high, dry run", "low, dry run", "unknown, dry run",
};

#define DATA "'/proc/self/fd/" LIMITS_TEXT(PLOT_DATA_FD) "'"
#define SAMPLES DATA " index 0"
#define MARKS DATA " index 1"

void plot_label(const char *text, char *to, size_t size)
{
	size_t put = 0;

	/* A character of several bytes becomes one '_'. */
	for (; *text && put + 1 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c & 0xc0) == 0x80)
			continue;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr(" .:/+-", c))
			to[put++] = (char)c;
		else
			to[put++] = '_';
	}
	to[put] = 0;
}

/* What differs between a bitmap and SVG, whose sizes are pixels instead of points. */
struct look {
	const char *terminal;
	int heading, note, small;  /* font sizes */
};

static const struct look looks[] = {
	[false] = { "pngcairo background rgb '#ffffff' font 'DejaVu Sans,14'", 20, 17, 11 },
	/* Without a background, so that it suits a dark page as well. */
	[true] = { "svg font 'sans-serif,17'", 25, 21, 15 },
};

/* The heading stands at the top left of the page, the legend at its right. */
static void describe_page(FILE *script, const struct look *look, int height, const char *title)
{
	/* Not `enhanced`: so a name with ^ or {} stays as it is. */
	fprintf(script, "set terminal %s noenhanced size %d,%d\n", look->terminal, PAGE_WIDTH, height);
	fprintf(script, "set encoding utf8\n"
			"set datafile separator tab\n"
			"set datafile missing '?'\n"
			"set border 3 lc rgb '#555555'\n"
			"set grid xtics ytics lc rgb '#dddddd' lt 1 lw 1\n"
			"set tics nomirror out scale 0.6 textcolor rgb '#333333'\n"
			"set key at screen 0.975,%.4f right center horizontal Left reverse "
			"samplen 2 textcolor rgb '#222222'\n"
			"set lmargin at screen 0.065\nset rmargin at screen 0.975\n"
			"set label 1 '%s' at screen 0.012,%.4f left font ',%d' "
			"textcolor rgb '#222222'\n",
		1 - 34.0 / height, title, 1 - 34.0 / height, look->heading);
}

static void describe_nothing(FILE *script, const struct look *look, const char *message)
{
	fprintf(script, "unset key\nunset tics\nunset grid\nunset border\n"
			"set label 2 '%s' at graph 0.5,0.5 center font ',%d' "
			"textcolor rgb '#777777'\n"
			"set xrange [0:1]\nset yrange [0:1]\n"
			"plot NaN notitle\n", message, look->note);
}

/* Seconds between ticks: at most TIME_TICKS of them, at round times. */
static long tick_step(int64_t span_s)
{
	static const long steps[] = { 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600,
				      7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600,
				      2592000, 7776000, 31536000 };
	size_t i = 0;

	while (i + 1 < sizeof(steps) / sizeof(steps[0]) && span_s / steps[i] > TIME_TICKS)
		i++;
	return steps[i];
}

static void write_moment(int64_t ms, const char *format, char *text, size_t size)
{
	time_t seconds = ms / 1000;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, size, format, &tm);
}

/* "UTC, 2026-11-23" or "UTC, 2026-11-23 to 2026-11-25". */
static void write_days(int64_t first_ms, int64_t last_ms, char *text, size_t size)
{
	char first[16], last[16];

	write_moment(first_ms, "%Y-%m-%d", first, sizeof(first));
	write_moment(last_ms, "%Y-%m-%d", last, sizeof(last));
	if (strcmp(first, last) == 0)
		snprintf(text, size, "UTC, %s", first);
	else
		snprintf(text, size, "UTC, %s to %s", first, last);
}

/* The table of samples; gives the largest value and whether any has `available`. */
static void write_memory(FILE *data, const struct series_memory *memory, double *ret_most_gib,
			 bool *ret_available)
{
	int64_t before_ms = series_bin_time(memory, &memory->bins[0]);
	char host[HOST_LABEL_BYTES + 1];

	*ret_most_gib = 0.001;
	*ret_available = false;
	/* The host's name is a column's header: data, not script. */
	plot_label(memory->host, host, sizeof(host));
	fprintf(data, "time\tused\tfree\tavailable\ttotal\t%s%s\n", host[0] ? "host " : " ", host);
	for (size_t i = 0; i < memory->bin_count; i++) {
		const struct series_bin *bin = &memory->bins[i];
		int64_t time_ms = series_bin_time(memory, bin);
		double total_gib = bin->total_kib / bin->count / KIB_PER_GIB;
		double used_gib = bin->used_kib / bin->count / KIB_PER_GIB;

		if (time_ms - before_ms > GAP_MS + memory->width_ms)
			fputc('\n', data);
		before_ms = time_ms;
		fprintf(data, "%.3f\t%.6f\t%.6f\t", (double)time_ms / 1000, used_gib,
			bin->free_kib / bin->count / KIB_PER_GIB);
		if (bin->available_count) {
			*ret_available = true;
			fprintf(data, "%.6f", bin->available_kib / bin->available_count /
					      KIB_PER_GIB);
		} else {
			fputc('?', data);
		}
		fprintf(data, "\t%.6f\n", total_gib);
		*ret_most_gib = fmax(*ret_most_gib, fmax(total_gib, used_gib));
	}
}

/* The times at which containers of this host were removed: a table of its own behind the
 * samples', of which false says that there is none. */
static bool write_marks(FILE *data, const struct series_memory *memory,
			const struct series_kill *kills, size_t count, double height_gib)
{
	int64_t first_ms = series_bin_time(memory, &memory->bins[0]) - memory->width_ms;
	int64_t last_ms = memory->last_ms + memory->width_ms;
	uint64_t host = series_host_hash(memory->host);
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (kills[i].kill.outcome != RECORD_REMOVED || kills[i].host != host ||
		    kills[i].time_ms < first_ms || kills[i].time_ms > last_ms)
			continue;
		/* Two empty lines: gnuplot's "index 1". */
		fprintf(data, "%s%.3f\t%.6f\n", any ? "" : "\n\n", (double)kills[i].time_ms / 1000,
			height_gib);
		any = true;
	}
	return any;
}

static void describe_memory(FILE *script, FILE *data, const struct look *look,
			    const struct series *series, const struct series_kill *kills,
			    size_t kill_count)
{
	const struct series_memory *memory = series_newest_host(series);
	int64_t first_ms, last_ms;
	const char *style, *format;
	bool available, marks;
	double most_gib;
	char days[64];
	long step;

	if (!memory) {
		describe_nothing(script, look, "No memory samples yet");
		return;
	}
	write_memory(data, memory, &most_gib, &available);
	marks = write_marks(data, memory, kills, kill_count, most_gib * MARK_HEIGHT);

	first_ms = series_bin_time(memory, &memory->bins[0]);
	last_ms = series_bin_time(memory, &memory->bins[memory->bin_count - 1]);
	if (last_ms - first_ms < 60 * 1000) {
		first_ms -= 30 * 1000;
		last_ms += 30 * 1000;
	}
	write_days(first_ms, last_ms, days, sizeof(days));
	step = tick_step((last_ms - first_ms) / 1000);
	format = step < 60 ? "%H:%M:%S" : step < 3600 ? "%H:%M" :
		 step < 86400 ? "%H:%M\\n%m-%d" : "%Y-%m-%d";
	style = memory->bin_count <= MARKED_SAMPLES ? "linespoints" : "lines";
	fprintf(script, "set tmargin at screen 0.91\n"
			"set xdata time\nset timefmt '%%s'\n"
			"set format x \"%s\"\nset xtics %ld\nset xrange [%lld:%lld]\n"
			"set xlabel 'time (%s)'\n"
			"set ylabel 'memory (GiB)'\nset yrange [0:%.6f]\n",
		format, step, (long long)(first_ms / 1000), (long long)((last_ms + 999) / 1000),
		days, most_gib * 1.03);
	fprintf(script, "plot " SAMPLES " using 1:(NaN) with points lc bgnd title columnheader(6), "
			SAMPLES " using 1:2 with filledcurves y1=0 fc rgb '" COLOUR_USED "' "
			"fs transparent solid 0.18 notitle, "
			SAMPLES " using 1:5 with lines lw 1.5 dt 2 lc rgb '" COLOUR_TOTAL "' "
			"title columnheader(5), "
			SAMPLES " using 1:3 with %s lw 2.5 pt 5 ps 0.6 lc rgb '" COLOUR_FREE "' "
			"title columnheader(3), ", style);
	if (available)
		fprintf(script, SAMPLES " using 1:4 with %s lw 2.5 pt 9 ps 0.7 "
				"lc rgb '" COLOUR_AVAILABLE "' title columnheader(4), ", style);
	fprintf(script, SAMPLES " using 1:2 with %s lw 2.5 pt 7 ps 0.6 lc rgb '" COLOUR_USED "' "
			"title columnheader(2)", style);
	if (marks)
		fputs(", " MARKS " using 1:2 with impulses lw 2 lc rgb '" COLOUR_REMOVAL "' "
		      "title 'removal'", script);
	fputc('\n', script);
}

/* Where a bar's time stands below it when there is no room for names. */
static bool has_time_tick(size_t i, size_t count)
{
	size_t every = (count + TIME_TICKS) / (TIME_TICKS + 1);

	return i % every == every / 2;
}

static int bar_kind(const struct record_kill *kill)
{
	return (int)kill->class + (kill->outcome == RECORD_DRY_RUN ? RECORD_CLASSES : 0);
}

/* A value in its kind's column. */
static void write_bar(FILE *data, int kind, const char *format, double value)
{
	for (int i = 0; i < BAR_KINDS; i++) {
		fputc('\t', data);
		if (i == kind)
			fprintf(data, format, value);
		else
			fputc('?', data);
	}
}

/* One line for each bar: place, label, then memory by kind, then CPU by kind. */
static void write_kills(FILE *data, const struct series_kill *kills, size_t count)
{
	char name[BAR_NAME_BYTES + 1], time[16];

	for (size_t i = 0; i < count; i++) {
		const struct record_kill *kill = &kills[i].kill;

		fprintf(data, "%zu\t", i + 1);
		write_moment(kills[i].time_ms, "%H:%M:%S", time, sizeof(time));
		plot_label(kill->name, name, sizeof(name));
		if (count <= NAMED_BARS)
			fprintf(data, "%s%s %s", name,
				strlen(kill->name) > BAR_NAME_BYTES ? "\xe2\x80\xa6" : "", time);
		else if (has_time_tick(i, count))
			fputs(time, data);
		write_bar(data, bar_kind(kill), "%.4f", kill->memory_kib / KIB_PER_MIB);
		write_bar(data, bar_kind(kill), "%.2f", kill->cpu_percent);
		fputc('\n', data);
	}
}

/* Bars of the kinds that there are, from @first_column on, with their values if @named. */
static void describe_bars(FILE *script, const struct look *look, int first_column,
			  const bool *present, bool named)
{
	for (int kind = 0; kind < BAR_KINDS; kind++) {
		const char *colour = class_colours[kind % RECORD_CLASSES];
		int column = first_column + kind;

		if (!present[kind])
			continue;
		fprintf(script, ", " DATA " using 1:%d with boxes ", column);
		if (kind < RECORD_CLASSES)
			fprintf(script, "fs solid 0.85 noborder lc rgb '%s'", colour);
		else
			fprintf(script, "fs solid 0.15 border lc rgb '%s' lc rgb '%s'", colour, colour);
		fprintf(script, " title '%s'", bar_titles[kind]);
		if (named)
			fprintf(script, ", " DATA " using 1:%d:(sprintf('%%.1f', $%d)) with labels "
					"offset 0,0.6 font ',%d' textcolor rgb '#444444' notitle",
				column, column, look->small);
	}
	fputc('\n', script);
}

static void describe_kills(FILE *script, FILE *data, const struct look *look,
			   const struct series *series, const struct series_kill *kills,
			   size_t count)
{
	bool present[BAR_KINDS] = { false };
	size_t room = count < LEAST_BARS ? LEAST_BARS : count;
	double middle = ((double)count + 1) / 2;
	bool named = count <= NAMED_BARS;
	char days[64];

	if (!count) {
		describe_nothing(script, look, "No container has been removed yet");
		return;
	}
	write_kills(data, kills, count);
	for (size_t i = 0; i < count; i++)
		present[bar_kind(&kills[i].kill)] = true;
	write_days(kills[0].time_ms, kills[count - 1].time_ms, days, sizeof(days));

	/* Two panels, one above the other; only the lower one names the bars. */
	fprintf(script, "set multiplot\n"
			"set boxwidth %s\nset xrange [%.2f:%.2f]\n"
			"set yrange [0:1<*]\nset offsets 0,0,graph 0.1,0\n"
			"set grid noxtics\nunset xtics\n"
			"set tmargin at screen 0.92\nset bmargin at screen %.3f\n"
			"set ylabel 'memory (MiB)'\n"
			"plot NaN notitle",
		count <= NARROW_BARS ? "0.8" : "1.0", middle - (double)room / 2 - 0.1,
		middle + (double)room / 2 + 0.1, named ? 0.635 : 0.54);
	describe_bars(script, look, 3, present, named);
	fprintf(script, "unset label 1\nunset key\n"
			"set tmargin at screen %.3f\nset bmargin at screen %.3f\n"
			"set ylabel 'CPU (%% of one CPU)'\n",
		named ? 0.595 : 0.50, named ? 0.31 : 0.12);
	if (named)
		fprintf(script, "set xtics scale 0 rotate by 62 right font ',%d'\n", look->small);
	else
		fputs("set xtics scale 0 norotate\n", script);
	fputs("set label 2 'removed containers", script);
	if (series_drawn(series) > count)
		fprintf(script, ", the last %zu of %" PRIu64, count, series_drawn(series));
	fprintf(script, ", by time of removal (%s)' at screen 0.52,0.03 center\n", days);
	/* An invisible plot brings the labels: they are data, never script. */
	fputs("plot " DATA " using 1:(0):xtic(2) with points ps 0 lc bgnd notitle", script);
	describe_bars(script, look, 3 + BAR_KINDS, present, named);
	fputs("unset multiplot\n", script);
}

int plot_describe(enum record_kind kind, bool svg, const struct series *series,
		  struct plot_job *ret)
{
	size_t count = series_recent_count(series);
	const struct look *look = &looks[svg];
	struct series_kill *kills = NULL;
	struct plot_job job = { 0 };
	FILE *script, *data;
	bool failed;

	kills = calloc(count ? count : 1, sizeof(*kills));
	script = open_memstream(&job.script, &job.script_len);
	data = open_memstream(&job.data, &job.data_len);
	failed = !kills || !script || !data;
	if (!failed && kind == RECORD_MEMORY) {
		describe_page(script, look, series->host_count ? MEMORY_HEIGHT : EMPTY_HEIGHT,
			      "Memory of the machine");
		series_recent(series, kills);
		describe_memory(script, data, look, series, kills, count);
	} else if (!failed) {
		series_recent(series, kills);
		describe_page(script, look, count ? KILLS_HEIGHT : EMPTY_HEIGHT,
			      "Removed containers");
		describe_kills(script, data, look, series, kills, count);
	}
	free(kills);
	/* A stream that ran out of memory says so at the latest when it is closed. */
	if (script && (ferror(script) | fclose(script)))
		failed = true;
	if (data && (ferror(data) | fclose(data)))
		failed = true;
	if (failed) {
		plot_job_free(&job);
		return -ENOMEM;
	}
	*ret = job;
	return 0;
}

void plot_job_free(struct plot_job *job)
{
	free(job->script);
	free(job->data);
	memset(job, 0, sizeof(*job));
}
