// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define SENTENCES_MAX 64
#define MARK "-- never: "

// never.sql: the views, and what may never be found.
static char *views;
static struct { char *what, *sql; } never[SENTENCES_MAX];
static size_t n_never;

void model_learn(const char *path) {
    FILE *f = fopen(path, "r");
    if (!f)
        sim_fail("cannot read %s", path);
    size_t max = 1 << 16;
    views = xcalloc(max, 1);
    if (fread(views, 1, max - 1, f) == max - 1)
        sim_fail("%s is too large", path);
    fclose(f);
    for (char *at = strstr(views, MARK); at; at = strstr(at, MARK)) {
        if (n_never == SENTENCES_MAX)
            sim_fail("%s says too much", path);
        *at = 0;
        never[n_never].what = at + strlen(MARK);
        at = strchr(never[n_never].what, '\n');
        *at++ = 0;
        never[n_never++].sql = at;
    }
    if (n_never == 0)
        sim_fail("%s says nothing", path);
}

static sqlite3 *database(const char *folder) {
    char path[160];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/topupd.db", folder);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK || sqlite3_exec(db, views, NULL, NULL, NULL) != SQLITE_OK)
        sim_fail("%s: %s", path, sqlite3_errmsg(db));
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        sim_fail("%s: %s", sql, sqlite3_errmsg(db));
    return st;
}

static bool step(sqlite3_stmt *st) {
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        sim_fail("%s", sqlite3_errmsg(sqlite3_db_handle(st)));
    return rc == SQLITE_ROW;
}

static const char *text(sqlite3_stmt *st, int column) {
    const unsigned char *t = sqlite3_column_text(st, column);
    return t ? (const char *)t : "";
}

static void no_row(sqlite3 *db, const char *what, const char *sql) {
    sqlite3_stmt *st = prepare(db, sql);
    if (step(st))
        sim_fail("%s: %s", what, text(st, 0));
    sqlite3_finalize(st);
}

// ---- orders ----

static struct model_order *asked_with(struct model *m, const char *correlation) {
    char *end;
    size_t n = strncmp(correlation, "c-", 2) == 0 ? strtoul(correlation + 2, &end, 10) : SIZE_MAX;
    return n < m->n_orders && *end == '-' ? &m->orders[n] : NULL;
}

static void id_text(const unsigned char *b, char out[40]) {
    snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6],
             b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void judge_network(struct peer *element, bool whole_plan, const struct model_order *o) {
    int steps = o->operation == 0 && o->sim_type == 1 ? 3 : 1, sum = 0;
    for (int i = 0; i < steps; i++) {
        char identity[64];
        int done, undone, calls;
        snprintf(identity, sizeof identity, "%s-%d", o->id, i);
        peer_fake_count(element, identity, &done, &undone, &calls);
        if (done - undone < 0 || done - undone > 1)
            sim_fail("%s was done %d times and undone %d times", identity, done, undone);
        sum += done - undone;
    }
    if (o->state == 3 && sum > 0)
        sim_fail("the failed order %s is still done in the network", o->id);
    if (o->state == 2 && whole_plan && o->partner != SANDBOX + 1 && sum != steps)
        sim_fail("the completed order %s is done in %d of %d steps", o->id, sum, steps);
}

static void judge_order(struct model *m, sqlite3_stmt *st, bool *seen) {
    struct model_order *o = asked_with(m, text(st, 5));
    if (!o)
        sim_fail("an order that nobody asked for: correlation id \"%s\"", text(st, 5));
    char id[40];
    id_text(sqlite3_column_blob(st, 0), id);
    if (seen[o - m->orders])
        sim_fail("order %zu is there twice: %s and %s", (size_t)(o - m->orders), o->id, id);
    seen[o - m->orders] = true;
    if (o->fate == FATE_REFUSED)
        sim_fail("order %zu was refused and is there: %s", (size_t)(o - m->orders), id);
    if (o->id[0] && strcmp(o->id, id) != 0)
        sim_fail("order %zu was acknowledged as %s and is there as %s", (size_t)(o - m->orders), o->id, id);
    if (o->fate == FATE_DOUBT) {
        o->fate = FATE_ACKNOWLEDGED;
        m->doubts_there++;
    }
    snprintf(o->id, sizeof o->id, "%s", id);
    int state = sqlite3_column_int(st, 2);
    bool same = sqlite3_column_int(st, 1) == o->partner && sqlite3_column_int(st, 3) == o->operation &&
                sqlite3_column_int(st, 4) == o->sim_type && strcmp(text(st, 6), sim_products[o->product].id) == 0;
    if (!same)
        sim_fail("order %s is not what was asked", id);
    if (o->state >= 2 && state != o->state)
        sim_fail("order %s had ended in state %d and is now in %d", id, o->state, state);
    if (state < o->state)
        sim_fail("order %s went back from state %d to %d", id, o->state, state);
    if (state == 2 && sqlite3_column_int64(st, 7) != sim_products[o->product].bytes)
        sim_fail("order %s gave %" PRId64 " bytes", id, (int64_t)sqlite3_column_int64(st, 7));
    o->state = state;
}

