// SPDX-License-Identifier: Apache-2.0
#include "api/sims.h"

#include "api/resource.h"
#include "life/life.h"
#include "render/render.h"
#include "store/store_sim.h"

#define COUNT_AHEAD 10000 // page_count is exact up to so many SIMs beyond the page

// ---- GET /v2/sims ----

struct sim_list {
    struct page page;
    struct sim_filter filter;
    struct sim *sims;
    size_t n;
};

enum err_kind sim_list_parse(struct call *c, struct err *err) {
    struct sim_list *s = arena_new(c->arena, struct sim_list);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    page_parse(c, &s->page, err);
    s->filter = (struct sim_filter){.partner_id = c->partner.id, .service = SIM_ACTIVE};
    return err->kind;
}

enum err_kind sim_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim_list *s = c->state;
    enum err_kind kind = store_sim_count(tx, &s->filter, page_offset(&s->page) + COUNT_AHEAD, &s->page.total, err);
    if (kind != ERR_NONE)
        return kind;
    return store_sim_list(tx, &s->filter, ICCID_NONE, page_offset(&s->page), s->page.size, c->arena, &s->sims, &s->n, err);
}

void sim_list_reply(struct call *c) {
    struct sim_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++)
        render_sim(&w, NULL, links_of(c->api), &s->sims[i]);
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- GET /v2/sims/{iccid} ----

enum err_kind sim_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim *s = arena_new(c->arena, struct sim);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    return call_sim(c, tx, s, err);
}

void sim_get_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    render_sim(&w, NULL, links_of(c->api), c->state);
}

// ---- PUT /v2/sims/{iccid} ----

struct sim_put {
    struct str eid;
    struct sim sim;
};

enum err_kind sim_put_parse(struct call *c, struct err *err) {
    struct sim_put *s = arena_new(c->arena, struct sim_put);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    s->eid = json_take_str(c->body, "", "eid", JSON_REQUIRED, 64, err);
    if (str_present(s->eid) && s->eid.n > 0 && !eid_valid(s->eid))
        err_add(err, ERR_INVALID, "eid: must be 32 digits beginning with 89");
    return err->kind;
}

enum err_kind sim_put_work(struct call *c, struct tx *tx, struct err *err) {
    struct sim_put *s = c->state;
    struct sim *sim = &s->sim;
    enum err_kind kind = call_sim(c, tx, sim, err);
    if (kind != ERR_NONE)
        return kind;
    return life_profile_eid(tx, sim, s->eid, partner_now(&c->partner, tx_now(tx)), err);
}

void sim_put_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    render_sim(&w, NULL, links_of(c->api), &((struct sim_put *)c->state)->sim);
}
