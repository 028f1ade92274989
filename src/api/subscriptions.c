// SPDX-License-Identifier: Apache-2.0
#include "api/subscriptions.h"

#include "api/order_parse.h"
#include "api/resource.h"
#include "life/life.h"
#include "render/render.h"
#include "store/store_subscription.h"

// ---- GET /v2/subscriptions ----

struct subscription_list {
    struct page page;
    struct subscription_filter filter;
    struct subscription *subscriptions;
    size_t n;
};

// An address holds no blank; so one that arrives is a '+' that the client forgot to escape.
static struct str query_email(struct call *c, struct err *err) {
    struct str email = query_str(c, "email", EMAIL_MAX_BYTES, err);
    if (!str_present(email) || !memchr(email.p, ' ', email.n))
        return email;
    char text[EMAIL_MAX_BYTES];
    for (size_t i = 0; i < email.n; i++)
        text[i] = email.p[i] == ' ' ? '+' : email.p[i];
    return arena_str(c->arena, (struct str){text, email.n});
}

enum err_kind subscription_list_parse(struct call *c, struct err *err) {
    struct subscription_list *s = arena_new(c->arena, struct subscription_list);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    page_parse(c, &s->page, err);
    s->filter.partner_id = c->partner.id;
    s->filter.iccid = query_iccid(c, "iccid", err);
    s->filter.email = query_email(c, err);
    s->filter.product_public_id = query_str(c, "product-id", 64, err);
    if (str_present(s->filter.product_public_id) && !long_id_well_formed(s->filter.product_public_id))
        err_add(err, ERR_INVALID, "product-id: must be 43 or 44 characters of URL-safe base64 that end in \"=\"");
    s->filter.state = query_word(c, "status", subscription_state_words, err);
    s->filter.before = query_date(c, "before", err);
    s->filter.after = query_date(c, "after", err);
    return err->kind;
}

enum err_kind subscription_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct subscription_list *s = c->state;
    return store_subscription_list(tx, &s->filter, page_offset(&s->page), s->page.size, c->arena, &s->subscriptions, &s->n, &s->page.total,
                                   err);
}

void subscription_list_reply(struct call *c) {
    struct subscription_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        render_subscription(&w, NULL, links_of(c->api), &s->subscriptions[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- one ----

enum err_kind subscription_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct subscription *s = arena_new(c->arena, struct subscription);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    struct uuid id = {{0}};
    enum err_kind kind = ERR_NOT_FOUND;
    if (long_id_parse(c->params[0], &id))
        kind = store_subscription_get(tx, id, c->arena, s, err);
    if (kind == ERR_NOT_FOUND)
        return subscription_not_found(tx, id, c->partner.id, err);
    if (kind == ERR_NONE && s->partner_id != c->partner.id)
        return err_set(err, ERR_DENIED, "id: the subscription belongs to another partner");
    return kind;
}

static enum err_kind move(struct call *c, struct tx *tx, enum subscription_cue cue, struct err *err) {
    enum err_kind kind = subscription_get_work(c, tx, err);
    if (kind != ERR_NONE)
        return kind;
    struct subscription *s = c->state;
    return life_move(tx, s, cue, partner_now(&c->partner, tx_now(tx)), err);
}

enum err_kind subscription_activate_work(struct call *c, struct tx *tx, struct err *err) {
    return move(c, tx, SUB_CUE_ACTIVATE, err);
}

enum err_kind subscription_expire_work(struct call *c, struct tx *tx, struct err *err) {
    return move(c, tx, SUB_CUE_EXPIRE, err);
}

void subscription_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    render_subscription(&w, NULL, links_of(c->api), c->state);
}
