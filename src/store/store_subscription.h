// SPDX-License-Identifier: Apache-2.0
/*
 * store_subscription.h - subscriptions, clustered by (SIM, id).
 */
#ifndef STORE_STORE_SUBSCRIPTION_H
#define STORE_STORE_SUBSCRIPTION_H

#include "core/subscription.h"
#include "store/store.h"

NODISCARD enum err_kind store_subscription_get(struct tx *tx, struct uuid id, struct arena *a, struct subscription *out, struct err *err);
NODISCARD enum err_kind store_subscription_insert(struct tx *tx, const struct subscription *s, struct err *err);
NODISCARD enum err_kind store_subscription_update(struct tx *tx, const struct subscription *s, struct err *err); // state, dates, balance
NODISCARD enum err_kind store_subscription_spend(struct tx *tx, const struct subscription *s, struct err *err);  // nothing but the balance
// Those of a SIM that are not finished, the one that expires first at the front.
NODISCARD enum err_kind store_subscription_open(struct tx *tx, iccid_t iccid, struct arena *a, struct subscription **out, size_t *n,
                                                struct err *err);

// Time passing: those whose next_at has come on a clock (0: the real time; a sandbox partner's number: its own), in order of next_at, those
// of one instant by id; and when the next one comes (WALL_NONE: none waits).
NODISCARD enum err_kind store_subscription_due(struct tx *tx, int64_t timer_clock, struct wall now, int64_t limit, struct arena *a,
                                               struct subscription **out, size_t *n, struct err *err);
NODISCARD enum err_kind store_subscription_next_due(struct tx *tx, int64_t timer_clock, struct wall *out, struct err *err);

// Sandbox partners' own clocks on which something waits, the one that comes first in real time at the front; at most `limit`.
struct timer_clock {
    int64_t partner_id, offset_ms;
    struct wall next_at; // on that clock
};
NODISCARD enum err_kind store_subscription_clocks(struct tx *tx, int64_t limit, struct arena *a, struct timer_clock **out, size_t *n,
                                                  struct err *err);

// Those of a SIM that usage from `start` to `end` may belong to: made by then (to the second), not ended before, not used up. By expiry.
struct usable_subscription {
    struct subscription s;
    struct wall date; // a first-usage one's activation date of the order; WALL_NONE
};
NODISCARD enum err_kind store_subscription_usable(struct tx *tx, iccid_t iccid, struct wall start, struct wall end, struct arena *a,
                                                  struct usable_subscription **out, size_t *n, struct err *err);
void store_subscription_usable_ahead(struct tx *tx, iccid_t iccid, struct wall start, struct wall end); // for store_job.ahead

struct subscription_filter {
    int64_t partner_id; // 0: all (operator)
    iccid_t iccid;      // ICCID_NONE: all
    struct str email;   // STR_NONE: all; compared without case
    struct str product_public_id;
    int state;                 // enum subscription_state; -1: all
    struct wall before, after; // on created
};
// *total (may be NULL) is exact up to 10,000 rows beyond the page. Newest first; for one ICCID: among equals of `created` (to the second)
// active before waiting before finished.
NODISCARD enum err_kind store_subscription_list(struct tx *tx, const struct subscription_filter *f, int64_t offset, int64_t limit,
                                                struct arena *a, struct subscription **out, size_t *n, int64_t *total, struct err *err);

#endif
