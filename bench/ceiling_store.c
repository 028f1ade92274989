// SPDX-License-Identifier: Apache-2.0
/*
 * ceiling_store.c - what the disk and SQLite allow: the rows that one order leaves behind, written straight into the same tables in
 * batches, each batch one transaction with synchronous=FULL. No HTTP, no JSON, no rules, no tasks.
 *
 *   ceiling_store FOLDER ICCIDS [SECONDS [BATCH]]
 *
 * FOLDER is a store (of no running server) in which at least one order has completed: its rows are the pattern. ICCIDS is a file with an
 * ICCID a line; SIMs are taken from it at random. Prints one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"
#include "core/iccid.h"
#include "pattern.h"

#define EVENTS_A_LIFE 3

// A row to write again and again with another key.
struct row {
    struct pattern pattern;
    int id, iccid, sequence, order_id; // places of the columns that differ; 0: there is none
};

static sqlite3 *db;

static struct row row_of(const char *table, const char *where) {
    struct row r = {0};
    pattern_take(&r.pattern, db, table, where);
    r.id = pattern_place(&r.pattern, "id");
    r.iccid = pattern_place(&r.pattern, "iccid");
    r.sequence = pattern_place(&r.pattern, "sequence");
    r.order_id = pattern_place(&r.pattern, "order_id");
    return r;
}

static void row_write(const struct row *r, struct uuid id, iccid_t iccid, int64_t sequence) {
    sqlite3_stmt *s = r->pattern.insert;
    if (r->id)
        sqlite3_bind_blob(s, r->id, id.b, sizeof id.b, SQLITE_STATIC);
    if (r->order_id)
        sqlite3_bind_blob(s, r->order_id, id.b, sizeof id.b, SQLITE_STATIC);
    if (r->iccid)
        sqlite3_bind_int64(s, r->iccid, iccid);
    if (r->sequence)
        sqlite3_bind_int64(s, r->sequence, sequence);
    pattern_write(&r->pattern, db);
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
    db = pattern_open(argv[1]);
    // the server's own settings
    pattern_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
                    "PRAGMA cache_size = -131072; PRAGMA wal_autocheckpoint = 16384");
    if (pattern_number(db, "PRAGMA synchronous") != 2)
        return 1;

        // The first order that has all its events: what it left behind is written again and again.
#define ONE "(SELECT id FROM orders WHERE state = 2 ORDER BY id LIMIT 1)"
    struct row order = row_of("orders", "WHERE state = 2 AND id = " ONE);
    struct row subscription = row_of("subscription", "WHERE id = " ONE);
    struct row events[EVENTS_A_LIFE] = {
        row_of("event", "WHERE order_id = " ONE " ORDER BY sequence LIMIT 1"),
        row_of("event", "WHERE order_id = " ONE " ORDER BY sequence LIMIT 1 OFFSET 1"),
        row_of("event", "WHERE order_id = " ONE " ORDER BY sequence LIMIT 1 OFFSET 2"),
    };
    int64_t partner = pattern_i64(&order.pattern, "partner_id");
    int64_t sequence = pattern_number(db, "SELECT max(last) FROM partner_sequence");
    sqlite3_stmt *counter;
    pattern_must(db, sqlite3_prepare_v2(db, "UPDATE partner_sequence SET last = ?1 WHERE partner_id = ?2", -1, &counter, NULL), SQLITE_OK);

    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 1);
    struct id_gen ids;
    id_gen_init(&ids, &rng);
    double begin = now_s(), end = begin + seconds, now = begin;
    int64_t lives = 0;
    while (now < end) {
        pattern_run(db, "BEGIN IMMEDIATE");
        for (long i = 0; i < batch; i++) {
            struct uuid id = id_next(&ids, clock_wall(&clock_system), partner);
            iccid_t iccid = iccids[rng_below(&rng, sims)];
            row_write(&order, id, iccid, 0);
            row_write(&subscription, id, iccid, 0);
            for (int e = 0; e < EVENTS_A_LIFE; e++)
                row_write(&events[e], id, iccid, ++sequence);
        }
        sqlite3_bind_int64(counter, 1, sequence);
        sqlite3_bind_int64(counter, 2, partner);
        pattern_must(db, sqlite3_step(counter), SQLITE_DONE);
        sqlite3_reset(counter);
        pattern_run(db, "COMMIT");
        lives += batch;
        now = now_s();
    }
    printf("{\"lives\":%lld,\"seconds\":%.3f,\"rate\":%.1f}\n", (long long)lives, now - begin, (double)lives / (now - begin));
    return 0;
}
