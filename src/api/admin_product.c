// SPDX-License-Identifier: Apache-2.0
/*
 * admin_product.c - the partners' catalogues. What a product may be is said once (product_set), for bodies and for lines of a file.
 */
#include "api/admin.h"
#include "api/resource.h"
#include "base/csv.h"
#include "core/codes.h"
#include "render/render.h"
#include "store/store_product.h"

#include <stdlib.h>

#define NAME_MAX_BYTES 128
#define FOOTPRINT_MAX_BYTES 64
#define DURATION_MAX INT64_C(3660)
#define DATA_MAX INT64_C(1048576)
#define IMPORT_ROWS_MAX 20000

// ---- what a product may be ----

// Fields as they came; STR_NONE, -1 and 0 stand for "not given".
struct product_fields {
    struct str name, price, currency, footprint;
    unsigned sim_types;
    int64_t duration, data;
    int duration_unit, data_unit;
    int first_usage, on_sale;
};
#define PRODUCT_FIELDS_NONE                                                                                                                \
    ((struct product_fields){.duration = -1, .data = -1, .duration_unit = -1, .data_unit = -1, .first_usage = -1, .on_sale = -1})

static void require_all(const struct product_fields *f, struct err *err) {
    const struct {
        const char *name;
        bool there;
    } needed[] = {
        {"name", f->name.n > 0},
        {"sim_type", f->sim_types != 0},
        {"duration", f->duration >= 0},
        {"duration_unit", f->duration_unit >= 0},
        {"data", f->data >= 0},
        {"data_unit", f->data_unit >= 0},
        {"price", str_present(f->price)},
        {"price_currency", str_present(f->currency)},
        {"footprint_code", f->footprint.n > 0},
    };
    // A field that is there but faulty has its message already, which begins with its name.
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        bool said = needed[i].there;
        size_t n = strlen(needed[i].name);
        for (unsigned m = 0; m < err->count && !said; m++)
            said = str_starts(str_of(err_message(err, m)), needed[i].name) && strchr(":.", err_message(err, m)[n]);
        if (!said)
            err_add(err, ERR_INVALID, "%s: is required", needed[i].name);
    }
}

static void set_price(const struct product_fields *f, struct product *p, struct err *err) {
    struct str currency = str_present(f->currency) ? f->currency : str_of(p->price.currency);
    int decimals = currency_decimals(currency);
    if (decimals < 0) {
        if (str_present(f->currency))
            err_add(err, ERR_INVALID, "price_currency: must be a currency code of ISO 4217, such as EUR");
        return;
    }
    if (!str_present(f->price)) {
        if (p->price.currency[0] && !str_is(currency, p->price.currency)) // one without a price yet: require_all's business
            err_add(err, ERR_INVALID, "price: is required when the currency changes");
        return;
    }
    int64_t minor = 0;
    switch (money_parse(f->price, decimals, &minor)) {
    case MONEY_OK:
        p->price.minor = minor;
        CHECK(str_to_buf(currency, p->price.currency, sizeof p->price.currency));
        break;
    case MONEY_NEGATIVE:
        err_add(err, ERR_INVALID, "price: must not be negative");
        break;
    case MONEY_TOO_PRECISE:
        err_add(err, ERR_INVALID, "price: has more decimals than the currency (%d)", decimals);
        break;
    case MONEY_TOO_LARGE:
        err_add(err, ERR_INVALID, "price: is too large");
        break;
    case MONEY_NOT_A_NUMBER:
        err_add(err, ERR_INVALID, "price: must be a number such as 19.90");
        break;
    }
}

