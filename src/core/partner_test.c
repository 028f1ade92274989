// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/partner.h"

static void client_id_is_short_and_plain(void **state) {
    (void)state;
    assert_true(client_id_valid(STR("truphone")));
    assert_true(client_id_valid(STR("A.b_c-9")));
    assert_false(client_id_valid(STR("")));
    assert_false(client_id_valid(STR_NONE));
    assert_false(client_id_valid(STR("a b")));
    assert_false(client_id_valid(STR("a/b")));
    assert_false(client_id_valid(STR("a\0b")));
    assert_false(client_id_valid(STR("caf\xc3\xa9")));
    char text[65];
    memset(text, 'a', sizeof(text));
    assert_true(client_id_valid((struct str){text, 64}));
    assert_false(client_id_valid((struct str){text, 65}));
}

static void partner_may_use_the_currencies_it_was_given(void **state) {
    (void)state;
    struct partner p = {.currencies = STR("EUR USD  GBP")};
    assert_true(partner_may_use_currency(&p, STR("EUR")));
    assert_true(partner_may_use_currency(&p, STR("USD")));
    assert_true(partner_may_use_currency(&p, STR("GBP")));
    assert_false(partner_may_use_currency(&p, STR("CHF")));
    assert_false(partner_may_use_currency(&p, STR("EU")));
    assert_false(partner_may_use_currency(&p, STR("")));
    assert_false(partner_may_use_currency(&p, STR_NONE));
}

static void partner_without_a_list_may_use_any_known_currency(void **state) {
    (void)state;
    const struct str none[] = {STR(""), STR_NONE, STR("  ")};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct partner p = {.currencies = none[i]};
        assert_true(partner_may_use_currency(&p, STR("JPY")));
        assert_false(partner_may_use_currency(&p, STR("ABC")));
    }
}

static void subscriber_field_names_follow_the_bits(void **state) {
    (void)state;
    assert_string_equal(subscriber_field_names[0], "first_name");
    assert_string_equal(subscriber_field_names[4], "device.operating_system");
    assert_null(subscriber_field_names[5]);
    assert_int_equal(NEED_DEVICE, 1 << 4);
}

static void thresholds_stand_in_order_and_each_once(void **state) {
    (void)state;
    struct partner p = {0};
    struct thresholds t = partner_thresholds(&p);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.percent[0], 80); // when the partner has none of its own
    static const int64_t given[] = {95, 1, 50, 99};
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        assert_true(thresholds_add(&p.thresholds, given[i]));
    static const int64_t wrong[] = {0, 100, -1, 50, 95, INT64_MAX, 256 + 20};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(thresholds_add(&p.thresholds, wrong[i]));
    t = partner_thresholds(&p);
    assert_int_equal(t.n, 4);
    static const uint8_t expected[] = {1, 50, 95, 99};
    assert_memory_equal(t.percent, expected, sizeof expected);
    for (int64_t i = 10; i < 14; i++)
        assert_true(thresholds_add(&p.thresholds, i));
    assert_false(thresholds_add(&p.thresholds, 20)); // no room
    assert_int_equal(p.thresholds.n, THRESHOLDS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_id_is_short_and_plain),
        cmocka_unit_test(partner_may_use_the_currencies_it_was_given),
        cmocka_unit_test(partner_without_a_list_may_use_any_known_currency),
        cmocka_unit_test(subscriber_field_names_follow_the_bits),
        cmocka_unit_test(thresholds_stand_in_order_and_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
