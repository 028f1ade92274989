// SPDX-License-Identifier: Apache-2.0
/*
 * db_sqlite_log.h - the writer's log is written in large pieces. Private to db_sqlite.c.
 *
 * SQLite writes its log (WAL) frame by frame, each with two calls of the system: a header of 24 bytes and a page. An order needs two to
 * three frames, so those calls were the most frequent of all. This layer below SQLite (a VFS) gathers what follows on in the log, and
 * writes it when SQLite syncs, reads, or asks for or changes the size, in the order in which it came. Nothing is visible to others, or
 * called durable, before SQLite has synced: readers go by the log's index, which is written after that.
 */
#ifndef STORE_DB_SQLITE_LOG_H
#define STORE_DB_SQLITE_LOG_H

#include <sqlite3.h>

// The VFS's name for sqlite3_open_v2; NULL: SQLite has no usual one to stand on. Any number of times, from any thread.
const char *sqlite_log_vfs(void);

#endif
