// SPDX-License-Identifier: Apache-2.0
/*
 * fault_test.c - the store fails at any call of an order's life, or will not take what one order wants to write: every order ends once all
 * the same, and one that cannot be written holds up no other.
 */
#include "base/log.h"
#include "engine/testworld.h"
#include "store/db_fault.h"
#include "store/statements.h"

static void any_call_of_the_store_may_fail_once(void **state UNUSED) {
    static const enum fault_mode modes[] = {FAULT_REFUSES, FAULT_LOSES, FAULT_RETRY, FAULT_UNSURE};
    static const char *const scripts[] = {NULL, "PROFILE_RELEASE START * 1: refuse", "* START * 1: lose\n* START * 1: unavailable"};
    for (size_t s = 0; s < ARRAY_LEN(scripts); s++)
        for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
            bool struck = true;
            int64_t at = 1;
            for (; struck; at += 1 + at / 10) {
                struct db_fault fault;
                struct world w = {.driver = &fault.driver};
                db_fault_init(&fault, &db_sqlite);
                world_open(&w, scripts[s], 2);
                w.trouble_allowed = true;
                world_add_sim(&w, 2, SIM_ESIM, SIM_STOCK);
                world_engine(&w, 0);
                world_place(&w, OP_TOPUP, SIM_PSIM, 0);
                world_place(&w, OP_TOPUP, SIM_PSIM, 0);
                world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
                db_fault_arm(&fault, modes[m], at);
                world_run(&w, HOUR);
                struck = fault.hits > 0;
                db_fault_arm(&fault, modes[m], 0);
                world_check(&w, true);
                world_close(&w);
            }
            assert_true(at > 30); // it was struck many times before there was nothing left to strike
        }
}

// ---- a database that takes offence at one order ----

static struct db_driver spiteful;
static struct uuid offending;  // committing what names it is refused
static int64_t offending_task; // writing to it is refused
static bool named;

static enum err_kind spiteful_begin(struct db *db, struct err *err) {
    named = false;
    return db_sqlite.begin(db, err);
}

static enum err_kind spiteful_exec(struct db *db, int statement, const struct db_value *params, size_t n, int64_t *changed,
                                   struct err *err) {
    for (size_t i = 0; i < n; i++) {
        if (params[i].type == DB_BLOB && params[i].s.n == sizeof(offending.b) && !uuid_is_zero(offending) &&
            memcmp(params[i].s.p, offending.b, sizeof(offending.b)) == 0)
            named = true;
    }
    if (offending_task && (statement == ST_TASK_UPDATE || statement == ST_TASK_DELETE) && params[0].i == offending_task)
        return err_set(err, ERR_CONFLICT, "spite");
    return db_sqlite.exec(db, statement, params, n, changed, err);
}

static enum err_kind spiteful_commit(struct db *db, struct err *err) {
    return named ? err_set(err, ERR_CONFLICT, "spite") : db_sqlite.commit(db, err);
}

static void spite_begin(void) {
    spiteful = db_sqlite;
    spiteful.begin = spiteful_begin;
    spiteful.exec = spiteful_exec;
    spiteful.commit = spiteful_commit;
    offending = (struct uuid){{0}};
    offending_task = 0;
}

static int completed(struct world *w) {
    int n = 0;
    for (int i = 0; i < w->n_orders; i++)
        n += world_order(w, w->orders[i]).state == ORDER_COMPLETED;
    return n;
}

static void order_whose_commit_is_refused_is_found_and_parked(void **state UNUSED) {
    spite_begin();
    struct world w = {.driver = &spiteful};
    world_open(&w, NULL, 50);
    world_engine(&w, 0);
    for (int i = 0; i < 50; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    offending = w.orders[17];
    world_run(&w, MINUTE);
    assert_int_equal(completed(&w), 49);
    struct task *tasks;
    assert_int_equal(world_tasks(&w, w.orders[17], &tasks), 1);
    assert_int_equal(tasks[0].state, TASK_PARKED);
    assert_true(str_starts(tasks[0].note, "conflict: "));
    offending = (struct uuid){{0}};
    assert_int_equal(world_retry(&w), 1);
    world_run(&w, MINUTE);
    world_check(&w, true);
    world_close(&w);
}

static void task_that_cannot_even_be_parked_is_left_alone(void **state UNUSED) {
    spite_begin();
    struct world w = {.driver = &spiteful};
    world_open(&w, NULL, 20);
    world_engine(&w, 0);
    for (int i = 0; i < 19; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    struct task *tasks;
    assert_int_equal(world_tasks(&w, w.orders[4], &tasks), 1);
    offending_task = tasks[0].id;
    world_run(&w, MINUTE);
    assert_int_equal(completed(&w), 18);
    world_place(&w, OP_TOPUP, SIM_PSIM, 19);
    world_run(&w, MINUTE);
    assert_int_equal(completed(&w), 19);

    // After a restart it is tried again.
    offending_task = 0;
    world_drop(&w, 0);
    world_engine(&w, 0);
    world_run(&w, MINUTE);
    world_check(&w, true);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_of_the_store_may_fail_once),
        cmocka_unit_test(order_whose_commit_is_refused_is_found_and_parked),
        cmocka_unit_test(task_that_cannot_even_be_parked_is_left_alone),
    };
    log_threshold = LOG_ERROR + 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
