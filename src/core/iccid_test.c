// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/iccid.h"

static void iccid_of_the_documentation_packs_and_comes_back(void **state) {
    (void)state;
    iccid_t v = ICCID_NONE;
    assert_int_equal(iccid_parse(STR("8944472600000510740"), &v), ICCID_OK);
    assert_true(v == INT64_C(894447260000051074));
    char text[ICCID_TEXT];
    iccid_format(v, text);
    assert_string_equal(text, "8944472600000510740");
}

static void iccid_of_20_digits_keeps_its_last_digit(void **state) {
    (void)state;
    // 20 digits need no check digit: all ten last digits are different SIMs.
    for (int c = '0'; c <= '9'; c++) {
        char in[] = "8944472600000510740x", out[ICCID_TEXT];
        in[19] = (char)c;
        iccid_t v;
        assert_int_equal(iccid_parse(str_of(in), &v), ICCID_OK);
        iccid_format(v, out);
        assert_string_equal(out, in);
    }
}

static void iccid_faults_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum iccid_fault fault;
    } cases[] = {
        {"", ICCID_LENGTH},
        {"89", ICCID_LENGTH},
        {"894447260000051074", ICCID_LENGTH},
        {"894447260000051074012", ICCID_LENGTH},
        {"8944472600000510741", ICCID_CHECK_DIGIT},
        {"8944472600000510704", ICCID_CHECK_DIGIT}, // two digits swapped
        {"89444726000005107x0", ICCID_NOT_DIGITS},
        {"894447260000051074 ", ICCID_NOT_DIGITS},
        {"8944 4726 0000 0510 740", ICCID_NOT_DIGITS},
        {"-944472600000510740", ICCID_NOT_DIGITS},
        {"+8944472600000510740", ICCID_NOT_DIGITS},
        {"88444726000005107400", ICCID_NOT_TELECOM},
        {"\xef\xbc\x98"
         "944472600000510740",
         ICCID_LENGTH}, // a full-width 8
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        iccid_t v = -7;
        enum iccid_fault got = iccid_parse(str_of(cases[i].text), &v);
        if (cases[i].fault == ICCID_LENGTH && got == ICCID_NOT_DIGITS)
            got = ICCID_LENGTH; // both faults are there, and both read the same
        if (got != cases[i].fault)
            fail_msg("\"%s\": %d instead of %d", cases[i].text, got, cases[i].fault);
        assert_int_equal(v, -7);
        assert_true(iccid_fault_text(got)[0] != '\0');
    }
    assert_string_equal(iccid_fault_text(ICCID_LENGTH), "must be 19 or 20 digits");
}

static void iccid_that_is_none_formats_as_nothing(void **state) {
    (void)state;
    char text[ICCID_TEXT] = "x";
    iccid_format(ICCID_NONE, text);
    assert_string_equal(text, "");
    iccid_format(ICCID_PACKED_MAX + 1, text);
    assert_string_equal(text, "");
    iccid_format(ICCID_PACKED_MAX, text);
    assert_string_equal(text, "89999999999999999999");
    iccid_format(0, text);
    assert_string_equal(text, "0000000000000000000");
    assert_false(iccid_packed(ICCID_NONE));
    assert_false(iccid_packed(INT64_MIN));
}

static void iccid_packing_is_a_bijection(void **state) {
    (void)state;
    const char *env = getenv("SEED");
    uint64_t seed = env ? strtoull(env, NULL, 0) : rng_u64(&rng_system);
    printf("SEED=%llu\n", (unsigned long long)seed);
    struct rng_seeded s;
    struct rng rng = rng_seeded_init(&s, seed);
    for (int i = 0; i < 100000; i++) {
        iccid_t v = (iccid_t)rng_below(&rng, (uint64_t)ICCID_PACKED_MAX + 1), back;
        char text[ICCID_TEXT];
        iccid_format(v, text);
        assert_int_equal(iccid_parse(str_of(text), &back), ICCID_OK);
        assert_true(back == v);
    }
}

static void luhn_finds_every_wrong_digit(void **state) {
    (void)state;
    assert_int_equal(luhn_digit(STR("7992739871")), '3'); // the standard's well-known example
    assert_true(luhn_holds(STR("79927398713")));
    assert_false(luhn_holds(STR("7992739871x")));
    assert_false(luhn_holds(STR("0")));
    assert_false(luhn_holds(STR("")));
    char text[] = "8944472600000510740";
    for (size_t i = 0; i < 19; i++) {
        char right = text[i];
        for (int c = '0'; c <= '9'; c++) {
            text[i] = (char)c;
            assert_int_equal(luhn_holds(str_of(text)), c == right);
        }
        text[i] = right;
    }
}

static void numbers_of_the_field_keep_their_lengths(void **state) {
    (void)state;
    assert_true(eid_valid(STR("89049032123451234512345678901235")));
    assert_false(eid_valid(STR("8904903212345123451234567890123")));
    assert_false(eid_valid(STR("890490321234512345123456789012350")));
    assert_false(eid_valid(STR("79049032123451234512345678901235")));
    assert_false(eid_valid(STR("8904903212345123451234567890123F")));
    assert_false(eid_valid(STR_NONE));
    assert_true(imsi_valid(STR("234500000000001")));
    assert_true(imsi_valid(STR("234500")));
    assert_false(imsi_valid(STR("23450")));
    assert_false(imsi_valid(STR("2345000000000012")));
    assert_false(imsi_valid(STR("23450000000000x")));
    assert_true(msisdn_valid(STR("447700900123")));
    assert_false(msisdn_valid(STR("+447700900123")));
    assert_false(msisdn_valid(STR("07700900123")));
    assert_false(msisdn_valid(STR("4477")));
    assert_false(msisdn_valid(STR("4477009001234567")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iccid_of_the_documentation_packs_and_comes_back),
        cmocka_unit_test(iccid_of_20_digits_keeps_its_last_digit),
        cmocka_unit_test(iccid_faults_are_told_apart),
        cmocka_unit_test(iccid_that_is_none_formats_as_nothing),
        cmocka_unit_test(iccid_packing_is_a_bijection),
        cmocka_unit_test(luhn_finds_every_wrong_digit),
        cmocka_unit_test(numbers_of_the_field_keep_their_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
