// SPDX-License-Identifier: Apache-2.0
/*
 * db_pg_sql.h - the statements in PostgreSQL's words. Private to store/; pure, so that it is built and tested without PostgreSQL, too.
 *
 * Most are made of the one text that stands in statements.c: db_pg_translate knows the few words that differ everywhere. Where more than
 * words differ, or PostgreSQL cannot tell a parameter's type by itself, the table below says so; nothing else does.
 */
#ifndef STORE_DB_PG_SQL_H
#define STORE_DB_PG_SQL_H

#include "base/buf.h"
#include "store/statements.h"

struct pg_text {
    const char *sql;   // a text of its own; NULL: the common one, translated
    const char *types; // of its parameters, one letter each: i integer, t text, b bytes; NULL: PostgreSQL finds them out
    bool sure;         // breaks no constraint, whatever is written: needs no savepoint around it
    bool many;         // there is a form of it for many rows at once
    bool apart;        // touches nothing of what is put off: that need not be written before
};
extern const struct pg_text pg_texts[STATEMENTS];

// Whether what `write` writes may change what `read` answers: by the table's name. True, too, where that cannot be told.
bool db_pg_changes(enum statement write, enum statement read);

// Adds the statement as PostgreSQL takes it.
void db_pg_translate(enum statement st, struct buf *out);
// The same for many rows at once: each parameter is an array of its type (a letter each in `types`: i, s for a small integer, t, b), one
// element a row. What reads answers with the element's number, from 1, as the first column. Of INSERT ... VALUES, of SELECT, and of UPDATE
// of one row, which fails (22012, division by zero) when a row of them is not there.
void db_pg_translate_many(enum statement st, const char *types, struct buf *out);

#endif
