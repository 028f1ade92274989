// SPDX-License-Identifier: Apache-2.0
/*
 * at_once.c - what inline peers serve is done in the transaction that accepts it.
 *
 * A turn of its own, on the store's writer, over the orders that the transaction holds in memory (store/fresh.h): each is called and
 * settled as in claim.c, so nothing of it is left to be claimed. Orders that an outside peer serves are not touched: their tasks are
 * written, and the engine is told of them when they are on disk. So are all when one fails here: the store then runs the batch
 * without us, and the engine's own turns find out whose fault it is.
 */
#include <stdlib.h>

#include "engine/inside.h"
#include "store/store_order.h"

static enum err_kind at_once_run(struct tx *tx, void *ctx, struct err *err) {
    struct engine *e = ctx;
    struct turn *t = &e->at_once;
    struct task task;
    turn_begin(t, tx);
    t->claims = true;
    t->budget = INT32_MAX;
    enum err_kind k = ERR_NONE;
    // Once through is enough: what an order's end releases was accepted after it.
    for (size_t i = 0; !k && store_order_fresh(tx, i, &task) == ERR_NONE; i++) {
        if (task.state != TASK_READY || task.due_at.ms > t->now.ms)
            continue;
        int peer = peer_of(e, &task);
        if (peer >= 0 && e->peers[peer].p->ops->is_inline)
            k = claim_one(t, &task, err);
    }
    return k;
}

static void say_all(struct engine *e, const struct line *lines, size_t n, int64_t worked) {
    for (size_t i = 0; i < n; i++)
        engine_say(e, &lines[i]);
    metric_add(e->m.tasks, worked);
}

// Lines are written by the engine's thread, so that the next batch need not wait for them; by this one when that is not through yet, or is
// not there.
static void at_once_committed(void *ctx) {
    struct engine *e = ctx;
    struct turn *t = &e->at_once;
    pthread_mutex_lock(&e->lock);
    bool hand_over = e->loop && !e->reported;
    if (hand_over) {
        struct report mine = {t->arena, t->lines, t->n_lines, t->cap_lines, t->worked};
        t->arena = e->report.arena;
        t->lines = e->report.lines;
        t->cap_lines = e->report.cap;
        e->report = mine;
        e->reported = true;
        loop_poke(e->loop);
    }
    pthread_mutex_unlock(&e->lock);
    if (!hand_over)
        say_all(e, t->lines, t->n_lines, t->worked);
}

bool at_once_take(struct engine *e) {
    pthread_mutex_lock(&e->lock);
    bool reported = e->reported;
    pthread_mutex_unlock(&e->lock);
    if (!reported)
        return false;
    say_all(e, e->report.lines, e->report.n, e->report.worked);
    pthread_mutex_lock(&e->lock);
    e->reported = false;
    pthread_mutex_unlock(&e->lock);
    return true;
}

void engine_settle_at_once(struct engine *e) {
    engine_start(e);
    turn_init(&e->at_once, e);
    arena_init(&e->report.arena, TURN_MEMORY_MAX);
    store_at_end(e->o.store, &(struct store_end){.run = at_once_run, .committed = at_once_committed, .ctx = e});
}

void at_once_close(struct engine *e) {
    if (!e->at_once.e)
        return;
    at_once_take(e);
    turn_release(&e->at_once);
    arena_release(&e->report.arena);
    free(e->report.lines);
}
