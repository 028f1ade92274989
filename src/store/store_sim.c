// SPDX-License-Identifier: Apache-2.0
#include "store/store_sim.h"

#include "store/tx.h"

static void read_sim(struct row *r, void *out) {
    struct sim *s = out;
    s->iccid = row_int_in(r, 0, INT64_MAX);
    s->partner_id = row_int_or(r, 0);
    s->type = (enum sim_type)row_int_in(r, SIM_ESIM, SIM_PSIM);
    s->service = (enum sim_service)row_int_in(r, SIM_STOCK, SIM_ACTIVE);
    s->esim = (enum esim_status)row_int_in(r, ESIM_NONE, ESIM_UNAVAILABLE);
    s->imsi = row_str(r);
    s->msisdn = row_str(r);
    s->eid = row_str(r);
    s->matching_id = row_str(r);
    s->smdp = row_str(r);
    s->activated = row_wall(r);
    s->modified = row_wall(r);
}

enum { SIM_PARAMS = 12 };
static void sim_params(const struct sim *s, struct db_value p[SIM_PARAMS]) {
    p[0] = db_int(s->iccid);
    p[1] = db_id(s->partner_id);
    p[2] = db_int(s->type);
    p[3] = db_int(s->service);
    p[4] = db_int(s->esim);
    p[5] = db_text(s->imsi);
    p[6] = db_text(s->msisdn);
    p[7] = db_text(s->eid);
    p[8] = db_text(s->matching_id);
    p[9] = db_text(s->smdp);
    p[10] = db_wall(s->activated);
    p[11] = db_int(s->modified.ms);
}

static const size_t sim_texts[] = {offsetof(struct sim, imsi), offsetof(struct sim, msisdn), offsetof(struct sim, eid),
                                   offsetof(struct sim, matching_id), offsetof(struct sim, smdp)};
static const struct recent_layout sim_layout = {sizeof(struct sim), sim_texts, ARRAY_LEN(sim_texts)};

enum err_kind store_sim_get(struct tx *tx, iccid_t iccid, struct arena *a, struct sim *out, struct err *err) {
    if (recent_get(tx->recent, RECENT_SIM, &iccid, sizeof iccid, &sim_layout, a, out))
        return ERR_NONE;
    struct db_value params[] = {db_int(iccid)};
    enum err_kind kind = tx_get(tx, ST_SIM_GET, TX_PARAMS(params), read_sim, a, out, sizeof *out, "SIM", err);
    if (!kind)
        recent_put(tx->recent, RECENT_SIM, &iccid, sizeof iccid, &sim_layout, out);
    return kind;
}

void store_sim_get_ahead(struct tx *tx, iccid_t iccid) {
    struct db_value params[] = {db_int(iccid)};
    // Where others have written before the last turn, they may have before this one: then nothing is remembered.
    if (tx->db->others || !recent_has(tx->recent, RECENT_SIM, &iccid, sizeof iccid))
        tx_ahead(tx, ST_SIM_GET, TX_PARAMS(params));
}

void store_sim_ahead(struct tx *tx, iccid_t iccid) {
    struct db_value params[] = {db_int(iccid)};
    store_sim_get_ahead(tx, iccid);
    tx_ahead(tx, ST_SIM_OPEN, TX_PARAMS(params)); // one of both, as the driver can
    tx_ahead(tx, ST_SIM_SUBSCRIPTIONS, TX_PARAMS(params));
    tx_ahead(tx, ST_TASK_FIRST_OPEN, TX_PARAMS(params));
}

static void forget(struct tx *tx, iccid_t iccid) {
    recent_drop(tx->recent, RECENT_SIM, &iccid, sizeof iccid);
}

enum err_kind store_sim_by_imsi(struct tx *tx, struct str imsi, struct arena *a, struct sim *out, struct err *err) {
    struct db_value params[] = {db_text(imsi)};
    return tx_get(tx, ST_SIM_BY_IMSI, TX_PARAMS(params), read_sim, a, out, sizeof *out, "SIM", err);
}

enum err_kind store_sim_by_msisdn(struct tx *tx, struct str msisdn, struct arena *a, struct sim *out, struct err *err) {
    struct db_value params[] = {db_text(msisdn)};
    return tx_get(tx, ST_SIM_BY_MSISDN, TX_PARAMS(params), read_sim, a, out, sizeof *out, "SIM", err);
}

// Which of a SIM's numbers somebody else has, from the constraint's name.
static enum err_kind number_taken(enum err_kind kind, struct err *err) {
    if (kind != ERR_CONFLICT)
        return kind;
    static const char *const numbers[] = {"iccid", "imsi", "msisdn", "matching_id"};
    const char *constraint = err_first(err);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (strstr(constraint, numbers[i]))
            return err_set(err, ERR_CONFLICT, "%s: another SIM has it", numbers[i]);
    }
    return err_set(err, ERR_CONFLICT, "partner: no such partner");
}

