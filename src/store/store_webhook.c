// SPDX-License-Identifier: Apache-2.0
#include "store/store_webhook.h"

#include "base/secret.h"
#include "store/tx.h"

// ---- endpoints ----

static void read_webhook(struct row *r, void *out) {
    struct webhook *w = out;
    w->partner_id = row_int_in(r, 1, PARTNER_ID_MAX);
    w->id = row_uuid(r);
    w->url = row_str(r);
    w->types = row_str(r);
    w->state = (enum webhook_state)row_int_in(r, WEBHOOK_ENABLED, WEBHOOK_GONE);
    w->created = row_wall(r);
    w->modified = row_wall(r);
    w->epoch = row_int(r);
    w->cursor = row_int_in(r, 1, INT64_MAX);
    w->attempts = (int)row_int_in(r, 0, RETRY_ATTEMPTS_MAX);
    w->due = row_wall(r);
    w->failing_since = row_wall(r);
    w->lease_until = row_wall(r);
    w->lease_owner = row_int(r);
}

enum err_kind store_webhook_insert(struct tx *tx, const struct webhook *w, struct err *err) {
    CHECK(uuid_partner(w->id) == w->partner_id);
    struct db_value params[] = {
        db_int(w->partner_id), db_uuid(&w->id),           db_text(w->url),         db_text(w->types),      db_int(w->state),
        db_int(w->created.ms), db_int(w->modified.ms),    db_int(w->epoch),        db_int(w->cursor),      db_int(w->attempts),
        db_wall(w->due),       db_wall(w->failing_since), db_wall(w->lease_until), db_int(w->lease_owner),
    };
    enum err_kind kind = tx_exec(tx, ST_WEBHOOK_INSERT, TX_PARAMS(params), err);
    tx_news(tx, NEWS_WEBHOOKS);
    return kind;
}

enum err_kind store_webhook_get(struct tx *tx, struct uuid id, struct arena *a, struct webhook *out, struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(id)), db_uuid(&id)};
    return tx_get(tx, ST_WEBHOOK_GET, TX_PARAMS(params), read_webhook, a, out, sizeof *out, "webhook", err);
}

enum err_kind store_webhook_list(struct tx *tx, int64_t partner_id, struct arena *a, struct webhook **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    void *rows = NULL;
    enum err_kind kind = partner_id ? tx_list(tx, ST_WEBHOOK_LIST, TX_PARAMS(params), read_webhook, a, sizeof **out, 0, &rows, n, err)
                                    : tx_list(tx, ST_WEBHOOK_LIST_ALL, NULL, 0, read_webhook, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_webhook_update(struct tx *tx, const struct webhook *w, struct err *err) {
    struct db_value params[] = {
        db_int(w->partner_id), db_uuid(&w->id),   db_text(w->url),     db_text(w->types), db_int(w->state),          db_int(w->modified.ms),
        db_int(w->epoch),      db_int(w->cursor), db_int(w->attempts), db_wall(w->due),   db_wall(w->failing_since),
    };
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, ST_WEBHOOK_UPDATE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such webhook");
    tx_news(tx, NEWS_WEBHOOKS);
    return kind;
}

enum err_kind store_webhook_delete(struct tx *tx, struct uuid id, struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(id)), db_uuid(&id)};
    int64_t changed = 0;
    enum err_kind kind = tx_exec(tx, ST_DELIVERY_DELETE_ALL, TX_PARAMS(params), err);
    if (!kind)
        kind = tx_exec(tx, ST_WEBHOOK_SECRET_DELETE_ALL, TX_PARAMS(params), err);
    if (!kind)
        kind = tx_exec_changed(tx, ST_WEBHOOK_DELETE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such webhook");
    tx_news(tx, NEWS_WEBHOOKS);
    return kind;
}

// ---- secrets ----

static void read_secret(struct row *r, void *out) {
    struct webhook_secret *s = out;
    struct str bytes = row_bytes(r);
    s->expires = row_wall(r);
    if (bytes.n < WEBHOOK_SECRET_MIN || bytes.n > WEBHOOK_SECRET_MAX) {
        r->bad = true;
        return;
    }
    memcpy(s->bytes, bytes.p, bytes.n);
    s->n = bytes.n;
}

enum err_kind store_webhook_secrets(struct tx *tx, struct uuid id, struct webhook_secret out[WEBHOOK_SECRETS_MAX], size_t *n,
                                    struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(id)), db_uuid(&id), db_int(tx->now.ms), db_int(WEBHOOK_SECRETS_MAX)};
    struct arena a;
    void *rows = NULL;
    arena_init(&a, 16384);
    enum err_kind kind =
        tx_list(tx, ST_WEBHOOK_SECRET_LIST, TX_PARAMS(params), read_secret, &a, sizeof *out, WEBHOOK_SECRETS_MAX, &rows, n, err);
    if (!kind) {
        memcpy(out, rows, *n * sizeof *out);
        secret_wipe(rows, *n * sizeof *out);
    }
    arena_release(&a);
    return kind;
}

