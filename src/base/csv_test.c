// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/csv.h"
#include "base/rng.h"

static void expect_row(struct csv *c, int64_t line, size_t n, const char *const *fields) {
    assert_int_equal(csv_next(c), CSV_ROW);
    assert_int_equal(c->line, line);
    assert_int_equal(c->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(c->field[i].n, strlen(fields[i]));
        assert_memory_equal(c->field[i].p, fields[i], c->field[i].n);
    }
}
#define EXPECT_ROW(c, line, ...) expect_row((c), (line), ARRAY_LEN(((const char *[]){__VA_ARGS__})), (const char *const[]){__VA_ARGS__})

static void csv_all_line_ends_and_the_byte_order_mark(void **state) {
    (void)state;
    struct csv c;
    csv_init_text(&c, STR("\xEF\xBB\xBF"
                          "a,b\r\n1,2\n3,4\r\r\n\n 5 ,\t6"));
    EXPECT_ROW(&c, 1, "a", "b");
    EXPECT_ROW(&c, 2, "1", "2");
    EXPECT_ROW(&c, 3, "3", "4");
    EXPECT_ROW(&c, 6, "5", "6");
    assert_int_equal(csv_next(&c), CSV_END);
    assert_int_equal(csv_next(&c), CSV_END);
    assert_int_equal(c.bytes, 25);
    csv_release(&c);
}

static void csv_quotes(void **state) {
    (void)state;
    struct csv c;
    csv_init_text(&c, STR("\"a,\"\"b\"\"\", \" kept \" ,\"two\r\nlines\",\"\"\nnext,,\n\"\"\n,"));
    EXPECT_ROW(&c, 1, "a,\"b\"", " kept ", "two\nlines", "");
    EXPECT_ROW(&c, 3, "next", "", "");
    EXPECT_ROW(&c, 4, "");
    EXPECT_ROW(&c, 5, "", "");
    assert_int_equal(csv_next(&c), CSV_END);
    csv_release(&c);
}

static void csv_a_bad_record_does_not_hide_the_next(void **state) {
    (void)state;
    struct csv c;
    csv_init_text(&c, STR("a\"b,c\n\"x\"y,z\n\xFF,1\ngood\n"));
    for (int line = 1; line <= 3; line++) {
        assert_int_equal(csv_next(&c), CSV_BAD);
        assert_int_equal(c.line, line);
        assert_non_null(c.reason);
        assert_int_equal(c.n, 0);
    }
    EXPECT_ROW(&c, 4, "good");
    assert_int_equal(csv_next(&c), CSV_END);
    csv_release(&c);
}

static void csv_an_open_quote_ends_the_reading(void **state) {
    (void)state;
    struct csv c;
    csv_init_text(&c, STR("a\nb,\"open\nc\nd"));
    EXPECT_ROW(&c, 1, "a");
    assert_int_equal(csv_next(&c), CSV_BROKEN);
    assert_int_equal(c.line, 2);
    assert_int_equal(csv_next(&c), CSV_BROKEN);
    csv_release(&c);
}

static void csv_long_lines_are_bounded(void **state) {
    (void)state;
    size_t n = (size_t)CSV_RECORD_MAX * 3;
    char *text = malloc(n + 8);
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text + n, "\nok\n", 5);
    struct csv c;
    csv_init_text(&c, (struct str){text, n + 4});
    assert_int_equal(csv_next(&c), CSV_BAD);
    assert_int_equal(c.line, 1);
    EXPECT_ROW(&c, 2, "ok");
    csv_release(&c);
    memset(text, ',', n);
    csv_init_text(&c, (struct str){text, n + 4});
    assert_int_equal(csv_next(&c), CSV_BAD);
    EXPECT_ROW(&c, 2, "ok");
    csv_release(&c);
    memset(text, 'x', n);
    text[0] = '"';
    csv_init_text(&c, (struct str){text, n + 4});
    assert_int_equal(csv_next(&c), CSV_BROKEN);
    csv_release(&c);
    free(text);
}

static long read_fails(void *ctx, char *to, size_t size) {
    int *calls = ctx;
    if ((*calls)++ > 0 || size < 3)
        return -1;
    memcpy(to, "a\nb", 3);
    return 3;
}

static void csv_an_input_that_fails_is_not_an_end(void **state) {
    (void)state;
    int calls = 0;
    struct csv c;
    csv_init(&c, read_fails, &calls);
    EXPECT_ROW(&c, 1, "a");
    assert_int_equal(csv_next(&c), CSV_BROKEN);
    csv_release(&c);
}

