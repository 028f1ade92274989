// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/task.h"

static const struct wall now = {INT64_C(1773144000000)};

static struct task claimed(enum task_verb verb, int attempts) {
    return (struct task){.state = TASK_CLAIMED,
                         .verb = verb,
                         .attempts = attempts,
                         .lease_owner = 7,
                         .lease_until = {now.ms + 60000},
                         .due_at = now,
                         .started = now,
                         .settled = WALL_NONE};
}

// ---- the plan ----

static void assert_plan(enum operation op, enum sim_type type, const enum task_kind *want, int n) {
    enum task_kind got[PLAN_MAX];
    struct order o = {.operation = op, .sim_type = type};
    assert_int_equal(order_plan(&o, got), n);
    assert_memory_equal(got, want, (size_t)n * sizeof(*want));
}

static void order_plan_is_that_of_its_operation_and_type(void **state) {
    (void)state;
    static const enum task_kind esim[] = {TASK_PROFILE_RESERVE, TASK_NETWORK_ENABLE, TASK_PROFILE_RELEASE};
    static const enum task_kind psim[] = {TASK_NETWORK_ENABLE};
    static const enum task_kind topup[] = {TASK_ALLOWANCE_ADD};
    assert_plan(OP_ACTIVATION, SIM_ESIM, esim, 3);
    assert_plan(OP_ACTIVATION, SIM_PSIM, psim, 1);
    assert_plan(OP_TOPUP, SIM_ESIM, topup, 1);
    assert_plan(OP_TOPUP, SIM_PSIM, topup, 1);
}

// ---- backoff ----

static void task_backoff_grows_to_an_hour_and_spreads_by_a_quarter(void **state) {
    (void)state;
    static const int64_t seconds[] = {1, 5, 25, 125, 625, 3125, 3600, 3600};
    for (int i = 0; i < (int)ARRAY_LEN(seconds); i++) {
        int64_t low = INT64_MAX, high = 0;
        for (uint64_t r = 0; r < 20000; r++) {
            int64_t ms = task_backoff_ms(i + 1, r * UINT64_C(0x9e3779b97f4a7c15));
            low = ms < low ? ms : low;
            high = ms > high ? ms : high;
        }
        assert_in_range(low, seconds[i] * 750, seconds[i] * 760);
        assert_in_range(high, seconds[i] * 1240, seconds[i] * 1250);
    }
    assert_in_range(task_backoff_ms(0, 0), 750, 1250);
    assert_in_range(task_backoff_ms(INT32_MAX, UINT64_MAX), 2700000, 4500000);
    assert_in_range(task_backoff_ms(-1, 1), 750, 1250);
}

static void task_attempts_span_about_six_hours(void **state) {
    (void)state;
    int64_t ms = 0;
    for (int i = 1; i < TASK_ATTEMPTS_MAX; i++)
        ms += task_backoff_ms(i, 0) * 4 / 3; // random 0 is the low end
    assert_in_range(ms, 5 * 3600000, 7 * 3600000);
}

// ---- settling ----

enum due { LATER, AT_ONCE, NEVER };

static void task_settles_as_its_outcome_says(void **state) {
    (void)state;
    static const struct {
        enum task_verb verb;
        enum outcome_kind outcome;
        enum task_state state;
        enum task_verb next;
        enum due due;
    } cases[] = {
        {TASK_START, OUTCOME_DONE, TASK_DONE, TASK_START, NEVER},
        {TASK_START, OUTCOME_NOT_DONE, TASK_READY, TASK_START, LATER},
        {TASK_START, OUTCOME_REFUSED, TASK_REFUSED, TASK_START, NEVER},
        {TASK_START, OUTCOME_UNAVAILABLE, TASK_READY, TASK_START, LATER},
        {TASK_START, OUTCOME_UNSURE, TASK_READY, TASK_PROBE, LATER},
        {TASK_PROBE, OUTCOME_DONE, TASK_DONE, TASK_PROBE, NEVER},
        {TASK_PROBE, OUTCOME_NOT_DONE, TASK_READY, TASK_START, AT_ONCE},
        {TASK_PROBE, OUTCOME_REFUSED, TASK_REFUSED, TASK_PROBE, NEVER},
        {TASK_PROBE, OUTCOME_UNAVAILABLE, TASK_READY, TASK_PROBE, LATER},
        {TASK_PROBE, OUTCOME_UNSURE, TASK_READY, TASK_PROBE, LATER},
        {TASK_CANCEL, OUTCOME_DONE, TASK_UNDONE, TASK_CANCEL, NEVER},
        {TASK_CANCEL, OUTCOME_NOT_DONE, TASK_UNDONE, TASK_CANCEL, NEVER},
        {TASK_CANCEL, OUTCOME_REFUSED, TASK_PARKED, TASK_CANCEL, NEVER},
        {TASK_CANCEL, OUTCOME_UNAVAILABLE, TASK_READY, TASK_CANCEL, LATER},
        {TASK_CANCEL, OUTCOME_UNSURE, TASK_READY, TASK_CANCEL, LATER},
    };
    assert_int_equal(ARRAY_LEN(cases), 3 * 5);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct task t = claimed(cases[i].verb, 3);
        task_settle(&t, cases[i].outcome, now, 12345);
        assert_int_equal(t.state, cases[i].state);
        assert_int_equal(t.verb, cases[i].next);
        assert_int_equal(t.outcome, cases[i].outcome);
        assert_int_equal(t.attempts, 3);
        assert_false(wall_set(t.lease_until));
        assert_int_equal(t.lease_owner, 0);
        if (cases[i].due == LATER)
            assert_true(t.due_at.ms == now.ms + task_backoff_ms(3, 12345));
        else if (cases[i].due == AT_ONCE)
            assert_true(t.due_at.ms == now.ms);
        assert_int_equal(wall_set(t.settled), cases[i].due == NEVER);
    }
}

