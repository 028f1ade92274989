// SPDX-License-Identifier: Apache-2.0
#include "store/store_subscription.h"

#include "store/list.h"
#include "store/tx.h"

static void read_subscription(struct row *r, void *out) {
    struct subscription *s = out;
    s->id = row_uuid(r);
    s->partner_id = row_int(r);
    s->iccid = row_int_in(r, 0, INT64_MAX);
    s->product_id = row_int(r);
    row_chars(r, s->product_public_id, sizeof s->product_public_id);
    s->name = row_str(r);
    s->email = row_str(r);
    s->state = (enum subscription_state)row_int_in(r, SUB_PENDING, SUB_EXPIRED);
    s->end = (enum subscription_end)row_int_in(r, SUB_END_NONE, SUB_END_EXPIRED_BY_CALL);
    s->created = row_wall(r);
    s->activation = row_wall(r);
    s->expiry = row_wall(r);
    s->next_at = row_wall(r);
    s->duration = row_int(r);
    s->duration_unit = (enum duration_unit)row_int_in(r, DURATION_DAYS, DURATION_MONTHS);
    s->first_usage = row_int_in(r, 0, 1);
    s->wanted_expiry = row_wall(r);
    s->initial_bytes = row_int(r);
    s->spent_bytes = row_int_in(r, 0, s->initial_bytes);
    s->balance_as_of = row_wall(r);
    s->sold = row_money(r);
}

enum err_kind store_subscription_get(struct tx *tx, struct uuid id, struct arena *a, struct subscription *out, struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(id)), db_uuid(&id)};
    return tx_get(tx, ST_SUBSCRIPTION_BY_ORDER, TX_PARAMS(params), read_subscription, a, out, sizeof *out, "subscription", err);
}

// Time will move it, but not before the engine has looked for other nodes' doings, as it does every few seconds.
static bool is_far(const struct subscription *s) {
    return s->next_at.ms - s->created.ms > 60000;
}

enum err_kind store_subscription_insert(struct tx *tx, const struct subscription *s, struct err *err) {
    struct fresh_order *fresh = fresh_find(&tx->fresh, &s->id);
    tx->wrote = true;
    if (fresh && fresh_set_subscription(&tx->fresh, fresh, s))
        return ERR_NONE;
    enum err_kind kind = tx_flush_fresh(tx, err);
    return kind ? kind : tx_write_subscription(tx, s, err);
}

enum { SUBSCRIPTION_PARAMS = 21 };
static void subscription_params(const struct subscription *s, struct db_value p[SUBSCRIPTION_PARAMS]) {
    const struct db_value params[] = {
        db_uuid(&s->id),           db_int(s->partner_id),    db_int(s->iccid),       db_int(s->product_id),     db_text(s->name),
        db_text(s->email),         db_int(s->state),         db_int(s->end),         db_int(s->created.ms),     db_wall(s->activation),
        db_wall(s->expiry),        db_wall(s->next_at),      db_int(s->duration),    db_int(s->duration_unit),  db_int(s->first_usage),
        db_wall(s->wanted_expiry), db_int(s->initial_bytes), db_int(s->spent_bytes), db_wall(s->balance_as_of), db_minor(&s->sold),
        db_currency(&s->sold),
    };
    _Static_assert(ARRAY_LEN(params) == SUBSCRIPTION_PARAMS, "a parameter a column");
    memcpy(p, params, sizeof params);
}

static enum err_kind written(struct tx *tx, const struct subscription *s, enum err_kind kind, struct err *err) {
    if (kind == ERR_CONFLICT && !strstr(err_first(err), "foreign key"))
        return err_set(err, ERR_CONFLICT, "the order has its subscription already");
    if (!kind && wall_set(s->next_at) && !(tx->fresh.on && is_far(s)))
        tx_news(tx, NEWS_TIMERS);
    return kind;
}

enum err_kind tx_write_subscription(struct tx *tx, const struct subscription *s, struct err *err) {
    struct db_value params[SUBSCRIPTION_PARAMS];
    subscription_params(s, params);
    return written(tx, s, tx_exec(tx, ST_SUBSCRIPTION_INSERT, TX_PARAMS(params), err), err);
}

enum err_kind tx_write_subscriptions(struct tx *tx, const struct subscription *const s[FRESH_AT_ONCE], struct err *err) {
    struct db_value params[FRESH_AT_ONCE * SUBSCRIPTION_PARAMS];
    for (size_t i = 0; i < FRESH_AT_ONCE; i++)
        subscription_params(s[i], params + i * SUBSCRIPTION_PARAMS);
    enum err_kind kind = tx_exec(tx, ST_SUBSCRIPTION_INSERT_MANY, TX_PARAMS(params), err);
    for (size_t i = 0; i < FRESH_AT_ONCE; i++)
        kind = written(tx, s[i], kind, err);
    return kind;
}

enum err_kind store_subscription_update(struct tx *tx, const struct subscription *s, struct err *err) {
    struct db_value params[] = {
        db_int(s->iccid),    db_uuid(&s->id),        db_int(s->state),          db_int(s->end), db_wall(s->activation), db_wall(s->expiry),
        db_wall(s->next_at), db_int(s->spent_bytes), db_wall(s->balance_as_of),
    };
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, ST_SUBSCRIPTION_UPDATE_BALANCE, TX_PARAMS(params), &changed, err);
    if (kind || changed)
        return kind;
    kind = tx_exec_changed(tx, ST_SUBSCRIPTION_UPDATE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such subscription");
    if (!kind && wall_set(s->next_at))
        tx_news(tx, NEWS_TIMERS);
    return kind;
}

