// SPDX-License-Identifier: Apache-2.0
/*
 * ceiling_pg.c - what PostgreSQL allows: the rows that one order leaves behind, written straight into the same tables with set-based
 * statements, a batch in one transaction, with synchronous_commit=on. No HTTP, no JSON, no rules, no tasks.
 *
 *   ceiling_pg LOCATION ICCIDS [SECONDS [BATCH]]
 *
 * LOCATION is a store (of no running server) in which at least one order has completed: its rows are the pattern, so this program knows no
 * columns but those that differ from order to order. ICCIDS is a file with an ICCID a line; SIMs are taken from it at random. Prints one
 * line of JSON.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "core/iccid.h"

#define EVENTS_A_LIFE 3
#define SQL_MAX 8192

static PGconn *db;

static void fail(const char *why) {
    fprintf(stderr, "ceiling_pg: %s\n", why);
    exit(1);
}

static PGresult *run(const char *sql, int n, const char *const params[]) {
    PGresult *r = PQexecParams(db, sql, n, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail(PQerrorMessage(db));
    return r;
}

static char *text(const char *sql) {
    PGresult *r = run(sql, 0, NULL);
    if (PQntuples(r) < 1)
        fail("no order has completed");
    char *found = strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    return found;
}

// Prepares "INSERT INTO table SELECT ..." of the rows found by `pattern` for each of the new lives u(id, iccid, n), $1 to $3.
static void prepare(const char *table, const char *pattern) {
    char sql[SQL_MAX];
    size_t at = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s SELECT ", table), first = at;
    char select[256];
    snprintf(select, sizeof select, "SELECT * FROM %s LIMIT 0", table);
    PGresult *r = run(select, 0, NULL);
    for (int i = 0; i < PQnfields(r); i++) {
        const char *name = PQfname(r, i), *from = "p.";
        if (strcmp(name, "id") == 0 || strcmp(name, "iccid") == 0)
            from = "u.";
        else if (strcmp(name, "order_id") == 0)
            from = "u.id AS ";
        else if (strcmp(name, "sequence") == 0)
            from = "u.n + p.place AS ";
        at += (size_t)snprintf(sql + at, sizeof sql - at, "%s%s%s", at > first ? ", " : "", from, name);
    }
    PQclear(r);
    snprintf(sql + at, sizeof sql - at, " FROM (%s) p, unnest($1::bytea[], $2::bigint[], $3::bigint[]) u(id, iccid, n) ORDER BY u.n%s",
             pattern, strcmp(table, "event") == 0 ? ", p.place" : "");
    r = PQprepare(db, table, sql, 3, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail(PQerrorMessage(db));
    PQclear(r);
}

static void execute(const char *name, const char *const params[3]) {
    PGresult *r = PQexecPrepared(db, name, 3, params, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail(PQerrorMessage(db));
    PQclear(r);
}

static iccid_t *iccids_read(const char *path, size_t *n) {
    FILE *f = fopen(path, "re");
    char line[64];
    size_t room = 1 << 16;
    iccid_t *out = malloc(room * sizeof *out);
    *n = 0;
    while (f && out && fgets(line, sizeof line, f)) {
        if (*n == room)
            out = realloc(out, (room *= 2) * sizeof *out);
        if (out && iccid_parse(str_trim(str_of(line)), &out[*n]) == ICCID_OK)
            ++*n;
    }
    if (!f || !out || !*n)
        fail("no ICCIDs");
    fclose(f);
    return out;
}

static double now_s(void) {
    return (double)clock_mono(&clock_system).ns / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: ceiling_pg LOCATION ICCIDS [SECONDS [BATCH]]\n");
        return 2;
    }
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 10;
    long batch = argc > 4 ? strtol(argv[4], NULL, 10) : 1000;
    size_t sims;
    iccid_t *iccids = iccids_read(argv[2], &sims);
    db = PQconnectdb(argv[1]);
    if (PQstatus(db) != CONNECTION_OK)
        fail(PQerrorMessage(db));
    PQclear(run("SET synchronous_commit = on", 0, NULL));
    if (strcmp(text("SHOW fsync"), "on") != 0 || strcmp(text("SHOW synchronous_commit"), "on") != 0)
        fail("it would lose what it has written");

    char *id = text("SELECT id FROM orders WHERE state = 2 ORDER BY id LIMIT 1");
    int64_t partner = strtoll(text("SELECT partner_id FROM orders WHERE state = 2 ORDER BY id LIMIT 1"), NULL, 10);
    int64_t sequence = strtoll(text("SELECT max(last) FROM partner_sequence"), NULL, 10);
    char pattern[SQL_MAX / 4];
    snprintf(pattern, sizeof pattern, "SELECT * FROM orders WHERE partner_id = %" PRId64 " AND id = '%s'", partner, id);
    prepare("orders", pattern);
    char *of = text("SELECT iccid FROM orders WHERE state = 2 ORDER BY id LIMIT 1");
    snprintf(pattern, sizeof pattern, "SELECT * FROM subscription WHERE iccid = %s AND id = '%s'", of, id);
    prepare("subscription", pattern);
    // found once: the log has no index by order
    char find[256];
    snprintf(find, sizeof find, "SELECT string_agg(sequence::text, ',') FROM event WHERE partner_id = %" PRId64 " AND order_id = '%s'",
             partner, id);
    char *sequences = text(find);
    snprintf(pattern, sizeof pattern,
             "SELECT *, row_number() OVER (ORDER BY sequence) AS place FROM event WHERE partner_id = %" PRId64 " AND sequence IN (%s)",
             partner, sequences);
    prepare("event", pattern);

    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 1);
    struct id_gen gen;
    id_gen_init(&gen, &rng);
    struct buf ids, sims_of, places;
    buf_init(&ids, 64 << 20);
    buf_init(&sims_of, 64 << 20);
    buf_init(&places, 64 << 20);
    double begin = now_s(), end = begin + seconds, now = begin;
    int64_t lives = 0;
    while (now < end) {
        buf_clear(&ids);
        buf_clear(&sims_of);
        buf_clear(&places);
        for (long i = 0; i < batch; i++) {
            char key[UUID_TEXT];
            uuid_format(id_next(&gen, clock_wall(&clock_system), partner), key);
            // a uuid's text without its dashes, as bytea's hexadecimal form
            buf_printf(&ids, "%c\"\\\\x%.8s%.4s%.4s%.4s%.12s\"", i ? ',' : '{', key, key + 9, key + 14, key + 19, key + 24);
            buf_printf(&sims_of, "%c%" PRId64, i ? ',' : '{', iccids[rng_below(&rng, sims)]);
            buf_printf(&places, "%c%" PRId64, i ? ',' : '{', sequence);
            sequence += EVENTS_A_LIFE;
        }
        buf_add_char(&ids, '}');
        buf_add_char(&sims_of, '}');
        buf_add_char(&places, '}');
        const char *params[3] = {ids.p, sims_of.p, places.p};
        char counter[128];
        PQclear(run("BEGIN", 0, NULL));
        execute("orders", params);
        execute("subscription", params);
        execute("event", params);
        snprintf(counter, sizeof counter, "UPDATE partner_sequence SET last = %" PRId64 " WHERE partner_id = %" PRId64, sequence, partner);
        PQclear(run(counter, 0, NULL));
        PQclear(run("COMMIT", 0, NULL));
        lives += batch;
        now = now_s();
    }
    printf("{\"lives\":%" PRId64 ",\"seconds\":%.3f,\"rate\":%.1f}\n", lives, now - begin, (double)lives / (now - begin));
    PQfinish(db);
    return 0;
}