enum err_kind store_webhook_secret_add(struct tx *tx, struct uuid id, const void *secret, size_t n, struct wall others_expire,
                                       struct err *err) {
    CHECK(n >= WEBHOOK_SECRET_MIN && n <= WEBHOOK_SECRET_MAX);
    struct db_value end[] = {db_int(uuid_partner(id)), db_uuid(&id), db_wall(others_expire)};
    struct db_value trim[] = {db_int(uuid_partner(id)), db_uuid(&id), db_int(tx->now.ms), db_int(WEBHOOK_SECRETS_MAX - 1)};
    struct db_value add[] = {db_int(uuid_partner(id)), db_uuid(&id), db_blob(secret, n)};
    enum err_kind kind = wall_set(others_expire) ? tx_exec(tx, ST_WEBHOOK_SECRET_END, TX_PARAMS(end), err) : ERR_NONE;
    if (!kind)
        kind = tx_exec(tx, ST_WEBHOOK_SECRET_TRIM, TX_PARAMS(trim), err);
    if (!kind)
        kind = tx_exec(tx, ST_WEBHOOK_SECRET_INSERT, TX_PARAMS(add), err);
    tx_news(tx, NEWS_WEBHOOKS);
    return kind == ERR_CONFLICT ? err_set(err, ERR_NOT_FOUND, "no such webhook") : kind;
}

// ---- delivering ----

static enum err_kind changes_one(struct tx *tx, enum statement st, const struct db_value *params, size_t n, bool *one, struct err *err) {
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, st, params, n, &changed, err);
    if (!kind)
        *one = changed > 0;
    return kind;
}

enum err_kind store_webhook_claim(struct tx *tx, struct uuid id, int64_t epoch, int64_t node, struct wall until, bool *got,
                                  struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(id)), db_uuid(&id), db_int(epoch), db_int(node), db_int(until.ms), db_int(tx->now.ms)};
    return changes_one(tx, ST_WEBHOOK_CLAIM, TX_PARAMS(params), got, err);
}

enum err_kind store_webhook_settle(struct tx *tx, const struct webhook *w, bool *held, struct err *err) {
    struct db_value params[] = {
        db_int(w->partner_id), db_uuid(&w->id),     db_int(w->epoch), db_int(w->lease_owner),    db_int(w->state),
        db_int(w->cursor),     db_int(w->attempts), db_wall(w->due),  db_wall(w->failing_since), db_wall(w->lease_until),
    };
    return changes_one(tx, ST_WEBHOOK_SETTLE, TX_PARAMS(params), held, err);
}

enum err_kind store_webhook_drop_leases(struct tx *tx, int64_t node, struct err *err) {
    struct db_value webhooks[] = {db_int(node)}, notifications[] = {db_int(node), db_int(tx->now.ms)};
    enum err_kind kind = tx_exec(tx, ST_WEBHOOK_DROP_LEASES, TX_PARAMS(webhooks), err);
    return kind ? kind : tx_exec(tx, ST_NOTIFICATION_DROP_LEASES, TX_PARAMS(notifications), err);
}

