// SPDX-License-Identifier: Apache-2.0
#include "life/sandbox.h"

#include "life/life.h"
#include "store/store_event.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sandbox.h"
#include "store/store_sim.h"

// ---- what it begins with ----

// clang-format off
static const struct plan {
    const char *id, *name;
    int64_t duration;
    enum duration_unit duration_unit;
    int64_t data_gb;
    int64_t minor; // EUR cents
    bool first_usage;
} plans[] = {
    {"sandbox-30-days-000000000000000000000000000=", "Sandbox: 30 days", 30, DURATION_DAYS, 5, 2000, false},
    {"sandbox-month-00000000000000000000000000000=", "Sandbox: a month", 1, DURATION_MONTHS, 10, 2500, false},
    {"sandbox-first-usage-00000000000000000000000=", "Sandbox: 7 days from the first byte", 7, DURATION_DAYS, 1, 500, true},
};
// clang-format on

static enum err_kind put_product(struct tx *tx, int64_t partner_id, const struct plan *plan, struct err *err) {
    struct product p = {.partner_id = partner_id,
                        .name = str_of(plan->name),
                        .sim_types = SIM_ESIM | SIM_PSIM,
                        .duration = plan->duration,
                        .duration_unit = plan->duration_unit,
                        .data = plan->data_gb,
                        .data_unit = DATA_GB,
                        .price = {plan->minor, "EUR"},
                        .footprint_code = STR("GLOBAL"),
                        .first_usage = plan->first_usage,
                        .on_sale = true};
    CHECK(str_to_buf(str_of(plan->id), p.public_id, sizeof p.public_id));
    enum upsert what;
    return store_product_put(tx, &p, &what, err);
}

static enum err_kind furnish_catalogue(struct tx *tx, struct arena *a, int64_t partner_id, struct err *err) {
    enum err_kind kind = ERR_NONE;
    size_t behaviours = SANDBOX_BEHAVIOURS, n = ARRAY_LEN(plans) + behaviours;
    for (size_t i = 0; i < n && !kind; i++) {
        struct plan plan;
        if (i >= behaviours) {
            plan = plans[i - behaviours];
        } else if (sandbox_table[i].product_id) {
            plan = plans[0];
            plan.id = sandbox_table[i].product_id;
            plan.name = sandbox_table[i].product_name;
        } else {
            continue;
        }
        struct product there;
        kind = store_product_by_public_id(tx, partner_id, str_of(plan.id), a, &there, err);
        if (kind == ERR_NOT_FOUND) {
            err_clear(err);
            kind = put_product(tx, partner_id, &plan, err);
        }
    }
    return kind;
}

static enum err_kind put_sim(struct tx *tx, struct arena *a, const struct partner *p, enum sim_type type, enum sandbox_behaviour b,
                             int64_t serial, bool active, struct sim *out, struct err *err) {
    char imsi[SANDBOX_TEXT], msisdn[SANDBOX_TEXT], matching_id[SANDBOX_TEXT];
    sandbox_imsi(serial, imsi);
    sandbox_msisdn(serial, msisdn);
    sandbox_matching_id(serial, matching_id);
    struct wall now = partner_now(p, tx_now(tx));
    *out = (struct sim){.iccid = sandbox_iccid(b, serial),
                        .partner_id = p->id,
                        .type = type,
                        .service = active ? SIM_ACTIVE : SIM_STOCK,
                        .imsi = arena_str(a, str_of(imsi)),
                        .msisdn = arena_str(a, str_of(msisdn)),
                        .activated = active ? now : WALL_NONE,
                        .modified = now};
    if (type == SIM_ESIM) {
        out->esim = ESIM_RELEASED;
        out->matching_id = arena_str(a, str_of(matching_id));
        out->smdp = STR(SANDBOX_SMDP);
    }
    if (arena_failed(a))
        return err_set(err, ERR_INTERNAL, "no memory for a SIM");
    return store_sim_insert(tx, out, err);
}

// Places of the start's SIMs among its numbers. Up to SANDBOX_BEHAVIOURS: pSIMs in service, one for each behaviour that SIMs can have.
#define START_PSIMS 10
#define N_START_PSIMS 10
#define START_PROFILES 100
#define N_START_PROFILES 50

static enum err_kind start_sim(struct tx *tx, struct arena *a, const struct partner *p, enum sim_type type, enum sandbox_behaviour b,
                               int64_t n, bool active, struct err *err) {
    int64_t serial = sandbox_start_serial(p->id, n);
    struct sim sim;
    enum err_kind kind = store_sim_get(tx, sandbox_iccid(b, serial), a, &sim, err);
    if (kind != ERR_NOT_FOUND)
        return kind;
    err_clear(err);
    return put_sim(tx, a, p, type, b, serial, active, &sim, err);
}

