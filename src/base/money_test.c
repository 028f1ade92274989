// SPDX-License-Identifier: Apache-2.0
#include "base/money.h"

#include "base/testing.h"

static void amounts_that_are_amounts(void **state UNUSED) {
    static const struct {
        const char *text;
        int decimals;
        int64_t minor;
    } cases[] = {
        {"20", 2, 2000},
        {"20.5", 2, 2050},
        {"20.50", 2, 2050},
        {"20.500", 2, 2050},
        {"0", 2, 0},
        {"0.01", 2, 1},
        {"-0", 2, 0},
        {"-0.00", 2, 0},
        {"007", 2, 700},
        {"1500", 0, 1500},
        {"1500.00", 0, 1500},
        {"1.234", 3, 1234},
        {"0.000000001", 9, 1},
        {"10000000000000", 2, MONEY_MINOR_MAX},
        {"00000000000000000000000000000000000000001", 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t minor = -1;
        assert_int_equal(money_parse(str_of(cases[i].text), cases[i].decimals, &minor), MONEY_OK);
        assert_true(minor == cases[i].minor);
    }
}

static void amounts_that_are_not_say_why(void **state UNUSED) {
    static const struct {
        const char *text;
        int decimals;
        enum money_fault fault;
    } cases[] = {
        {"", 2, MONEY_NOT_A_NUMBER},
        {"-", 2, MONEY_NOT_A_NUMBER},
        {".", 2, MONEY_NOT_A_NUMBER},
        {"20.", 2, MONEY_NOT_A_NUMBER},
        {".5", 2, MONEY_NOT_A_NUMBER},
        {"20,00", 2, MONEY_NOT_A_NUMBER},
        {"NaN", 2, MONEY_NOT_A_NUMBER},
        {"1e2", 2, MONEY_NOT_A_NUMBER},
        {"0x10", 2, MONEY_NOT_A_NUMBER},
        {" 20", 2, MONEY_NOT_A_NUMBER},
        {"20 ", 2, MONEY_NOT_A_NUMBER},
        {"+20", 2, MONEY_NOT_A_NUMBER},
        {"--1", 2, MONEY_NOT_A_NUMBER},
        {"1.2.3", 2, MONEY_NOT_A_NUMBER},
        {"1.-2", 2, MONEY_NOT_A_NUMBER},
        {"-1", 2, MONEY_NEGATIVE},
        {"-0.01", 2, MONEY_NEGATIVE},
        {"-99999999999999999999999", 2, MONEY_NEGATIVE},
        {"0.001", 2, MONEY_TOO_PRECISE},
        {"20.5", 0, MONEY_TOO_PRECISE},
        {"0.0000000000000000000000000000001", 2, MONEY_TOO_PRECISE},
        {"10000000000000.01", 2, MONEY_TOO_LARGE},
        {"99999999999999999999999999999", 2, MONEY_TOO_LARGE},
        {"1000000000000001", 0, MONEY_TOO_LARGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t minor = -77;
        assert_int_equal(money_parse(str_of(cases[i].text), cases[i].decimals, &minor), cases[i].fault);
        assert_true(minor == -77);
    }
}

static void format_is_shortest(void **state UNUSED) {
    static const struct {
        int64_t minor;
        int decimals;
        const char *text;
    } cases[] = {
        {2000, 2, "20"},
        {2050, 2, "20.5"},
        {2055, 2, "20.55"},
        {5, 2, "0.05"},
        {0, 2, "0"},
        {0, 0, "0"},
        {1500, 0, "1500"},
        {-5, 2, "-0.05"},
        {-2000, 2, "-20"},
        {1, 9, "0.000000001"},
        {INT64_MIN, 2, "-92233720368547758.08"},
        {INT64_MAX, 0, "9223372036854775807"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[MONEY_TEXT];
        money_format(cases[i].minor, cases[i].decimals, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void what_is_formatted_parses_back_exactly(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 50000; i++) {
        int decimals = (int)rng_below(&rng, 5);
        int64_t minor = (int64_t)rng_below(&rng, UINT64_C(1) << rng_below(&rng, 50));
        minor = minor < MONEY_MINOR_MAX ? minor : MONEY_MINOR_MAX;
        char text[MONEY_TEXT];
        money_format(minor, decimals, text);
        int64_t back;
        assert_int_equal(money_parse(str_of(text), decimals, &back), MONEY_OK);
        assert_true(back == minor);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts_that_are_amounts),
        cmocka_unit_test(amounts_that_are_not_say_why),
        cmocka_unit_test(format_is_shortest),
        cmocka_unit_test(what_is_formatted_parses_back_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
