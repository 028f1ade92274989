// SPDX-License-Identifier: Apache-2.0
#include "engine/testworld.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/date.h"
#include "core/sandbox.h"
#include "store/store_partner.h"
#include "store/store_product.h"

static void ok(enum err_kind k, const struct err *err) {
    if (k)
        fail_msg("%s: %s", err_kind_name(k), err_first(err));
}

void world_do(struct world *w, enum err_kind (*run)(struct tx *, void *, struct err *), void *ctx) {
    struct err err = {0};
    ok(store_run(w->store, run, ctx, &err), &err);
}

// ---- what there is ----

iccid_t world_sim(int i) {
    return ICCID_BASE + i;
}

static enum err_kind furnish(struct tx *tx, void *ctx, struct err *err) {
    struct world *w = ctx;
    struct partner p = {.client_id = STR("truphone"),
                        .name = STR("Truphone"),
                        .currencies = STR(""),
                        .event_days = 90,
                        .created = tx_now(tx),
                        .mode = w->sandbox ? PARTNER_SANDBOX : PARTNER_LIVE,
                        .clock_offset_ms = w->sandbox ? WORLD_SANDBOX_AHEAD : 0};
    enum err_kind k = store_partner_insert(tx, &p, err);
    if (k)
        return k;
    w->partner_id = p.id;
    w->product = (struct product){.partner_id = p.id,
                                  .public_id = "wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM=",
                                  .name = STR("Plan name"),
                                  .sim_types = SIM_ESIM | SIM_PSIM,
                                  .duration = 90,
                                  .duration_unit = DURATION_DAYS,
                                  .data = 50,
                                  .data_unit = DATA_MB,
                                  .price = {2000, "EUR"},
                                  .footprint_code = STR("GLOBAL"),
                                  .on_sale = true};
    enum upsert what;
    return store_product_put(tx, &w->product, &what, err);
}

struct new_sim {
    struct world *w;
    int i;
    enum sim_type type;
    enum sim_service service;
};

static enum err_kind add_sim(struct tx *tx, void *ctx, struct err *err) {
    const struct new_sim *n = ctx;
    char matching[32];
    snprintf(matching, sizeof(matching), "MATCH-%d", n->i);
    struct sim s = {.iccid = world_sim(n->i),
                    .partner_id = n->w->partner_id,
                    .type = n->type,
                    .service = n->service,
                    .activated = n->service == SIM_ACTIVE ? tx_now(tx) : WALL_NONE,
                    .modified = tx_now(tx)};
    if (n->type == SIM_ESIM) {
        s.esim = ESIM_RELEASED;
        s.matching_id = str_of(matching);
        s.smdp = STR("smdp.example.com");
    }
    return store_sim_insert(tx, &s, err);
}

void world_add_sim(struct world *w, int i, enum sim_type type, enum sim_service service) {
    world_do(w, add_sim, &(struct new_sim){w, i, type, service});
}

