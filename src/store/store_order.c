// SPDX-License-Identifier: Apache-2.0
#include "store/store_order.h"

#include "store/list.h"
#include "store/tx.h"

static void read_order(struct row *r, void *out) {
    struct order *o = out;
    struct subscriber *who = &o->subscriber;
    o->id = row_uuid(r);
    o->partner_id = row_int(r);
    o->state = (enum order_state)row_int_in(r, ORDER_ACCEPTED, ORDER_FAILED);
    o->operation = (enum operation)row_int_in(r, OP_ACTIVATION, OP_TOPUP);
    o->sim_type = (enum sim_type)row_int_in(r, SIM_ESIM, SIM_PSIM);
    row_chars(r, o->country, sizeof o->country);
    o->product_id = row_int(r);
    row_chars(r, o->product_public_id, sizeof o->product_public_id);
    o->sold = row_money(r);
    o->activation = row_wall(r);
    o->expiration = row_wall(r);
    who->email = row_str(r);
    who->first_name = row_str(r);
    who->last_name = row_str(r);
    who->country_of_residence = row_str(r);
    who->language = row_str(r);
    who->device_os = row_str(r);
    who->device_model = row_str(r);
    who->device_id = row_str(r);
    who->device_eid = row_str(r);
    o->iccid = row_int_or(r, ICCID_NONE);
    o->matching_id = row_str(r);
    o->smdp = row_str(r);
    o->correlation_id = row_str(r);
    o->reference = row_str(r);
    o->failure = row_str(r);
    o->created = row_wall(r);
    o->finished = row_wall(r);
}

static const size_t order_texts[] = {
    offsetof(struct order, subscriber.email),
    offsetof(struct order, subscriber.first_name),
    offsetof(struct order, subscriber.last_name),
    offsetof(struct order, subscriber.country_of_residence),
    offsetof(struct order, subscriber.language),
    offsetof(struct order, subscriber.device_os),
    offsetof(struct order, subscriber.device_model),
    offsetof(struct order, subscriber.device_id),
    offsetof(struct order, subscriber.device_eid),
    offsetof(struct order, matching_id),
    offsetof(struct order, smdp),
    offsetof(struct order, correlation_id),
    offsetof(struct order, reference),
    offsetof(struct order, failure),
};
const struct recent_layout order_layout = {sizeof(struct order), order_texts, ARRAY_LEN(order_texts)};

enum err_kind store_order_get(struct tx *tx, struct uuid id, struct arena *a, struct order *out, struct err *err) {
    const struct fresh_order *fresh = fresh_find(&tx->fresh, &id);
    if (fresh) {
        fresh_copy_order(&fresh->order, a, out);
        return arena_failed(a) ? tx_no_memory(err) : ERR_NONE;
    }
    if (recent_get(tx->recent, RECENT_ORDER, id.b, sizeof id.b, &order_layout, a, out))
        return ERR_NONE;
    struct db_value params[] = {db_int(uuid_partner(id)), db_uuid(&id)};
    return tx_get(tx, ST_ORDER_GET, TX_PARAMS(params), read_order, a, out, sizeof *out, "order", err);
}

enum err_kind store_order_by_reference(struct tx *tx, int64_t partner_id, struct str reference, struct arena *a, struct order *out,
                                       struct err *err) {
    const struct fresh_order *fresh = fresh_by_reference(&tx->fresh, partner_id, reference);
    if (fresh) {
        fresh_copy_order(&fresh->order, a, out);
        return arena_failed(a) ? tx_no_memory(err) : ERR_NONE;
    }
    struct db_value params[] = {db_int(partner_id), db_text(reference)};
    return tx_get(tx, ST_ORDER_BY_REFERENCE, TX_PARAMS(params), read_order, a, out, sizeof *out, "order", err);
}

