// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/date.h"
#include "base/rng.h"
#include "core/subscription.h"

static struct wall at(const char *text) {
    struct wall t;
    assert_true(date_parse(str_of(text), &t));
    return t;
}

static void assert_date(struct wall t, const char *text) {
    char got[DATE_TEXT] = "none";
    if (wall_set(t))
        date_format(t, got);
    assert_string_equal(got, text);
}

#define NOW "2026-03-10T12:00:00Z"

static struct subscription plan(int64_t days, bool first_usage, const char *wanted) {
    return (struct subscription){
        .duration = days,
        .duration_unit = DURATION_DAYS,
        .first_usage = first_usage,
        .wanted_expiry = wanted ? at(wanted) : WALL_NONE,
        .initial_bytes = 1000,
    };
}

static void assert_dates(const struct subscription *s, enum subscription_state state, const char *activation, const char *expiry,
                         const char *next) {
    assert_int_equal(s->state, state);
    assert_date(s->activation, activation);
    assert_date(s->expiry, expiry);
    assert_date(s->next_at, next);
}

// ---- the first state ----

static void subscription_without_a_date_runs_at_once(void **state) {
    (void)state;
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_dates(&s, SUB_ACTIVE, "2026-03-10T12:00:00Z", "2026-04-09T12:00:00Z", "2026-04-09T12:00:00Z");
    assert_int_equal(s.end, SUB_END_NONE);
}

static void subscription_with_a_past_date_runs_from_now(void **state) {
    (void)state;
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, at("2020-01-01T00:00:00Z"), at(NOW));
    assert_dates(&s, SUB_ACTIVE, "2026-03-10T12:00:00Z", "2026-04-09T12:00:00Z", "2026-04-09T12:00:00Z");
}

static void subscription_with_a_date_in_this_second_runs_at_once(void **state) {
    (void)state;
    struct wall now = wall_plus_ms(at(NOW), 300);
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, wall_plus_ms(at(NOW), 999), now);
    assert_int_equal(s.state, SUB_ACTIVE);
    assert_true(s.activation.ms == now.ms);
    subscription_begin(&s, wall_plus_ms(at(NOW), 1000), now);
    assert_int_equal(s.state, SUB_PENDING);
}

static void subscription_with_a_future_date_waits(void **state) {
    (void)state;
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_dates(&s, SUB_PENDING, "2026-05-01T00:00:00Z", "2026-05-31T00:00:00Z", "2026-05-01T00:00:00Z");
    s = plan(30, false, "2026-05-10T00:00:00Z");
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_dates(&s, SUB_PENDING, "2026-05-01T00:00:00Z", "2026-05-10T00:00:00Z", "2026-05-01T00:00:00Z");
    s = plan(30, true, NULL);
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_dates(&s, SUB_PENDING, "2026-05-01T00:00:00Z", "none", "2026-05-01T00:00:00Z");
}

static void subscription_ends_by_what_comes_first(void **state) {
    (void)state;
    struct subscription s = plan(30, false, "2026-03-20T00:00:00Z");
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_dates(&s, SUB_ACTIVE, NOW, "2026-03-20T00:00:00Z", "2026-03-20T00:00:00Z");
    s = plan(5, false, "2026-03-20T00:00:00Z");
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_dates(&s, SUB_ACTIVE, NOW, "2026-03-15T12:00:00Z", "2026-03-15T12:00:00Z");
}