static enum err_kind furnish_sims(struct tx *tx, struct arena *a, const struct partner *p, struct err *err) {
    enum err_kind kind = ERR_NONE;
    for (int b = 0; b < SANDBOX_BEHAVIOURS && !kind; b++)
        if (sandbox_table[b].of_sims)
            kind = start_sim(tx, a, p, SIM_PSIM, (enum sandbox_behaviour)b, b, true, err);
    for (int64_t i = 0; i < N_START_PSIMS && !kind; i++)
        kind = start_sim(tx, a, p, SIM_PSIM, SANDBOX_AS_USUAL, START_PSIMS + i, false, err);
    for (int64_t i = 0; i < N_START_PROFILES && !kind; i++)
        kind = start_sim(tx, a, p, SIM_ESIM, SANDBOX_AS_USUAL, START_PROFILES + i, false, err);
    return kind;
}

enum err_kind sandbox_furnish(struct tx *tx, struct arena *a, const struct partner *p, struct err *err) {
    CHECK(p->mode == PARTNER_SANDBOX);
    enum err_kind kind = furnish_catalogue(tx, a, p->id, err);
    return kind ? kind : furnish_sims(tx, a, p, err);
}

enum err_kind sandbox_add_sim(struct tx *tx, struct arena *a, const struct partner *p, enum sim_type type, enum sandbox_behaviour b,
                              bool active, struct sim *out, struct err *err) {
    return put_sim(tx, a, p, type, b, sandbox_made_serial(tx_number(tx)), active, out, err);
}

// ---- the clock ----

enum err_kind sandbox_advance(struct tx *tx, struct arena *a, struct sandbox_advance *s, struct err *err) {
    struct partner p;
    enum err_kind kind = store_partner_get(tx, s->partner_id, a, &p, err);
    if (kind)
        return kind;
    CHECK(p.mode == PARTNER_SANDBOX);
    struct wall real = tx_now(tx), now = partner_now(&p, real);
    struct life_pass pass = {.clock = p.id, .until = s->target.ms > now.ms ? s->target : now, .limit = s->limit};
    kind = life_pass(tx, a, &pass, err);
    if (kind)
        return kind;
    s->more = pass.more;
    if (pass.reached.ms > now.ms) {
        p.clock_offset_ms = pass.reached.ms - real.ms;
        kind = store_partner_update(tx, &p, err);
    }
    s->now = partner_now(&p, real);
    return kind;
}

// ---- afresh ----

#define SIMS_A_STEP 200

// Takes the next slice of what is there. *dropped 0: nothing is left of it.
static enum err_kind drop_some(struct tx *tx, int64_t partner_id, int64_t limit, int64_t *dropped, struct err *err) {
    const iccid_t first = sandbox_iccid(SANDBOX_AS_USUAL, 0), last = first + 10 * SANDBOX_SERIALS - 1;
    *dropped = 0;
    // Subscriptions refer to orders and SIMs, and an order that the engine has in hand may make another: first, and in each step.
    enum err_kind kind = store_sandbox_drop_subscriptions(tx, partner_id, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_drop_orders(tx, partner_id, limit, dropped, err);
    if (!kind && !*dropped) // the usage of the very SIMs that go next, so that none is looked at twice
        kind = store_sandbox_drop_usage(tx, partner_id, first, last, SIMS_A_STEP, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_drop_sims(tx, partner_id, first, last, SIMS_A_STEP, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_drop_usage(tx, partner_id, 0, ICCID_PACKED_MAX, -1, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_restock_sims(tx, partner_id, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_event_prune(tx, partner_id, (struct wall){INT64_MAX}, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_drop_queues(tx, partner_id, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_drop_deliveries(tx, partner_id, limit, dropped, err);
    if (!kind && !*dropped)
        kind = store_sandbox_drop_answers(tx, partner_id, limit, dropped, err);
    return kind;
}

enum err_kind sandbox_reset(struct tx *tx, struct arena *a, int64_t partner_id, int64_t limit, bool *more, struct err *err) {
    struct partner p;
    int64_t dropped = 0;
    enum err_kind kind = store_partner_get(tx, partner_id, a, &p, err);
    if (kind)
        return kind;
    CHECK(p.mode == PARTNER_SANDBOX);
    kind = drop_some(tx, partner_id, limit, &dropped, err);
    *more = dropped > 0;
    if (kind || *more)
        return kind;
    p.clock_offset_ms = 0;
    kind = store_sandbox_drop_caps(tx, partner_id, err);
    if (!kind)
        kind = store_sandbox_rewind_webhooks(tx, partner_id, err);
    if (!kind)
        kind = store_partner_update(tx, &p, err);
    return kind ? kind : furnish_sims(tx, a, &p, err);
}