// Puts what was given on the product. Faults are added; the product is then not to be used.
static void product_set(const struct product_fields *f, struct product *p, struct err *err) {
    if (str_present(f->name)) {
        p->name = f->name;
        if (str_trim(f->name).n == 0)
            err_add(err, ERR_INVALID, "name: must not be empty");
    }
    if (f->sim_types)
        p->sim_types = f->sim_types;
    if (f->duration >= 0)
        p->duration = f->duration;
    if (f->duration_unit >= 0)
        p->duration_unit = (enum duration_unit)f->duration_unit;
    if (f->data >= 0)
        p->data = f->data;
    if (f->data_unit >= 0)
        p->data_unit = (enum data_unit)f->data_unit;
    if (str_present(f->footprint)) {
        p->footprint_code = f->footprint;
        if (str_trim(f->footprint).n == 0)
            err_add(err, ERR_INVALID, "footprint_code: must not be empty");
    }
    if (f->first_usage >= 0)
        p->first_usage = f->first_usage;
    if (f->on_sale >= 0)
        p->on_sale = f->on_sale;
    if (str_present(f->price) || str_present(f->currency))
        set_price(f, p, err);
}

static unsigned sim_type_bit(struct str word) {
    return str_eq_nocase(word, STR("ESIM")) ? SIM_ESIM : str_eq_nocase(word, STR("PSIM")) ? SIM_PSIM : 0;
}

static void take_sim_types(json_t *body, struct product_fields *f, struct err *err) {
    json_t *array = json_take_array(body, "", "sim_type", JSON_OPTIONAL, err), *item;
    size_t i;
    if (array && json_array_size(array) == 0)
        err_add(err, ERR_INVALID, "sim_type: must name ESIM, PSIM or both");
    json_array_foreach(array, i, item) {
        unsigned bit = json_is_string(item) ? sim_type_bit(str_of(json_string_value(item))) : 0;
        if (bit == 0)
            err_add(err, ERR_INVALID, "sim_type.%zu: must be ESIM or PSIM", i);
        f->sim_types |= bit;
    }
}

static void take_fields(struct call *c, struct product_fields *f, struct err *err) {
    bool flag;
    *f = PRODUCT_FIELDS_NONE;
    f->name = json_take_str(c->body, "", "name", JSON_OPTIONAL, NAME_MAX_BYTES, err);
    take_sim_types(c->body, f, err);
    json_take_i64(c->body, "", "duration", JSON_OPTIONAL, 1, DURATION_MAX, &f->duration, err);
    f->duration_unit = json_take_word(c->body, "", "duration_unit", JSON_OPTIONAL, duration_unit_words, err);
    json_take_i64(c->body, "", "data", JSON_OPTIONAL, 1, DATA_MAX, &f->data, err);
    f->data_unit = json_take_word(c->body, "", "data_unit", JSON_OPTIONAL, data_unit_words, err);
    f->price = json_take_decimal(c->body, "", "price", JSON_OPTIONAL, c->arena, err);
    f->currency = json_take_str(c->body, "", "price_currency", JSON_OPTIONAL, 3, err);
    f->footprint = json_take_str(c->body, "", "footprint_code", JSON_OPTIONAL, FOOTPRINT_MAX_BYTES, err);
    if (json_take_bool(c->body, "", "first_usage", JSON_OPTIONAL, &flag, err))
        f->first_usage = flag;
    if (json_take_bool(c->body, "", "on_sale", JSON_OPTIONAL, &flag, err))
        f->on_sale = flag;
}

// ---- showing ----

static void put_product(struct call *c, struct jw *w, const struct product *p, struct str partner) {
    jw_object(w, NULL);
    jw_text(w, "id", p->public_id);
    jw_str_if(w, "partner", partner);
    jw_str(w, "name", p->name);
    jw_array(w, "sim_type");
    for (int i = 0; sim_type_words[i]; i++)
        if (p->sim_types & 1u << i)
            jw_text(w, NULL, sim_type_words[i]);
    jw_end_array(w);
    jw_i64(w, "duration", p->duration);
    jw_text(w, "duration_unit", duration_unit_words[p->duration_unit]);
    jw_i64(w, "data", p->data);
    jw_text(w, "data_unit", data_unit_words[p->data_unit]);
    admin_money(w, "price", "price_currency", &p->price);
    jw_str(w, "footprint_code", str_present(p->footprint_code) ? p->footprint_code : STR(""));
    jw_bool(w, "first_usage", p->first_usage);
    jw_bool(w, "on_sale", p->on_sale);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    call_link(c, w, "_self", "/admin/v1/partners/" STR_FMT "/products/%s", STR_ARG(partner), p->public_id);
    jw_end_object(w);
    jw_end_object(w);
    jw_end_object(w);
}

