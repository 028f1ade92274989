// SPDX-License-Identifier: Apache-2.0
/*
 * admin_sim.c - the SIM stock: looking at it, and giving SIMs to partners. Lists go by cursor: a stock has millions of rows.
 */
#include "api/admin.h"
#include "api/reports.h"
#include "api/resource.h"
#include "life/life.h"
#include "store/store_sim.h"

#define ASSIGN_MAX 10000 // SIMs looked at in one call: one job, one transaction
#define ASSIGN_PAGE 1000

static void put_sim(struct call *c, struct jw *w, const struct sim *s, struct str partner) {
    char iccid[ICCID_TEXT];
    iccid_format(s->iccid, iccid);
    jw_object(w, NULL);
    jw_text(w, "iccid", iccid);
    jw_text(w, "sim_type", sim_type_name(s->type));
    jw_str_if(w, "partner", partner);
    jw_text(w, "service", sim_service_words[s->service]);
    if (s->type == SIM_ESIM)
        jw_text(w, "status", esim_status_words[s->esim]);
    jw_str_if(w, "imsi", s->imsi);
    jw_str_if(w, "msisdn", s->msisdn);
    jw_str_if(w, "eid", s->eid);
    jw_str_if(w, "matching_id", s->matching_id);
    jw_str_if(w, "smdp", s->smdp);
    jw_date_if(w, "activated_date", s->activated);
    jw_date_if(w, "last_modified", s->modified);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    call_link(c, w, "_self", "/admin/v1/sims/%s", iccid);
    call_link(c, w, "_subscriptions", "/admin/v1/subscriptions?iccid=%s", iccid);
    jw_end_object(w);
    jw_end_object(w);
    jw_end_object(w);
}

// ---- GET /admin/v1/sims ----

struct admin_sim_list {
    struct sim_filter filter;
    struct str partner; // as asked
    iccid_t after;
    int64_t size;
    struct sim *sims;
    struct str *names;
    size_t n;
    bool more;
};

enum err_kind admin_sim_list_parse(struct call *c, struct err *err) {
    struct admin_sim_list *s = c->state = arena_new(c->arena, struct admin_sim_list);
    if (!s)
        return call_no_memory(err);
    s->partner = query_str(c, "partner", 64, err);
    int type = query_word(c, "sim_type", sim_type_words, err);
    s->filter.type = type < 0 ? 0 : 1u << type; // the words stand in the order of the bits
    s->filter.service = query_word(c, "service", sim_service_words, err);
    s->after = query_iccid(c, "after", err);
    s->size = query_i64(c, "page_size", 1, PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT, err);
    return err->kind;
}

enum err_kind admin_sim_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_sim_list *s = c->state;
    struct admin_names names = {0};
    enum err_kind kind = ERR_NONE;
    s->filter.partner_id = 0;
    if (str_is(s->partner, "-"))
        s->filter.partner_id = -1; // the general stock
    else if (str_present(s->partner))
        kind = admin_partner_named(c, tx, "partner", s->partner, &s->filter.partner_id, err);
    if (kind == ERR_NONE)
        kind = store_sim_list(tx, &s->filter, s->after, 0, s->size + 1, c->arena, &s->sims, &s->n, err);
    if (kind != ERR_NONE)
        return kind;
    s->more = s->n > (size_t)s->size;
    s->n = s->more ? (size_t)s->size : s->n;
    if (s->n > 0 && !(s->names = arena_array(c->arena, struct str, s->n)))
        return call_no_memory(err);
    for (size_t i = 0; kind == ERR_NONE && i < s->n; i++)
        kind = admin_name_of(c, tx, &names, s->sims[i].partner_id, &s->names[i], err);
    return kind;
}

// The filters as they were asked, for a link; `after` is another.
static void next_link(struct call *c, struct jw *w, const struct admin_sim_list *s, const char *after) {
    struct str type = s->filter.type ? str_of(sim_type_name((enum sim_type)s->filter.type)) : STR_NONE;
    struct str service = s->filter.service >= 0 ? str_of(sim_service_words[s->filter.service]) : STR_NONE;
    call_link(c, w, "_next", "/admin/v1/sims?%s" STR_FMT "%s%s" STR_FMT "%s%s" STR_FMT "%spage_size=%lld&after=%s",
              str_present(s->partner) ? "partner=" : "", STR_ARG(s->partner), str_present(s->partner) ? "&" : "",
              str_present(type) ? "sim_type=" : "", STR_ARG(type), str_present(type) ? "&" : "", str_present(service) ? "service=" : "",
              STR_ARG(service), str_present(service) ? "&" : "", (long long)s->size, after);
}

