// SPDX-License-Identifier: GPL-2.0
#include "page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "timestamp.h"

#define KIB_PER_GIB (1024.0 * 1024.0)

static const char style[] =
	":root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--text:#1c2430;--soft:#5b6675;"
	"--line:#dfe3e8;--high:#b34700;--low:#005f9e}\n"
	"@media(prefers-color-scheme:dark){:root{--page:#12161c;--card:#1b212a;--text:#e6eaf0;"
	"--soft:#9aa6b5;--line:#303844;--high:#ff9b5e;--low:#6cb8f0}"
	"figure img{filter:invert(.9) hue-rotate(180deg)}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;background:var(--page);color:var(--text);"
	"font:16px/1.5 system-ui,'DejaVu Sans',sans-serif}\n"
	"main{max-width:75rem;margin:0 auto;padding:1.5rem}\n"
	"h1{font-size:1.6rem;margin:0}\n"
	"h2{font-size:1.1rem;margin:0 0 .75rem}\n"
	"header p,.none{color:var(--soft);margin:.25rem 0 1.25rem}\n"
	".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem;"
	"margin:0 0 1rem}\n"
	".figures div,section,figure{background:var(--card);border:1px solid var(--line);"
	"border-radius:.6rem;padding:1rem}\n"
	".figures div{display:flex;flex-direction:column-reverse;justify-content:flex-end}\n"
	"dt{color:var(--soft);font-size:.85rem}\n"
	"dd{margin:0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}\n"
	"dd span{white-space:nowrap}\n"
	"figure,section{margin:0 0 1rem}\n"
	"figure{overflow:hidden;padding:.5rem}\n"
	"figure img{display:block;width:100%;height:auto;border-radius:.3rem}\n"
	/* Smaller its letters can't be read: then it is moved about. */
	"@media(max-width:48rem){figure{overflow-x:auto}figure img{width:56rem}main{padding:1rem}}\n"
	".scroll{overflow-x:auto}\n"
	"table{border-collapse:collapse;width:100%;font-size:.9rem}\n"
	"th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);"
	"vertical-align:top}\n"
	"td{overflow-wrap:anywhere}td:nth-child(-n+2){white-space:nowrap}\n"
	"td:nth-child(3){min-width:10rem}td:nth-child(4){min-width:8rem}td:last-child{min-width:14rem}\n"
	"th{color:var(--soft);font-weight:600;white-space:nowrap}\n"
	".number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
	".time{white-space:nowrap;font-variant-numeric:tabular-nums}\n"
	".high{color:var(--high)}.low{color:var(--low)}\n"
	".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:0 1rem}\n"
	"footer{color:var(--soft);font-size:.85rem}\n"
	"a{color:inherit}\n";

void page_escape(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		switch (c) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\'':
			fputs("&#39;", out);
			break;
		default:
			/* Control characters are not allowed in HTML. */
			if (c < 0x20 || c == 0x7f)
				fputs("\xef\xbf\xbd", out);
			else
				fputc(c, out);
		}
	}
}

static void write_base64(FILE *out, const char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)data;

	for (; len > 0; p += 3, len -= len < 3 ? len : 3) {
		unsigned int word = (unsigned int)p[0] << 16;

		if (len > 1)
			word |= (unsigned int)p[1] << 8;
		if (len > 2)
			word |= p[2];
		fputc(digits[word >> 18], out);
		fputc(digits[word >> 12 & 63], out);
		fputc(len > 1 ? digits[word >> 6 & 63] : '=', out);
		fputc(len > 2 ? digits[word & 63] : '=', out);
	}
}

/* As an image a picture can't run scripts or load anything, whatever is in it. */
static void write_figure(FILE *out, const struct page_picture *picture, const char *description)
{
	fputs("<figure>", out);
	if (picture->svg) {
		fprintf(out, "<img alt=\"%s\" src=\"data:image/svg+xml;base64,", description);
		write_base64(out, picture->svg, picture->len);
		fputs("\">", out);
	} else {
		fprintf(out, "<p class=\"none\">%s: could not be drawn; see the server's log.</p>",
			description);
	}
	fputs("</figure>\n", out);
}

/* What became of a container. */
static const char *const outcome_names[RECORD_OUTCOMES] = {
	[RECORD_REMOVED] = "removed",
	[RECORD_DRY_RUN] = "would be removed",
	[RECORD_SURVIVED] = "survived",
	[RECORD_GONE] = "ended by itself",
};

