// SPDX-License-Identifier: Apache-2.0
#include "api/import_upkeep.h"

#include <stdatomic.h>

#include "api/park.h"
#include "api/state.h"
#include "base/log.h"
#include "store/store_sim.h"

#define ROUND_EVERY_MS (10 * 1000)
#define KEPT_MS (INT64_C(86400) * 1000)

static enum err_kind run(struct tx *tx, void *ctx, struct err *err) {
    struct api *api = ctx;
    return store_import_upkeep(tx, wall_plus_ms(tx_now(tx), -KEPT_MS), IMPORT_SLICE_ROWS, &api->imports.more, err);
}

static void done(void *ctx, enum err_kind kind, const struct err *err) {
    struct api *api = ctx;
    bool more = kind == ERR_NONE && api->imports.more;
    if (kind != ERR_NONE)
        log_warn("imports.upkeep_failed", LOG_ERR(err));
    if (!more)
        atomic_store(&api->imports.pause_ms, ROUND_EVERY_MS);
    atomic_store(&api->imports.running, false);
    if (more)
        park_wake(api);
}

void import_upkeep(struct api *api, struct mono now) {
    struct imports *i = &api->imports;
    struct err err = {0};
    if (atomic_load(&i->running) || mono_ms_between(i->last, now) < atomic_load(&i->pause_ms))
        return;
    i->last = now;
    i->job = (struct store_job){.run = run, .done = done, .ctx = api, .early = true};
    atomic_store(&i->pause_ms, 0); // a client that drops one meanwhile finds it so
    atomic_store(&i->running, true);
    if (store_submit(api->o.store, &i->job, &err) != ERR_NONE) // it is busy with better things
        atomic_store(&i->running, false);
}

void import_upkeep_soon(struct api *api) {
    atomic_store(&api->imports.pause_ms, 0);
    park_wake(api);
}
