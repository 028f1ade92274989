// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/date.h"
#include "core/product.h"

static void product_units_are_binary(void **state) {
    (void)state;
    assert_true(product_bytes(&(struct product){.data = 50, .data_unit = DATA_MB}) == INT64_C(52428800));
    assert_true(product_bytes(&(struct product){.data = 1, .data_unit = DATA_GB}) == INT64_C(1073741824));
    assert_true(product_bytes(&(struct product){.data = PLAN_DATA_MAX, .data_unit = DATA_GB}) == INT64_C(1) << 50);
}

static void product_ends_by_the_calendar(void **state) {
    (void)state;
    static const struct {
        const char *from;
        int64_t duration;
        enum duration_unit unit;
        const char *to;
    } cases[] = {
        {"2021-01-31T10:20:30Z", 1, DURATION_MONTHS, "2021-02-28T10:20:30Z"},
        {"2020-01-31T00:00:00Z", 1, DURATION_MONTHS, "2020-02-29T00:00:00Z"},
        {"2020-01-31T00:00:00Z", 2, DURATION_MONTHS, "2020-03-31T00:00:00Z"},
        {"2020-02-29T00:00:00Z", 12, DURATION_MONTHS, "2021-02-28T00:00:00Z"},
        {"2021-12-15T00:00:00Z", 1, DURATION_MONTHS, "2022-01-15T00:00:00Z"},
        {"2020-02-28T23:59:59Z", 1, DURATION_DAYS, "2020-02-29T23:59:59Z"},
        {"2021-02-28T23:59:59Z", 1, DURATION_DAYS, "2021-03-01T23:59:59Z"},
        {"2020-01-01T00:00:00Z", 90, DURATION_DAYS, "2020-03-31T00:00:00Z"},
        {"2020-01-01T00:00:00Z", PLAN_DURATION_MAX, DURATION_MONTHS, "2325-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wall from;
        assert_true(date_parse(str_of(cases[i].from), &from));
        struct product p = {.duration = cases[i].duration, .duration_unit = cases[i].unit};
        char text[DATE_TEXT];
        date_format(product_end(&p, from), text);
        assert_string_equal(text, cases[i].to);
    }
}

static void sim_type_words_are_those_of_the_api(void **state) {
    (void)state;
    assert_string_equal(sim_type_name(SIM_ESIM), "ESIM");
    assert_string_equal(sim_type_name(SIM_PSIM), "PSIM");
    assert_string_equal(sim_type_name(SIM_TYPE_NONE), "");
    // A word's place plus one is the type.
    assert_ptr_equal(sim_type_words[SIM_ESIM - 1], sim_type_name(SIM_ESIM));
    assert_ptr_equal(sim_type_words[SIM_PSIM - 1], sim_type_name(SIM_PSIM));
    assert_null(sim_type_words[2]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_units_are_binary),
        cmocka_unit_test(product_ends_by_the_calendar),
        cmocka_unit_test(sim_type_words_are_those_of_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