static void subscription_of_first_usage_waits_for_the_first_byte(void **state) {
    (void)state;
    struct subscription s = plan(30, true, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_dates(&s, SUB_PENDING_USAGE, "none", "none", "none");
    s = plan(30, true, "2026-03-20T00:00:00Z");
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_dates(&s, SUB_PENDING_USAGE, "none", "2026-03-20T00:00:00Z", "2026-03-20T00:00:00Z");
}

static void subscription_made_after_its_expiry_is_expired(void **state) {
    (void)state;
    for (int first_usage = 0; first_usage <= 1; first_usage++) {
        struct subscription s = plan(30, first_usage, "2026-03-10T11:59:59Z");
        subscription_begin(&s, WALL_NONE, at(NOW));
        assert_dates(&s, SUB_EXPIRED, "none", "2026-03-10T11:59:59Z", "none");
        assert_int_equal(s.end, SUB_END_EXPIRED);
    }
}

// ---- moves ----

// Every state with every cue: the whole table, written a second time from the contract.
static void subscription_moves_only_as_the_contract_says(void **state) {
    (void)state;
    // A active, U waits for usage, D depleted, E expired, . refused
    static const char *const plain[] = {
        //                   date activate first-usage used-up expiry expire
        [SUB_PENDING] = "AA..EE",  [SUB_PENDING_USAGE] = ".AA.EE", [SUB_ACTIVE] = "...DEE",
        [SUB_DEPLETED] = "......", [SUB_EXPIRED] = "......",
    };
    static const char letters[] = {
        [SUB_PENDING] = 'P', [SUB_PENDING_USAGE] = 'U', [SUB_ACTIVE] = 'A', [SUB_DEPLETED] = 'D', [SUB_EXPIRED] = 'E'};
    for (int first_usage = 0; first_usage <= 1; first_usage++) {
        for (int from = SUB_PENDING; from <= SUB_EXPIRED; from++) {
            for (int cue = SUB_CUE_DATE; cue <= SUB_CUE_EXPIRE; cue++) {
                struct subscription s = plan(30, first_usage, NULL), before;
                s.state = from;
                s.activation = at(NOW);
                s.expiry = at("2026-03-20T00:00:00Z");
                s.next_at = s.activation;
                struct wall now = cue == SUB_CUE_EXPIRY ? s.expiry : s.activation;
                before = s;
                char want = plain[from][cue];
                if (from == SUB_PENDING && cue == SUB_CUE_DATE && first_usage)
                    want = 'U';
                struct err err = {0};
                enum err_kind kind = subscription_move(&s, cue, now, &err);
                assert_int_equal(subscription_can(&before, cue), want != '.');
                if (want == '.') {
                    assert_int_equal(kind, ERR_CONFLICT);
                    assert_int_equal(err.count, 1);
                    assert_memory_equal(&s, &before, sizeof(s));
                } else {
                    assert_int_equal(kind, ERR_NONE);
                    assert_int_equal(letters[s.state], want);
                }
            }
        }
    }
}

static void subscription_date_counts_from_the_date_asked_for(void **state) {
    (void)state;
    struct err err = {0};
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_DATE, at("2026-05-01T07:00:00Z"), &err), ERR_NONE); // seven hours late
    assert_dates(&s, SUB_ACTIVE, "2026-05-01T00:00:00Z", "2026-05-31T00:00:00Z", "2026-05-31T00:00:00Z");

    s = plan(30, true, "2026-05-20T00:00:00Z");
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_DATE, at("2026-05-01T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_PENDING_USAGE, "none", "2026-05-20T00:00:00Z", "2026-05-20T00:00:00Z");
}

static void subscription_activated_by_call_runs_from_now(void **state) {
    (void)state;
    struct err err = {0};
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_ACTIVATE, at("2026-04-01T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_ACTIVE, "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z");

    s = plan(30, true, "2026-04-11T00:00:00Z");
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_ACTIVATE, at("2026-04-01T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_ACTIVE, "2026-04-01T00:00:00Z", "2026-04-11T00:00:00Z", "2026-04-11T00:00:00Z");
}

static void subscription_duration_counts_from_the_first_byte(void **state) {
    (void)state;
    struct err err = {0};
    struct subscription s = plan(30, true, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_FIRST_USAGE, at("2026-06-01T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_ACTIVE, "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "2026-07-01T00:00:00Z");
}

static void subscription_is_not_started_after_its_expiry(void **state) {
    (void)state;
    static const enum subscription_cue cues[] = {SUB_CUE_ACTIVATE, SUB_CUE_FIRST_USAGE};
    for (size_t i = 0; i < ARRAY_LEN(cues); i++) {
        struct err err = {0};
        struct subscription s = plan(30, true, "2026-03-20T00:00:00Z"), before;
        subscription_begin(&s, WALL_NONE, at(NOW));
        before = s;
        assert_int_equal(subscription_move(&s, cues[i], at("2026-03-20T00:00:00Z"), &err), ERR_CONFLICT);
        assert_memory_equal(&s, &before, sizeof(s));
        assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRY, at("2026-03-20T00:00:00Z"), &err), ERR_NONE);
        assert_dates(&s, SUB_EXPIRED, "none", "2026-03-20T00:00:00Z", "none");
        assert_int_equal(s.end, SUB_END_EXPIRED);
    }
}

static void subscription_is_not_moved_by_time_before_its_time(void **state) {
    (void)state;
    struct err err = {0};
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_DATE, at("2026-04-30T23:59:59Z"), &err), ERR_CONFLICT);
    assert_int_equal(s.state, SUB_PENDING);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRY, wall_plus_ms(s.expiry, -1), &err), ERR_CONFLICT);
    assert_int_equal(s.state, SUB_ACTIVE);
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRY, s.expiry, &err), ERR_NONE);
    s = plan(30, true, NULL); // waits for ever
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRY, at("2099-01-01T00:00:00Z"), &err), ERR_CONFLICT);
}

