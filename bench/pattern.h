// SPDX-License-Identifier: Apache-2.0
/*
 * pattern.h - rows like those that the server has written, straight into SQLite: a row that is there is the pattern, and only the columns
 * that differ are named. So a benchmark that writes rows need not know what else is in a table. Any trouble ends the program.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <sqlite3.h>
#include <stdint.h>

#define PATTERN_COLUMNS 64

struct pattern {
    sqlite3_stmt *insert;
    sqlite3_value *values[PATTERN_COLUMNS]; // of the row that is there
    char names[PATTERN_COLUMNS][32];
    int n;
};

sqlite3 *pattern_open(const char *folder); // the store's database
void pattern_must(sqlite3 *db, int rc, int wanted);
void pattern_run(sqlite3 *db, const char *sql);
int64_t pattern_number(sqlite3 *db, const char *sql);

// `where` follows "SELECT * FROM table" and finds at least one row, of which the first is taken.
void pattern_take(struct pattern *p, sqlite3 *db, const char *table, const char *where);
int pattern_place(const struct pattern *p,
                  const char *column); // for sqlite3_bind_*(p->insert, ...); 0, which binds nothing: no such column
int64_t pattern_i64(const struct pattern *p, const char *column);
void pattern_write(const struct pattern *p, sqlite3 *db); // what was bound, and the pattern's value where nothing was
void pattern_release(struct pattern *p);

#endif
