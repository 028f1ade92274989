// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

#include "base/testing.h"

static void absent_and_empty_are_different_but_equal_in_bytes(void **state UNUSED) {
    assert_false(str_present(STR_NONE));
    assert_true(str_present(STR("")));
    assert_true(str_eq(STR_NONE, STR("")));
    assert_false(str_present(str_of(NULL)));
}

static void comparing_and_ends(void **state UNUSED) {
    assert_true(str_eq(STR("abc"), str_of("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_is(STR("abc"), "ab"));
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("a@"), STR("a`"))); // 0x40 and 0x60 differ in the case bit only
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_true(str_starts(STR("LPA:1$x"), "LPA:"));
    assert_false(str_starts(STR("LP"), "LPA:"));
    assert_true(str_starts(STR_NONE, ""));
    assert_true(str_ends(STR("a.png"), ".png"));
    assert_false(str_ends(STR("png"), ".png"));
    assert_true(str_ends(STR_NONE, ""));
}

static void trim_takes_blanks_of_both_ends_only(void **state UNUSED) {
    assert_true(str_is(str_trim(STR(" \t\r\n a b \n")), "a b"));
    assert_int_equal(str_trim(STR(" \r\n ")).n, 0);
    assert_int_equal(str_trim(STR_NONE).n, 0);
}

static void cut_walks_through_fields(void **state UNUSED) {
    struct str head;
    struct str rest = str_cut(STR("a,,b"), ',', &head);
    assert_true(str_is(head, "a"));
    rest = str_cut(rest, ',', &head);
    assert_true(str_present(head) && head.n == 0);
    rest = str_cut(rest, ',', &head);
    assert_true(str_is(head, "b"));
    assert_false(str_present(rest));
    rest = str_cut(STR("a,"), ',', &head);
    assert_true(str_present(rest) && rest.n == 0); // a last empty field is a field
    rest = str_cut(STR_NONE, ',', &head);
    assert_false(str_present(rest));
    assert_false(str_present(head));
}

static void numbers_end_at_their_limits(void **state UNUSED) {
    uint64_t u = 5;
    assert_true(str_to_u64(STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    const char *bad[] = {"18446744073709551616", "99999999999999999999999", "", "-1", "+1", " 1", "1 ", "1e3", "0x10", "1\xd9\xa1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_u64(str_of(bad[i]), &u));
    }
    assert_true(u == UINT64_MAX); // not touched by failures
    assert_true(str_to_u64(STR("000000000000000000000000000000000000000000007"), &u));
    assert_true(u == 7);

    int64_t i = 0;
    assert_true(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(STR("-0"), &i) && i == 0);
    assert_false(str_to_i64(STR("9223372036854775808"), &i));
    assert_false(str_to_i64(STR("-9223372036854775809"), &i));
    assert_false(str_to_i64(STR("-"), &i));
    assert_false(str_to_i64(STR("--1"), &i));
}

static void numbers_read_back_what_was_written(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 20000; i++) {
        int64_t v = (int64_t)(rng_u64(&rng) >> rng_below(&rng, 64)) * (rng_below(&rng, 2) ? 1 : -1);
        char text[32];
        snprintf(text, sizeof(text), "%lld", (long long)v);
        int64_t back;
        assert_true(str_to_i64(str_of(text), &back));
        assert_true(back == v);
    }
}

// The definition in RFC 3629 the long way round: decode, then look at the value.
static bool is_utf8_by_value(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n;) {
        unsigned char c = p[i];
        size_t len = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
        if (len == 0 || i + len > n) {
            return false;
        }
        uint32_t v = len == 1 ? c : c & (0x7fu >> len);
        for (size_t k = 1; k < len; k++) {
            if ((p[i + k] & 0xc0) != 0x80) {
                return false;
            }
            v = v << 6 | (p[i + k] & 0x3f);
        }
        static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
        if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) {
            return false;
        }
        i += len;
    }
    return true;
}

static void utf8_is_what_rfc_3629_says(void **state UNUSED) {
    assert_true(str_is_utf8(STR("")));
    assert_true(str_is_utf8(STR("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    const struct str bad[] = {STR("\x80"),
                              STR("\xc0\x80"),
                              STR("\xc1\xbf"),
                              STR("\xe0\x9f\xbf"),
                              STR("\xed\xa0\x80"),
                              STR("\xf0\x8f\xbf\xbf"),
                              STR("\xf4\x90\x80\x80"),
                              STR("\xf5\x80\x80\x80"),
                              STR("\xe2\x82"),
                              STR("a\0b")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_is_utf8(bad[i]));
    }
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    static const unsigned char edges[] = {0x01, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                          0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    size_t good = 0;
    for (int i = 0; i < 300000; i++) {
        unsigned char bytes[4];
        size_t n = 1 + rng_below(&rng, sizeof(bytes));
        for (size_t k = 0; k < n; k++) {
            bytes[k] = edges[rng_below(&rng, sizeof(edges))];
        }
        bool expected = is_utf8_by_value(bytes, n);
        assert_int_equal(str_is_utf8((struct str){(const char *)bytes, n}), expected);
        good += expected;
    }
    assert_true(good > 1000); // the test looked at both kinds
}

static void to_buf_needs_room_for_the_nul(void **state UNUSED) {
    char out[4] = "???";
    assert_false(str_to_buf(STR("1234"), out, sizeof(out)));
    assert_string_equal(out, "???");
    assert_true(str_to_buf(STR("123"), out, sizeof(out)));
    assert_string_equal(out, "123");
    assert_true(str_to_buf(STR_NONE, out, sizeof(out)));
    assert_string_equal(out, "");
    assert_false(str_to_buf(STR(""), out, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_and_empty_are_different_but_equal_in_bytes),
        cmocka_unit_test(comparing_and_ends),
        cmocka_unit_test(trim_takes_blanks_of_both_ends_only),
        cmocka_unit_test(cut_walks_through_fields),
        cmocka_unit_test(numbers_end_at_their_limits),
        cmocka_unit_test(numbers_read_back_what_was_written),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(to_buf_needs_room_for_the_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
