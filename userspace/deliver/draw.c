// SPDX-License-Identifier: GPL-2.0
#include "userspace/deliver/draw.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/host/http.h"
#include "userspace/io/file.h"

/* gnuplot starts, reads a day of samples and draws, on a slow machine. */
#define DRAW_TIMEOUT_MS 20000L
#define PICTURE_MAX (16u << 20)

struct picture {
	char *data;
	size_t len;
};

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
	struct picture *p = ctx;
	size_t n = size * count;
	char *more = n > PICTURE_MAX - p->len ? NULL : realloc(p->data, p->len + n + 1);

	if (!more)
		return 0;
	memcpy(more + p->len, data, n);
	p->data = more;
	p->len += n;
	return n;
}

static int fetch(const char *url, struct picture *ret, char *reason)
{
	char words[CURL_ERROR_SIZE] = "";
	CURL *c = curl_easy_init();
	long status = 0;
	CURLcode result;

	if (!c)
		return -ENOMEM;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, DRAW_TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, ret);
	result = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	if (result == CURLE_OK && status == 200)
		return 0;
	snprintf(reason, DRAW_REASON_SIZE, "%.200s: %.200s (%ld)", url,
		 result != CURLE_OK ? *words ? words : curl_easy_strerror(result) : "refused", status);
	return -EIO;
}

static int draw_one(const char *url, const char *path, int dir, const char *name, char *reason)
{
	char *whole = http_url("%s/%s", url, path);
	struct picture p = { 0 };
	int err = whole ? fetch(whole, &p, reason) : -ENOMEM;

	if (!err && name) {
		err = file_write_durably(dir, name, p.data ? p.data : "", p.len, 0644);
		if (err)
			snprintf(reason, DRAW_REASON_SIZE, "%s: %s", name, strerror(-err));
	}
	free(p.data);
	free(whole);
	return err;
}

int draw_graphs(const char *url, const char *folder, char *reason)
{
	int dir, err;

	snprintf(reason, DRAW_REASON_SIZE, "no memory");
	if (mkdir(folder, 0755) && errno != EEXIST)
		goto fail_errno;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		goto fail_errno;
	flock(dir, LOCK_SH);
	err = draw_one(url, "logs/grafica", dir, NULL, reason);
	if (!err)
		err = draw_one(url, "graphs/memory.png", dir, "Memory.png", reason);
	if (!err)
		err = draw_one(url, "graphs/processes.png", dir, "Processes.png", reason);
	close(dir);
	return err;

fail_errno:
	err = -errno;
	snprintf(reason, DRAW_REASON_SIZE, "%.300s: %s", folder, strerror(-err));
	return err;
}
