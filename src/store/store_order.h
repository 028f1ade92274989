// SPDX-License-Identifier: Apache-2.0
/*
 * store_order.h - orders and their tasks.
 *
 * Orders are clustered by (partner, id): an order id carries its partner's number (base/id.h), so an id alone finds its row.
 */
#ifndef STORE_STORE_ORDER_H
#define STORE_STORE_ORDER_H

#include "core/order.h"
#include "core/task.h"
#include "store/store.h"

NODISCARD enum err_kind store_order_get(struct tx *tx, struct uuid id, struct arena *a, struct order *out, struct err *err);
NODISCARD enum err_kind store_order_by_reference(struct tx *tx, int64_t partner_id, struct str reference, struct arena *a,
                                                 struct order *out, struct err *err);
NODISCARD enum err_kind store_order_insert(struct tx *tx, const struct order *o, struct err *err); // ERR_CONFLICT: the reference is taken
// Writes state, iccid, matching id, smdp, failure and finished; the rest of an order never changes.
NODISCARD enum err_kind store_order_update(struct tx *tx, const struct order *o, struct err *err);

struct order_filter {
    int64_t partner_id;        // 0: all partners (operator)
    int state;                 // enum order_state; -1: all
    iccid_t iccid;             // ICCID_NONE: all
    struct str correlation_id; // STR_NONE: all
    struct str reference;
    struct wall before, after; // on created: strictly before / after; WALL_NONE: open
};
// Newest first. *total (may be NULL) is exact up to 10,000 rows beyond the page. A correlation id is looked for among the newest
// ORDER_LIST_RECENT orders of the range that `before` and `after` leave: move the range to look further back.
#define ORDER_LIST_RECENT 100000
NODISCARD enum err_kind store_order_list(struct tx *tx, const struct order_filter *f, int64_t offset, int64_t limit, struct arena *a,
                                         struct order **out, size_t *n, int64_t *total, struct err *err);

// ---- tasks ----
NODISCARD enum err_kind store_task_insert(struct tx *tx, const struct task *t, struct err *err);
NODISCARD enum err_kind store_task_update(struct tx *tx, const struct task *t, struct err *err);
// Adds lines to what is kept of its calls (task_attempt_put), and reads them: STR_NONE when there are none.
NODISCARD enum err_kind store_task_tell(struct tx *tx, int64_t id, struct str lines, struct err *err);
NODISCARD enum err_kind store_task_history(struct tx *tx, int64_t id, struct arena *a, struct str *out, struct err *err);
NODISCARD enum err_kind store_task_delete(struct tx *tx, const struct task *t, struct err *err); // by its id
NODISCARD enum err_kind store_task_get(struct tx *tx, int64_t id, struct arena *a, struct task *out, struct err *err);
// All of an order, by step.
NODISCARD enum err_kind store_task_of_order(struct tx *tx, struct uuid order_id, struct arena *a, struct task **out, size_t *n,
                                            struct err *err);
// Of one lane and kind: READY and due, or CLAIMED with the lease run out, in order of the instant at which they became so, then id. One by
// one, because the tasks that wait for a peer that is full or away must not stand before the others.
NODISCARD enum err_kind store_task_due(struct tx *tx, enum task_lane lane, enum task_kind kind, struct wall now, int64_t limit,
                                       struct arena *a, struct task **out, size_t *n, struct err *err);
// The next instant at which store_task_due will find something of that lane and kind; WALL_NONE: nothing waits.
NODISCARD enum err_kind store_task_next_due(struct tx *tx, enum task_lane lane, enum task_kind kind, struct wall *out, struct err *err);
// What is CLAIMED by this node has its lease run out at `now`: a node that starts is not calling anybody yet.
NODISCARD enum err_kind store_task_drop_leases(struct tx *tx, int64_t lease_owner, struct wall now, int64_t *dropped, struct err *err);
// The oldest task on a SIM that is not finished (any order's); ERR_NOT_FOUND: the SIM is free. Tells the engine whom to unblock when
// an order has finished.
NODISCARD enum err_kind store_task_first_open(struct tx *tx, iccid_t iccid, struct arena *a, struct task *out, struct err *err);
// For what store_at_end runs: the i-th order that was accepted in this transaction, by the first of its tasks that is not finished (state
// DONE: it has none left). ERR_NOT_FOUND: there are no more. The task's texts hold until it is changed.
NODISCARD enum err_kind store_order_fresh(struct tx *tx, size_t i, struct task *out);
NODISCARD enum err_kind store_order_counts(struct tx *tx, int64_t by_state[4], int64_t tasks_by_state[7],
                                           struct err *err); // for gauges; finished orders are not counted (0)

#endif
