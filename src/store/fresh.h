// SPDX-License-Identifier: Apache-2.0
/*
 * fresh.h - orders of the transaction at hand that are not written yet. Private to store/.
 *
 * An order that is accepted and carried out in one transaction (store_at_end) would be written, read, changed, and its tasks written and
 * removed again. So the writer holds such an order in memory, with its tasks and its subscription, and writes once what has become of
 * it: before the commit, and before any statement that could see or touch those rows (fresh_is_aside). The verbs of orders, tasks and
 * subscriptions look here first.
 *
 * Nothing is ever acknowledged from here: what is here belongs to a transaction that is not committed.
 */
#ifndef STORE_FRESH_H
#define STORE_FRESH_H

#include "base/arena.h"
#include "core/order.h"
#include "core/subscription.h"
#include "core/task.h"
#include "store/recent.h"
#include "store/statements.h"

struct fresh_order {
    struct order order;
    struct task tasks[PLAN_MAX]; // by step
    int n_tasks;
    unsigned gone; // bits: tasks that were removed
    struct subscription subscription;
    bool has_subscription;
};

#define FRESH_MAX 1024  // orders; when there are more they are written earlier
#define FRESH_AT_ONCE 8 // rows of ST_ORDER_INSERT_MANY and ST_SUBSCRIPTION_INSERT_MANY: a statement's own cost is shared
struct fresh_link;
struct fresh {
    bool on; // new orders are kept here
    struct fresh_order *list;
    size_t n;
    struct fresh_link *links;
    size_t n_links;
    uint32_t *heads;
    struct arena texts;
};

void fresh_init(struct fresh *f);
void fresh_release(struct fresh *f);
void fresh_clear(struct fresh *f);

// Rows are copied with their texts. False: no room; then nothing has changed.
NODISCARD bool fresh_add(struct fresh *f, const struct order *o);
struct fresh_order *fresh_find(const struct fresh *f, const struct uuid *id); // NULL: not here
NODISCARD bool fresh_set_order(struct fresh *f, struct fresh_order *at, const struct order *o);
NODISCARD bool fresh_set_task(struct fresh *f, struct fresh_order *at, const struct task *t); // one more, or another state of one
// False, too: it is not of the order's SIM and product.
NODISCARD bool fresh_set_subscription(struct fresh *f, struct fresh_order *at, const struct subscription *s);
struct fresh_order *fresh_by_reference(const struct fresh *f, int64_t partner_id, struct str reference);
// Those of a SIM, one after the other: NULL to begin with.
struct fresh_order *fresh_on_sim(const struct fresh *f, iccid_t iccid, const struct fresh_order *after);
// The first of an order's tasks that is not finished; NULL: none.
const struct task *fresh_open_task(const struct fresh_order *at);

extern const struct recent_layout order_layout; // which members of an order are texts; store_order.c
void fresh_copy_order(const struct order *from, struct arena *a, struct order *out);
void fresh_copy_task(const struct task *from, struct arena *a, struct task *out);

// Whether a statement neither sees nor touches what is kept here, or is used by a verb that looks here, too.
bool fresh_is_aside(enum statement st);

#endif
