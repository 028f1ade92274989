// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include "base/testing.h"

static void buf_builds_text_and_stays_terminated(void **state UNUSED) {
    struct buf b;
    buf_init(&b, 1000);
    assert_true(str_is(buf_str(&b), ""));
    buf_add_text(&b, "n=");
    buf_add_i64(&b, INT64_MIN);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_str(&b, STR(" x"));
    buf_add_str(&b, STR_NONE);
    buf_add_i64(&b, 0);
    buf_printf(&b, "%s-%d", "y", 7);
    assert_string_equal(b.p, "n=-9223372036854775808 18446744073709551615 x0y-7");
    assert_int_equal(b.n, strlen(b.p));
    assert_false(b.failed);
    buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    buf_release(&b);
    assert_null(b.p);
    buf_add_text(&b, "again"); // a released buffer keeps its maximum and may be used again
    assert_string_equal(b.p, "again");
    buf_release(&b);
}

static void buf_takes_exactly_its_maximum(void **state UNUSED) {
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++) {
        buf_add_char(&b, 'a');
    }
    assert_int_equal(b.n, 1000);
    assert_false(b.failed);
    buf_add(&b, NULL, 0);
    assert_false(b.failed);
    buf_add_char(&b, 'b');
    assert_true(b.failed);
    assert_int_equal(b.n, 1000);
    assert_int_equal(strlen(b.p), 1000);
    buf_release(&b);
}

static void buf_after_a_failure_stays_as_it_was_until_cleared(void **state UNUSED) {
    struct buf b;
    buf_init(&b, 10);
    buf_add_text(&b, "12345");
    buf_add_text(&b, "678901");
    assert_true(b.failed);
    buf_add_text(&b, "6"); // would fit, but the text would have a hole
    buf_printf(&b, "%d", 6);
    assert_string_equal(b.p, "12345");
    buf_clear(&b);
    assert_false(b.failed);
    buf_add_text(&b, "1234567890");
    assert_string_equal(b.p, "1234567890");
    buf_release(&b);

    buf_init(&b, 300);
    buf_printf(&b, "%301d", 1);
    assert_true(b.failed);
    buf_clear(&b);
    buf_printf(&b, "%300d", 1);
    assert_false(b.failed);
    assert_int_equal(b.n, 300);
    buf_release(&b);

    buf_init(&b, 0);
    buf_add_char(&b, 'x');
    assert_true(b.failed);
    buf_release(&b);
}

static void buf_room_is_what_was_asked_for(void **state UNUSED) {
    struct buf b;
    buf_init(&b, 5000);
    for (size_t n = 0; n < 90; n++) {
        char *p = buf_room(&b, n);
        assert_non_null(p);
        memset(p, 'z', n);
        buf_took(&b, n / 2);
        assert_int_equal(strlen(b.p), b.n);
    }
    assert_null(buf_room(&b, SIZE_MAX));
    assert_true(b.failed);
    buf_release(&b);
}

static void buf_numbers_are_those_of_printf(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct buf b;
    buf_init(&b, 100);
    for (int i = 0; i < 20000; i++) {
        uint64_t u = rng_u64(&rng) >> rng_below(&rng, 64);
        int64_t v = (int64_t)rng_u64(&rng) >> rng_below(&rng, 64);
        char expected[64];
        snprintf(expected, sizeof(expected), "%llu,%lld", (unsigned long long)u, (long long)v);
        buf_clear(&b);
        buf_add_u64(&b, u);
        buf_add_char(&b, ',');
        buf_add_i64(&b, v);
        assert_string_equal(b.p, expected);
    }
    buf_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_builds_text_and_stays_terminated),
        cmocka_unit_test(buf_takes_exactly_its_maximum),
        cmocka_unit_test(buf_after_a_failure_stays_as_it_was_until_cleared),
        cmocka_unit_test(buf_room_is_what_was_asked_for),
        cmocka_unit_test(buf_numbers_are_those_of_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