void world_open_heard(struct world *w, const char *script, int sims, void (*fn)(void *ctx, unsigned news), void *ctx) {
    struct err err = {0};
    uint64_t seed = w->seed;
    struct wall start;
    assert_true(date_parse(STR("2026-11-23T12:00:00Z"), &start));
    bool threaded = w->threaded, sandbox = w->sandbox;
    const struct db_driver *driver = w->driver;
    size_t store_batch = w->store_batch;
    *w = (struct world){.threaded = threaded,
                        .sandbox = sandbox,
                        .seed = seed,
                        .driver = driver,
                        .batch_max = 1000,
                        .calls_max = 64,
                        .activation = WALL_NONE,
                        .expiration = WALL_NONE};
    // In memory where there is such a place: these tests are about the order of things, not about the disk.
    snprintf(w->dir, sizeof(w->dir), "%s/topupd-engine-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->clock = clock_manual_init(&w->manual, start);
    w->rng = rng_seeded_init(&w->seeded, seed);
    arena_init(&w->arena, (size_t)64 << 20);
    struct store_options o;
    store_options_default(&o);
    o.location = w->dir;
    o.clock = threaded ? &clock_system : &w->clock;
    o.rng = threaded ? &rng_system : &w->rng;
    o.threaded = threaded;
    o.driver = driver;
    if (store_batch)
        o.batch_max = store_batch;
    o.may_create = true;
    ok(store_open(&o, &w->store, &err), &err);
    if (fn)
        store_on_commit(w->store, NEWS_TASKS | NEWS_EVENTS | NEWS_TIMERS, fn, ctx);
    if (script)
        ok(peer_fake_open("hlr1", str_of(script), threaded ? &clock_system : &w->clock, &w->fake, &err), &err);
    world_do(w, furnish, w);
    for (int i = 0; i < sims; i++)
        world_add_sim(w, i, SIM_PSIM, SIM_ACTIVE);
}

void world_engine(struct world *w, int place) {
    struct err err = {0};
    struct engine_options o = {.store = w->store,
                               .clock = w->threaded ? &clock_system : &w->clock,
                               .rng = w->threaded ? &rng_system : &w->rng,
                               .node = place + 1,
                               .lease_seconds = 60,
                               .call_timeout_seconds = 30,
                               .batch_max = w->batch_max};
    ok(engine_open(&o, &w->engines[place], &err), &err);
    struct peer *p = w->fake ? peer_fake_twin(w->fake) : NULL;
    if (p)
        p->calls_max = w->calls_max;
    for (int kind = 0; p && kind < TASK_KINDS; kind++) {
        if (!(w->inside & 1U << kind))
            engine_set_peer(w->engines[place], (enum task_kind)kind, p);
    }
    if (w->at_once && place == 0)
        engine_settle_at_once(w->engines[place]);
}

void world_drop(struct world *w, int place) {
    if (w->at_once && place == 0)
        store_at_end(w->store, NULL);
    engine_close(w->engines[place]);
    w->engines[place] = NULL;
}

void world_close(struct world *w) {
    char path[128];
    for (int i = 0; i < 2; i++)
        world_drop(w, i);
    store_close(w->store);
    if (w->fake)
        w->fake->ops->close(w->fake);
    arena_release(&w->arena);
    static const char *const files[] = {"topupd.db", "topupd.db-wal", "topupd.db-shm", "topupd.lock"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
        unlink(path);
    }
    rmdir(w->dir);
}

// ---- acceptance, as the API does it ----

struct placing {
    struct world *w;
    struct order o;
};

static enum err_kind place(struct tx *tx, void *ctx, struct err *err) {
    struct placing *p = ctx;
    struct order *o = &p->o;
    struct partner partner;
    enum err_kind k = store_partner_get(tx, p->w->partner_id, &p->w->arena, &partner, err);
    if (k)
        return k;
    o->id = tx_new_id(tx, o->partner_id);
    o->created = partner_now(&partner, tx_now(tx));
    bool ahead = false;
    if (o->iccid != ICCID_NONE) {
        struct task first;
        k = store_task_first_open(tx, o->iccid, &p->w->arena, &first, err);
        if (k && k != ERR_NOT_FOUND)
            return k;
        ahead = !k;
        err_clear(err);
    }
    k = store_order_insert(tx, o, err);
    enum task_kind plan[PLAN_MAX];
    int n = order_plan(o, plan);
    for (int i = 0; i < n && !k; i++) {
        struct task t = {.id = tx_number(tx),
                         .order_id = o->id,
                         .partner_id = o->partner_id,
                         .iccid = o->iccid,
                         .step = i,
                         .kind = plan[i],
                         .lane = order_lane(&partner, o),
                         .state = i == 0 && !ahead ? TASK_READY : TASK_BLOCKED,
                         .due_at = tx_now(tx),
                         .lease_until = WALL_NONE,
                         .started = WALL_NONE,
                         .settled = WALL_NONE};
        k = store_task_insert(tx, &t, err);
    }
    if (!k && o->operation == OP_ACTIVATION) {
        struct civil c = civil_of(o->created);
        int64_t month = (int64_t)c.year * 100 + c.month;
        k = store_cap_add(tx, o->partner_id, month * 100 + c.day, 1, err);
        if (!k)
            k = store_cap_add(tx, o->partner_id, month, 1, err);
        if (!k && o->iccid != ICCID_NONE) {
            struct sim s;
            k = store_sim_get(tx, o->iccid, &p->w->arena, &s, err);
            s.service = SIM_ACTIVATING;
            if (!k)
                k = store_sim_update(tx, &s, err);
        }
    }
    if (k)
        return k;
    struct buf payload;
    buf_init(&payload, 65536);
    event_pack_order(&payload, o, NULL);
    struct event e = {.partner_id = o->partner_id,
                      .type = EVENT_ORDER_ACCEPTED,
                      .created = o->created,
                      .order_id = o->id,
                      .iccid = o->iccid,
                      .payload = buf_str(&payload)};
    k = store_event_append(tx, &e, err);
    buf_release(&payload);
    tx_news(tx, NEWS_TASKS);
    return k;
}

struct uuid world_place(struct world *w, enum operation op, enum sim_type type, int i) {
    assert_true(w->n_orders < WORLD_ORDERS_MAX);
    struct placing p = {w,
                        {.partner_id = w->partner_id,
                         .operation = op,
                         .sim_type = type,
                         .country = "GB",
                         .product_id = w->product.id,
                         .activation = w->activation,
                         .expiration = w->expiration,
                         .subscriber.email = STR("ada@example.com"),
                         .iccid = i < 0 ? ICCID_NONE : world_sim(i),
                         .correlation_id = STR("corr-1"),
                         .finished = WALL_NONE}};
    memcpy(p.o.product_public_id, w->product.public_id, LONG_ID_TEXT);
    arena_reset(&w->arena);
    world_do(w, place, &p);
    w->orders[w->n_orders++] = p.o.id;
    return p.o.id;
}

// ---- time ----

void world_run(struct world *w, int64_t ms) {
    int64_t end = clock_wall(&w->clock).ms + ms;
    for (int turns = 0;; turns++) {
        if (turns > 200000)
            fail_msg("the engine does not come to rest");
        int64_t next = INT64_MAX;
        for (int i = 0; i < 2; i++) {
            struct wall wake;
            struct err err = {0};
            if (!w->engines[i])
                continue;
            enum err_kind k = engine_step(w->engines[i], &wake, &err);
            if (!w->trouble_allowed)
                ok(k, &err);
            if (wall_set(wake) && wake.ms < next)
                next = wake.ms;
        }
        int64_t now = clock_wall(&w->clock).ms;
        if (next <= now)
            continue;
        if (next > end) {
            clock_manual_advance(&w->manual, end - now);
            return;
        }
        clock_manual_advance(&w->manual, next - now);
    }
}

// ---- looking ----

static struct tx *look(struct world *w) {
    struct err err = {0};
    struct tx *tx = NULL;
    arena_reset(&w->arena);
    ok(store_read_begin(w->store, &tx, &err), &err);
    return tx;
}

struct order world_order(struct world *w, struct uuid id) {
    struct err err = {0};
    struct order o;
    struct tx *tx = look(w);
    ok(store_order_get(tx, id, &w->arena, &o, &err), &err);
    store_read_end(tx);
    return o;
}

struct sim world_get_sim(struct world *w, iccid_t iccid) {
    struct err err = {0};
    struct sim s;
    struct tx *tx = look(w);
    ok(store_sim_get(tx, iccid, &w->arena, &s, &err), &err);
    store_read_end(tx);
    return s;
}

size_t world_tasks(struct world *w, struct uuid id, struct task **out) {
    struct err err = {0};
    size_t n;
    struct tx *tx = look(w);
    ok(store_task_of_order(tx, id, &w->arena, out, &n, &err), &err);
    store_read_end(tx);
    return n;
}

bool world_subscription(struct world *w, struct uuid id, struct subscription *out) {
    struct err err = {0};
    struct tx *tx = look(w);
    enum err_kind k = store_subscription_get(tx, id, &w->arena, out, &err);
    store_read_end(tx);
    if (k != ERR_NOT_FOUND)
        ok(k, &err);
    return !k;
}

static size_t all_events(struct world *w, struct event **out) {
    struct err err = {0};
    size_t n;
    struct tx *tx = look(w);
    ok(store_event_list(tx, w->partner_id, 0, 100000, &w->arena, out, &n, &err), &err);
    store_read_end(tx);
    return n;
}

int world_events(struct world *w, struct uuid id, enum event_type type) {
    struct event *events;
    size_t n = all_events(w, &events);
    int found = 0;
    for (size_t i = 0; i < n; i++)
        found += events[i].type == type && uuid_eq(events[i].order_id, id);
    return found;
}

int64_t world_cap(struct world *w) {
    struct err err = {0};
    struct civil c = civil_of(clock_wall(&w->clock));
    int64_t count;
    struct tx *tx = look(w);
    ok(store_cap_get(tx, w->partner_id, (int64_t)c.year * 100 + c.month, &count, &err), &err);
    store_read_end(tx);
    return count;
}

static enum err_kind retry(struct tx *tx, void *ctx, struct err *err) {
    struct task *t = ctx;
    return task_retry(t, tx_now(tx)) ? store_task_update(tx, t, err) : ERR_NONE;
}

int world_retry(struct world *w) {
    int retried = 0;
    for (int i = 0; i < w->n_orders; i++) {
        struct task *tasks;
        size_t n = world_tasks(w, w->orders[i], &tasks);
        for (size_t k = 0; k < n; k++)
            if (tasks[k].state == TASK_PARKED) {
                world_do(w, retry, &tasks[k]);
                retried++;
            }
    }
    return retried;
}

static void identity(struct uuid id, int step, char out[64]) {
    char text[UUID_TEXT];
    uuid_format(id, text);
    snprintf(out, 64, "%s-%d", text, step);
}

int world_done(struct world *w, struct uuid id, int step) {
    char who[64];
    int done, undone, calls;
    identity(id, step, who);
    peer_fake_count(w->fake, who, &done, &undone, &calls);
    return done;
}

int world_net(struct world *w, struct uuid id, int step) {
    char who[64];
    int done, undone, calls;
    identity(id, step, who);
    peer_fake_count(w->fake, who, &done, &undone, &calls);
    return done - undone;
}

// ---- what must hold ----

static void check_order(struct world *w, struct uuid id, bool ended) {
    enum task_kind plan[PLAN_MAX];
    struct order o = world_order(w, id);
    int steps = order_plan(&o, plan);
    iccid_t iccid = o.iccid;
    enum order_state state = o.state;
    bool has_failure = o.failure.n > 0, has_finished = wall_set(o.finished), activation = o.operation == OP_ACTIVATION;
    if (ended)
        assert_true(order_finished(state));
    assert_int_equal(has_finished, order_finished(state));
    if (state == ORDER_FAILED)
        assert_true(has_failure);

    struct subscription sub;
    assert_int_equal(world_subscription(w, id, &sub), state == ORDER_COMPLETED);
    assert_int_equal(world_events(w, id, EVENT_ORDER_ACCEPTED), 1);
    assert_int_equal(world_events(w, id, EVENT_ORDER_COMPLETED), state == ORDER_COMPLETED);
    assert_int_equal(world_events(w, id, EVENT_ORDER_FAILED), state == ORDER_FAILED);
    if (state == ORDER_COMPLETED) // once said to wait or to run when it was born
        assert_in_range(world_events(w, id, EVENT_SUBSCRIPTION_ACTIVATED) + world_events(w, id, EVENT_SUBSCRIPTION_PENDING), 1, 2);
    else
        assert_int_equal(world_events(w, id, EVENT_SUBSCRIPTION_ACTIVATED) + world_events(w, id, EVENT_SUBSCRIPTION_PENDING), 0);
    assert_int_equal(world_events(w, id, EVENT_SIM_ACTIVATED), state == ORDER_COMPLETED && activation);
    if (activation && iccid != ICCID_NONE && state == ORDER_COMPLETED)
        assert_int_equal(world_get_sim(w, iccid).service, SIM_ACTIVE);

    struct task *tasks;
    size_t n = world_tasks(w, id, &tasks);
    for (size_t i = 0; i < n && order_finished(state); i++)
        assert_true(task_finished(tasks[i].state));
    for (int step = 0; step < steps && w->fake; step++) {
        if (w->inside & 1U << plan[step])
            continue;
        int net = world_net(w, id, step);
        assert_in_range(net, 0, 1);
        if (state == ORDER_COMPLETED)
            assert_int_equal(net, 1);
        if (state == ORDER_FAILED)
            assert_int_equal(net, 0);
    }
}

static bool is_end(const struct event *e) {
    return e->type == EVENT_ORDER_COMPLETED || e->type == EVENT_ORDER_FAILED;
}

static int place_of(const struct world *w, struct uuid id) {
    for (int i = 0; i < w->n_orders; i++)
        if (uuid_eq(w->orders[i], id))
            return i;
    return -1;
}

void world_check(struct world *w, bool ended) {
    for (int i = 0; i < w->n_orders; i++)
        check_order(w, w->orders[i], ended);
    struct event *events;
    size_t n = all_events(w, &events);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].sequence, i + 1);

    // On one SIM the orders end in the order in which they were accepted.
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n && is_end(&events[i]); k++)
            if (is_end(&events[k]) && events[k].iccid == events[i].iccid && events[k].iccid != ICCID_NONE)
                assert_true(place_of(w, events[i].order_id) < place_of(w, events[k].order_id));
    }
}
