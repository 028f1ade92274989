// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/testing.h"
#include "store/recent.h"

struct row {
    int64_t number;
    struct str name, note;
};
static const size_t texts[] = {offsetof(struct row, name), offsetof(struct row, note)};
static const struct recent_layout layout = {sizeof(struct row), texts, ARRAY_LEN(texts)};

static void put(struct recent *r, int64_t key, const char *name) {
    struct row row = {key, str_of(name), STR_NONE};
    recent_put(r, RECENT_SIM, &key, sizeof key, &layout, &row);
}

static bool is(struct recent *r, int64_t key, const char *name) {
    struct arena a;
    struct row row;
    arena_init(&a, 1 << 20);
    bool there = recent_get(r, RECENT_SIM, &key, sizeof key, &layout, &a, &row) && row.number == key && str_is(row.name, name) &&
                 row.name.p[row.name.n] == '\0' && !str_present(row.note);
    arena_release(&a);
    return there;
}

static void row_is_what_was_put_last(void **state UNUSED) {
    struct recent *r = recent_open(64);
    char name[] = "a name";
    put(r, 7, name);
    name[0] = 'A'; // it was copied
    assert_true(is(r, 7, "a name"));
    put(r, 7, "a name that is quite a bit longer than the one that stood there before it came, so that there is no room for it");
    assert_true(
        is(r, 7, "a name that is quite a bit longer than the one that stood there before it came, so that there is no room for it"));
    put(r, 7, "");
    assert_true(is(r, 7, ""));
    assert_false(is(r, 8, ""));
    recent_close(r);
}

static void other_kinds_and_longer_keys_are_other_rows(void **state UNUSED) {
    struct recent *r = recent_open(64);
    struct arena a;
    struct row row = {1, STR("x"), STR_NONE}, got;
    arena_init(&a, 1 << 20);
    recent_put(r, RECENT_ORDER, "abcdefghij", 9, &layout, &row);
    assert_true(recent_get(r, RECENT_ORDER, "abcdefghij", 9, &layout, &a, &got));
    assert_false(recent_get(r, RECENT_ORDER, "abcdefghij", 10, &layout, &a, &got));
    assert_false(recent_get(r, RECENT_PRODUCT, "abcdefghij", 9, &layout, &a, &got));
    arena_release(&a);
    recent_close(r);
}

static void dropped_rows_are_gone_and_only_those(void **state UNUSED) {
    struct recent *r = recent_open(4096);
    struct row order = {1, STR("x"), STR_NONE};
    recent_put(r, RECENT_ORDER, "o", 1, &layout, &order);
    put(r, 1, "one");
    put(r, 2, "two");
    int64_t key = 1;
    recent_drop(r, RECENT_SIM, &key, sizeof key);
    assert_false(is(r, 1, "one"));
    assert_true(is(r, 2, "two"));
    struct arena a;
    struct row got;
    arena_init(&a, 1 << 20);
    assert_true(recent_get(r, RECENT_ORDER, "o", 1, &layout, &a, &got));
    recent_clear(r);
    assert_false(is(r, 2, "two"));
    assert_false(recent_get(r, RECENT_ORDER, "o", 1, &layout, &a, &got));
    arena_release(&a);
    put(r, 2, "two again");
    assert_true(is(r, 2, "two again"));
    recent_close(r);
}

static void newer_row_takes_the_place(void **state UNUSED) {
    struct recent *r = recent_open(8);
    int there = 0;
    for (int64_t i = 0; i < 1000; i++) {
        put(r, i, "row");
        assert_true(is(r, i, "row"));
    }
    for (int64_t i = 0; i < 1000; i++)
        there += is(r, i, "row");
    assert_in_range(there, 1, 8);
    recent_close(r);
}

static void row_that_is_too_long_leaves_nothing_old_behind(void **state UNUSED) {
    struct recent *r = recent_open(8);
    put(r, 1, "short");
    char *text = calloc(1, 10001);
    assert_non_null(text);
    memset(text, 'x', 10000);
    put(r, 1, text);
    assert_false(is(r, 1, "short"));
    assert_false(is(r, 1, text));
    free(text);
    recent_close(r);
}

static void without_a_table_nothing_is_kept(void **state UNUSED) {
    put(NULL, 1, "x");
    assert_false(is(NULL, 1, "x"));
    recent_drop(NULL, RECENT_SIM, "k", 1);
    recent_clear(NULL);
    recent_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_is_what_was_put_last),
        cmocka_unit_test(other_kinds_and_longer_keys_are_other_rows),
        cmocka_unit_test(dropped_rows_are_gone_and_only_those),
        cmocka_unit_test(newer_row_takes_the_place),
        cmocka_unit_test(row_that_is_too_long_leaves_nothing_old_behind),
        cmocka_unit_test(without_a_table_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
