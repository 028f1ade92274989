// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

// What may never be found in the database: each of these must answer no row.
static const struct {
    const char *what, *sql;
} never[] = {
    {"a gap in a partner's events",
     "SELECT partner_id FROM event GROUP BY partner_id HAVING min(sequence) <> 1 OR max(sequence) <> count(*)"},
    {"a sequence that is not the last event's",
     "SELECT e.partner_id FROM (SELECT partner_id, max(sequence) AS last FROM event GROUP BY partner_id) e "
     "LEFT JOIN partner_sequence s ON s.partner_id = e.partner_id WHERE s.last IS NOT e.last"},
    {"an order whose events do not tell its life",
     "SELECT hex(o.id) FROM orders o LEFT JOIN story s ON s.order_id = o.id "
     "WHERE s.accepted IS NOT 1 OR s.fulfilling <> (o.state = 1) AND o.state < 2 OR s.fulfilling > 1 OR s.completed <> (o.state = 2) "
     "OR s.failed <> (o.state = 3) OR (o.finished IS NOT NULL) <> (o.state >= 2) OR s.ended < s.began OR s.going < s.began "
     "OR s.going > s.ended"},
    {"an event of an order that is not there",
     "SELECT partner_id || ' ' || sequence FROM event WHERE order_id IS NOT NULL AND order_id <> zeroblob(16) "
     "AND order_id NOT IN (SELECT id FROM orders)"},
    {"a completed order without its one subscription, or a subscription of another",
     "SELECT hex(o.id) FROM orders o LEFT JOIN (SELECT id, count(*) AS n FROM subscription GROUP BY id) s ON s.id = o.id "
     "WHERE coalesce(s.n, 0) <> (o.state = 2)"},
    {"a subscription without an order", "SELECT hex(id) FROM subscription WHERE id NOT IN (SELECT id FROM orders)"},
    {"a subscription on another SIM than its order's",
     "SELECT hex(s.id) FROM subscription s JOIN orders o ON o.id = s.id "
     "WHERE s.iccid IS NOT o.iccid OR s.partner_id <> o.partner_id OR s.product_id <> o.product_id"},
    {"bytes of a record that went nowhere, or twice", "SELECT record_id FROM usage_record u WHERE bytes_up + bytes_down <> unrated_bytes + "
                                                      "coalesce((SELECT sum(bytes) FROM usage_booking b WHERE b.usage_id = u.id), 0)"},
    {"a balance without its records", "SELECT hex(s.id) FROM subscription s LEFT JOIN (SELECT subscription_id, sum(bytes) AS n FROM "
                                      "usage_booking GROUP BY subscription_id) b "
                                      "ON b.subscription_id = s.id WHERE s.spent_bytes <> coalesce(b.n, 0)"},
    {"a booking on a subscription that is not there",
     "SELECT hex(subscription_id) FROM usage_booking WHERE subscription_id NOT IN (SELECT id FROM subscription)"},
    {"a profile of two orders",
     "SELECT iccid FROM orders WHERE operation = 0 AND state <> 3 AND iccid IS NOT NULL GROUP BY iccid HAVING count(*) > 1"},
    {"a SIM that is active without having been activated, or the other way round",
     "SELECT s.iccid FROM sim s JOIN (SELECT iccid, max(state = 2) AS done, max(state < 2) AS open FROM orders WHERE operation = 0 "
     "AND iccid IS NOT NULL GROUP BY iccid) o ON o.iccid = s.iccid WHERE s.service <> CASE WHEN done THEN 2 WHEN open THEN 1 ELSE 0 END"},
    {"a SIM on its way that nobody ordered",
     "SELECT iccid FROM sim WHERE service = 1 AND iccid NOT IN (SELECT iccid FROM orders WHERE state < 2 AND iccid IS NOT NULL)"},
    {"more than 15 on a SIM",
     "SELECT iccid FROM (SELECT iccid FROM subscription WHERE state <= 2 UNION ALL SELECT iccid FROM orders WHERE state < 2 "
     "AND iccid IS NOT NULL) GROUP BY iccid HAVING count(*) > 15"},
    {"orders of one SIM that did not end in the order in which they were accepted",
     "SELECT iccid FROM (SELECT o.iccid, s.ended, lag(coalesce(s.ended, 1 << 60)) OVER (PARTITION BY o.partner_id, o.iccid ORDER BY "
     "s.began) "
     "AS before FROM orders o JOIN story s ON s.order_id = o.id WHERE o.iccid IS NOT NULL AND NOT (o.operation = 0 AND o.sim_type = 1)) "
     "WHERE ended IS NOT NULL AND before > ended"},
    {"a cap that does not count what was activated",
     "SELECT c.partner_id || ' ' || c.period FROM cap c LEFT JOIN activations a ON a.partner_id = c.partner_id AND a.period = c.period "
     "WHERE c.count <> coalesce(a.n, 0) UNION ALL SELECT a.partner_id || ' ' || a.period FROM activations a "
     "LEFT JOIN cap c ON c.partner_id = a.partner_id AND c.period = a.period WHERE c.count IS NULL"},
    {"a key twice", "SELECT key FROM idempotency GROUP BY partner_id, key HAVING count(*) > 1"},
    {"an open order that nothing drives on",
     "SELECT hex(id) FROM orders WHERE state < 2 AND id NOT IN (SELECT order_id FROM task WHERE state IN (0, 1, 2, 3))"},
    {"a finished order with open tasks",
     "SELECT hex(order_id) FROM task WHERE state IN (0, 1, 2, 3) AND order_id NOT IN (SELECT id FROM orders WHERE state < 2)"},
    {"a SIM whose first open task waits for nobody", // blocked, though nothing is before it
     "SELECT hex(t.order_id) FROM task t WHERE t.state = 0 AND t.id = (SELECT min(id) FROM task f WHERE f.order_id = t.order_id AND "
     "f.state <= 3) "
     "AND NOT EXISTS (SELECT 1 FROM task b WHERE b.iccid = t.iccid AND b.id < t.id AND b.state <= 3)"},
};

// What the sentences above speak of.
static const char views[] =
    "CREATE TEMP VIEW story AS SELECT order_id, sum(type = 1) AS accepted, sum(type = 2) AS fulfilling, sum(type = 3) AS completed, "
    "sum(type = 4) AS failed, max(CASE WHEN type = 1 THEN sequence END) AS began, max(CASE WHEN type = 2 THEN sequence END) AS going, "
    "max(CASE WHEN type IN (3, 4) THEN sequence END) AS ended FROM event WHERE type BETWEEN 1 AND 4 GROUP BY order_id;"
    "CREATE TEMP VIEW activations AS SELECT partner_id, period, count(*) AS n FROM ("
    "SELECT partner_id, CAST(strftime('%Y%m%d', created / 1000, 'unixepoch') AS INTEGER) AS period FROM orders WHERE operation = 0 AND "
    "state <> 3 "
    "UNION ALL SELECT partner_id, CAST(strftime('%Y%m', created / 1000, 'unixepoch') AS INTEGER) FROM orders WHERE operation = 0 "
    "AND state <> 3) GROUP BY partner_id, period;";

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
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
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
