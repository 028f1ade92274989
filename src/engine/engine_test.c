// SPDX-License-Identifier: Apache-2.0
/*
 * engine_test.c - what becomes of accepted orders, whatever peers, nodes and operators do meanwhile.
 */
#include <stdlib.h>

#include "base/log.h"
#include "engine/testworld.h"
#include "store/store_partner.h"

static enum task_state state_of(struct world *w, struct uuid id, int step) {
    struct task *tasks;
    assert_true((int)world_tasks(w, id, &tasks) > step);
    return tasks[step].state;
}

static void expect_failed(struct world *w, struct uuid id, const char *why) {
    struct order o = world_order(w, id);
    assert_int_equal(o.state, ORDER_FAILED);
    char text[300];
    assert_true(str_to_buf(o.failure, text, sizeof(text)));
    if (!strstr(text, why))
        fail_msg("'%s' does not say '%s'", text, why);
}

static void expect_deed(struct world *w, size_t n, struct uuid id, int step, enum task_verb verb) {
    enum task_verb was;
    char text[UUID_TEXT], want[64];
    uuid_format(id, text);
    snprintf(want, sizeof(want), "%s-%d", text, step);
    const char *deed = peer_fake_deed(w->fake, n, &was);
    assert_non_null(deed);
    assert_string_equal(deed, want);
    assert_int_equal(was, verb);
}

static int deeds(struct world *w) {
    enum task_verb verb;
    int n = 0;
    while (peer_fake_deed(w->fake, (size_t)n, &verb))
        n++;
    return n;
}

static int calls_of(struct world *w, struct uuid id, int step) {
    char text[UUID_TEXT], identity[64];
    int done, undone, calls;
    uuid_format(id, text);
    snprintf(identity, sizeof(identity), "%s-%d", text, step);
    peer_fake_count(w->fake, identity, &done, &undone, &calls);
    return calls;
}

static void step(struct world *w, int place) {
    struct wall wake;
    struct err err = {0};
    assert_int_equal(engine_step(w->engines[place], &wake, &err), ERR_NONE);
}

// ---- the built-in network ----

static void builtin_orders_end_in_one_turn(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 1);
    world_add_sim(&w, 1, SIM_PSIM, SIM_STOCK);
    world_add_sim(&w, 2, SIM_ESIM, SIM_STOCK);
    world_engine(&w, 0);
    struct uuid topup = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct uuid psim = world_place(&w, OP_ACTIVATION, SIM_PSIM, 1);
    struct uuid esim = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    step(&w, 0);
    world_check(&w, true);

    struct order o = world_order(&w, topup);
    assert_int_equal(o.state, ORDER_COMPLETED);
    assert_int_equal(o.finished.ms, clock_wall(&w.clock).ms);
    assert_false(str_present(o.matching_id));
    assert_int_equal(world_order(&w, psim).state, ORDER_COMPLETED);
    o = world_order(&w, esim);
    assert_int_equal(o.state, ORDER_COMPLETED);
    assert_int_equal(o.iccid, world_sim(2));
    assert_true(str_is(o.matching_id, "MATCH-2"));
    assert_true(str_is(o.smdp, "smdp.example.com"));

    struct sim s = world_get_sim(&w, world_sim(1));
    assert_int_equal(s.service, SIM_ACTIVE);
    assert_int_equal(s.activated.ms, clock_wall(&w.clock).ms);
    assert_int_equal(world_get_sim(&w, world_sim(2)).service, SIM_ACTIVE);
    struct subscription sub;
    assert_true(world_subscription(&w, esim, &sub));
    assert_int_equal(sub.iccid, world_sim(2));
    assert_int_equal(sub.state, SUB_ACTIVE);
    assert_int_equal(sub.initial_bytes, INT64_C(50) << 20);
    assert_int_equal(sub.expiry.ms, clock_wall(&w.clock).ms + 90 * DAY);

    // The built-in network leaves no rows behind, and nobody ever saw FULFILLING.
    struct task *tasks;
    for (int i = 0; i < w.n_orders; i++) {
        assert_int_equal(world_tasks(&w, w.orders[i], &tasks), 0);
        assert_int_equal(world_events(&w, w.orders[i], EVENT_ORDER_FULFILLING), 0);
    }
    assert_int_equal(world_cap(&w), 2);
    world_close(&w);
}

