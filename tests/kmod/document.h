/* SPDX-License-Identifier: GPL-2.0 */
/* A snapshot as its reader sees it. */
#ifndef KMOD_DOCUMENT_H
#define KMOD_DOCUMENT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The snapshot's bytes, ended by NUL, to be freed; *ret_len without it. */
char *document_read(size_t *ret_len);
char *document_read_fd(int fd, size_t *ret_len);

/*
 * Parses as strictly as RFC 8259 asks, and as the contract does: just its
 * keys, each once, in its order. NULL, and told, if it isn't so.
 */
struct json_object *document_parse(const char *text, size_t len);

/* Both of the above; ends the tests if it can't be had. */
struct json_object *document_take(void);

/* NULL if the process isn't listed. */
struct json_object *document_process(struct json_object *document, pid_t pid);

int64_t document_number(struct json_object *object, const char *key);
double document_percent(struct json_object *object, const char *key);
const char *document_string(struct json_object *object, const char *key);
bool document_string_is(struct json_object *object, const char *key, const char *bytes,
			size_t len);

/* UTF-8 with U+FFFD for what isn't: by another way than the module's. Returns its length. */
size_t document_repair(const char *bytes, size_t len, char *to);

#endif
