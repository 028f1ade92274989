// SPDX-License-Identifier: Apache-2.0
/*
 * db.h - the driver seam: what a database must do for the store. Only store/ sees it.
 *
 * A driver is one struct of functions (db_sqlite.c, db_pg.c); a wrapper that traces, or fails the nth call, is a driver too.
 * Statements are rows of one table (statements.h), all prepared at open, so that a typo fails at start. Parameters are numbered ?1, ?2 ...;
 * a driver translates what its database says in other words (db_pg_sql.h).
 *
 * A connection belongs to one thread at a time. While `defer` is set, writing statements may be put off by the driver until the next read
 * that could see them, or the commit (PostgreSQL batches them); so a conflict may come up late, at a call that has nothing to do with it
 * (`late`) or at the commit, and the store then runs the jobs one by one without. Statements whose number of changed rows matters are
 * marked DB_NOW and never put off. Those marked DB_ONE change one row: put off, *changed is 1, and a row that is not there is such a
 * conflict.
 *
 * Errors: ERR_CONFLICT a constraint is broken (that statement alone had no effect), ERR_UNAVAILABLE disk, lock or connection trouble,
 * ERR_CORRUPT the database's bytes are damaged, ERR_RETRY run the transaction again, ERR_INTERNAL our SQL is wrong. After any but
 * ERR_CONFLICT the transaction must not be committed.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct db_value {
    enum { DB_NULL, DB_INT, DB_TEXT, DB_BLOB } type;
    int64_t i;
    struct str s;
};
static inline struct db_value db_int(int64_t i) {
    return (struct db_value){DB_INT, i, STR_NONE};
}
static inline struct db_value db_text(struct str s) { // STR_NONE is NULL
    return (struct db_value){s.p ? DB_TEXT : DB_NULL, 0, s};
}
static inline struct db_value db_blob(const void *p, size_t n) {
    return (struct db_value){DB_BLOB, 0, {p, n}};
}
static inline struct db_value db_null(void) {
    return (struct db_value){DB_NULL, 0, STR_NONE};
}

struct db; // a connection; drivers embed it first in their own struct

enum db_dialect { DB_SQLITE, DB_PG, DB_DIALECTS }; // which folder of migrations

// What db_driver.upkeep asks for.
enum db_upkeep { DB_UPKEEP_DONE, DB_UPKEEP_ALONE, DB_UPKEEP_COPY };

struct db_driver {
    const char *name; // "sqlite"
    enum db_dialect dialect;
    bool alone; // while the writer has the database open, nobody else writes to it
    // Opens one connection. `self` is this struct, or the one that embeds it (wrappers). `writer`: the one that writes (takes the store for
    // itself, sets and checks durability); others are read-only and opened later. A file that is not ours is left as it is: ERR_CONFLICT.
    enum err_kind (*open)(const struct db_driver *self, const char *location, bool writer, bool may_create, struct db **out,
                          struct err *err);
    void (*close)(struct db *db); // NULL is fine
    // The schema's version; 0: the database is empty. Setting it is part of the transaction.
    enum err_kind (*version)(struct db *db, int64_t *out, struct err *err);
    enum err_kind (*set_version)(struct db *db, int64_t version, struct err *err);
    // Prepares the whole table of statements; once, when the schema is up to date and before the first exec or query.
    enum err_kind (*prepare)(struct db *db, struct err *err);
    enum err_kind (*begin)(struct db *db, struct err *err);
    enum err_kind (*commit)(struct db *db, struct err *err); // ERR_RETRY: nothing was committed, run again. ERR_UNSURE: nobody knows
    void (*rollback)(struct db *db);
    enum err_kind (*savepoint)(struct db *db, struct err *err);
    enum err_kind (*release)(struct db *db, struct err *err);
    enum err_kind (*undo)(struct db *db, struct err *err); // back to the savepoint, which is gone then
    // A row-less statement. *changed may be NULL. Constraint broken: ERR_CONFLICT with the constraint's name as message.
    enum err_kind (*exec)(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed, struct err *err);
    // Rows: query, then next until *more is false, then finish (always). Column views hold until the next `next` or `finish`.
    enum err_kind (*query)(struct db *db, int statement, const struct db_value *params, size_t n, struct err *err);
    enum err_kind (*next)(struct db *db, int statement, bool *more, struct err *err);
    struct db_value (*column)(struct db *db, int statement, int column);
    void (*finish)(struct db *db, int statement);
    // Says, before begin, that a query will be asked for in that transaction: so many are answered at once. NULL: of no use.
    void (*ahead)(struct db *db, int statement, const struct db_value *params, size_t n);
    // Has the system begin to read what a query will need, and waits for nothing: on a reader, in a transaction. NULL: of no use.
    void (*look)(struct db *db, int statement, const struct db_value *params, size_t n);
    // SQL text, several statements: migrations.
    enum err_kind (*script)(struct db *db, const char *sql, struct err *err);
    // Whether all rows, indexes and references are whole: ERR_CORRUPT with the first complaint. Reads everything.
    enum err_kind (*check)(struct db *db, struct err *err);
    // A consistent copy of what is committed now, as one file `to` that is checked, on disk and not there before; from any process, while
    // others write. And the way back: into a location that is missing or empty. Both ERR_CONFLICT when they would overwrite something,
    // ERR_CORRUPT when the copy is damaged; then nothing is left behind. NULL: the database's own tools do it.
    enum err_kind (*backup)(const char *location, const char *to, struct err *err);
    enum err_kind (*restore)(const char *from, const char *location, struct err *err);
    // Called on the writer between transactions: keeps the log short. DB_UPKEEP_ALONE: readers are in the way; call again with `alone`
    // when none is reading. DB_UPKEEP_COPY: there is much to be done first; call `copy`, on whatever thread, while the writer goes on with
    // its transactions, and upkeep again when it is through.
    enum err_kind (*upkeep)(struct db *db, bool alone, enum db_upkeep *wants, struct err *err);
    enum err_kind (*copy)(struct db *writer, struct err *err); // NULL: never wanted
    // What programs that share the database tell each other; NULL where one has it alone. `tell` is a writer's and part of its transaction:
    // others hear the text, of up to DB_TELL_MAX bytes, once that is committed. `hear` waits on a reader that nobody else uses, for the
    // next one (also one of our own), until `stop` can be read: then *text is empty. *missed: some may not have been heard before this one.
    enum err_kind (*tell)(struct db *db, struct str text, struct err *err);
    enum err_kind (*hear)(struct db *db, int stop, struct buf *text, bool *missed, struct err *err);
};
#define DB_TELL_MAX 7800
struct db {
    const struct db_driver *driver;
    bool defer;    // set by the store before begin
    bool idle;     // set by the store before upkeep: nothing has been written for a while, so it may do what could wait
    bool late;     // set by the driver until the next begin: what failed was put off
    bool far;      // set by a writer's commit: its reads have to wait for the disk, so that `look` helps
    bool others;   // set by a writer's begin: somebody else has written since its last commit; what it remembers counts no more
    int64_t waits; // how often an answer from elsewhere was waited for, since it was opened
};

extern const struct db_driver db_sqlite; // db_sqlite.c
extern const struct db_driver db_pg;     // db_pg.c; only where there is libpq (TOPUPD_POSTGRESQL)

#endif
