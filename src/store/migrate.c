// SPDX-License-Identifier: Apache-2.0
#include "store/migrate.h"

#include <inttypes.h>

static enum err_kind apply(struct db *db, const struct migration *m, struct err *err) {
    const struct db_driver *d = db->driver;
    int64_t version = 0;
    enum err_kind kind = d->begin(db, err);
    if (kind)
        return kind;
    kind = d->version(db, &version, err); // another program may have been quicker
    bool done = version >= m->version;
    if (!kind && !done)
        kind = d->script(db, m->sql, err);
    if (!kind && !done)
        kind = d->set_version(db, m->version, err);
    if (!kind)
        kind = d->commit(db, err);
    if (kind)
        d->rollback(db);
    return kind;
}

enum err_kind migrate(struct db *db, int64_t *from, int64_t *to, struct err *err) {
    const struct migration *list = NULL;
    size_t count = 0;
    switch (db->driver->dialect) {
    case DB_SQLITE:
        list = migrations_sqlite;
        count = migrations_sqlite_count;
        break;
    case DB_PG:
        list = migrations_pg;
        count = migrations_pg_count;
        break;
    case DB_DIALECTS:
        break;
    }
    CHECK(list != NULL);

    int64_t version = 0;
    enum err_kind kind = db->driver->version(db, &version, err);
    if (kind)
        return kind;
    int64_t newest = list[count - 1].version;
    if (version < 0 || version > newest)
        return err_set(err, ERR_CONFLICT,
                       "the store has schema version %" PRId64 ", this program knows versions up to %" PRId64 ": start a newer topupd",
                       version, newest);
    for (size_t i = (size_t)version; i < count; i++) {
        kind = apply(db, &list[i], err);
        if (kind)
            return kind;
    }
    *from = version;
    *to = newest;
    return ERR_NONE;
}
