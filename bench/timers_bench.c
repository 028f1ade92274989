// SPDX-License-Identifier: Apache-2.0
/*
 * timers_bench.c - many subscriptions that end at one instant, while orders come in: how long they take, and what it does to the orders.
 *
 *   timers_bench FOLDER [SUBSCRIPTIONS [ORDERS_A_SECOND [ROUNDS [SECONDS]]]]
 *
 * Makes a store in the folder (which must not hold one) with that many subscriptions (a million), runs the engine on it as the server does,
 * and places orders at a steady pace, each in a job of its own. In each round a part of the subscriptions ends in the same millisecond.
 * Latency, from an order's submission to its answer after the commit, is measured for SECONDS with nothing due and then until the last of
 * them has ended: turn about, and once more after the last round, because a machine is not the same from one minute to the next. The orders
 * of the first seconds and of those between are not counted: the store has what it was filled with to copy. The clock is the system's, with
 * a leap in each round. All at once: one round. The last line says it all as JSON.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/order_place.h"
#include "base/log.h"
#include "engine/engine.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

#define FIRST_ICCID INT64_C(894447000000000000)
#define ROWS_A_JOB 10000
#define ORDER_SIMS 100000                     // beside those whose subscriptions end
#define AHEAD_MS (INT64_C(20) * 86400 * 1000) // when they end
#define ROUND_MS INT64_C(3600000)
#define WARM_SECONDS 3
#define BETWEEN_SECONDS 1
#define LATENCIES_MAX 4000000

// Latencies in nanoseconds.
struct latencies {
    int64_t ns[LATENCIES_MAX];
    _Atomic int64_t n;
    double seconds;
};

struct bench {
    struct store *store;
    struct engine *engine;
    struct partner partner;
    struct product product;
    struct wall ends; // of the first round; the others come ROUND_MS later each
    int64_t count, made, rounds, rate;
    struct rng_seeded seeded;
    struct rng rng;
    _Atomic int64_t failed, running;
};

struct placing {
    struct store_job job;
    struct bench *b;
    struct latencies *to;
    struct order o;
    struct mono begun;
    struct arena arena;
};

static _Atomic int64_t leap_ms;

static struct wall leaping_wall(void *ctx) {
    (void)ctx;
    return wall_plus_ms(clock_wall(&clock_system), atomic_load(&leap_ms));
}
static struct mono leaping_mono(void *ctx) {
    (void)ctx;
    return clock_mono(&clock_system);
}
static const struct clock leaping = {leaping_wall, leaping_mono, NULL};

static void must(enum err_kind kind, const struct err *err) {
    if (!kind)
        return;
    fprintf(stderr, "timers_bench: %s\n", err_first(err));
    exit(1);
}

// ---- the rows ----

static enum err_kind begin(struct tx *tx, void *ctx, struct err *err) {
    struct bench *b = ctx;
    enum upsert what;
    b->partner = (struct partner){.client_id = STR("bench"), .name = STR("bench"), .currencies = STR(""), .created = tx_now(tx)};
    enum err_kind kind = store_partner_insert(tx, &b->partner, err);
    if (kind)
        return kind;
    b->product = (struct product){.partner_id = b->partner.id,
                                  .public_id = "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=",
                                  .name = STR("bench"),
                                  .sim_types = SIM_PSIM,
                                  .duration = 30,
                                  .data = 1,
                                  .data_unit = DATA_GB,
                                  .price = {2000, "EUR"},
                                  .footprint_code = STR("GLOBAL"),
                                  .on_sale = true};
    return store_product_put(tx, &b->product, &what, err);
}

static enum err_kind add_sim(struct tx *tx, struct bench *b, int64_t i, struct err *err) {
    struct sim s = {.iccid = FIRST_ICCID + i,
                    .partner_id = b->partner.id,
                    .type = SIM_PSIM,
                    .service = SIM_ACTIVE,
                    .activated = tx_now(tx),
                    .modified = tx_now(tx)};
    return store_sim_insert(tx, &s, err);
}

static enum err_kind add_subscription(struct tx *tx, struct bench *b, int64_t i, struct err *err) {
    struct wall now = tx_now(tx), ends = wall_plus_ms(b->ends, i % b->rounds * ROUND_MS);
    struct order o = {.id = tx_new_id(tx, b->partner.id),
                      .partner_id = b->partner.id,
                      .state = ORDER_COMPLETED,
                      .operation = OP_TOPUP,
                      .sim_type = SIM_PSIM,
                      .country = "GB",
                      .product_id = b->product.id,
                      .activation = WALL_NONE,
                      .expiration = ends,
                      .iccid = FIRST_ICCID + i,
                      .created = now,
                      .finished = now};
    struct subscription s = {.id = o.id,
                             .partner_id = o.partner_id,
                             .iccid = o.iccid,
                             .product_id = o.product_id,
                             .name = b->product.name,
                             .state = SUB_ACTIVE,
                             .created = now,
                             .activation = now,
                             .expiry = ends,
                             .next_at = ends,
                             .duration = 30,
                             .wanted_expiry = ends,
                             .initial_bytes = INT64_C(1) << 30,
                             .balance_as_of = WALL_NONE};
    memcpy(s.product_public_id, b->product.public_id, sizeof s.product_public_id);
    enum err_kind kind = store_order_insert(tx, &o, err);
    return kind ? kind : store_subscription_insert(tx, &s, err);
}

static enum err_kind add_rows(struct tx *tx, void *ctx, struct err *err) {
    struct bench *b = ctx;
    int64_t all = b->count + ORDER_SIMS, end = b->made + ROWS_A_JOB < all ? b->made + ROWS_A_JOB : all;
    enum err_kind kind = ERR_NONE;
    for (int64_t i = b->made; i < end && !kind; i++) {
        kind = add_sim(tx, b, i, err);
        if (!kind && i < b->count)
            kind = add_subscription(tx, b, i, err);
    }
    if (!kind)
        b->made = end;
    return kind;
}

// ---- orders ----

static enum err_kind place_run(struct tx *tx, void *ctx, struct err *err) {
    struct placing *p = ctx;
    struct order o = p->o;
    arena_reset(&p->arena);
    return order_place(tx, &p->arena, &p->b->partner, &o, err);
}

static void place_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct placing *p = ctx;
    struct bench *b = p->b;
    int64_t at = atomic_fetch_add(&p->to->n, 1);
    if (at < LATENCIES_MAX)
        p->to->ns[at] = clock_mono(&clock_system).ns - p->begun.ns;
    if (kind && atomic_fetch_add(&b->failed, 1) == 0)
        fprintf(stderr, "timers_bench: an order: %s\n", err_first(err));
    arena_release(&p->arena);
    free(p);
    atomic_fetch_sub(&b->running, 1);
}

static void place(struct bench *b, struct latencies *to) {
    struct placing *p = xcalloc(1, sizeof *p);
    struct err err = {0};
    arena_init(&p->arena, 1 << 20);
    p->b = b;
    p->to = to;
    p->o = (struct order){.operation = OP_TOPUP,
                          .sim_type = SIM_PSIM,
                          .country = "GB",
                          .sold = {2000, "EUR"},
                          .activation = WALL_NONE,
                          .expiration = WALL_NONE,
                          .iccid = FIRST_ICCID + b->count + (int64_t)rng_below(&b->rng, ORDER_SIMS),
                          .correlation_id = STR("5b1a5d1c-4b0b-4c52-9d3e-3c1a2f6d7e8f")};
    memcpy(p->o.product_public_id, b->product.public_id, sizeof p->o.product_public_id);
    p->job = (struct store_job){.run = place_run, .done = place_done, .ctx = p};
    atomic_fetch_add(&b->running, 1);
    p->begun = clock_mono(&clock_system);
    must(store_submit(b->store, &p->job, &err), &err);
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static bool due_left(struct bench *b) {
    struct tx *tx;
    struct err err = {0};
    struct wall next;
    must(store_read_begin(b->store, &tx, &err), &err);
    must(store_subscription_next_due(tx, 0, &next, &err), &err);
    store_read_end(tx);
    return wall_set(next) && next.ms <= clock_wall(&leaping).ms;
}

static void pause_until(struct mono at) {
    struct timespec t = {at.ns / 1000000000, at.ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

// Places orders at their pace, for so many seconds, or, with 0, until nothing is due any more.
static void measure(struct bench *b, struct latencies *to, int64_t seconds) {
    struct mono from = clock_mono(&clock_system), now = from;
    int64_t placed = 0;
    while (seconds ? mono_ms_between(from, now) < seconds * 1000 : placed % 50 != 0 || due_left(b)) {
        place(b, to);
        placed++;
        pause_until((struct mono){from.ns + placed * 1000000000 / b->rate});
        now = clock_mono(&clock_system);
    }
    to->seconds += (double)mono_ms_between(from, clock_mono(&clock_system)) / 1000;
    while (atomic_load(&b->running) > 0)
        pause_until((struct mono){clock_mono(&clock_system).ns + 1000000});
}

static double ms_at(const struct latencies *l, int64_t n, int64_t percent) {
    return (double)l->ns[(n - 1) * percent / 100] / 1e6;
}

static int64_t kept(const struct latencies *l) {
    int64_t n = atomic_load(&l->n);
    return n < LATENCIES_MAX ? n : LATENCIES_MAX;
}

static void tell(const char *what, struct latencies *l) {
    int64_t n = kept(l);
    double sum = 0;
    qsort(l->ns, (size_t)n, sizeof *l->ns, by_size);
    for (int64_t i = 0; i < n; i++)
        sum += (double)l->ns[i];
    printf("%-12s %8" PRId64 " orders, %5.0f/s; ms: mean %.2f, median %.2f, 90 %% %.2f, 99 %% %.2f, greatest %.2f\n", what, n,
           (double)n / l->seconds, sum / (double)n / 1e6, ms_at(l, n, 50), ms_at(l, n, 90), ms_at(l, n, 99), ms_at(l, n, 100));
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: timers_bench FOLDER [SUBSCRIPTIONS [ORDERS_A_SECOND [ROUNDS [SECONDS]]]]\n");
        return 2;
    }
    static struct bench b;
    struct err err = {0};
    b.count = argc > 2 ? atoll(argv[2]) : 1000000;
    b.rate = argc > 3 ? atoll(argv[3]) : 500;
    b.rounds = argc > 4 ? atoll(argv[4]) : 5;
    int64_t seconds = argc > 5 ? atoll(argv[5]) : 10;
    static struct latencies usual, meanwhile, uncounted;
    b.rng = rng_seeded_init(&b.seeded, 1);
    b.ends = wall_plus_ms(clock_wall(&clock_system), AHEAD_MS);
    log_threshold = LOG_WARN;
    struct store_options o;
    store_options_default(&o);
    o.location = argv[1];
    o.clock = &leaping;
    must(store_open(&o, &b.store, &err), &err);
    if (!store_is_fresh(b.store)) {
        fprintf(stderr, "timers_bench: %s holds a store already\n", argv[1]);
        return 1;
    }
    struct engine_options e = {.store = b.store,
                               .clock = &leaping,
                               .rng = &rng_system,
                               .node = 1,
                               .lease_seconds = 60,
                               .call_timeout_seconds = 30,
                               .batch_max = 1000};
    must(engine_open(&e, &b.engine, &err), &err);
    store_on_commit(b.store, ENGINE_NEWS, engine_news, b.engine);
    engine_settle_at_once(b.engine);

    struct mono from = clock_mono(&clock_system);
    must(store_run(b.store, begin, &b, &err), &err);
    while (b.made < b.count + ORDER_SIMS)
        must(store_run(b.store, add_rows, &b, &err), &err);
    printf("%" PRId64 " subscriptions made in %.0f s\n", b.count, (double)mono_ms_between(from, clock_mono(&clock_system)) / 1000);
    must(engine_run(b.engine, &err), &err);

    measure(&b, &uncounted, WARM_SECONDS);
    measure(&b, &usual, seconds);
    for (int64_t i = 0; i < b.rounds; i++) {
        atomic_store(&leap_ms, AHEAD_MS + i * ROUND_MS);
        engine_wake(b.engine);
        measure(&b, &meanwhile, 0);
        measure(&b, &uncounted, BETWEEN_SECONDS);
        measure(&b, &usual, seconds);
    }
    printf("%" PRId64 " subscriptions ended in %.1f s: %.0f/s\n", b.count, meanwhile.seconds, (double)b.count / meanwhile.seconds);
    tell("nothing due", &usual);
    tell("meanwhile", &meanwhile);
    printf("{\"subscriptions\":%" PRId64 ",\"at_once\":%" PRId64 ",\"seconds\":%.2f,\"ended_per_s\":%.0f,\"orders_per_s\":%" PRId64
           ",\"usual\":{\"p50_ms\":%.3f,\"p99_ms\":%.3f},\"meanwhile\":{\"p50_ms\":%.3f,\"p99_ms\":%.3f}}\n",
           b.count, b.count / b.rounds, meanwhile.seconds, (double)b.count / meanwhile.seconds, b.rate, ms_at(&usual, kept(&usual), 50),
           ms_at(&usual, kept(&usual), 99), ms_at(&meanwhile, kept(&meanwhile), 50), ms_at(&meanwhile, kept(&meanwhile), 99));

    engine_stop(b.engine, 1000);
    store_close(b.store);
    engine_close(b.engine);
    return atomic_load(&b.failed) > 0;
}