// ---- the log of deliveries ----

static void read_delivery(struct row *r, void *out) {
    struct webhook_delivery *d = out;
    d->partner_id = row_int_in(r, 1, PARTNER_ID_MAX);
    d->webhook_id = row_uuid(r);
    d->id = row_uuid(r);
    d->kind = (enum delivery_kind)row_int_in(r, DELIVERY_EVENT, DELIVERY_TEST);
    d->outcome = (enum delivery_outcome)row_int_in(r, DELIVERY_PENDING, DELIVERY_DISABLED);
    d->sequence = row_int_in(r, 0, INT64_MAX);
    d->event_type = (enum event_type)row_int_in(r, 0, EVENT_TYPES_MAX - 1);
    d->event_created = row_wall(r);
    d->attempt = (int)row_int_in(r, 0, RETRY_ATTEMPTS_MAX);
    d->tried = row_wall(r);
    d->duration_ms = row_int(r);
    d->status = (int)row_int_in(r, 0, 999);
    d->answer = row_str(r);
    d->trouble = row_str(r);
    d->next = row_wall(r);
}

enum err_kind store_delivery_insert(struct tx *tx, const struct webhook_delivery *d, struct err *err) {
    struct db_value params[] = {
        db_int(d->partner_id), db_uuid(&d->webhook_id), db_uuid(&d->id),        db_int(d->kind),
        db_int(d->outcome),    db_int(d->sequence),     db_int(d->event_type),  db_int(d->event_created.ms),
        db_int(d->attempt),    db_wall(d->tried),       db_int(d->duration_ms), db_int(d->status),
        db_text(d->answer),    db_text(d->trouble),     db_wall(d->next),
    };
    if (d->outcome == DELIVERY_PENDING)
        tx_news(tx, NEWS_WEBHOOKS);
    return tx_exec(tx, ST_DELIVERY_INSERT, TX_PARAMS(params), err);
}

enum err_kind store_delivery_finish(struct tx *tx, const struct webhook_delivery *d, bool *was_there, struct err *err) {
    struct db_value params[] = {
        db_int(d->partner_id), db_uuid(&d->webhook_id), db_uuid(&d->id),   db_int(d->outcome), db_int(d->attempt),
        db_wall(d->tried),     db_int(d->duration_ms),  db_int(d->status), db_text(d->answer), db_text(d->trouble),
    };
    return changes_one(tx, ST_DELIVERY_FINISH, TX_PARAMS(params), was_there, err);
}

enum err_kind store_delivery_get(struct tx *tx, struct uuid webhook_id, struct uuid id, struct arena *a, struct webhook_delivery *out,
                                 struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(webhook_id)), db_uuid(&webhook_id), db_uuid(&id)};
    return tx_get(tx, ST_DELIVERY_GET, TX_PARAMS(params), read_delivery, a, out, sizeof *out, "delivery", err);
}

static enum err_kind list_of(struct tx *tx, enum statement st, const struct db_value *params, size_t n_params, struct arena *a,
                             struct webhook_delivery **out, size_t *n, struct err *err) {
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, st, params, n_params, read_delivery, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_delivery_list(struct tx *tx, struct uuid webhook_id, int64_t offset, int64_t limit, struct arena *a,
                                  struct webhook_delivery **out, size_t *n, int64_t *total, struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(webhook_id)), db_uuid(&webhook_id), db_int(limit), db_int(offset)};
    enum err_kind kind = list_of(tx, ST_DELIVERY_LIST, TX_PARAMS(params), a, out, n, err);
    if (!kind && total)
        kind = tx_int(tx, ST_DELIVERY_COUNT, params, 2, total, err);
    return kind;
}

enum err_kind store_delivery_pending(struct tx *tx, int64_t limit, struct arena *a, struct webhook_delivery **out, size_t *n,
                                     struct err *err) {
    struct db_value params[] = {db_int(limit)};
    return list_of(tx, ST_DELIVERY_PENDING, TX_PARAMS(params), a, out, n, err);
}

