// SPDX-License-Identifier: Apache-2.0
#include "api/order_place.h"

#include "base/date.h"
#include "core/event.h"
#include "core/sandbox.h"
#include "store/store_event.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

// The caps count by the partner's UTC day and month: 20261123 and 202611.
struct cap_periods {
    int64_t day, month;
};
static struct cap_periods cap_periods_of(struct wall now) {
    struct civil c = civil_of(now);
    int64_t month = (int64_t)c.year * 100 + c.month;
    return (struct cap_periods){month * 100 + c.day, month};
}

// Everything the rules and the writing need. `world` points into it.
struct look {
    struct product product;
    struct sim sim;
    struct cap_periods periods;
    struct order_world world;
};

// What does not exist is no failure of a look-up: the rules say what it means.
static enum err_kind found(enum err_kind kind, bool *there, struct err *scratch, struct err *err) {
    *there = kind == ERR_NONE;
    if (kind == ERR_NONE || kind == ERR_NOT_FOUND)
        return ERR_NONE;
    return err_set(err, kind, "%s", err_first(scratch));
}

static enum err_kind look_up(struct tx *tx, struct arena *a, const struct partner *partner, const struct order *o, struct look *k,
                             struct err *err) {
    struct err scratch;
    bool there;
    enum err_kind kind;

    *k = (struct look){.world = {.partner = partner, .now = partner_now(partner, tx_now(tx))}};
    k->periods = cap_periods_of(k->world.now);

    if (o->product_public_id[0]) {
        err_clear(&scratch);
        kind = store_product_by_public_id(tx, partner->id, str_of(o->product_public_id), a, &k->product, &scratch);
        if ((kind = found(kind, &there, &scratch, err)) != ERR_NONE)
            return kind;
        k->world.product = there ? &k->product : NULL;
    }
    if (o->iccid != ICCID_NONE) {
        err_clear(&scratch);
        kind = store_sim_get(tx, o->iccid, a, &k->sim, &scratch);
        if ((kind = found(kind, &there, &scratch, err)) != ERR_NONE)
            return kind;
        k->world.sim = there ? &k->sim : NULL;
    }
    if (str_present(o->reference)) {
        struct order other;
        err_clear(&scratch);
        kind = store_order_by_reference(tx, partner->id, o->reference, a, &other, &scratch);
        if ((kind = found(kind, &k->world.reference_taken, &scratch, err)) != ERR_NONE)
            return kind;
    }
    if (k->world.sim) {
        int64_t open_orders, open_subscriptions;
        if ((kind = store_sim_open(tx, o->iccid, &open_orders, &open_subscriptions, err)) != ERR_NONE)
            return kind;
        k->world.sim_has_open_order = open_orders > 0;
        k->world.open_subscriptions = open_orders + open_subscriptions;
    }
    if (o->operation == OP_ACTIVATION && partner->cap_day > 0) {
        if ((kind = store_cap_get(tx, partner->id, k->periods.day, &k->world.activations_today, err)) != ERR_NONE)
            return kind;
    }
    if (o->operation == OP_ACTIVATION && partner->cap_month > 0) {
        if ((kind = store_cap_get(tx, partner->id, k->periods.month, &k->world.activations_this_month, err)) != ERR_NONE)
            return kind;
    }
    return ERR_NONE;
}

static enum err_kind insert_tasks(struct tx *tx, const struct partner *partner, const struct order *o, bool ahead, struct err *err) {
    enum task_lane lane = order_lane(partner, o);
    enum task_kind plan[PLAN_MAX];
    int steps = order_plan(o, plan);
    for (int i = 0; i < steps; i++) {
        struct task t = {
            .id = tx_number(tx),
            .order_id = o->id,
            .partner_id = o->partner_id,
            .iccid = o->iccid,
            .step = i,
            .kind = plan[i],
            .lane = lane,
            .state = i == 0 && !ahead ? TASK_READY : TASK_BLOCKED,
            .verb = TASK_START,
            .due_at = tx_now(tx),
            .lease_until = WALL_NONE,
            .started = WALL_NONE,
            .settled = WALL_NONE,
        };
        enum err_kind kind = store_task_insert(tx, &t, err);
        if (kind != ERR_NONE)
            return kind;
    }
    return ERR_NONE;
}

static enum err_kind announce(struct tx *tx, const struct order *o, struct err *err) {
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    event_pack_order(&payload, o, NULL);
    enum err_kind kind;
    if (payload.failed) {
        kind = err_set(err, ERR_INTERNAL, "no memory for the order's event");
    } else {
        struct event e = {
            .partner_id = o->partner_id,
            .type = event_of_order(o->state),
            .created = o->created,
            .order_id = o->id,
            .iccid = o->iccid,
            .payload = buf_str(&payload),
        };
        kind = store_event_append(tx, &e, err);
    }
    buf_release(&payload);
    return kind;
}

static enum err_kind accept(struct tx *tx, const struct partner *partner, struct look *k, struct order *o, struct err *err) {
    enum err_kind kind;

    o->id = tx_new_id(tx, partner->id);
    o->partner_id = partner->id;
    o->state = ORDER_ACCEPTED;
    o->product_id = k->product.id;
    o->created = k->world.now;
    o->finished = WALL_NONE;
    if (k->world.sim && k->sim.type == SIM_ESIM) { // a top-up: the answer shows the profile it went to
        o->matching_id = k->sim.matching_id;
        o->smdp = k->sim.smdp;
    }
    if ((kind = store_order_insert(tx, o, err)) != ERR_NONE)
        return kind;
    if ((kind = insert_tasks(tx, partner, o, k->world.sim_has_open_order, err)) != ERR_NONE)
        return kind;
    if (o->operation == OP_ACTIVATION) {
        if (k->world.sim) {
            CHECK(sim_service_may(k->sim.service, SIM_ACTIVATING));
            k->sim.service = SIM_ACTIVATING;
            k->sim.modified = k->world.now;
            if ((kind = store_sim_update(tx, &k->sim, err)) != ERR_NONE)
                return kind;
        }
        // Counted without a cap, too: one that is set in the middle of a month knows of the days before.
        if ((kind = store_cap_add(tx, partner->id, k->periods.day, 1, err)) != ERR_NONE)
            return kind;
        if ((kind = store_cap_add(tx, partner->id, k->periods.month, 1, err)) != ERR_NONE)
            return kind;
    }
    if ((kind = announce(tx, o, err)) != ERR_NONE)
        return kind;
    return ERR_NONE;
}

enum err_kind order_place(struct tx *tx, struct arena *a, const struct partner *partner, struct order *o, struct err *err) {
    struct look k;
    enum err_kind kind = look_up(tx, a, partner, o, &k, err);
    if (kind != ERR_NONE)
        return kind;
    order_rules_world(o, &k.world, err);
    if (err->kind != ERR_NONE)
        return err->kind;
    return accept(tx, partner, &k, o, err);
}
