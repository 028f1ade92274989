// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include "base/testing.h"

static void ids_are_uuid_version_7_with_time_and_partner(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct id_gen gen;
    id_gen_init(&gen, &rng);
    struct wall now = {INT64_C(1700000000123)};
    struct uuid id = id_next(&gen, now, 0xabcde);
    char text[UUID_TEXT];
    uuid_format(id, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    assert_string_equal(text + 31, "abcde");
    assert_true(uuid_partner(id) == 0xabcde);
    assert_true(uuid_time(id).ms == now.ms);
    assert_true(str_starts(str_of(text), "018bcfe5-687b-7"));
}

static void ids_of_one_generator_only_grow(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct id_gen gen;
    id_gen_init(&gen, &rng);
    struct wall now = {INT64_C(1700000000000)};
    struct uuid last = {{0}};
    for (int i = 0; i < 200000; i++) {
        switch (rng_below(&rng, 50)) { // most come within one millisecond; sometimes time jumps, also back
        case 0:
            now.ms += (int64_t)rng_below(&rng, 1000);
            break;
        case 1:
            now.ms -= (int64_t)rng_below(&rng, 100000);
            break;
        default:
            break;
        }
        int64_t partner = (int64_t)rng_below(&rng, UINT64_C(1) << UUID_PARTNER_BITS);
        struct uuid id = id_next(&gen, now, partner);
        assert_true(uuid_cmp(id, last) > 0);
        assert_true(uuid_partner(id) == partner);
        assert_int_equal(id.b[6] >> 4, 7);
        assert_int_equal(id.b[8] >> 6, 2);
        last = id;
    }
}

static void random_bits_that_run_out_borrow_the_next_millisecond(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct id_gen gen;
    id_gen_init(&gen, &rng);
    struct wall now = {1000};
    struct uuid before = id_next(&gen, now, 1);
    gen.last_random = (UINT64_C(1) << 54) - 1;
    struct uuid id = id_next(&gen, now, 1);
    assert_true(uuid_time(id).ms == 1001);
    assert_true(uuid_cmp(id, before) > 0);
    assert_true(uuid_cmp(id_next(&gen, now, 1), id) > 0); // the clock still says 1000
    assert_true(uuid_time(id_next(&gen, (struct wall){1002}, 1)).ms == 1002);
}

static void times_that_a_uuid_cannot_hold_do_not_spoil_it(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct id_gen gen;
    id_gen_init(&gen, &rng);
    struct uuid a = id_next(&gen, (struct wall){-5}, 1);
    struct uuid b = id_next(&gen, (struct wall){INT64_MAX}, 1);
    struct uuid c = id_next(&gen, WALL_NONE, 1);
    assert_true(uuid_cmp(a, b) < 0 && uuid_cmp(b, c) < 0);
    assert_int_equal(c.b[6] >> 4, 7);
}

static void uuid_text_reads_back_in_either_case(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 20000; i++) {
        struct uuid id;
        rng_fill(&rng, id.b, sizeof(id.b));
        char text[UUID_TEXT];
        uuid_format(id, text);
        struct uuid back;
        assert_true(uuid_parse(str_of(text), &back));
        assert_true(uuid_eq(id, back));
        for (char *p = text; *p != '\0'; p++) {
            *p = (char)(*p >= 'a' && *p <= 'f' ? *p - 32 : *p);
        }
        assert_true(uuid_parse(str_of(text), &back));
        assert_true(uuid_eq(id, back));
    }
    static const char *const bad[] = {"",
                                      "018bcfe5-687b-7000-8000-00000000000",
                                      "018bcfe5-687b-7000-8000-0000000000000",
                                      "018bcfe5-687b-7000-8000-00000000000g",
                                      "018bcfe5687b-7000-8000-000000000000-",
                                      "018bcfe5-687b-7000-80000-00000000000",
                                      "018bcfe5_687b_7000_8000_000000000000",
                                      "{18bcfe5-687b-7000-8000-00000000000}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct uuid id;
        assert_false(uuid_parse(str_of(bad[i]), &id));
    }
    struct uuid zero = {{0}};
    assert_true(uuid_is_zero(zero));
    zero.b[15] = 1;
    assert_false(uuid_is_zero(zero));
}

static void long_ids_carry_their_own_check(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 2000; i++) {
        struct uuid key;
        rng_fill(&rng, key.b, sizeof(key.b));
        char text[LONG_ID_TEXT];
        long_id_format(key, text);
        assert_int_equal(strlen(text), 44);
        assert_int_equal(text[43], '=');
        assert_true(long_id_well_formed(str_of(text)));
        struct uuid back;
        assert_true(long_id_parse(str_of(text), &back));
        assert_true(uuid_eq(key, back));
        // Any one character mistyped is noticed.
        size_t where = rng_below(&rng, 43);
        text[where] = text[where] == 'A' ? 'B' : 'A';
        assert_false(long_id_parse(str_of(text), &back));
    }
}

