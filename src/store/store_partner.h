// SPDX-License-Identifier: Apache-2.0
/*
 * store_partner.h - partners, their secrets, caps; operators' tokens; signing keys. ERR_NOT_FOUND when there is no such row.
 */
#ifndef STORE_STORE_PARTNER_H
#define STORE_STORE_PARTNER_H

#include "base/secret.h"
#include "core/partner.h"
#include "store/store.h"

NODISCARD enum err_kind store_partner_get(struct tx *tx, int64_t id, struct arena *a, struct partner *out, struct err *err);
NODISCARD enum err_kind store_partner_by_client(struct tx *tx, struct str client_id, struct arena *a, struct partner *out, struct err *err);
NODISCARD enum err_kind store_partner_list(struct tx *tx, int64_t offset, int64_t limit, struct arena *a, struct partner **out, size_t *n,
                                           int64_t *total, struct err *err);
// Those with greater numbers, in their order.
NODISCARD enum err_kind store_partner_after(struct tx *tx, int64_t after, int64_t limit, struct arena *a, struct partner **out, size_t *n,
                                            struct err *err);
NODISCARD enum err_kind store_partner_insert(struct tx *tx, struct partner *p,
                                             struct err *err); // fills p->id; ERR_CONFLICT: client_id is taken
NODISCARD enum err_kind store_partner_update(struct tx *tx, const struct partner *p, struct err *err);

// Secrets: up to PARTNER_SECRETS_MAX live at once (rotation with overlap). `expires` WALL_NONE: no end.
#define PARTNER_SECRETS_MAX 4
struct partner_secret {
    struct secret_hash hash;
    struct wall expires;
};
NODISCARD enum err_kind store_partner_secrets(struct tx *tx, int64_t partner_id, struct partner_secret out[PARTNER_SECRETS_MAX], size_t *n,
                                              struct err *err);
// Adds a secret; those before it end at `others_expire` at the latest.
NODISCARD enum err_kind store_partner_secret_add(struct tx *tx, int64_t partner_id, const struct secret_hash *hash,
                                                 struct wall others_expire, struct err *err);

// New activations in a UTC day (20261123) and month (202611).
NODISCARD enum err_kind store_cap_get(struct tx *tx, int64_t partner_id, int64_t period, int64_t *count, struct err *err);
NODISCARD enum err_kind store_cap_add(struct tx *tx, int64_t partner_id, int64_t period, int64_t delta, struct err *err);

// Operators: bearer tokens, kept as hashes. SHA-256 of the token is the key (tokens are 32 random bytes: nothing to guess, no salt needed).
struct operator_token {
    uint8_t sha256[32];
    struct str name;
    struct wall created, expires; // WALL_NONE: no end
};
NODISCARD enum err_kind store_operator_find(struct tx *tx, const uint8_t sha256[32], struct arena *a, struct operator_token *out,
                                            struct err *err);
NODISCARD enum err_kind store_operator_add(struct tx *tx, const struct operator_token *t, struct err *err);

// Signing keys, newest first. `pem` is the private key (PKCS#8); `retired` WALL_NONE for the one that signs now; retired keys stay in the
// key set until tokens signed with them have expired.
struct signing_key {
    struct str kid;
    struct str pem;
    struct wall created, retired;
};
NODISCARD enum err_kind store_key_list(struct tx *tx, struct arena *a, struct signing_key **out, size_t *n, struct err *err);
NODISCARD enum err_kind store_key_add(struct tx *tx, const struct signing_key *k, struct err *err); // retires the others at k->created
NODISCARD enum err_kind store_key_prune(struct tx *tx, struct wall retired_before, struct err *err);

#endif
