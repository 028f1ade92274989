// SPDX-License-Identifier: Apache-2.0
#include "store/store_event.h"

#include "core/webhook.h"
#include "store/tx.h"

// A number was given out; without its event there would be a gap, whatever the job makes of it.
static enum err_kind gap(struct tx *tx, enum err_kind kind) {
    tx->trouble = tx->trouble ? tx->trouble : kind;
    return kind;
}

enum { EVENT_PARAMS = 7 };
static void event_params(const struct waiting_events *all, const struct waiting_event *e, struct db_value p[EVENT_PARAMS]) {
    p[0] = db_int(e->partner_id);
    p[1] = db_int(e->sequence);
    p[2] = db_int(e->type);
    p[3] = db_int(e->created);
    p[4] = uuid_is_zero(e->order_id) ? db_null() : db_uuid(&e->order_id);
    p[5] = db_iccid(e->iccid);
    p[6] = db_blob(e->bytes ? all->payloads.p + e->at : "", e->bytes);
}

enum err_kind tx_flush_events(struct tx *tx, struct err *err) {
    struct waiting_events *all = &tx->events;
    bool many = all->n == EVENTS_AT_ONCE;
    struct db_value params[EVENTS_AT_ONCE * EVENT_PARAMS];
    for (size_t i = 0; i < all->n; i++)
        event_params(all, &all->list[i], params + i * EVENT_PARAMS);
    enum err_kind kind = many ? tx_exec(tx, ST_EVENT_INSERT_MANY, TX_PARAMS(params), err) : ERR_NONE;
    for (size_t i = 0; !many && i < all->n && !kind; i++)
        kind = tx_exec(tx, ST_EVENT_INSERT, params + i * EVENT_PARAMS, EVENT_PARAMS, err);
    if (kind == ERR_CONFLICT) // a number is taken: the log is not what the counter says
        kind = err_set(err, ERR_CORRUPT, "a partner's event log does not fit its counter");
    all->n = 0;
    buf_clear(&all->payloads);
    return kind ? gap(tx, kind) : ERR_NONE;
}

// Few events are for a notification of their SIM's own, and few SIMs have one: so there is a queue of what is to be told, and nobody reads
// the whole log for them.
static enum err_kind queue_notification(struct tx *tx, const struct event *e, struct err *err) {
    int type = notification_of(e->type);
    if (type < 0 || e->iccid == ICCID_NONE)
        return ERR_NONE;
    struct db_value params[] = {db_int(e->iccid), db_int(type), db_int(e->sequence), db_int(e->partner_id), db_int(tx->now.ms)};
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, ST_NOTIFICATION_QUEUE, TX_PARAMS(params), &changed, err);
    if (!kind && changed)
        tx_news(tx, NEWS_NOTIFICATIONS);
    return kind;
}

enum err_kind store_event_append(struct tx *tx, struct event *e, struct err *err) {
    struct waiting_events *all = &tx->events;
    int64_t sequence = 0;
    enum err_kind kind = tx_sequence(tx, e->partner_id, &sequence, err);
    if (kind)
        return kind;
    all->list[all->n++] = (struct waiting_event){
        .partner_id = e->partner_id,
        .sequence = sequence,
        .type = e->type,
        .created = e->created.ms,
        .order_id = e->order_id,
        .iccid = e->iccid,
        .at = all->payloads.n,
        .bytes = e->payload.n,
    };
    buf_add_str(&all->payloads, e->payload);
    if (all->payloads.failed)
        kind = gap(tx, err_set(err, ERR_INTERNAL, "no memory for the events of a transaction"));
    else if (all->n == EVENTS_AT_ONCE)
        kind = tx_flush_events(tx, err);
    if (kind)
        return kind;
    e->sequence = sequence;
    tx_tell(tx, &(struct store_told){e->partner_id, sequence, e->order_id, (int)e->type});
    tx_news(tx, NEWS_EVENTS);
    return queue_notification(tx, e, err);
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
    enum err_kind kind = tx->writer ? tx_flush(tx, err) : ERR_NONE; // what it has appended itself
    if (!kind)
        kind = tx_list(tx, ST_EVENT_LIST, TX_PARAMS(params), read_event, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_event_find(struct tx *tx, int64_t partner_id, int64_t after, int64_t until, uint64_t types, int64_t limit,
                               struct arena *a, struct event **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(after), db_int(until), db_int((int64_t)types), db_int(limit)};
    void *rows = NULL;
    enum err_kind kind = tx->writer ? tx_flush(tx, err) : ERR_NONE;
    if (!kind)
        kind = tx_list(tx, ST_EVENT_FIND, TX_PARAMS(params), read_event, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

struct range {
    int64_t first, last;
};

static void read_range(struct row *r, void *out) {
    struct range *range = out;
    range->last = row_int(r);
    range->first = row_int_or(r, range->last + 1);
}

enum err_kind store_event_range(struct tx *tx, int64_t partner_id, int64_t *first, int64_t *last, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    struct range range = {0};
    enum err_kind kind = tx->writer ? tx_flush(tx, err) : ERR_NONE; // its own counter may be ahead of the row
    if (!kind)
        kind = tx_get(tx, ST_EVENT_RANGE, TX_PARAMS(params), read_range, NULL, &range, sizeof range, "partner", err);
    if (kind)
        return kind;
    *first = range.first;
    *last = range.last;
    return ERR_NONE;
}

enum err_kind store_event_prune(struct tx *tx, int64_t partner_id, struct wall before, int64_t limit, int64_t *dropped, struct err *err) {
    int64_t first, last, keep;
    enum err_kind kind = store_event_range(tx, partner_id, &first, &last, err);
    if (kind)
        return kind;
    int64_t stop = last + 1 - first < limit ? last + 1 : first + limit; // there are no gaps
    struct db_value span[] = {db_int(partner_id), db_int(first), db_int(stop), db_int(before.ms)};
    kind = tx_int(tx, ST_EVENT_KEPT, TX_PARAMS(span), &keep, err);
    if (kind)
        return kind;
    if (keep == 0)
        keep = stop;
    *dropped = 0;
    struct db_value drop[] = {db_int(partner_id), db_int(keep)};
    return keep > first ? tx_exec_changed(tx, ST_EVENT_DROP, TX_PARAMS(drop), dropped, err) : ERR_NONE;
}
