/* SPDX-License-Identifier: GPL-2.0 */
/* The label that protects a container.  Pure. */
#ifndef RUNTIME_LABEL_H
#define RUNTIME_LABEL_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/**
 * runtime_label_protects() - is a container with these labels protected?
 * @labels: an object; NULL: none
 *
 * A label RUNTIME_LABEL_PROTECT protects unless its value is a clear no, whatever its case
 * and the space around it: "false", "f", "no", "n", "off" or "0".  All other values protect,
 * those that are not understood (among them "" and all that is not text) as well as the yeses.
 */
bool runtime_label_protects(const cJSON *labels);

#endif
