// SPDX-License-Identifier: Apache-2.0
#include "store/db_trace.h"

#include <inttypes.h>
#include <stdlib.h>

#include "store/statements.h"

struct connection {
    struct db db;
    struct db_trace *trace;
    struct db *inner;
    bool writer;
    int64_t rows; // of the query that runs
};

static struct connection *of(struct db *db) {
    return (struct connection *)db;
}

static enum err_kind note(struct db *db, const char *call, const char *what, enum err_kind kind) {
    fprintf(of(db)->trace->out, "%c %s%s%s%s%s\n", of(db)->writer ? 'w' : 'r', call, *what ? " " : "", what, kind ? ": " : "",
            kind ? err_kind_name(kind) : "");
    return kind;
}

static enum err_kind trace_open(const struct db_driver *self, const char *location, bool writer, bool may_create, struct db **out,
                                struct err *err) {
    struct db_trace *t = CONTAINER_OF((struct db_driver *)(uintptr_t)self, struct db_trace, driver);
    struct db *inner = NULL;
    enum err_kind kind = t->inner->open(t->inner, location, writer, may_create, &inner, err);
    if (kind) {
        fprintf(t->out, "%c open: %s\n", writer ? 'w' : 'r', err_kind_name(kind));
        return kind;
    }
    struct connection *c = xcalloc(1, sizeof *c);
    *c = (struct connection){.db.driver = self, .trace = t, .inner = inner, .writer = writer};
    *out = &c->db;
    return note(&c->db, "open", "", ERR_NONE);
}

static void trace_close(struct db *db) {
    if (!db)
        return;
    note(db, "close", "", ERR_NONE);
    of(db)->inner->driver->close(of(db)->inner);
    free(db);
}

#define INNER(call_) of(db)->inner->driver->call_

static enum err_kind trace_version(struct db *db, int64_t *out, struct err *err) {
    return note(db, "version", "", INNER(version(of(db)->inner, out, err)));
}
static enum err_kind trace_set_version(struct db *db, int64_t version, struct err *err) {
    return note(db, "set_version", "", INNER(set_version(of(db)->inner, version, err)));
}
static enum err_kind trace_prepare(struct db *db, struct err *err) {
    return note(db, "prepare", "", INNER(prepare(of(db)->inner, err)));
}
static enum err_kind trace_begin(struct db *db, struct err *err) {
    enum err_kind kind = INNER(begin(of(db)->inner, err));
    db->others = of(db)->inner->others;
    return note(db, "begin", "", kind);
}
static enum err_kind trace_commit(struct db *db, struct err *err) {
    return note(db, "commit", "", INNER(commit(of(db)->inner, err)));
}
static void trace_rollback(struct db *db) {
    INNER(rollback(of(db)->inner));
    note(db, "rollback", "", ERR_NONE);
}
static enum err_kind trace_savepoint(struct db *db, struct err *err) {
    return note(db, "savepoint", "", INNER(savepoint(of(db)->inner, err)));
}
static enum err_kind trace_release(struct db *db, struct err *err) {
    return note(db, "release", "", INNER(release(of(db)->inner, err)));
}
static enum err_kind trace_undo(struct db *db, struct err *err) {
    return note(db, "undo", "", INNER(undo(of(db)->inner, err)));
}
static enum err_kind trace_exec(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed, struct err *err) {
    return note(db, "exec", statements[statement].name, INNER(exec(of(db)->inner, statement, params, n, changed, err)));
}
static enum err_kind trace_query(struct db *db, int statement, const struct db_value *params, size_t n, struct err *err) {
    of(db)->rows = 0;
    return note(db, "query", statements[statement].name, INNER(query(of(db)->inner, statement, params, n, err)));
}
static enum err_kind trace_next(struct db *db, int statement, bool *more, struct err *err) {
    enum err_kind kind = INNER(next(of(db)->inner, statement, more, err));
    if (kind)
        return note(db, "next", statements[statement].name, kind);
    of(db)->rows += *more;
    return ERR_NONE;
}
static struct db_value trace_column(struct db *db, int statement, int column) {
    return INNER(column(of(db)->inner, statement, column));
}
static void trace_finish(struct db *db, int statement) {
    INNER(finish(of(db)->inner, statement));
    fprintf(of(db)->trace->out, "%c rows %s %" PRId64 "\n", of(db)->writer ? 'w' : 'r', statements[statement].name, of(db)->rows);
}
static enum err_kind trace_script(struct db *db, const char *sql, struct err *err) {
    return note(db, "script", "", INNER(script(of(db)->inner, sql, err)));
}
static enum err_kind trace_check(struct db *db, struct err *err) {
    return note(db, "check", "", INNER(check(of(db)->inner, err)));
}
static enum err_kind trace_upkeep(struct db *db, bool alone, enum db_upkeep *wants, struct err *err) {
    enum err_kind kind = INNER(upkeep(of(db)->inner, alone, wants, err));
    return kind || alone ? note(db, "upkeep", alone ? "alone" : "", kind) : kind;
}

static enum err_kind trace_copy(struct db *db, struct err *err) {
    return INNER(copy(of(db)->inner, err));
}

void db_trace_init(struct db_trace *t, const struct db_driver *inner, FILE *out) {
    *t = (struct db_trace){
        .driver =
            {
                .name = "trace",
                .dialect = inner->dialect,
                .open = trace_open,
                .close = trace_close,
                .version = trace_version,
                .set_version = trace_set_version,
                .prepare = trace_prepare,
                .begin = trace_begin,
                .commit = trace_commit,
                .rollback = trace_rollback,
                .savepoint = trace_savepoint,
                .release = trace_release,
                .undo = trace_undo,
                .exec = trace_exec,
                .query = trace_query,
                .next = trace_next,
                .column = trace_column,
                .finish = trace_finish,
                .script = trace_script,
                .check = trace_check,
                .upkeep = trace_upkeep,
                .copy = trace_copy,
            },
        .inner = inner,
        .out = out,
    };
}
