// SPDX-License-Identifier: Apache-2.0
/*
 * db_trace.h - a driver that writes down each call of another: what ran in which transaction, how often, how it ended.
 *
 * One line a call: connection (w: the writer, r: a reader), call, statement, outcome. Never a value: those may be secrets. The struct must
 * outlive the store.
 */
#ifndef STORE_DB_TRACE_H
#define STORE_DB_TRACE_H

#include <stdio.h>

#include "store/db.h"

struct db_trace {
    struct db_driver driver;
    const struct db_driver *inner;
    FILE *out;
};

void db_trace_init(struct db_trace *t, const struct db_driver *inner, FILE *out);

#endif
