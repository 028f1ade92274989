// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include "base/str.h"
#include "base/testing.h"

static void err_starts_empty_and_always_has_a_first_message(void **state UNUSED) {
    struct err err = {0};
    assert_int_equal(err.kind, ERR_NONE);
    assert_null(err_message(&err, 0));
    assert_string_equal(err_first(&err), "unknown error");
}

static void err_set_replaces_and_returns_its_kind(void **state UNUSED) {
    struct err err = {0};
    err_add(&err, ERR_MALFORMED, "one");
    assert_int_equal(err_set(&err, ERR_BUSY, "two %d", 2), ERR_BUSY);
    assert_int_equal(err.kind, ERR_BUSY);
    assert_int_equal(err.count, 1);
    assert_string_equal(err_first(&err), "two 2");
    assert_null(err_message(&err, 1));
}

static void err_set_may_quote_the_error_it_replaces(void **state UNUSED) {
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE, "the peer hung up");
    err_set(&err, ERR_UNSURE, "order 7: %s", err_first(&err));
    assert_string_equal(err_first(&err), "order 7: the peer hung up");
}

static void err_add_keeps_all_messages_in_order(void **state UNUSED) {
    struct err err = {0};
    err_add(&err, ERR_INVALID, "a: is required");
    err_add(&err, ERR_INVALID, "b: is required");
    err_add(&err, ERR_INVALID, "%s", "");
    assert_int_equal(err.count, 3);
    assert_string_equal(err_message(&err, 0), "a: is required");
    assert_string_equal(err_message(&err, 1), "b: is required");
    assert_string_equal(err_message(&err, 2), "");
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(err_first(&err), "unknown error");
}

static void malformed_outranks_invalid_outranks_the_rest(void **state UNUSED) {
    struct err err = {0};
    assert_int_equal(err_add(&err, ERR_CONFLICT, "1"), ERR_CONFLICT);
    assert_int_equal(err_add(&err, ERR_BUSY, "2"), ERR_CONFLICT);
    assert_int_equal(err_add(&err, ERR_INVALID, "3"), ERR_INVALID);
    assert_int_equal(err_add(&err, ERR_MALFORMED, "4"), ERR_MALFORMED);
    assert_int_equal(err_add(&err, ERR_INVALID, "5"), ERR_MALFORMED);
    assert_int_equal(err_add(&err, ERR_DENIED, "6"), ERR_MALFORMED);
    assert_int_equal(err.count, 6);
}

static void assert_last_says_there_is_more(const struct err *err) {
    assert_non_null(strstr(err_message(err, err->count - 1), "more faults"));
    assert_true(err->used <= ERR_TEXT_MAX);
}

static void too_many_messages_are_dropped_and_the_last_says_so(void **state UNUSED) {
    struct err err = {0};
    for (int i = 0; i < 1000; i++) {
        err_add(&err, ERR_INVALID, "%d", i);
    }
    assert_int_equal(err.count, ERR_MESSAGES_MAX);
    assert_string_equal(err_message(&err, ERR_MESSAGES_MAX - 2), "62");
    assert_last_says_there_is_more(&err);
}

static void too_much_text_is_dropped_whole_and_the_last_says_so(void **state UNUSED) {
    struct err err = {0};
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (int i = 0; i < 10; i++) {
        err_add(&err, ERR_INVALID, "%s", text);
    }
    assert_int_equal(err.count, 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(err_message(&err, i), text);
    }
    assert_last_says_there_is_more(&err);
}

static void a_single_endless_message_is_cut_between_characters(void **state UNUSED) {
    for (size_t lead = 0; lead < 3; lead++) { // the cut falls on each byte of a character
        struct err err = {0};
        char text[2 * ERR_TEXT_MAX];
        memset(text, 'x', lead);
        size_t n = lead;
        while (n + 4 < sizeof(text)) {
            memcpy(text + n, "\xe2\x82\xac", 3);
            n += 3;
        }
        text[n] = '\0';
        err_set(&err, ERR_INTERNAL, "%s", text);
        struct str kept = str_of(err_first(&err));
        assert_true(kept.n > 2900 && kept.n < ERR_TEXT_MAX);
        assert_true(str_is_utf8(kept));
        assert_memory_equal(kept.p, text, kept.n);
    }
}

static void every_kind_has_a_name_of_its_own(void **state UNUSED) {
    for (int a = 0; a < ERR_KINDS; a++) {
        assert_non_null(err_kind_name((enum err_kind)a));
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(err_kind_name((enum err_kind)a), err_kind_name((enum err_kind)b));
        }
    }
    assert_string_equal(err_kind_name(ERR_KINDS), "unknown");
    assert_string_equal(err_kind_name((enum err_kind) - 1), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_starts_empty_and_always_has_a_first_message),
        cmocka_unit_test(err_set_replaces_and_returns_its_kind),
        cmocka_unit_test(err_set_may_quote_the_error_it_replaces),
        cmocka_unit_test(err_add_keeps_all_messages_in_order),
        cmocka_unit_test(malformed_outranks_invalid_outranks_the_rest),
        cmocka_unit_test(too_many_messages_are_dropped_and_the_last_says_so),
        cmocka_unit_test(too_much_text_is_dropped_whole_and_the_last_says_so),
        cmocka_unit_test(a_single_endless_message_is_cut_between_characters),
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
