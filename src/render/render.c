// SPDX-License-Identifier: Apache-2.0
#include "render/render.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/codes.h"

#define LINK_MAX 2048

const char *const notification_words[] = {"USAGE_THRESHOLD", "SUBSCRIPTION_END", "DOWNLOAD_PROGRESS", NULL};

void render_link(struct jw *w, const char *key, const char *base, const char *fmt, ...) {
    char text[LINK_MAX];
    size_t n = strlen(base);
    int more = -1;
    if (n < sizeof text) {
        memcpy(text, base, n);
        va_list args;
        va_start(args, fmt);
        more = vsnprintf(text + n, sizeof text - n, fmt, args);
        va_end(args);
    }
    if (more < 0 || (size_t)more >= sizeof text - n)
        w->out->failed = true; // no link rather than a wrong one
    else
        jw_str(w, key, (struct str){text, n + (size_t)more});
}

// The same where the path is a word and an id.
static void link_to(struct jw *w, const char *key, const char *base, const char *path, const char *id) {
    const char *const parts[] = {base, path, id};
    char text[LINK_MAX];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        size_t more = strlen(parts[i]);
        if (more >= sizeof text - n) {
            w->out->failed = true;
            return;
        }
        memcpy(text + n, parts[i], more);
        n += more;
    }
    jw_str(w, key, (struct str){text, n});
}

static void links_begin(struct jw *w) {
    jw_object(w, "_metadata");
    jw_object(w, "links");
}

static void links_end(struct jw *w) {
    jw_end_object(w);
    jw_end_object(w);
}

static void put_money(struct jw *w, const char *price_key, const char *currency_key, const struct money *m) {
    int decimals = currency_decimals(str_of(m->currency));
    jw_money(w, price_key, m->minor, decimals < 0 ? 2 : decimals);
    jw_text(w, currency_key, m->currency);
}

// ---- orders ----

static void put_order_head(struct jw *w, const struct order *o, const char *id) {
    jw_text(w, "id", id);
    jw_text(w, "status", order_state_words[o->state]);
    jw_date(w, "created_date", o->created);
    jw_str_if(w, "reference", o->reference);
}

static void put_failure(struct jw *w, struct str failure) {
    jw_array(w, "messages");
    bool any = false;
    while (str_present(failure)) {
        struct str line;
        failure = str_cut(failure, '\n', &line);
        if (line.n > 0) {
            jw_str(w, NULL, line);
            any = true;
        }
    }
    if (!any)
        jw_text(w, NULL, "the order could not be fulfilled");
    jw_end_array(w);
}

void render_order(struct jw *w, const char *key, struct links l, const struct order *o) {
    char id[UUID_TEXT];
    uuid_format(o->id, id);

    jw_object(w, key);
    put_order_head(w, o, id);
    if (o->state == ORDER_FAILED)
        put_failure(w, o->failure);
    if (o->state != ORDER_COMPLETED) {
        links_begin(w);
        link_to(w, "_self", l.base_url, "/v2/orders/", id);
        links_end(w);
        jw_end_object(w);
        return;
    }

    char iccid[ICCID_TEXT], subscription[LONG_ID_TEXT];
    iccid_format(o->iccid, iccid);
    long_id_format(o->id, subscription);
    bool esim = o->sim_type == SIM_ESIM;
    bool profile = esim && o->matching_id.n > 0 && o->smdp.n > 0;

    jw_object(w, "output");
    if (esim)
        jw_str_if(w, "matching_id", o->matching_id);
    jw_text(w, "iccid", iccid);
    jw_text(w, "subscription_id", subscription);
    jw_end_object(w);

    links_begin(w);
    link_to(w, "_self", l.base_url, "/v2/orders/", id);
    link_to(w, "_sim", l.base_url, "/v2/sims/", iccid);
    link_to(w, "_subscription", l.base_url, "/v2/subscriptions/", subscription);
    if (profile) {
        render_link(w, "_lpa", "", "1$" STR_FMT "$" STR_FMT, STR_ARG(o->smdp), STR_ARG(o->matching_id));
        render_link(w, "_qrcode", l.qr_url, "/LPA:1$" STR_FMT "$" STR_FMT, STR_ARG(o->smdp), STR_ARG(o->matching_id));
        jw_str(w, "_smdp", o->smdp);
    }
    links_end(w);
    jw_end_object(w);
}

void render_order_created(struct jw *w, const char *key, struct links l, const struct order *o) {
    char id[UUID_TEXT];
    uuid_format(o->id, id);

    jw_object(w, key);
    put_order_head(w, o, id);
    jw_object(w, "_metadata");
    static const char *const spellings[] = {"_links", "links"};
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        jw_object(w, spellings[i]);
        link_to(w, "_self", l.base_url, "/v2/orders/", id);
        jw_end_object(w);
    }
    jw_end_object(w);
    jw_end_object(w);
}

// ---- products ----

