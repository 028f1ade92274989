// SPDX-License-Identifier: Apache-2.0
/*
 * timers_test.c - subscriptions begin and end at their dates, also when nobody was running then.
 */
#include "base/log.h"
#include "engine/testworld.h"

static enum subscription_state sub_state(struct world *w, struct uuid id) {
    struct subscription s;
    assert_true(world_subscription(w, id, &s));
    return s.state;
}

static void subscription_begins_and_ends_at_its_dates(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 1);
    world_engine(&w, 0);
    w.activation = wall_plus_ms(clock_wall(&w.clock), 10 * DAY);
    w.expiration = wall_plus_ms(clock_wall(&w.clock), 12 * DAY);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    world_run(&w, 10 * DAY - 1);
    assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
    assert_int_equal(sub_state(&w, id), SUB_PENDING);
    world_run(&w, 1);
    assert_int_equal(sub_state(&w, id), SUB_ACTIVE);
    assert_int_equal(world_events(&w, id, EVENT_SUBSCRIPTION_PENDING), 1);
    assert_int_equal(world_events(&w, id, EVENT_SUBSCRIPTION_ACTIVATED), 1);
    world_run(&w, 2 * DAY - 1);
    assert_int_equal(sub_state(&w, id), SUB_ACTIVE);
    world_run(&w, 1);
    assert_int_equal(sub_state(&w, id), SUB_EXPIRED);
    assert_int_equal(world_events(&w, id, EVENT_SUBSCRIPTION_EXPIRED), 1);
    world_run(&w, 100 * DAY);
    world_check(&w, true);
    world_close(&w);
}

static void dates_missed_while_nobody_ran_are_made_up_for(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 1);
    world_engine(&w, 0);
    w.activation = wall_plus_ms(clock_wall(&w.clock), DAY);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    world_run(&w, 0);
    world_drop(&w, 0);
    clock_manual_advance(&w.manual, 200 * DAY);
    world_engine(&w, 0);
    world_run(&w, 0);
    struct subscription s;
    assert_true(world_subscription(&w, id, &s));
    assert_int_equal(s.state, SUB_EXPIRED);
    assert_int_equal(s.activation.ms, w.activation.ms);
    assert_int_equal(s.expiry.ms, w.activation.ms + 90 * DAY); // counted from its date, not from when we came
    assert_int_equal(world_events(&w, id, EVENT_SUBSCRIPTION_ACTIVATED), 1);
    assert_int_equal(world_events(&w, id, EVENT_SUBSCRIPTION_EXPIRED), 1);
    world_check(&w, true);
    world_close(&w);
}

static void sandbox_clocks_run_on_by_themselves(void **state UNUSED) {
    struct world w = {.sandbox = true};
    world_open(&w, NULL, 2);
    world_engine(&w, 0);
    struct wall there = wall_plus_ms(clock_wall(&w.clock), WORLD_SANDBOX_AHEAD);
    w.activation = wall_plus_ms(there, HOUR);
    w.expiration = wall_plus_ms(there, 2 * HOUR);
    struct uuid later = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    w.activation = WALL_NONE;
    w.expiration = wall_plus_ms(there, 10 * MINUTE);
    struct uuid now = world_place(&w, OP_TOPUP, SIM_PSIM, 1);
    world_run(&w, MINUTE);
    assert_int_equal(world_order(&w, later).state, ORDER_COMPLETED);
    assert_int_equal(sub_state(&w, now), SUB_ACTIVE);
    world_run(&w, 9 * MINUTE);
    assert_int_equal(sub_state(&w, now), SUB_EXPIRED);
    assert_int_equal(sub_state(&w, later), SUB_PENDING);
    world_run(&w, 50 * MINUTE);
    assert_int_equal(sub_state(&w, later), SUB_ACTIVE);
    world_run(&w, HOUR);
    struct subscription s;
    assert_true(world_subscription(&w, later, &s));
    assert_int_equal(s.state, SUB_EXPIRED);
    assert_int_equal(s.activation.ms, there.ms + HOUR);
    world_close(&w);
}

static int in_state(struct world *w, enum subscription_state state) {
    int n = 0;
    for (int i = 0; i < w->n_orders; i++)
        n += sub_state(w, w->orders[i]) == state;
    return n;
}

