/* SPDX-License-Identifier: GPL-2.0 */
/* Those who ended without the monitor, in a report. */
#ifndef REPORT_ENDED_H
#define REPORT_ENDED_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "userspace/core/death.h"

/* Those that are ready, a line each. */
void report_ended_text(const struct deaths *list, FILE *out);

/* Adds the same to a cycle's object. */
void report_ended_json(const struct deaths *list, cJSON *o);

#endif
