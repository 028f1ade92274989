// SPDX-License-Identifier: Apache-2.0
/*
 * secret.h - secrets: made, hashed, compared, wiped.
 *
 * A secret we make is 32 random bytes as base64url (43 characters), so a fast hash (SHA-256 with a salt) is enough: there is nothing to
 * guess. Secrets an operator chooses (at least SECRET_MIN characters) are hashed the same way and never stored or logged in clear.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/base.h"
#include "base/rng.h"
#include "base/str.h"

#define SECRET_TEXT 44 // 43 characters and NUL
#define SECRET_MIN 16
#define SECRET_MAX 256

struct secret_hash {
    uint8_t salt[16];
    uint8_t sha256[32];
};

void secret_make(const struct rng *rng, char out[SECRET_TEXT]);
void secret_hash_of(const struct rng *rng, struct str secret, struct secret_hash *out); // at most SECRET_MAX bytes: the caller has looked
bool secret_matches(struct str secret, const struct secret_hash *hash);                 // constant time in the secret
bool secret_equal(struct str a, struct str b);                                          // constant time for equal lengths
void secret_wipe(void *p, size_t n);                                                    // not optimised away
void sha256_of(struct str data, uint8_t out[32]);
// The same of what comes piece by piece. sha256_end frees; `out` NULL: nobody wants to know.
struct sha256;
struct sha256 *sha256_begin(void);
void sha256_add(struct sha256 *s, struct str data);
void sha256_end(struct sha256 *s, uint8_t out[32]);
void hmac_sha256_of(const void *key, size_t n, struct str data, uint8_t out[32]); // RFC 2104

#endif