static void many_at_one_instant_let_orders_pass_between(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 101);
    w.batch_max = 20;
    world_engine(&w, 0);
    w.expiration = wall_plus_ms(clock_wall(&w.clock), DAY);
    for (int i = 0; i < 100; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    world_run(&w, DAY - 1);
    assert_int_equal(in_state(&w, SUB_ACTIVE), 100);
    clock_manual_advance(&w.manual, 1);
    w.expiration = WALL_NONE;
    struct uuid order = world_place(&w, OP_TOPUP, SIM_PSIM, 100);
    struct wall wake;
    struct err err = {0};
    assert_int_equal(engine_step(w.engines[0], &wake, &err), ERR_NONE);
    assert_int_equal(world_order(&w, order).state, ORDER_COMPLETED);
    assert_int_equal(wake.ms, clock_wall(&w.clock).ms);
    assert_int_equal(in_state(&w, SUB_EXPIRED), 20);
    world_run(&w, 0);
    assert_int_equal(in_state(&w, SUB_EXPIRED), 100);
    world_check(&w, true);
    world_close(&w);
}

// A job behind which the engine's turn waits, and another behind that.
struct behind {
    struct world *w;
    struct store_job first, second;
    bool done;
};

static enum err_kind nothing(struct tx *tx UNUSED, void *ctx UNUSED, struct err *err UNUSED) {
    return ERR_NONE;
}

static void second_done(void *ctx, enum err_kind kind, const struct err *err UNUSED) {
    struct behind *b = ctx;
    assert_int_equal(kind, ERR_NONE);
    b->done = true;
}

static void first_done(void *ctx, enum err_kind kind, const struct err *err UNUSED) {
    struct behind *b = ctx;
    struct err e = {0};
    struct wall wake;
    assert_int_equal(kind, ERR_NONE);
    assert_int_equal(engine_step(b->w->engines[0], &wake, &e), ERR_NONE);
    b->second = (struct store_job){.run = nothing, .done = second_done, .ctx = b};
    assert_int_equal(store_submit(b->w->store, &b->second, &e), ERR_NONE);
}

static void who_waits_behind_a_turn_does_not_wait_for_all_that_is_due(void **state UNUSED) {
    struct world w = {.store_batch = 1};
    struct err err = {0};
    world_open(&w, NULL, 10);
    world_engine(&w, 0);
    w.expiration = wall_plus_ms(clock_wall(&w.clock), DAY);
    for (int i = 0; i < 10; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    world_run(&w, DAY - 1);
    assert_int_equal(in_state(&w, SUB_ACTIVE), 10);
    clock_manual_advance(&w.manual, 1);
    struct behind b = {.w = &w};
    b.first = (struct store_job){.run = nothing, .done = first_done, .ctx = &b};
    assert_int_equal(store_submit(w.store, &b.first, &err), ERR_NONE);
    assert_true(b.done);
    assert_int_equal(in_state(&w, SUB_EXPIRED), 1); // however many wait, time goes on
    world_run(&w, 0);
    assert_int_equal(in_state(&w, SUB_EXPIRED), 10);
    world_check(&w, true);
    world_close(&w);
}

static enum err_kind spoil(struct tx *tx, void *ctx, struct err *err) {
    struct subscription *s = ctx;
    s->state = SUB_PENDING; // and its date lies far ahead, but the timer does not
    s->activation = wall_plus_ms(tx_now(tx), 50 * MINUTE);
    s->next_at = wall_plus_ms(tx_now(tx), MINUTE);
    return store_subscription_update(tx, s, err);
}

static void subscription_that_cannot_move_does_not_stop_the_others(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 5);
    world_engine(&w, 0);
    w.expiration = wall_plus_ms(clock_wall(&w.clock), 2 * MINUTE);
    for (int i = 0; i < 5; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    world_run(&w, 0);
    struct subscription s;
    assert_true(world_subscription(&w, w.orders[2], &s));
    s.expiry = WALL_NONE;
    world_do(&w, spoil, &s);
    world_run(&w, 3 * MINUTE);
    assert_int_equal(in_state(&w, SUB_EXPIRED), 4);
    assert_int_equal(sub_state(&w, w.orders[2]), SUB_PENDING);
    w.expiration = WALL_NONE;
    struct uuid order = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    world_run(&w, MINUTE);
    assert_int_equal(world_order(&w, order).state, ORDER_COMPLETED);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscription_begins_and_ends_at_its_dates),
        cmocka_unit_test(dates_missed_while_nobody_ran_are_made_up_for),
        cmocka_unit_test(sandbox_clocks_run_on_by_themselves),
        cmocka_unit_test(many_at_one_instant_let_orders_pass_between),
        cmocka_unit_test(who_waits_behind_a_turn_does_not_wait_for_all_that_is_due),
        cmocka_unit_test(subscription_that_cannot_move_does_not_stop_the_others),
    };
    log_threshold = LOG_ERROR + 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