enum { ORDER_PARAMS = 28 };
static void order_params(const struct order *o, struct db_value p[ORDER_PARAMS]) {
    const struct subscriber *who = &o->subscriber;
    const struct db_value params[] = {
        db_uuid(&o->id),          db_int(o->partner_id),    db_int(o->state),
        db_int(o->operation),     db_int(o->sim_type),      db_text(str_of(o->country)),
        db_int(o->product_id),    db_minor(&o->sold),       db_currency(&o->sold),
        db_wall(o->activation),   db_wall(o->expiration),   db_text(who->email),
        db_text(who->first_name), db_text(who->last_name),  db_text(who->country_of_residence),
        db_text(who->language),   db_text(who->device_os),  db_text(who->device_model),
        db_text(who->device_id),  db_text(who->device_eid), db_iccid(o->iccid),
        db_text(o->matching_id),  db_text(o->smdp),         db_text(o->correlation_id),
        db_text(o->reference),    db_text(o->failure),      db_int(o->created.ms),
        db_wall(o->finished),
    };
    _Static_assert(ARRAY_LEN(params) == ORDER_PARAMS, "a parameter a column");
    memcpy(p, params, sizeof params);
}

static enum err_kind refused_order(enum err_kind kind, struct err *err) {
    if (kind != ERR_CONFLICT)
        return kind;
    if (strstr(err_first(err), "reference"))
        return err_set(err, ERR_CONFLICT, "reference: is taken by another order");
    if (strstr(err_first(err), "foreign key"))
        return err_set(err, ERR_CONFLICT, "product.id: the partner has no such product");
    return err_set(err, ERR_CONFLICT, "id: there is such an order already");
}

// It was written just now.
static void remember(struct tx *tx, const struct order *o) {
    if (order_finished(o->state)) // nobody asks for what has ended at once
        return;
    if (o->product_public_id[0])
        recent_put(tx->recent, RECENT_ORDER, o->id.b, sizeof o->id.b, &order_layout, o);
    tx_order_is_new(tx, &o->id);
}

static enum err_kind write_order(struct tx *tx, const struct order *o, struct err *err) {
    struct db_value params[ORDER_PARAMS];
    order_params(o, params);
    enum err_kind kind = tx_exec(tx, ST_ORDER_INSERT, TX_PARAMS(params), err);
    if (!kind)
        remember(tx, o);
    return refused_order(kind, err);
}

static enum err_kind write_orders(struct tx *tx, const struct fresh_order *list, size_t n, struct err *err) {
    struct db_value params[FRESH_AT_ONCE * ORDER_PARAMS];
    enum err_kind kind = ERR_NONE;
    while (n >= FRESH_AT_ONCE && !kind) {
        for (size_t i = 0; i < FRESH_AT_ONCE; i++)
            order_params(&list[i].order, params + i * ORDER_PARAMS);
        kind = tx_exec(tx, ST_ORDER_INSERT_MANY, TX_PARAMS(params), err);
        for (size_t i = 0; i < FRESH_AT_ONCE && !kind; i++)
            remember(tx, &list[i].order);
        list += FRESH_AT_ONCE;
        n -= FRESH_AT_ONCE;
    }
    for (size_t i = 0; i < n && !kind; i++)
        kind = write_order(tx, &list[i].order, err);
    return refused_order(kind, err);
}

// Whether the table would refuse it: then it shall say so at once.
static enum err_kind is_refused(struct tx *tx, const struct order *o, bool *out, struct err *err) {
    int64_t others = 0;
    *out = fresh_find(&tx->fresh, &o->id);
    if (*out || !str_present(o->reference))
        return ERR_NONE;
    struct db_value params[] = {db_int(o->partner_id), db_text(o->reference)};
    enum err_kind kind = tx_int(tx, ST_ORDER_REFERENCES, TX_PARAMS(params), &others, err);
    *out = others > 0 || fresh_by_reference(&tx->fresh, o->partner_id, o->reference);
    return kind;
}

enum err_kind store_order_insert(struct tx *tx, const struct order *o, struct err *err) {
    CHECK(tx->writer && uuid_partner(o->id) == o->partner_id); // or its id would not find it
    bool refused = true;
    enum err_kind kind = ERR_NONE;
    if (tx->fresh.on && o->product_public_id[0])
        kind = is_refused(tx, o, &refused, err);
    if (kind)
        return kind;
    tx->wrote = true;
    if (!refused && fresh_add(&tx->fresh, o))
        return ERR_NONE;
    kind = tx_flush_fresh(tx, err); // when it is full, the next has room
    return kind ? kind : write_order(tx, o, err);
}

