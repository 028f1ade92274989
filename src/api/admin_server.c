// SPDX-License-Identifier: Apache-2.0
/*
 * admin_server.c - the server's own affairs: its signing keys, and how it does.
 */
#include "api/admin.h"
#include "api/resource.h"
#include "core/order.h"
#include "core/task.h"
#include "store/store_node.h"
#include "store/store_order.h"

// ---- POST /admin/v1/keys/rotate ----

enum err_kind admin_key_rotate_work(struct call *c, struct tx *tx, struct err *err) {
    struct str *kid = c->state = arena_new(c->arena, struct str);
    return kid ? auth_rotate_key(api_settings(c->api)->auth, tx, kid, c->arena, err) : call_no_memory(err);
}

void admin_key_rotate_reply(struct call *c) {
    const struct str *kid = c->state;
    struct jw w = call_json(c, 201);
    jw_object(&w, NULL);
    jw_str(&w, "kid", *kid);
    jw_end_object(&w);
    ADMIN_LOG(c, "key_rotated", LOG_STR("kid", *kid));
}

// ---- GET /admin/v1/status ----

struct status {
    int64_t orders[4], tasks[7];
    struct node_row *nodes;
    size_t n_nodes;
};

enum err_kind admin_status_work(struct call *c, struct tx *tx, struct err *err) {
    struct status *s = c->state = arena_new(c->arena, struct status);
    enum err_kind kind = s ? store_order_counts(tx, s->orders, s->tasks, err) : call_no_memory(err);
    return kind ? kind : store_node_list(tx, c->arena, &s->nodes, &s->n_nodes, err);
}

// Those that share the store. A node that has a store for itself has no such row.
static void put_nodes(struct jw *w, const struct status *s, struct wall now) {
    jw_array(w, "nodes");
    for (size_t i = 0; i < s->n_nodes; i++) {
        const struct node_row *n = &s->nodes[i];
        if (n->lease_until.ms <= now.ms)
            continue;
        struct str host;
        str_cut(n->name, ' ', &host);
        jw_object(w, NULL);
        jw_i64(w, "node", n->number);
        jw_str(w, "host", host);
        jw_text(w, "role", node_role_words[n->role]);
        jw_date(w, "started_date", n->started);
        jw_date(w, "lease_until", n->lease_until);
        jw_end_object(w);
    }
    jw_end_array(w);
}

void admin_status_reply(struct call *c) {
    const struct status *s = c->state;
    struct store_stats stats;
    store_stats_get(api_settings(c->api)->store, &stats);
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_text(&w, "version", TOPUP_VERSION);
    jw_date(&w, "now", c->now);
    jw_i64(&w, "node", api_settings(c->api)->node);
    // What is not finished; finished ones are history, not work.
    jw_object(&w, "orders");
    for (int i = 0; i < 4; i++)
        if (!order_finished((enum order_state)i))
            jw_i64(&w, order_state_words[i], s->orders[i]);
    jw_end_object(&w);
    jw_object(&w, "tasks");
    for (int i = 0; i < 7; i++)
        if (!task_finished((enum task_state)i))
            jw_i64(&w, task_state_words[i], s->tasks[i]);
    jw_end_object(&w);
    jw_object(&w, "store");
    jw_i64(&w, "jobs_waiting", stats.queued);
    jw_i64(&w, "jobs", stats.jobs);
    jw_i64(&w, "batches", stats.batches);
    jw_i64(&w, "last_batch_jobs", stats.last_batch_jobs);
    jw_i64(&w, "last_commit_us", stats.last_commit_us);
    jw_end_object(&w);
    put_nodes(&w, s, c->now);
    jw_end_object(&w);
}
