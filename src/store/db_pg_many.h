// SPDX-License-Identifier: Apache-2.0
/*
 * db_pg_many.h - rows gathered to be written, or asked for, in one statement. Private to store/; knows PostgreSQL's binary format of
 * arrays, not libpq.
 *
 * `struct many` holds the parameters of a statement, each as an array with an element a row. `struct keys` finds what was gathered by the
 * values that a statement is asked with.
 */
#ifndef STORE_DB_PG_MANY_H
#define STORE_DB_PG_MANY_H

#include "base/buf.h"
#include "store/db.h"

struct many {
    int n; // parameters
    struct buf *column;
    int rows;
};
void many_init(struct many *m, int n);
void many_release(struct many *m);
void many_clear(struct many *m);
// One more row. The types are those of the statement for one row (OIDs), which the values fit.
void many_add(struct many *m, const uint8_t *types, const struct db_value *params);
// Writes the arrays' heads. False: there was no memory for all rows.
NODISCARD bool many_finish(struct many *m, const uint8_t *types);

struct key {
    int tag;
    size_t at, n;
    uint32_t next; // of the same chain; 0: none
    int value;     // below 0: counts no more
};
struct keys {
    struct key *list; // from 1
    size_t n, cap;
    uint32_t *heads;
    struct buf bytes;
};
void keys_init(struct keys *k);
void keys_release(struct keys *k);
void keys_clear(struct keys *k);
// False: it is there already.
bool keys_add(struct keys *k, int tag, const struct db_value *params, size_t n, int value);
struct key *keys_find(const struct keys *k, int tag, const struct db_value *params, size_t n); // NULL: not there

#endif
