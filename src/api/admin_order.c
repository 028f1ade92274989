// SPDX-License-Identifier: Apache-2.0
/*
 * admin_order.c - orders over all partners, with their tasks; and sending parked tasks round again.
 */
#include "api/admin.h"
#include "api/resource.h"
#include "api/timeline.h"
#include "store/store_order.h"

static void put_subscriber(struct jw *w, const struct subscriber *s) {
    jw_object(w, "subscriber");
    jw_str_if(w, "email", s->email);
    jw_str_if(w, "first_name", s->first_name);
    jw_str_if(w, "last_name", s->last_name);
    jw_str_if(w, "country_of_residence", s->country_of_residence);
    jw_str_if(w, "language", s->language);
    if (str_present(s->device_os) || str_present(s->device_model) || str_present(s->device_id) || str_present(s->device_eid)) {
        jw_object(w, "device");
        jw_str_if(w, "operating_system", s->device_os);
        jw_str_if(w, "model", s->device_model);
        jw_str_if(w, "id", s->device_id);
        jw_str_if(w, "eid", s->device_eid);
        jw_end_object(w);
    }
    jw_end_object(w);
}

static void put_lines(struct jw *w, const char *key, struct str text) {
    struct str line;
    jw_array(w, key);
    while (str_present(text)) {
        text = str_cut(text, '\n', &line);
        if (line.n > 0)
            jw_str(w, NULL, line);
    }
    jw_end_array(w);
}

// The members of an order; the caller opens and closes the object. `whole`: with what is personal, for a single order.
static void put_order(struct jw *w, const struct order *o, struct str partner, bool whole) {
    char id[UUID_TEXT], iccid[ICCID_TEXT], subscription[LONG_ID_TEXT];
    uuid_format(o->id, id);
    jw_text(w, "id", id);
    jw_str_if(w, "partner", partner);
    jw_text(w, "status", order_state_words[o->state]);
    jw_text(w, "operation_type", operation_words[o->operation]);
    jw_text(w, "sim_type", sim_type_name(o->sim_type));
    jw_text(w, "country", o->country);
    jw_object(w, "product");
    jw_text(w, "id", o->product_public_id);
    if (o->sold.currency[0])
        admin_money(w, "sold_price", "sold_currency", &o->sold);
    jw_date_if(w, "activation_date", o->activation);
    jw_date_if(w, "expiration_date", o->expiration);
    jw_end_object(w);
    if (whole)
        put_subscriber(w, &o->subscriber);
    if (o->iccid != ICCID_NONE) {
        iccid_format(o->iccid, iccid);
        jw_text(w, "iccid", iccid);
    }
    if (whole) {
        jw_str_if(w, "matching_id", o->matching_id);
        jw_str_if(w, "smdp", o->smdp);
    }
    if (o->state == ORDER_COMPLETED) {
        long_id_format(o->id, subscription);
        jw_text(w, "subscription_id", subscription);
    }
    jw_str_if(w, "correlation_id", o->correlation_id);
    jw_str_if(w, "reference", o->reference);
    if (o->state == ORDER_FAILED)
        put_lines(w, "messages", o->failure);
    jw_date(w, "created_date", o->created);
    jw_date_if(w, "finished_date", o->finished);
}

static void put_links(struct call *c, struct jw *w, const struct order *o, struct str partner) {
    char id[UUID_TEXT], iccid[ICCID_TEXT], subscription[LONG_ID_TEXT];
    uuid_format(o->id, id);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    call_link(c, w, "_self", "/admin/v1/orders/%s", id);
    call_link(c, w, "_partner", "/admin/v1/partners/" STR_FMT, STR_ARG(partner));
    if (o->iccid != ICCID_NONE) {
        iccid_format(o->iccid, iccid);
        call_link(c, w, "_sim", "/admin/v1/sims/%s", iccid);
    }
    if (o->state == ORDER_COMPLETED) {
        long_id_format(o->id, subscription);
        call_link(c, w, "_subscription", "/admin/v1/subscriptions/%s", subscription);
    }
    jw_end_object(w);
    jw_end_object(w);
}

// ---- GET /admin/v1/orders ----

struct admin_order_list {
    struct page page;
    struct order_filter filter;
    struct str partner;
    struct order *orders;
    struct str *names;
    size_t n;
};

enum err_kind admin_order_list_parse(struct call *c, struct err *err) {
    struct admin_order_list *s = c->state = arena_new(c->arena, struct admin_order_list);
    if (!s)
        return call_no_memory(err);
    page_parse(c, &s->page, err);
    s->partner = query_str(c, "partner", 64, err);
    s->filter.state = query_word(c, "status", order_state_words, err);
    s->filter.iccid = query_iccid(c, "iccid", err);
    s->filter.correlation_id = query_str(c, "correlation_id", CORRELATION_MAX, err);
    s->filter.reference = query_str(c, "reference", REFERENCE_MAX, err);
    s->filter.before = query_date(c, "before", err);
    s->filter.after = query_date(c, "after", err);
    return err->kind;
}

