/* SPDX-License-Identifier: GPL-2.0 */
/* The description of the interface that /openapi.json serves: openapi.json, as it is. */
#ifndef LOGSERVER_OPENAPI_H
#define LOGSERVER_OPENAPI_H

extern const char openapi_start[], openapi_end[];

#endif
