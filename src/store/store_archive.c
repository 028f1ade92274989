// SPDX-License-Identifier: Apache-2.0
#include "store/store_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/tx.h"

// Of the order after it in the same millisecond, or of a later one: greater than `id` by the least there is.
static struct uuid id_after(struct uuid id) {
    for (int i = sizeof id.b - 1; i >= 0 && ++id.b[i] == 0; i--)
        ;
    return id;
}

// Sorts before all ids that were made at `t` or later.
static struct uuid id_at(struct wall t) {
    struct uuid id = {{0}};
    uint64_t ms = t.ms > 0 ? (uint64_t)t.ms : 0;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        id.b[i] = (uint8_t)ms;
    return id;
}

static void read_key(struct row *r, void *out) {
    struct archive_key *k = out;
    k->id = row_uuid(r);
    k->fits = row_int_in(r, 0, 1) == 1;
}

static enum err_kind keys(struct tx *tx, int64_t partner_id, struct uuid from, struct uuid to, struct wall ended, int64_t limit,
                          struct arena *a, struct archive_key **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_uuid(&from), db_uuid(&to), db_int(ended.ms), db_int(limit)};
    void *rows = NULL;
    enum err_kind kind =
        tx_list(tx, ST_ARCHIVE_KEYS, TX_PARAMS(params), read_key, a, sizeof **out, (size_t)(limit > 0 ? limit : 0), &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_archive_keys(struct tx *tx, int64_t partner_id, struct uuid after, struct wall before, struct wall ended, int64_t limit,
                                 struct arena *a, struct archive_key **out, size_t *n, struct err *err) {
    return keys(tx, partner_id, id_after(after), id_at(before), ended, limit, a, out, n, err);
}

enum err_kind store_archive_fits(struct tx *tx, struct uuid id, struct wall ended, bool *fits, struct err *err) {
    struct archive_key *list = NULL;
    struct arena a;
    size_t n = 0;
    arena_init(&a, 4096);
    enum err_kind kind = keys(tx, uuid_partner(id), id, id_after(id), ended, 1, &a, &list, &n, err);
    if (!kind && n == 0)
        kind = err_set(err, ERR_NOT_FOUND, "no such order");
    if (!kind)
        *fits = list[0].fits;
    arena_release(&a);
    return kind;
}

enum err_kind store_archive_drop(struct tx *tx, const struct order *o, struct err *err) {
    struct db_value tasks[] = {db_uuid(&o->id)};
    struct db_value subscription[] = {db_iccid(o->iccid), db_uuid(&o->id)};
    struct db_value order[] = {db_int(o->partner_id), db_uuid(&o->id)};
    enum err_kind kind = tx_exec(tx, ST_ARCHIVE_DROP_TASKS, TX_PARAMS(tasks), err);
    if (!kind && o->iccid != ICCID_NONE)
        kind = tx_exec(tx, ST_ARCHIVE_DROP_SUBSCRIPTION, TX_PARAMS(subscription), err);
    return kind ? kind : tx_exec(tx, ST_ARCHIVE_DROP_ORDER, TX_PARAMS(order), err);
}

static struct str mark_name(int64_t partner_id, char out[32]) {
    snprintf(out, 32, "archived %" PRId64, partner_id);
    return str_of(out);
}

enum err_kind store_archive_mark(struct tx *tx, int64_t partner_id, struct wall before, struct err *err) {
    char name[32];
    struct db_value params[] = {db_text(mark_name(partner_id, name)), db_int(before.ms)};
    return tx_exec(tx, ST_ARCHIVE_MARK, TX_PARAMS(params), err);
}

enum err_kind store_archive_marked(struct tx *tx, int64_t partner_id, struct wall *before, struct err *err) {
    char name[32];
    int64_t ms = 0;
    struct db_value params[] = {db_text(mark_name(partner_id, name))};
    enum err_kind kind = tx_int(tx, ST_ARCHIVE_MARKED, TX_PARAMS(params), &ms, err);
    if (!kind)
        *before = ms ? (struct wall){ms} : WALL_NONE;
    return kind;
}
