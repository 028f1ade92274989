// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_test.c - a sandbox partner's orders: on the built-in network whatever is configured, apart from the live ones, and failing or
 * dawdling as asked.
 */
#include "base/log.h"
#include "core/sandbox.h"
#include "engine/testworld.h"
#include "peer/sandbox.h"
#include "store/store_partner.h"
#include "store/store_product.h"

static enum err_kind set_mode(struct tx *tx, void *ctx, struct err *err) {
    struct world *w = ctx;
    struct partner p;
    enum err_kind k = store_partner_get(tx, w->partner_id, &w->arena, &p, err);
    p.mode = p.mode == PARTNER_LIVE ? PARTNER_SANDBOX : PARTNER_LIVE;
    return k ? k : store_partner_update(tx, &p, err);
}

static enum err_kind put_product(struct tx *tx, void *ctx, struct err *err) {
    enum upsert what;
    return store_product_put(tx, &((struct world *)ctx)->product, &what, err);
}

// The next orders are for the product of this behaviour.
static void rehearse(struct world *w, enum sandbox_behaviour b) {
    assert_true(str_to_buf(str_of(sandbox_table[b].product_id), w->product.public_id, sizeof w->product.public_id));
    w->product.id = 0;
    world_do(w, put_product, w);
}

static enum err_kind add_general_profile(struct tx *tx, void *ctx, struct err *err) {
    struct sim s = {.iccid = *(iccid_t *)ctx,
                    .type = SIM_ESIM,
                    .esim = ESIM_RELEASED,
                    .matching_id = STR("GENERAL"),
                    .smdp = STR("smdp.example.com"),
                    .activated = WALL_NONE,
                    .modified = tx_now(tx)};
    return store_sim_insert(tx, &s, err);
}

static void orders_never_reach_the_configured_elements(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* * * *: refuse", 2);
    world_do(&w, set_mode, &w);
    world_engine(&w, 0);
    for (int b = SANDBOX_REFUSED; b < SANDBOX_BEHAVIOURS; b++) {
        rehearse(&w, (enum sandbox_behaviour)b); // without a peer for rehearsals they are on the built-in network, too
        struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, b % 2);
        world_run(&w, 0);
        assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
    }
    enum task_verb verb;
    assert_null(peer_fake_deed(w.fake, 0, &verb));
    world_do(&w, set_mode, &w);
    struct uuid live = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    world_run(&w, 0);
    assert_int_equal(world_order(&w, live).state, ORDER_FAILED);
    world_close(&w);
}

static void profiles_come_from_its_own_stock_alone(void **state UNUSED) {
    struct world w = {0};
    iccid_t general = ICCID_BASE + 900;
    world_open(&w, NULL, 0);
    world_do(&w, set_mode, &w);
    world_do(&w, add_general_profile, &general);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    world_run(&w, 0);
    assert_int_equal(world_order(&w, id).state, ORDER_FAILED);
    assert_true(str_is(world_order(&w, id).failure, "no eSIM profile in stock"));
    assert_int_equal(world_get_sim(&w, general).partner_id, 0);

    world_add_sim(&w, 5, SIM_ESIM, SIM_STOCK);
    id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    world_run(&w, 0);
    assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
    assert_true(world_order(&w, id).iccid == world_sim(5));
    assert_int_equal(world_get_sim(&w, general).partner_id, 0);
    world_check(&w, true);
    world_close(&w);
}

