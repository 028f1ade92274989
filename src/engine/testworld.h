// SPDX-License-Identifier: Apache-2.0
/*
 * testworld.h - a small world for the engine's tests: a store in a folder of its own, a clock that stands still until moved, one scripted
 * network element, a partner with a catalogue, and up to two engines on one store. Everything runs on the test's thread.
 */
#ifndef ENGINE_TESTWORLD_H
#define ENGINE_TESTWORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/event.h"
#include "engine/engine.h"
#include "peer/fake.h"
#include "store/store_event.h"
#include "store/store_order.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

#define WORLD_ORDERS_MAX 512
#define WORLD_SANDBOX_AHEAD (INT64_C(100) * 86400000)
#define ICCID_BASE INT64_C(894447260000000000)
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct world {
    char dir[64];
    struct clock_manual manual;
    struct clock clock;
    struct rng_seeded seeded;
    struct rng rng;
    bool threaded;                  // set before world_open: the store has a thread
    bool sandbox;                   // set before world_open: the partner is one, its clock WORLD_SANDBOX_AHEAD
    uint64_t seed;                  // set before world_open
    unsigned inside;                // set before world_engine: kinds of task that the built-in network serves all the same, bits
    bool at_once;                   // set before world_engine: place 0 settles at once what it can
    size_t store_batch;             // set before world_open: jobs in one transaction; 0: as usual
    const struct db_driver *driver; // set before world_open: a wrapper; NULL: SQLite
    bool trouble_allowed;           // steps may say that the store is in trouble
    struct store *store;
    struct peer *fake; // the test's own connection to the element; NULL: everything is built in
    struct engine *engines[2];
    int batch_max, calls_max;
    int64_t partner_id;
    struct product product;
    struct wall activation, expiration;   // of the orders placed from now on
    struct uuid orders[WORLD_ORDERS_MAX]; // in order of acceptance
    int n_orders;
    struct arena arena;
};

// `script` NULL: the built-in network. Puts `sims` activated pSIMs (world_sim(i)) into the store.
// With w->threaded set before: a store with a thread, and the real clock; then `fn` hears of every commit.
void world_open_heard(struct world *w, const char *script, int sims, void (*fn)(void *ctx, unsigned news), void *ctx);
static inline void world_open(struct world *w, const char *script, int sims) {
    world_open_heard(w, script, sims, NULL, NULL);
}
void world_close(struct world *w);
// An engine for place 0 or 1, as node `place + 1`; all kinds are served by the element.
void world_engine(struct world *w, int place);
// It is gone from one moment to the next; what it had sent stays sent.
void world_drop(struct world *w, int place);

iccid_t world_sim(int i);
void world_add_sim(struct world *w, int i, enum sim_type type, enum sim_service service);
// Accepts an order as the API does. `i`: the SIM's number; -1 for the activation of an eSIM.
struct uuid world_place(struct world *w, enum operation op, enum sim_type type, int i);

// Steps the engines, and moves the clock to what they wait for, until they want nothing more within `ms`; then the clock stands there.
void world_run(struct world *w, int64_t ms);

// What is in the store now; views hold until the next of these.
struct order world_order(struct world *w, struct uuid id);
struct sim world_get_sim(struct world *w, iccid_t iccid);
size_t world_tasks(struct world *w, struct uuid id, struct task **out);
bool world_subscription(struct world *w, struct uuid id, struct subscription *out);
int world_events(struct world *w, struct uuid id, enum event_type type); // of an order
int64_t world_cap(struct world *w);                                      // activations counted this month
// Any job.
void world_do(struct world *w, enum err_kind (*run)(struct tx *, void *, struct err *), void *ctx);
// An operator retries everything that is parked. Returns how many tasks.
int world_retry(struct world *w);

// What must hold of every order at any time; and, with `ended`, that each has ended.
void world_check(struct world *w, bool ended);
// How often a step of an order was done and not undone, from the element's own books.
int world_net(struct world *w, struct uuid id, int step);
int world_done(struct world *w, struct uuid id, int step);

#endif