static void csv_header_names_columns_in_any_order(void **state) {
    (void)state;
    static const char *const known[] = {"iccid", "sim_type", "imsi"};
    int index[3];
    struct err err = {0};
    struct csv c;
    csv_init_text(&c, STR("SIM_Type, iccid\nPSIM,89\nESIM\n"));
    assert_int_equal(csv_header(&c, known, 3, 2, index, &err), ERR_NONE);
    assert_int_equal(index[0], 1);
    assert_int_equal(index[1], 0);
    assert_int_equal(index[2], -1);
    assert_int_equal(csv_next(&c), CSV_ROW);
    assert_true(str_is(csv_field(&c, index[0]), "89"));
    assert_false(str_present(csv_field(&c, index[2])));
    assert_int_equal(csv_next(&c), CSV_ROW);
    assert_false(str_present(csv_field(&c, index[0])));
    csv_release(&c);
}

static void csv_header_says_all_its_faults(void **state) {
    (void)state;
    static const char *const known[] = {"iccid", "sim_type", "imsi"};
    int index[3];
    struct err err = {0};
    struct csv c;
    csv_init_text(&c, STR("imsi,colour,imsi\n"));
    assert_int_equal(csv_header(&c, known, 3, 2, index, &err), ERR_INVALID);
    assert_int_equal(err.count, 4);
    csv_release(&c);
    err_clear(&err);
    csv_init_text(&c, STR_NONE);
    assert_int_equal(csv_header(&c, known, 3, 2, index, &err), ERR_INVALID);
    assert_int_equal(err.count, 1);
    csv_release(&c);
}

// A source that brings a few bytes at a time: where blocks end must not matter.
struct drip {
    const struct rng *rng;
    struct str rest;
    bool whole;
};
static long read_drip(void *ctx, char *to, size_t size) {
    struct drip *d = ctx;
    size_t n = d->whole ? d->rest.n : rng_below(d->rng, 7) + 3;
    if (n > d->rest.n)
        n = d->rest.n;
    if (n > size)
        n = size;
    memcpy(to, d->rest.p, n);
    d->rest.p += n;
    d->rest.n -= n;
    return (long)n;
}

static void csv_what_is_put_comes_back(void **state) {
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : rng_u64(&rng_system);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, seed);
    static const char alphabet[] = "ab \t,\"\n89";
    char fields[50][6][12];
    for (int round = 0; round < 300; round++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        int rows = (int)rng_below(&rng, 50) + 1;
        for (int r = 0; r < rows; r++) {
            for (int f = 0; f < 6; f++) {
                size_t n = f == 0 ? 1 + rng_below(&rng, 10) : rng_below(&rng, 11);
                for (size_t i = 0; i < n; i++)
                    fields[r][f][i] = (char)(i == 0 && f == 0 ? 'x' : alphabet[rng_below(&rng, sizeof(alphabet) - 1)]);
                fields[r][f][n] = 0;
                csv_put(&out, str_of(fields[r][f]), f == 0);
            }
            buf_add_text(&out, rng_below(&rng, 2) ? "\r\n" : "\n");
        }
        struct drip d = {&rng, buf_str(&out), rng_below(&rng, 4) == 0};
        struct csv c;
        csv_init(&c, read_drip, &d);
        for (int r = 0; r < rows; r++) {
            assert_int_equal(csv_next(&c), CSV_ROW);
            assert_int_equal(c.n, 6);
            for (int f = 0; f < 6; f++)
                assert_true(str_is(c.field[f], fields[r][f]));
        }
        assert_int_equal(csv_next(&c), CSV_END);
        assert_int_equal(c.bytes, out.n);
        csv_release(&c);
        buf_release(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_all_line_ends_and_the_byte_order_mark),
        cmocka_unit_test(csv_quotes),
        cmocka_unit_test(csv_a_bad_record_does_not_hide_the_next),
        cmocka_unit_test(csv_an_open_quote_ends_the_reading),
        cmocka_unit_test(csv_long_lines_are_bounded),
        cmocka_unit_test(csv_an_input_that_fails_is_not_an_end),
        cmocka_unit_test(csv_header_names_columns_in_any_order),
        cmocka_unit_test(csv_header_says_all_its_faults),
        cmocka_unit_test(csv_what_is_put_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