void render_product(struct jw *w, const char *key, struct links l, const struct product *p) {
    jw_object(w, key);
    jw_text(w, "id", p->public_id);
    jw_str(w, "name", p->name);
    jw_array(w, "sim_type");
    if (p->sim_types & SIM_ESIM)
        jw_text(w, NULL, sim_type_name(SIM_ESIM));
    if (p->sim_types & SIM_PSIM)
        jw_text(w, NULL, sim_type_name(SIM_PSIM));
    jw_end_array(w);
    jw_i64(w, "duration", p->duration);
    jw_text(w, "duration_unit", duration_unit_words[p->duration_unit]);
    jw_i64(w, "data", p->data);
    jw_text(w, "data_unit", data_unit_words[p->data_unit]);
    put_money(w, "price", "price_currency", &p->price);
    jw_str(w, "footprint_code", str_present(p->footprint_code) ? p->footprint_code : STR(""));
    links_begin(w);
    link_to(w, "_self", l.base_url, "/v2/products/", p->public_id);
    links_end(w);
    jw_end_object(w);
}

// ---- SIMs ----

void render_sim(struct jw *w, const char *key, struct links l, const struct sim *s) {
    char iccid[ICCID_TEXT];
    iccid_format(s->iccid, iccid);
    bool esim = s->type == SIM_ESIM;

    jw_object(w, key);
    jw_text(w, "iccid", iccid);
    jw_text(w, "sim_type", sim_type_name(s->type));
    if (esim) {
        jw_text(w, "status", esim_status_words[s->esim]);
        jw_str_if(w, "matching_id", s->matching_id);
        jw_str_if(w, "eid", s->eid);
    }
    jw_date_if(w, "last_modified", s->modified);
    links_begin(w);
    link_to(w, "_self", l.base_url, "/v2/sims/", iccid);
    render_link(w, "_subscriptions", l.base_url, "/v2/subscriptions?iccid=%s", iccid);
    if (esim && s->matching_id.n > 0 && s->smdp.n > 0) {
        render_link(w, "_lpa", "", "LPA:1$" STR_FMT "$" STR_FMT, STR_ARG(s->smdp), STR_ARG(s->matching_id));
        render_link(w, "_qrcode", l.qr_url, "/LPA:1$" STR_FMT "$" STR_FMT, STR_ARG(s->smdp), STR_ARG(s->matching_id));
    }
    links_end(w);
    jw_end_object(w);
}

// ---- subscriptions ----

void render_subscription(struct jw *w, const char *key, struct links l, const struct subscription *s) {
    char id[LONG_ID_TEXT], iccid[ICCID_TEXT];
    long_id_format(s->id, id);
    iccid_format(s->iccid, iccid);

    jw_object(w, key);
    jw_text(w, "id", id);
    jw_str(w, "name", s->name);
    jw_text(w, "sim_id", iccid);
    jw_text(w, "product_id", s->product_public_id);
    jw_date(w, "created_date", s->created);
    jw_date_if(w, "activation_date", s->activation);
    jw_date_if(w, "expiry_date", s->expiry);
    jw_text(w, "status", subscription_state_words[s->state]);
    jw_i64(w, "initial_balance", s->initial_bytes);
    jw_i64(w, "current_balance", s->initial_bytes > s->spent_bytes ? s->initial_bytes - s->spent_bytes : 0);
    // The documentation and its clients differ in the word: both have the value.
    jw_i64(w, "spend_balance", s->spent_bytes);
    jw_i64(w, "spent_balance", s->spent_bytes);
    jw_text(w, "balance_units", "Bytes");
    jw_date_if(w, "balance_as_of", s->balance_as_of);
    put_money(w, "sold_product_price", "sold_product_currency", &s->sold);
    links_begin(w);
    link_to(w, "_self", l.base_url, "/v2/subscriptions/", id);
    link_to(w, "_sim", l.base_url, "/v2/sims/", iccid);
    link_to(w, "_product", l.base_url, "/v2/products/", s->product_public_id);
    if (subscription_can(s, SUB_CUE_ACTIVATE))
        render_link(w, "_activate", l.base_url, "/v2/subscriptions/%s/activate", id);
    if (subscription_can(s, SUB_CUE_EXPIRE))
        render_link(w, "_expire", l.base_url, "/v2/subscriptions/%s/expire", id);
    links_end(w);
    jw_end_object(w);
}

// ---- notification preferences ----

// Always the whole list, also as the answer to PUT: an object with a top-level `type` would look like an error to clients.
void render_preferences(struct jw *w, const char *key, struct links l, iccid_t iccid, const struct sim_notification *list, size_t n) {
    char text[ICCID_TEXT];
    iccid_format(iccid, text);

    jw_object(w, key);
    jw_array(w, "notifications");
    for (size_t i = 0; i < n; i++) {
        jw_object(w, NULL);
        jw_text(w, "type", notification_words[list[i].type]);
        jw_str(w, "webhook_url", list[i].url);
        jw_end_object(w);
    }
    jw_end_array(w);
    links_begin(w);
    render_link(w, "_self", l.base_url, "/v2/sims/%s/preferences", text);
    link_to(w, "_sim", l.base_url, "/v2/sims/", text);
    links_end(w);
    jw_end_object(w);
}
