/* SPDX-License-Identifier: GPL-2.0 */
/* Bearer tokens: who may talk to the server, and for which host. Pure but for auth_load(). */
#ifndef LOGSERVER_AUTH_H
#define LOGSERVER_AUTH_H

#include <stddef.h>

#include "limits.h"

struct auth_token {
	char secret[LIMITS_TOKEN_BYTES];        /* zeros behind it */
	char host[LIMITS_HOST_BYTES + 1];       /* empty: any host */
};

struct auth {
	struct auth_token *tokens;
	size_t count;
};

/*
 * Read the lines of a token file: "TOKEN" or "TOKEN HOST"; empty ones and those
 * that begin with # say nothing. 0, -ENOMEM, or -EINVAL with the number of the
 * line that is wrong (0: there is no token at all).
 */
int auth_parse(const char *text, struct auth *ret, size_t *ret_line);
int auth_load(const char *path, struct auth *ret, size_t *ret_line);
void auth_free(struct auth *auth);

/*
 * The token that an Authorization header holds, NULL if it is none of ours. Takes
 * as long whatever the header says: every token is compared to its end.
 */
const struct auth_token *auth_find(const struct auth *auth, const char *header);

#endif
