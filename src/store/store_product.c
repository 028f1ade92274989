// SPDX-License-Identifier: Apache-2.0
#include "store/store_product.h"

#include "store/tx.h"

static void read_product(struct row *r, void *out) {
    struct product *p = out;
    p->id = row_int(r);
    p->partner_id = row_int_in(r, 1, INT64_C(1) << 20);
    row_chars(r, p->public_id, sizeof p->public_id);
    p->name = row_str(r);
    p->sim_types = (unsigned)row_int_in(r, 1, SIM_ESIM | SIM_PSIM);
    p->duration = row_int(r);
    p->duration_unit = (enum duration_unit)row_int_in(r, DURATION_DAYS, DURATION_MONTHS);
    p->data = row_int(r);
    p->data_unit = (enum data_unit)row_int_in(r, DATA_MB, DATA_GB);
    p->price = row_money(r);
    p->footprint_code = row_str(r);
    p->first_usage = row_int_in(r, 0, 1);
    p->on_sale = row_int_in(r, 0, 1);
}

enum err_kind store_product_get(struct tx *tx, int64_t id, struct arena *a, struct product *out, struct err *err) {
    struct db_value params[] = {db_int(id)};
    return tx_get(tx, ST_PRODUCT_GET, TX_PARAMS(params), read_product, a, out, sizeof *out, "product", err);
}

static const size_t product_texts[] = {offsetof(struct product, name), offsetof(struct product, footprint_code)};
static const struct recent_layout product_layout = {sizeof(struct product), product_texts, ARRAY_LEN(product_texts)};

// The partner's number, then the public id. 0: too long to be one.
static size_t product_key(char key[RECENT_KEY_MAX], int64_t partner_id, struct str public_id) {
    if (public_id.n > RECENT_KEY_MAX - sizeof partner_id)
        return 0;
    memcpy(key, &partner_id, sizeof partner_id);
    memcpy(key + sizeof partner_id, public_id.p, public_id.n);
    return sizeof partner_id + public_id.n;
}

enum err_kind store_product_by_public_id(struct tx *tx, int64_t partner_id, struct str public_id, struct arena *a, struct product *out,
                                         struct err *err) {
    char key[RECENT_KEY_MAX];
    size_t n = product_key(key, partner_id, public_id);
    if (n && recent_get(tx->recent, RECENT_PRODUCT, key, n, &product_layout, a, out))
        return ERR_NONE;
    struct db_value params[] = {db_int(partner_id), db_text(public_id)};
    enum err_kind kind = tx_get(tx, ST_PRODUCT_BY_PUBLIC_ID, TX_PARAMS(params), read_product, a, out, sizeof *out, "product", err);
    if (!kind && n)
        recent_put(tx->recent, RECENT_PRODUCT, key, n, &product_layout, out);
    return kind;
}

enum err_kind store_product_list(struct tx *tx, const struct product_filter *f, int64_t offset, int64_t limit, struct arena *a,
                                 struct product **out, size_t *n, int64_t *total, struct err *err) {
    struct db_value params[] = {
        db_id(f->partner_id), db_int(f->sim_types), db_text(f->footprint_code), db_text(f->currency), db_int(f->on_sale_only),
        db_int(limit),        db_int(offset),
    };
    int64_t sum = 0;
    void *rows = NULL;
    enum err_kind kind = total ? tx_int(tx, ST_PRODUCT_COUNT, params, 5, &sum, err) : ERR_NONE;
    if (!kind)
        kind = tx_list(tx, ST_PRODUCT_LIST, TX_PARAMS(params), read_product, a, sizeof **out, 0, &rows, n, err);
    if (kind)
        return kind;
    *out = rows;
    if (total)
        *total = sum;
    return ERR_NONE;
}

static bool same(const struct product *a, const struct product *b) {
    return str_eq(a->name, b->name) && a->sim_types == b->sim_types && a->duration == b->duration && a->duration_unit == b->duration_unit &&
           a->data == b->data && a->data_unit == b->data_unit && a->price.minor == b->price.minor &&
           strcmp(a->price.currency, b->price.currency) == 0 && str_eq(a->footprint_code, b->footprint_code) &&
           str_present(a->footprint_code) == str_present(b->footprint_code) && a->first_usage == b->first_usage && a->on_sale == b->on_sale;
}

static enum err_kind write_product(struct tx *tx, enum statement st, const struct product *p, struct err *err) {
    struct db_value params[] = {
        db_int(p->id),          db_int(p->partner_id),  db_text(str_of(p->public_id)),      db_text(p->name),
        db_int(p->sim_types),   db_int(p->duration),    db_int(p->duration_unit),           db_int(p->data),
        db_int(p->data_unit),   db_int(p->price.minor), db_text(str_of(p->price.currency)), db_text(p->footprint_code),
        db_int(p->first_usage), db_int(p->on_sale),
    };
    enum err_kind kind = tx_exec(tx, st, TX_PARAMS(params), err);
    if (kind == ERR_CONFLICT) // its id and name were free a moment ago: there is no such partner
        return err_set(err, ERR_NOT_FOUND, "no such partner");
    return kind;
}

// Whether there is one already, and if so whether it differs; its id goes to *id.
static enum err_kind look(struct tx *tx, const struct product *p, enum upsert *what, int64_t *id, struct err *err) {
    struct arena a;
    arena_init(&a, 16384);
    struct product old = {0};
    enum err_kind kind = store_product_by_public_id(tx, p->partner_id, str_of(p->public_id), &a, &old, err);
    if (!kind) {
        *id = old.id;
        *what = same(&old, p) ? UPSERT_SAME : UPSERT_UPDATED;
    } else if (kind == ERR_NOT_FOUND) {
        err_clear(err);
        *what = UPSERT_INSERTED;
        kind = tx_int(tx, ST_PRODUCT_NEXT_ID, NULL, 0, id, err);
    }
    arena_release(&a);
    return kind;
}

enum err_kind store_product_put(struct tx *tx, struct product *p, enum upsert *what, struct err *err) {
    enum upsert found = UPSERT_SAME;
    int64_t id = 0;
    enum err_kind kind = look(tx, p, &found, &id, err);
    if (kind)
        return kind;
    struct product written = *p;
    written.id = id;
    if (found != UPSERT_SAME)
        kind = write_product(tx, found == UPSERT_INSERTED ? ST_PRODUCT_INSERT : ST_PRODUCT_UPDATE, &written, err);
    if (kind)
        return kind;
    p->id = id;
    *what = found;
    return ERR_NONE;
}
