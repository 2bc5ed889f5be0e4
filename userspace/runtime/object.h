/* SPDX-License-Identifier: GPL-2.0 */
/* A JSON object of the runtime's, read strictly: what is ambiguous in it is an error.  Pure. */
#ifndef RUNTIME_OBJECT_H
#define RUNTIME_OBJECT_H

#include <cjson/cJSON.h>
#include <stddef.h>

/**
 * runtime_object_parse() - parse a text that is one JSON object and nothing else
 * @text: need not end in NUL
 * @len: its length
 *
 * A text with a NUL, as a byte or as \u0000, is refused: cJSON's strings would end there, and
 * "sysinfo.protect" would be read where something else is written.
 *
 * Return: the object, freed by cJSON_Delete(); NULL: it is none, or there is no memory.
 */
cJSON *runtime_object_parse(const char *text, size_t len);

/**
 * runtime_object_get() - the value of a key
 * @object: NULL: it has no keys
 * @key: case-sensitive
 * @types: those that are expected, cJSON_String | cJSON_Array ...
 * @ret: NULL: there is no such key, or its value is null
 *
 * Return: 0; -EBADMSG: the value is of another type, or the key is there twice.
 */
int runtime_object_get(const cJSON *object, const char *key, int types, const cJSON **ret);

#endif