static void task_is_parked_after_too_many_attempts_and_goes_on_where_it_was(void **state) {
    (void)state;
    static const struct {
        enum task_verb verb;
        enum outcome_kind outcome;
        enum task_verb next;
    } again[] = {
        {TASK_START, OUTCOME_UNAVAILABLE, TASK_START}, {TASK_START, OUTCOME_UNSURE, TASK_PROBE},
        {TASK_PROBE, OUTCOME_NOT_DONE, TASK_START},    {TASK_PROBE, OUTCOME_UNSURE, TASK_PROBE},
        {TASK_CANCEL, OUTCOME_UNSURE, TASK_CANCEL},
    };
    for (size_t i = 0; i < ARRAY_LEN(again); i++) {
        struct task t = claimed(again[i].verb, TASK_ATTEMPTS_MAX);
        task_settle(&t, again[i].outcome, now, 0);
        assert_int_equal(t.state, TASK_PARKED);
        assert_int_equal(t.verb, again[i].next);
        assert_true(task_retry(&t, now));
        assert_int_equal(t.state, TASK_READY);
        assert_int_equal(t.verb, again[i].next);
        assert_int_equal(t.attempts, 0);
        assert_false(wall_set(t.settled));
        assert_false(task_retry(&t, now));
    }
    // What is final stays final, however late it comes.
    struct task t = claimed(TASK_START, TASK_ATTEMPTS_MAX);
    task_settle(&t, OUTCOME_DONE, now, 0);
    assert_int_equal(t.state, TASK_DONE);
}

// ---- claiming ----

static void task_claimed_holds_a_lease_and_counts(void **state) {
    (void)state;
    struct task t = {.state = TASK_READY, .verb = TASK_START, .started = WALL_NONE, .lease_until = WALL_NONE};
    struct wall lease = wall_plus_ms(now, 60000);
    assert_true(task_claim(&t, 9, now, lease));
    assert_int_equal(t.state, TASK_CLAIMED);
    assert_int_equal(t.verb, TASK_START);
    assert_int_equal(t.attempts, 1);
    assert_int_equal(t.lease_owner, 9);
    assert_true(t.lease_until.ms == lease.ms);
    assert_true(t.started.ms == now.ms);
    task_settle(&t, OUTCOME_UNAVAILABLE, now, 0);
    assert_true(task_claim(&t, 9, wall_plus_ms(now, 5000), wall_plus_ms(now, 65000)));
    assert_int_equal(t.attempts, 2);
    assert_true(t.started.ms == now.ms); // the first time
}

