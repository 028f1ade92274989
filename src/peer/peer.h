// SPDX-License-Identifier: Apache-2.0
/*
 * peer.h - a network element we call, seen from the engine: start, probe, cancel -> outcome.
 *
 * Three facts are never confused: UNAVAILABLE (nothing was sent), UNSURE (sent, no answer), REFUSED (no, for good). A peer never blocks:
 * `call` takes a request and returns at once; the outcome comes later through `done`, exactly once per call, from any thread, possibly from
 * inside `call`. Late and doubled answers of a real element are the peer's to sort out, by the call's number; the engine ignores outcomes
 * of calls it no longer owns.
 *
 * An *inline* peer has no outside at all (builtin): its work is part of the store's transaction, so claim, call and settle are one, and it
 * implements `now` instead of `call`.
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/order.h"
#include "core/sandbox.h"
#include "core/sim.h"
#include "core/task.h"

#define PEER_NOTE_MAX 200

struct peer_request {
    int64_t call; // names this attempt; grows, never reused within the process
    int64_t task_id;
    struct uuid order_id;
    char identity[64]; // "<order id>-<step>": the same for all attempts of a task
    enum task_kind kind;
    enum task_verb verb;
    int attempt;                      // of the task, from 1
    enum sandbox_behaviour behaviour; // what a sandbox partner rehearses; AS_USUAL for a live one's order
    struct sim sim;                   // views live while `call` runs: what a peer needs later it copies
    struct mono deadline;             // after it the engine takes the call as UNSURE and forgets it
};

struct peer_outcome {
    enum outcome_kind kind;
    char note[PEER_NOTE_MAX]; // for people: what the element said
};

struct peer;
struct peer_ops {
    const char *type; // "builtin", "fake", "osmo-hlr" ...
    bool is_inline;
    void (*now)(struct peer *p, const struct peer_request *r, struct peer_outcome *out); // inline peers
    void (*call)(struct peer *p, const struct peer_request *r);                          // the others
    // For peers that live on a virtual clock (fake): lets them act up to `now`; returns the next instant they want, INT64_MAX when none.
    // May be NULL.
    int64_t (*tick)(struct peer *p, struct mono now);
    void (*close)(struct peer *p); // no `done` after it has returned
};
struct peer {
    const struct peer_ops *ops;
    const char *name;                                                          // as configured; tasks keep it
    int calls_max;                                                             // in flight at once
    void (*done)(void *ctx, int64_t call, const struct peer_outcome *outcome); // set by the engine
    void *ctx;
};

struct peer *peer_builtin_open(const char *name);

#endif
