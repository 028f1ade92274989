// SPDX-License-Identifier: Apache-2.0
#include "store/store_idem.h"

#include "store/tx.h"

static void read_idem(struct row *r, void *out) {
    struct idem_row *i = out;
    row_blob(r, i->digest, sizeof i->digest);
    i->state = (enum idem_state)row_int_in(r, IDEM_IN_WORK, IDEM_ANSWERED);
    i->owner = row_int(r);
    i->since = row_wall(r);
    i->status = (int)row_int_in(r, 0, 499);
    i->headers = row_str(r);
    i->body = row_bytes(r);
}

void store_idem_ahead(struct tx *tx, int64_t partner_id, struct str key) {
    struct db_value params[] = {db_int(partner_id), db_text(key)};
    tx_ahead(tx, ST_IDEM_GET, TX_PARAMS(params));
}

enum err_kind store_idem_get(struct tx *tx, int64_t partner_id, struct str key, struct arena *a, struct idem_row *out, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_text(key)};
    enum err_kind kind = tx_get(tx, ST_IDEM_GET, TX_PARAMS(params), read_idem, a, out, sizeof *out, "idempotency key", err);
    if (!kind) {
        out->partner_id = partner_id;
        out->key = key;
    }
    return kind;
}

// From ?5 of the update on, ?4 of the insert: state, owner, since, status, headers, body.
static void put_values(const struct idem_row *row, struct db_value *params) {
    params[0] = db_int(row->state);
    params[1] = db_int(row->owner);
    params[2] = db_int(row->since.ms);
    params[3] = db_int(row->status);
    params[4] = db_text(row->headers.p ? row->headers : STR(""));
    params[5] = db_blob(row->body.p ? row->body.p : "", row->body.n);
}

enum err_kind store_idem_insert(struct tx *tx, const struct idem_row *row, struct err *err) {
    struct db_value params[9] = {db_int(row->partner_id), db_text(row->key), db_blob(row->digest, sizeof row->digest)};
    put_values(row, params + 3);
    enum err_kind kind = tx_exec(tx, ST_IDEM_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT)
        kind = err_set(err, ERR_RETRY, "the idempotency key has just been taken");
    return kind;
}

enum err_kind store_idem_update(struct tx *tx, const struct idem_row *row, int64_t owner, struct wall since, struct err *err) {
    struct db_value params[10] = {db_int(row->partner_id), db_text(row->key), db_int(owner), db_int(since.ms)};
    put_values(row, params + 4);
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, ST_IDEM_UPDATE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such claim of an idempotency key");
    return kind;
}

enum err_kind store_idem_prune(struct tx *tx, struct wall before, int64_t limit, int64_t *removed, struct err *err) {
    struct db_value params[] = {db_int(before.ms), db_int(limit)};
    return tx_exec_changed(tx, ST_IDEM_PRUNE, TX_PARAMS(params), removed, err);
}
