// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/codes.h"

// Asks for every possible code. An entry out of order would not be found by halving, so the counts say that the tables are sorted, too.
static void codes_tables_are_whole_and_sorted(void **state) {
    (void)state;
    int countries = 0, currencies = 0, by_decimals[5] = {0};
    char code[4] = {0};
    for (code[0] = 'A'; code[0] <= 'Z'; code[0]++) {
        for (code[1] = 'A'; code[1] <= 'Z'; code[1]++) {
            countries += country_known((struct str){code, 2});
            for (code[2] = 'A'; code[2] <= 'Z'; code[2]++) {
                int decimals = currency_decimals((struct str){code, 3});
                assert_in_range(decimals + 1, 0, 5);
                if (decimals >= 0) {
                    currencies++;
                    by_decimals[decimals]++;
                }
            }
        }
    }
    assert_int_equal(countries, 249 + 1); // and XK
    assert_int_equal(currencies, 165);
    assert_int_equal(by_decimals[0], 17);
    assert_int_equal(by_decimals[1], 0);
    assert_int_equal(by_decimals[2], 139);
    assert_int_equal(by_decimals[3], 7);
    assert_int_equal(by_decimals[4], 2);
}

static void countries_are_two_capitals(void **state) {
    (void)state;
    assert_true(country_known(STR("GB")));
    assert_true(country_known(STR("AD")));
    assert_true(country_known(STR("ZW")));
    assert_true(country_known(STR("XK")));
    static const char *const wrong[] = {"", "G", "gb", "Gb", "GBR", "UK", "EU", "D ", " D", "A ", "AD AE", "ZZ", "00"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (country_known(str_of(wrong[i])))
            fail_msg("\"%s\"", wrong[i]);
    assert_false(country_known(STR_NONE));
}

static void currencies_have_their_decimals(void **state) {
    (void)state;
    static const struct {
        const char *code;
        int decimals;
    } cases[] = {{"EUR", 2},  {"USD", 2},  {"GBP", 2}, {"JPY", 0},   {"KRW", 0}, {"ISK", 0}, {"KWD", 3},  {"TND", 3},
                 {"CLF", 4},  {"UYW", 4},  {"AED", 2}, {"ZWG", 2},   {"HUF", 2}, {"UGX", 0}, {"XXX", -1}, {"XAU", -1},
                 {"HRK", -1}, {"eur", -1}, {"EU", -1}, {"EURO", -1}, {"", -1},   {"R2 ", -1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (currency_decimals(str_of(cases[i].code)) != cases[i].decimals)
            fail_msg("%s: %d", cases[i].code, currency_decimals(str_of(cases[i].code)));
    assert_int_equal(currency_decimals(STR_NONE), -1);
}

static void languages_are_tags(void **state) {
    (void)state;
    static const char *const right[] = {"en", "pt-BR", "zh-Hans-CN", "gsw", "es-419", "de-CH-1901", "EN"};
    static const char *const wrong[] = {"",
                                        "e",
                                        "en_GB",
                                        "en-",
                                        "-en",
                                        "en--GB",
                                        "english",
                                        "e1",
                                        "en-toolongsubtag",
                                        "en GB",
                                        "en-G\xc3\x9f",
                                        "en-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaa"};
    for (size_t i = 0; i < ARRAY_LEN(right); i++)
        if (!language_well_formed(str_of(right[i])))
            fail_msg("\"%s\"", right[i]);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (language_well_formed(str_of(wrong[i])))
            fail_msg("\"%s\"", wrong[i]);
    assert_false(language_well_formed(STR_NONE));
}

static void emails_have_two_sides_and_a_dot(void **state) {
    (void)state;
    static const char *const right[] = {"a@b.c", "first.last+tag@mail.example.com", "o'neil@example.co.uk", "\xc3\xbc@example.org"};
    static const char *const wrong[] = {"",       "a",      "@",    "a@",   "@b.c",   "a@b",     "a@b@c.d",
                                        "a @b.c", "a@b .c", "a@.c", "a@b.", "a@b..c", "a@b.c\n", "a\t@b.c"};
    for (size_t i = 0; i < ARRAY_LEN(right); i++)
        if (!email_well_formed(str_of(right[i])))
            fail_msg("\"%s\"", right[i]);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (email_well_formed(str_of(wrong[i])))
            fail_msg("\"%s\"", wrong[i]);
    assert_false(email_well_formed(STR_NONE));
    assert_false(email_well_formed(STR("a\0@b.c")));

    char longest[EMAIL_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + sizeof(longest) - 5, "@b.cd", 5);
    assert_false(email_well_formed((struct str){longest, EMAIL_MAX + 1}));
    assert_true(email_well_formed((struct str){longest + 1, EMAIL_MAX}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_tables_are_whole_and_sorted), cmocka_unit_test(countries_are_two_capitals),
        cmocka_unit_test(currencies_have_their_decimals),    cmocka_unit_test(languages_are_tags),
        cmocka_unit_test(emails_have_two_sides_and_a_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
