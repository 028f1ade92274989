// SPDX-License-Identifier: Apache-2.0
#include "store/db_fault.h"

#include <stdlib.h>

struct connection {
    struct db db;
    struct db_fault *fault;
    struct db *inner;
    bool lost; // the transaction is gone, until rollback
};

static struct connection *of(struct db *db) {
    return (struct connection *)db;
}

static enum err_kind refuse(const struct db_fault *f, struct err *err) {
    return err_set(err, f->mode == FAULT_RETRY ? ERR_RETRY : ERR_UNAVAILABLE, "fault %lld", (long long)f->at);
}

static bool is_deadly(const struct db_fault *f) {
    return f->mode == FAULT_DIES || f->mode == FAULT_EXPIRES;
}

// Whether this call is the one, or comes after the last.
static bool hits(struct db_fault *f, bool is_commit) {
    if (f->commits_only && !is_commit && !(is_deadly(f) && f->hits > 0))
        return false;
    int64_t call = ++f->calls;
    if (f->at == 0 || (is_deadly(f) ? call < f->at : call != f->at))
        return false;
    f->hits++;
    return true;
}

// What a call is answered without being made; ERR_NONE: make it.
static enum err_kind before(struct connection *c, bool is_commit, struct err *err) {
    if (c->lost)
        return err_set(err, ERR_UNAVAILABLE, "the transaction is lost");
    if (!hits(c->fault, is_commit))
        return ERR_NONE;
    if (c->fault->mode == FAULT_LOSES) {
        c->inner->driver->rollback(c->inner);
        c->lost = true;
    }
    return refuse(c->fault, err);
}

static enum err_kind fault_open(const struct db_driver *self, const char *location, bool writer, bool may_create, struct db **out,
                                struct err *err) {
    struct db_fault *f = CONTAINER_OF((struct db_driver *)(uintptr_t)self, struct db_fault, driver);
    if (hits(f, false))
        return refuse(f, err);
    struct db *inner = NULL;
    enum err_kind kind = f->inner->open(f->inner, location, writer, may_create, &inner, err);
    if (kind)
        return kind;
    struct connection *c = xcalloc(1, sizeof *c);
    *c = (struct connection){.db.driver = self, .fault = f, .inner = inner};
    *out = &c->db;
    return ERR_NONE;
}

static void fault_close(struct db *db) {
    if (!db)
        return;
    of(db)->inner->driver->close(of(db)->inner);
    free(db);
}

#define PASS(call_)                                                                                                                        \
    struct connection *c = of(db);                                                                                                         \
    enum err_kind kind = before(c, false, err);                                                                                            \
    return kind ? kind : c->inner->driver->call_

static enum err_kind fault_version(struct db *db, int64_t *out, struct err *err) {
    PASS(version(c->inner, out, err));
}
static enum err_kind fault_set_version(struct db *db, int64_t version, struct err *err) {
    PASS(set_version(c->inner, version, err));
}
static enum err_kind fault_prepare(struct db *db, struct err *err) {
    PASS(prepare(c->inner, err));
}
static enum err_kind fault_begin(struct db *db, struct err *err) {
    if (hits(of(db)->fault, false)) // there is no transaction to lose
        return refuse(of(db)->fault, err);
    enum err_kind kind = of(db)->inner->driver->begin(of(db)->inner, err);
    db->others = of(db)->inner->others;
    return kind;
}
static enum err_kind fault_savepoint(struct db *db, struct err *err) {
    PASS(savepoint(c->inner, err));
}
static enum err_kind fault_release(struct db *db, struct err *err) {
    PASS(release(c->inner, err));
}
static enum err_kind fault_undo(struct db *db, struct err *err) {
    PASS(undo(c->inner, err));
}
static enum err_kind fault_exec(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed, struct err *err) {
    PASS(exec(c->inner, statement, params, n, changed, err));
}
static enum err_kind fault_query(struct db *db, int statement, const struct db_value *params, size_t n, struct err *err) {
    PASS(query(c->inner, statement, params, n, err));
}
static enum err_kind fault_next(struct db *db, int statement, bool *more, struct err *err) {
    PASS(next(c->inner, statement, more, err));
}
static enum err_kind fault_script(struct db *db, const char *sql, struct err *err) {
    PASS(script(c->inner, sql, err));
}

static enum err_kind fault_check(struct db *db, struct err *err) {
    PASS(check(c->inner, err));
}

static enum err_kind fault_commit(struct db *db, struct err *err) {
    struct connection *c = of(db);
    struct db_fault *f = c->fault;
    bool unsure = (f->mode == FAULT_UNSURE || f->mode == FAULT_EXPIRES) && f->calls + 1 == f->at && !c->lost;
    enum err_kind kind = unsure ? ERR_NONE : before(c, true, err);
    if (kind)
        return kind;
    if (unsure && f->unheard)
        f->unheard(f->ctx);
    kind = c->inner->driver->commit(c->inner, err);
    if (kind || !unsure)
        return kind;
    hits(f, true);
    return err_set(err, ERR_UNSURE, "the answer to a commit is lost");
}

static void fault_rollback(struct db *db) {
    of(db)->lost = false;
    of(db)->inner->driver->rollback(of(db)->inner);
}
static struct db_value fault_column(struct db *db, int statement, int column) {
    return of(db)->inner->driver->column(of(db)->inner, statement, column);
}
static void fault_finish(struct db *db, int statement) {
    of(db)->inner->driver->finish(of(db)->inner, statement);
}
static enum err_kind fault_upkeep(struct db *db, bool alone, enum db_upkeep *wants, struct err *err) {
    if (hits(of(db)->fault, false))
        return refuse(of(db)->fault, err);
    return of(db)->inner->driver->upkeep(of(db)->inner, alone, wants, err);
}

// Not one of the calls that can fail: in a store with threads it is made on another.
static enum err_kind fault_copy(struct db *db, struct err *err) {
    return of(db)->inner->driver->copy(of(db)->inner, err);
}

void db_fault_init(struct db_fault *f, const struct db_driver *inner) {
    *f = (struct db_fault){
        .driver =
            {
                .name = "fault",
                .dialect = inner->dialect,
                .open = fault_open,
                .close = fault_close,
                .version = fault_version,
                .set_version = fault_set_version,
                .prepare = fault_prepare,
                .begin = fault_begin,
                .commit = fault_commit,
                .rollback = fault_rollback,
                .savepoint = fault_savepoint,
                .release = fault_release,
                .undo = fault_undo,
                .exec = fault_exec,
                .query = fault_query,
                .next = fault_next,
                .column = fault_column,
                .finish = fault_finish,
                .script = fault_script,
                .check = fault_check,
                .upkeep = fault_upkeep,
                .copy = fault_copy,
            },
        .inner = inner,
    };
}

void db_fault_arm(struct db_fault *f, enum fault_mode mode, int64_t at) {
    f->mode = mode;
    f->at = at;
    f->commits_only = false;
    f->calls = 0;
    f->hits = 0;
}
