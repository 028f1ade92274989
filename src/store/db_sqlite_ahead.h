// SPDX-License-Identifier: Apache-2.0
/*
 * db_sqlite_ahead.h - pages that many jobs will need are read side by side. Private to db_sqlite.c.
 *
 * Where memory does not hold the store, an order needs two pages from anywhere on the disk, 0.1 ms each, and the one that writes would wait
 * for each of them. So the look-ups of a whole batch are made before its first job. This layer below SQLite (it stands before the file's
 * read) has the system begin to read each page that is not in memory, and breaks that look-up off. When its job comes to it, the page is
 * there, or on its way beside many others.
 *
 * Looking ahead costs a few microseconds an order, so it is only `on` while pages have to be waited for: that is counted all the time.
 * The writer's thread.
 */
#ifndef STORE_DB_SQLITE_AHEAD_H
#define STORE_DB_SQLITE_AHEAD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct sqlite_ahead {
    sqlite3_io_methods methods; // first: SQLite holds it for the file's
    const sqlite3_io_methods *usual;
    int fd;      // of the same file
    bool asking; // set by the caller, while look-ups are made ahead: what would wait is begun and answered with SQLITE_INTERRUPT
    bool on;
    int64_t named, missing; // look-ups that will be made, pages that were not in memory; since `on` was decided last
};

// `lite` is open; `fd` is the caller's, of the same file, and stays open for longer.
int sqlite_ahead_watch(struct sqlite_ahead *a, sqlite3 *lite, int fd);
// A look-up will be made. True: it is worth making ahead.
bool sqlite_ahead_named(struct sqlite_ahead *a);

#endif
