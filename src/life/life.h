// SPDX-License-Identifier: Apache-2.0
/*
 * life.h - what happens to a SIM and its subscriptions: by time, by use, and by call.
 *
 * Rows and events change together and here only, for whoever is the cause: the engine (real time), the API (calls, usage records, a sandbox
 * partner's clock), the simulation. No threads and no clock of its own: everything is done within a job (store.h), so it may be run again,
 * and times are given. "The partner's time" is partner_now(): the real one, or a sandbox partner's own.
 *
 * Errors are the store's, or what is said at each function; after one the job must fail, too.
 */
#ifndef LIFE_LIFE_H
#define LIFE_LIFE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/event.h"
#include "core/partner.h"
#include "core/sim.h"
#include "core/subscription.h"
#include "core/usage.h"
#include "store/store.h"

// ---- by call ----
// Moves a subscription: the state machine (core/subscription.h), the row, the event. `at`: the partner's time. ERR_CONFLICT with a message
// for the partner when the state forbids it; then nothing has changed, and the job may go on.
NODISCARD enum err_kind life_move(struct tx *tx, struct subscription *s, enum subscription_cue cue, struct wall at, struct err *err);

// ---- by time ----
// Everything that time does on one clock up to `until`, in the order in which it is due, at most `limit` moves: the caller chains jobs
// until !more. On a sandbox clock each move happens, and its event is dated, at the instant it was due; on the real clock the dates of
// subscriptions count from that instant, too, but the event is dated when it happened.
struct life_pass {
    // in
    int64_t clock;     // 0: the real one; otherwise a sandbox partner's number: its own
    struct wall until; // time on that clock
    int64_t limit;
    const struct uuid *shunned; // subscriptions to leave alone, because they made a pass fail
    size_t n_shunned;
    bool (*enough)(void *ctx); // asked between two moves: whether the rest is for another pass; NULL: never
    void *ctx;
    // out
    int64_t moved;
    bool more;           // stopped at the limit, or had enough
    struct wall reached; // everything due before it is done; `until` when there is no more
    struct wall next;    // when the next one is due, after `until`; WALL_NONE: none waits, or there is more to do first
    struct uuid at;      // the one in hand: whose fault a failure is; zero when it is nobody's
    struct uuid last;    // the last that was in hand, of a pass that came through
};
NODISCARD enum err_kind life_pass(struct tx *tx, struct arena *a, struct life_pass *p, struct err *err);

// ---- by use ----
// Books one record (core/usage.h). Each record id of a source counts once, whenever and however often it comes.
//   - The record is for the subscriptions of the SIM that were usable at some time between its start and its end: running, or (first-usage
//     products) waiting for the first byte. Whether they have ended since makes no difference; nothing is taken beyond the allowance.
//   - Among those, the running ones in the order of their expiry, then the waiting ones in the order of theirs, each as far as it goes.
//   - The first byte of a waiting one came at the record's start, or when the subscription became usable if that was later; where one
//   before
//     it was used up by this very record, at the record's end. One that has begun already keeps its dates.
//   - What nothing can carry, and all usage of a SIM that is not known, is kept as unrated. So is every byte accounted for:
//     sum(spent) + sum(unrated) == what came in.
//   - Thresholds of the partner fire when the booking carries a running subscription across them, the lower first, then its end.
// Faults of the record itself (dates the wrong way round, in the future) are a verdict, not an error.
void life_usage_ahead(struct tx *tx, const struct usage_record *r); // names what it will read: for store_job.ahead
NODISCARD enum err_kind life_usage(struct tx *tx, struct arena *a, const struct usage_record *r, struct usage_result *out, struct err *err);

// ---- the eSIM profile ----
// What an SM-DP+ or a device tells of a download (SGP.22 notification points, core/sim.h). Announces it, and moves the profile as far as it
// says: downloaded, installed, deleted. A step that failed, that came late or came again moves nothing. An EID is learnt while the
// profile is Released. `sim` is as stored, and is brought up to date; `at`: the partner's time. ERR_CONFLICT for a pSIM and for a profile
// that nobody has ordered yet.
NODISCARD enum err_kind life_profile_progress(struct tx *tx, struct sim *sim, const struct profile_progress *p, struct wall at,
                                              struct err *err);
// Sets the EID, while the profile is Released (ERR_CONFLICT otherwise). Said again: nothing happens.
NODISCARD enum err_kind life_profile_eid(struct tx *tx, struct sim *sim, struct str eid, struct wall at, struct err *err);

#endif
