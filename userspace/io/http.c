// SPDX-License-Identifier: GPL-2.0
#include "userspace/io/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list of 10 000 containers with their labels is about this; a picture is far less. */
#define HTTP_ANSWER_MAX (32u << 20)

int http_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) ? -EIO : 0;
}

static size_t take(char *data, size_t size, size_t count, void *ctx)
{
	struct http_request *r = ctx;
	size_t n = size * count;
	char *more;

	if (n > HTTP_ANSWER_MAX - r->answer_len)
		return 0;
	more = realloc(r->answer, r->answer_len + n + 1);
	if (!more)
		return 0;
	memcpy(more + r->answer_len, data, n);
	r->answer = more;
	r->answer_len += n;
	r->answer[r->answer_len] = '\0';
	return n;
}

static CURL *prepare(struct http_request *r, struct curl_slist *headers)
{
	CURL *c = curl_easy_init();

	if (!c)
		return NULL;
	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->timeout_ms);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	/* The server is near: a proxy of the user's environment is not meant for it. */
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->reason);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(c, CURLOPT_PRIVATE, r);
	if (r->unix_socket)
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
	if (r->body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	}
	return c;
}

static void finish(CURLMsg *done)
{
	struct http_request *r;

	curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, (char **)&r);
	if (done->data.result == CURLE_OK)
		curl_easy_getinfo(done->easy_handle, CURLINFO_RESPONSE_CODE, &r->status);
	else if (!r->reason[0])
		snprintf(r->reason, sizeof(r->reason), "%s", curl_easy_strerror(done->data.result));
}

/* Until something happens, of the requests or of what is watched.  Return: 0 or -EIO. */
static int wait_for_any(CURLM *multi, const struct watch *watch)
{
	struct curl_waitfd extra = { .fd = watch ? watch->fd : -1, .events = CURL_WAIT_POLLIN };

	if (curl_multi_poll(multi, &extra, watch ? 1 : 0, 1000, NULL))
		return -EIO;
	if (extra.revents)
		watch->attend(watch->ctx);
	return 0;
}

int http_perform(struct http_request *requests, size_t count, const struct watch *watch)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURLM *multi = curl_multi_init();
	CURL **handles = calloc(count + 1, sizeof(*handles));
	int err = -ENOMEM, running = 1, left;
	CURLMsg *message;
	size_t i;

	if (!headers || !multi || !handles)
		goto out;
	for (i = 0; i < count; i++) {
		if (!requests[i].url)
			goto out;
		handles[i] = prepare(&requests[i], headers);
		if (!handles[i])
			goto out;
		curl_multi_add_handle(multi, handles[i]);
	}
	err = 0;
	while (running) {
		if (curl_multi_perform(multi, &running) || (running && wait_for_any(multi, watch))) {
			err = -EIO;
			break;
		}
		while ((message = curl_multi_info_read(multi, &left)))
			if (message->msg == CURLMSG_DONE)
				finish(message);
	}
out:
	for (i = 0; handles && i < count && handles[i]; i++) {
		curl_multi_remove_handle(multi, handles[i]);
		curl_easy_cleanup(handles[i]);
	}
	free(handles);
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	return err;
}

char *http_url(const char *format, ...)
{
	char *url;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&url, format, ap);
	va_end(ap);
	return n < 0 ? NULL : url;
}

void http_request_free(struct http_request *r)
{
	free(r->url);
	free(r->answer);
	r->url = NULL;
	r->answer = NULL;
}