void admin_sim_list_reply(struct call *c) {
    const struct admin_sim_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        put_sim(c, &w, &s->sims[i], s->names[i]);
    jw_end_array(&w);
    jw_object(&w, "_metadata");
    jw_i64(&w, "page_size", s->size);
    if (s->more) {
        char last[ICCID_TEXT];
        iccid_format(s->sims[s->n - 1].iccid, last);
        jw_text(&w, "next_after", last);
        jw_object(&w, "links");
        next_link(c, &w, s, last);
        jw_end_object(&w);
    }
    jw_end_object(&w);
    jw_end_object(&w);
}

// ---- GET /admin/v1/sims/{iccid} ----

struct admin_sim_get {
    struct sim sim;
    struct str partner;
};

enum err_kind admin_sim_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct admin_sim_get *s = c->state = arena_new(c->arena, struct admin_sim_get);
    struct admin_names names = {0};
    iccid_t iccid;
    if (!s)
        return call_no_memory(err);
    enum err_kind kind = ERR_NOT_FOUND;
    if (iccid_parse(c->params[0], &iccid) == ICCID_OK)
        kind = store_sim_get(tx, iccid, c->arena, &s->sim, err);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "iccid: there is no such SIM");
    return kind == ERR_NONE ? admin_name_of(c, tx, &names, s->sim.partner_id, &s->partner, err) : kind;
}

void admin_sim_get_reply(struct call *c) {
    const struct admin_sim_get *s = c->state;
    struct jw w = call_json(c, 200);
    put_sim(c, &w, &s->sim, s->partner);
}

// ---- POST /admin/v1/sims/assign ----

struct sim_assign {
    struct str partner;
    iccid_t *iccids; // NULL: a range
    size_t n;
    iccid_t from, to;
    int64_t partner_id, assigned, unchanged;
    iccid_t next; // where the next step of a range begins; ICCID_NONE: it is done
};

static iccid_t take_iccid(struct str text, const char *field, size_t index, bool indexed, struct err *err) {
    iccid_t iccid = ICCID_NONE;
    enum iccid_fault fault = iccid_parse(text, &iccid);
    if (fault != ICCID_OK && indexed)
        err_add(err, ERR_INVALID, "%s.%zu: %s", field, index, iccid_fault_text(fault));
    else if (fault != ICCID_OK)
        err_add(err, ERR_INVALID, "%s: %s", field, iccid_fault_text(fault));
    return fault == ICCID_OK ? iccid : ICCID_NONE;
}

static enum err_kind take_list(struct call *c, struct sim_assign *s, json_t *list, struct err *err) {
    s->n = json_array_size(list);
    if (s->n == 0 || s->n > ASSIGN_MAX)
        return err_add(err, ERR_INVALID, "iccids: must be 1 to %d", ASSIGN_MAX);
    if (!(s->iccids = arena_array(c->arena, iccid_t, s->n)))
        return call_no_memory(err);
    for (size_t i = 0; i < s->n; i++) {
        json_t *item = json_array_get(list, i);
        s->iccids[i] = take_iccid(json_is_string(item) ? str_of(json_string_value(item)) : STR_NONE, "iccids", i, true, err);
    }
    return err->kind;
}

enum err_kind admin_sim_assign_parse(struct call *c, struct err *err) {
    struct sim_assign *s = c->state = arena_new(c->arena, struct sim_assign);
    if (!s)
        return call_no_memory(err);
    s->partner = json_take_str(c->body, "", "partner", JSON_REQUIRED, 64, err);
    json_t *list = json_take_array(c->body, "", "iccids", JSON_OPTIONAL, err);
    struct str from = json_take_str(c->body, "", "from", JSON_OPTIONAL, 20, err);
    struct str to = json_take_str(c->body, "", "to", JSON_OPTIONAL, 20, err);
    bool range = str_present(from) || str_present(to);
    if (err->kind == ERR_NONE && (list != NULL) == range)
        return err_add(err, ERR_INVALID, "iccids: either these or both from and to are required");
    if (list)
        return take_list(c, s, list, err);
    if (err->kind != ERR_NONE)
        return err->kind;
    s->from = take_iccid(from, "from", 0, false, err);
    s->to = take_iccid(to, "to", 0, false, err);
    if (err->kind == ERR_NONE && (from.n != to.n || s->from > s->to))
        err_add(err, ERR_INVALID, "to: must be as long as from, and not before it");
    return err->kind;
}

