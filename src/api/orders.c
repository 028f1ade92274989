// SPDX-License-Identifier: Apache-2.0
#include "api/orders.h"

#include "api/order_parse.h"
#include "api/order_place.h"
#include "api/resource.h"
#include "render/render.h"
#include "store/store_order.h"
#include "store/store_sim.h"

// ---- POST /v2/orders ----

struct order_create {
    struct order asked;
    struct order placed; // of the run that was committed
};

enum err_kind order_create_parse(struct call *c, struct err *err) {
    struct order_create *s = arena_new(c->arena, struct order_create);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    order_parse(c->body, c->arena, &s->asked, err);
    s->asked.partner_id = c->partner.id;
    s->asked.correlation_id = c->correlation_id;
    order_rules(&s->asked, &c->partner, err);
    return err->kind;
}

void order_create_ahead(struct call *c, struct tx *tx) {
    const struct order_create *s = c->state;
    if (s->asked.iccid != ICCID_NONE)
        store_sim_ahead(tx, s->asked.iccid);
}

enum err_kind order_create_work(struct call *c, struct tx *tx, struct err *err) {
    struct order_create *s = c->state;
    s->placed = s->asked;
    enum err_kind kind = order_place(tx, c->arena, &c->partner, &s->placed, err);
    if (kind == ERR_NONE)
        c->order_id = s->placed.id;
    return kind;
}

void order_create_reply(struct call *c) {
    const struct order *o = &((struct order_create *)c->state)->placed;
    char id[UUID_TEXT];
    uuid_format(o->id, id);
    struct jw w = call_json(c, 202);
    render_order_created(&w, NULL, links_of(c->api), o);
    call_location(c, "/v2/orders/%s", id);
}

// ---- GET /v2/orders/{id} ----

struct order_get {
    struct uuid id;
    struct order order;
};

enum err_kind order_get_parse(struct call *c, struct err *err) {
    struct order_get *s = arena_new(c->arena, struct order_get);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    if (!uuid_parse(c->params[0], &s->id))
        return err_set(err, ERR_NOT_FOUND, "id: there is no such order");
    c->order_id = s->id;
    return call_may_wait(c, s->id, UINT64_C(1) << EVENT_ORDER_COMPLETED | UINT64_C(1) << EVENT_ORDER_FAILED, err);
}

enum err_kind order_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct order_get *s = c->state;
    enum err_kind kind = store_order_get(tx, s->id, c->arena, &s->order, err);
    if (kind == ERR_NOT_FOUND)
        return order_not_found(tx, s->id, c->partner.id, err);
    if (kind != ERR_NONE)
        return kind;
    if (s->order.partner_id != c->partner.id)
        return err_set(err, ERR_DENIED, "id: the order belongs to another partner");
    if (!order_finished(s->order.state))
        call_not_yet(c);
    return ERR_NONE;
}

void order_get_reply(struct call *c) {
    struct order_get *s = c->state;
    struct jw w = call_json(c, 200);
    render_order(&w, NULL, links_of(c->api), &s->order);
}

// ---- GET /v2/orders ----

struct order_list {
    struct page page;
    struct order_filter filter;
    struct order *orders;
    size_t n;
};

enum err_kind order_list_parse(struct call *c, struct err *err) {
    struct order_list *s = arena_new(c->arena, struct order_list);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    page_parse(c, &s->page, err);
    s->filter.partner_id = c->partner.id;
    s->filter.state = query_word(c, "status", order_state_words, err);
    s->filter.iccid = query_iccid(c, "iccid", err);
    s->filter.correlation_id = query_str(c, "correlation_id", CORRELATION_MAX, err);
    s->filter.reference = query_str(c, "reference", REFERENCE_MAX, err);
    s->filter.before = query_date(c, "before", err);
    s->filter.after = query_date(c, "after", err);
    return err->kind;
}

enum err_kind order_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct order_list *s = c->state;
    return store_order_list(tx, &s->filter, page_offset(&s->page), s->page.size, c->arena, &s->orders, &s->n, &s->page.total, err);
}

void order_list_reply(struct call *c) {
    struct order_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        render_order(&w, NULL, links_of(c->api), &s->orders[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}
