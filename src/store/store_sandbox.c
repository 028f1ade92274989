// SPDX-License-Identifier: Apache-2.0
#include "store/store_sandbox.h"

#include "store/store_event.h"
#include <inttypes.h>
#include <stdio.h>

#include "store/tx.h"

#define NODE_BITS 10

enum err_kind store_sandbox_busy(struct tx *tx, int64_t partner_id, bool *busy, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    int64_t found = 0;
    enum err_kind kind = tx_int(tx, ST_SANDBOX_BUSY, TX_PARAMS(params), &found, err);
    if (!kind)
        *busy = found != 0;
    return kind;
}

// The row's value: until when, and in its last bits which node.
enum err_kind store_sandbox_hold(struct tx *tx, int64_t partner_id, int64_t node, struct wall until, bool *other, struct err *err) {
    char name[32];
    int64_t held = 0;
    CHECK(node > 0 && node < 1 << NODE_BITS);
    snprintf(name, sizeof name, "sandbox %" PRId64, partner_id);
    struct db_value row[] = {db_text(str_of(name))};
    enum err_kind kind = tx_int(tx, ST_SANDBOX_HELD, TX_PARAMS(row), &held, err);
    if (kind)
        return kind;
    *other = (held & ((1 << NODE_BITS) - 1)) != node && held >> NODE_BITS > tx_now(tx).ms;
    struct db_value hold[] = {row[0], db_int(wall_set(until) ? until.ms << NODE_BITS | node : 0)};
    return *other ? ERR_NONE : tx_exec(tx, ST_SANDBOX_HOLD, TX_PARAMS(hold), err);
}

enum err_kind store_sandbox_drop_subscriptions(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(limit)};
    return tx_exec_changed(tx, ST_SANDBOX_DROP_SUBSCRIPTIONS, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_drop_orders(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(limit)};
    enum err_kind kind = tx_exec(tx, ST_SANDBOX_DROP_TASKS, TX_PARAMS(params), err);
    return kind ? kind : tx_exec_changed(tx, ST_SANDBOX_DROP_ORDERS, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_drop_sims(struct tx *tx, int64_t partner_id, iccid_t first, iccid_t last, int64_t limit, int64_t *dropped,
                                      struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(first), db_int(last), db_int(limit)};
    enum err_kind kind = tx_exec(tx, ST_SANDBOX_DROP_NOTIFICATIONS, TX_PARAMS(params), err);
    return kind ? kind : tx_exec_changed(tx, ST_SANDBOX_DROP_SIMS, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_restock_sims(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *restocked, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(limit), db_wall(tx_now(tx))};
    enum err_kind kind = tx_exec(tx, ST_SANDBOX_DROP_PREFERENCES, params, 2, err);
    return kind ? kind : tx_exec_changed(tx, ST_SANDBOX_RESTOCK_SIMS, TX_PARAMS(params), restocked, err);
}

enum err_kind store_sandbox_drop_usage(struct tx *tx, int64_t partner_id, iccid_t first, iccid_t last, int64_t sims, int64_t limit,
                                       int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(first), db_int(last), db_int(sims < 0 ? INT64_MAX : sims), db_int(limit)};
    enum err_kind kind = tx_exec(tx, ST_SANDBOX_DROP_BOOKINGS, TX_PARAMS(params), err);
    return kind ? kind : tx_exec_changed(tx, ST_SANDBOX_DROP_USAGE, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_drop_answers(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(limit)};
    return tx_exec_changed(tx, ST_SANDBOX_DROP_ANSWERS, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_drop_queues(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(limit)};
    return tx_exec_changed(tx, ST_SANDBOX_DROP_QUEUES, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_drop_deliveries(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err) {
    struct db_value params[] = {db_int(partner_id), db_int(limit)};
    return tx_exec_changed(tx, ST_SANDBOX_DROP_DELIVERIES, TX_PARAMS(params), dropped, err);
}

enum err_kind store_sandbox_rewind_webhooks(struct tx *tx, int64_t partner_id, struct err *err) {
    int64_t first = 0, last = 0;
    enum err_kind kind = store_event_range(tx, partner_id, &first, &last, err);
    struct db_value params[] = {db_int(partner_id), db_int(last + 1)};
    tx_news(tx, NEWS_WEBHOOKS);
    return kind ? kind : tx_exec(tx, ST_SANDBOX_REWIND_WEBHOOKS, TX_PARAMS(params), err);
}

enum err_kind store_sandbox_drop_caps(struct tx *tx, int64_t partner_id, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    return tx_exec(tx, ST_SANDBOX_DROP_CAPS, TX_PARAMS(params), err);
}