static enum err_kind write_tasks(struct tx *tx, const struct fresh_order *f, struct err *err) {
    enum err_kind kind = ERR_NONE;
    for (int i = 0; i < f->n_tasks && !kind; i++) {
        if (!(f->gone & 1U << i))
            kind = tx_write_task(tx, &f->tasks[i], err);
    }
    return kind;
}

static enum err_kind write_subscriptions(struct tx *tx, const struct fresh_order *list, size_t n, struct err *err) {
    const struct subscription *waiting[FRESH_AT_ONCE];
    size_t waits = 0;
    enum err_kind kind = ERR_NONE;
    for (size_t i = 0; i < n && !kind; i++) {
        if (list[i].has_subscription)
            waiting[waits++] = &list[i].subscription;
        if (waits == FRESH_AT_ONCE) {
            kind = tx_write_subscriptions(tx, waiting, err);
            waits = 0;
        }
    }
    for (size_t i = 0; i < waits && !kind; i++)
        kind = tx_write_subscription(tx, waiting[i], err);
    return kind;
}

enum err_kind tx_flush_fresh(struct tx *tx, struct err *err) {
    struct fresh *f = &tx->fresh;
    enum err_kind kind = write_orders(tx, f->list, f->n, err);
    for (size_t i = 0; i < f->n && !kind; i++)
        kind = write_tasks(tx, &f->list[i], err);
    if (!kind)
        kind = write_subscriptions(tx, f->list, f->n, err);
    fresh_clear(f);
    return kind;
}

enum err_kind store_order_fresh(struct tx *tx, size_t i, struct task *out) {
    const struct fresh *f = &tx->fresh;
    if (i >= f->n)
        return ERR_NOT_FOUND;
    const struct task *t = fresh_open_task(&f->list[i]);
    *out = t ? *t : (struct task){.state = TASK_DONE};
    return ERR_NONE;
}

