// SPDX-License-Identifier: Apache-2.0
/*
 * store_webhook.h - endpoints, their secrets, the log of deliveries to them; and the queues of notifications of one SIM.
 *
 * An endpoint's id ends in its partner's number (base/id.h), so the id alone finds it. Two kinds of writers meet in a row: calls
 * (store_webhook_update) and the node that delivers (store_webhook_claim, store_webhook_settle). A call that sets state, cursor or URL adds
 * one to the epoch; what a node settles counts only in the epoch, and under the lease, in which it was begun.
 */
#ifndef STORE_STORE_WEBHOOK_H
#define STORE_STORE_WEBHOOK_H

#include "core/webhook.h"
#include "store/store.h"

// ---- endpoints ----
NODISCARD enum err_kind store_webhook_insert(struct tx *tx, const struct webhook *w, struct err *err);
NODISCARD enum err_kind store_webhook_get(struct tx *tx, struct uuid id, struct arena *a, struct webhook *out, struct err *err);
// In the order in which they were made. partner_id 0: of all partners.
NODISCARD enum err_kind store_webhook_list(struct tx *tx, int64_t partner_id, struct arena *a, struct webhook **out, size_t *n,
                                           struct err *err);
// Everything but id, creation and lease.
NODISCARD enum err_kind store_webhook_update(struct tx *tx, const struct webhook *w, struct err *err);
// With its secrets and its log. ERR_NOT_FOUND.
NODISCARD enum err_kind store_webhook_delete(struct tx *tx, struct uuid id, struct err *err);

// Secrets that sign: those that have not ended at tx_now, the newest first.
struct webhook_secret {
    uint8_t bytes[WEBHOOK_SECRET_MAX];
    size_t n;
    struct wall expires; // WALL_NONE: no end
};
NODISCARD enum err_kind store_webhook_secrets(struct tx *tx, struct uuid id, struct webhook_secret out[WEBHOOK_SECRETS_MAX], size_t *n,
                                              struct err *err);
// Adds one; those before it end at `others_expire` at the latest.
NODISCARD enum err_kind store_webhook_secret_add(struct tx *tx, struct uuid id, const void *secret, size_t n, struct wall others_expire,
                                                 struct err *err);

// ---- delivering ----
// Takes (or keeps) the lease on an endpoint of this epoch until `until`: *got is false when another node has it, or the epoch is another.
NODISCARD enum err_kind store_webhook_claim(struct tx *tx, struct uuid id, int64_t epoch, int64_t node, struct wall until, bool *got,
                                            struct err *err);
// Writes cursor, attempts, due, failing_since, state and lease_until; *held is false, and nothing written, when epoch or lease are not
// w's any more.
NODISCARD enum err_kind store_webhook_settle(struct tx *tx, const struct webhook *w, bool *held, struct err *err);
// Gives up all of a node's leases, on notifications, too.
NODISCARD enum err_kind store_webhook_drop_leases(struct tx *tx, int64_t node, struct err *err);

// ---- the log of deliveries ----
NODISCARD enum err_kind store_delivery_insert(struct tx *tx, const struct webhook_delivery *d, struct err *err);
// What became of one that was PENDING; *was_there is false when it is that no more.
NODISCARD enum err_kind store_delivery_finish(struct tx *tx, const struct webhook_delivery *d, bool *was_there, struct err *err);
NODISCARD enum err_kind store_delivery_get(struct tx *tx, struct uuid webhook_id, struct uuid id, struct arena *a,
                                           struct webhook_delivery *out, struct err *err);
// Newest first. *total may be NULL.
NODISCARD enum err_kind store_delivery_list(struct tx *tx, struct uuid webhook_id, int64_t offset, int64_t limit, struct arena *a,
                                            struct webhook_delivery **out, size_t *n, int64_t *total, struct err *err);
// Those PENDING, of all endpoints, the oldest first.
NODISCARD enum err_kind store_delivery_pending(struct tx *tx, int64_t limit, struct arena *a, struct webhook_delivery **out, size_t *n,
                                               struct err *err);
NODISCARD enum err_kind store_delivery_pending_count(struct tx *tx, struct uuid webhook_id, int64_t *count, struct err *err);
// Drops what is not PENDING and either older than `before` or not among the newest `keep`.
NODISCARD enum err_kind store_delivery_trim(struct tx *tx, struct uuid webhook_id, int64_t keep, struct wall before, struct err *err);

// ---- notifications of one SIM (queued by store_event_append, for SIMs with a preference) ----
// The first partner above `after` that has any that wait; 0: none.
NODISCARD enum err_kind store_notification_partner(struct tx *tx, int64_t after, int64_t *partner_id, struct err *err);
// A partner's that may be tried at `now`, with their URLs; and when the next one may (WALL_NONE: none waits).
NODISCARD enum err_kind store_notification_due(struct tx *tx, int64_t partner_id, struct wall now, int64_t limit, struct arena *a,
                                               struct notification **out, size_t *n, struct err *err);
NODISCARD enum err_kind store_notification_next_wake(struct tx *tx, int64_t partner_id, struct wall *out, struct err *err);
// Takes it until `until`; *got is false when it is gone or somebody else has it (its wake is not n->wake any more).
NODISCARD enum err_kind store_notification_claim(struct tx *tx, const struct notification *n, int64_t node, struct wall until, bool *got,
                                                 struct err *err);
// Under the lease that n->lease_owner and n->wake tell of: tried again at `wake`, or done with, and the next of its queue has its turn.
// *held is false, and nothing written, when the lease has ended.
NODISCARD enum err_kind store_notification_again(struct tx *tx, const struct notification *n, int attempts, struct wall wake, bool *held,
                                                 struct err *err);
NODISCARD enum err_kind store_notification_done(struct tx *tx, const struct notification *n, bool *held, struct err *err);

#endif
