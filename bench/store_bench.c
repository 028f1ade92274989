// SPDX-License-Identifier: Apache-2.0
/*
 * store_bench.c - how many orders' lives the store can write: what acceptance and the engine do to it, without what stands around them.
 *
 *   store_bench FOLDER [SECONDS [SIMS [BATCH]]]
 *
 * Makes a store with that many SIMs in the folder (which must not hold one), then places orders on random SIMs, one job an order, and
 * settles them, one job a batch, and prints lives a second, each of which is durable.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store_event.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

#define FIRST_ICCID INT64_C(894447000000000000)
#define SIMS_A_JOB 20000

struct bench {
    struct store *store;
    struct partner partner;
    struct product product;
    int64_t sims, batch, made;
    struct arena arena;
    struct rng_seeded seeded;
    struct rng rng;
    char payload[200]; // about what an order's snapshot takes
};

struct place {
    struct store_job job;
    struct bench *b;
};

static void must(enum err_kind kind, const struct err *err) {
    if (!kind)
        return;
    fprintf(stderr, "store_bench: %s\n", err_first(err));
    exit(1);
}

static enum err_kind fill(struct tx *tx, void *ctx, struct err *err) {
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
                                  .on_sale = true};
    return store_product_put(tx, &b->product, &what, err);
}

static enum err_kind add_sims(struct tx *tx, void *ctx, struct err *err) {
    struct bench *b = ctx;
    int64_t end = b->made + SIMS_A_JOB < b->sims ? b->made + SIMS_A_JOB : b->sims;
    for (int64_t i = b->made; i < end; i++) {
        char imsi[16];
        snprintf(imsi, sizeof imsi, "23450%010" PRId64, i);
        struct sim s = {.iccid = FIRST_ICCID + i,
                        .partner_id = b->partner.id,
                        .type = SIM_PSIM,
                        .service = SIM_ACTIVE,
                        .imsi = str_of(imsi),
                        .activated = tx_now(tx),
                        .modified = tx_now(tx)};
        enum err_kind kind = store_sim_insert(tx, &s, err);
        if (kind)
            return kind;
    }
    b->made = end;
    return ERR_NONE;
}

static enum err_kind say(struct tx *tx, struct bench *b, const struct order *o, enum event_type type, struct err *err) {
    struct event e = {.partner_id = o->partner_id,
                      .type = type,
                      .created = tx_now(tx),
                      .order_id = o->id,
                      .iccid = o->iccid,
                      .payload = {b->payload, sizeof b->payload}};
    return store_event_append(tx, &e, err);
}

static enum err_kind place_run(struct tx *tx, void *ctx, struct err *err) {
    struct bench *b = ((struct place *)ctx)->b;
    struct sim s;
    int64_t open_orders = 0, open_subscriptions = 0;
    iccid_t iccid = FIRST_ICCID + (int64_t)rng_below(&b->rng, (uint64_t)b->sims);
    arena_reset(&b->arena);
    enum err_kind kind = store_sim_get(tx, iccid, &b->arena, &s, err);
    if (!kind)
        kind = store_sim_open(tx, iccid, &open_orders, &open_subscriptions, err);
    if (kind)
        return kind;
    struct order o = {.id = tx_new_id(tx, b->partner.id),
                      .partner_id = b->partner.id,
                      .operation = OP_TOPUP,
                      .sim_type = SIM_PSIM,
                      .country = "GB",
                      .product_id = b->product.id,
                      .sold = {2000, "EUR"},
                      .activation = WALL_NONE,
                      .expiration = WALL_NONE,
                      .iccid = iccid,
                      .correlation_id = STR("5b1a5d1c-4b0b-4c52-9d3e-3c1a2f6d7e8f"),
                      .created = tx_now(tx),
                      .finished = WALL_NONE};
    struct task t = {.id = tx_number(tx),
                     .order_id = o.id,
                     .partner_id = o.partner_id,
                     .iccid = iccid,
                     .kind = TASK_ALLOWANCE_ADD,
                     .state = TASK_READY,
                     .due_at = tx_now(tx),
                     .lease_until = WALL_NONE,
                     .started = WALL_NONE,
                     .settled = WALL_NONE};
    kind = store_order_insert(tx, &o, err);
    if (!kind)
        kind = store_task_insert(tx, &t, err);
    return kind ? kind : say(tx, b, &o, EVENT_ORDER_ACCEPTED, err);
}

static void place_done(void *ctx, enum err_kind kind, const struct err *err) {
    (void)ctx;
    must(kind, err);
}

static enum err_kind settle_one(struct tx *tx, struct bench *b, const struct task *t, struct err *err) {
    struct order o;
    enum err_kind kind = store_order_get(tx, t->order_id, &b->arena, &o, err);
    if (kind)
        return kind;
    struct wall now = tx_now(tx);
    struct subscription s = {.id = o.id,
                             .partner_id = o.partner_id,
                             .iccid = o.iccid,
                             .product_id = o.product_id,
                             .name = STR("bench"),
                             .state = SUB_ACTIVE,
                             .created = now,
                             .activation = now,
                             .expiry = wall_plus_ms(now, 30 * INT64_C(86400000)),
                             .next_at = wall_plus_ms(now, 30 * INT64_C(86400000)),
                             .duration = 30,
                             .wanted_expiry = WALL_NONE,
                             .initial_bytes = 1 << 30,
                             .balance_as_of = WALL_NONE,
                             .sold = o.sold};
    o.state = ORDER_COMPLETED;
    o.finished = now;
    kind = store_task_delete(tx, t, err);
    if (!kind)
        kind = store_order_update(tx, &o, err);
    if (!kind)
        kind = store_subscription_insert(tx, &s, err);
    if (!kind)
        kind = say(tx, b, &o, EVENT_ORDER_COMPLETED, err);
    return kind ? kind : say(tx, b, &o, EVENT_SUBSCRIPTION_ACTIVATED, err);
}

struct settling {
    struct bench *b;
    size_t n;
};

static enum err_kind settle_run(struct tx *tx, void *ctx, struct err *err) {
    struct settling *s = ctx;
    struct task *tasks = NULL;
    arena_reset(&s->b->arena);
    enum err_kind kind = store_task_due(tx, LANE_LIVE, TASK_ALLOWANCE_ADD, tx_now(tx), s->b->batch, &s->b->arena, &tasks, &s->n, err);
    for (size_t i = 0; i < s->n && !kind; i++)
        kind = settle_one(tx, s->b, &tasks[i], err);
    return kind;
}

static double seconds_since(struct mono from) {
    return (double)mono_ms_between(from, clock_mono(&clock_system)) / 1000;
}

static int64_t one_batch(struct bench *b, struct place *places, struct err *err) {
    for (int64_t i = 0; i < b->batch; i++) {
        places[i] = (struct place){.b = b};
        places[i].job.run = place_run;
        places[i].job.done = place_done;
        places[i].job.ctx = &places[i];
        must(store_submit(b->store, &places[i].job, err), err);
    }
    struct settling s = {.b = b};
    must(store_run(b->store, settle_run, &s, err), err);
    return (int64_t)s.n;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: store_bench FOLDER [SECONDS [SIMS [BATCH]]]\n");
        return 2;
    }
    static struct bench b;
    struct err err = {0};
    int64_t limit = argc > 2 ? atoll(argv[2]) : 10;
    b.sims = argc > 3 ? atoll(argv[3]) : 1000000;
    b.batch = argc > 4 ? atoll(argv[4]) : 1000;
    b.rng = rng_seeded_init(&b.seeded, 1);
    memset(b.payload, 'x', sizeof b.payload);
    arena_init(&b.arena, 64 << 20);
    struct store_options o;
    store_options_default(&o);
    o.location = argv[1];
    o.batch_max = (size_t)b.batch;
    must(store_open(&o, &b.store, &err), &err);
    if (!store_is_fresh(b.store)) {
        fprintf(stderr, "store_bench: %s holds a store already\n", argv[1]);
        return 1;
    }
    struct mono from = clock_mono(&clock_system);
    must(store_run(b.store, fill, &b, &err), &err);
    while (b.made < b.sims)
        must(store_run(b.store, add_sims, &b, &err), &err);
    double took = seconds_since(from);
    printf("%" PRId64 " SIMs in %.1f s (%.0f/s)\n", b.sims, took, (double)b.sims / took);

    struct place *places = xcalloc((size_t)b.batch, sizeof *places);
    from = clock_mono(&clock_system);
    struct mono tick = from;
    int64_t lives = 0, then = 0;
    double slowest = 0;
    while (seconds_since(from) < (double)limit) {
        struct mono start = clock_mono(&clock_system);
        lives += one_batch(&b, places, &err);
        double batch_took = seconds_since(start);
        slowest = batch_took > slowest ? batch_took : slowest;
        if (seconds_since(tick) >= 1) {
            printf("  %.0f lives/s\n", (double)(lives - then) / seconds_since(tick));
            fflush(stdout);
            then = lives;
            tick = clock_mono(&clock_system);
        }
    }
    took = seconds_since(from);
    printf("%" PRId64 " lives in %.1f s: %.0f lives/s, batches of %" PRId64 ", the slowest %.0f ms\n", lives, took, (double)lives / took,
           b.batch, slowest * 1000);
    store_close(b.store);
    free(places);
    arena_release(&b.arena);
    return 0;
}
