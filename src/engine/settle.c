// SPDX-License-Identifier: Apache-2.0
/*
 * settle.c - what an outcome means for its order: the next step, the way back, or the end with all that belongs to it.
 *
 * Everything here runs inside a turn's job, maybe more than once: no effect but on the transaction and on the turn's own memory. An order
 * is taken in hand, moved in memory as far as it goes, and written back once.
 */
#include <stdio.h>

#include "base/date.h"
#include "base/log.h"
#include "core/event.h"
#include "engine/inside.h"
#include "store/store_event.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "store/store_subscription.h"

// What could not be done, as the partner is told.
static const char *const failure_words[TASK_KINDS] = {
    [TASK_PROFILE_RESERVE] = "the eSIM profile could not be reserved",
    [TASK_NETWORK_ENABLE] = "the network could not enable the SIM",
    [TASK_PROFILE_RELEASE] = "the eSIM profile could not be released",
    [TASK_ALLOWANCE_ADD] = "the allowance could not be added",
};

// A row that another row points to is not there: the store has lost something.
static enum err_kind lost(enum err_kind k, const char *what, struct err *err) {
    return k == ERR_NOT_FOUND ? err_set(err, ERR_CORRUPT, "%s is not in the store", what) : k;
}

static enum err_kind no_memory(struct err *err) {
    return err_set(err, ERR_INTERNAL, "the job's memory is used up");
}

// ---- what is read again and again within one job ----

enum err_kind turn_partner(struct turn *t, int64_t id, const struct partner **out, struct err *err) {
    const struct partner **slot = &t->partners[id & (CACHE_SLOTS - 1)];
    if (!*slot || (*slot)->id != id) {
        struct partner *p = arena_new(&t->arena, struct partner);
        if (!p)
            return no_memory(err);
        enum err_kind k = store_partner_get(t->tx, id, &t->arena, p, err);
        if (k)
            return lost(k, "the partner", err);
        *slot = p;
    }
    *out = *slot;
    return ERR_NONE;
}

static enum err_kind turn_product(struct turn *t, int64_t id, const struct product **out, struct err *err) {
    const struct product **slot = &t->products[id & (CACHE_SLOTS - 1)];
    if (!*slot || (*slot)->id != id) {
        struct product *p = arena_new(&t->arena, struct product);
        if (!p)
            return no_memory(err);
        enum err_kind k = store_product_get(t->tx, id, &t->arena, p, err);
        if (k)
            return lost(k, "the product", err);
        *slot = p;
    }
    *out = *slot;
    return ERR_NONE;
}

// ---- what is said: events and log lines ----

enum err_kind turn_event(struct turn *t, struct event *e, struct err *err) {
    if (t->payload.failed)
        return err_set(err, ERR_INTERNAL, "the event's snapshot is too large");
    e->payload = buf_str(&t->payload);
    return store_event_append(t->tx, e, err);
}

static enum err_kind order_event(struct turn *t, struct hand *h, enum event_type type, enum order_state was_in, struct err *err) {
    struct event e = {h->order.partner_id, 0, type, h->partner_now, h->order.id, h->order.iccid, STR_NONE};
    buf_clear(&t->payload);
    struct order_was was = order_was_in(was_in);
    event_pack_order(&t->payload, &h->order, &was);
    return turn_event(t, &e, err);
}

struct line *turn_line(struct turn *t, const struct hand *h, const struct task *task) {
    if (t->n_lines == t->cap_lines)
        engine_grow((void **)&t->lines, &t->cap_lines, t->n_lines, sizeof(*t->lines));
    struct line *l = &t->lines[t->n_lines++];
    *l = (struct line){.ms = -1};
    if (h) {
        l->order_id = h->order.id;
        l->partner_id = h->order.partner_id;
        l->state = h->order.state;
        l->correlation_id = arena_str(&t->arena, h->order.correlation_id);
    }
    if (task) {
        l->order_id = task->order_id;
        l->partner_id = task->partner_id;
        l->kind = task->kind;
        l->verb = task->verb;
        l->outcome = task->outcome;
        l->attempt = task->attempts;
        l->note = arena_str(&t->arena, task->note);
        int peer = peer_of(t->e, task);
        l->peer = peer >= 0 ? t->e->peers[peer].p->name : NULL;
    }
    return l;
}

