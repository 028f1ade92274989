// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>

#include "topup/table.h"

static void add_row(struct table *t, const char *a, const char *b, const char *c) {
    table_cell(t, str_of(a));
    table_cell(t, str_of(b));
    table_cell(t, str_of(c));
}

static void expect(struct table *t, const char *text) {
    struct buf out;
    buf_init(&out, 65536);
    table_flush(t, &out);
    assert_string_equal(out.n ? out.p : "", text);
    buf_release(&out);
}

static void three_columns(struct table *t, int terminal) {
    table_init(t, terminal, false);
    table_column(t, "ID", false, true);
    table_column(t, "NAME", false, false);
    table_column(t, "LEFT", true, false);
}

static void table_columns_are_aligned_and_numbers_stand_right(void **state) {
    (void)state;
    struct table t;
    three_columns(&t, 0);
    add_row(&t, "a1", "Ada", "5");
    add_row(&t, "b", "Grace Hopper", "12345");
    expect(&t, "ID  NAME           LEFT\n"
               "a1  Ada               5\n"
               "b   Grace Hopper  12345\n");
    table_release(&t);
}

static void table_is_written_page_by_page_under_one_title(void **state) {
    (void)state;
    struct table t;
    three_columns(&t, 0);
    add_row(&t, "a", "long name", "1");
    expect(&t, "ID  NAME       LEFT\na   long name     1\n");
    add_row(&t, "b", "x", "2");
    expect(&t, "b   x             2\n");
    expect(&t, "");
    table_release(&t);
}

static void table_gives_way_to_a_narrow_terminal_but_keeps_ids(void **state) {
    (void)state;
    struct table t;
    three_columns(&t, 30);
    add_row(&t, "0123456789", "a name that is long enough", "1");
    expect(&t, "ID          NAME          LEFT\n"
               "0123456789  a name that…     1\n");
    table_release(&t);
}

static void table_leaves_columns_out_from_the_right_when_nothing_else_helps(void **state) {
    (void)state;
    struct table t;
    three_columns(&t, 21);
    add_row(&t, "0123456789", "Grace Hopper", "1");
    expect(&t, "ID          NAME\n"
               "0123456789  Grace Ho…\n");
    assert_int_equal(t.visible, 2);
    table_release(&t);
    three_columns(&t, 5); // not even the first has room: it is shown all the same
    add_row(&t, "0123456789", "x", "1");
    expect(&t, "ID\n0123456789\n");
    table_release(&t);
}

static void table_counts_columns_of_the_terminal_not_bytes(void **state) {
    (void)state;
    struct table t;
    assert_int_equal(text_width(str_of("Zoë")), 3);
    assert_int_equal(text_width(str_of("東京")), 4);
    assert_int_equal(text_width(STR("")), 0);
    three_columns(&t, 0);
    add_row(&t, "ä", "東京", "1");
    add_row(&t, "b", "Rome", "2");
    expect(&t, "ID  NAME  LEFT\nä   東京     1\nb   Rome     2\n");
    table_release(&t);
}

static void table_shows_no_control_characters(void **state) {
    (void)state;
    struct table t;
    three_columns(&t, 0);
    add_row(&t, "a\033[31m", "two\nlines", "\xff");
    expect(&t, "ID      NAME       LEFT\na?[31m  two?lines     ?\n");
    table_release(&t);
}

static void table_without_rows_has_its_title(void **state) {
    (void)state;
    struct table t;
    three_columns(&t, 80);
    expect(&t, "ID  NAME  LEFT\n");
    table_release(&t);
}

int main(void) {
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 77; // a machine without it: skipped
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_columns_are_aligned_and_numbers_stand_right),
        cmocka_unit_test(table_is_written_page_by_page_under_one_title),
        cmocka_unit_test(table_gives_way_to_a_narrow_terminal_but_keeps_ids),
        cmocka_unit_test(table_leaves_columns_out_from_the_right_when_nothing_else_helps),
        cmocka_unit_test(table_counts_columns_of_the_terminal_not_bytes),
        cmocka_unit_test(table_shows_no_control_characters),
        cmocka_unit_test(table_without_rows_has_its_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