static void write_figures(FILE *out, const struct series *series, int64_t last_ms)
{
	const struct series_memory *memory = series_newest_host(series);
	char time[TIMESTAMP_BYTES];

	fprintf(out, "<dl class=\"figures\">\n"
		     "<div><dd>%" PRIu64 "</dd><dt>containers removed</dt></div>\n"
		     "<div><dd><span class=\"high\">%" PRIu64 " high</span>, "
		     "<span class=\"low\">%" PRIu64 " low</span>",
		series->by_outcome[RECORD_REMOVED], series->by_class[RECORD_CLASS_HIGH],
		series->by_class[RECORD_CLASS_LOW]);
	if (series->by_class[RECORD_CLASS_UNKNOWN])
		fprintf(out, ", %" PRIu64 " unknown", series->by_class[RECORD_CLASS_UNKNOWN]);
	fputs("</dd><dt>by class</dt></div>\n", out);
	for (int outcome = RECORD_DRY_RUN; outcome < RECORD_OUTCOMES; outcome++) {
		if (series->by_outcome[outcome])
			fprintf(out, "<div><dd>%" PRIu64 "</dd><dt>%s</dt></div>\n",
				series->by_outcome[outcome], outcome_names[outcome]);
	}
	if (memory) {
		fprintf(out, "<div><dd>%.2f to %.2f GiB</dd><dt>memory used, of %.2f GiB",
			memory->least_used_kib / KIB_PER_GIB, memory->most_used_kib / KIB_PER_GIB,
			memory->last_total_kib / KIB_PER_GIB);
		if (series->host_count > 1) {
			fputs(", ", out);
			page_escape(out, memory->host[0] ? memory->host : "host not named");
		}
		fputs("</dt></div>\n", out);
	} else {
		fputs("<div><dd>none yet</dd><dt>memory used</dt></div>\n", out);
	}
	if (last_ms) {
		timestamp_write(last_ms, time);
		/* "2026-11-23 09:24:50 UTC": the day apart, so that it fits. */
		fprintf(out, "<div><dd>%s</dd><dt>newest, %.10s</dt></div>\n</dl>\n", time + 11,
			time);
	} else {
		fputs("<div><dd>none yet</dd><dt>newest record</dt></div>\n</dl>\n", out);
	}
}

static void write_kill(FILE *out, const struct series_kill *kill, bool with_outcome)
{
	const char *class = record_class_name(kill->kill.class);
	char time[TIMESTAMP_BYTES];

	timestamp_write(kill->time_ms, time);
	fprintf(out, "<tr><td class=\"time\">%s</td><td>", time);
	page_escape(out, kill->kill.container);
	fputs("</td><td>", out);
	page_escape(out, kill->kill.name);
	fputs("</td><td>", out);
	page_escape(out, kill->kill.image);
	fprintf(out, "</td><td class=\"%s\">%s</td><td class=\"number\">%.1f</td>"
		     "<td class=\"number\">%.1f</td>",
		class, class, kill->kill.memory_kib / 1024, kill->kill.cpu_percent);
	if (with_outcome)
		fprintf(out, "<td class=\"time\">%s</td>", outcome_names[kill->kill.outcome]);
	fputs("<td>", out);
	page_escape(out, kill->kill.reason);
	fputs("</td></tr>\n", out);
}

/* The newest of @kills first. */
static void write_kills(FILE *out, const char *heading, const char *none,
			const struct series_kill *kills, size_t count)
{
	size_t shown = count < LIMITS_PAGE_KILLS ? count : LIMITS_PAGE_KILLS;
	bool with_outcome = false;

	fprintf(out, "<section><h2>%s</h2>\n", heading);
	if (!count) {
		fprintf(out, "<p class=\"none\">%s</p></section>\n", none);
		return;
	}
	/* Where all were removed the heading has said so. */
	for (size_t i = 0; i < shown; i++)
		with_outcome |= kills[count - 1 - i].kill.outcome != RECORD_REMOVED;
	fprintf(out, "<div class=\"scroll\"><table><thead><tr><th>Time</th><th>Container</th>"
		     "<th>Name</th><th>Image</th><th>Class</th><th class=\"number\">Memory, MiB</th>"
		     "<th class=\"number\">CPU, %%</th>%s<th>Reason</th></tr></thead><tbody>\n",
		with_outcome ? "<th>Outcome</th>" : "");
	for (size_t i = 0; i < shown; i++)
		write_kill(out, &kills[count - 1 - i], with_outcome);
	fputs("</tbody></table></div></section>\n", out);
}

static int by_count(const void *a, const void *b)
{
	const struct series_image *first = a, *second = b;

	return (first->count < second->count) - (first->count > second->count);
}