static void long_id_of_a_known_key(void **state UNUSED) {
    struct uuid zero = {{0}};
    char text[LONG_ID_TEXT];
    long_id_format(zero, text); // SHA-256 of 16 zero bytes begins 374708fff7719dd5979ec875d56cd228
    uint8_t bytes[32];
    size_t n;
    assert_true(base64url_decode(str_of(text), bytes, sizeof(bytes), &n));
    static const uint8_t sum[16] = {0x37, 0x47, 0x08, 0xff, 0xf7, 0x71, 0x9d, 0xd5, 0x97, 0x9e, 0xc8, 0x75, 0xd5, 0x6c, 0xd2, 0x28};
    assert_memory_equal(bytes + 16, sum, sizeof(sum));
}

static void product_ids_are_well_formed_without_the_check(void **state UNUSED) {
    struct str documented = STR("kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=");
    struct uuid id;
    assert_true(long_id_well_formed(documented));
    assert_false(long_id_parse(documented, &id));
    assert_true(long_id_well_formed(STR("wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM="))); // documented, too, with 43 characters
    assert_false(long_id_parse(STR("wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM="), &id));
    assert_false(long_id_well_formed(STR("p-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM=")));
    assert_false(long_id_well_formed(STR("wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM==")));
    assert_false(long_id_well_formed(STR("kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak")));
    assert_false(long_id_well_formed(STR("kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX+Ak=")));
    assert_false(long_id_well_formed(STR("kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Akx")));
    assert_false(long_id_well_formed(STR_NONE));
}

static void base64url_has_the_vectors_of_rfc_4648(void **state UNUSED) {
    static const struct {
        const char *plain, *padded, *bare;
    } cases[] = {{"", "", ""},
                 {"f", "Zg==", "Zg"},
                 {"fo", "Zm8=", "Zm8"},
                 {"foo", "Zm9v", "Zm9v"},
                 {"foob", "Zm9vYg==", "Zm9vYg"},
                 {"fooba", "Zm9vYmE=", "Zm9vYmE"},
                 {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                 {"\xfb\xff\xbf", "-_-_", "-_-_"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str plain = str_of(cases[i].plain);
        char text[16];
        assert_int_equal(base64url_encode(plain.p, plain.n, true, text), strlen(cases[i].padded));
        assert_string_equal(text, cases[i].padded);
        base64url_encode(plain.p, plain.n, false, text);
        assert_string_equal(text, cases[i].bare);
        const char *spellings[] = {cases[i].padded, cases[i].bare};
        for (size_t k = 0; k < 2; k++) {
            uint8_t back[16];
            size_t n;
            assert_true(base64url_decode(str_of(spellings[k]), back, sizeof(back), &n));
            assert_true(str_eq((struct str){(char *)back, n}, plain));
        }
    }
    static const char *const bad[] = {"Z", "Zg=", "Zh==", "Zm9=", "Zm9vY",    "Zm8+", "Zm8/", "Zm 8",
                                      "=", "==",  "===",  "====", "Zg==Zg==", "Z===", "Zm9v="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t back[16];
        size_t n;
        if (base64url_decode(str_of(bad[i]), back, sizeof(back), &n)) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void base64url_reads_back_and_never_overflows(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[50];
        char text[70];
        size_t n = rng_below(&rng, sizeof(bytes));
        rng_fill(&rng, bytes, n);
        size_t len = base64url_encode(bytes, n, rng_below(&rng, 2) == 1, text);
        assert_int_equal(strlen(text), len);
        uint8_t back[50];
        size_t got;
        assert_true(base64url_decode((struct str){text, len}, back, n, &got));
        assert_int_equal(got, n);
        assert_true(n == 0 || memcmp(bytes, back, n) == 0);
        if (n > 0) {
            assert_false(base64url_decode((struct str){text, len}, back, n - 1, &got));
        }
    }
}

static void base64_has_the_standard_alphabet_and_padding(void **state UNUSED) {
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "+//+"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[16];
        uint8_t back[16];
        size_t n = strlen(rows[i].bytes), got = 99;
        assert_int_equal(base64_encode(rows[i].bytes, n, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
        assert_true(base64_decode(str_of(text), back, sizeof(back), &got));
        assert_int_equal(got, n);
        assert_memory_equal(back, rows[i].bytes, n);
    }
    uint8_t back[16];
    size_t got;
    assert_false(base64_decode(STR("-__-"), back, sizeof(back), &got));
    assert_false(base64url_decode(STR("+//+"), back, sizeof(back), &got));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_uuid_version_7_with_time_and_partner),
        cmocka_unit_test(ids_of_one_generator_only_grow),
        cmocka_unit_test(random_bits_that_run_out_borrow_the_next_millisecond),
        cmocka_unit_test(times_that_a_uuid_cannot_hold_do_not_spoil_it),
        cmocka_unit_test(uuid_text_reads_back_in_either_case),
        cmocka_unit_test(long_ids_carry_their_own_check),
        cmocka_unit_test(long_id_of_a_known_key),
        cmocka_unit_test(product_ids_are_well_formed_without_the_check),
        cmocka_unit_test(base64url_has_the_vectors_of_rfc_4648),
        cmocka_unit_test(base64url_reads_back_and_never_overflows),
        cmocka_unit_test(base64_has_the_standard_alphabet_and_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