// ---- an order in hand ----

enum err_kind hand_take(struct turn *t, const struct task *task, struct hand *h, struct err *err) {
    *h = (struct hand){0};
    enum err_kind k = store_order_get(t->tx, task->order_id, &t->scratch, &h->order, err);
    if (k)
        return lost(k, "the task's order", err);
    size_t n;
    k = store_task_of_order(t->tx, task->order_id, &t->scratch, &h->tasks, &n, err);
    if (k)
        return k;
    if (n > PLAN_MAX)
        return err_set(err, ERR_CORRUPT, "the order has %zu tasks", n);
    h->n = (int)n;
    for (int i = 0; i < h->n; i++)
        if (h->tasks[i].step != i)
            return err_set(err, ERR_CORRUPT, "a step is missing in the order's tasks");
    if (task->step < 0 || task->step >= h->n || h->tasks[task->step].id != task->id)
        return err_set(err, ERR_CORRUPT, "the task is not one of its order's");
    if (order_finished(h->order.state))
        return err_set(err, ERR_CORRUPT, "the order is %s, yet a task of it is not finished", order_state_words[h->order.state]);
    k = turn_partner(t, h->order.partner_id, &h->partner, err);
    if (k)
        return k;
    h->partner_now = partner_now(h->partner, t->now);
    return ERR_NONE;
}

enum err_kind hand_sim(struct turn *t, struct hand *h, struct err *err) {
    if (h->has_sim || h->order.iccid == ICCID_NONE)
        return ERR_NONE;
    enum err_kind k = store_sim_get(t->tx, h->order.iccid, &t->scratch, &h->sim, err);
    if (k)
        return lost(k, "the order's SIM", err);
    h->has_sim = true;
    return ERR_NONE;
}

// Lets the next order on the SIM begin.
static enum err_kind release_next(struct turn *t, iccid_t iccid, struct err *err) {
    struct task next;
    if (iccid == ICCID_NONE)
        return ERR_NONE;
    enum err_kind k = store_task_first_open(t->tx, iccid, &t->scratch, &next, err);
    if (k == ERR_NOT_FOUND) {
        err_clear(err);
        return ERR_NONE;
    }
    if (k || next.state != TASK_BLOCKED)
        return k;
    next.state = TASK_READY;
    next.due_at = t->now;
    t->released++;
    return store_task_update(t->tx, &next, err);
}

enum err_kind hand_put(struct turn *t, struct hand *h, struct err *err) {
    enum err_kind k = ERR_NONE;
    if (h->order_dirty)
        k = store_order_update(t->tx, &h->order, err);
    for (int i = 0; i < h->n && !k; i++) {
        // What the built-in network did says nothing that the order's events do not say.
        int peer = h->ended ? peer_of(t->e, &h->tasks[i]) : -1;
        if (peer >= 0 && t->e->peers[peer].p->ops->is_inline)
            k = store_task_delete(t->tx, &h->tasks[i], err);
        else if (h->dirty & (1U << i))
            k = store_task_update(t->tx, &h->tasks[i], err);
    }
    if (!k && h->ended)
        k = release_next(t, h->order.iccid, err);
    return k;
}

static enum err_kind move_order(struct hand *h, enum order_state to, struct err *err) {
    if (!order_may(h->order.state, to))
        return err_set(err, ERR_CORRUPT, "an order that is %s cannot become %s", order_state_words[h->order.state], order_state_words[to]);
    h->order.state = to;
    h->order_dirty = true;
    if (order_finished(to)) {
        h->order.finished = h->partner_now;
        h->ended = true;
    }
    return ERR_NONE;
}

static enum err_kind move_sim(struct turn *t, struct hand *h, enum sim_service to, struct err *err) {
    if (!sim_service_may(h->sim.service, to))
        return err_set(err, ERR_CORRUPT, "a SIM that is %s cannot become %s", sim_service_words[h->sim.service], sim_service_words[to]);
    h->sim.service = to;
    h->sim.modified = h->partner_now;
    if (to == SIM_ACTIVE)
        h->sim.activated = h->partner_now;
    return store_sim_update(t->tx, &h->sim, err);
}

static void finished_line(struct turn *t, struct hand *h) {
    struct line *l = turn_line(t, h, NULL);
    l->what = LINE_FINISHED;
    l->ms = h->partner_now.ms - h->order.created.ms;
    l->note = arena_str(&t->arena, h->order.failure);
}

