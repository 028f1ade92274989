// SPDX-License-Identifier: Apache-2.0
/*
 * deliver.h - brings partners' events to their webhooks, and notifications of single SIMs to where they go; from the log, at least once, in
 * order for each endpoint.
 *
 * Like the engine it is a step function: deliver_step takes in what was answered, writes that down, and sends what is due; a thread drives
 * it in production (deliver_run), a `for` in tests and the simulation. What is sent is at most one request at a time for an endpoint; a
 * slow or dead one costs others nothing. All state is in the store's rows: after a crash it goes on behind the last delivery that was
 * written down, and what was answered but not written down yet (at most DELIVER_AHEAD_MAX of an endpoint) is sent again.
 *
 * Several nodes may run at once: each endpoint is under the lease of one.
 */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"
#include "http/client.h"
#include "render/render.h"
#include "store/store.h"

#define DELIVER_AHEAD_MAX 64
#define DELIVER_LEASE_MS 60000 // how long a node may hold an endpoint before another takes it over

// How requests go out: http_client_send in production.
struct deliver_sender {
    enum err_kind (*send)(void *ctx, const struct http_request *r, struct err *err);
    void *ctx;
};

struct deliver_options {
    struct store *store;
    const struct clock *clock;
    const struct rng *rng;
    struct links links; // must stay
    struct deliver_sender sender;
    int64_t node;            // lease owner; unique among running nodes
    int calls_max;           // requests at once
    int64_t retry_scale_ppm; // of the retry schedule (core/webhook.h)
    int log_days;            // how long the log of deliveries is kept
    int gather_ms;           // answers are written down no oftener while more are to come; 0: at once
};

struct deliver;
NODISCARD enum err_kind deliver_open(const struct deliver_options *o, struct deliver **out, struct err *err);
// When no request is on its way any more and the store has answered all jobs: after deliver_stop, http_client_close and store_close.
void deliver_close(struct deliver *d);

// For whoever opens both: store_on_commit(store, DELIVER_NEWS, deliver_news, deliver).
#define DELIVER_NEWS (NEWS_EVENTS | NEWS_WEBHOOKS | NEWS_NOTIFICATIONS)
void deliver_news(void *deliver, unsigned news);

// One turn on the caller's thread. *wake: the real time at which it wants the next one (WALL_NONE: only when woken). An error is the
// store's trouble: it goes on when called again at *wake.
NODISCARD enum err_kind deliver_step(struct deliver *d, struct wall *wake, struct err *err);

NODISCARD enum err_kind deliver_run(struct deliver *d, struct err *err);
// Sends no more, lets what is on its way come back for at most `drain_ms`, writes it down and gives up the leases.
void deliver_stop(struct deliver *d, int drain_ms);

#endif