enum err_kind admin_order_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_order_list *s = c->state;
    struct admin_names names = {0};
    enum err_kind kind = ERR_NONE;
    if (str_present(s->partner))
        kind = admin_partner_named(c, tx, "partner", s->partner, &s->filter.partner_id, err);
    if (kind == ERR_NONE)
        kind = store_order_list(tx, &s->filter, page_offset(&s->page), s->page.size, c->arena, &s->orders, &s->n, &s->page.total, err);
    if (kind == ERR_NONE && s->n > 0 && !(s->names = arena_array(c->arena, struct str, s->n)))
        kind = call_no_memory(err);
    for (size_t i = 0; kind == ERR_NONE && i < s->n; i++)
        kind = admin_name_of(c, tx, &names, s->orders[i].partner_id, &s->names[i], err);
    return kind;
}

void admin_order_list_reply(struct call *c) {
    const struct admin_order_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++) {
        jw_object(&w, NULL);
        put_order(&w, &s->orders[i], s->names[i], false);
        put_links(c, &w, &s->orders[i], s->names[i]);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- GET /admin/v1/orders/{id} ----

struct admin_order_get {
    struct admin_order o;
    int64_t retried;
};

enum err_kind admin_order_read(struct tx *tx, struct uuid id, struct arena *a, struct admin_order *out, struct err *err) {
    enum err_kind kind = store_order_get(tx, id, a, &out->order, err);
    if (kind)
        return kind;
    kind = store_partner_get(tx, out->order.partner_id, a, &out->partner, err);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_CORRUPT, "the order's partner is not in the store");
    return kind ? kind : store_task_of_order(tx, id, a, &out->tasks, &out->n, err);
}

static enum err_kind find_order(struct call *c, struct tx *tx, struct admin_order *o, struct err *err) {
    struct uuid id;
    if (!uuid_parse(c->params[0], &id))
        return err_set(err, ERR_NOT_FOUND, "id: there is no such order");
    c->order_id = id;
    enum err_kind kind = admin_order_read(tx, id, c->arena, o, err);
    return kind == ERR_NOT_FOUND ? order_not_found(tx, id, uuid_partner(id), err) : kind;
}

static enum err_kind read_timeline(struct call *c, struct tx *tx, struct admin_order *o, struct err *err) {
    return timeline_read(tx, &o->order, &o->partner, c->arena, &o->timeline, err);
}

enum err_kind admin_order_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_order_get *s = c->state = arena_new(c->arena, struct admin_order_get);
    enum err_kind kind = s ? find_order(c, tx, &s->o, err) : call_no_memory(err);
    return kind ? kind : read_timeline(c, tx, &s->o, err);
}

static void put_task(struct jw *w, const struct task *t) {
    jw_object(w, NULL);
    jw_i64(w, "step", t->step + 1);
    jw_text(w, "kind", task_kind_words[t->kind]);
    jw_text(w, "state", task_state_words[t->state]);
    jw_text(w, "verb", task_verb_words[t->verb]);
    jw_str_if(w, "peer", t->peer);
    jw_i64(w, "attempts", t->attempts);
    if (t->attempts > 0 && t->state != TASK_CLAIMED && t->state != TASK_BLOCKED)
        jw_text(w, "outcome", outcome_words[t->outcome]);
    jw_str_if(w, "note", t->note);
    if (t->state == TASK_READY)
        jw_date_if(w, "next_try", t->due_at);
    if (t->state == TASK_CLAIMED)
        jw_date_if(w, "lease_until", t->lease_until);
    jw_date_if(w, "started_date", t->started);
    jw_date_if(w, "settled_date", t->settled);
    jw_end_object(w);
}

void admin_order_put(struct jw *w, const struct admin_order *o) {
    put_order(w, &o->order, o->partner.client_id, true);
    jw_array(w, "tasks");
    for (size_t i = 0; i < o->n; i++)
        put_task(w, &o->tasks[i]);
    jw_end_array(w);
    timeline_put(w, "timeline", &o->timeline);
}

void admin_order_get_reply(struct call *c) {
    const struct admin_order_get *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    admin_order_put(&w, &s->o);
    put_links(c, &w, &s->o.order, s->o.partner.client_id);
    jw_end_object(&w);
}

// ---- POST /admin/v1/orders/{id}/retry ----

enum err_kind admin_order_retry_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_order_get *s = c->state = arena_new(c->arena, struct admin_order_get);
    if (!s)
        return call_no_memory(err);
    enum err_kind kind = find_order(c, tx, &s->o, err);
    for (size_t i = 0; kind == ERR_NONE && i < s->o.n; i++) {
        if (!task_retry(&s->o.tasks[i], tx_now(tx)))
            continue;
        s->retried++;
        kind = store_task_update(tx, &s->o.tasks[i], err);
    }
    if (kind == ERR_NONE && s->retried == 0)
        return err_set(err, ERR_CONFLICT, "id: no task of this order is parked");
    if (kind == ERR_NONE)
        tx_news(tx, NEWS_TASKS);
    return kind ? kind : read_timeline(c, tx, &s->o, err);
}

void admin_order_retry_reply(struct call *c) {
    const struct admin_order_get *s = c->state;
    admin_order_get_reply(c);
    ADMIN_LOG(c, "order_retried", LOG_ID("order", s->o.order.id), LOG_INT("tasks", s->retried));
}