static void builtin_twenty_orders_on_one_sim_end_in_order_in_one_turn(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 2);
    world_engine(&w, 0);
    for (int i = 0; i < 20; i++) {
        world_place(&w, OP_TOPUP, SIM_PSIM, 0);
        world_place(&w, OP_TOPUP, SIM_PSIM, 1);
    }
    step(&w, 0);
    world_check(&w, true);
    world_close(&w);
}

static void builtin_turn_is_not_larger_than_its_limit(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, NULL, 35);
    w.batch_max = 10;
    world_engine(&w, 0);
    for (int i = 0; i < 35; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    for (int turn = 1; turn <= 4; turn++) {
        struct wall wake;
        struct err err = {0};
        assert_int_equal(engine_step(w.engines[0], &wake, &err), ERR_NONE);
        int completed = 0;
        for (int i = 0; i < w.n_orders; i++)
            completed += world_order(&w, w.orders[i]).state == ORDER_COMPLETED;
        assert_int_equal(completed, turn < 4 ? turn * 10 : 35);
        if (turn < 4)
            assert_int_equal(wake.ms, clock_wall(&w.clock).ms); // it wants to go on at once
    }
    world_check(&w, true);
    world_close(&w);
}

static void esim_without_stock_fails_and_its_cap_is_given_back(void **state UNUSED) {
    struct world w = {0};
    for (int outside = 0; outside < 2; outside++) {
        world_open(&w, outside ? "" : NULL, 0);
        world_add_sim(&w, 0, SIM_ESIM, SIM_STOCK);
        world_engine(&w, 0);
        struct uuid first = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
        struct uuid second = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
        assert_int_equal(world_cap(&w), 2);
        world_run(&w, MINUTE);
        world_check(&w, true);
        assert_int_equal(world_order(&w, first).state, ORDER_COMPLETED);
        expect_failed(&w, second, "no eSIM profile in stock");
        assert_int_equal(world_cap(&w), 1);
        world_close(&w);
    }
}

static enum err_kind put_ahead(struct tx *tx, void *ctx, struct err *err) {
    struct world *w = ctx;
    struct partner p;
    enum err_kind k = store_partner_get(tx, w->partner_id, &w->arena, &p, err);
    p.clock_offset_ms = 10 * DAY;
    return k ? k : store_partner_update(tx, &p, err);
}

static void order_ends_in_its_partners_time(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "", 1);
    world_do(&w, put_ahead, &w);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    int64_t then = clock_wall(&w.clock).ms + 10 * DAY;
    world_run(&w, MINUTE);
    world_check(&w, true);
    assert_int_equal(world_order(&w, id).finished.ms, then);
    struct subscription sub;
    assert_true(world_subscription(&w, id, &sub));
    assert_int_equal(sub.activation.ms, then);
    world_close(&w);
}

// ---- outside peers ----

static void outside_order_is_fulfilled_step_by_step(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "", 0);
    world_add_sim(&w, 0, SIM_ESIM, SIM_STOCK);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    step(&w, 0); // claims and calls; the answer is there, not yet settled
    assert_int_equal(world_order(&w, id).state, ORDER_FULFILLING);
    assert_int_equal(state_of(&w, id, 0), TASK_CLAIMED);
    assert_int_equal(state_of(&w, id, 1), TASK_BLOCKED);
    assert_int_equal(world_get_sim(&w, world_sim(0)).service, SIM_ACTIVATING);
    step(&w, 0); // settles, and claims the next in the same turn
    assert_int_equal(state_of(&w, id, 0), TASK_DONE);
    assert_int_equal(state_of(&w, id, 1), TASK_CLAIMED);
    world_run(&w, MINUTE);
    world_check(&w, true);
    assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
    assert_int_equal(world_events(&w, id, EVENT_ORDER_FULFILLING), 1);
    struct task *tasks;
    assert_int_equal(world_tasks(&w, id, &tasks), 3); // kept for the timeline
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tasks[i].state, TASK_DONE);
        assert_int_equal(tasks[i].attempts, 1);
        assert_int_equal(tasks[i].iccid, world_sim(0));
        assert_true(str_is(tasks[i].peer, "hlr1"));
        expect_deed(&w, (size_t)i, id, i, TASK_START);
    }
    world_close(&w);
}