// ---- GET /admin/v1/products ----

struct admin_product_list {
    struct page page;
    struct str partner; // the filter
    struct product *products;
    struct str *names;
    size_t n;
};

enum err_kind admin_product_list_parse(struct call *c, struct err *err) {
    struct admin_product_list *s = c->state = arena_new(c->arena, struct admin_product_list);
    if (!s)
        return call_no_memory(err);
    page_parse(c, &s->page, err);
    s->partner = query_str(c, "partner", 64, err);
    return err->kind;
}

enum err_kind admin_product_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_product_list *s = c->state;
    struct product_filter filter = {0};
    struct admin_names names = {0};
    enum err_kind kind = ERR_NONE;
    if (str_present(s->partner))
        kind = admin_partner_named(c, tx, "partner", s->partner, &filter.partner_id, err);
    if (kind == ERR_NONE)
        kind = store_product_list(tx, &filter, page_offset(&s->page), s->page.size, c->arena, &s->products, &s->n, &s->page.total, err);
    if (kind == ERR_NONE && s->n > 0 && !(s->names = arena_array(c->arena, struct str, s->n)))
        kind = call_no_memory(err);
    for (size_t i = 0; kind == ERR_NONE && i < s->n; i++)
        kind = admin_name_of(c, tx, &names, s->products[i].partner_id, &s->names[i], err);
    return kind;
}

