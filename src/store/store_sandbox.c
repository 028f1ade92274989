// SPDX-License-Identifier: Apache-2.0
#include "store/store_sandbox.h"

#include "store/store_event.h"
#include "store/tx.h"

enum err_kind store_sandbox_busy(struct tx *tx, int64_t partner_id, bool *busy, struct err *err) {
    struct db_value params[] = {db_int(partner_id)};
    int64_t found = 0;
    enum err_kind kind = tx_int(tx, ST_SANDBOX_BUSY, TX_PARAMS(params), &found, err);
    if (!kind)
        *busy = found != 0;
    return kind;
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
    struct db_value params[] = {db_int(partner_id), db_int(first), db_int(last), db_int(sims), db_int(limit)};
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
