// SPDX-License-Identifier: Apache-2.0
/*
 * testing.h - what the tests of life/ share beside the store's fixture: subscriptions on ICCID_A of the live partner or ICCID_B of the
 * sandbox partner, records, and what the log says of them. Tests only.
 */
#ifndef LIFE_TESTING_H
#define LIFE_TESTING_H

#include "life/life.h"
#include "store/store_usage.h"
#include "store/testing.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MB INT64_C(1048576)

// A subscription as an order makes it. Instants are from NOW_MS, in the partner's time; 0: none.
struct wish {
    int64_t bytes;
    int64_t date, wanted_expiry;
    int days; // 0: 10
    bool first_usage, sandbox;
};

static inline struct uuid subscribe_on(struct fixture *f, struct tx *tx, iccid_t iccid, const struct wish *w, struct err *err) {
    const struct product *p = w->sandbox ? &f->other_product : &f->product;
    struct wall now = partner_now(w->sandbox ? &f->sandbox : &f->live, tx_now(tx));
    struct order o = fixture_order(tx, p, iccid);
    o.activation = w->date ? (struct wall){NOW_MS + w->date} : WALL_NONE;
    OK(store_order_insert(tx, &o, err));
    struct subscription s = fixture_subscription(&o, now);
    s.first_usage = w->first_usage;
    s.duration = w->days ? w->days : 10;
    s.initial_bytes = w->bytes;
    s.wanted_expiry = w->wanted_expiry ? (struct wall){NOW_MS + w->wanted_expiry} : WALL_NONE;
    subscription_begin(&s, o.activation, now);
    OK(store_subscription_insert(tx, &s, err));
    return o.id;
}

struct subscribing {
    struct fixture *f;
    const struct wish *w;
    struct uuid id;
};
static inline enum err_kind subscribe_job(struct tx *tx, void *ctx, struct err *err) {
    struct subscribing *s = ctx;
    s->id = subscribe_on(s->f, tx, s->w->sandbox ? ICCID_B : ICCID_A, s->w, err);
    return ERR_NONE;
}
static inline struct uuid subscribe(struct fixture *f, struct wish w) {
    struct err *err = &f->err;
    struct subscribing s = {.f = f, .w = &w};
    OK(store_run(f->store, subscribe_job, &s, err));
    return s.id;
}

// One record in a job of its own. The result lives in the fixture's arena.
struct using {
    struct fixture *f;
    struct usage_record r;
    struct usage_result u;
};
static inline enum err_kind use_job(struct tx *tx, void *ctx, struct err *err) {
    struct using *x = ctx;
    return life_usage(tx, &x->f->arena, &x->r, &x->u, err);
}
static inline struct usage_result use_record(struct fixture *f, const struct usage_record *r) {
    struct err *err = &f->err;
    struct using x = {.f = f, .r = *r};
    OK(store_run(f->store, use_job, &x, err));
    return x.u;
}
// Instants from NOW_MS.
static inline struct usage_record record_of(const char *id, int64_t bytes, int64_t start, int64_t end) {
    return (struct usage_record){
        .source = STR("ggsn-1"),
        .record_id = str_of(id),
        .named = USAGE_BY_ICCID,
        .number = STR("8944472600000510740"), // ICCID_A
        .bytes_up = bytes / 3,
        .bytes_down = bytes - bytes / 3,
        .start = {NOW_MS + start},
        .end = {NOW_MS + end},
    };
}
static inline struct usage_result use_data(struct fixture *f, const char *id, int64_t bytes, int64_t start, int64_t end) {
    struct usage_record r = record_of(id, bytes, start, end);
    return use_record(f, &r);
}

// Time comes to NOW_MS + at on the real clock, and does its work, `limit` moves a job. Returns how many.
struct passing {
    struct fixture *f;
    struct life_pass p;
};
static inline enum err_kind pass_job(struct tx *tx, void *ctx, struct err *err) {
    struct passing *x = ctx;
    arena_reset(&x->f->arena);
    if (x->p.clock == 0)
        x->p.until = tx_now(tx);
    return life_pass(tx, &x->f->arena, &x->p, err);
}
static inline int64_t pass_time(struct fixture *f, int64_t clock, int64_t at, int64_t limit) {
    struct err *err = &f->err;
    struct passing x = {.f = f, .p = {.clock = clock, .until = {NOW_MS + at}, .limit = limit}};
    int64_t moved = 0;
    if (clock == 0)
        clock_manual_advance(&f->manual, NOW_MS + at - clock_wall(&f->clock).ms);
    do {
        OK(store_run(f->store, pass_job, &x, err));
        moved += x.p.moved;
        assert_true(x.p.moved <= limit);
    } while (x.p.more);
    return moved;
}

static inline struct subscription subscription_now(struct fixture *f, struct uuid id) {
    struct err *err = &f->err;
    struct tx *tx;
    struct subscription s;
    OK(store_read_begin(f->store, &tx, err));
    OK(store_subscription_get(tx, id, &f->arena, &s, err));
    store_read_end(tx);
    return s;
}
#define STATE_IS(f, sub, state_, spent_)                                                                                                   \
    do {                                                                                                                                   \
        struct subscription now_ = subscription_now((f), (sub));                                                                           \
        assert_string_equal(subscription_state_words[now_.state], #state_);                                                                \
        assert_int_equal(now_.spent_bytes, (spent_));                                                                                      \
    } while (0)

// The log of a partner, as "activated threshold:80 depleted" in one line; of one subscription, or of all when `id` is NULL.
static inline const char *told(struct fixture *f, int64_t partner_id, const struct uuid *id) {
    struct err *err = &f->err;
    struct tx *tx;
    struct event *e;
    size_t n;
    static char text[4096];
    size_t used = 0;
    text[0] = '\0';
    OK(store_read_begin(f->store, &tx, err));
    OK(store_event_list(tx, partner_id, 0, 1000, &f->arena, &e, &n, err));
    store_read_end(tx);
    for (size_t i = 0; i < n; i++) {
        if (id && !uuid_eq(e[i].order_id, *id))
            continue;
        const char *name = strchr(event_type_name(e[i].type), '.') + 1;
        struct subscription s;
        struct subscription_was was;
        int threshold = 0;
        if (!uuid_is_zero(e[i].order_id))
            OK(event_unpack_subscription(e[i].payload, &f->arena, &s, &was, &threshold, err));
        used += (size_t)snprintf(text + used, sizeof text - used, used ? " %s" : "%s", name);
        if (threshold)
            used += (size_t)snprintf(text + used, sizeof text - used, ":%d", threshold);
        assert_true(used < sizeof text);
    }
    return text;
}
#define TOLD(f, sub, text) assert_string_equal(told((f), (f)->live.id, &(sub)), (text))

#endif
