// SPDX-License-Identifier: Apache-2.0
/*
 * migrate.h - brings an older schema up to this program's.
 *
 * Migrations are the files of sql/<dialect>/, put into the program when it is built. Each runs in one transaction together with the change
 * of the version number, so an unclean stop leaves a whole schema of a known version.
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

// *fresh: there was no schema. ERR_CONFLICT: the schema is newer than this program.
NODISCARD enum err_kind migrate(struct db *db, bool *fresh, struct err *err);

#endif