static void judge_orders(struct model *m, sqlite3 *db, bool ended) {
    bool seen[MODEL_ORDERS] = {false};
    sqlite3_stmt *st =
        prepare(db, "SELECT o.id, o.partner_id, o.state, o.operation, o.sim_type, o.correlation_id, p.public_id, s.initial_bytes "
                    "FROM orders o JOIN product p ON p.id = o.product_id "
                    "LEFT JOIN subscription s ON s.iccid = o.iccid AND s.id = o.id");
    while (step(st))
        judge_order(m, st, seen);
    sqlite3_finalize(st);
    for (size_t i = 0; i < m->n_orders; i++) {
        struct model_order *o = &m->orders[i];
        if (o->fate == FATE_ACKNOWLEDGED && !seen[i])
            sim_fail("order %zu was acknowledged as %s and is not there", i, o->id);
        if (o->fate == FATE_DOUBT) {
            o->fate = FATE_REFUSED;
            m->doubts_not_there++;
        }
        if (ended && o->fate == FATE_ACKNOWLEDGED && o->state < 2)
            sim_fail("order %s has not ended", o->id);
    }
}

// Nothing was done in the network for an order that is not there.
static void judge_deeds(struct model *m, struct peer *element) {
    enum task_verb verb;
    const char *identity;
    for (size_t n = 0; (identity = peer_fake_deed(element, n, &verb)); n++) {
        bool known = false;
        for (size_t i = 0; i < m->n_orders && !known; i++)
            known = m->orders[i].id[0] && strncmp(m->orders[i].id, identity, 36) == 0;
        if (!known)
            sim_fail("the network was asked for %s, which is no order's", identity);
    }
}

// ---- usage ----

static void judge_records(struct model *m, sqlite3 *db) {
    bool seen[MODEL_RECORDS] = {false};
    sqlite3_stmt *st = prepare(db, "SELECT record_id, bytes_up + bytes_down, unrated_bytes FROM usage_record");
    while (step(st)) {
        size_t n = strncmp(text(st, 0), "u-", 2) == 0 ? strtoul(text(st, 0) + 2, NULL, 10) : SIZE_MAX;
        if (n >= m->n_records || seen[n])
            sim_fail("a usage record that nobody sent, or one twice: %s", text(st, 0));
        struct model_record *r = &m->records[n];
        seen[n] = true;
        if (r->fate == FATE_REFUSED)
            sim_fail("record %zu was refused and is there", n);
        if (sqlite3_column_int64(st, 1) != r->total)
            sim_fail("record %zu is there with other bytes", n);
        if (r->fate == FATE_ACKNOWLEDGED && sqlite3_column_int64(st, 2) != r->unrated)
            sim_fail("record %zu was answered with %" PRId64 " bytes unrated and is there with %" PRId64, n, r->unrated,
                     (int64_t)sqlite3_column_int64(st, 2));
        r->unrated = sqlite3_column_int64(st, 2);
        if (r->fate == FATE_DOUBT)
            m->doubts_there++;
        r->fate = FATE_ACKNOWLEDGED;
    }
    sqlite3_finalize(st);
    for (size_t i = 0; i < m->n_records; i++) {
        if (m->records[i].fate == FATE_ACKNOWLEDGED && !seen[i])
            sim_fail("record %zu was acknowledged and is not there", i);
        if (m->records[i].fate == FATE_DOUBT) {
            m->records[i].fate = FATE_REFUSED;
            m->doubts_not_there++;
        }
    }
}

// ---- all ----

void model_judge(struct model *m, const char *folder, struct peer *element, bool whole_plan, bool ended, int64_t now_ms) {
    sqlite3 *db = database(folder);
    for (size_t i = 0; i < n_never; i++)
        no_row(db, never[i].what, never[i].sql);
    for (int i = 0; i < PARTNERS; i++) {
        char sql[160];
        if (!sim_cap_day[i])
            continue;
        snprintf(sql, sizeof sql,
                 "SELECT period FROM activations WHERE partner_id = %d AND n > CASE WHEN period > 1000000 THEN %d ELSE %d END", i + 1,
                 sim_cap_day[i], sim_cap_month[i]);
        no_row(db, "more activations than the cap", sql);
    }
    judge_orders(m, db, ended);
    judge_records(m, db);
    if (ended) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "SELECT hex(s.id) FROM subscription s JOIN partner p ON p.id = s.partner_id WHERE next_at <= %" PRId64
                 " + clock_offset_ms",
                 now_ms);
        no_row(db, "a subscription that time has passed over", sql);
        no_row(db, "damage", "SELECT * FROM pragma_integrity_check(1) WHERE integrity_check <> 'ok'");
        no_row(db, "a reference to nothing", "SELECT \"table\" FROM pragma_foreign_key_check");
    }
    sqlite3_close(db);
    if (!element)
        return;
    judge_deeds(m, element);
    for (size_t i = 0; i < m->n_orders; i++)
        if (m->orders[i].fate == FATE_ACKNOWLEDGED)
            judge_network(element, whole_plan, &m->orders[i]);
}

uint64_t model_hash(const char *folder, uint64_t hash) {
    sqlite3 *db = database(folder);
    sqlite3_stmt *st = prepare(db, "SELECT partner_id, sequence, type, created, payload FROM event");
    while (step(st)) {
        for (int i = 0; i < 4; i++)
            hash = (hash ^ (uint64_t)sqlite3_column_int64(st, i)) * UINT64_C(1099511628211);
        const unsigned char *p = sqlite3_column_blob(st, 4);
        for (int i = 0; i < sqlite3_column_bytes(st, 4); i++)
            hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return hash;
}
