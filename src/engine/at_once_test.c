// SPDX-License-Identifier: Apache-2.0
/*
 * at_once_test.c - orders that are carried out in the transaction that accepts them.
 */
#include "base/log.h"
#include "engine/testworld.h"
#include "store/statements.h"

static int commits;

static enum err_kind counted_commit(struct db *db, struct err *err) {
    commits++;
    return db_sqlite.commit(db, err);
}

static struct db_driver counting(void) {
    struct db_driver d = db_sqlite;
    d.commit = counted_commit;
    return d;
}

static void begin(struct world *w, const char *script, int sims, unsigned inside) {
    world_open(w, script, sims);
    w->at_once = true;
    w->inside = inside;
    world_engine(w, 0);
}

static void what_the_built_in_network_serves_is_done_when_it_is_accepted(void **state UNUSED) {
    struct db_driver driver = counting();
    struct world w = {.driver = &driver};
    begin(&w, NULL, 2, 0);
    world_add_sim(&w, 2, SIM_ESIM, SIM_STOCK);
    world_add_sim(&w, 3, SIM_PSIM, SIM_STOCK);
    commits = 0;
    struct uuid topup = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct uuid esim = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    struct uuid psim = world_place(&w, OP_ACTIVATION, SIM_PSIM, 3);
    assert_int_equal(commits, 3);
    struct task *tasks;
    struct subscription sub;
    const struct uuid all[] = {topup, esim, psim};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_int_equal(world_order(&w, all[i]).state, ORDER_COMPLETED);
        assert_int_equal(world_tasks(&w, all[i], &tasks), 0);
        assert_true(world_subscription(&w, all[i], &sub));
        assert_int_equal(world_events(&w, all[i], EVENT_ORDER_ACCEPTED), 1);
        assert_int_equal(world_events(&w, all[i], EVENT_ORDER_COMPLETED), 1);
    }
    assert_int_equal(world_order(&w, esim).iccid, world_sim(2));
    assert_int_equal(world_get_sim(&w, world_sim(2)).service, SIM_ACTIVE);
    assert_int_equal(world_get_sim(&w, world_sim(3)).service, SIM_ACTIVE);
    world_check(&w, true);
    world_close(&w);
}

static void an_order_that_cannot_be_carried_out_has_failed_when_it_is_accepted(void **state UNUSED) {
    struct world w = {0};
    begin(&w, NULL, 1, 0);
    struct uuid id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1); // nothing in stock
    struct order o = world_order(&w, id);
    assert_int_equal(o.state, ORDER_FAILED);
    assert_true(str_is(o.failure, "no eSIM profile in stock"));
    assert_int_equal(world_cap(&w), 0);
    world_check(&w, true);
    world_close(&w);
}

static void what_an_outside_peer_serves_waits_for_a_turn(void **state UNUSED) {
    struct world w = {0};
    begin(&w, "", 2, 1U << TASK_PROFILE_RESERVE);
    world_add_sim(&w, 2, SIM_ESIM, SIM_STOCK);
    struct uuid topup = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct uuid esim = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    struct task *tasks;
    assert_int_equal(world_order(&w, topup).state, ORDER_ACCEPTED);
    assert_int_equal(world_tasks(&w, topup, &tasks), 1);
    assert_int_equal(tasks[0].state, TASK_READY);
    assert_int_equal(world_tasks(&w, esim, &tasks), 3); // as far as it goes
    assert_int_equal(tasks[0].state, TASK_DONE);
    assert_int_equal(tasks[1].state, TASK_READY);
    assert_int_equal(world_order(&w, esim).iccid, world_sim(2));
    world_run(&w, MINUTE);
    world_check(&w, true);
    assert_int_equal(world_order(&w, topup).state, ORDER_COMPLETED);
    assert_int_equal(world_order(&w, esim).state, ORDER_COMPLETED);
    world_close(&w);
}

static void an_order_behind_another_on_its_sim_keeps_its_place(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 1);
    struct uuid first = world_place(&w, OP_TOPUP, SIM_PSIM, 0); // nobody is there to settle it
    w.at_once = true;
    world_engine(&w, 0);
    struct uuid second = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct task *tasks;
    assert_int_equal(world_order(&w, second).state, ORDER_ACCEPTED);
    assert_int_equal(world_tasks(&w, second, &tasks), 1);
    assert_int_equal(tasks[0].state, TASK_BLOCKED);
    world_run(&w, MINUTE);
    assert_int_equal(world_order(&w, first).state, ORDER_COMPLETED);
    assert_int_equal(world_order(&w, second).state, ORDER_COMPLETED);
    world_check(&w, true);
    world_close(&w);
}

// ---- the store takes offence at what the engine writes ----

static bool offended;

static enum err_kind spiteful_exec(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed,
                                   struct err *err) {
    if (offended && statement == ST_SUBSCRIPTION_INSERT)
        return err_set(err, ERR_CONFLICT, "spite");
    return db_sqlite.exec(db, statement, params, n, changed, err);
}

static void what_cannot_be_settled_at_once_is_accepted_all_the_same(void **state UNUSED) {
    struct db_driver driver = db_sqlite;
    driver.exec = spiteful_exec;
    struct world w = {.driver = &driver};
    begin(&w, NULL, 2, 0);
    offended = true;
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct task *tasks;
    assert_int_equal(world_order(&w, id).state, ORDER_ACCEPTED);
    assert_int_equal(world_tasks(&w, id, &tasks), 1);
    assert_int_equal(tasks[0].state, TASK_READY);
    assert_int_equal(world_events(&w, id, EVENT_ORDER_COMPLETED), 0);
    offended = false;
    world_run(&w, MINUTE);
    assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
    world_check(&w, true);
    world_close(&w);
}

int main(void) {
    log_threshold = (enum log_level)(LOG_ERROR + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_built_in_network_serves_is_done_when_it_is_accepted),
        cmocka_unit_test(an_order_that_cannot_be_carried_out_has_failed_when_it_is_accepted),
        cmocka_unit_test(what_an_outside_peer_serves_waits_for_a_turn),
        cmocka_unit_test(an_order_behind_another_on_its_sim_keeps_its_place),
        cmocka_unit_test(what_cannot_be_settled_at_once_is_accepted_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
