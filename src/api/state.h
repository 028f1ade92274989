// SPDX-License-Identifier: Apache-2.0
/*
 * state.h - what `struct api` is made of, for the files of api/ only. Set at api_open and then read-only, but for the atomics.
 */
#ifndef API_STATE_H
#define API_STATE_H

#include <pthread.h>

#include "api/api.h"
#include "api/router.h"
#include "api/wait.h"
#include "base/metrics.h"

// Statuses that have a counter of their own at hand; others take the slow way through metric_child.
#define METER_CODES 20
struct route_meter {
    struct metric *latency;
    _Atomic(struct metric *) codes[METER_CODES];
};

// Calls that wait for their job to be run again (park.h).
struct park {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct call *first;
    size_t n;
    bool stopped, woken;
    bool running;
    pthread_t thread;
};

// The dropping of old events (retention.h): the round's state, and the slice's.
struct retention {
    struct store_job job;
    struct mono last;
    int64_t begin; // partners up to this one are done with, in this round
    int64_t at;    // the same after the slice
    int64_t dropped, round;
    bool over;
    _Atomic bool running;
    _Atomic int64_t pause_ms;
};

// The upkeep of imports (import_upkeep.h).
struct imports {
    struct store_job job;
    struct mono last;
    bool more; // the job's
    _Atomic bool running;
    _Atomic int64_t pause_ms;
};

// The number of a process that works on idempotency keys: its node's above as many bits of its instance, or random ones.
#define API_PROCESS_BITS 48
#define API_PROCESS_MASK ((INT64_C(1) << API_PROCESS_BITS) - 1)
#define API_NO_PROCESS 0
static inline int64_t api_process(int64_t node, int64_t instance) {
    return node << API_PROCESS_BITS | (instance & API_PROCESS_MASK ? instance & API_PROCESS_MASK : 1);
}

#define SANDBOX_CALLS_MAX 64

struct api {
    struct api_options o;
    struct str base_url; // views of o.base_url
    struct str origin;   // its scheme and host
    const struct route *routes;
    size_t n_routes;
    struct route *own_routes; // NULL, or what `routes` is
    struct router *router;
    int64_t process;
    struct park park;
    struct waits *waits;
    struct metric *waiting;
    struct {
        struct store_job job;
        struct mono last;
        int64_t removed;
        _Atomic bool running;
        _Atomic int64_t pause_ms;
    } prune; // old idempotency keys
    struct sandbox_calls {
        pthread_mutex_t lock;
        int64_t partner[SANDBOX_CALLS_MAX]; // 0: a free place
    } sandbox_calls;                        // partners whose clock is being moved, or data taken away (sandbox.c)
    struct retention retention;
    struct imports imports;
    struct metric_family *requests;
    struct route_meter *meters; // one a route, and a last one for what has no route
    struct metric *job_queue, *job_batches, *longest_batch, *orders[4], *tasks[7];
    struct metric *replays;
    _Atomic bool draining;
};

// api_open with another table of routes: for tests.
NODISCARD enum err_kind api_open_routes(const struct api_options *o, const struct route *routes, size_t n, struct api **out,
                                        struct err *err);
// A job's run of the call's work, and what it has come to: whether there is another job to do. Otherwise c->failed and c->err tell.
NODISCARD enum err_kind call_work(struct call *c, struct tx *tx, struct err *err);
NODISCARD bool call_worked(struct call *c, enum err_kind kind, const struct err *err);
// The call's next job is on its way, or will be at the next turn; then the call is nobody's to look at. False: c->failed says why.
NODISCARD bool call_go_on(struct call *c);

#endif
