// SPDX-License-Identifier: GPL-2.0
#include "auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "utf8.h"

/* RFC 6750's b64token, which needs no escaping anywhere. */
static const char token_characters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";

static int add_token(struct auth *auth, const char *line, size_t len)
{
	struct auth_token token = { 0 }, *tokens;
	size_t secret_len = strspn(line, token_characters), host_len;
	const char *host;

	if (secret_len < LIMITS_LEAST_TOKEN_BYTES || secret_len >= sizeof(token.secret) ||
	    secret_len > len)
		return -EINVAL;
	memcpy(token.secret, line, secret_len);
	host = line + secret_len;
	host += strspn(host, " \t");
	host_len = host < line + len ? (size_t)(line + len - host) : 0;
	while (host_len > 0 && strchr(" \t\r", host[host_len - 1]))
		host_len--;
	if (host_len >= sizeof(token.host) || memchr(host, ' ', host_len) ||
	    !utf8_is_valid(host, host_len) || (host_len && host == line + secret_len))
		return -EINVAL;
	memcpy(token.host, host, host_len);
	tokens = reallocarray(auth->tokens, auth->count + 1, sizeof(*tokens));
	if (!tokens)
		return -ENOMEM;
	auth->tokens = tokens;
	tokens[auth->count++] = token;
	return 0;
}

int auth_parse(const char *text, struct auth *ret, size_t *ret_line)
{
	struct auth auth = { 0 };
	size_t number = 0;
	int err = 0;

	while (*text && !err) {
		size_t len = strcspn(text, "\n");

		number++;
		if (text[0] != '#' && strspn(text, " \t\r") < len)
			err = add_token(&auth, text, len);
		text += len + (text[len] == '\n');
	}
	if (!err && !auth.count) {
		err = -EINVAL;
		number = 0;
	}
	if (err) {
		auth_free(&auth);
		*ret_line = number;
		return err;
	}
	*ret = auth;
	return 0;
}

int auth_load(const char *path, struct auth *ret, size_t *ret_line)
{
	char *text = calloc(1, LIMITS_TOKEN_FILE_BYTES + 1);
	FILE *file = fopen(path, "re");
	int err = 0;

	*ret_line = 0;
	if (!text || !file)
		err = text ? -errno : -ENOMEM;
	if (!err && fread(text, 1, LIMITS_TOKEN_FILE_BYTES + 1, file) > LIMITS_TOKEN_FILE_BYTES)
		err = -EFBIG;
	if (!err && ferror(file))
		err = -EIO;
	if (file)
		fclose(file);
	if (!err)
		err = auth_parse(text, ret, ret_line);
	if (text)
		explicit_bzero(text, LIMITS_TOKEN_FILE_BYTES);
	free(text);
	return err;
}

void auth_free(struct auth *auth)
{
	if (auth->tokens)
		explicit_bzero(auth->tokens, auth->count * sizeof(*auth->tokens));
	free(auth->tokens);
	memset(auth, 0, sizeof(*auth));
}

const struct auth_token *auth_find(const struct auth *auth, const char *header)
{
	static const char scheme[] = "Bearer ";
	const struct auth_token *found = NULL;
	char given[LIMITS_TOKEN_BYTES] = "";
	size_t len;

	if (!header || strncasecmp(header, scheme, strlen(scheme)) != 0)
		return NULL;
	header += strlen(scheme);
	len = strlen(header);
	if (len >= sizeof(given))
		return NULL;
	memcpy(given, header, len);
	for (size_t i = 0; i < auth->count; i++) {
		unsigned char difference = 0;

		for (size_t j = 0; j < sizeof(given); j++)
			difference |= (unsigned char)(given[j] ^ auth->tokens[i].secret[j]);
		found = difference ? found : &auth->tokens[i];
	}
	return found;
}