// Every step is done.
static enum err_kind complete(struct turn *t, struct hand *h, struct err *err) {
    const struct product *product = NULL;
    enum err_kind k = turn_product(t, h->order.product_id, &product, err);
    if (!k)
        k = hand_sim(t, h, err);
    if (k)
        return k;
    if (!h->has_sim)
        return err_set(err, ERR_CORRUPT, "the order is done and has no SIM");

    bool activation = h->order.operation == OP_ACTIVATION;
    enum order_state order_was = h->order.state;
    struct sim_was sim_was = sim_was_like(&h->sim);
    if (activation)
        k = move_sim(t, h, SIM_ACTIVE, err);
    if (k)
        return k;
    if (h->sim.type == SIM_ESIM && !str_present(h->order.matching_id)) { // a top-up's output shows them, too
        h->order.matching_id = h->sim.matching_id;
        h->order.smdp = h->sim.smdp;
    }

    struct subscription sub;
    order_subscription(&h->order, product, h->partner_now, &sub);
    k = store_subscription_insert(t->tx, &sub, err);
    if (!k)
        k = move_order(h, ORDER_COMPLETED, err);
    if (!k)
        k = order_event(t, h, EVENT_ORDER_COMPLETED, order_was, err);
    if (k)
        return k;
    if (activation) {
        struct event e = {h->order.partner_id, 0, EVENT_SIM_ACTIVATED, h->partner_now, h->order.id, h->order.iccid, STR_NONE};
        buf_clear(&t->payload);
        event_pack_sim(&t->payload, &h->sim, &sim_was);
        k = turn_event(t, &e, err);
        if (k)
            return k;
    }
    struct event e = {.partner_id = h->order.partner_id,
                      .type = event_of_subscription(sub.state),
                      .created = h->partner_now,
                      .order_id = h->order.id,
                      .iccid = h->order.iccid};
    buf_clear(&t->payload);
    event_pack_subscription(&t->payload, &sub, NULL, 0);
    k = turn_event(t, &e, err);
    if (!k)
        finished_line(t, h);
    return k;
}

// It could not be done, and nothing of it is left in the network. order.failure says why.
enum err_kind hand_fail(struct turn *t, struct hand *h, struct err *err) {
    enum err_kind k = hand_sim(t, h, err);
    if (k)
        return k;
    if (h->order.operation == OP_ACTIVATION) {
        if (h->has_sim && h->sim.service == SIM_ACTIVATING)
            k = move_sim(t, h, SIM_STOCK, err);
        // Acceptance counted it by the partner's day and month.
        struct civil c = civil_of(h->order.created);
        int64_t month = (int64_t)c.year * 100 + c.month;
        if (!k)
            k = store_cap_add(t->tx, h->order.partner_id, month * 100 + c.day, -1, err);
        if (!k)
            k = store_cap_add(t->tx, h->order.partner_id, month, -1, err);
    }
    enum order_state was = h->order.state;
    if (!k)
        k = move_order(h, ORDER_FAILED, err);
    if (!k)
        k = order_event(t, h, EVENT_ORDER_FAILED, was, err);
    if (!k)
        finished_line(t, h);
    return k;
}

// The way back, from step i down: the next that was done is taken back; when none is left, the order has failed.
static enum err_kind go_back(struct turn *t, struct hand *h, int i, int *next, struct err *err) {
    for (; i >= 0; i--)
        if (h->tasks[i].state == TASK_DONE) {
            task_undo(&h->tasks[i], t->now);
            h->dirty |= 1U << i;
            *next = i;
            return ERR_NONE;
        }
    return hand_fail(t, h, err);
}

// A step that was refused, in words for the partner.
static struct str failure_text(struct turn *t, const struct task *task) {
    const char *what = failure_words[task->kind];
    return task->note.n ? arena_printf(&t->scratch, "%s: " STR_FMT, what, STR_ARG(task->note)) : arena_str(&t->scratch, str_of(what));
}

static void parked(struct turn *t, struct hand *h, int i) {
    h->dirty |= 1U << i;
    turn_line(t, h, &h->tasks[i])->what = LINE_PARKED;
}

