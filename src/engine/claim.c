// SPDX-License-Identifier: Apache-2.0
/*
 * claim.c - the turn's second part: what is due and has a peer with room is claimed, or, for an inline peer, done on the spot.
 */
#include <stdio.h>

#include "core/event.h"
#include "core/sandbox.h"
#include "engine/inside.h"
#include "store/store_sim.h"

int peer_of(const struct engine *e, const struct task *task) {
    if (str_present(task->peer)) {
        for (int i = 0; i < e->n_peers; i++)
            if (str_is(task->peer, e->peers[i].p->name))
                return i;
        // Who was asked before must be asked again, unless nothing can have happened there.
        if (task->verb != TASK_START || task->state == TASK_CLAIMED)
            return -1;
    }
    return e->route[task->lane][task->kind];
}

enum err_kind claim_prepare(struct turn *t, struct hand *h, int i, bool *ok, struct err *err) {
    struct task *task = &h->tasks[i];
    struct order *o = &h->order;
    *ok = true;
    if (o->operation != OP_ACTIVATION || o->state != ORDER_ACCEPTED || task->verb != TASK_START)
        return ERR_NONE;
    if (o->iccid != ICCID_NONE) {
        enum err_kind k = hand_sim(t, h, err);
        if (k || h->sim.service != SIM_STOCK)
            return k;
    } else {
        // What a partner rehearses never touches the operator's stock.
        bool sandbox = task->lane != LANE_LIVE;
        enum err_kind k = ERR_NOT_FOUND;
        if (!sandbox || sandbox_of_order(h->partner, o) != SANDBOX_NO_PROFILE)
            k = store_sim_take_profile(t->tx, o->partner_id, sandbox, &t->scratch, &h->sim, err);
        if (k == ERR_NOT_FOUND) {
            err_clear(err);
            *ok = false;
            o->failure = STR("no eSIM profile in stock");
            task->state = TASK_REFUSED;
            task->outcome = OUTCOME_REFUSED;
            task->note = o->failure;
            task->settled = t->now;
            for (int j = i + 1; j < h->n; j++)
                task_undo(&h->tasks[j], t->now);
            h->dirty |= (1U << h->n) - 1;
            return hand_fail(t, h, err);
        }
        if (k)
            return k;
        h->has_sim = true;
        o->iccid = h->sim.iccid;
        o->matching_id = h->sim.matching_id;
        o->smdp = h->sim.smdp;
        h->order_dirty = true;
        for (int j = 0; j < h->n; j++)
            h->tasks[j].iccid = o->iccid;
        h->dirty |= (1U << h->n) - 1;
    }
    if (!sim_service_may(h->sim.service, SIM_ACTIVATING))
        return err_set(err, ERR_CORRUPT, "a SIM that is %s cannot be activated", sim_service_words[h->sim.service]);
    h->sim.service = SIM_ACTIVATING;
    h->sim.modified = h->partner_now;
    return store_sim_update(t->tx, &h->sim, err);
}

// The sim's texts, as long as the turn lives: the order's scratch memory does not.
static void keep_sim(struct turn *t, struct sim *s) {
    s->imsi = arena_str(&t->arena, s->imsi);
    s->msisdn = arena_str(&t->arena, s->msisdn);
    s->eid = arena_str(&t->arena, s->eid);
    s->matching_id = arena_str(&t->arena, s->matching_id);
    s->smdp = arena_str(&t->arena, s->smdp);
}

enum err_kind claim_task(struct turn *t, struct hand *h, int i, int peer, struct err *err) {
    struct task *task = &h->tasks[i];
    enum err_kind k = hand_sim(t, h, err);
    if (k)
        return k;
    if (h->order.state == ORDER_ACCEPTED) {
        h->order.state = ORDER_FULFILLING;
        h->order_dirty = true;
        struct event e = {h->order.partner_id, 0, EVENT_ORDER_FULFILLING, h->partner_now, h->order.id, h->order.iccid, STR_NONE};
        buf_clear(&t->payload);
        struct order_was was = order_was_in(ORDER_ACCEPTED);
        event_pack_order(&t->payload, &h->order, &was);
        k = turn_event(t, &e, err);
        if (k)
            return k;
    }
    task->peer = str_of(t->e->peers[peer].p->name);
    t->room[peer]--;