// An import that is being applied has the numbers of its rows already; one that has been judged, or is being, must be judged again.
static enum err_kind heed_imports(struct tx *tx, const struct sim *s, struct err *err) {
    struct db_value params[] = {db_int(s->iccid), db_text(s->imsi), db_text(s->msisdn), db_text(s->matching_id)};
    int64_t claimed = 0;
    enum err_kind kind = tx_int(tx, ST_IMPORT_CLAIMED, TX_PARAMS(params), &claimed, err);
    if (!kind && claimed)
        return err_set(err, ERR_CONFLICT, "iccid: an import that is being applied has it, or one of its numbers");
    return kind ? kind : tx_exec(tx, ST_IMPORT_UPSET, TX_PARAMS(params), err);
}

enum err_kind store_sim_insert(struct tx *tx, const struct sim *s, struct err *err) {
    struct db_value params[SIM_PARAMS];
    sim_params(s, params);
    enum err_kind kind = heed_imports(tx, s, err);
    if (kind)
        return kind;
    return number_taken(tx_exec(tx, ST_SIM_INSERT, TX_PARAMS(params), err), err);
}

enum err_kind store_sim_update(struct tx *tx, const struct sim *s, struct err *err) {
    struct db_value params[SIM_PARAMS];
    sim_params(s, params);
    int64_t changed = 0;
    forget(tx, s->iccid);
    enum err_kind kind = tx_exec_changed(tx, ST_SIM_UPDATE_LIFE, TX_PARAMS(params), &changed, err);
    if (!kind && !changed) // a number or the owner is another now
        kind = number_taken(tx_exec_changed(tx, ST_SIM_UPDATE, TX_PARAMS(params), &changed, err), err);
    if (!kind && !changed)
        kind = err_set(err, ERR_NOT_FOUND, "no such SIM");
    return kind;
}

static enum err_kind give(struct tx *tx, iccid_t iccid, int64_t partner_id, int64_t *changed, struct err *err) {
    struct db_value params[] = {db_int(iccid), db_id(partner_id), db_int(tx->now.ms)};
    forget(tx, iccid);
    enum err_kind kind = tx_exec_changed(tx, ST_SIM_GIVE, TX_PARAMS(params), changed, err);
    return kind == ERR_CONFLICT ? err_set(err, ERR_NOT_FOUND, "no such partner") : kind;
}

static enum err_kind stock_profile(struct tx *tx, int64_t partner_id, struct arena *a, struct sim *out, struct err *err) {
    struct db_value params[] = {db_id(partner_id)};
    return tx_get(tx, ST_SIM_STOCK_PROFILE, TX_PARAMS(params), read_sim, a, out, sizeof *out, "eSIM profile in stock", err);
}

enum err_kind store_sim_take_profile(struct tx *tx, int64_t partner_id, bool own, struct arena *a, struct sim *out, struct err *err) {
    CHECK(partner_id > 0);
    enum err_kind kind = stock_profile(tx, partner_id, a, out, err);
    if (kind != ERR_NOT_FOUND || own)
        return kind;
    err_clear(err);
    struct sim found;
    kind = stock_profile(tx, 0, a, &found, err);
    if (kind)
        return kind;
    int64_t changed = 0;
    kind = give(tx, found.iccid, partner_id, &changed, err);
    if (kind)
        return kind;
    *out = found;
    out->partner_id = partner_id;
    out->modified = tx->now;
    return ERR_NONE;
}

enum err_kind store_sim_assign(struct tx *tx, iccid_t iccid, int64_t partner_id, struct err *err) {
    int64_t changed = 0;
    enum err_kind kind = give(tx, iccid, partner_id, &changed, err);
    if (kind || changed)
        return kind;
    struct arena a;
    arena_init(&a, 4096);
    struct sim s;
    kind = store_sim_get(tx, iccid, &a, &s, err);
    arena_release(&a);
    return kind ? kind : err_set(err, ERR_CONFLICT, "the SIM is not in stock: it is %s", sim_service_words[s.service]);
}

static void read_open(struct row *r, void *out) {
    int64_t *counts = out;
    counts[0] = row_int(r);
    counts[1] = row_int(r);
}

