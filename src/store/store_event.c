// SPDX-License-Identifier: Apache-2.0
#include "store/store_event.h"

#include "store/tx.h"

enum err_kind store_event_append(struct tx *tx, struct event *e, struct err *err) {
    int64_t sequence = 0;
    enum err_kind kind = tx_sequence(tx, e->partner_id, &sequence, err);
    if (kind)
        return kind;
    struct db_value params[] = {
        db_int(e->partner_id),
        db_int(sequence),
        db_int(e->type),
        db_int(e->created.ms),
        uuid_is_zero(e->order_id) ? db_null() : db_uuid(&e->order_id),
        db_iccid(e->iccid),
        db_blob(e->payload.p ? e->payload.p : "", e->payload.n),
    };
    kind = tx_exec(tx, ST_EVENT_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT) // the number is taken: the log is not what the counter says
        kind = err_set(err, ERR_CORRUPT, "the event log of partner %lld does not fit its counter", (long long)e->partner_id);
    if (kind) {
        // The number was given out; without the event there would be a gap, whatever the job makes of it.
        tx->trouble = tx->trouble ? tx->trouble : kind;
        return kind;
    }
    e->sequence = sequence;
    tx_news(tx, NEWS_EVENTS);
    return ERR_NONE;
}

static void read_event(struct row *r, void *out) {
    struct event *e = out;
    e->partner_id = row_int(r);
    e->sequence = row_int_in(r, 1, INT64_MAX);
    e->type = (enum event_type)row_int_in(r, 1, INT32_MAX);
    e->created = row_wall(r);
    e->order_id = row_uuid_or_zero(r);
    e->iccid = row_int_or(r, ICCID_NONE);
    e->payload = row_bytes(r);
}

enum err_kind store_event_list(struct tx *tx, int64_t partner_id, int64_t after, int64_t limit, struct arena *a, struct event **out,
                               size_t *n, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(after), db_int(limit)};
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_EVENT_LIST, TX_PARAMS(params), read_event, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

struct range {
    int64_t first, last;
};

static void read_range(struct row *r, void *out) {
    struct range *range = out;
    range->first = row_int_or(r, 0);
    range->last = row_int_or(r, 0);
}

enum err_kind store_event_range(struct tx *tx, int64_t partner_id, int64_t *first, int64_t *last, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    struct range range = {0};
    enum err_kind kind = tx_get(tx, ST_EVENT_RANGE, TX_PARAMS(params), read_range, NULL, &range, sizeof range, "partner", err);
    if (kind)
        return kind;
    *first = range.first;
    *last = range.last;
    return ERR_NONE;
}