    struct planned *p = &t->planned[t->n_planned++]; // no more than there is room at the peers
    *p = (struct planned){.claim = {task->id, task->attempts, task->lease_until},
                          .peer = peer,
                          .request = {.task_id = task->id,
                                      .order_id = task->order_id,
                                      .kind = task->kind,
                                      .verb = task->verb,
                                      .sim = h->sim,
                                      .attempt = task->attempts,
                                      .behaviour = sandbox_of_order(h->partner, &h->order)}};
    keep_sim(t, &p->request.sim);
    char id[UUID_TEXT];
    uuid_format(task->order_id, id);
    snprintf(p->request.identity, sizeof(p->request.identity), "%s-%d", id, task->step);
    return arena_failed(&t->arena) ? err_set(err, ERR_INTERNAL, "the job's memory is used up") : ERR_NONE;
}

static bool is_shunned(const struct engine *e, int64_t id) {
    for (int i = 0; i < e->n_shunned; i++)
        if (e->shunned[i] == id)
            return true;
    return false;
}

enum err_kind claim_one(struct turn *t, const struct task *due, struct err *err) {
    if (t != &t->e->at_once && is_shunned(t->e, due->id)) // of the engine's thread, and never fresh
        return ERR_NONE;
    t->at = t->last = (struct claim){.task_id = due->id};
    arena_reset(&t->scratch);
    struct hand h;
    enum err_kind k = hand_take(t, due, &h, err);
    if (k)
        return k;
    const struct task *task = &h.tasks[due->step];
    if (task->state != due->state || task->attempts != due->attempts)
        return ERR_NONE; // this very job has moved it on since it was listed
    k = hand_go_on(t, &h, due->step, err);
    return k ? k : hand_put(t, &h, err);
}

// How many tasks of this lane and kind may be begun now.
static int room_for(const struct turn *t, int lane, int kind) {
    int peer = t->e->route[lane][kind];
    if (t->e->peers[peer].p->ops->is_inline)
        return t->budget;
    return t->room[peer] < t->budget ? t->room[peer] : t->budget;
}

enum err_kind claim_due(struct turn *t, struct err *err) {
    enum err_kind k = ERR_NONE;
    // An order that ends releases the next on its SIM: it is due in this very job.
    do {
        t->released = 0;
        for (int q = 0; q < ENGINE_QUEUES && !k; q++) {
            int queue = (t->start_queue + q) % ENGINE_QUEUES, lane = queue / TASK_KINDS, kind = queue % TASK_KINDS;
            int limit = room_for(t, lane, kind);
            struct task *due;
            size_t n;
            if (limit <= 0)
                continue;
            t->at = (struct claim){0};
            // Those that cannot even be parked stand in the way of nobody.
            k = store_task_due(t->tx, (enum task_lane)lane, (enum task_kind)kind, t->now, limit + t->e->n_shunned, &t->arena, &due, &n,
                               err);
            for (size_t i = 0; !k && i < n && t->budget > 0; i++)
                k = claim_one(t, &due[i], err);
        }
    } while (!k && t->released > 0 && t->budget > 0);
    if (k)
        return k;
    if (t->budget <= 0)
        t->more = true;
    t->at = (struct claim){0};
    for (int queue = 0; queue < ENGINE_QUEUES && !k; queue++) {
        int lane = queue / TASK_KINDS, kind = queue % TASK_KINDS;
        struct wall next;
        if (room_for(t, lane, kind) <= 0)
            continue; // an outcome, or the end of a pause, makes room
        k = store_task_next_due(t->tx, (enum task_lane)lane, (enum task_kind)kind, &next, err);
        if (!k && wall_set(next) && (!wall_set(t->next) || next.ms < t->next.ms))
            t->next = next;
    }
    return k;
}
