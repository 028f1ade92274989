// SPDX-License-Identifier: Apache-2.0
/*
 * timers.c - what time does to subscriptions on the real clock: those whose date has come begin, those past their expiry end.
 *
 * In order of their instants, as many in one turn as tasks, so that a million of them due at once let the orders pass between two turns.
 * One that was missed (nobody was running) goes through all that it missed. Sandbox partners' clocks are moved by their own calls.
 */
#include "base/log.h"
#include "engine/inside.h"
#include "store/store_subscription.h"

#define REAL_CLOCK 0
#define MOVES_MAX 4 // begin, wait for usage, end

static bool is_shunned(const struct engine *e, struct uuid id) {
    for (int i = 0; i < e->n_shunned_timers; i++)
        if (uuid_eq(e->shunned_timers[i], id))
            return true;
    return false;
}

static enum err_kind announce(struct turn *t, const struct subscription *s, struct err *err) {
    const struct partner *partner = NULL;
    enum err_kind k = turn_partner(t, s->partner_id, &partner, err);
    if (k)
        return k;
    struct event e = {.partner_id = s->partner_id,
                      .type = event_of_subscription(s->state),
                      .created = partner_now(partner, t->now),
                      .order_id = s->id,
                      .iccid = s->iccid};
    buf_clear(&t->payload);
    event_pack_subscription(&t->payload, s, 0);
    return turn_event(t, &e, err);
}

static enum err_kind fire(struct turn *t, struct subscription *s, struct err *err) {
    for (int moves = 0; wall_set(s->next_at) && s->next_at.ms <= t->now.ms; moves++) {
        enum err_kind k = subscription_move(s, s->state == SUB_PENDING ? SUB_CUE_DATE : SUB_CUE_EXPIRY, t->now, err);
        if (!k && moves == MOVES_MAX)
            k = err_set(err, ERR_CORRUPT, "the subscription's dates go round in a circle");
        if (!k)
            k = announce(t, s, err);
        if (k)
            return k;
    }
    return store_subscription_update(t->tx, s, err);
}

enum err_kind timers_fire(struct turn *t, struct err *err) {
    struct subscription *due;
    size_t n;
    int64_t limit = t->limit + t->e->n_shunned_timers;
    enum err_kind k = store_subscription_due(t->tx, REAL_CLOCK, t->now, limit, &t->arena, &due, &n, err);
    if (k)
        return k;
    for (size_t i = 0; i < n && t->timers < t->limit; i++) {
        if (is_shunned(t->e, due[i].id))
            continue;
        t->at_timer = t->last_timer = due[i].id;
        k = fire(t, &due[i], err);
        if (k)
            return k;
        t->timers++;
    }
    t->at_timer = (struct uuid){{0}};
    if (t->timers == t->limit) {
        t->more = true;
        return ERR_NONE;
    }
    struct wall next;
    k = store_subscription_next_due(t->tx, REAL_CLOCK, &next, err);
    if (!k && wall_set(next) && (!wall_set(t->next) || next.ms < t->next.ms))
        t->next = next;
    return k;
}
