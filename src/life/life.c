// SPDX-License-Identifier: Apache-2.0
/*
 * life.c - moving subscriptions: one by call, and all that are due by time.
 */
#include "life/inside.h"
#include "store/store_event.h"
#include "store/store_subscription.h"

enum err_kind life_tell(struct tx *tx, struct buf *payload, const struct subscription *s, const struct subscription_was *was,
                        enum event_type type, int threshold, struct wall created, struct err *err) {
    buf_clear(payload);
    event_pack_subscription(payload, s, was, threshold);
    if (payload->failed)
        return err_set(err, ERR_INTERNAL, "the subscription does not fit into an event");
    struct event e = {
        .partner_id = s->partner_id,
        .type = type,
        .created = created,
        .order_id = s->id,
        .iccid = s->iccid,
        .payload = buf_str(payload),
    };
    return store_event_append(tx, &e, err);
}

enum err_kind life_step(struct tx *tx, struct buf *payload, struct subscription *s, enum subscription_cue cue, struct wall at,
                        struct wall created, struct err *err) {
    struct subscription_was was = subscription_was_like(s);
    enum err_kind kind = subscription_move(s, cue, at, err);
    return kind ? kind : life_tell(tx, payload, s, &was, event_of_subscription(s->state), 0, created, err);
}

enum err_kind life_move(struct tx *tx, struct subscription *s, enum subscription_cue cue, struct wall at, struct err *err) {
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    enum err_kind kind = life_step(tx, &payload, s, cue, at, at, err);
    buf_release(&payload);
    return kind ? kind : store_subscription_update(tx, s, err);
}

// ---- time ----

#define PAGE_MAX 64 // that are due are read at once: what a pass reads and has no time for is read again

// Those in hand that are due, the earliest at the front; equal instants in the order of the store. A heap: a move may make its subscription
// due again, somewhere among the others.
struct line {
    struct subscription **s;
    size_t n;
};

static bool before(const struct subscription *a, const struct subscription *b) {
    if (a->next_at.ms != b->next_at.ms)
        return a->next_at.ms < b->next_at.ms;
    return uuid_cmp(a->id, b->id) < 0;
}

static void sink(struct line *l, size_t i) {
    for (;;) {
        size_t first = i, left = 2 * i + 1, right = left + 1;
        if (left < l->n && before(l->s[left], l->s[first]))
            first = left;
        if (right < l->n && before(l->s[right], l->s[first]))
            first = right;
        if (first == i)
            return;
        struct subscription *moved = l->s[i];
        l->s[i] = l->s[first];
        l->s[first] = moved;
        i = first;
    }
}

static void drop_first(struct line *l) {
    l->s[0] = l->s[--l->n];
    sink(l, 0);
}

static bool is_shunned(const struct life_pass *p, const struct subscription *s) {
    for (size_t i = 0; i < p->n_shunned; i++) {
        if (uuid_eq(p->shunned[i], s->id))
            return true;
    }
    return false;
}

// One move of the first in line. Time must take it on: one that stays where it is would be due for ever.
static enum err_kind fire(struct tx *tx, struct buf *payload, const struct life_pass *p, struct subscription *s, struct err *err) {
    struct wall due = s->next_at;
    enum subscription_state was = s->state;
    enum err_kind kind = life_step(tx, payload, s, life_due_cue(s), due, p->clock ? due : p->until, err);
    if (!kind && s->state == was)
        kind = err_set(err, ERR_CORRUPT, "a subscription's dates do not take it on");
    return kind ? kind : store_subscription_update(tx, s, err);
}

// At the limit, or at least one has moved and the caller wants it left at that.
static bool has_enough(const struct life_pass *p) {
    return p->moved >= p->limit || (p->moved > 0 && p->enough && p->enough(p->ctx));
}

// A page of what is due, worked off. *again: there may be another.
static enum err_kind pass_page(struct tx *tx, struct arena *a, struct buf *payload, struct life_pass *p, bool *again, struct err *err) {
    struct subscription *due;
    size_t n;
    int64_t left = p->limit - p->moved;
    int64_t asked = (left < PAGE_MAX ? left : PAGE_MAX) + (int64_t)p->n_shunned;
    enum err_kind kind = store_subscription_due(tx, p->clock, p->until, asked, a, &due, &n, err);
    if (kind)
        return kind;
    // What is due behind the page's last waits for the next page; so does one that will be due again behind it.
    bool full = (int64_t)n == asked;
    struct wall last = full ? due[n - 1].next_at : p->until;
    struct line line = {.s = arena_array(a, struct subscription *, n + 1)};
    if (!line.s)
        return err_set(err, ERR_INTERNAL, "no memory for the subscriptions that are due");
    for (size_t i = 0; i < n; i++) { // in order already, and so is a heap
        if (!is_shunned(p, &due[i]))
            line.s[line.n++] = &due[i];
    }
    *again = full && line.n > 0;
    while (line.n > 0 && !has_enough(p)) {
        struct subscription *s = line.s[0];
        p->at = p->last = s->id;
        if (s->next_at.ms > p->reached.ms)
            p->reached = s->next_at;
        if ((kind = fire(tx, payload, p, s, err)) != ERR_NONE)
            return kind;
        p->moved++;
        if (life_due(s, last))
            sink(&line, 0);
        else
            drop_first(&line);
    }
    p->at = (struct uuid){{0}};
    p->more = line.n > 0;
    return ERR_NONE;
}

enum err_kind life_pass(struct tx *tx, struct arena *a, struct life_pass *p, struct err *err) {
    CHECK(p->limit > 0);
    p->moved = 0;
    p->more = false;
    p->reached = p->next = WALL_NONE;
    p->at = p->last = (struct uuid){{0}};
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    bool again = true;
    enum err_kind kind = ERR_NONE;
    while (!kind && again && !p->more && p->moved < p->limit)
        kind = pass_page(tx, a, &payload, p, &again, err);
    buf_release(&payload);
    if (kind)
        return kind;
    p->more = p->more || (again && p->moved == p->limit);
    if (p->more)
        return ERR_NONE;
    p->reached = p->until;
    return store_subscription_next_due(tx, p->clock, &p->next, err);
}
