// SPDX-License-Identifier: Apache-2.0
/*
 * store_idem.h - what was answered to calls that came with an idempotency key, so that a repeat gets the same answer and does nothing.
 *
 * A call that is done in one job inserts its row, answered, beside whatever it changed: both are there or neither is. A call that takes
 * several jobs claims the key in its first (IDEM_IN_WORK), says in each that it is still there, and writes the answer in its last.
 * (owner, since) names a claim: whoever is not the holder any more cannot change it. What `owner` means and when a claim is dead is the
 * caller's business.
 */
#ifndef STORE_STORE_IDEM_H
#define STORE_STORE_IDEM_H

#include "store/store.h"

#define IDEM_KEY_MAX 255

enum idem_state { IDEM_IN_WORK, IDEM_ANSWERED };

struct idem_row {
    int64_t partner_id;
    struct str key;
    uint8_t digest[32]; // SHA-256 of the request
    enum idem_state state;
    int64_t owner;
    struct wall since; // of the claim's last sign of life, or of the answer
    // of an answer; a claim has a body only: its holder's note of how far it has come
    int status;
    struct str headers; // "Name: value\n" for each
    struct str body;
};

// out->key is the caller's view.
void store_idem_ahead(struct tx *tx, int64_t partner_id, struct str key); // for store_job.ahead
NODISCARD enum err_kind store_idem_get(struct tx *tx, int64_t partner_id, struct str key, struct arena *a, struct idem_row *out,
                                       struct err *err);
// ERR_RETRY: somebody else has just taken the key; the job's next run sees it.
NODISCARD enum err_kind store_idem_insert(struct tx *tx, const struct idem_row *row, struct err *err);
// Changes the claim (owner, since) into what `row` says, another claim or an answer; the digest stays. ERR_NOT_FOUND: there is no such
// claim any more.
NODISCARD enum err_kind store_idem_update(struct tx *tx, const struct idem_row *row, int64_t owner, struct wall since, struct err *err);
// Looks at the `limit` oldest rows and removes those from before `before`. *removed is `limit` when there may be more.
NODISCARD enum err_kind store_idem_prune(struct tx *tx, struct wall before, int64_t limit, int64_t *removed, struct err *err);

#endif
