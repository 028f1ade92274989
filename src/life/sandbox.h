// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.h - a sandbox partner's world: what it begins with, its clock, and beginning afresh.
 *
 * Everything is done within a job, in steps of bounded size: the caller chains jobs until !more. Each step leaves the store in order, so a
 * chain that breaks off may be begun again and goes on where it was.
 */
#ifndef LIFE_SANDBOX_H
#define LIFE_SANDBOX_H

#include "base/arena.h"
#include "base/clock.h"
#include "core/sandbox.h"
#include "core/sim.h"
#include "store/store.h"

#define SANDBOX_SIMS_MAX 100000 // of one partner, in stock or not
#define SANDBOX_AHEAD_YEARS 100 // how far its clock may be ahead of the real one

// A start: a few plans and the products of core/sandbox.h in its catalogue, SIMs in service and in stock. What is there already stays.
NODISCARD enum err_kind sandbox_furnish(struct tx *tx, struct arena *a, const struct partner *p, struct err *err);

// Makes one more SIM of its own: in stock, or in service at once. The caller minds SANDBOX_SIMS_MAX.
NODISCARD enum err_kind sandbox_add_sim(struct tx *tx, struct arena *a, const struct partner *p, enum sim_type type,
                                        enum sandbox_behaviour b, bool active, struct sim *out, struct err *err);

// Its clock goes forward to `target` (its own time), and everything due until then happens, in order, each at its instant. Between two
// steps the clock stands where the last one came to, or a little later, because real time passes.
struct sandbox_advance {
    int64_t partner_id;
    struct wall target;
    int64_t limit; // moves a step
    // out
    bool more;
    struct wall now; // what its clock shows
};
NODISCARD enum err_kind sandbox_advance(struct tx *tx, struct arena *a, struct sandbox_advance *s, struct err *err);

// Takes away orders, subscriptions, usage, SIMs, events and idempotency keys, at most about `limit` rows a step; at last the start's SIMs
// are there again and the clock shows the real time. Catalogue, credentials and webhooks stay; so do the numbers that events have used.
NODISCARD enum err_kind sandbox_reset(struct tx *tx, struct arena *a, int64_t partner_id, int64_t limit, bool *more, struct err *err);

#endif
