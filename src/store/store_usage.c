// SPDX-License-Identifier: Apache-2.0
#include "store/store_usage.h"

#include "store/store_sim.h"
#include "store/store_subscription.h"
#include "store/tx.h"

#define COUNT_AHEAD 10000

void store_usage_ahead(struct tx *tx, const struct usage_record *r, iccid_t iccid) {
    struct db_value record[] = {db_text(r->source), db_text(r->record_id)};
    tx_ahead(tx, ST_USAGE_FIND, TX_PARAMS(record));
    if (iccid == ICCID_NONE)
        return;
    store_sim_get_ahead(tx, iccid);
    store_subscription_usable_ahead(tx, iccid, r->start, r->end);
}

static void read_usage(struct row *r, void *out) {
    struct stored_usage *u = out;
    u->id = row_int(r);
    u->record.source = row_str(r);
    u->record.record_id = row_str(r);
    u->record.named = (enum usage_named)row_int_in(r, USAGE_BY_ICCID, USAGE_BY_MSISDN);
    u->record.number = row_str(r);
    u->iccid = row_int_or(r, ICCID_NONE);
    u->partner_id = row_int_or(r, 0);
    u->record.bytes_up = row_int_in(r, 0, INT64_MAX / 2);
    u->record.bytes_down = row_int_in(r, 0, INT64_MAX / 2);
    u->record.start = row_wall(r);
    u->record.end = row_wall(r);
    u->received = row_wall(r);
    u->reason = (enum usage_reason)row_int_in(r, USAGE_REASON_NONE, USAGE_USED_UP);
    u->unrated_bytes = row_int_in(r, 0, u->record.bytes_up + u->record.bytes_down);
}

enum err_kind store_usage_find(struct tx *tx, struct str source, struct str record_id, struct arena *a, struct stored_usage *out,
                               struct err *err) {
    struct db_value params[] = {db_text(source), db_text(record_id)};
    return tx_get(tx, ST_USAGE_FIND, TX_PARAMS(params), read_usage, a, out, sizeof *out, "usage record", err);
}

static void read_place(struct row *r, void *out) {
    struct usage_place *p = out;
    p->subscription_id = row_uuid(r);
    p->bytes = row_int_in(r, 1, INT64_MAX);
}

enum err_kind store_usage_places(struct tx *tx, int64_t id, struct arena *a, struct usage_place **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(id)};
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_USAGE_PLACES, TX_PARAMS(params), read_place, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_usage_insert(struct tx *tx, struct stored_usage *u, const struct usage_place *places, size_t n, struct err *err) {
    const struct usage_record *r = &u->record;
    int64_t id = tx_number(tx);
    struct db_value params[] = {
        db_int(id),         db_text(r->source),     db_text(r->record_id), db_int(r->named),         db_text(r->number),
        db_iccid(u->iccid), db_id(u->partner_id),   db_int(r->bytes_up),   db_int(r->bytes_down),    db_int(r->start.ms),
        db_int(r->end.ms),  db_int(u->received.ms), db_int(u->reason),     db_int(u->unrated_bytes),
    };
    enum err_kind kind = tx_exec(tx, ST_USAGE_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "record_id: the source has used it before");
    for (size_t i = 0; i < n && !kind; i++) {
        struct db_value place[] = {db_int(id), db_int((int64_t)i), db_uuid(&places[i].subscription_id), db_int(places[i].bytes)};
        kind = tx_exec(tx, ST_USAGE_BOOK, TX_PARAMS(place), err);
    }
    if (!kind)
        u->id = id;
    return kind;
}

enum err_kind store_usage_unrated(struct tx *tx, const struct usage_filter *f, int64_t offset, int64_t limit, struct arena *a,
                                  struct stored_usage **out, size_t *n, int64_t *total, struct err *err) {
    struct db_value params[] = {db_text(f->source), db_iccid(f->iccid), db_int(limit), db_int(offset)};
    struct db_value counted[] = {db_text(f->source), db_iccid(f->iccid), db_int(offset + limit + COUNT_AHEAD)};
    void *rows = NULL;
    int64_t sum = 0;
    enum err_kind kind = tx_int(tx, ST_USAGE_UNRATED_COUNT, TX_PARAMS(counted), &sum, err);
    if (!kind)
        kind = tx_list(tx, ST_USAGE_UNRATED, TX_PARAMS(params), read_usage, a, sizeof **out, 0, &rows, n, err);
    if (kind)
        return kind;
    *out = rows;
    *total = sum;
    return ERR_NONE;
}
