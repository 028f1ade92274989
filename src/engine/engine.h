// SPDX-License-Identifier: Apache-2.0
/*
 * engine.h - turns accepted orders into finished ones: claim, call, settle.
 *
 * The engine is a step function: engine_step(e, now) takes in the outcomes that came back, settles them, claims what is due, calls the
 * peers, and says when it wants to be called again. A loop on a thread of its own drives it in production (engine_run), a `for` in tests
 * and the simulation. It knows nothing of HTTP and of the API: it finds its work in the store's rows and is woken by NEWS_TASKS.
 *
 * Claiming and settling are jobs of the store; calls are made with no transaction open. Tasks of inline peers are claimed, called and
 * settled in one job, a batch of orders at once. A job that fails on one order is run again without it and that order is parked with the
 * reason: one bad order never stops the others.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"
#include "core/task.h"
#include "peer/peer.h"
#include "store/store.h"

struct engine;

struct engine_options {
    struct store *store;
    const struct clock *clock;
    const struct rng *rng;
    int64_t node;             // lease owner; unique among running nodes
    int lease_seconds;        // 60
    int call_timeout_seconds; // 30; less than the lease
    int batch_max;            // tasks claimed or settled in one job (1000)
};
NODISCARD enum err_kind engine_open(const struct engine_options *o, struct engine **out, struct err *err);
// Which peer serves a kind of task; before the first step. The engine closes it.
// A kind without one is served by the built-in network. Peers have different names; an inline peer's `now` runs on the store's writer.
void engine_set_peer(struct engine *e, enum task_kind kind, struct peer *p);
// Whom sandbox partners' orders meet that are to fail or dawdle (peer/sandbox.h); before the first step. The engine closes it. Their other
// orders are served by the built-in network, whatever serves the live ones.
void engine_set_sandbox_peer(struct engine *e, struct peer *p);
// Leaves calls on their way to themselves: what they were for is probed after the next start.
void engine_close(struct engine *e);

// One turn, on the caller's thread; with a store that has no thread of its own all of it happens here. *wake: the real time at which it
// wants the next one (WALL_NONE: only when woken). An error is the store's trouble: it goes on when called again at *wake.
NODISCARD enum err_kind engine_step(struct engine *e, struct wall *wake, struct err *err);

// The production loop: runs steps on its own thread until engine_stop, which lets running calls come back for at most `drain_ms`.
NODISCARD enum err_kind engine_run(struct engine *e, struct err *err);
void engine_stop(struct engine *e, int drain_ms);
void engine_wake(struct engine *e); // from any thread
// Has the store call the engine at the end of each transaction that accepts orders (store_at_end): those that inline peers alone serve are
// then carried out in that very transaction, and no task of theirs is ever written. All others go the usual way. After engine_set_peer;
// the engine must then live until the store is closed.
void engine_settle_at_once(struct engine *e);
// For whoever opens both: store_on_commit(store, ENGINE_NEWS, engine_news, engine). The engine must then live until the store is closed:
// engine_stop, store_close, engine_close.
#define ENGINE_NEWS (NEWS_TASKS | NEWS_TIMERS)
void engine_news(void *engine, unsigned news);

#endif