static void task_whose_lease_ran_out_is_probed_never_started_blindly(void **state) {
    (void)state;
    static const struct {
        enum task_verb was, is;
    } cases[] = {{TASK_START, TASK_PROBE}, {TASK_PROBE, TASK_PROBE}, {TASK_CANCEL, TASK_CANCEL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct task t = claimed(cases[i].was, 1);
        assert_true(task_claim(&t, 8, t.lease_until, wall_plus_ms(t.lease_until, 60000)));
        assert_int_equal(t.verb, cases[i].is);
        assert_int_equal(t.lease_owner, 8);
        assert_int_equal(t.attempts, 2);
    }
}

static void task_that_never_comes_back_is_parked_in_the_end(void **state) {
    (void)state;
    struct task t = {.state = TASK_READY, .verb = TASK_START, .started = WALL_NONE, .lease_until = WALL_NONE};
    struct wall at = now;
    int claims = 0;
    while (task_claim(&t, 1, at, wall_plus_ms(at, 60000))) {
        claims++;
        assert_true(claims <= TASK_ATTEMPTS_MAX);
        at = wall_plus_ms(at, 60000); // its node died
    }
    assert_int_equal(claims, TASK_ATTEMPTS_MAX);
    assert_int_equal(t.state, TASK_PARKED);
    assert_int_equal(t.verb, TASK_PROBE);
    assert_false(wall_set(t.lease_until));
}

// ---- taking back ----

static void task_undo_cancels_what_was_or_may_have_been_done(void **state) {
    (void)state;
    static const struct {
        enum task_state state;
        enum task_verb verb;
        enum task_state after;
    } cases[] = {
        {TASK_BLOCKED, TASK_START, TASK_UNDONE}, {TASK_READY, TASK_START, TASK_UNDONE},    {TASK_READY, TASK_PROBE, TASK_READY},
        {TASK_PARKED, TASK_START, TASK_UNDONE},  {TASK_PARKED, TASK_PROBE, TASK_READY},    {TASK_DONE, TASK_START, TASK_READY},
        {TASK_DONE, TASK_PROBE, TASK_READY},     {TASK_REFUSED, TASK_START, TASK_REFUSED}, {TASK_UNDONE, TASK_CANCEL, TASK_UNDONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct task t = {.state = cases[i].state, .verb = cases[i].verb, .attempts = 5, .settled = WALL_NONE};
        task_undo(&t, now);
        assert_int_equal(t.state, cases[i].after);
        if (t.state == TASK_READY) {
            assert_int_equal(t.verb, TASK_CANCEL);
            assert_int_equal(t.attempts, 0);
            assert_true(t.due_at.ms == now.ms);
        }
    }
}

static void task_history_is_read_as_it_was_written(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 65536);
    char cut[8], longer[400];
    memset(longer, 'n', sizeof(longer));
    const struct task_attempt attempts[] = {
        {{1000}, TASK_START, OUTCOME_UNSURE, {2000}, STR("hlr1"), STR("no answer within 30 s")},
        {{2500}, TASK_PROBE, OUTCOME_NOT_DONE, {2500}, STR("hlr1"), STR_NONE},
        {{3000}, TASK_START, OUTCOME_REFUSED, WALL_NONE, STR("hlr1"), STR("a\tb\nc \xc3\xa9 \xff")},
        {{4000}, TASK_CANCEL, OUTCOME_DONE, WALL_NONE, STR("hlr1"), {longer, sizeof(longer)}},
    };
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        task_attempt_put(&buf, &attempts[i]);
    struct str rest = buf_str(&buf);
    struct task_attempt a;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        assert_true(task_attempt_take(&rest, &a));
        assert_true(a.at.ms == attempts[i].at.ms && a.next.ms == attempts[i].next.ms);
        assert_int_equal(a.verb, attempts[i].verb);
        assert_int_equal(a.outcome, attempts[i].outcome);
        assert_true(str_is(a.peer, "hlr1"));
        if (i < 2)
            assert_true(str_eq(a.note, i ? STR("") : attempts[i].note));
        else if (i == 2)
            assert_true(str_is(a.note, "a b c \xc3\xa9 ?"));
        else
            assert_int_equal(a.note.n, 200);
    }
    assert_false(task_attempt_take(&rest, &a));

    rest = (struct str){buf.p + 3, buf.n - 3}; // the front is gone: "0\tSTART" is still a line; further on it is none
    assert_true(task_attempt_take(&rest, &a));
    rest = (struct str){buf.p + 6, buf.n - 6};
    assert_true(task_attempt_take(&rest, &a));
    assert_int_equal(a.verb, TASK_PROBE);
    snprintf(cut, sizeof(cut), "x\t\t\n\n");
    rest = str_of(cut);
    assert_false(task_attempt_take(&rest, &a));
    rest = STR_NONE;
    assert_false(task_attempt_take(&rest, &a));
    buf_release(&buf);
}

static void task_words_stand_at_their_places(void **state) {
    (void)state;
    assert_string_equal(task_kind_words[TASK_ALLOWANCE_ADD], "ALLOWANCE_ADD");
    assert_null(task_kind_words[TASK_KINDS]);
    assert_string_equal(task_state_words[TASK_UNDONE], "UNDONE");
    assert_null(task_state_words[TASK_UNDONE + 1]);
    assert_string_equal(task_verb_words[TASK_CANCEL], "CANCEL");
    assert_null(task_verb_words[TASK_CANCEL + 1]);
    assert_string_equal(outcome_words[OUTCOME_UNSURE], "UNSURE");
    assert_null(outcome_words[OUTCOME_UNSURE + 1]);
    assert_true(task_finished(TASK_DONE) && task_finished(TASK_REFUSED) && task_finished(TASK_UNDONE));
    assert_false(task_finished(TASK_BLOCKED) || task_finished(TASK_READY) || task_finished(TASK_CLAIMED) || task_finished(TASK_PARKED));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_plan_is_that_of_its_operation_and_type),
        cmocka_unit_test(task_backoff_grows_to_an_hour_and_spreads_by_a_quarter),
        cmocka_unit_test(task_attempts_span_about_six_hours),
        cmocka_unit_test(task_settles_as_its_outcome_says),
        cmocka_unit_test(task_is_parked_after_too_many_attempts_and_goes_on_where_it_was),
        cmocka_unit_test(task_claimed_holds_a_lease_and_counts),
        cmocka_unit_test(task_whose_lease_ran_out_is_probed_never_started_blindly),
        cmocka_unit_test(task_that_never_comes_back_is_parked_in_the_end),
        cmocka_unit_test(task_undo_cancels_what_was_or_may_have_been_done),
        cmocka_unit_test(task_history_is_read_as_it_was_written),
        cmocka_unit_test(task_words_stand_at_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