enum err_kind store_delivery_pending_count(struct tx *tx, struct uuid webhook_id, int64_t *count, struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(webhook_id)), db_uuid(&webhook_id)};
    return tx_int(tx, ST_DELIVERY_PENDING_COUNT, TX_PARAMS(params), count, err);
}

enum err_kind store_delivery_trim(struct tx *tx, struct uuid webhook_id, int64_t keep, struct wall before, struct err *err) {
    struct db_value params[] = {db_int(uuid_partner(webhook_id)), db_uuid(&webhook_id), db_int(keep), db_int(before.ms)};
    return tx_exec(tx, ST_DELIVERY_TRIM, TX_PARAMS(params), err);
}

// ---- notifications of one SIM ----

static void read_notification(struct row *r, void *out) {
    struct notification *n = out;
    n->partner_id = row_int_in(r, 1, PARTNER_ID_MAX);
    n->iccid = row_int_in(r, 0, ICCID_PACKED_MAX);
    n->type = (enum notification_type)row_int_in(r, 0, NOTIFY_TYPES - 1);
    n->sequence = row_int_in(r, 1, INT64_MAX);
    n->attempts = (int)row_int_in(r, 0, RETRY_ATTEMPTS_MAX);
    n->wake = row_wall(r);
    n->lease_owner = row_int(r);
    n->url = row_str(r);
}

enum err_kind store_notification_partner(struct tx *tx, int64_t after, int64_t *partner_id, struct err *err) {
    struct db_value params[] = {db_int(after)};
    return tx_int(tx, ST_NOTIFICATION_PARTNER, TX_PARAMS(params), partner_id, err);
}

enum err_kind store_notification_due(struct tx *tx, int64_t partner_id, struct wall now, int64_t limit, struct arena *a,
                                     struct notification **out, size_t *n, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(now.ms), db_int(limit)};
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_NOTIFICATION_DUE, TX_PARAMS(params), read_notification, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

static void read_wake(struct row *r, void *out) {
    *(struct wall *)out = row_wall(r);
}

enum err_kind store_notification_next_wake(struct tx *tx, int64_t partner_id, struct wall *out, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    return tx_get(tx, ST_NOTIFICATION_NEXT_WAKE, TX_PARAMS(params), read_wake, NULL, out, sizeof *out, "notification", err);
}

enum err_kind store_notification_claim(struct tx *tx, const struct notification *n, int64_t node, struct wall until, bool *got,
                                       struct err *err) {
    struct db_value params[] = {db_int(n->iccid), db_int(n->type), db_int(n->sequence), db_int(n->wake.ms), db_int(node), db_int(until.ms)};
    return changes_one(tx, ST_NOTIFICATION_CLAIM, TX_PARAMS(params), got, err);
}

enum err_kind store_notification_again(struct tx *tx, const struct notification *n, int attempts, struct wall wake, bool *held,
                                       struct err *err) {
    struct db_value params[] = {
        db_int(n->iccid),       db_int(n->type),  db_int(n->sequence), db_int(n->wake.ms),
        db_int(n->lease_owner), db_int(attempts), db_int(wake.ms),
    };
    return changes_one(tx, ST_NOTIFICATION_AGAIN, TX_PARAMS(params), held, err);
}

enum err_kind store_notification_done(struct tx *tx, const struct notification *n, bool *held, struct err *err) {
    struct db_value params[] = {db_int(n->iccid), db_int(n->type), db_int(n->sequence), db_int(n->wake.ms), db_int(n->lease_owner)};
    struct db_value next[] = {db_int(n->iccid), db_int(n->type), db_int(tx->now.ms)};
    bool one = false;
    enum err_kind kind = changes_one(tx, ST_NOTIFICATION_DONE, TX_PARAMS(params), &one, err);
    if (!kind && one) {
        tx_news(tx, NEWS_NOTIFICATIONS);
        kind = tx_exec(tx, ST_NOTIFICATION_WAKE_NEXT, TX_PARAMS(next), err);
    }
    if (!kind)
        *held = one;
    return kind;
}
