// SPDX-License-Identifier: Apache-2.0
/*
 * jwt.h - signed tokens in the compact form (JWS, RFC 7515) and the keys for them (JWK, RFC 7517). What is inside (cjose) is nobody's
 * business.
 *
 * A key has its one algorithm from birth; a token whose header names another one does not verify, whatever its signature. So neither
 * `none` nor a public key taken for a shared secret can happen. Tokens have exactly one spelling: stray characters, padding and set
 * leftover bits are refused, and so is a header with `crit`, because we understand no extension.
 *
 * Keys are immutable: any thread may use them at once. A struct jwt belongs to one thread.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define JWT_TOKEN_MAX 8192 // bytes of a token; longer ones are not looked at
#define JWT_KID_MAX 255

struct jwt_key;
// A P-256 key for ES256. NULL when it is not one.
struct jwt_key *jwt_key_es256(const char *kid, const uint8_t x[32], const uint8_t y[32], const uint8_t d[32]);
struct jwt_key *jwt_key_hs256(const char *kid, const uint8_t secret[32]);
// A public signature key of somebody else's set: RSA of at least 2048 bits (RS256 unless the key says RS384 ... PS512) or EC. Shared
// secrets, encryption keys and everything unknown are ERR_INVALID. A key without kid has "".
NODISCARD enum err_kind jwt_key_of_jwk(json_t *jwk, struct jwt_key **out, struct err *err);
void jwt_key_free(struct jwt_key *key); // NULL is fine
struct str jwt_key_kid(const struct jwt_key *key);

// header {"alg","typ","kid"} and `payload` (JSON), signed; the token is in `arena`.
NODISCARD enum err_kind jwt_sign(const struct jwt_key *key, const char *typ, struct str payload, struct arena *arena, struct str *token,
                                 struct err *err);

// A token that somebody showed. The views live until jwt_release; nothing of it may be believed before jwt_verify said yes.
struct jwt {
    void *jws;
    struct str kid, typ, alg; // STR_NONE when absent
    size_t signature_bytes;
};
NODISCARD bool jwt_read(struct str token, struct jwt *out); // false: not a token; then there is nothing to release
NODISCARD bool jwt_verify(const struct jwt *t, const struct jwt_key *key);
NODISCARD enum err_kind jwt_claims(const struct jwt *t, json_t **out, struct err *err); // the caller drops it with json_decref
void jwt_release(struct jwt *t);

#endif
