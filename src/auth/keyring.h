// SPDX-License-Identifier: Apache-2.0
/*
 * keyring.h - our own signing keys: made, read from the store's rows, shown as a key set (RFC 7517).
 *
 * A key is P-256; its name (kid) is its thumbprint (RFC 7638). Access tokens are signed with it (ES256). Refresh tokens are read by nobody
 * but us, so they take a shared secret (HS256) that is derived from the private key: nothing more to store or to rotate, and much cheaper.
 * A keyring is immutable; who replaces it sees to it that nobody uses the old one.
 */
#ifndef AUTH_KEYRING_H
#define AUTH_KEYRING_H

#include "auth/jwt.h"
#include "base/buf.h"
#include "store/store_partner.h"

#define KEYRING_MAX 32 // keys kept at once: more rotations than that within a token's life are refused

#define COORDINATE_TEXT 44 // 32 bytes as base64url and NUL
struct ring_key {
    char kid[COORDINATE_TEXT];
    char x[COORDINATE_TEXT], y[COORDINATE_TEXT];
    struct wall retired; // WALL_NONE: signs
    struct jwt_key *access, *refresh;
};
struct keyring {
    struct ring_key keys[KEYRING_MAX]; // newest first
    size_t n;
};

// A fresh key as a row for the store; texts in `arena`.
NODISCARD enum err_kind keyring_make_key(struct wall now, struct arena *arena, struct signing_key *out, struct err *err);
// ERR_CORRUPT when a row is no such key. Rows beyond KEYRING_MAX are left out.
NODISCARD enum err_kind keyring_open(const struct signing_key *rows, size_t n, struct keyring **out, struct err *err);
void keyring_close(struct keyring *r); // NULL is fine

const struct ring_key *keyring_signer(const struct keyring *r); // NULL when there are no keys
// Only keys that are not yet forgotten: retired not before `forget_before`.
const struct ring_key *keyring_find(const struct keyring *r, struct str kid, struct wall forget_before);
void keyring_json(const struct keyring *r, struct wall forget_before, struct buf *out);

#endif
