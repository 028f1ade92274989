// SPDX-License-Identifier: Apache-2.0
/*
 * timers.c - lets time do its work on subscriptions (life/life.h), on the real clock and on those of sandbox partners, which run on by
 * themselves between the calls that turn them.
 *
 * A million of them due at once let the orders pass: a turn moves them for a while and no longer than until somebody waits (enough), and
 * between two turns there is a pause (engine.c).
 */
#include "engine/inside.h"
#include "life/life.h"
#include "store/store_subscription.h"

#define REAL_CLOCK 0
#define MOVES_MAX 1000  // in one turn
#define CLOCKS_MAX 1000 // sandbox partners' clocks looked at in one turn, those that are due first

static void sooner(struct wall *t, struct wall other) {
    if (!wall_set(*t) || other.ms < t->ms)
        *t = other;
}

// Somebody's job waits behind this one, and what must be done whoever waits is done; or the time is up.
static bool enough(void *ctx) {
    const struct turn *t = ctx;
    struct store_stats stats;
    int64_t took = clock_mono(t->e->o.clock).ns - t->timers_from.ns;
    if (took < t->timers_least_ns)
        return false;
    if (took >= t->timers_most_ns)
        return true;
    store_stats_get(t->e->o.store, &stats);
    return stats.queued > 0;
}

// *due becomes, in real time, when the next one is, if that is sooner.
static enum err_kind pass(struct turn *t, int64_t clock, int64_t offset_ms, int64_t limit, struct wall *due, struct err *err) {
    struct life_pass p = {
        .clock = clock,
        .until = wall_plus_ms(t->now, offset_ms),
        .limit = limit,
        .shunned = t->e->shunned_timers,
        .n_shunned = (size_t)t->e->n_shunned_timers,
        .enough = enough,
        .ctx = t,
    };
    enum err_kind k = life_pass(t->tx, &t->arena, &p, err);
    t->at_timer = p.at;
    if (!uuid_is_zero(p.last))
        t->last_timer = p.last;
    if (k)
        return k;
    t->timers += p.moved;
    t->timers_more |= p.more;
    if (wall_set(p.next))
        sooner(due, wall_plus_ms(p.next, -offset_ms));
    return ERR_NONE;
}

static enum err_kind fire(struct turn *t, struct err *err) {
    int64_t limit = t->limit < MOVES_MAX ? t->limit : MOVES_MAX;
    enum err_kind k = pass(t, REAL_CLOCK, 0, limit, &t->next, err);
    if (k || !t->looks_at_clocks || t->timers_more)
        return k;
    struct timer_clock *clocks = NULL;
    size_t n = 0;
    k = store_subscription_clocks(t->tx, CLOCKS_MAX, &t->arena, &clocks, &n, err);
    for (size_t i = 0; i < n && !k && !t->timers_more && t->timers < limit; i++) {
        struct wall due = wall_plus_ms(clocks[i].next_at, -clocks[i].offset_ms);
        if (due.ms <= t->now.ms) {
            k = pass(t, clocks[i].partner_id, clocks[i].offset_ms, limit - t->timers, &t->clocks_next, err);
            continue;
        }
        sooner(&t->clocks_next, due);
        break; // the others come later
    }
    t->timers_more |= t->timers == limit;
    return k;
}

enum err_kind timers_fire(struct turn *t, struct err *err) {
    t->timers_from = clock_mono(t->e->o.clock);
    enum err_kind k = fire(t, err);
    t->timers_ns = clock_mono(t->e->o.clock).ns - t->timers_from.ns;
    return k;
}