enum err_kind store_subscription_spend(struct tx *tx, const struct subscription *s, struct err *err) {
    struct db_value params[] = {db_int(s->iccid), db_uuid(&s->id), db_int(s->spent_bytes), db_wall(s->balance_as_of)};
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, ST_SUBSCRIPTION_SPEND, TX_PARAMS(params), &changed, err);
    return kind || changed ? kind : err_set(err, ERR_NOT_FOUND, "no such subscription");
}

static enum err_kind subscriptions(struct tx *tx, enum statement st, const struct db_value *params, size_t n_params, struct arena *a,
                                   struct subscription **out, size_t *n, struct err *err) {
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, st, params, n_params, read_subscription, a, sizeof **out, 16, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_subscription_open(struct tx *tx, iccid_t iccid, struct arena *a, struct subscription **out, size_t *n,
                                      struct err *err) {
    struct db_value params[] = {db_int(iccid)};
    return subscriptions(tx, ST_SUBSCRIPTION_OPEN, TX_PARAMS(params), a, out, n, err);
}

enum err_kind store_subscription_due(struct tx *tx, int64_t timer_clock, struct wall now, int64_t limit, struct arena *a,
                                     struct subscription **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(timer_clock), db_int(now.ms), db_int(limit)};
    return subscriptions(tx, ST_SUBSCRIPTION_DUE, TX_PARAMS(params), a, out, n, err);
}

static void read_wall(struct row *r, void *out) {
    *(struct wall *)out = row_wall(r);
}

enum err_kind store_subscription_next_due(struct tx *tx, int64_t timer_clock, struct wall *out, struct err *err) {
    struct db_value params[] = {db_int(timer_clock)};
    return tx_get(tx, ST_SUBSCRIPTION_NEXT_DUE, TX_PARAMS(params), read_wall, NULL, out, sizeof *out, "timer", err);
}

static void read_clock(struct row *r, void *out) {
    struct timer_clock *c = out;
    c->partner_id = row_int(r);
    c->offset_ms = row_int(r);
    c->next_at = row_wall(r);
}

enum err_kind store_subscription_clocks(struct tx *tx, int64_t limit, struct arena *a, struct timer_clock **out, size_t *n,
                                        struct err *err) {
    struct db_value params[] = {db_int(limit)};
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_SUBSCRIPTION_CLOCKS, TX_PARAMS(params), read_clock, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

static void read_usable(struct row *r, void *out) {
    struct usable_subscription *u = out;
    read_subscription(r, &u->s);
    u->date = row_wall(r);
}

void store_subscription_usable_ahead(struct tx *tx, iccid_t iccid, struct wall start, struct wall end) {
    struct db_value params[] = {db_int(iccid), db_int(start.ms), db_int(end.ms)};
    tx_ahead(tx, ST_SUBSCRIPTION_USABLE, TX_PARAMS(params));
}

enum err_kind store_subscription_usable(struct tx *tx, iccid_t iccid, struct wall start, struct wall end, struct arena *a,
                                        struct usable_subscription **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(iccid), db_int(start.ms), db_int(end.ms)};
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_SUBSCRIPTION_USABLE, TX_PARAMS(params), read_usable, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

static void choose_keys(const struct subscription_filter *f, struct list *list) {
    if (f->iccid != ICCID_NONE)
        list->keys = ST_SUBSCRIPTION_KEYS_SIM, list->count = ST_SUBSCRIPTION_KEYS_SIM_COUNT;
    else if (str_present(f->email))
        list->keys = ST_SUBSCRIPTION_KEYS_EMAIL, list->count = ST_SUBSCRIPTION_KEYS_EMAIL_COUNT, list->each_partner = f->partner_id == 0;
    else
        list->keys = ST_SUBSCRIPTION_KEYS, list->count = ST_SUBSCRIPTION_KEYS_COUNT, list->each_partner = f->partner_id == 0;
}

enum err_kind store_subscription_list(struct tx *tx, const struct subscription_filter *f, int64_t offset, int64_t limit, struct arena *a,
                                      struct subscription **out, size_t *n, int64_t *total, struct err *err) {
    struct list list = {
        .params =
            {
                db_id(f->partner_id),
                db_int(wall_set(f->after) ? f->after.ms : INT64_MIN),
                db_int(wall_set(f->before) ? f->before.ms : INT64_MAX),
                f->state < 0 ? db_null() : db_int(f->state),
                db_iccid(f->iccid),
                db_text(f->email),
                db_text(f->product_public_id),
            },
        .n = 9,
    };
    choose_keys(f, &list);
    struct list_key *keys = NULL;
    size_t count = 0;
    int64_t sum = 0;
    enum err_kind kind = list_keys(tx, &list, offset, limit, a, &keys, &count, total ? &sum : NULL, err);
    if (kind)
        return kind;
    struct subscription *rows = arena_array(a, struct subscription, count + 1);
    if (!rows)
        return tx_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct db_value params[] = {db_int(keys[i].iccid), db_uuid(&keys[i].id)};
        kind = tx_get(tx, ST_SUBSCRIPTION_GET, TX_PARAMS(params), read_subscription, a, &rows[i], sizeof *rows, "subscription", err);
        if (kind)
            return kind;
    }
    *out = rows;
    *n = count;
    if (total)
        *total = sum;
    return ERR_NONE;
}
