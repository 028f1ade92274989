// SPDX-License-Identifier: Apache-2.0
/*
 * testing.h - what the store's tests share: a store in a folder of its own, a clock that stands still, and ready-made rows. Tests only.
 */
#ifndef STORE_TESTING_H
#define STORE_TESTING_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/testing.h"
#include "store/db_trace.h"
#include "store/store.h"
#include "store/store_archive.h"
#include "store/store_event.h"
#include "store/store_idem.h"
#include "store/store_node.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"
#include "store/store_webhook.h"

#define NOW_MS INT64_C(1795435200000) // 2026-11-23T12:00:00Z
#define ICCID_A INT64_C(894447260000051074)
#define ICCID_B INT64_C(894447260000051075)
#define ICCID_C INT64_C(894447260000051076)
#define PRODUCT_A "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak="
#define PRODUCT_B "wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM8="

struct fixture {
    char folder[64]; // holds the store's folder
    char location[80];
    char pg_schema[16], pg_location[256]; // on PostgreSQL: of its own, in the database of TEST_POSTGRES
    struct store_options options;
    struct store *store;
    struct clock_manual manual;
    struct clock clock;
    struct rng_seeded seeded;
    struct rng rng;
    struct arena arena;
    struct err err;
    struct db_trace trace;
    FILE *nowhere;
    int i; // a test's own count
    // what fixture_fill made
    struct partner live, sandbox;
    struct product product, other_product; // the live partner's; the sandbox partner's
};

