// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "peer/sandbox.h"

struct bench {
    struct clock_manual manual;
    struct clock clock;
    struct peer *peer;
    int64_t call;
    int answers;
    int64_t answered;
    struct peer_outcome outcome;
};

static void on_done(void *ctx, int64_t call, const struct peer_outcome *outcome) {
    struct bench *b = ctx;
    b->answers++;
    b->answered = call;
    b->outcome = *outcome;
}

static int setup(void **state) {
    struct bench *b = test_calloc(1, sizeof *b);
    b->clock = clock_manual_init(&b->manual, (struct wall){INT64_C(1700000000000)});
    b->peer = peer_sandbox_open("sandbox", &b->clock);
    b->peer->done = on_done;
    b->peer->ctx = b;
    *state = b;
    return 0;
}

static int teardown(void **state) {
    struct bench *b = *state;
    b->peer->ops->close(b->peer);
    test_free(b);
    return 0;
}

// Calls, and says what came of it and after how long: there must be one answer, not before.
static enum outcome_kind ask(struct bench *b, enum sandbox_behaviour behaviour, enum task_kind kind, enum task_verb verb, int attempt,
                             int64_t *ms) {
    struct peer_request r = {.call = ++b->call, .kind = kind, .verb = verb, .attempt = attempt, .behaviour = behaviour};
    b->answers = 0;
    *ms = 0;
    b->peer->ops->call(b->peer, &r);
    int64_t next = b->peer->ops->tick(b->peer, clock_mono(&b->clock));
    if (b->answers == 0) {
        *ms = (next - clock_mono(&b->clock).ns) / 1000000;
        clock_manual_advance(&b->manual, *ms - 1);
        assert_int_equal(b->peer->ops->tick(b->peer, clock_mono(&b->clock)), next);
        assert_int_equal(b->answers, 0);
        clock_manual_advance(&b->manual, 1);
        assert_true(b->peer->ops->tick(b->peer, clock_mono(&b->clock)) == INT64_MAX);
    }
    assert_int_equal(b->answers, 1);
    assert_true(b->answered == b->call);
    return b->outcome.kind;
}

static void each_behaviour_shows_where_the_network_is_reached(void **state) {
    static const struct {
        enum sandbox_behaviour behaviour;
        enum task_verb verb;
        int attempt;
        enum outcome_kind outcome;
        int64_t ms;
    } rows[] = {
        {SANDBOX_AS_USUAL, TASK_START, 1, OUTCOME_DONE, 0},
        {SANDBOX_NO_PROFILE, TASK_START, 1, OUTCOME_DONE, 0},
        {SANDBOX_REFUSED, TASK_START, 1, OUTCOME_REFUSED, 0},
        {SANDBOX_REFUSED, TASK_PROBE, 2, OUTCOME_NOT_DONE, 0},
        {SANDBOX_REFUSED, TASK_START, 3, OUTCOME_REFUSED, 0},
        {SANDBOX_SLOW, TASK_START, 1, OUTCOME_DONE, SANDBOX_SLOW_MS},
        {SANDBOX_SLOW, TASK_PROBE, 2, OUTCOME_DONE, 0},
        {SANDBOX_UNSURE_DONE, TASK_START, 1, OUTCOME_UNSURE, SANDBOX_UNSURE_MS},
        {SANDBOX_UNSURE_DONE, TASK_PROBE, 2, OUTCOME_DONE, 0},
        {SANDBOX_UNSURE_NOT_DONE, TASK_START, 1, OUTCOME_UNSURE, SANDBOX_UNSURE_MS},
        {SANDBOX_UNSURE_NOT_DONE, TASK_PROBE, 2, OUTCOME_NOT_DONE, 0},
        {SANDBOX_UNSURE_NOT_DONE, TASK_START, 3, OUTCOME_DONE, 0},
    };
    struct bench *b = *state;
    int64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const enum task_kind reaching[] = {TASK_NETWORK_ENABLE, TASK_ALLOWANCE_ADD};
        for (size_t k = 0; k < ARRAY_LEN(reaching); k++) {
            assert_int_equal(ask(b, rows[i].behaviour, reaching[k], rows[i].verb, rows[i].attempt, &ms), rows[i].outcome);
            assert_int_equal(ms, rows[i].ms);
            // a refusal and a loss say whose doing they are
            assert_int_equal(b->outcome.note[0] != 0, rows[i].outcome == OUTCOME_REFUSED || rows[i].outcome == OUTCOME_UNSURE);
        }
    }
}

static void the_other_steps_and_the_way_back_go_well(void **state) {
    struct bench *b = *state;
    int64_t ms;
    for (int behaviour = 0; behaviour < SANDBOX_BEHAVIOURS; behaviour++) {
        assert_int_equal(ask(b, (enum sandbox_behaviour)behaviour, TASK_PROFILE_RESERVE, TASK_START, 1, &ms), OUTCOME_DONE);
        assert_int_equal(ms, 0);
        assert_int_equal(ask(b, (enum sandbox_behaviour)behaviour, TASK_PROFILE_RELEASE, TASK_START, 1, &ms), OUTCOME_DONE);
        assert_int_equal(ask(b, (enum sandbox_behaviour)behaviour, TASK_PROFILE_RESERVE, TASK_CANCEL, 1, &ms), OUTCOME_DONE);
        assert_int_equal(ask(b, (enum sandbox_behaviour)behaviour, TASK_NETWORK_ENABLE, TASK_CANCEL, 1, &ms), OUTCOME_DONE);
        assert_int_equal(ms, 0);
    }
}

static void as_many_calls_as_it_takes_are_all_answered(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < b->peer->calls_max; i++) {
        struct peer_request r = {.call = ++b->call, .kind = TASK_ALLOWANCE_ADD, .attempt = 1, .behaviour = SANDBOX_SLOW};
        b->peer->ops->call(b->peer, &r);
    }
    assert_int_equal(b->answers, 0);
    clock_manual_advance(&b->manual, SANDBOX_SLOW_MS);
    assert_true(b->peer->ops->tick(b->peer, clock_mono(&b->clock)) == INT64_MAX);
    assert_int_equal(b->answers, b->peer->calls_max);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_behaviour_shows_where_the_network_is_reached, setup, teardown),
        cmocka_unit_test_setup_teardown(the_other_steps_and_the_way_back_go_well, setup, teardown),
        cmocka_unit_test_setup_teardown(as_many_calls_as_it_takes_are_all_answered, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
