// SPDX-License-Identifier: Apache-2.0
#include "api/products.h"

#include "api/resource.h"
#include "core/codes.h"
#include "render/render.h"
#include "store/store_product.h"

#define FOOTPRINT_MAX 64

// ---- GET /v2/products ----

struct product_list {
    struct page page;
    struct product_filter filter;
    struct product *products;
    size_t n;
};

enum err_kind product_list_parse(struct call *c, struct err *err) {
    struct product_list *s = arena_new(c->arena, struct product_list);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    page_parse(c, &s->page, err);
    s->filter = (struct product_filter){.partner_id = c->partner.id, .on_sale_only = true};
    int type = query_word(c, "sim_type", sim_type_words, err);
    if (type >= 0)
        s->filter.sim_types = 1u << type; // the words stand in the order of the bits
    s->filter.footprint_code = query_str(c, "footprint_code", FOOTPRINT_MAX, err);
    s->filter.currency = query_str(c, "currency", 64, err);
    if (str_present(s->filter.currency) && currency_decimals(s->filter.currency) < 0)
        err_add(err, ERR_INVALID, "currency: must be a currency code of ISO 4217, such as EUR");
    return err->kind;
}

enum err_kind product_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct product_list *s = c->state;
    return store_product_list(tx, &s->filter, page_offset(&s->page), s->page.size, c->arena, &s->products, &s->n, &s->page.total, err);
}

void product_list_reply(struct call *c) {
    struct product_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        render_product(&w, NULL, links_of(c->api), &s->products[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- GET /v2/products/{id} ----

enum err_kind product_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct product *p = arena_new(c->arena, struct product);
    if (!p)
        return call_no_memory(err);
    c->state = p;
    enum err_kind kind = ERR_NOT_FOUND;
    if (long_id_well_formed(c->params[0]))
        kind = store_product_by_public_id(tx, c->partner.id, c->params[0], c->arena, p, err);
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "id: there is no such product in your catalogue") : kind;
}

void product_get_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    render_product(&w, NULL, links_of(c->api), c->state);
}
