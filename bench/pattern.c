// SPDX-License-Identifier: Apache-2.0
#include "pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pattern_must(sqlite3 *db, int rc, int wanted) {
    if (rc == wanted)
        return;
    fprintf(stderr, "rows: %s\n", sqlite3_errmsg(db));
    exit(1);
}

sqlite3 *pattern_open(const char *folder) {
    char path[4096];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/topupd.db", folder);
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    pattern_must(db, rc, SQLITE_OK);
    return db;
}

void pattern_run(sqlite3 *db, const char *sql) {
    pattern_must(db, sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

int64_t pattern_number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *row;
    pattern_must(db, sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    pattern_must(db, sqlite3_step(row), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return n;
}

void pattern_take(struct pattern *p, sqlite3 *db, const char *table, const char *where) {
    sqlite3_stmt *row;
    char sql[1024];
    snprintf(sql, sizeof sql, "SELECT * FROM %s %s", table, where);
    pattern_must(db, sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    pattern_must(db, sqlite3_step(row), SQLITE_ROW);
    p->n = sqlite3_column_count(row);
    if (p->n > PATTERN_COLUMNS) {
        fprintf(stderr, "rows: %s has more than %d columns\n", table, PATTERN_COLUMNS);
        exit(1);
    }
    size_t at = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?1", table);
    for (int i = 2; i <= p->n; i++)
        at += (size_t)snprintf(sql + at, sizeof sql - at, ", ?%d", i);
    snprintf(sql + at, sizeof sql - at, ")");
    pattern_must(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &p->insert, NULL), SQLITE_OK);
    for (int i = 0; i < p->n; i++) {
        snprintf(p->names[i], sizeof p->names[i], "%s", sqlite3_column_name(row, i));
        p->values[i] = sqlite3_value_dup(sqlite3_column_value(row, i));
        pattern_must(db, sqlite3_bind_value(p->insert, i + 1, p->values[i]), SQLITE_OK);
    }
    sqlite3_finalize(row);
}

int pattern_place(const struct pattern *p, const char *column) {
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->names[i], column) == 0)
            return i + 1;
    }
    return 0;
}

int64_t pattern_i64(const struct pattern *p, const char *column) {
    int place = pattern_place(p, column);
    return place ? sqlite3_value_int64(p->values[place - 1]) : 0;
}

void pattern_write(const struct pattern *p, sqlite3 *db) {
    pattern_must(db, sqlite3_step(p->insert), SQLITE_DONE);
    sqlite3_reset(p->insert);
}

void pattern_release(struct pattern *p) {
    sqlite3_finalize(p->insert);
    for (int i = 0; i < p->n; i++)
        sqlite3_value_free(p->values[i]);
}
