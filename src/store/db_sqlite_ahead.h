// SPDX-License-Identifier: Apache-2.0
/*
 * db_sqlite_ahead.h - reads of the file that do not wait. Private to db_sqlite.c.
 *
 * Where memory does not hold the store, an order needs two pages from anywhere on the disk, 0.1 ms each, and the one that writes would wait
 * for each of them. So whoever brings an order makes its look-ups first, on a reader's connection (db_driver.look). This layer below SQLite
 * (it stands before the file's read) has the system begin to read each page that is not in memory, and breaks the look-up off: nobody
 * waits. When the order's turn has come the pages are there, or on their way beside many others.
 *
 * Whether looking pays is seen on the writer's connection: by how many of its reads had to wait.
 *
 * One for each connection, used by the thread that has the connection.
 */
#ifndef STORE_DB_SQLITE_AHEAD_H
#define STORE_DB_SQLITE_AHEAD_H

#include <sqlite3.h>
#include <stdbool.h>

struct sqlite_ahead {
    sqlite3_io_methods methods; // first: SQLite holds it for the file's
    const sqlite3_io_methods *usual;
    int fd;          // of the same file
    bool blind;      // the system cannot tell what is in memory: all is read as usual
    bool asking;     // set by the caller for a look-up: what would wait is begun and answered with SQLITE_INTERRUPT
    int reads, late; // of these had to wait; since `pays` was decided last
    int pays;        // looking ahead does: for so many decisions more
};

// `lite` is open; `fd` is the caller's, of the same file, and stays open for longer.
int sqlite_ahead_watch(struct sqlite_ahead *a, sqlite3 *lite, int fd);

#endif