void admin_product_list_reply(struct call *c) {
    const struct admin_product_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        put_product(c, &w, &s->products[i], s->names[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- GET, PUT, PATCH /admin/v1/partners/{client_id}/products/{product_id} ----

struct product_write {
    struct product_fields fields;
    struct product product;
    enum upsert what;
};

static enum err_kind find_product(struct call *c, struct tx *tx, int64_t partner_id, struct product *out, struct err *err) {
    enum err_kind kind = ERR_NOT_FOUND;
    if (long_id_well_formed(c->params[1]))
        kind = store_product_by_public_id(tx, partner_id, c->params[1], c->arena, out, err);
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "product_id: there is no such product in this partner's catalogue") : kind;
}

enum err_kind admin_product_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct product_write *s = c->state = arena_new(c->arena, struct product_write);
    if (!s)
        return call_no_memory(err);
    struct partner partner;
    enum err_kind kind = admin_partner_of_path(c, tx, &partner, err);
    return kind == ERR_NONE ? find_product(c, tx, partner.id, &s->product, err) : kind;
}

void admin_product_get_reply(struct call *c) {
    const struct product_write *s = c->state;
    struct jw w = call_json(c, 200);
    put_product(c, &w, &s->product, c->params[0]);
}

enum err_kind admin_product_put_parse(struct call *c, struct err *err) {
    struct product_write *s = c->state = arena_new(c->arena, struct product_write);
    if (!s)
        return call_no_memory(err);
    if (!long_id_well_formed(c->params[1]))
        err_add(err, ERR_INVALID, "product_id: must be 43 or 44 characters of URL-safe base64 that end in \"=\"");
    take_fields(c, &s->fields, err);
    struct product tried = {0};
    product_set(&s->fields, &tried, err);
    require_all(&s->fields, err);
    return err->kind;
}

enum err_kind admin_product_put_work(struct call *c, struct tx *tx, struct err *err) {
    struct product_write *s = c->state;
    struct partner partner;
    enum err_kind kind = admin_partner_of_path(c, tx, &partner, err);
    if (kind != ERR_NONE)
        return kind;
    s->product = (struct product){.partner_id = partner.id, .on_sale = true};
    CHECK(str_to_buf(c->params[1], s->product.public_id, sizeof s->product.public_id));
    product_set(&s->fields, &s->product, err);
    return err->kind != ERR_NONE ? err->kind : store_product_put(tx, &s->product, &s->what, err);
}

enum err_kind admin_product_patch_parse(struct call *c, struct err *err) {
    struct product_write *s = c->state = arena_new(c->arena, struct product_write);
    if (!s)
        return call_no_memory(err);
    take_fields(c, &s->fields, err);
    return err->kind;
}

enum err_kind admin_product_patch_work(struct call *c, struct tx *tx, struct err *err) {
    struct product_write *s = c->state;
    struct partner partner;
    enum err_kind kind = admin_partner_of_path(c, tx, &partner, err);
    if (kind == ERR_NONE)
        kind = find_product(c, tx, partner.id, &s->product, err);
    if (kind != ERR_NONE)
        return kind;
    product_set(&s->fields, &s->product, err);
    return err->kind != ERR_NONE ? err->kind : store_product_put(tx, &s->product, &s->what, err);
}

void admin_product_put_reply(struct call *c) {
    const struct product_write *s = c->state;
    struct jw w = call_json(c, s->what == UPSERT_INSERTED ? 201 : 200);
    put_product(c, &w, &s->product, c->params[0]);
    if (s->what != UPSERT_SAME)
        ADMIN_LOG(c, "product_put", LOG_STR("client_id", c->params[0]), LOG_TEXT("product", s->product.public_id));
}

// ---- POST /admin/v1/partners/{client_id}/products/import ----

static const char *const column_names[] = {"id",        "name",  "sim_type",       "duration",       "duration_unit", "data",
                                           "data_unit", "price", "price_currency", "footprint_code", "first_usage",   "on_sale"};
enum column {
    COL_ID,
    COL_NAME,
    COL_SIM_TYPE,
    COL_DURATION,
    COL_DURATION_UNIT,
    COL_DATA,
    COL_DATA_UNIT,
    COL_PRICE,
    COL_CURRENCY,
    COL_FOOTPRINT,
    COL_FIRST_USAGE,
    COL_ON_SALE,
    COLUMNS
};
#define COLUMNS_REQUIRED COL_FIRST_USAGE

struct product_row {
    int64_t line;
    struct product product; // without partner
    struct str fault;       // STR_NONE: a good row
    struct product_row *next;
};

struct product_import {
    bool keep_good;
    struct product_row *first, **end;
    int64_t rows, bad, inserted, updated, same;
    int64_t partner_id;
};

static void take_count(struct str text, const char *name, int64_t max, int64_t *out, struct err *err) {
    if (!str_present(text))
        return;
    if (!str_to_i64(text, out) || *out < 1 || *out > max) {
        *out = -1;
        err_add(err, ERR_INVALID, "%s: must be a whole number from 1 to %lld", name, (long long)max);
    }
}

static void take_unit(struct str text, const char *name, const char *const words[2], int *out, struct err *err) {
    for (int i = 0; i < 2; i++)
        if (str_eq_nocase(text, str_of(words[i])))
            *out = i;
    if (str_present(text) && *out < 0)
        err_add(err, ERR_INVALID, "%s: must be %s or %s", name, words[0], words[1]);
}

static void take_flag(struct str text, const char *name, int *out, struct err *err) {
    bool flag;
    if (!str_present(text))
        return;
    if (admin_yes_no(text, &flag))
        *out = flag;
    else
        err_add(err, ERR_INVALID, "%s: must be yes or no", name);
}

// "ESIM", "PSIM", "ESIM|PSIM" (or with a blank, a plus, a slash or a semicolon between).
static void take_type_list(struct str text, unsigned *out, struct err *err) {
    size_t at = 0;
    while (at < text.n) {
        size_t n = 0;
        while (at + n < text.n && !strchr("| +/;", text.p[at + n]))
            n++;
        unsigned bit = sim_type_bit((struct str){text.p + at, n});
        if (n > 0 && bit == 0) {
            err_add(err, ERR_INVALID, "sim_type: must be ESIM, PSIM or ESIM|PSIM");
            return;
        }
        *out |= bit;
        at += n + 1;
    }
}

static struct str take_text(struct call *c, struct str text, const char *name, size_t max, struct err *err) {
    if (text.n > max) {
        err_add(err, ERR_INVALID, "%s: must be at most %zu bytes long", name, max);
        return STR_NONE;
    }
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f) {
            err_add(err, ERR_INVALID, "%s: must not hold control characters", name);
            return STR_NONE;
        }
    }
    return arena_str(c->arena, text);
}

