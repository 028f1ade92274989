// SPDX-License-Identifier: Apache-2.0
/*
 * store_sandbox.h - what only a sandbox partner's data needs: asking whether its orders have come to rest, and taking all of it away again.
 *
 * The verbs that take away do a slice, at most `limit` of what they are named after, and say how many: 0 means that there is none left.
 * They need no memory between two slices. What refers to a row goes before it or with it.
 */
#ifndef STORE_STORE_SANDBOX_H
#define STORE_STORE_SANDBOX_H

#include "core/iccid.h"
#include "store/store.h"

// Whether a task of the partner is with the engine: may be claimed now or later, or is being called. Parked ones, and those behind them,
// wait for an operator and are not.
NODISCARD enum err_kind store_sandbox_busy(struct tx *tx, int64_t partner_id, bool *busy, struct err *err);

// A node keeps a sandbox for itself until then, over the jobs of a call that moves its clock or takes its data away; again, and it is
// longer; WALL_NONE: no more. *other: another node has it, and nothing has changed.
NODISCARD enum err_kind store_sandbox_hold(struct tx *tx, int64_t partner_id, int64_t node, struct wall until, bool *other,
                                           struct err *err);

// Subscriptions, the oldest first.
NODISCARD enum err_kind store_sandbox_drop_subscriptions(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped,
                                                         struct err *err);
// Orders with their tasks, the oldest first. Their subscriptions must be gone.
NODISCARD enum err_kind store_sandbox_drop_orders(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err);
// SIMs with their preferences; of those whose number lies between `first` and `last`. Their orders and usage must be gone.
NODISCARD enum err_kind store_sandbox_drop_sims(struct tx *tx, int64_t partner_id, iccid_t first, iccid_t last, int64_t limit,
                                                int64_t *dropped, struct err *err);
// The other SIMs go back to stock, as if never activated, without preferences; only those that are not there are counted. Their orders must
// be gone.
NODISCARD enum err_kind store_sandbox_restock_sims(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *restocked, struct err *err);
// Usage records, with their bookings, of the first `sims` SIMs (-1: of all) whose number lies between `first` and `last`.
NODISCARD enum err_kind store_sandbox_drop_usage(struct tx *tx, int64_t partner_id, iccid_t first, iccid_t last, int64_t sims,
                                                 int64_t limit, int64_t *dropped, struct err *err);
// Answers kept for idempotency keys, but for those still in work.
NODISCARD enum err_kind store_sandbox_drop_answers(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err);
// Notifications of single SIMs that wait to be delivered.
NODISCARD enum err_kind store_sandbox_drop_queues(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err);
// The log of deliveries to its webhooks.
NODISCARD enum err_kind store_sandbox_drop_deliveries(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err);
// Its webhooks go on at the end of its log, as if nothing had ever been tried; those that are disabled stay so. Its events must be gone.
NODISCARD enum err_kind store_sandbox_rewind_webhooks(struct tx *tx, int64_t partner_id, struct err *err);
// What counts towards its caps.
NODISCARD enum err_kind store_sandbox_drop_caps(struct tx *tx, int64_t partner_id, struct err *err);

#endif