static void refusal_at_each_step_undoes_what_was_done_backwards(void **state UNUSED) {
    static const char *const scripts[] = {"PROFILE_RESERVE START * 1: refuse", "NETWORK_ENABLE START * 1: refuse",
                                          "PROFILE_RELEASE START * 1: refuse"};
    static const char *const reasons[] = {"the eSIM profile could not be reserved: refused by script",
                                          "the network could not enable the SIM: refused by script",
                                          "the eSIM profile could not be released: refused by script"};
    for (int k = 0; k < 3; k++) {
        struct world w = {0};
        world_open(&w, scripts[k], 0);
        world_add_sim(&w, 0, SIM_ESIM, SIM_STOCK);
        world_engine(&w, 0);
        struct uuid id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
        world_run(&w, HOUR);
        world_check(&w, true);
        expect_failed(&w, id, reasons[k]);
        for (int i = 0; i < k; i++) {
            expect_deed(&w, (size_t)i, id, i, TASK_START);
            expect_deed(&w, (size_t)(k + i), id, k - 1 - i, TASK_CANCEL);
        }
        assert_int_equal(deeds(&w), 2 * k);
        assert_int_equal(world_get_sim(&w, world_sim(0)).service, SIM_STOCK);
        assert_int_equal(world_cap(&w), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(state_of(&w, id, i), i == k ? TASK_REFUSED : TASK_UNDONE);

        // The profile is there for the next.
        struct uuid next = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
        world_run(&w, HOUR);
        world_check(&w, true);
        struct order o = world_order(&w, next);
        assert_int_equal(o.state, ORDER_COMPLETED);
        assert_int_equal(o.iccid, world_sim(0));
        world_close(&w);
    }
}

static void undo_survives_silence_and_absence(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "PROFILE_RELEASE START * 1: refuse\n* CANCEL * 1: hang\n* CANCEL * 1: lose\n* CANCEL * 1: unavailable\n", 0);
    world_add_sim(&w, 0, SIM_ESIM, SIM_STOCK);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    world_run(&w, HOUR);
    world_check(&w, true);
    expect_failed(&w, id, "could not be released");
    world_close(&w);
}

static void refused_undo_is_parked_until_an_operator_retries(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "NETWORK_ENABLE START * 1: refuse\nPROFILE_RESERVE CANCEL * 1: refuse\n", 0);
    world_add_sim(&w, 0, SIM_ESIM, SIM_STOCK);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    world_run(&w, DAY);
    world_check(&w, false);
    assert_int_equal(world_order(&w, id).state, ORDER_FULFILLING);
    assert_int_equal(state_of(&w, id, 0), TASK_PARKED);
    struct task *tasks;
    world_tasks(&w, id, &tasks);
    assert_true(str_is(tasks[0].note, "refused by script"));
    assert_int_equal(world_get_sim(&w, world_sim(0)).service, SIM_ACTIVATING);
    assert_int_equal(world_cap(&w), 1);
    assert_int_equal(world_retry(&w), 1);
    world_run(&w, DAY);
    world_check(&w, true);
    expect_failed(&w, id, "could not enable the SIM");
    assert_int_equal(world_get_sim(&w, world_sim(0)).service, SIM_STOCK);
    assert_int_equal(world_cap(&w), 0);
    world_close(&w);
}

