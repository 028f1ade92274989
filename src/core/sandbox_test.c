// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/sandbox.h"

static void rows_have_their_word_and_a_product_of_their_own(void **state) {
    (void)state;
    for (int b = 0; b < SANDBOX_BEHAVIOURS; b++) {
        const struct sandbox_row *row = &sandbox_table[b];
        assert_string_equal(row->word, sandbox_behaviour_words[b]);
        assert_true(row->what && row->what[0]);
        assert_true((row->product_id != NULL) == (b != SANDBOX_AS_USUAL));
        if (!row->product_id)
            continue;
        uint8_t bytes[40];
        size_t n;
        assert_true(long_id_well_formed(str_of(row->product_id)));
        assert_true(base64url_decode(str_of(row->product_id), bytes, sizeof bytes, &n));
        assert_int_equal(n, 32);
        assert_int_equal(sandbox_of_product(str_of(row->product_id)), b);
        for (int other = 1; other < b; other++)
            assert_string_not_equal(row->product_id, sandbox_table[other].product_id);
    }
    assert_null(sandbox_behaviour_words[SANDBOX_BEHAVIOURS]);
    assert_int_equal(sandbox_of_product(STR("kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=")), SANDBOX_AS_USUAL);
    assert_int_equal(sandbox_of_product(STR("")), SANDBOX_AS_USUAL);
}

static void an_iccid_tells_its_behaviour_and_holds_under_luhn(void **state) {
    (void)state;
    const int64_t serials[] = {0, 1, 123456789012, SANDBOX_SERIALS - 1};
    for (int b = 0; b < SANDBOX_BEHAVIOURS; b++) {
        for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
            iccid_t iccid = sandbox_iccid((enum sandbox_behaviour)b, serials[i]), again;
            char text[ICCID_TEXT];
            iccid_format(iccid, text);
            assert_int_equal(strlen(text), 19);
            assert_true(luhn_holds(str_of(text)));
            assert_memory_equal(text, "89999", 5);
            assert_int_equal(text[5], '0' + b);
            assert_int_equal(iccid_parse(str_of(text), &again), ICCID_OK);
            assert_true(again == iccid && sandbox_iccid_is(iccid));
            assert_int_equal(sandbox_of_iccid(iccid), sandbox_table[b].of_sims ? b : SANDBOX_AS_USUAL);
        }
    }
    assert_false(sandbox_iccid_is(sandbox_iccid(SANDBOX_AS_USUAL, 0) - 1));
    assert_false(sandbox_iccid_is(INT64_C(900000000000000000)));
    assert_false(sandbox_iccid_is(ICCID_NONE));
    // digits of rows that are not there yet
    for (int digit = SANDBOX_BEHAVIOURS; digit < 10; digit++) {
        iccid_t iccid = sandbox_iccid(SANDBOX_AS_USUAL, 0) + digit * SANDBOX_SERIALS;
        assert_true(sandbox_iccid_is(iccid));
        assert_int_equal(sandbox_of_iccid(iccid), SANDBOX_AS_USUAL);
    }
}

static void an_order_goes_by_its_product_then_by_its_sim(void **state) {
    (void)state;
    struct partner live = {.id = 1, .mode = PARTNER_LIVE}, sandbox = {.id = 2, .mode = PARTNER_SANDBOX};
    struct order o = {.iccid = sandbox_iccid(SANDBOX_SLOW, 7)};
    assert_int_equal(sandbox_of_order(&sandbox, &o), SANDBOX_SLOW);
    assert_int_equal(sandbox_of_order(&live, &o), SANDBOX_AS_USUAL);
    assert_true(str_to_buf(str_of(sandbox_table[SANDBOX_REFUSED].product_id), o.product_public_id, sizeof o.product_public_id));
    assert_int_equal(sandbox_of_order(&sandbox, &o), SANDBOX_REFUSED);
    assert_int_equal(sandbox_of_order(&live, &o), SANDBOX_AS_USUAL);
    o = (struct order){.iccid = ICCID_NONE};
    assert_int_equal(sandbox_of_order(&sandbox, &o), SANDBOX_AS_USUAL);
}

static void serial_numbers_of_starts_and_of_what_is_made_never_meet(void **state) {
    (void)state;
    int64_t last = sandbox_start_serial(PARTNER_ID_MAX, SANDBOX_START_SIMS - 1);
    assert_true(last < sandbox_made_serial(0));
    assert_int_equal(sandbox_start_serial(2, 0) - sandbox_start_serial(1, SANDBOX_START_SIMS - 1), 1);
    assert_true(sandbox_made_serial(INT64_MAX) < SANDBOX_SERIALS);
    assert_int_equal(sandbox_made_serial(8) - sandbox_made_serial(7), 1);

    char start[SANDBOX_TEXT], made[SANDBOX_TEXT];
    sandbox_imsi(last, start);
    sandbox_imsi(sandbox_made_serial(0), made);
    assert_true(imsi_valid(str_of(start)) && imsi_valid(str_of(made)));
    assert_true(strcmp(start, made) < 0);
    sandbox_imsi(SANDBOX_SERIALS - 1, made);
    assert_true(imsi_valid(str_of(made)));
    assert_true(strcmp(start, made) < 0);
    sandbox_msisdn(SANDBOX_SERIALS - 1, made);
    assert_true(msisdn_valid(str_of(made)));
    sandbox_matching_id(SANDBOX_SERIALS - 1, made);
    assert_int_equal(strlen(made), 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_their_word_and_a_product_of_their_own),
        cmocka_unit_test(an_iccid_tells_its_behaviour_and_holds_under_luhn),
        cmocka_unit_test(an_order_goes_by_its_product_then_by_its_sim),
        cmocka_unit_test(serial_numbers_of_starts_and_of_what_is_made_never_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
