// SPDX-License-Identifier: Apache-2.0
/*
 * db_sqlite_cache.h - SQLite's page cache, for caches of hundreds of megabytes. Private to db_sqlite.c.
 *
 * SQLite's own keeps what it must know of a page behind the page's 4 KiB. In a large cache each of those headers is a place of memory that
 * the processor has not seen for long, and to take one page it looks at five of them (the chain, the page, its neighbours in the order of
 * use): a sixth of the writer's time. It also goes through all pages at each commit once a page has borne, for a moment, the number of the
 * page that holds the file's lock byte (at 1 GiB).
 *
 * This one (a page cache method table, sqlite3.h, SQLITE_CONFIG_PCACHE2) keeps the headers apart and close together, in the same 2 MiB as
 * their pages, for which it asks the system for a large page; takes the next page that was not used lately ("clock") instead of the one
 * that was not for longest, which needs no order; and knows the highest page that is really there. Memory grows with what is used, up to
 * the size that was set, and is given back when the connection is closed.
 *
 * A cache belongs to its connection's thread.
 */
#ifndef STORE_DB_SQLITE_CACHE_H
#define STORE_DB_SQLITE_CACHE_H

#include <sqlite3.h>

extern const sqlite3_pcache_methods2 sqlite_cache;

#endif