enum err_kind store_order_update(struct tx *tx, const struct order *o, struct err *err) {
    struct fresh_order *fresh = fresh_find(&tx->fresh, &o->id);
    tx->wrote = true;
    if (fresh && fresh_set_order(&tx->fresh, fresh, o))
        return ERR_NONE;
    struct db_value params[] = {
        db_int(o->partner_id), db_uuid(&o->id),    db_int(o->state),        db_wall(o->finished),
        db_text(o->failure),   db_iccid(o->iccid), db_text(o->matching_id), db_text(o->smdp),
    };
    // Only an eSIM's activation learns its SIM on the way, only a failure has something to say: the usual order just ends.
    bool whole = (o->operation == OP_ACTIVATION && o->sim_type == SIM_ESIM) || str_present(o->failure);
    int64_t changed = 0;
    recent_drop(tx->recent, RECENT_ORDER, o->id.b, sizeof o->id.b);
    enum err_kind kind = tx_exec_changed(tx, whole ? ST_ORDER_UPDATE : ST_ORDER_FINISH, params, whole ? 8 : 4, &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such order");
    return kind;
}

// ---- lists ----

// An id that sorts before all made at `ms` or later.
static struct uuid id_at(int64_t ms) {
    struct uuid id = {{0}};
    const int64_t most = (INT64_C(1) << 48) - 1;
    ms = ms < 0 ? 0 : ms > most ? most : ms;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        id.b[i] = (uint8_t)(ms & 0xff);
    return id;
}

// Ids are made when the job runs, a moment after `created` was taken, or long after it when the clock was set back in between.
#define ID_LATE_MS (24 * 3600 * INT64_C(1000))

// Which way to the rows, by what is asked: see the schema, `orders`.
static void choose_keys(const struct order_filter *f, struct list *list) {
    if (str_present(f->reference))
        list->keys = ST_ORDER_KEYS_REFERENCE, list->count = ST_ORDER_KEYS_REFERENCE_COUNT;
    else if (f->iccid != ICCID_NONE)
        list->keys = ST_ORDER_KEYS_SIM, list->count = ST_ORDER_KEYS_SIM_COUNT;
    else if (f->state == ORDER_ACCEPTED || f->state == ORDER_FULFILLING)
        list->keys = ST_ORDER_KEYS_OPEN, list->count = ST_ORDER_KEYS_OPEN_COUNT;
    else if (f->state == ORDER_FAILED)
        list->keys = ST_ORDER_KEYS_FAILED, list->count = ST_ORDER_KEYS_FAILED_COUNT, list->each_partner = f->partner_id == 0;
    else if (str_present(f->correlation_id))
        list->keys = ST_ORDER_KEYS_RECENT, list->count = ST_ORDER_KEYS_RECENT_COUNT, list->each_partner = f->partner_id == 0;
    else
        list->keys = ST_ORDER_KEYS, list->count = ST_ORDER_KEYS_COUNT, list->each_partner = f->partner_id == 0;
}

enum err_kind store_order_list(struct tx *tx, const struct order_filter *f, int64_t offset, int64_t limit, struct arena *a,
                               struct order **out, size_t *n, int64_t *total, struct err *err) {
    struct uuid low = id_at(wall_set(f->after) ? f->after.ms : 0), high;
    memset(&high, 0xff, sizeof high);
    if (wall_set(f->before) && f->before.ms < INT64_MAX - ID_LATE_MS)
        high = id_at(f->before.ms + ID_LATE_MS);
    struct list list = {
        .params =
            {
                db_id(f->partner_id),
                db_wall(f->after),
                db_wall(f->before),
                f->state < 0 ? db_null() : db_int(f->state),
                db_text(f->correlation_id),
                db_text(f->reference),
                db_iccid(f->iccid),
                db_uuid(&low),
                db_uuid(&high),
                db_int(ORDER_LIST_RECENT),
            },
        .n = 12,
    };
    choose_keys(f, &list);
    struct list_key *keys = NULL;
    size_t count = 0;
    int64_t sum = 0;
    enum err_kind kind = list_keys(tx, &list, offset, limit, a, &keys, &count, total ? &sum : NULL, err);
    if (kind)
        return kind;
    struct order *orders = arena_array(a, struct order, count + 1);
    if (!orders)
        return tx_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        kind = store_order_get(tx, keys[i].id, a, &orders[i], err);
        if (kind)
            return kind;
    }
    *out = orders;
    *n = count;
    if (total)
        *total = sum;
    return ERR_NONE;
}

// ---- counts ----

struct state_count {
    int64_t state, count;
};

static void read_state_count(struct row *r, void *out) {
    struct state_count *c = out;
    c->state = row_int_in(r, 0, TASK_UNDONE);
    c->count = row_int(r);
}

static enum err_kind count_states(struct tx *tx, enum statement st, int64_t *by_state, int64_t states, struct err *err) {
    struct arena a;
    arena_init(&a, 4096);
    void *rows = NULL;
    size_t n = 0;
    enum err_kind kind = tx_list(tx, st, NULL, 0, read_state_count, &a, sizeof(struct state_count), 0, &rows, &n, err);
    if (!kind) {
        const struct state_count *counts = rows;
        memset(by_state, 0, (size_t)states * sizeof *by_state);
        for (size_t i = 0; i < n; i++) {
            if (counts[i].state < states)
                by_state[counts[i].state] = counts[i].count;
        }
    }
    arena_release(&a);
    return kind;
}

enum err_kind store_order_counts(struct tx *tx, int64_t by_state[4], int64_t tasks_by_state[7], struct err *err) {
    enum err_kind kind = count_states(tx, ST_ORDER_OPEN_BY_STATE, by_state, 4, err);
    if (kind)
        return kind;
    by_state[ORDER_COMPLETED] = by_state[ORDER_FAILED] = 0;
    return count_states(tx, ST_TASK_BY_STATE, tasks_by_state, 7, err);
}