static void unanswered_call_is_probed_before_it_is_repeated(void **state UNUSED) {
    static const struct {
        const char *script;
        int calls; // START, PROBE, and START again when it had not happened
    } cases[] = {
        {"* START * 1: hang", 3},
        {"* START * 1: lost-undone", 3},
        {"* START * 1: lose", 2},
        {"* START * 1: late 45s", 2}, // after the time-out
        {"* START * 1: late 25s", 1}, // before it
        {"* START * 1: twice 5s", 1},
        {"* START * 1: lose\n* PROBE * 2: hang", 4},
        {"* START * 1: hang\n* PROBE * 1: lose\n* START * 1: lose", 5}, // S P P S P
        {"* START * 1: unavailable\n* START * 1: lose", 3},
        {"* START * 1: lose\n* PROBE * 1: twice 90s", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w = {0};
        world_open(&w, cases[i].script, 1);
        world_engine(&w, 0);
        struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
        world_run(&w, HOUR);
        world_check(&w, true);
        assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
        assert_int_equal(world_done(&w, id, 0), 1);
        assert_int_equal(calls_of(&w, id, 0), cases[i].calls);
        world_close(&w);
    }
}

static void absent_peer_is_tried_again_later_and_later(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* START * 5: unavailable", 1);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    int64_t begun = clock_wall(&w.clock).ms, before = 0;
    for (int attempt = 1; attempt <= 5; attempt++) {
        int64_t at = 0;
        while (calls_of(&w, id, 0) < attempt)
            world_run(&w, 100);
        at = clock_wall(&w.clock).ms - begun;
        assert_true(attempt < 3 || at > 2 * before); // exponential
        before = at;
    }
    world_run(&w, HOUR);
    world_check(&w, true);
    struct task *tasks;
    world_tasks(&w, id, &tasks);
    assert_int_equal(tasks[0].attempts, 6);
    assert_int_equal(world_done(&w, id, 0), 1);
    world_close(&w);
}

static void hopeless_task_is_parked_and_holds_its_sim_until_retried(void **state UNUSED) {
    struct world w = {0};
    char iccid[ICCID_TEXT], script[64];
    iccid_format(world_sim(0), iccid);
    snprintf(script, sizeof(script), "* START %s 12: unavailable", iccid);
    world_open(&w, script, 2);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct uuid behind = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    struct uuid other = world_place(&w, OP_TOPUP, SIM_PSIM, 1);
    world_run(&w, 2 * DAY);
    world_check(&w, false);
    assert_int_equal(state_of(&w, id, 0), TASK_PARKED);
    assert_int_equal(world_order(&w, id).state, ORDER_FULFILLING);
    assert_int_equal(world_order(&w, behind).state, ORDER_ACCEPTED);
    assert_int_equal(state_of(&w, behind, 0), TASK_BLOCKED);
    assert_int_equal(world_order(&w, other).state, ORDER_COMPLETED);
    assert_int_equal(world_retry(&w), 1);
    world_run(&w, MINUTE);
    world_check(&w, true);
    world_close(&w);
}

static void absent_peer_is_not_hammered(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* * * *: unavailable", 200);
    w.calls_max = 16;
    world_engine(&w, 0);
    for (int i = 0; i < 200; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    world_run(&w, 2 * MINUTE);
    int calls = 0;
    for (int i = 0; i < 200; i++)
        calls += calls_of(&w, w.orders[i], 0);
    assert_in_range(calls, 17, 40); // a first volley, then one call after each pause
    world_check(&w, false);
    world_close(&w);
}

static void peer_comes_back_and_all_goes_on(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* * * 30: unavailable", 100);
    w.calls_max = 16;
    world_engine(&w, 0);
    for (int i = 0; i < 100; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    world_run(&w, HOUR);
    world_check(&w, true);
    world_close(&w);
}

static void peer_has_no_more_calls_than_it_may(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* * * *: late 2s", 10);
    w.calls_max = 3;
    world_engine(&w, 0);
    for (int i = 0; i < 10; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    for (int volley = 1; volley <= 4; volley++) {
        world_run(&w, 1000);
        assert_int_equal(deeds(&w), volley < 4 ? 3 * volley : 10);
        world_run(&w, 1000);
    }
    world_run(&w, MINUTE);
    world_check(&w, true);
    world_close(&w);
}

static void orders_of_one_sim_are_fulfilled_in_order_of_acceptance(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* START * 2: lose\n* START * 2: unavailable\n* START * 3: refuse\n* START * 2: late 40s\n", 2);
    world_engine(&w, 0);
    for (int i = 0; i < 20; i++) {
        world_place(&w, OP_TOPUP, SIM_PSIM, 0);
        world_place(&w, OP_TOPUP, SIM_PSIM, 1);
    }
    world_run(&w, DAY);
    world_check(&w, true); // looks at the order in which they end, too
    int failed = 0;
    for (int i = 0; i < w.n_orders; i++)
        failed += world_order(&w, w.orders[i]).state == ORDER_FAILED;
    assert_int_equal(failed, 3);
    world_close(&w);
}

// ---- nodes that die, hang, and come back ----

static void lease_that_ran_out_is_taken_over_with_a_probe(void **state UNUSED) {
    static const char *const scripts[] = {"* START * 1: lose", "* START * 1: hang", "* START * 1: late 20s"};
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct world w = {0};
        world_open(&w, scripts[i], 1);
        world_engine(&w, 0);
        world_engine(&w, 1);
        struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
        step(&w, 0);
        world_drop(&w, 0);
        world_run(&w, 59000);
        assert_int_equal(state_of(&w, id, 0), TASK_CLAIMED);
        assert_int_equal(calls_of(&w, id, 0), 1);
        world_run(&w, MINUTE);
        world_check(&w, true);
        assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
        assert_int_equal(world_done(&w, id, 0), 1);
        struct task *tasks;
        world_tasks(&w, id, &tasks);
        assert_int_equal(tasks[0].attempts, i == 1 ? 3 : 2);
        world_close(&w);
    }
}

static void node_that_wakes_late_settles_nothing(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* START * 1: late 10s\n* PROBE * 1: late 20s", 1);
    world_engine(&w, 0);
    world_engine(&w, 1);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    step(&w, 0); // calls, and then stands still
    struct engine *sleeper = w.engines[0];
    w.engines[0] = NULL;
    world_run(&w, 65000); // the other one is now in the middle of its probe
    assert_int_equal(state_of(&w, id, 0), TASK_CLAIMED);
    w.engines[0] = sleeper;
    step(&w, 0); // its answer has been there for long
    assert_int_equal(state_of(&w, id, 0), TASK_CLAIMED);
    assert_int_equal(world_order(&w, id).state, ORDER_FULFILLING);
    struct task *tasks;
    world_tasks(&w, id, &tasks);
    assert_int_equal(tasks[0].lease_owner, 2);
    world_run(&w, MINUTE);
    world_check(&w, true);
    assert_int_equal(world_done(&w, id, 0), 1);
    world_close(&w);
}

static void answer_from_before_a_retry_is_not_taken_for_the_new_one(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* START * 1: late 10s\n* PROBE * *: unavailable", 1);
    world_engine(&w, 0);
    world_engine(&w, 1);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    step(&w, 0);
    struct engine *sleeper = w.engines[0];
    w.engines[0] = NULL;
    world_run(&w, 2 * DAY);
    assert_int_equal(state_of(&w, id, 0), TASK_PARKED);
    world_drop(&w, 1);
    assert_int_equal(world_retry(&w), 1);
    // A new process as the same node claims the first attempt after the retry; then the old one wakes with an answer to "attempt 1".
    world_engine(&w, 0);
    step(&w, 0);
    assert_int_equal(state_of(&w, id, 0), TASK_CLAIMED);
    struct engine *fresh = w.engines[0];
    w.engines[0] = sleeper;
    step(&w, 0);
    assert_int_equal(state_of(&w, id, 0), TASK_CLAIMED);
    w.engines[0] = fresh;
    engine_close(sleeper);
    world_check(&w, false);
    world_close(&w);
}

static void restart_goes_on_at_once_and_repeats_nothing(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "", 5);
    world_add_sim(&w, 5, SIM_ESIM, SIM_STOCK);
    for (int i = 0; i < 5; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
    int64_t begun = clock_wall(&w.clock).ms;
    for (int life = 0; life < 6; life++) { // each life takes one turn, and its calls' answers are lost with it
        world_engine(&w, 0);
        step(&w, 0);
        world_drop(&w, 0);
        world_check(&w, false);
    }
    world_engine(&w, 0);
    world_run(&w, MINUTE);
    world_check(&w, true);
    for (int i = 0; i < w.n_orders; i++) {
        struct order o = world_order(&w, w.orders[i]);
        assert_int_equal(o.state, ORDER_COMPLETED);
        assert_true(o.finished.ms - begun < 10000); // it did not wait for its own leases to run out
        assert_int_equal(world_done(&w, w.orders[i], 0), 1);
    }
    world_close(&w);
}

static void task_whose_peer_is_gone_is_parked(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* START * 1: lose", 2);
    world_engine(&w, 0);
    struct uuid id = world_place(&w, OP_TOPUP, SIM_PSIM, 0);
    step(&w, 0);
    world_drop(&w, 0);
    struct peer *element = w.fake;
    w.fake = NULL; // from now on the built-in network serves
    world_engine(&w, 0);
    w.fake = element;
    struct uuid other = world_place(&w, OP_TOPUP, SIM_PSIM, 1);
    world_run(&w, HOUR);
    assert_int_equal(state_of(&w, id, 0), TASK_PARKED);
    struct task *tasks;
    world_tasks(&w, id, &tasks);
    assert_int_equal(tasks[0].verb, TASK_PROBE);
    assert_int_equal(world_order(&w, other).state, ORDER_COMPLETED);

    // Configured again, and retried by an operator, it goes on where it was.
    world_drop(&w, 0);
    world_engine(&w, 0);
    assert_int_equal(world_retry(&w), 1);
    world_run(&w, HOUR);
    assert_int_equal(world_order(&w, id).state, ORDER_COMPLETED);
    assert_int_equal(world_done(&w, id, 0), 1);
    world_close(&w);
}

// ---- orders that cannot be worked on ----

struct spoiling {
    struct world *w;
    struct uuid id;
    enum order_state state;
};

// As if somebody had written into the store by hand.
static enum err_kind spoil(struct tx *tx, void *ctx, struct err *err) {
    const struct spoiling *s = ctx;
    struct order o;
    enum err_kind k = store_order_get(tx, s->id, &s->w->arena, &o, err);
    o.state = s->state;
    return k ? k : store_order_update(tx, &o, err);
}

static void poison_order_is_parked_and_the_others_go_on(void **state UNUSED) {
    for (int outside = 0; outside < 2; outside++) {
        struct world w = {0};
        world_open(&w, outside ? "" : NULL, 30);
        world_engine(&w, 0);
        for (int i = 0; i < 30; i++)
            world_place(&w, OP_TOPUP, SIM_PSIM, i);
        static const int bad[] = {0, 7, 8, 29};
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
            world_do(&w, spoil, &(struct spoiling){&w, w.orders[bad[i]], ORDER_FAILED});
        world_run(&w, MINUTE);
        for (int i = 0; i < 30; i++) {
            bool is_bad = i == 0 || i == 7 || i == 8 || i == 29;
            if (!is_bad) {
                assert_int_equal(world_order(&w, w.orders[i]).state, ORDER_COMPLETED);
                continue;
            }
            struct task *tasks;
            assert_int_equal(world_tasks(&w, w.orders[i], &tasks), 1);
            assert_int_equal(tasks[0].state, TASK_PARKED);
            assert_int_equal(tasks[0].verb, TASK_START);
            assert_true(str_starts(tasks[0].note, "corrupt: "));
        }

        // Put right by hand and retried, they go on, too.
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
            world_do(&w, spoil, &(struct spoiling){&w, w.orders[bad[i]], ORDER_ACCEPTED});
        assert_int_equal(world_retry(&w), 4);
        world_run(&w, MINUTE);
        world_check(&w, true);
        world_close(&w);
    }
}

static void outcome_that_cannot_be_recorded_is_probed_after_the_retry(void **state UNUSED) {
    struct world w = {0};
    world_open(&w, "* START * *: late 5s", 3);
    world_engine(&w, 0);
    for (int i = 0; i < 3; i++)
        world_place(&w, OP_TOPUP, SIM_PSIM, i);
    step(&w, 0);
    world_do(&w, spoil, &(struct spoiling){&w, w.orders[1], ORDER_FAILED});
    world_run(&w, MINUTE);
    struct task *tasks;
    world_tasks(&w, w.orders[1], &tasks);
    assert_int_equal(tasks[0].state, TASK_PARKED);
    assert_int_equal(tasks[0].verb, TASK_PROBE);
    assert_int_equal(world_order(&w, w.orders[0]).state, ORDER_COMPLETED);
    assert_int_equal(world_order(&w, w.orders[2]).state, ORDER_COMPLETED);
    world_do(&w, spoil, &(struct spoiling){&w, w.orders[1], ORDER_FULFILLING});
    assert_int_equal(world_retry(&w), 1);
    world_run(&w, MINUTE);
    world_check(&w, true);
    assert_int_equal(world_done(&w, w.orders[1], 0), 1);
    world_close(&w);
}

// ---- anything, in any order ----

static void random_script(struct rng *rng, char *out, size_t size) {
    static const char *const kinds[] = {"*", "PROFILE_RESERVE", "NETWORK_ENABLE", "PROFILE_RELEASE", "ALLOWANCE_ADD"};
    static const char *const verbs[] = {"*", "START", "START", "PROBE", "CANCEL"};
    static const char *const actions[] = {"done", "done 2s", "late 20s",    "late 50s", "refuse",    "unavailable",
                                          "hang", "lose",    "lost-undone", "twice",    "twice 35s", "late 100ms"};
    size_t n = 0;
    int rules = (int)rng_below(rng, 12);
    out[0] = '\0';
    for (int i = 0; i < rules; i++) {
        char suffix[8] = "*";
        if (rng_below(rng, 3) == 0)
            snprintf(suffix, sizeof(suffix), "%d", (int)rng_below(rng, 10));
        n += (size_t)snprintf(out + n, size - n, "%s %s %s %d: %s\n", kinds[rng_below(rng, ARRAY_LEN(kinds))],
                              verbs[rng_below(rng, ARRAY_LEN(verbs))], suffix, 1 + (int)rng_below(rng, 8),
                              actions[rng_below(rng, ARRAY_LEN(actions))]);
    }
}

static void whatever_happens_each_order_ends_once(void **state UNUSED) {
    uint64_t seed = rng_u64(&rng_system) % 1000000, rounds = 12;
    if (getenv("SEED"))
        assert_true(str_to_u64(str_of(getenv("SEED")), &seed));
    if (getenv("ROUNDS"))
        assert_true(str_to_u64(str_of(getenv("ROUNDS")), &rounds));
    for (uint64_t round = 0; round < rounds; round++, seed++) {
        print_message("SEED=%llu\n", (unsigned long long)seed);
        struct rng_seeded seeded;
        struct rng rng = rng_seeded_init(&seeded, seed);
        char script[2048];
        random_script(&rng, script, sizeof(script));
        struct world w = {.seed = seed};
        world_open(&w, script, 6);
        w.calls_max = 1 + (int)rng_below(&rng, 8);
        w.batch_max = rng_below(&rng, 3) ? 1000 : 1 + (int)rng_below(&rng, 5);
        for (int i = 6; i < 12; i++)
            world_add_sim(&w, i, i < 9 ? SIM_PSIM : SIM_ESIM, SIM_STOCK);
        world_engine(&w, 0);
        int stock = 6;
        for (int act = 0; act < 120; act++) {
            switch (rng_below(&rng, 10)) {
            case 0:
            case 1:
            case 2:
            case 3:
                world_place(&w, OP_TOPUP, SIM_PSIM, (int)rng_below(&rng, 6));
                break;
            case 4:
                if (rng_below(&rng, 2))
                    world_place(&w, OP_ACTIVATION, SIM_ESIM, -1);
                else if (stock < 9)
                    world_place(&w, OP_ACTIVATION, SIM_PSIM, stock++);
                break;
            case 5: // a node comes or goes
            {
                int place = (int)rng_below(&rng, 2);
                if (w.engines[place])
                    world_drop(&w, place);
                else
                    world_engine(&w, place);
                break;
            }
            case 6: { // one node alone takes a step
                int place = (int)rng_below(&rng, 2);
                if (w.engines[place])
                    step(&w, place);
                break;
            }
            case 7:
                clock_manual_advance(&w.manual, (int64_t)rng_below(&rng, 90000));
                break;
            default:
                world_run(&w, (int64_t)rng_below(&rng, 20000));
            }
        }
        world_check(&w, false);
        for (int place = 0; place < 2; place++)
            if (!w.engines[place])
                world_engine(&w, place);
        world_run(&w, 2 * DAY);
        for (int tries = 0; world_retry(&w) > 0; tries++) {
            assert_true(tries < 20);
            world_run(&w, 2 * DAY);
        }
        world_check(&w, true);
        world_close(&w);
    }
}

static void engine_refuses_a_timeout_longer_than_its_lease(void **state UNUSED) {
    struct engine *e = NULL;
    struct err err = {0};
    struct engine_options o = {.lease_seconds = 30, .call_timeout_seconds = 30, .batch_max = 1};
    assert_int_equal(engine_open(&o, &e, &err), ERR_INVALID);
    o.lease_seconds = 31;
    o.batch_max = 0;
    assert_int_equal(engine_open(&o, &e, &err), ERR_INVALID);
    assert_null(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin_orders_end_in_one_turn),
        cmocka_unit_test(builtin_twenty_orders_on_one_sim_end_in_order_in_one_turn),
        cmocka_unit_test(builtin_turn_is_not_larger_than_its_limit),
        cmocka_unit_test(esim_without_stock_fails_and_its_cap_is_given_back),
        cmocka_unit_test(order_ends_in_its_partners_time),
        cmocka_unit_test(outside_order_is_fulfilled_step_by_step),
        cmocka_unit_test(refusal_at_each_step_undoes_what_was_done_backwards),
        cmocka_unit_test(undo_survives_silence_and_absence),
        cmocka_unit_test(refused_undo_is_parked_until_an_operator_retries),
        cmocka_unit_test(unanswered_call_is_probed_before_it_is_repeated),
        cmocka_unit_test(absent_peer_is_tried_again_later_and_later),
        cmocka_unit_test(hopeless_task_is_parked_and_holds_its_sim_until_retried),
        cmocka_unit_test(absent_peer_is_not_hammered),
        cmocka_unit_test(peer_comes_back_and_all_goes_on),
        cmocka_unit_test(peer_has_no_more_calls_than_it_may),
        cmocka_unit_test(orders_of_one_sim_are_fulfilled_in_order_of_acceptance),
        cmocka_unit_test(lease_that_ran_out_is_taken_over_with_a_probe),
        cmocka_unit_test(node_that_wakes_late_settles_nothing),
        cmocka_unit_test(answer_from_before_a_retry_is_not_taken_for_the_new_one),
        cmocka_unit_test(restart_goes_on_at_once_and_repeats_nothing),
        cmocka_unit_test(task_whose_peer_is_gone_is_parked),
        cmocka_unit_test(poison_order_is_parked_and_the_others_go_on),
        cmocka_unit_test(outcome_that_cannot_be_recorded_is_probed_after_the_retry),
        cmocka_unit_test(whatever_happens_each_order_ends_once),
        cmocka_unit_test(engine_refuses_a_timeout_longer_than_its_lease),
    };
    log_threshold = LOG_ERROR + 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