// What follows from tasks[i] having been settled. *next: the task to call next, now; -1: none.
static enum err_kind follow(struct turn *t, struct hand *h, int i, int *next, struct err *err) {
    struct task *task = &h->tasks[i];
    bool undoing = false; // a later step was refused
    for (int j = i + 1; j < h->n; j++)
        undoing |= h->tasks[j].state == TASK_REFUSED;
    *next = -1;

    switch (task->state) {
    case TASK_READY:
        if (undoing && task->verb == TASK_START) { // it turned out never to have happened: nothing to take back
            task_undo(task, t->now);
            return go_back(t, h, i - 1, next, err);
        }
        if (task->due_at.ms <= t->now.ms)
            *next = i;
        return ERR_NONE;
    case TASK_DONE:
        if (undoing) // a PROBE that an operator sent round again
            return go_back(t, h, i, next, err);
        if (i + 1 == h->n)
            return complete(t, h, err);
        h->tasks[i + 1].state = TASK_READY;
        h->tasks[i + 1].due_at = t->now;
        h->dirty |= 2U << i;
        *next = i + 1;
        return ERR_NONE;
    case TASK_REFUSED:
        for (int j = i + 1; j < h->n; j++) {
            task_undo(&h->tasks[j], t->now);
            h->dirty |= 1U << j;
        }
        h->order.failure = failure_text(t, task); // stored now: the way back may take a while, and the reason stands
        h->order_dirty = true;
        return go_back(t, h, i - 1, next, err);
    case TASK_UNDONE:
        return go_back(t, h, i - 1, next, err);
    case TASK_PARKED:
        parked(t, h, i);
        return ERR_NONE;
    default:
        return err_set(err, ERR_INTERNAL, "a settled task is %s", task_state_words[task->state]);
    }
}

// Given up on by the engine itself. Whoever held a lease may have called.
static void task_park(struct task *task, struct wall now) {
    if (task->state == TASK_CLAIMED && task->verb == TASK_START)
        task->verb = TASK_PROBE;
    task->state = TASK_PARKED;
    task->lease_until = WALL_NONE;
    task->lease_owner = 0;
    task->settled = now;
}

// The inline peer's whole call.
static enum err_kind call_inline(struct turn *t, struct hand *h, int i, struct peer *p, struct err *err) {
    struct task *task = &h->tasks[i];
    enum err_kind k = hand_sim(t, h, err);
    if (k)
        return k;
    task->peer = str_of(p->name);
    struct peer_request r = {.task_id = task->id,
                             .order_id = task->order_id,
                             .kind = task->kind,
                             .verb = task->verb,
                             .sim = h->sim,
                             .deadline = (struct mono){INT64_MAX}};
    char id[UUID_TEXT];
    uuid_format(task->order_id, id);
    snprintf(r.identity, sizeof(r.identity), "%s-%d", id, task->step);
    struct peer_outcome o = {.kind = OUTCOME_UNSURE};
    p->ops->now(p, &r, &o);
    task_settle(task, o.kind, t->now, rng_u64(tx_rng(t->tx)));
    task->note = o.note[0] ? arena_str(&t->scratch, str_of(o.note)) : STR_NONE;
    return ERR_NONE;
}

enum err_kind hand_go_on(struct turn *t, struct hand *h, int i, struct err *err) {
    while (i >= 0) {
        struct task *task = &h->tasks[i];
        int peer = peer_of(t->e, task);
        if (peer < 0) {
            task_park(task, t->now);
            task->note =
                arena_printf(&t->scratch, "peer '" STR_FMT "', which was called for it, is not configured any more", STR_ARG(task->peer));
            parked(t, h, i);
            return ERR_NONE;
        }
        struct peer *p = t->e->peers[peer].p;
        if (!p->ops->is_inline && (!t->claims || t->room[peer] <= 0))
            return ERR_NONE; // stays due
        bool ok;
        enum err_kind k = claim_prepare(t, h, i, &ok, err);
        if (k || !ok)
            return k;
        h->dirty |= 1U << i;
        t->worked++;
        t->budget--;
        if (!task_claim(task, t->e->o.node, t->now, wall_plus_ms(t->now, (int64_t)t->e->o.lease_seconds * 1000))) {
            parked(t, h, i);
            return ERR_NONE;
        }
        if (!p->ops->is_inline)
            return claim_task(t, h, i, peer, err);
        k = call_inline(t, h, i, p, err);
        if (!k)
            k = follow(t, h, i, &i, err);
        if (k)
            return k;
    }
    return ERR_NONE;
}

