// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include "base/testing.h"

static void the_systems_clock_runs_and_monotonic_time_never_goes_back(void **state UNUSED) {
    assert_true(clock_wall(&clock_system).ms > INT64_C(1700000000000)); // after 2023
    struct mono start = clock_mono(&clock_system);
    struct mono last = start;
    while (last.ns == start.ns) {
        struct mono now = clock_mono(&clock_system);
        assert_true(now.ns >= last.ns);
        last = now;
    }
}

static void a_manual_clock_moves_only_when_told(void **state UNUSED) {
    struct clock_manual m;
    struct clock c = clock_manual_init(&m, (struct wall){5000});
    struct mono start = clock_mono(&c);
    assert_true(clock_wall(&c).ms == 5000);
    assert_true(clock_mono(&c).ns == start.ns);
    clock_manual_advance(&m, 1500);
    assert_true(clock_wall(&c).ms == 6500);
    assert_true(mono_ms_between(start, clock_mono(&c)) == 1500);
    clock_manual_jump(&m, -10000);
    assert_true(clock_wall(&c).ms == -3500);
    assert_true(mono_ms_between(start, clock_mono(&c)) == 1500);
}

static void no_time_is_not_a_time(void **state UNUSED) {
    assert_false(wall_set(WALL_NONE));
    assert_true(wall_set((struct wall){0}));
    assert_true(wall_plus_ms((struct wall){10}, -3).ms == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_systems_clock_runs_and_monotonic_time_never_goes_back),
        cmocka_unit_test(a_manual_clock_moves_only_when_told),
        cmocka_unit_test(no_time_is_not_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