static void subscription_keeps_its_planned_expiry_when_it_ends_by_time_or_use(void **state) {
    (void)state;
    struct err err = {0};
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRY, at("2026-04-09T15:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_EXPIRED, NOW, "2026-04-09T12:00:00Z", "none");
    assert_int_equal(s.end, SUB_END_EXPIRED);
    s = plan(30, false, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_USED_UP, at("2026-03-11T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_DEPLETED, NOW, "2026-04-09T12:00:00Z", "none");
    assert_int_equal(s.end, SUB_END_DEPLETED);
}

static void subscription_expired_by_call_ends_now(void **state) {
    (void)state;
    struct err err = {0};
    struct subscription s = plan(30, false, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRE, at("2026-03-11T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_EXPIRED, NOW, "2026-03-11T00:00:00Z", "none");
    assert_int_equal(s.end, SUB_END_EXPIRED_BY_CALL);

    s = plan(30, false, NULL); // never ran
    subscription_begin(&s, at("2026-05-01T00:00:00Z"), at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRE, at("2026-03-11T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_EXPIRED, "none", "2026-03-11T00:00:00Z", "none");

    s = plan(30, true, NULL);
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRE, at("2026-03-11T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_EXPIRED, "none", "2026-03-11T00:00:00Z", "none");

    s = plan(30, false, NULL); // its own end came first, the timer is only late
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRE, at("2026-05-11T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_EXPIRED, NOW, "2026-04-09T12:00:00Z", "none");

    s = plan(30, false, NULL); // the clock was set back
    subscription_begin(&s, WALL_NONE, at(NOW));
    assert_int_equal(subscription_move(&s, SUB_CUE_EXPIRE, at("2026-03-09T00:00:00Z"), &err), ERR_NONE);
    assert_dates(&s, SUB_EXPIRED, NOW, NOW, "none");
}

// Whatever comes in whatever order, the invariants of the header hold.
static void subscription_invariants_hold_for_any_cues(void **state) {
    (void)state;
    const char *env = getenv("SEED");
    uint64_t seed = env ? strtoull(env, NULL, 0) : rng_u64(&rng_system);
    printf("SEED=%llu\n", (unsigned long long)seed);
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, seed);
    const int64_t day = INT64_C(86400000);
    for (int i = 0; i < 20000; i++) {
        struct wall now = at(NOW);
        struct subscription s = plan(1 + (int64_t)rng_below(&rng, 60), rng_below(&rng, 2), NULL);
        s.duration_unit = rng_below(&rng, 4) ? DURATION_DAYS : DURATION_MONTHS;
        struct wall date = rng_below(&rng, 2) ? wall_plus_ms(now, (int64_t)rng_below(&rng, (uint64_t)(90 * day)) - 30 * day) : WALL_NONE;
        struct wall start = wall_set(date) && date.ms > now.ms ? date : now;
        if (rng_below(&rng, 2))
            s.wanted_expiry = wall_plus_ms(start, 1 + (int64_t)rng_below(&rng, (uint64_t)(100 * day)));
        subscription_begin(&s, date, now);
        for (int step = 0; step < 12; step++) {
            bool final = subscription_finished(s.state);
            assert_int_equal(wall_set(s.next_at), final ? 0 : s.state == SUB_PENDING_USAGE ? wall_set(s.wanted_expiry) : 1);
            assert_int_equal(s.end != SUB_END_NONE, final);
            if (s.state == SUB_PENDING_USAGE)
                assert_false(wall_set(s.activation));
            if (s.state == SUB_ACTIVE)
                assert_true(wall_set(s.activation) && wall_set(s.expiry) && s.next_at.ms == s.expiry.ms);
            if (wall_set(s.activation) && wall_set(s.expiry))
                assert_true(s.activation.ms < s.expiry.ms || (s.end == SUB_END_EXPIRED_BY_CALL && s.activation.ms == s.expiry.ms));
            if (wall_set(s.wanted_expiry) && wall_set(s.expiry) && s.end != SUB_END_EXPIRED_BY_CALL)
                assert_true(s.expiry.ms <= s.wanted_expiry.ms);
            now = wall_plus_ms(now, (int64_t)rng_below(&rng, (uint64_t)(20 * day)));
            struct subscription before = s;
            struct err err = {0};
            if (subscription_move(&s, (enum subscription_cue)rng_below(&rng, SUB_CUE_EXPIRE + 1), now, &err) != ERR_NONE)
                assert_memory_equal(&s, &before, sizeof(s));
            else
                assert_false(final);
        }
    }
}

static void subscription_gives_what_it_has_and_no_more(void **state) {
    (void)state;
    struct subscription s = {.initial_bytes = 10, .balance_as_of = WALL_NONE};
    assert_int_equal(subscription_take(&s, 4, (struct wall){2000}), 4);
    assert_int_equal(s.balance_as_of.ms, 2000);
    assert_int_equal(subscription_take(&s, 3, (struct wall){1000}), 3);
    assert_int_equal(s.balance_as_of.ms, 2000); // the newest record's
    assert_int_equal(subscription_take(&s, 0, (struct wall){3000}), 0);
    assert_int_equal(s.balance_as_of.ms, 2000);
    assert_int_equal(subscription_take(&s, INT64_MAX, (struct wall){4000}), 3);
    assert_int_equal(s.spent_bytes, 10);
    assert_int_equal(subscription_take(&s, 1, (struct wall){5000}), 0);
    assert_int_equal(s.balance_as_of.ms, 4000);
}

static void subscription_crosses_each_percent_once(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 7, 99, 100, 101, 12345, INT64_C(1) << 50};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (int percent = 1; percent < 100; percent++) {
            struct subscription s = {.initial_bytes = sizes[i]};
            int crossed = 0;
            for (int step = 0; step <= 20; step++) {
                int64_t before = s.spent_bytes;
                s.spent_bytes = sizes[i] / 20 * step;
                if (step == 20)
                    s.spent_bytes = sizes[i];
                bool now = subscription_crossed(&s, before, percent);
                crossed += now;
                // at `percent` or beyond, without a fraction of a byte
                if (now)
                    assert_true((__int128)s.spent_bytes * 100 >= (__int128)sizes[i] * percent &&
                                (__int128)before * 100 < (__int128)sizes[i] * percent);
            }
            assert_int_equal(crossed, 1);
        }
    }
    struct subscription s = {.initial_bytes = 1000, .spent_bytes = 799};
    assert_false(subscription_crossed(&s, 0, 80));
    s.spent_bytes = 800;
    assert_true(subscription_crossed(&s, 799, 80));
    assert_false(subscription_crossed(&s, 800, 80));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscription_without_a_date_runs_at_once),
        cmocka_unit_test(subscription_with_a_past_date_runs_from_now),
        cmocka_unit_test(subscription_with_a_date_in_this_second_runs_at_once),
        cmocka_unit_test(subscription_with_a_future_date_waits),
        cmocka_unit_test(subscription_ends_by_what_comes_first),
        cmocka_unit_test(subscription_of_first_usage_waits_for_the_first_byte),
        cmocka_unit_test(subscription_made_after_its_expiry_is_expired),
        cmocka_unit_test(subscription_moves_only_as_the_contract_says),
        cmocka_unit_test(subscription_date_counts_from_the_date_asked_for),
        cmocka_unit_test(subscription_activated_by_call_runs_from_now),
        cmocka_unit_test(subscription_duration_counts_from_the_first_byte),
        cmocka_unit_test(subscription_is_not_started_after_its_expiry),
        cmocka_unit_test(subscription_is_not_moved_by_time_before_its_time),
        cmocka_unit_test(subscription_keeps_its_planned_expiry_when_it_ends_by_time_or_use),
        cmocka_unit_test(subscription_expired_by_call_ends_now),
        cmocka_unit_test(subscription_invariants_hold_for_any_cues),
        cmocka_unit_test(subscription_gives_what_it_has_and_no_more),
        cmocka_unit_test(subscription_crosses_each_percent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
