// SPDX-License-Identifier: Apache-2.0
/*
 * subscription.h - one product running, waiting or finished on one SIM: dates and balance.
 *
 *   PENDING        its activation date lies ahead; next_at is that date
 *   PENDING_USAGE  first-usage product: waits for the first byte, the duration counts from then; activation is WALL_NONE; expiry and
 * next_at are the order's expiration, or WALL_NONE ACTIVE         has allowance, not past its expiry; next_at is the expiry DEPLETED
 * allowance used up; final; next_at is WALL_NONE EXPIRED        past its expiry, or expired by call (then expiry is when); final; next_at
 * is WALL_NONE; activation is WALL_NONE when it never ran
 *
 * Invariants in every state: 0 <= spent <= initial; activation < expiry where both are set (<= when expired by call).
 * A subscription's key is the id of the order that made it: there is exactly one for each completed order.
 */
#ifndef CORE_SUBSCRIPTION_H
#define CORE_SUBSCRIPTION_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/money.h"
#include "base/str.h"
#include "core/iccid.h"
#include "core/product.h"

enum subscription_state { SUB_PENDING, SUB_PENDING_USAGE, SUB_ACTIVE, SUB_DEPLETED, SUB_EXPIRED };
extern const char *const subscription_state_words[];

// What makes a subscription move.
enum subscription_cue {
    SUB_CUE_DATE,        // its activation date has come
    SUB_CUE_ACTIVATE,    // the partner said so
    SUB_CUE_FIRST_USAGE, // the first byte
    SUB_CUE_USED_UP,     // nothing left
    SUB_CUE_EXPIRY,      // past its expiry date
    SUB_CUE_EXPIRE,      // the partner said so
};

enum subscription_end { SUB_END_NONE, SUB_END_DEPLETED, SUB_END_EXPIRED, SUB_END_EXPIRED_BY_CALL };

struct subscription {
    struct uuid id; // the order's
    int64_t partner_id;
    iccid_t iccid;
    int64_t product_id; // row key
    char product_public_id[LONG_ID_TEXT];
    struct str name;  // the product's, when it was bought
    struct str email; // the subscriber's; STR_NONE
    enum subscription_state state;
    enum subscription_end end;
    struct wall created, activation, expiry; // activation/expiry WALL_NONE while unknown (PENDING_USAGE)
    struct wall next_at;                     // the next instant at which time moves it; WALL_NONE
    int64_t duration;                        // the plan's, needed when the first byte or the date comes
    enum duration_unit duration_unit;
    bool first_usage;
    struct wall wanted_expiry; // expiration_date of the order; WALL_NONE
    int64_t initial_bytes, spent_bytes;
    struct wall balance_as_of; // end of the newest usage record booked; WALL_NONE before the first
    struct money sold;
};

bool subscription_finished(enum subscription_state s);

// The first state, when its order is done at `now`: waits for `date` when that lies ahead, begins at once otherwise. Sets state, end, dates
// and next_at from duration, first_usage and wanted_expiry. One whose wanted expiry has passed meanwhile is EXPIRED from birth.
void subscription_begin(struct subscription *s, struct wall date, struct wall now);

// Clients send "now" to the second: a date within the current second is now.
static inline bool date_is_now_or_past(struct wall date, struct wall now) {
    return date.ms <= now.ms || (date.ms - now.ms < 1000 && date.ms / 1000 == now.ms / 1000);
}

// Takes what it can of `bytes` from the allowance, in whatever state; returns how much. balance_as_of becomes `end` when that is newer.
int64_t subscription_take(struct subscription *s, int64_t bytes, struct wall end);
// Whether spending went across `percent` when it grew from `before` to what it is now. Spending never shrinks: that is so once.
bool subscription_crossed(const struct subscription *s, int64_t before, int percent);

// Moves it, at `now`, and recomputes dates and next_at. ERR_CONFLICT (with a message for the partner) when the state forbids the cue, when
// DATE or EXPIRY comes before its date, and when it would be started after the expiry its order asked for; then nothing has changed.
NODISCARD enum err_kind subscription_move(struct subscription *s, enum subscription_cue cue, struct wall now, struct err *err);
bool subscription_can(const struct subscription *s, enum subscription_cue cue); // by state alone

#endif