static void each_behaviour_ends_as_the_table_says(void **state UNUSED) {
    static const struct {
        enum sandbox_behaviour behaviour;
        enum operation operation;
        enum sim_type type;
        enum order_state end;
        int64_t after_ms, within_ms; // it has not ended before, it has then
    } rows[] = {
        {SANDBOX_REFUSED, OP_TOPUP, SIM_PSIM, ORDER_FAILED, 0, 1},
        {SANDBOX_REFUSED, OP_ACTIVATION, SIM_ESIM, ORDER_FAILED, 0, 1},
        {SANDBOX_NO_PROFILE, OP_TOPUP, SIM_PSIM, ORDER_COMPLETED, 0, 1},
        {SANDBOX_NO_PROFILE, OP_ACTIVATION, SIM_ESIM, ORDER_FAILED, 0, 1},
        {SANDBOX_SLOW, OP_TOPUP, SIM_PSIM, ORDER_COMPLETED, 4999, 5001},
        {SANDBOX_SLOW, OP_ACTIVATION, SIM_ESIM, ORDER_COMPLETED, 4999, 5001},
        {SANDBOX_UNSURE_DONE, OP_TOPUP, SIM_PSIM, ORDER_COMPLETED, 1700, 2300},
        {SANDBOX_UNSURE_DONE, OP_ACTIVATION, SIM_ESIM, ORDER_COMPLETED, 1700, 2300},
        {SANDBOX_UNSURE_NOT_DONE, OP_TOPUP, SIM_PSIM, ORDER_COMPLETED, 1700, 2300},
        {SANDBOX_UNSURE_NOT_DONE, OP_ACTIVATION, SIM_ESIM, ORDER_COMPLETED, 1700, 2300},
    };
    struct world w = {0};
    world_open(&w, NULL, 1);
    world_do(&w, set_mode, &w);
    world_engine(&w, 0);
    engine_set_sandbox_peer(w.engines[0], peer_sandbox_open("sandbox", &w.clock));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rehearse(&w, rows[i].behaviour);
        bool esim = rows[i].type == SIM_ESIM;
        if (esim)
            world_add_sim(&w, 100 + (int)i, SIM_ESIM, SIM_STOCK);
        struct uuid id = world_place(&w, rows[i].operation, rows[i].type, esim ? -1 : 0);
        world_run(&w, rows[i].after_ms);
        if (rows[i].after_ms > 0)
            assert_int_equal(world_order(&w, id).state, ORDER_FULFILLING);
        world_run(&w, rows[i].within_ms - rows[i].after_ms);
        struct order o = world_order(&w, id);
        assert_int_equal(o.state, rows[i].end);
        struct subscription s;
        assert_int_equal(world_subscription(&w, id, &s), rows[i].end == ORDER_COMPLETED);
        if (rows[i].end == ORDER_FAILED)
            assert_true(str_present(o.failure));
    }
    world_check(&w, true);
    world_close(&w);
}

static void lanes_do_not_hold_each_other_up(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* * * *: unavailable", 8);
    world_engine(&w, 0);
    w.batch_max = 4;
    world_drop(&w, 0);
    world_engine(&w, 0);
    struct peer *rehearsal = peer_sandbox_open("sandbox", &w.clock);
    rehearsal->calls_max = 1;
    engine_set_sandbox_peer(w.engines[0], rehearsal);

    for (int i = 0; i < 40; i++) // many more than a turn takes, and the element is away
        world_place(&w, OP_TOPUP, SIM_PSIM, i % 4);
    world_run(&w, 0);
    world_do(&w, set_mode, &w);
    rehearse(&w, SANDBOX_SLOW);
    struct uuid slow[3];
    for (int i = 0; i < 3; i++)
        slow[i] = world_place(&w, OP_TOPUP, SIM_PSIM, 4 + i);
    rehearse(&w, SANDBOX_NO_PROFILE); // a top-up for it is as usual
    struct uuid usual = world_place(&w, OP_TOPUP, SIM_PSIM, 7);
    world_run(&w, 10);
    assert_int_equal(world_order(&w, usual).state, ORDER_COMPLETED);
    world_run(&w, 3 * SANDBOX_SLOW_MS + 1000); // one call at a time
    for (int i = 0; i < 3; i++)
        assert_int_equal(world_order(&w, slow[i]).state, ORDER_COMPLETED);
    world_close(&w);
}

static void a_restart_in_the_middle_of_a_rehearsal_changes_nothing(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 3);
    world_do(&w, set_mode, &w);
    static const enum sandbox_behaviour behaviours[] = {SANDBOX_SLOW, SANDBOX_UNSURE_DONE, SANDBOX_UNSURE_NOT_DONE};
    for (int i = 0; i < 3; i++) {
        rehearse(&w, behaviours[i]);
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    }
    for (int restart = 0; restart < 3; restart++) {
        world_engine(&w, 0);
        engine_set_sandbox_peer(w.engines[0], peer_sandbox_open("sandbox", &w.clock));
        world_run(&w, 500);
        world_drop(&w, 0);
    }
    world_engine(&w, 0);
    engine_set_sandbox_peer(w.engines[0], peer_sandbox_open("sandbox", &w.clock));
    world_run(&w, 60000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(world_order(&w, w.orders[i]).state, ORDER_COMPLETED);
    world_check(&w, true);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_never_reach_the_configured_elements),
        cmocka_unit_test(profiles_come_from_its_own_stock_alone),
        cmocka_unit_test(each_behaviour_ends_as_the_table_says),
        cmocka_unit_test(lanes_do_not_hold_each_other_up),
        cmocka_unit_test(a_restart_in_the_middle_of_a_rehearsal_changes_nothing),
    };
    log_threshold = LOG_ERROR + 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