static void take_row(struct call *c, const struct csv *csv, const int *at, struct product *out, struct err *err) {
    struct product_fields f = PRODUCT_FIELDS_NONE;
    struct str id = csv_field(csv, at[COL_ID]);
    if (!long_id_well_formed(id))
        err_add(err, ERR_INVALID, "id: must be 43 or 44 characters of URL-safe base64 that end in \"=\"");
    f.name = take_text(c, csv_field(csv, at[COL_NAME]), "name", NAME_MAX_BYTES, err);
    take_type_list(csv_field(csv, at[COL_SIM_TYPE]), &f.sim_types, err);
    take_count(csv_field(csv, at[COL_DURATION]), "duration", DURATION_MAX, &f.duration, err);
    take_unit(csv_field(csv, at[COL_DURATION_UNIT]), "duration_unit", duration_unit_words, &f.duration_unit, err);
    take_count(csv_field(csv, at[COL_DATA]), "data", DATA_MAX, &f.data, err);
    take_unit(csv_field(csv, at[COL_DATA_UNIT]), "data_unit", data_unit_words, &f.data_unit, err);
    f.price = csv_field(csv, at[COL_PRICE]);
    f.currency = csv_field(csv, at[COL_CURRENCY]);
    f.footprint = take_text(c, csv_field(csv, at[COL_FOOTPRINT]), "footprint_code", FOOTPRINT_MAX_BYTES, err);
    take_flag(csv_field(csv, at[COL_FIRST_USAGE]), "first_usage", &f.first_usage, err);
    take_flag(csv_field(csv, at[COL_ON_SALE]), "on_sale", &f.on_sale, err);
    *out = (struct product){.on_sale = true};
    product_set(&f, out, err);
    require_all(&f, err);
    if (err->kind == ERR_NONE)
        CHECK(str_to_buf(id, out->public_id, sizeof out->public_id));
}

// The file names a product twice: the second line is bad. Files are short enough for a sorted list of ids.
static int by_id(const void *a, const void *b) {
    const struct product_row *const *x = a, *const *y = b;
    int order = strcmp((*x)->product.public_id, (*y)->product.public_id);
    return order != 0 ? order : (*x)->line < (*y)->line ? -1 : 1;
}

static enum err_kind mark_twins(struct call *c, struct product_import *s, struct err *err) {
    size_t n = 0;
    struct product_row **rows = arena_array(c->arena, struct product_row *, (size_t)(s->rows - s->bad) + 1);
    if (!rows)
        return call_no_memory(err);
    for (struct product_row *r = s->first; r; r = r->next)
        if (!str_present(r->fault))
            rows[n++] = r;
    qsort(rows, n, sizeof *rows, by_id);
    for (size_t i = 1, first = 0; i < n; i++) {
        if (strcmp(rows[first]->product.public_id, rows[i]->product.public_id) == 0) {
            rows[i]->fault = arena_printf(c->arena, "id: line %lld names this product already", (long long)rows[first]->line);
            s->bad++;
        } else {
            first = i;
        }
    }
    return ERR_NONE;
}