// One SIM. Its fault, when it cannot be given away, is added; others go on, so that all are told.
static enum err_kind assign_one(struct tx *tx, struct sim_assign *s, const struct sim *sim, struct err *err) {
    char text[ICCID_TEXT];
    if (sim->partner_id == s->partner_id) {
        s->unchanged++;
        return ERR_NONE;
    }
    if (sim->service != SIM_STOCK) {
        iccid_format(sim->iccid, text);
        err_add(err, ERR_CONFLICT, "%s: is in service with its partner", text);
        return ERR_NONE;
    }
    s->assigned++;
    return store_sim_assign(tx, sim->iccid, s->partner_id, err);
}

static enum err_kind assign_list(struct call *c, struct tx *tx, struct sim_assign *s, struct err *err) {
    for (size_t i = 0; i < s->n; i++) {
        struct sim sim;
        struct err one = {0};
        enum err_kind kind = store_sim_get(tx, s->iccids[i], c->arena, &sim, &one);
        if (kind == ERR_NOT_FOUND)
            err_add(err, ERR_INVALID, "iccids.%zu: there is no such SIM", i);
        else if (kind != ERR_NONE)
            return err_set(err, kind, "%s", err_first(&one));
        else if ((kind = assign_one(tx, s, &sim, err)) != ERR_NONE)
            return kind;
    }
    return err->kind;
}

static enum err_kind assign_range(struct call *c, struct tx *tx, struct sim_assign *s, struct err *err) {
    const struct sim_filter all = {.service = -1};
    iccid_t after = s->from - 1;
    for (int64_t seen = 0; seen < ASSIGN_MAX; seen += ASSIGN_PAGE) {
        struct sim *sims;
        size_t n;
        // The packed number before the first is no SIM's to name when it is none at all: then the list begins at the start.
        enum err_kind kind = store_sim_list(tx, &all, after < 0 ? ICCID_NONE : after, 0, ASSIGN_PAGE, c->arena, &sims, &n, err);
        for (size_t i = 0; kind == ERR_NONE && i < n; i++) {
            if (sims[i].iccid > s->to)
                return err->kind;
            kind = assign_one(tx, s, &sims[i], err);
            after = sims[i].iccid;
        }
        if (kind != ERR_NONE)
            return kind;
        if (n < ASSIGN_PAGE)
            return err->kind;
    }
    if (after < s->to)
        s->next = after + 1;
    return err->kind;
}

enum err_kind admin_sim_assign_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim_assign *s = c->state;
    s->assigned = s->unchanged = 0;
    s->next = ICCID_NONE;
    enum err_kind kind = admin_partner_named(c, tx, "partner", s->partner, &s->partner_id, err);
    if (kind != ERR_NONE)
        return kind;
    return s->iccids ? assign_list(c, tx, s, err) : assign_range(c, tx, s, err);
}

void admin_sim_assign_reply(struct call *c) {
    const struct sim_assign *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_str(&w, "partner", s->partner);
    jw_i64(&w, "assigned", s->assigned);
    jw_i64(&w, "unchanged", s->unchanged);
    if (s->next != ICCID_NONE) {
        char next[ICCID_TEXT];
        iccid_format(s->next, next);
        jw_text(&w, "next", next);
    }
    jw_end_object(&w);
    if (s->assigned > 0)
        ADMIN_LOG(c, "sims_assigned", LOG_STR("client_id", s->partner), LOG_INT("sims", s->assigned));
}

// ---- POST /admin/v1/sims/{iccid}/download-progress ----

struct sim_progress {
    struct profile_progress progress;
    struct admin_sim_get shown;
};

enum err_kind admin_sim_progress_parse(struct call *c, struct err *err) {
    struct sim_progress *s = c->state = arena_new(c->arena, struct sim_progress);
    if (!s)
        return call_no_memory(err);
    take_progress(c->body, &s->progress, err);
    return err->kind;
}

enum err_kind admin_sim_progress_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim_progress *s = c->state;
    struct sim *sim = &s->shown.sim;
    struct partner partner = {0};
    iccid_t iccid;
    enum err_kind kind = ERR_NOT_FOUND;
    if (iccid_parse(c->params[0], &iccid) == ICCID_OK)
        kind = store_sim_get(tx, iccid, c->arena, sim, err);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "iccid: there is no such SIM");
    if (kind == ERR_NONE && sim->partner_id)
        kind = store_partner_get(tx, sim->partner_id, c->arena, &partner, err);
    if (kind != ERR_NONE)
        return kind;
    s->shown.partner = partner.client_id;
    return life_profile_progress(tx, sim, &s->progress, partner_now(&partner, tx_now(tx)), err);
}

void admin_sim_progress_reply(struct call *c) {
    const struct sim_progress *s = c->state;
    struct jw w = call_json(c, 200);
    put_sim(c, &w, &s->shown.sim, s->shown.partner);
}
