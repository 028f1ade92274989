// SPDX-License-Identifier: Apache-2.0
#include "store/store_node.h"

#include "store/tx.h"

const char *const node_role_words[] = {"all", "api", "engine", NULL};

static void read_node(struct row *r, void *out) {
    struct node_row *n = out;
    n->number = row_int_in(r, 1, NODE_NUMBER_MAX);
    n->instance = row_int(r);
    n->name = row_str(r);
    n->role = (enum node_role)row_int_in(r, NODE_ALL, NODE_ENGINE);
    n->started = row_wall(r);
    n->lease_until = row_wall(r);
}

enum err_kind store_node_list(struct tx *tx, struct arena *a, struct node_row **out, size_t *n, struct err *err) {
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_NODE_LIST, NULL, 0, read_node, a, sizeof **out, 0, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

// A write that must have found its row.
static enum err_kind write_ours(struct tx *tx, enum statement st, const struct db_value *params, size_t n, int64_t number, const char *why,
                                struct err *err) {
    int64_t changed = 0;
    enum err_kind kind = tx_exec_changed(tx, st, params, n, &changed, err);
    if (!kind && !changed)
        kind = err_set(err, ERR_CONFLICT, "node %lld: %s", (long long)number, why);
    return kind;
}

enum err_kind store_node_take(struct tx *tx, const struct node_row *node, struct err *err) {
    struct db_value params[] = {db_int(node->number),     db_int(node->instance),       db_text(node->name),  db_int(node->role),
                                db_int(node->started.ms), db_int(node->lease_until.ms), db_int(tx_now(tx).ms)};
    return write_ours(tx, ST_NODE_TAKE, TX_PARAMS(params), node->number, "another process has this number", err);
}

static const char *const lost = "the number has gone to another process";

enum err_kind store_node_renew(struct tx *tx, int64_t number, int64_t instance, struct wall lease_until, struct err *err) {
    struct db_value params[] = {db_int(number), db_int(instance), db_int(lease_until.ms)};
    return write_ours(tx, ST_NODE_RENEW, TX_PARAMS(params), number, lost, err);
}

enum err_kind store_node_give_back(struct tx *tx, int64_t number, int64_t instance, struct err *err) {
    struct db_value params[] = {db_int(number), db_int(instance), db_int(0)};
    return write_ours(tx, ST_NODE_RENEW, TX_PARAMS(params), number, lost, err);
}

enum err_kind store_node_hold(struct tx *tx, int64_t number, int64_t instance, struct err *err) {
    struct db_value params[] = {db_int(number)};
    int64_t holder = 0;
    enum err_kind kind = tx_int(tx, ST_NODE_HOLD, TX_PARAMS(params), &holder, err);
    if ((!kind && holder != instance) || kind == ERR_NOT_FOUND)
        return err_set(err, ERR_CONFLICT, "node %lld: %s", (long long)number, lost);
    return kind;
}

enum err_kind store_rate_take(struct tx *tx, int64_t partner_id, struct str bucket, int64_t node, int64_t window, int64_t wanted,
                              int64_t limit, int64_t *granted, int64_t *taken, struct err *err) {
    struct db_value add[] = {db_int(partner_id), db_text(bucket), db_int(node), db_int(window), db_int(wanted)};
    struct db_value sum[] = {db_int(partner_id), db_text(bucket), db_int(window)};
    int64_t all = 0;
    enum err_kind kind = tx_exec(tx, ST_RATE_ADD, TX_PARAMS(add), err);
    if (!kind)
        kind = tx_int(tx, ST_RATE_SUM, TX_PARAMS(sum), &all, err);
    int64_t over = all - limit;
    over = over < 0 ? 0 : over < wanted ? over : wanted;
    if (!kind && over) {
        add[4] = db_int(-over);
        kind = tx_exec(tx, ST_RATE_ADD, TX_PARAMS(add), err);
    }
    if (kind)
        return kind;
    *granted = wanted - over;
    *taken = all - over;
    return ERR_NONE;
}
