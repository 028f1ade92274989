// SPDX-License-Identifier: Apache-2.0
/*
 * ceiling_store.c - what the disk and SQLite allow: the rows that one order leaves behind, written straight into the same tables in
 * batches, each batch one transaction with synchronous=FULL. No HTTP, no JSON, no rules, no tasks.
 *
 *   ceiling_store FOLDER ICCIDS [SECONDS [BATCH]]
 *
 * FOLDER is a store (of no running server) in which at least one order has completed: its rows are the pattern, so this program knows no
 * columns but the keys that differ from order to order. ICCIDS is a file with an ICCID a line; SIMs are taken from it at random. Prints one
 * line of JSON.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/id.h"
#include "core/iccid.h"

#define COLUMNS_MAX 64
#define PATTERN_EVENTS 3

// A row to write again and again with another key.
struct pattern {
    sqlite3_stmt *insert;
    int n, id, iccid, sequence, order_id; // places of the columns that differ; 0: there is none
};

static sqlite3 *db;

static void must(int rc, int wanted) {
    if (rc == wanted)
        return;
    fprintf(stderr, "ceiling_store: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void run(const char *sql) {
    must(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int place_of(sqlite3_stmt *row, const char *name) {
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        if (strcmp(sqlite3_column_name(row, i), name) == 0)
            return i + 1;
    }
    return 0;
}

static struct pattern pattern_of(const char *table, const char *select) {
    struct pattern p = {0};
    sqlite3_stmt *row;
    must(sqlite3_prepare_v2(db, select, -1, &row, NULL), SQLITE_OK);
    must(sqlite3_step(row), SQLITE_ROW);
    p.n = sqlite3_column_count(row);
    char sql[64 + 8 * COLUMNS_MAX];
    size_t at = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?1", table);
    for (int i = 2; i <= p.n && i <= COLUMNS_MAX; i++)
        at += (size_t)snprintf(sql + at, sizeof sql - at, ", ?%d", i);
    snprintf(sql + at, sizeof sql - at, ")");
    must(sqlite3_prepare_v2(db, sql, -1, &p.insert, NULL), SQLITE_OK);
    for (int i = 0; i < p.n; i++)
        must(sqlite3_bind_value(p.insert, i + 1, sqlite3_column_value(row, i)), SQLITE_OK);
    p.id = place_of(row, "id");
    p.iccid = place_of(row, "iccid");
    p.sequence = place_of(row, "sequence");
    p.order_id = place_of(row, "order_id");
    sqlite3_finalize(row);
    return p;
}

static void write_row(const struct pattern *p, struct uuid id, iccid_t iccid, int64_t sequence) {
    if (p->id)
        sqlite3_bind_blob(p->insert, p->id, id.b, sizeof id.b, SQLITE_STATIC);
    if (p->order_id)
        sqlite3_bind_blob(p->insert, p->order_id, id.b, sizeof id.b, SQLITE_STATIC);
    if (p->iccid)
        sqlite3_bind_int64(p->insert, p->iccid, iccid);
    if (p->sequence)
        sqlite3_bind_int64(p->insert, p->sequence, sequence);
    must(sqlite3_step(p->insert), SQLITE_DONE);
    sqlite3_reset(p->insert);
}

static int64_t number(const char *sql) {
    sqlite3_stmt *row;
    must(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    must(sqlite3_step(row), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return n;
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
    if (!f || !out || !*n) {
        fprintf(stderr, "ceiling_store: %s: no ICCIDs\n", path);
        exit(1);
    }
    fclose(f);
    return out;
}

static double now_s(void) {
    struct mono t = clock_mono(&clock_system);
    return (double)t.ns / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: ceiling_store FOLDER ICCIDS [SECONDS [BATCH]]\n");
        return 2;
    }
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 10;
    long batch = argc > 4 ? strtol(argv[4], NULL, 10) : 1000;
    size_t sims;
    iccid_t *iccids = iccids_read(argv[2], &sims);
    char path[4096];
    snprintf(path, sizeof path, "%s/topupd.db", argv[1]);
    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    // the server's own settings
    run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
        "PRAGMA cache_size = -131072; PRAGMA wal_autocheckpoint = 16384");
    if (number("PRAGMA synchronous") != 2)
        return 1;

    struct pattern order = pattern_of("orders", "SELECT * FROM orders WHERE state = 2 LIMIT 1");
    struct pattern subscription = pattern_of("subscription", "SELECT * FROM subscription LIMIT 1");
    struct pattern event = pattern_of("event", "SELECT * FROM event ORDER BY length(payload) DESC LIMIT 1");
    int64_t partner = number("SELECT partner_id FROM orders WHERE state = 2 LIMIT 1");
    int64_t sequence = number("SELECT max(last) FROM partner_sequence");
    sqlite3_stmt *counter;
    must(sqlite3_prepare_v2(db, "UPDATE partner_sequence SET last = ?1 WHERE partner_id = ?2", -1, &counter, NULL), SQLITE_OK);

    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 1);
    struct id_gen ids;
    id_gen_init(&ids, &rng);
    double begin = now_s(), end = begin + seconds, now = begin;
    int64_t lives = 0;
    while (now < end) {
        run("BEGIN IMMEDIATE");
        for (long i = 0; i < batch; i++) {
            struct uuid id = id_next(&ids, clock_wall(&clock_system), partner);
            iccid_t iccid = iccids[rng_below(&rng, sims)];
            write_row(&order, id, iccid, 0);
            write_row(&subscription, id, iccid, 0);
            for (int e = 0; e < PATTERN_EVENTS; e++)
                write_row(&event, id, iccid, ++sequence);
        }
        sqlite3_bind_int64(counter, 1, sequence);
        sqlite3_bind_int64(counter, 2, partner);
        must(sqlite3_step(counter), SQLITE_DONE);
        sqlite3_reset(counter);
        run("COMMIT");
        lives += batch;
        now = now_s();
    }
    printf("{\"lives\":%lld,\"seconds\":%.3f,\"rate\":%.1f}\n", (long long)lives, now - begin, (double)lives / (now - begin));
    return 0;
}
