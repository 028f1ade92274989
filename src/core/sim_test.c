// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/sim.h"

// The whole relation, row by row: '+' where the move is allowed.
static void sim_service_moves_as_the_header_says(void **state) {
    (void)state;
    static const char *const rows[] = {
        [SIM_STOCK] = ".+.",
        [SIM_ACTIVATING] = "+.+",
        [SIM_ACTIVE] = "...",
    };
    for (int from = SIM_STOCK; from <= SIM_ACTIVE; from++)
        for (int to = SIM_STOCK; to <= SIM_ACTIVE; to++)
            assert_int_equal(sim_service_may(from, to), rows[from][to] == '+');
}

static void esim_profile_goes_forward_and_unavailable_is_final(void **state) {
    (void)state;
    static const char *const rows[] = {
        [ESIM_NONE] = ".....",      [ESIM_RELEASED] = "..+.+",    [ESIM_DOWNLOADED] = "...++",
        [ESIM_INSTALLED] = "....+", [ESIM_UNAVAILABLE] = ".....",
    };
    for (int from = ESIM_NONE; from <= ESIM_UNAVAILABLE; from++)
        for (int to = ESIM_NONE; to <= ESIM_UNAVAILABLE; to++)
            assert_int_equal(esim_may(from, to), rows[from][to] == '+');
}

static void sim_words_stand_at_their_states(void **state) {
    (void)state;
    assert_string_equal(sim_service_words[SIM_ACTIVE], "ACTIVE");
    assert_null(sim_service_words[SIM_ACTIVE + 1]);
    assert_string_equal(esim_status_words[ESIM_NONE], "");
    assert_string_equal(esim_status_words[ESIM_RELEASED], "Released");
    assert_string_equal(esim_status_words[ESIM_UNAVAILABLE], "Unavailable");
    assert_null(esim_status_words[ESIM_UNAVAILABLE + 1]);
}

static void points_lead_where_the_standard_says(void **state) {
    (void)state;
    assert_int_equal(notification_point_leads_to(POINT_ELIGIBILITY), ESIM_NONE);
    assert_int_equal(notification_point_leads_to(POINT_CONFIRMATION), ESIM_NONE);
    assert_int_equal(notification_point_leads_to(POINT_DOWNLOADED), ESIM_DOWNLOADED);
    assert_int_equal(notification_point_leads_to(POINT_INSTALLED), ESIM_INSTALLED);
    assert_int_equal(notification_point_leads_to(POINT_DELETED), ESIM_UNAVAILABLE);
    assert_int_equal(notification_point_leads_to(POINT_ENABLED), ESIM_NONE);
    assert_int_equal(notification_point_leads_to(POINT_DISABLED), ESIM_NONE);
    assert_int_equal(notification_point_leads_to(4711), ESIM_NONE);
    assert_string_equal(notification_point_text(POINT_INSTALLED), "BPP installation");
    assert_string_equal(notification_point_text(0), "");
    assert_string_equal(notification_point_text(4711), "");
    assert_string_equal(progress_status_words[PROGRESS_WARNING], "Executed-WithWarning");
    assert_null(progress_status_words[PROGRESS_EXPIRED + 1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sim_service_moves_as_the_header_says),
        cmocka_unit_test(esim_profile_goes_forward_and_unavailable_is_final),
        cmocka_unit_test(sim_words_stand_at_their_states),
        cmocka_unit_test(points_lead_where_the_standard_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
