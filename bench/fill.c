// SPDX-License-Identifier: Apache-2.0
/*
 * fill.c - the store of an installation that has run for a year: millions of SIMs, and the orders that were placed for them.
 *
 *   fill FOLDER SIMS ORDERS IDS
 *
 * FOLDER is a store (of no running server) in which one order has completed: its rows, and those of its SIM, are the pattern. Orders are
 * spread evenly over the past year and over the SIMs, of which each has one, then each another, and so on; SIM n has the ICCID
 * FIRST_ICCID + n. Every order is there with its subscription, which is active or has expired in its time, and with the events that a
 * server keeps: accepted, completed, activated, expired, of the last RETENTION_DAYS, each with the payload that the server would have
 * packed.
 *
 * Into the file IDS go the ids of a million of the orders (or all), a line each.
 *
 * It writes with SQLite's safety off and makes most indexes when the tables are full. What results is what the server would have left,
 * but for the places of pages in the file. Prints one line of JSON: seconds, events.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "core/event.h"
#include "core/iccid.h"
#include "pattern.h"

#define FIRST_ICCID INT64_C(898800000000000000)
#define DAY_MS INT64_C(86400000)
#define YEAR_MS (365 * DAY_MS)
#define RETENTION_DAYS 90
#define EVENTS_OF_BIRTH 3
#define INDEXES_MAX 64
#define TOLD_EVERY 1000000
#define LISTED_MAX 1000000

struct birth {
    struct pattern row;
    struct order order; // unpacked from the pattern's payload, or
    struct subscription subscription;
    struct order_was order_was;
    struct subscription_was subscription_was;
    bool of_subscription;
    int sequence, created, iccid, payload, type;
};

static struct {
    sqlite3 *db;
    struct pattern sim, order, subscription;
    struct birth births[EVENTS_OF_BIRTH], expired;
    int64_t sims, orders, begin_ms, now_ms, lasts_ms, partner; // lasts: a subscription
    uint64_t factor;                                           // which spreads the orders over the SIMs; prime to `sims`
    int64_t first_kept;                                        // sequence of the first event that is written
    int64_t events;
    struct arena arena;
    struct buf payload;
} fill;

static double now_s(void) {
    return (double)clock_mono(&clock_system).ns / 1e9;
}

static void tell(const char *what, int64_t i, int64_t n) {
    if (i % TOLD_EVERY == 0 || i == n || n <= INDEXES_MAX)
        fprintf(stderr, "\r   %s: %" PRId64 " of %" PRId64 "%s", what, i, n, i == n ? "\n" : "");
}

// ---- what follows from an order's number ----

static int64_t born_ms(int64_t i) {
    return fill.begin_ms + (int64_t)((double)i * (double)YEAR_MS / (double)fill.orders);
}

static struct uuid id_of(int64_t i) { // the same each time it is asked for
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, (uint64_t)i + 1);
    struct id_gen ids;
    id_gen_init(&ids, &rng);
    return id_next(&ids, (struct wall){born_ms(i)}, fill.partner);
}

static iccid_t sim_of(int64_t i) {
    return FIRST_ICCID + (int64_t)((uint64_t)(i % fill.sims) * fill.factor % (uint64_t)fill.sims);
}

static uint64_t gcd(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// ---- indexes: dropped before, made again when the tables are full ----

static char *indexes[INDEXES_MAX];
static int indexes_n;

static void indexes_drop(void) {
    static const char of[] = "WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('sim', 'orders', 'subscription', 'event')";
    sqlite3_stmt *list;
    char sql[512], *drops[INDEXES_MAX];
    snprintf(sql, sizeof sql, "SELECT sql, 'DROP INDEX ' || name FROM sqlite_master %s", of);
    pattern_must(fill.db, sqlite3_prepare_v2(fill.db, sql, -1, &list, NULL), SQLITE_OK);
    while (sqlite3_step(list) == SQLITE_ROW && indexes_n < INDEXES_MAX) {
        indexes[indexes_n] = strdup((const char *)sqlite3_column_text(list, 0));
        drops[indexes_n++] = strdup((const char *)sqlite3_column_text(list, 1));
    }
    sqlite3_finalize(list);
    for (int i = 0; i < indexes_n; i++) {
        pattern_run(fill.db, drops[i]);
        free(drops[i]);
    }
}

// Those whose name begins so, as far as they are not there.
static void indexes_make(const char *name) {
    for (int i = 0; i < indexes_n; i++) {
        if (!indexes[i] || !strstr(indexes[i], name))
            continue;
        tell("indexes", i + 1, indexes_n);
        pattern_run(fill.db, indexes[i]);
        free(indexes[i]);
        indexes[i] = NULL;
    }
}

// ---- rows ----

static void bind_id(const struct pattern *p, const char *column, const struct uuid *id) {
    sqlite3_bind_blob(p->insert, pattern_place(p, column), id->b, sizeof id->b, SQLITE_STATIC);
}

static void sims_write(void) {
    struct pattern *p = &fill.sim;
    int iccid = pattern_place(p, "iccid"), imsi = pattern_place(p, "imsi"), msisdn = pattern_place(p, "msisdn");
    bool has_imsi = sqlite3_value_type(p->values[imsi - 1]) == SQLITE_TEXT;
    bool has_msisdn = sqlite3_value_type(p->values[msisdn - 1]) == SQLITE_TEXT;
    sqlite3_bind_int64(p->insert, pattern_place(p, "activated"), fill.begin_ms);
    sqlite3_bind_int64(p->insert, pattern_place(p, "modified"), fill.begin_ms);
    for (int64_t i = 0; i < fill.sims; i++) {
        char number[32], text[32];
        sqlite3_bind_int64(p->insert, iccid, FIRST_ICCID + i);
        snprintf(number, sizeof number, "23450%010" PRId64, i);
        snprintf(text, sizeof text, "4477%010" PRId64, i);
        if (has_imsi)
            sqlite3_bind_text(p->insert, imsi, number, -1, SQLITE_STATIC);
        if (has_msisdn)
            sqlite3_bind_text(p->insert, msisdn, text, -1, SQLITE_STATIC);
        pattern_write(p, fill.db);
        tell("SIMs", i + 1, fill.sims);
    }
}

static void orders_write(void) {
    struct pattern *p = &fill.order;
    int iccid = pattern_place(p, "iccid"), created = pattern_place(p, "created"), finished = pattern_place(p, "finished");
    for (int64_t i = 0; i < fill.orders; i++) {
        struct uuid id = id_of(i);
        bind_id(p, "id", &id);
        sqlite3_bind_int64(p->insert, iccid, sim_of(i));
        sqlite3_bind_int64(p->insert, created, born_ms(i));
        sqlite3_bind_int64(p->insert, finished, born_ms(i));
        pattern_write(p, fill.db);
        tell("orders", i + 1, fill.orders);
    }
}

// In the order in which they were made. The index by SIM is made when half of them are there, and has the others one by one, at random
// places: so its pages come to be as full as they are when all come so.
static void subscriptions_write(void) {
    struct pattern *p = &fill.subscription;
    int iccid = pattern_place(p, "iccid"), created = pattern_place(p, "created"), activation = pattern_place(p, "activation"),
        expiry = pattern_place(p, "expiry"), next_at = pattern_place(p, "next_at"), state = pattern_place(p, "state"),
        ended = pattern_place(p, "ended");
    for (int64_t i = 0; i < fill.orders; i++) {
        struct uuid id = id_of(i);
        int64_t born = born_ms(i), ends = born + fill.lasts_ms;
        bool over = ends <= fill.now_ms;
        if (i == fill.orders / 2)
            indexes_make("INDEX subscription_key ");
        bind_id(p, "id", &id);
        sqlite3_bind_int64(p->insert, iccid, sim_of(i));
        sqlite3_bind_int64(p->insert, created, born);
        sqlite3_bind_int64(p->insert, activation, born);
        sqlite3_bind_int64(p->insert, expiry, ends);
        if (over)
            sqlite3_bind_null(p->insert, next_at);
        else
            sqlite3_bind_int64(p->insert, next_at, ends);
        sqlite3_bind_int64(p->insert, state, over ? SUB_EXPIRED : SUB_ACTIVE);
        sqlite3_bind_int64(p->insert, ended, over ? SUB_END_EXPIRED : SUB_END_NONE);
        pattern_write(p, fill.db);
        tell("subscriptions", i + 1, fill.orders);
    }
}

// ---- what is there, for who asks ----

static void ids_write(const char *path) {
    FILE *f = fopen(path, "we");
    int64_t apart = fill.orders > LISTED_MAX ? fill.orders / LISTED_MAX : 1;
    for (int64_t i = 0; f && i < fill.orders; i += apart) {
        char text[UUID_TEXT];
        uuid_format(id_of(i), text);
        fprintf(f, "%s\n", text);
    }
    if (!f || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

// ---- events ----

static void birth_take(struct birth *b, int nth) {
    char where[160];
    struct err err = {0};
    int threshold;
    snprintf(where, sizeof where, "WHERE order_id = (SELECT id FROM orders WHERE state = 2) ORDER BY sequence LIMIT 1 OFFSET %d", nth);
    pattern_take(&b->row, fill.db, "event", where);
    b->sequence = pattern_place(&b->row, "sequence");
    b->created = pattern_place(&b->row, "created");
    b->iccid = pattern_place(&b->row, "iccid");
    b->type = pattern_place(&b->row, "type");
    b->payload = pattern_place(&b->row, "payload");
    sqlite3_value *packed = b->row.values[b->payload - 1];
    struct str payload = {sqlite3_value_blob(packed), (size_t)sqlite3_value_bytes(packed)};
    b->of_subscription = pattern_i64(&b->row, "type") >= EVENT_SUBSCRIPTION_PENDING;
    enum err_kind kind = b->of_subscription
                             ? event_unpack_subscription(payload, &fill.arena, &b->subscription, &b->subscription_was, &threshold, &err)
                             : event_unpack_order(payload, &fill.arena, &b->order, &b->order_was, &err);
    if (kind) {
        fprintf(stderr, "fill: an event of the pattern: %s\n", err_first(&err));
        exit(1);
    }
}

static void event_write(struct birth *b, int64_t i, const struct uuid *id, int64_t at_ms) {
    if (at_ms < fill.now_ms - RETENTION_DAYS * DAY_MS) {
        fill.first_kept++;
        return;
    }
    buf_clear(&fill.payload);
    if (b->of_subscription)
        event_pack_subscription(&fill.payload, &b->subscription, &b->subscription_was, 0);
    else
        event_pack_order(&fill.payload, &b->order, &b->order_was);
    sqlite3_bind_int64(b->row.insert, b->sequence, fill.first_kept + fill.events++);
    sqlite3_bind_int64(b->row.insert, b->created, at_ms);
    sqlite3_bind_int64(b->row.insert, b->iccid, sim_of(i));
    sqlite3_bind_blob(b->row.insert, b->payload, fill.payload.p, (int)fill.payload.n, SQLITE_STATIC);
    bind_id(&b->row, "order_id", id);
    pattern_write(&b->row, fill.db);
}

static void subscription_at(struct subscription *s, int64_t i, struct uuid id) {
    s->id = id;
    s->iccid = sim_of(i);
    s->created = s->activation = (struct wall){born_ms(i)};
    s->expiry = s->next_at = (struct wall){born_ms(i) + fill.lasts_ms};
}

static void born_write(struct birth births[EVENTS_OF_BIRTH], int64_t i) {
    struct uuid id = id_of(i);
    for (int e = 0; e < EVENTS_OF_BIRTH; e++) {
        struct birth *b = &births[e];
        if (b->of_subscription) {
            subscription_at(&b->subscription, i, id);
        } else {
            b->order.id = id;
            b->order.iccid = sim_of(i);
            b->order.created = (struct wall){born_ms(i)};
            if (wall_set(b->order.finished))
                b->order.finished = b->order.created;
        }
        event_write(b, i, &id, born_ms(i));
    }
}

static void expired_write(struct birth *b, int64_t i) {
    struct uuid id = id_of(i);
    subscription_at(&b->subscription, i, id);
    b->subscription.state = SUB_ACTIVE;
    b->subscription_was = subscription_was_like(&b->subscription);
    b->subscription.state = SUB_EXPIRED;
    b->subscription.end = SUB_END_EXPIRED;
    b->subscription.next_at = WALL_NONE;
    event_write(b, i, &id, born_ms(i) + fill.lasts_ms);
}

// In the order in which they happened: the sequence grows with time.
static void events_write(void) {
    fill.first_kept = 1;
    char sql[160];
    snprintf(sql, sizeof sql, "DELETE FROM event WHERE partner_id = %" PRId64, fill.partner);
    pattern_run(fill.db, sql);
    for (int64_t i = 0, over = 0; i < fill.orders; i++) {
        for (; born_ms(over) + fill.lasts_ms <= born_ms(i); over++)
            expired_write(&fill.expired, over);
        born_write(fill.births, i);
        tell("orders whose events are written", i + 1, fill.orders);
    }
    snprintf(sql, sizeof sql, "UPDATE partner_sequence SET last = %" PRId64 " WHERE partner_id = %" PRId64,
             fill.first_kept + fill.events - 1, fill.partner);
    pattern_run(fill.db, sql);
}

static void patterns_take(void) {
    pattern_take(&fill.order, fill.db, "orders", "WHERE state = 2");
    pattern_take(&fill.sim, fill.db, "sim", "WHERE iccid = (SELECT iccid FROM orders WHERE state = 2)");
    pattern_take(&fill.subscription, fill.db, "subscription", "WHERE id = (SELECT id FROM orders WHERE state = 2)");
    for (int e = 0; e < EVENTS_OF_BIRTH; e++)
        birth_take(&fill.births[e], e);
    birth_take(&fill.expired, EVENTS_OF_BIRTH - 1);
    if (!fill.expired.of_subscription) {
        fprintf(stderr, "fill: the last event of the pattern is not its subscription's\n");
        exit(1);
    }
    sqlite3_bind_int64(fill.expired.row.insert, fill.expired.type, EVENT_SUBSCRIPTION_EXPIRED);
}

static void patterns_release(void) {
    struct pattern *all[] = {&fill.sim, &fill.order, &fill.subscription, &fill.expired.row};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pattern_release(all[i]);
    for (int e = 0; e < EVENTS_OF_BIRTH; e++)
        pattern_release(&fill.births[e].row);
}

int main(int argc, char **argv) {
    if (argc != 5 || (fill.sims = strtoll(argv[2], NULL, 10)) < 1 || (fill.orders = strtoll(argv[3], NULL, 10)) < 1) {
        fprintf(stderr, "usage: fill FOLDER SIMS ORDERS IDS\n");
        return 2;
    }
    double begin = now_s();
    fill.db = pattern_open(argv[1]);
    pattern_run(fill.db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA locking_mode = EXCLUSIVE;"
                         "PRAGMA cache_size = -1572864; PRAGMA temp_store = FILE; PRAGMA threads = 2");
    if (pattern_number(fill.db, "SELECT count(*) FROM orders") != 1) {
        fprintf(stderr, "fill: one completed order is the pattern; there must be no other\n");
        return 1;
    }
    arena_init(&fill.arena, 1 << 20);
    buf_init(&fill.payload, EVENT_PAYLOAD_MAX);
    fill.partner = pattern_number(fill.db, "SELECT partner_id FROM orders WHERE state = 2");
    fill.now_ms = clock_wall(&clock_system).ms;
    fill.begin_ms = fill.now_ms - YEAR_MS;
    fill.lasts_ms = pattern_number(fill.db, "SELECT expiry - activation FROM subscription");
    fill.factor = (uint64_t)((double)fill.sims * 0.618) | 1;
    while (gcd(fill.factor, (uint64_t)fill.sims) != 1)
        fill.factor += 2;
    patterns_take();
    indexes_drop();
    pattern_run(fill.db, "BEGIN");
    sims_write();
    orders_write();
    subscriptions_write();
    events_write();
    pattern_run(fill.db, "COMMIT");
    patterns_release();
    indexes_make("INDEX");
    pattern_run(fill.db, "PRAGMA locking_mode = NORMAL; PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL");
    pattern_must(fill.db, sqlite3_close(fill.db), SQLITE_OK);
    ids_write(argv[4]);
    buf_release(&fill.payload);
    arena_release(&fill.arena);
    printf("{\"seconds\":%.1f,\"events\":%" PRId64 "}\n", now_s() - begin, fill.events);
    return 0;
}