static enum err_kind read_rows(struct call *c, struct product_import *s, struct csv *csv, struct err *err) {
    int at[COLUMNS];
    enum err_kind kind = csv_header(csv, column_names, COLUMNS, COLUMNS_REQUIRED, at, err);
    enum csv_row row;
    struct err fault = {0};
    s->end = &s->first;
    while (kind == ERR_NONE && (row = csv_next(csv)) != CSV_END) {
        err_clear(&fault);
        struct product_row *r = arena_new(c->arena, struct product_row);
        if (row == CSV_BROKEN)
            return err_set(err, ERR_INVALID, "line %lld: %s", (long long)csv->line, csv->reason);
        if (!r)
            return call_no_memory(err);
        if (++s->rows > IMPORT_ROWS_MAX)
            return err_set(err, ERR_TOO_LARGE, "a file may have %d lines", IMPORT_ROWS_MAX);
        r->line = csv->line;
        if (row == CSV_BAD)
            err_add(&fault, ERR_INVALID, "%s", csv->reason);
        else
            take_row(c, csv, at, &r->product, &fault);
        if (fault.kind != ERR_NONE) {
            r->fault = admin_reason(c->arena, &fault);
            s->bad++;
        }
        *s->end = r;
        s->end = &r->next;
    }
    return kind;
}

enum err_kind admin_product_import_parse(struct call *c, struct err *err) {
    struct product_import *s = c->state = arena_new(c->arena, struct product_import);
    if (!s)
        return call_no_memory(err);
    static const char *const no_yes[] = {"0", "1", NULL};
    s->keep_good = query_word(c, "keep_good", no_yes, err) == 1;
    struct csv csv;
    csv_init_text(&csv, c->x->body);
    if (err->kind == ERR_NONE && read_rows(c, s, &csv, err) == ERR_NONE)
        (void)mark_twins(c, s, err);
    csv_release(&csv);
    return err->kind;
}

enum err_kind admin_product_import_work(struct call *c, struct tx *tx, struct err *err) {
    struct product_import *s = c->state;
    struct partner partner;
    s->inserted = s->updated = s->same = 0;
    enum err_kind kind = admin_partner_of_path(c, tx, &partner, err);
    if (kind != ERR_NONE || (s->bad > 0 && !s->keep_good))
        return kind; // with bad lines nothing is written; reply says which they are
    s->partner_id = partner.id;
    for (const struct product_row *r = s->first; r && kind == ERR_NONE; r = r->next) {
        if (str_present(r->fault))
            continue;
        struct product p = r->product;
        enum upsert what;
        p.partner_id = partner.id;
        if ((kind = store_product_put(tx, &p, &what, err)) != ERR_NONE)
            break;
        s->inserted += what == UPSERT_INSERTED;
        s->updated += what == UPSERT_UPDATED;
        s->same += what == UPSERT_SAME;
    }
    return kind;
}

// All the bad lines, also where they are too many for an error's messages: the error's shape with one member more.
void admin_product_import_reply(struct call *c) {
    const struct product_import *s = c->state;
    bool refused = s->bad > 0 && !s->keep_good;
    struct jw w = call_json(c, refused ? 400 : 200);
    jw_object(&w, NULL);
    if (refused) {
        jw_text(&w, "type", "INVALID_REQUEST_PARAMS");
        jw_array(&w, "messages");
        jw_str(&w, NULL, arena_printf(c->arena, "%lld of %lld lines are bad: nothing was changed", (long long)s->bad, (long long)s->rows));
        jw_end_array(&w);
    }
    jw_i64(&w, "rows", s->rows);
    jw_i64(&w, "inserted", s->inserted);
    jw_i64(&w, "updated", s->updated);
    jw_i64(&w, "same", s->same);
    jw_i64(&w, "bad", s->bad);
    jw_array(&w, "faults");
    for (const struct product_row *r = s->first; r; r = r->next) {
        if (!str_present(r->fault))
            continue;
        jw_object(&w, NULL);
        jw_i64(&w, "line", r->line);
        jw_str(&w, "reason", r->fault);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    if (s->inserted + s->updated > 0)
        ADMIN_LOG(c, "products_imported", LOG_STR("client_id", c->params[0]), LOG_INT("inserted", s->inserted),
                  LOG_INT("updated", s->updated));
}
