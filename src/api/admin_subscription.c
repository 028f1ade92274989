// SPDX-License-Identifier: Apache-2.0
#include "api/admin.h"
#include "api/resource.h"
#include "store/store_subscription.h"

#define EMAIL_MAX_BYTES 254

void admin_subscription_put(struct jw *w, const struct subscription *s, struct str partner) {
    char id[LONG_ID_TEXT], iccid[ICCID_TEXT];
    long_id_format(s->id, id);
    iccid_format(s->iccid, iccid);
    jw_text(w, "id", id);
    jw_str_if(w, "partner", partner);
    jw_str(w, "name", s->name);
    jw_text(w, "sim_id", iccid);
    jw_text(w, "product_id", s->product_public_id);
    jw_str_if(w, "email", s->email);
    jw_text(w, "status", subscription_state_words[s->state]);
    jw_date(w, "created_date", s->created);
    jw_date_if(w, "activation_date", s->activation);
    jw_date_if(w, "expiry_date", s->expiry);
    jw_i64(w, "initial_balance", s->initial_bytes);
    jw_i64(w, "current_balance", s->initial_bytes > s->spent_bytes ? s->initial_bytes - s->spent_bytes : 0);
    jw_i64(w, "spent_balance", s->spent_bytes);
    jw_text(w, "balance_units", "Bytes");
    jw_date_if(w, "balance_as_of", s->balance_as_of);
    admin_money(w, "sold_product_price", "sold_product_currency", &s->sold);
}

static void put_subscription(struct call *c, struct jw *w, const struct subscription *s, struct str partner) {
    char id[LONG_ID_TEXT], iccid[ICCID_TEXT], order[UUID_TEXT];
    long_id_format(s->id, id);
    iccid_format(s->iccid, iccid);
    jw_object(w, NULL);
    admin_subscription_put(w, s, partner);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    uuid_format(s->id, order); // a subscription's key is its order's
    call_link(c, w, "_self", "/admin/v1/subscriptions/%s", id);
    call_link(c, w, "_order", "/admin/v1/orders/%s", order);
    call_link(c, w, "_sim", "/admin/v1/sims/%s", iccid);
    jw_end_object(w);
    jw_end_object(w);
    jw_end_object(w);
}

struct admin_subscriptions {
    struct page page;
    struct subscription_filter filter;
    struct str partner;
    struct subscription *list;
    struct str *names;
    size_t n;
};

enum err_kind admin_subscription_list_parse(struct call *c, struct err *err) {
    struct admin_subscriptions *s = c->state = arena_new(c->arena, struct admin_subscriptions);
    if (!s)
        return call_no_memory(err);
    page_parse(c, &s->page, err);
    s->partner = query_str(c, "partner", 64, err);
    s->filter.iccid = query_iccid(c, "iccid", err);
    s->filter.email = query_str(c, "email", EMAIL_MAX_BYTES, err);
    s->filter.product_public_id = query_str(c, "product-id", LONG_ID_TEXT, err);
    s->filter.state = query_word(c, "status", subscription_state_words, err);
    s->filter.before = query_date(c, "before", err);
    s->filter.after = query_date(c, "after", err);
    return err->kind;
}

enum err_kind admin_subscription_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_subscriptions *s = c->state;
    struct admin_names names = {0};
    enum err_kind kind = ERR_NONE;
    if (str_present(s->partner))
        kind = admin_partner_named(c, tx, "partner", s->partner, &s->filter.partner_id, err);
    if (kind == ERR_NONE)
        kind = store_subscription_list(tx, &s->filter, page_offset(&s->page), s->page.size, c->arena, &s->list, &s->n, &s->page.total, err);
    if (kind == ERR_NONE && s->n > 0 && !(s->names = arena_array(c->arena, struct str, s->n)))
        kind = call_no_memory(err);
    for (size_t i = 0; kind == ERR_NONE && i < s->n; i++)
        kind = admin_name_of(c, tx, &names, s->list[i].partner_id, &s->names[i], err);
    return kind;
}

void admin_subscription_list_reply(struct call *c) {
    const struct admin_subscriptions *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        put_subscription(c, &w, &s->list[i], s->names[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

struct admin_subscription {
    struct subscription subscription;
    struct str partner;
};

enum err_kind admin_subscription_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_subscription *s = c->state = arena_new(c->arena, struct admin_subscription);
    struct admin_names names = {0};
    struct uuid id = {{0}};
    if (!s)
        return call_no_memory(err);
    enum err_kind kind = ERR_NOT_FOUND;
    if (long_id_parse(c->params[0], &id))
        kind = store_subscription_get(tx, id, c->arena, &s->subscription, err);
    if (kind == ERR_NOT_FOUND)
        return subscription_not_found(tx, id, uuid_partner(id), err);
    return kind == ERR_NONE ? admin_name_of(c, tx, &names, s->subscription.partner_id, &s->partner, err) : kind;
}

void admin_subscription_get_reply(struct call *c) {
    const struct admin_subscription *s = c->state;
    struct jw w = call_json(c, 200);
    put_subscription(c, &w, &s->subscription, s->partner);
}
