// SPDX-License-Identifier: Apache-2.0
/*
 * migrate.h - brings an older schema up to this program's.
 *
 * Migrations are the files of sql/<dialect>/, put into the program when it is built. Each runs in one transaction together with the change
 * of the version number, so an unclean stop leaves a whole schema of a known version. Several programs may try at once: one does it.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store/db.h"

struct migration {
    int64_t version; // that it leads to: 1, 2, 3 ...
    const char *name;
    const char *sql;
};
extern const struct migration migrations_sqlite[];
extern const size_t migrations_sqlite_count;
extern const struct migration migrations_pg[];
extern const size_t migrations_pg_count;

// From which version to which; from 0: there was no schema. ERR_CONFLICT: the schema is newer than this program.
NODISCARD enum err_kind migrate(struct db *db, int64_t *from, int64_t *to, struct err *err);

#endif