// ---- the turn's first part: outcomes that came back ----

// Whether the node still holds the claim.
static bool holds(const struct turn *t, const struct task *task, const struct claim *c) {
    return task->state == TASK_CLAIMED && task->lease_owner == t->e->o.node && task->attempts == c->attempt &&
           task->lease_until.ms == c->lease_until.ms;
}

static enum err_kind settle_one(struct turn *t, const struct settlement *s, struct err *err) {
    struct task task;
    t->at = t->last = s->claim;
    arena_reset(&t->scratch);
    enum err_kind k = store_task_get(t->tx, s->claim.task_id, &t->scratch, &task, err);
    if (k && k != ERR_NOT_FOUND)
        return k;
    if (k || !holds(t, &task, &s->claim)) { // somebody else has gone on with it
        struct line *l = turn_line(t, NULL, k ? NULL : &task);
        l->what = LINE_IGNORED;
        l->outcome = s->outcome.kind;
        l->attempt = s->claim.attempt;
        err_clear(err);
        return ERR_NONE;
    }
    struct hand h;
    k = hand_take(t, &task, &h, err);
    if (k)
        return k;
    struct task *mine = &h.tasks[task.step];
    enum task_verb verb = mine->verb; // settling may change it
    int attempt = mine->attempts;
    task_settle(mine, s->outcome.kind, t->now, rng_u64(tx_rng(t->tx)));
    mine->note = s->outcome.note[0] ? arena_str(&t->scratch, str_of(s->outcome.note)) : STR_NONE;
    h.dirty |= 1U << task.step;
    t->worked++;

    buf_clear(&t->payload);
    task_attempt_put(&t->payload, &(struct task_attempt){.at = t->now,
                                                         .verb = verb,
                                                         .outcome = s->outcome.kind,
                                                         .next = mine->state == TASK_READY ? mine->due_at : WALL_NONE,
                                                         .peer = mine->peer,
                                                         .note = mine->note});
    k = store_task_tell(t->tx, mine->id, buf_str(&t->payload), err);
    if (k)
        return k;

    struct line *l = turn_line(t, &h, mine);
    l->what = LINE_STEP;
    l->verb = verb;
    l->attempt = attempt;
    l->outcome = s->outcome.kind;
    l->done = mine->state == TASK_DONE;
    l->ms = t->now.ms - mine->started.ms;

    int next;
    k = follow(t, &h, task.step, &next, err);
    if (!k)
        k = hand_go_on(t, &h, next, err);
    return k ? k : hand_put(t, &h, err);
}

enum err_kind settle_answers(struct turn *t, struct err *err) {
    enum err_kind k = ERR_NONE;
    for (t->taken = 0; t->taken < t->n_settlements && t->taken < (size_t)t->limit && !k; t->taken++)
        k = settle_one(t, &t->settlements[t->taken], err);
    if (k)
        return k;
    t->at = (struct claim){0};
    if (t->taken < t->n_settlements)
        t->more = true;
    return ERR_NONE;
}

// ---- what made the job fail before ----

static enum err_kind park(struct turn *t, const struct poison *p, struct err *err) {
    struct task task;
    arena_reset(&t->scratch);
    enum err_kind k = store_task_get(t->tx, p->claim.task_id, &t->scratch, &task, err);
    if (k == ERR_NOT_FOUND) {
        err_clear(err);
        return ERR_NONE;
    }
    if (k)
        return k;
    bool called = p->claim.attempt > 0; // by us, and the outcome could not be recorded
    if (called ? !holds(t, &task, &p->claim) : task.state != TASK_READY && task.state != TASK_CLAIMED)
        return ERR_NONE;
    task_park(&task, t->now);
    task.note = str_of(p->reason);
    turn_line(t, NULL, &task)->what = LINE_PARKED;
    return store_task_update(t->tx, &task, err);
}

enum err_kind settle_poison(struct turn *t, struct err *err) {
    for (size_t i = 0; i < t->n_poison; i++) {
        t->at_poison = (int)i;
        enum err_kind k = park(t, &t->poison[i], err);
        if (k)
            return k;
    }
    t->at_poison = -1;
    return ERR_NONE;
}