enum err_kind store_sim_open(struct tx *tx, iccid_t iccid, int64_t *orders, int64_t *subscriptions, struct err *err) {
    struct db_value params[] = {db_int(iccid)};
    int64_t counts[2] = {0};
    bool may = true;
    enum err_kind kind = tx_may_have_open_tasks(tx, &may, err);
    if (!kind)
        kind = may ? tx_get(tx, ST_SIM_OPEN, TX_PARAMS(params), read_open, NULL, counts, sizeof counts, "SIM", err)
                   : tx_int(tx, ST_SIM_SUBSCRIPTIONS, TX_PARAMS(params), &counts[1], err);
    if (kind)
        return kind;
    int64_t fresh_orders = 0, fresh_subscriptions = 0;
    struct fresh_order *fresh = NULL;
    while ((fresh = fresh_on_sim(&tx->fresh, iccid, fresh))) {
        fresh_orders += fresh_open_task(fresh) != NULL;
        fresh_subscriptions += fresh->has_subscription && !subscription_finished(fresh->subscription.state);
    }
    *orders = counts[0] + fresh_orders;
    if (*orders + counts[1] + fresh_subscriptions >= SIM_OPEN_SUBSCRIPTIONS_MAX)
        kind = tx_int(tx, ST_SIM_OPEN_SUBSCRIPTIONS, TX_PARAMS(params), &counts[1], err);
    *subscriptions = counts[1] + fresh_subscriptions;
    return kind;
}

// ---- lists ----

enum { FILTER_PARAMS = 4, LIST_PARAMS = 7 };
static void filter_params(const struct sim_filter *f, struct db_value p[FILTER_PARAMS]) {
    p[0] = f->partner_id > 0 ? db_int(f->partner_id) : db_null();
    p[1] = db_int(f->type);
    p[2] = db_int(f->service);
    p[3] = db_int(f->partner_id < 0);
}

enum err_kind store_sim_list(struct tx *tx, const struct sim_filter *f, iccid_t after, int64_t offset, int64_t limit, struct arena *a,
                             struct sim **out, size_t *n, struct err *err) {
    struct db_value params[LIST_PARAMS];
    filter_params(f, params);
    params[4] = db_int(after == ICCID_NONE ? -1 : after);
    params[5] = db_int(limit);
    params[6] = db_int(offset);
    enum statement st = f->partner_id <= 0 ? ST_SIM_LIST : f->service == SIM_ACTIVE ? ST_SIM_LIST_ACTIVE : ST_SIM_LIST_OF_PARTNER;
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, st, TX_PARAMS(params), read_sim, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_sim_count(struct tx *tx, const struct sim_filter *f, int64_t max, int64_t *total, struct err *err) {
    struct db_value params[FILTER_PARAMS + 1];
    filter_params(f, params);
    params[FILTER_PARAMS] = db_int(max);
    enum statement st = f->partner_id <= 0 ? ST_SIM_COUNT : f->service == SIM_ACTIVE ? ST_SIM_COUNT_ACTIVE : ST_SIM_COUNT_OF_PARTNER;
    return tx_int(tx, st, TX_PARAMS(params), total, err);
}

// ---- notification preferences ----

static void read_notification(struct row *r, void *out) {
    struct sim_notification *p = out;
    p->type = (enum notification_type)row_int_in(r, 0, NOTIFY_TYPES - 1);
    p->url = row_str(r);
}

enum err_kind store_notification_list(struct tx *tx, iccid_t iccid, struct arena *a, struct sim_notification out[NOTIFY_TYPES], size_t *n,
                                      struct err *err) {
    struct db_value params[] = {db_int(iccid)};
    void *rows = NULL;
    size_t got = 0;
    enum err_kind kind = tx_list(tx, ST_NOTIFICATION_LIST, TX_PARAMS(params), read_notification, a, sizeof *out, 0, &rows, &got, err);
    if (kind)
        return kind;
    CHECK(got <= NOTIFY_TYPES); // the key is (SIM, type), and the type was looked at
    memcpy(out, rows, got * sizeof *out);
    *n = got;
    return ERR_NONE;
}

enum err_kind store_notification_put(struct tx *tx, iccid_t iccid, enum notification_type type, struct str url, struct err *err) {
    struct db_value params[] = {db_int(iccid), db_int(type), db_text(url)};
    enum err_kind kind = tx_exec(tx, ST_NOTIFICATION_PUT, TX_PARAMS(params), err);
    return kind == ERR_CONFLICT ? err_set(err, ERR_NOT_FOUND, "no such SIM") : kind;
}

enum err_kind store_notification_delete(struct tx *tx, iccid_t iccid, enum notification_type type, bool *was_there, struct err *err) {
    struct db_value params[] = {db_int(iccid), db_int(type)};
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, ST_NOTIFICATION_DELETE, TX_PARAMS(params), &changed, err);
    if (!kind)
        *was_there = changed > 0;
    return kind;
}