// A call that must go well; one that must fail so. `err` is in scope.
#define OK(call)                                                                                                                           \
    do {                                                                                                                                   \
        enum err_kind ok_kind = (call);                                                                                                    \
        if (ok_kind)                                                                                                                       \
            fail_msg("%s: %s: %s", #call, err_kind_name(ok_kind), err_first(err));                                                         \
    } while (0)
#define FAILS(kind, call)                                                                                                                  \
    do {                                                                                                                                   \
        enum err_kind fails_kind = (call);                                                                                                 \
        if (fails_kind != (kind))                                                                                                          \
            fail_msg("%s: %s, not %s", #call, err_kind_name(fails_kind), err_kind_name(kind));                                             \
    } while (0)
#define SAYS(text) assert_non_null(strstr(err_first(err), text))
#define IS_STR(s, text) assert_true(str_is((s), (text)))

// A job's function.
#define JOB(name) static enum err_kind name(UNUSED struct tx *tx, UNUSED void *ctx, UNUSED struct err *err)
#define RUN(f, job) OK(store_run((f)->store, job, (f), err))

static inline int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline enum err_kind fixture_end(struct tx *tx UNUSED, void *ctx UNUSED, struct err *err UNUSED) {
    return ERR_NONE;
}
static inline void fixture_committed(void *ctx UNUSED) {
}

// STORE_FRESH in the environment: new orders are held in memory until they are looked at or committed (fresh.h).
static inline void fixture_open(struct fixture *f) {
    struct err *err = &f->err;
    OK(store_open(&f->options, &f->store, err));
    if (getenv("STORE_FRESH"))
        store_at_end(f->store, &(struct store_end){fixture_end, fixture_committed, NULL});
}

static inline void fixture_close(struct fixture *f) {
    store_close(f->store);
    f->store = NULL;
}

static inline struct partner fixture_partner(const char *client_id, enum partner_mode mode) {
    return (struct partner){
        .client_id = str_of(client_id),
        .name = STR("A partner"),
        .mode = mode,
        .needs = NEED_LAST_NAME,
        .currencies = STR("EUR USD"),
        .cap_day = 5,
        .cap_month = 50,
        .rate_per_minute = -1,
        .event_days = 90,
        .clock_offset_ms = mode == PARTNER_SANDBOX ? 86400000 : 0,
        .created = {NOW_MS},
    };
}

static inline struct product fixture_product(int64_t partner_id, const char *public_id) {
    struct product p = {
        .partner_id = partner_id,
        .name = STR("Ten days"),
        .sim_types = SIM_ESIM | SIM_PSIM,
        .duration = 10,
        .duration_unit = DURATION_DAYS,
        .data = 50,
        .data_unit = DATA_MB,
        .price = {2000, "EUR"},
        .footprint_code = STR("GLOBAL"),
        .on_sale = true,
    };
    snprintf(p.public_id, sizeof p.public_id, "%s", public_id);
    return p;
}

static inline struct sim fixture_sim(iccid_t iccid, int64_t partner_id) {
    return (struct sim){
        .iccid = iccid,
        .partner_id = partner_id,
        .type = SIM_PSIM,
        .service = SIM_ACTIVE,
        .activated = {NOW_MS},
        .modified = {NOW_MS},
    };
}

static inline struct sim fixture_profile(iccid_t iccid, int64_t partner_id) {
    return (struct sim){
        .iccid = iccid,
        .partner_id = partner_id,
        .type = SIM_ESIM,
        .service = SIM_STOCK,
        .esim = ESIM_RELEASED,
        .smdp = STR("smdp.example.com"),
        .activated = WALL_NONE,
        .modified = {NOW_MS},
    };
}

static inline struct order fixture_order(struct tx *tx, const struct product *p, iccid_t iccid) {
    struct order o = {
        .id = tx_new_id(tx, p->partner_id),
        .partner_id = p->partner_id,
        .state = ORDER_ACCEPTED,
        .operation = OP_TOPUP,
        .sim_type = SIM_PSIM,
        .country = "GB",
        .product_id = p->id,
        .sold = {1050, "EUR"},
        .activation = WALL_NONE,
        .expiration = WALL_NONE,
        .iccid = iccid,
        .correlation_id = STR("corr-1"),
        .created = tx_now(tx),
        .finished = WALL_NONE,
    };
    memcpy(o.product_public_id, p->public_id, sizeof o.product_public_id);
    return o;
}

static inline struct task fixture_task(struct tx *tx, const struct order *o, int step) {
    return (struct task){
        .id = tx_number(tx),
        .order_id = o->id,
        .partner_id = o->partner_id,
        .iccid = o->iccid,
        .step = step,
        .kind = TASK_ALLOWANCE_ADD,
        .state = step == 0 ? TASK_READY : TASK_BLOCKED,
        .verb = TASK_START,
        .due_at = tx_now(tx),
        .lease_until = WALL_NONE,
        .started = WALL_NONE,
        .settled = WALL_NONE,
    };
}

static inline struct subscription fixture_subscription(const struct order *o, struct wall created) {
    struct subscription s = {
        .id = o->id,
        .partner_id = o->partner_id,
        .iccid = o->iccid,
        .product_id = o->product_id,
        .name = STR("Ten days"),
        .email = o->subscriber.email,
        .state = SUB_ACTIVE,
        .created = created,
        .activation = created,
        .expiry = wall_plus_ms(created, 864000000),
        .next_at = wall_plus_ms(created, 864000000),
        .duration = 10,
        .duration_unit = DURATION_DAYS,
        .wanted_expiry = WALL_NONE,
        .initial_bytes = 50 << 20,
        .balance_as_of = WALL_NONE,
        .sold = o->sold,
    };
    memcpy(s.product_public_id, o->product_public_id, sizeof s.product_public_id);
    return s;
}

static inline struct event fixture_event(const struct order *o, enum event_type type, struct wall now) {
    return (struct event){
        .partner_id = o->partner_id, .type = type, .created = now, .order_id = o->id, .iccid = o->iccid, .payload = STR("{}")};
}

JOB(fixture_fill_job) {
    struct fixture *f = ctx;
    enum upsert what = UPSERT_SAME;
    f->live = fixture_partner("live", PARTNER_LIVE);
    f->sandbox = fixture_partner("sandbox", PARTNER_SANDBOX);
    OK(store_partner_insert(tx, &f->live, err));
    OK(store_partner_insert(tx, &f->sandbox, err));
    f->product = fixture_product(f->live.id, PRODUCT_A);
    f->other_product = fixture_product(f->sandbox.id, PRODUCT_A);
    OK(store_product_put(tx, &f->product, &what, err));
    OK(store_product_put(tx, &f->other_product, &what, err));
    struct sim a = fixture_sim(ICCID_A, f->live.id), b = fixture_sim(ICCID_B, f->sandbox.id);
    OK(store_sim_insert(tx, &a, err));
    OK(store_sim_insert(tx, &b, err));
    return ERR_NONE;
}

// Two partners (live and sandbox) with a product and an active pSIM each: ICCID_A and ICCID_B.
static inline void fixture_fill(struct fixture *f) {
    struct err *err = &f->err;
    RUN(f, fixture_fill_job);
}

#ifdef TOPUPD_POSTGRESQL
static inline void fixture_script(struct fixture *f, const char *sql) {
    struct err *err = &f->err;
    struct db *db = NULL;
    OK(db_pg.open(&db_pg, getenv("TEST_POSTGRES"), true, true, &db, err));
    OK(db_pg.script(db, sql, err));
    db_pg.close(db);
}

// tools/with-postgres says where.
static inline void fixture_pg(struct fixture *f) {
    char sql[128];
    if (!getenv("TEST_POSTGRES"))
        fail_msg("TEST_POSTGRES is not set: run the test by tools/with-postgres");
    static int count;
    log_threshold = LOG_ERROR; // that it does not sync is meant
    snprintf(f->pg_schema, sizeof f->pg_schema, "test%d", count++);
    snprintf(f->pg_location, sizeof f->pg_location, "%s&options=-csearch_path%%3D%s", getenv("TEST_POSTGRES"), f->pg_schema);
    f->options.location = f->pg_location;
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", f->pg_schema);
    fixture_script(f, sql);
}

static inline void fixture_pg_drop(struct fixture *f) {
    char sql[128];
    snprintf(sql, sizeof sql, "DROP SCHEMA %s CASCADE", f->pg_schema);
    fixture_script(f, sql);
}
#endif

// `driver`: NULL for the one under test, which STORE_DRIVER in the environment names: "sqlite" (the default), "pg" (PostgreSQL), or
// "trace": SQLite through the wrapper that traces. Nothing is opened yet.
static inline struct fixture *fixture_new(const struct db_driver *driver) {
    struct fixture *f = xcalloc(1, sizeof *f);
    const char *place = getenv("TMPDIR");
    snprintf(f->folder, sizeof f->folder, "%s/topupd-store-XXXXXX", place && strlen(place) < 32 ? place : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->location, sizeof f->location, "%s/data", f->folder);
    f->clock = clock_manual_init(&f->manual, (struct wall){NOW_MS});
    f->rng = rng_seeded_init(&f->seeded, 1);
    arena_init(&f->arena, 64 << 20);
    store_options_default(&f->options);
    f->options.location = f->location;
    f->options.clock = &f->clock;
    f->options.rng = &f->rng;
    f->options.readers = 2;
    const char *recent = getenv("STORE_RECENT");
    if (recent)
        f->options.recent = (size_t)atoi(recent);
    f->options.threaded = false;
    f->options.driver = driver;
    const char *name = getenv("STORE_DRIVER");
    if (!driver && name && strcmp(name, "trace") == 0) {
        f->nowhere = fopen("/dev/null", "w");
        assert_non_null(f->nowhere);
        db_trace_init(&f->trace, &db_sqlite, f->nowhere);
        f->options.driver = &f->trace.driver;
    }
#ifdef TOPUPD_POSTGRESQL
    if (!driver && name && strcmp(name, "pg") == 0)
        fixture_pg(f);
#endif
    return f;
}

static inline void fixture_free(struct fixture *f) {
    store_close(f->store);
    arena_release(&f->arena);
    if (f->nowhere)
        fclose(f->nowhere);
#ifdef TOPUPD_POSTGRESQL
    if (f->pg_schema[0])
        fixture_pg_drop(f);
#endif
    nftw(f->folder, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
}

// cmocka's: an open store, with and without the rows.
static inline int fixture_setup_empty(void **state) {
    struct fixture *f = fixture_new(NULL);
    fixture_open(f);
    *state = f;
    return 0;
}
static inline int fixture_setup(void **state) {
    fixture_setup_empty(state);
    fixture_fill(*state);
    return 0;
}
static inline int fixture_setup_closed(void **state) {
    *state = fixture_new(NULL);
    return 0;
}
static inline int fixture_teardown(void **state) {
    fixture_free(*state);
    return 0;
}

#endif