static void write_images(FILE *out, const struct series *series)
{
	struct series_image images[LIMITS_SERIES_IMAGES];

	if (!series->image_count)
		return;
	memcpy(images, series->images, sizeof(images));
	qsort(images, series->image_count, sizeof(images[0]), by_count);
	fputs("<section><h2>By image</h2><div class=\"scroll\"><table><thead><tr><th>Image</th>"
	      "<th class=\"number\">Removed</th></tr></thead><tbody>\n", out);
	for (size_t i = 0; i < series->image_count; i++) {
		fputs("<tr><td>", out);
		page_escape(out, images[i].image[0] ? images[i].image : "not named");
		fprintf(out, "</td><td class=\"number\">%" PRIu64 "</td></tr>\n", images[i].count);
	}
	if (series->other_images)
		fprintf(out, "<tr><td>others</td><td class=\"number\">%" PRIu64 "</td></tr>\n",
			series->other_images);
	fputs("</tbody></table></div></section>\n", out);
}

static int by_newest(const void *a, const void *b)
{
	const struct series_memory *const *first = a, *const *second = b;

	return ((*first)->last_ms < (*second)->last_ms) - ((*first)->last_ms > (*second)->last_ms);
}

/* Where there are several: the graph is of the first. */
static void write_hosts(FILE *out, const struct series *series)
{
	const struct series_memory *hosts[LIMITS_SERIES_HOSTS];
	char time[TIMESTAMP_BYTES];

	if (series->host_count < 2)
		return;
	memcpy(hosts, series->hosts, sizeof(hosts));
	qsort(hosts, series->host_count, sizeof(hosts[0]), by_newest);
	fputs("<section><h2>Hosts, newest sample first</h2><div class=\"scroll\"><table><thead><tr>"
	      "<th>Host</th><th>Newest sample</th><th class=\"number\">Used, GiB</th>"
	      "<th class=\"number\">of</th><th class=\"number\">Least used</th>"
	      "<th class=\"number\">Most used</th></tr></thead><tbody>\n", out);
	for (size_t i = 0; i < series->host_count; i++) {
		timestamp_write(hosts[i]->last_ms, time);
		fputs("<tr><td>", out);
		page_escape(out, hosts[i]->host[0] ? hosts[i]->host : "not named");
		fprintf(out, "</td><td class=\"time\">%s</td><td class=\"number\">%.2f</td>"
			     "<td class=\"number\">%.2f</td><td class=\"number\">%.2f</td>"
			     "<td class=\"number\">%.2f</td></tr>\n", time,
			hosts[i]->last_used_kib / KIB_PER_GIB, hosts[i]->last_total_kib / KIB_PER_GIB,
			hosts[i]->least_used_kib / KIB_PER_GIB, hosts[i]->most_used_kib / KIB_PER_GIB);
	}
	fputs("</tbody></table></div>", out);
	if (series->not_followed)
		fprintf(out, "<p class=\"none\">%" PRIu64 " samples of further hosts are stored, but "
			     "not shown here.</p>", series->not_followed);
	fputs("</section>\n", out);
}

int page_write(FILE *out, const struct series *series, const struct page_picture *memory,
	       const struct page_picture *kills, const char *nonce, int64_t now_ms)
{
	struct series_kill *recent = calloc(LIMITS_SERIES_KILLS, sizeof(*recent));
	const struct series_memory *newest = series_newest_host(series);
	int64_t last_ms = series->last_kill_ms;
	char time[TIMESTAMP_BYTES];

	if (!recent)
		return -ENOMEM;
	if (newest && newest->last_ms > last_ms)
		last_ms = newest->last_ms;
	series_recent(series, recent);
	timestamp_write(now_ms, time);
	fprintf(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		     "<title>Container warden</title>\n"
		     "<link rel=\"icon\" href=\"data:,\">\n"
		     "<style nonce=\"%s\">\n%s</style></head>\n"
		     "<body><main><header><h1>Container warden</h1>"
		     "<p>What was removed, and the machine's memory meanwhile. Drawn at %s.</p>"
		     "</header>\n", nonce, style, time);
	write_figures(out, series, last_ms);
	write_figure(out, memory, "Graph of the machine's memory over time");
	write_figure(out, kills, "Graph of memory and CPU of the removed containers");
	write_kills(out, "Last removed", "No container has been removed yet.", recent,
		    series_recent_count(series));
	if (series_others_count(series)) {
		series_others(series, recent);
		write_kills(out, "Ended otherwise", "", recent, series_others_count(series));
	}
	write_images(out, series);
	write_hosts(out, series);
	fputs("<footer><p>As JSON: <a href=\"/logs/all?limit=100\">removed containers</a>, "
	      "<a href=\"/logs/memory?limit=100\">memory</a>. As pictures: "
	      "<a href=\"/graphs/memory.png\">memory</a>, "
	      "<a href=\"/graphs/processes.png\">removed containers</a>. "
	      "<a href=\"/metrics\">Metrics</a>.</p></footer>\n"
	      "</main></body></html>\n", out);
	free(recent);
	return 0;
}
