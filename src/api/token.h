// SPDX-License-Identifier: Apache-2.0
/*
 * token.h - the token endpoint (RFC 6749: client_credentials and refresh_token), the key set (RFC 7517) and the discovery document
 * (OpenID Connect Discovery 1.0). Errors of the token endpoint have the RFC's shape; another realm is an ordinary 404.
 */
#ifndef API_TOKEN_H
#define API_TOKEN_H

#include "api/call.h"

enum err_kind token_parse(struct call *c, struct err *err);
enum err_kind token_work(struct call *c, struct tx *tx, struct err *err);
void token_reply(struct call *c);

enum err_kind realm_parse(struct call *c, struct err *err); // 404 unless the path names our realm
void token_keys_reply(struct call *c);
void token_discovery_reply(struct call *c);

#endif
