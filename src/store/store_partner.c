// SPDX-License-Identifier: Apache-2.0
#include "store/store_partner.h"

#include "store/tx.h"

static void read_partner(struct row *r, void *out) {
    struct partner *p = out;
    p->id = row_int_in(r, 1, PARTNER_ID_MAX);
    p->client_id = row_str(r);
    p->name = row_str(r);
    p->mode = (enum partner_mode)row_int_in(r, PARTNER_LIVE, PARTNER_SANDBOX);
    p->disabled = row_int_in(r, 0, 1);
    p->needs = (unsigned)row_int_in(r, 0, UINT32_MAX);
    p->currencies = row_str(r);
    p->cap_day = row_int(r);
    p->cap_month = row_int(r);
    p->rate_per_minute = row_int(r);
    p->event_days = row_int(r);
    p->clock_offset_ms = row_int(r);
    p->created = row_wall(r);
    struct str thresholds = row_bytes(r);
    for (size_t i = 0; i < thresholds.n; i++) {
        if (!thresholds_add(&p->thresholds, (uint8_t)thresholds.p[i]))
            r->bad = true;
    }
}

enum err_kind store_partner_get(struct tx *tx, int64_t id, struct arena *a, struct partner *out, struct err *err) {
    struct db_value params[] = {db_int(id)};
    return tx_get(tx, ST_PARTNER_GET, TX_PARAMS(params), read_partner, a, out, sizeof *out, "partner", err);
}

enum err_kind store_partner_by_client(struct tx *tx, struct str client_id, struct arena *a, struct partner *out, struct err *err) {
    struct db_value params[] = {db_text(client_id)};
    return tx_get(tx, ST_PARTNER_BY_CLIENT, TX_PARAMS(params), read_partner, a, out, sizeof *out, "partner", err);
}

enum err_kind store_partner_list(struct tx *tx, int64_t offset, int64_t limit, struct arena *a, struct partner **out, size_t *n,
                                 int64_t *total, struct err *err) {
    struct db_value params[] = {db_int(limit), db_int(offset)};
    int64_t sum = 0;
    void *rows = NULL;
    enum err_kind kind = total ? tx_int(tx, ST_PARTNER_COUNT, NULL, 0, &sum, err) : ERR_NONE;
    if (!kind)
        kind = tx_list(tx, ST_PARTNER_LIST, TX_PARAMS(params), read_partner, a, sizeof **out, 0, &rows, n, err);
    if (kind)
        return kind;
    *out = rows;
    if (total)
        *total = sum;
    return ERR_NONE;
}

enum err_kind store_partner_after(struct tx *tx, int64_t after, int64_t limit, struct arena *a, struct partner **out, size_t *n,
                                  struct err *err) {
    struct db_value params[] = {db_int(after), db_int(limit)};
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_PARTNER_AFTER, TX_PARAMS(params), read_partner, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

static enum err_kind client_taken(enum err_kind kind, const struct partner *p, struct err *err) {
    if (kind != ERR_CONFLICT)
        return kind;
    return err_set(err, ERR_CONFLICT, "client_id: \"" STR_FMT "\" is taken", STR_ARG(p->client_id));
}

static struct str or_empty(struct str s) {
    return str_present(s) ? s : STR("");
}

enum err_kind store_partner_insert(struct tx *tx, struct partner *p, struct err *err) {
    int64_t id = 0;
    enum err_kind kind = tx_int(tx, ST_PARTNER_NEXT_ID, NULL, 0, &id, err);
    if (kind)
        return kind;
    if (id > PARTNER_ID_MAX)
        return err_set(err, ERR_CONFLICT, "there is no room for another partner: %lld is the most", (long long)PARTNER_ID_MAX);
    struct db_value params[] = {
        db_int(id),
        db_text(p->client_id),
        db_text(or_empty(p->name)),
        db_int(p->mode),
        db_int(p->disabled),
        db_int(p->needs),
        db_text(or_empty(p->currencies)),
        db_int(p->cap_day),
        db_int(p->cap_month),
        db_int(p->rate_per_minute),
        db_int(p->event_days),
        db_int(p->clock_offset_ms),
        db_int(p->created.ms),
        db_blob(p->thresholds.percent, (size_t)p->thresholds.n),
    };
    kind = client_taken(tx_exec(tx, ST_PARTNER_INSERT, TX_PARAMS(params), err), p, err);
    if (kind)
        return kind;
    p->id = id;
    tx_news(tx, NEWS_PARTNERS);
    return ERR_NONE;
}

enum err_kind store_partner_update(struct tx *tx, const struct partner *p, struct err *err) {
    struct db_value params[] = {
        db_int(p->id),
        db_text(p->client_id),
        db_text(or_empty(p->name)),
        db_int(p->mode),
        db_int(p->disabled),
        db_int(p->needs),
        db_text(or_empty(p->currencies)),
        db_int(p->cap_day),
        db_int(p->cap_month),
        db_int(p->rate_per_minute),
        db_int(p->event_days),
        db_int(p->clock_offset_ms),
        db_blob(p->thresholds.percent, (size_t)p->thresholds.n),
    };
    int64_t changed = 0;
    enum err_kind kind = client_taken(tx_exec_changed(tx, ST_PARTNER_UPDATE, TX_PARAMS(params), &changed, err), p, err);
    if (kind)
        return kind;
    if (!changed)
        return err_set(err, ERR_NOT_FOUND, "no such partner");
    tx_news(tx, NEWS_PARTNERS);
    return ERR_NONE;
}

// ---- secrets ----

static void read_secret(struct row *r, void *out) {
    struct partner_secret *s = out;
    row_blob(r, s->hash.salt, sizeof s->hash.salt);
    row_blob(r, s->hash.sha256, sizeof s->hash.sha256);
    s->expires = row_wall(r);
}

enum err_kind store_partner_secrets(struct tx *tx, int64_t partner_id, struct partner_secret out[PARTNER_SECRETS_MAX], size_t *n,
                                    struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(tx->now.ms), db_int(PARTNER_SECRETS_MAX)};
    struct arena a;
    arena_init(&a, 4096);
    void *rows = NULL;
    size_t got = 0;
    enum err_kind kind = tx_list(tx, ST_SECRET_LIST, TX_PARAMS(params), read_secret, &a, sizeof *out, 0, &rows, &got, err);
    if (!kind) {
        memcpy(out, rows, got * sizeof *out);
        *n = got;
    }
    arena_release(&a);
    return kind;
}

