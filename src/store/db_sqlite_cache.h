// SPDX-License-Identifier: Apache-2.0
/*
 * db_sqlite_cache.h - a page cache that is not searched through at each commit. Private to db_sqlite.c.
 *
 * When SQLite (3.40) puts the pages of a split in order, one of them bears for a moment the number of the page that holds its lock byte (at
 * 1 GiB). The cache remembers that as its highest page; and as every commit drops what lies beyond the file's end, every commit would then
 * go through all that the cache holds, 0.8 ms of the writer's time with 128 MiB. This layer stands before SQLite's own cache (a page cache
 * method table) and knows better: what has really been fetched, and so whether there is anything to drop.
 */
#ifndef STORE_DB_SQLITE_CACHE_H
#define STORE_DB_SQLITE_CACHE_H

// Once for the process, before SQLite is used. Without it all works as well, only slower: SQLite refuses when it is in use already.
void sqlite_cache_install(void);

#endif
