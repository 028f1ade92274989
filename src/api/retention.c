// SPDX-License-Identifier: Apache-2.0
#include "api/retention.h"

#include <stdatomic.h>

#include "api/park.h"
#include "api/state.h"
#include "base/log.h"
#include "store/store_event.h"
#include "store/store_partner.h"

#define SLICE_EVENTS 2000
#define SLICE_PARTNERS 100
#define SLICE_MEMORY ((size_t)4 << 20)
#define ROUND_EVERY_MS (10 * 60 * 1000)
#define DAY_MS INT64_C(86400000)

static enum err_kind slice(struct api *api, struct tx *tx, struct arena *a, struct err *err) {
    struct retention *r = &api->retention;
    struct partner *partners;
    size_t n;
    enum err_kind kind = store_partner_after(tx, r->begin, SLICE_PARTNERS, a, &partners, &n, err);
    r->at = r->begin;
    r->dropped = 0;
    for (size_t i = 0; i < n && !kind && r->dropped < SLICE_EVENTS; i++) {
        const struct partner *p = &partners[i];
        struct wall before = wall_plus_ms(partner_now(p, tx_now(tx)), -p->event_days * DAY_MS);
        int64_t limit = SLICE_EVENTS - r->dropped, dropped = 0;
        kind = store_event_prune(tx, p->id, before, limit, &dropped, err);
        r->dropped += dropped;
        if (dropped < limit)
            r->at = p->id; // nothing of this one is left to drop
    }
    r->over = !kind && n < SLICE_PARTNERS && r->dropped < SLICE_EVENTS;
    return kind;
}

static enum err_kind run(struct tx *tx, void *ctx, struct err *err) {
    struct arena a;
    arena_init(&a, SLICE_MEMORY);
    enum err_kind kind = slice(ctx, tx, &a, err);
    arena_release(&a);
    return kind;
}

static void done(void *ctx, enum err_kind kind, const struct err *err) {
    struct api *api = ctx;
    struct retention *r = &api->retention;
    if (kind != ERR_NONE)
        log_warn("events.prune_failed", LOG_ERR(err));
    else
        r->round += r->dropped;
    bool over = kind != ERR_NONE || r->over;
    if (over && r->round > 0)
        log_info("events.pruned", LOG_INT("events", r->round));
    if (over)
        r->round = 0;
    r->begin = over ? 0 : r->at;
    atomic_store(&r->pause_ms, over ? ROUND_EVERY_MS : 0);
    atomic_store(&r->running, false);
    if (!over)
        park_wake(api);
}

void retention_upkeep(struct api *api, struct mono now) {
    struct retention *r = &api->retention;
    struct err err = {0};
    if (atomic_load(&r->running) || mono_ms_between(r->last, now) < atomic_load(&r->pause_ms))
        return;
    r->last = now;
    r->job = (struct store_job){.run = run, .done = done, .ctx = api, .early = true};
    atomic_store(&r->running, true);
    if (store_submit(api->o.store, &r->job, &err) != ERR_NONE) // it is busy with better things
        atomic_store(&r->running, false);
}