enum err_kind store_partner_secret_add(struct tx *tx, int64_t partner_id, const struct secret_hash *hash, struct wall others_expire,
                                       struct err *err) {
    enum err_kind kind = ERR_NONE;
    if (wall_set(others_expire)) {
        struct db_value params[] = {db_int(partner_id), db_int(others_expire.ms)};
        kind = tx_exec(tx, ST_SECRET_CAP, TX_PARAMS(params), err);
        if (kind)
            return kind;
    }
    // Of those before, as many stay as there is room for; the oldest go.
    struct db_value trim[] = {db_int(partner_id), db_int(tx->now.ms), db_int(PARTNER_SECRETS_MAX - 1)};
    kind = tx_exec(tx, ST_SECRET_TRIM, TX_PARAMS(trim), err);
    if (kind)
        return kind;
    struct db_value params[] = {
        db_int(partner_id),
        db_int(tx_number(tx)),
        db_blob(hash->salt, sizeof hash->salt),
        db_blob(hash->sha256, sizeof hash->sha256),
    };
    kind = tx_exec(tx, ST_SECRET_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_NOT_FOUND, "no such partner");
    if (!kind)
        tx_news(tx, NEWS_PARTNERS);
    return kind;
}

// ---- caps ----

enum err_kind store_cap_get(struct tx *tx, int64_t partner_id, int64_t period, int64_t *count, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(period)};
    return tx_int(tx, ST_CAP_GET, TX_PARAMS(params), count, err);
}

enum err_kind store_cap_add(struct tx *tx, int64_t partner_id, int64_t period, int64_t delta, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(period), db_int(delta)};
    return tx_exec(tx, ST_CAP_ADD, TX_PARAMS(params), err);
}

// ---- operators ----

static void read_operator(struct row *r, void *out) {
    struct operator_token *t = out;
    row_blob(r, t->sha256, sizeof t->sha256);
    t->name = row_str(r);
    t->created = row_wall(r);
    t->expires = row_wall(r);
}

enum err_kind store_operator_find(struct tx *tx, const uint8_t sha256[32], struct arena *a, struct operator_token *out, struct err *err) {
    struct db_value params[] = {db_blob(sha256, 32)};
    return tx_get(tx, ST_OPERATOR_FIND, TX_PARAMS(params), read_operator, a, out, sizeof *out, "operator token", err);
}

enum err_kind store_operator_add(struct tx *tx, const struct operator_token *t, struct err *err) {
    struct db_value params[] = {db_blob(t->sha256, sizeof t->sha256), db_text(t->name), db_int(t->created.ms), db_wall(t->expires)};
    enum err_kind kind = tx_exec(tx, ST_OPERATOR_INSERT, TX_PARAMS(params), err);
    return kind == ERR_CONFLICT ? err_set(err, ERR_CONFLICT, "this operator token is known already") : kind;
}

// ---- signing keys ----

static void read_key(struct row *r, void *out) {
    struct signing_key *k = out;
    k->kid = row_str(r);
    k->pem = row_str(r);
    k->created = row_wall(r);
    k->retired = row_wall(r);
}

enum err_kind store_key_list(struct tx *tx, struct arena *a, struct signing_key **out, size_t *n, struct err *err) {
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_KEY_LIST, NULL, 0, read_key, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

enum err_kind store_key_add(struct tx *tx, const struct signing_key *k, struct err *err) {
    struct db_value retire[] = {db_int(k->created.ms)};
    struct db_value params[] = {db_text(k->kid), db_int(tx_number(tx)), db_text(k->pem), db_int(k->created.ms), db_wall(k->retired)};
    enum err_kind kind = tx_exec(tx, ST_KEY_RETIRE, TX_PARAMS(retire), err);
    if (!kind)
        kind = tx_exec(tx, ST_KEY_INSERT, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "kid: is taken");
    if (!kind)
        tx_news(tx, NEWS_KEYS);
    return kind;
}

enum err_kind store_key_prune(struct tx *tx, struct wall retired_before, struct err *err) {
    struct db_value params[] = {db_int(retired_before.ms)};
    enum err_kind kind = tx_exec(tx, ST_KEY_PRUNE, TX_PARAMS(params), err);
    if (!kind)
        tx_news(tx, NEWS_KEYS);
    return kind;
}
