// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>

#include "api/contract.h"
#include "api/public.h"
#include "api/state.h"
#include "store/store_order.h"

void start_page_reply(struct call *c) {
    call_body(c, 200, "text/plain; charset=utf-8");
    struct buf *out = &c->x->reply;
    buf_add_text(out, "topupd: an open connectivity-ordering server. This is the Connect API, version 2.\n\n");
    buf_printf(out, "API       " STR_FMT "/v2/orders, /products, /sims, /subscriptions\n", STR_ARG(c->api->base_url));
    buf_printf(out, "Token     POST " STR_FMT "/auth/realms/%s/protocol/openid-connect/token\n", STR_ARG(c->api->origin), c->api->o.realm);
    buf_printf(out, "Health    " STR_FMT "/healthz, /readyz, /metrics\n", STR_ARG(c->api->origin));
    buf_printf(out, "Contract  " STR_FMT "/openapi.json, /admin/openapi.json\n", STR_ARG(c->api->origin));
    if (c->api->o.demo)
        buf_add_text(
            out, "\nThis is a demo: its data is made up and its network is built in. Client id and secret were printed at its start.\n");
}

void contract_reply(struct call *c) {
    call_body(c, 200, "application/json");
    buf_add(&c->x->reply, contract_json, contract_json_size);
}

void admin_contract_reply(struct call *c) {
    call_body(c, 200, "application/json");
    buf_add(&c->x->reply, admin_contract_json, admin_contract_json_size);
}

void healthz_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_text(&w, "status", "ok");
    jw_end_object(&w);
}

enum err_kind readyz_parse(struct call *c, struct err *err) {
    return atomic_load(&c->api->draining) ? err_set(err, ERR_UNAVAILABLE, "draining") : ERR_NONE;
}

enum err_kind readyz_work(struct call *c UNUSED, struct tx *tx, struct err *err) {
    return tx_ping(tx, err);
}

void readyz_reply(struct call *c) {
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_text(&w, "status", "ok");
    jw_end_object(&w);
}

struct metrics_state {
    int64_t orders[4], tasks[7];
};

enum err_kind metrics_work(struct call *c, struct tx *tx, struct err *err) {
    struct metrics_state *m = arena_new(c->arena, struct metrics_state);
    if (!m)
        return err_set(err, ERR_BUSY, "out of memory");
    enum err_kind kind = store_order_counts(tx, m->orders, m->tasks, err);
    if (kind == ERR_NONE)
        c->state = m;
    return kind;
}

void metrics_reply(struct call *c) {
    struct api *api = c->api;
    const struct metrics_state *m = c->state;
    struct store_stats stats;
    store_stats_get(api->o.store, &stats);
    metric_set(api->job_queue, stats.queued);
    metric_set(api->job_batches, stats.batches);
    metric_set(api->longest_batch, stats.longest_us);
    metric_set(api->waiting, (int64_t)waits_count(api->waits));
    for (size_t i = 0; i < ARRAY_LEN(api->orders); i++)
        if (api->orders[i])
            metric_set(api->orders[i], m->orders[i]);
    for (size_t i = 0; i < ARRAY_LEN(api->tasks); i++)
        if (api->tasks[i])
            metric_set(api->tasks[i], m->tasks[i]);
    call_body(c, 200, "text/plain; version=0.0.4; charset=utf-8");
    metrics_render(&c->x->reply);
}
