// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/json_plain.h"
#include "base/money.h"
#include "base/testing.h"

// ---- out ----

static void the_writer_sets_commas_and_escapes(void **state UNUSED) {
    struct buf b;
    buf_init(&b, 10000);
    struct jw w = jw_on(&b);
    jw_object(&w, NULL);
    jw_str(&w, "s", STR("a\"\\\b\f\n\r\t\x01\x1f/\x7f\0z"));
    jw_text(&w, "t", "\xc3\xa9\xf0\x9f\x98\x80");
    jw_str_if(&w, "left_out", STR_NONE);
    jw_str_if(&w, "empty", STR(""));
    jw_array(&w, "a");
    jw_i64(&w, NULL, INT64_MIN);
    jw_bool(&w, NULL, true);
    jw_null(&w, NULL);
    jw_object(&w, NULL);
    jw_end_object(&w);
    jw_array(&w, NULL);
    jw_end_array(&w);
    jw_end_array(&w);
    jw_raw(&w, "r", STR("{\"x\":1}"));
    jw_date(&w, "d", (struct wall){INT64_C(1577836800999)});
    jw_date_if(&w, "d2", (struct wall){0});
    jw_date_if(&w, "left_out", WALL_NONE);
    jw_money(&w, "m", 2050, 2);
    jw_bool(&w, "f", false);
    jw_end_object(&w);
    assert_string_equal(b.p,
                        "{\"s\":\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\x7f\\u0000z\",\"t\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"empty\":\"\","
                        "\"a\":[-9223372036854775808,true,null,{},[]],\"r\":{\"x\":1},\"d\":\"2020-01-01T00:00:00Z\","
                        "\"d2\":\"1970-01-01T00:00:00Z\",\"m\":20.5,\"f\":false}");
    buf_release(&b);
}

static void bytes_that_are_not_utf8_become_replacement_characters(void **state UNUSED) {
    struct buf b;
    buf_init(&b, 1000);
    struct jw w = jw_on(&b);
    jw_str(&w, NULL, STR("a\xff\xe2\x82z\xe2\x82"));
    assert_string_equal(b.p, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_release(&b);
}

static void whatever_is_written_parses_and_says_the_same(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    struct buf b;
    buf_init(&b, 100000);
    for (int i = 0; i < 5000; i++) {
        char bytes[40];
        size_t n = rng_below(&rng, sizeof(bytes));
        rng_fill(&rng, bytes, n);
        for (size_t k = 0; k < n; k++) {
            if (bytes[k] == '\0' || rng_below(&rng, 2)) {
                bytes[k] = (char)(1 + rng_below(&rng, 126)); // jansson refuses NUL; more of it ASCII, so that some are UTF-8 throughout
            }
        }
        struct str text = {bytes, n};
        buf_clear(&b);
        struct jw w = jw_on(&b);
        jw_object(&w, NULL);
        jw_str(&w, "k", text);
        jw_end_object(&w);
        struct err err = {0};
        json_t *o;
        assert_int_equal(json_parse_object(buf_str(&b), &o, &err), ERR_NONE);
        json_t *v = json_object_get(o, "k");
        if (str_is_utf8(text)) {
            assert_true(str_eq((struct str){json_string_value(v), json_string_length(v)}, text));
        } else {
            assert_non_null(strstr(json_string_value(v), "\xef\xbf\xbd"));
        }
        json_decref(o);
    }
    buf_release(&b);
}

static void a_buffer_that_is_too_small_only_fails(void **state UNUSED) {
    for (size_t max = 0; max < 30; max++) {
        struct buf b;
        buf_init(&b, max);
        struct jw w = jw_on(&b);
        jw_object(&w, NULL);
        jw_text(&w, "key", "a\nvalue with \xff");
        jw_i64(&w, "n", 12345);
        jw_end_object(&w);
        assert_true(b.failed);
        assert_true(b.n <= max);
        buf_release(&b);
    }
}

// ---- in ----

static void assert_refused(struct str body, const char *because) {
    struct err err = {0};
    json_t *o = NULL;
    assert_int_equal(json_parse_object(body, &o, &err), ERR_MALFORMED);
    assert_null(o);
    assert_int_equal(err.count, 1);
    if (strstr(err_first(&err), because) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err_first(&err), because);
    }
}

static void bodies_that_are_refused_say_where_and_why(void **state UNUSED) {
    assert_refused(STR(""), "empty");
    assert_refused(STR_NONE, "empty");
    assert_refused(STR(" \r\n\t "), "empty");
    assert_refused(STR("hello"), "line 1, column 5: this is not JSON");
    assert_refused(STR("[]"), "must be a JSON object");
    assert_refused(STR("[{}]"), "must be a JSON object");
    assert_refused(STR("\"x\""), "not JSON");
    assert_refused(STR("12"), "not JSON");
    assert_refused(STR("null"), "not JSON");
    assert_refused(STR("{"), "ends too early");
    assert_refused(STR("{\"a\":\"x"), "ends too early");
    assert_refused(STR("{\"a\":1,}"), "line 1, column 8: this is not JSON");
    assert_refused(STR("{\n\"a\": 01}"), "line 2");
    assert_refused(STR("{'a':1}"), "not JSON");
    assert_refused(STR("{\"a\":NaN}"), "not JSON");
    assert_refused(STR("{\"a\":1} {}"), "follows the end");
    assert_refused(STR("{\"a\":1}\0"), "follows the end");
    assert_refused(STR("\xef\xbb\xbf{}"), "not JSON"); // a byte order mark is not allowed (RFC 8259, section 8.1)
    assert_refused(STR("{\"a\":1,\"a\":1}"), "same key");
    assert_refused(STR("{\"a\":\"\xff\"}"), "not UTF-8");
    assert_refused(STR("{\"a\":\"\xed\xa0\x80\"}"), "not UTF-8");
    assert_refused(STR("{\"a\":\"\\ud800\"}"), "not JSON");
    assert_refused(STR("{\"a\":\"\\u0000\"}"), "NUL");
    assert_refused(STR("{\"a\\u0000\":1}"), "NUL");
    assert_refused(STR("{\"a\":\"line\nbreak\"}"), "line 1");
    assert_refused(STR("{\"a\":9223372036854775808}"), "a number is out of range");
    assert_refused(STR("{\"a\":-9223372036854775809}"), "a number is out of range");
    assert_refused(STR("{\"a\":1e309}"), "a number is out of range");
}

static void messages_never_echo_the_body(void **state UNUSED) {
    struct err err = {0};
    json_t *o;
    assert_int_equal(json_parse_object(STR("{\"client_secret\":\"hunter2-hunter2\" oops"), &o, &err), ERR_MALFORMED);
    assert_null(strstr(err_first(&err), "hunter2"));
    assert_null(strstr(err_first(&err), "oops"));
}

static void depth_is_limited_before_anything_is_built(void **state UNUSED) {
    static char deep[20001];
    struct err err = {0};
    json_t *o;
    for (int at = 0; at < 2; at++) { // 64 levels are taken, 65 are not
        int n = JSON_DEPTH_MAX + at;
        char *p = deep;
        memcpy(p, "{\"a\":", 5);
        memset(p + 5, '[', (size_t)n - 1);
        memset(p + 4 + n, ']', (size_t)n - 1);
        p[3 + 2 * n] = '}';
        enum err_kind k = json_parse_object((struct str){deep, (size_t)(4 + 2 * n)}, &o, &err);
        assert_int_equal(k, at == 0 ? ERR_NONE : ERR_MALFORMED);
        if (k == ERR_NONE) {
            json_decref(o);
        }
    }
    memset(deep, '[', sizeof(deep));
    assert_refused((struct str){deep, 10000}, "nested more than 64 levels");
    memset(deep, ']', sizeof(deep));
    assert_refused((struct str){deep, 10000}, "not JSON");
    // Brackets in strings do not count, whatever is escaped there.
    char body[400] = "{\"a\":\"\\\"";
    memset(body + 8, '[', 300);
    memcpy(body + 308, "\\\\\"}", 5);
    assert_int_equal(json_parse_object(str_of(body), &o, &err), ERR_NONE);
    json_decref(o);
}

static json_t *parse(const char *body) {
    struct err err = {0};
    json_t *o;
    assert_int_equal(json_parse_object(str_of(body), &o, &err), ERR_NONE);
    return o;
}

static void members_that_are_right_come_out(void **state UNUSED) {
    json_t *o = parse("{\"s\":\"text\",\"e\":\"\",\"i\":-5,\"b\":true,\"d\":\"2020-01-01T00:00:00+01:00\",\"w\":\"PSIM\",\"o\":{\"x\":1},"
                      "\"a\":[1],\"n\":null}");
    struct err err = {0};
    int64_t i = 0;
    bool b = false;
    static const char *const words[] = {"ESIM", "PSIM", NULL};
    assert_true(str_is(json_take_str(o, "", "s", JSON_REQUIRED, 4, &err), "text"));
    struct str empty = json_take_str(o, "", "e", JSON_OPTIONAL, 4, &err);
    assert_true(str_present(empty) && empty.n == 0);
    assert_true(json_take_i64(o, "", "i", JSON_REQUIRED, -5, 5, &i, &err) && i == -5);
    assert_true(json_take_bool(o, "", "b", JSON_REQUIRED, &b, &err) && b);
    assert_true(json_take_date(o, "", "d", JSON_REQUIRED, &err).ms == INT64_C(1577833200000));
    assert_int_equal(json_take_word(o, "", "w", JSON_REQUIRED, words, &err), 1);
    assert_non_null(json_take_object(o, "", "o", JSON_REQUIRED, &err));
    assert_non_null(json_take_array(o, "", "a", JSON_REQUIRED, &err));
    assert_false(str_present(json_take_str(o, "", "n", JSON_OPTIONAL, 4, &err))); // null is absent
    assert_false(str_present(json_take_str(o, "", "nowhere", JSON_OPTIONAL, 4, &err)));
    assert_false(json_take_i64(o, "", "nowhere", JSON_OPTIONAL, 0, 1, &i, &err));
    assert_false(json_take_bool(o, "", "nowhere", JSON_OPTIONAL, &b, &err));
    assert_false(wall_set(json_take_date(o, "", "nowhere", JSON_OPTIONAL, &err)));
    assert_int_equal(json_take_word(o, "", "nowhere", JSON_OPTIONAL, words, &err), -1);
    assert_null(json_take_object(o, "", "nowhere", JSON_OPTIONAL, &err));
    assert_null(json_take_array(o, "", "nowhere", JSON_OPTIONAL, &err));
    assert_int_equal(err.kind, ERR_NONE);
    json_decref(o);
}

static void all_faults_of_a_body_are_said_with_their_paths(void **state UNUSED) {
    json_t *o =
        parse("{\"s\":5,\"long\":\"12345\",\"control\":\"a\\u0007\",\"i\":5.0,\"big\":6,\"b\":\"true\",\"w\":\"psim\",\"o\":[],\"a\":{},"
              "\"e\":\"\",\"n\":null}");
    struct err err = {0};
    struct arena a;
    arena_init(&a, 1000);
    int64_t i = 77;
    bool b = true;
    static const char *const words[] = {"ESIM", "PSIM", "BOTH", NULL};
    static const char *const word[] = {"EUR", NULL};
    (void)json_take_str(o, "p.", "s", JSON_OPTIONAL, 4, &err);
    (void)json_take_str(o, "p.", "long", JSON_OPTIONAL, 4, &err);
    (void)json_take_str(o, "p.", "control", JSON_OPTIONAL, 40, &err);
    (void)json_take_str(o, "p.", "e", JSON_REQUIRED, 4, &err);
    (void)json_take_str(o, "p.", "n", JSON_REQUIRED, 4, &err);
    assert_false(json_take_i64(o, "p.", "i", JSON_OPTIONAL, 0, 5, &i, &err));
    assert_false(json_take_i64(o, "p.", "big", JSON_OPTIONAL, 0, 5, &i, &err));
    assert_false(json_take_bool(o, "p.", "b", JSON_OPTIONAL, &b, &err));
    assert_int_equal(json_take_word(o, "p.", "w", JSON_OPTIONAL, words, &err), -1);
    assert_int_equal(json_take_word(o, "p.", "w", JSON_OPTIONAL, word, &err), -1);
    assert_null(json_take_object(o, "p.", "o", JSON_OPTIONAL, &err));
    assert_null(json_take_array(o, "p.", "a", JSON_OPTIONAL, &err));
    (void)json_take_decimal(o, "p.", "b", JSON_OPTIONAL, &a, &err);
    (void)json_take_decimal(o, "p.", "o", JSON_OPTIONAL, &a, &err);
    (void)json_take_decimal(o, "p.", "nowhere", JSON_REQUIRED, &a, &err);
    assert_int_equal(err.kind, ERR_INVALID);
    static const char *const expected[] = {
        "p.s: must be a string",
        "p.long: must be at most 4 bytes long",
        "p.control: must not hold control characters",
        "p.e: is required",
        "p.n: is required",
        "p.i: must be a whole number from 0 to 5",
        "p.big: must be a whole number from 0 to 5",
        "p.b: must be true or false",
        "p.w: must be one of ESIM, PSIM or BOTH",
        "p.w: must be EUR",
        "p.o: must be an object",
        "p.a: must be an array",
        "p.b: must be a decimal number, such as 20 or 20.5",
        "p.o: must be a number, or a string holding one",
        "p.nowhere: is required",
    };
    for (size_t k = 0; k < ARRAY_LEN(expected); k++) {
        assert_string_equal(err_message(&err, (unsigned)k), expected[k]);
    }
    assert_int_equal(err.count, ARRAY_LEN(expected));
    assert_true(i == 77 && b);
    arena_release(&a);
    json_decref(o);
}

static void a_date_that_does_not_parse_makes_the_body_malformed(void **state UNUSED) {
    json_t *o = parse("{\"d\":\"2021-02-30T00:00:00Z\",\"n\":5}");
    struct err err = {0};
    assert_false(wall_set(json_take_date(o, "product.", "n", JSON_OPTIONAL, &err)));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_false(wall_set(json_take_date(o, "product.", "d", JSON_OPTIONAL, &err)));
    assert_int_equal(err.kind, ERR_MALFORMED);
    assert_true(str_starts(str_of(err_message(&err, 1)), "product.d: "));
    json_decref(o);
}

static void a_missing_object_has_no_members(void **state UNUSED) {
    struct err err = {0};
    (void)json_take_str(NULL, "product.", "id", JSON_REQUIRED, 44, &err);
    assert_string_equal(err_first(&err), "product.id: is required");
}

static void decimals_come_out_exactly_as_written(void **state UNUSED) {
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"20", "20"},
        {"20.5", "20.5"},
        {"20.50", "20.5"},
        {"20.0", "20"},
        {"0.1", "0.1"},
        {"0.30", "0.3"},
        {"1e2", "100"},
        {"12.5e-1", "1.25"},
        {"1e-7", "0.0000001"},
        {"-0.0", "-0"},
        {"-3.25", "-3.25"},
        {"-7", "-7"},
        {"9223372036854775807", "9223372036854775807"},
        {"9007199254740993.0", "9007199254740992"}, // no double holds it: the nearest does
        {"123456789012345678.0", "123456789012345680"},
        {"1e22", "10000000000000000000000"},
        {"\"20.00\"", "20.00"},
        {"\"-1\"", "-1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[100];
        snprintf(body, sizeof(body), "{\"v\":%s}", cases[i].json);
        json_t *o = parse(body);
        struct err err = {0};
        struct arena a;
        arena_init(&a, 1000);
        struct str s = json_take_decimal(o, "", "v", JSON_REQUIRED, &a, &err);
        assert_string_equal(s.p, cases[i].text);
        arena_release(&a);
        json_decref(o);
    }
}

static void decimals_that_are_absurd_are_left_to_money_to_refuse(void **state UNUSED) {
    static const struct {
        const char *json;
        enum money_fault fault;
    } cases[] = {
        {"1.7976931348623157e308", MONEY_TOO_LARGE},
        {"-1.7976931348623157e308", MONEY_NEGATIVE},
        {"5e-324", MONEY_TOO_PRECISE},
        {"2.2250738585072014e-308", MONEY_TOO_PRECISE},
        {"0.1234567890123456789", MONEY_TOO_PRECISE},
        {"9223372036854775807", MONEY_TOO_LARGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[100];
        snprintf(body, sizeof(body), "{\"v\":%s}", cases[i].json);
        json_t *o = parse(body);
        struct err err = {0};
        struct arena a;
        arena_init(&a, 10000);
        struct str s = json_take_decimal(o, "", "v", JSON_REQUIRED, &a, &err);
        assert_true(str_present(s));
        int64_t minor;
        assert_int_equal(money_parse(s, 2, &minor), cases[i].fault);
        arena_release(&a);
        json_decref(o);
    }
}

static void strings_that_are_no_decimals_are_faults(void **state UNUSED) {
    static const char *const bad[] = {
        "",   "20,00", "NaN", "1e2", " 20",  "20 ",      "0x10",
        "+1", ".5",    "5.",  "-",   "1.-2", "Infinity", "00000000000000000000000000000000000000000000000000000000000000001"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[200];
        snprintf(body, sizeof(body), "{\"v\":\"%s\"}", bad[i]);
        json_t *o = parse(body);
        struct err err = {0};
        struct arena a;
        arena_init(&a, 1000);
        assert_false(str_present(json_take_decimal(o, "", "v", JSON_OPTIONAL, &a, &err)));
        assert_string_equal(err_first(&err), "v: must be a decimal number, such as 20 or 20.5");
        arena_release(&a);
        json_decref(o);
    }
}

static void decimals_of_random_cents_survive_the_double(void **state UNUSED) {
    struct rng_seeded s;
    struct rng rng = testing_rng(&s);
    for (int i = 0; i < 20000; i++) {
        int64_t minor = (int64_t)rng_below(&rng, UINT64_C(1) << (1 + rng_below(&rng, 49)));
        char amount[MONEY_TEXT];
        money_format(minor, 2, amount);
        char body[100];
        snprintf(body, sizeof(body), "{\"v\":%s}", amount);
        json_t *o = parse(body);
        struct err err = {0};
        struct arena a;
        arena_init(&a, 1000);
        int64_t back;
        assert_int_equal(money_parse(json_take_decimal(o, "", "v", JSON_REQUIRED, &a, &err), 2, &back), MONEY_OK);
        assert_true(back == minor);
        arena_release(&a);
        json_decref(o);
    }
}

// ---- the short way ----

// Whether the short way takes it; if so, jansson must have made the same of it.
static bool is_plain(struct str text) {
    json_t *plain = json_read_plain(text);
    if (plain == NULL) {
        return false;
    }
    json_t *o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_true(json_equal(plain, o));
    char *a = json_dumps(plain, JSON_REAL_PRECISION(17));
    char *b = json_dumps(o, JSON_REAL_PRECISION(17));
    assert_string_equal(a, b);
    free(a);
    free(b);
    json_decref(o);
    json_decref(plain);
    return true;
}

static void the_short_way_takes_usual_bodies_and_leaves_the_rest(void **state UNUSED) {
    static const char *const plain[] = {
        "{}",
        " {\t}\r\n",
        "{\"operation_type\":\"TOPUP\",\"product\":{\"sold_price\":20},\"sim\":{\"iccid\":\"8988000000000000000\"}}",
        "{\"a\":[],\"b\":[1,-2,{\"c\":null}],\"d\":true,\"e\":false,\"\":\"\"}",
        "{\"a\":0,\"b\":-0,\"c\":999999999999999999,\"d\":20.5,\"e\":-0.0,\"f\":0.000000000001,\"g\":12345678901234.5}",
        "{\"a\":\"Jos\xc3\xa9 \xf0\x9f\x98\x80\x7f\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        assert_true(is_plain(str_of(plain[i])));
    }
    static const char *const other[] = {
        "",
        "[]",
        "null",
        "{",
        "{}x",
        "{}{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "{a:1}",
        "{\"a\":'b'}",
        "{\"a\":\"\\u00e9\"}", // right, but for jansson
        "{\"a\":\"\n\"}",
        "{\"a\":\"b",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1.2.3}",
        "{\"a\":1e3}", // right
        "{\"a\":1.5E3}",
        "{\"a\":1234567890123456789}", // right
        "{\"a\":123456789012345.5}",   // right
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":tru}",
        "{\"a\":nulls}",
        "{\"a\":True}",
    };
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        assert_false(is_plain(str_of(other[i])));
    }
    assert_false(is_plain((struct str){"{\"a\":\"\0\"}", 9}));
}

// Random texts of the bytes that matter, and real ones with a byte changed: the two never disagree about a plain one.
static void the_short_way_and_jansson_agree(void **state UNUSED) {
    static const char bytes[] = "{}[]\",:0123456789-.eE \ntruefalsn\\u\xc3\xa9\xff";
    static const char *const good[] = {
        "{\"a\":[1,-2.5,{\"c\":null}],\"d\":true,\"e\":\"Jos\xc3\xa9\"}",
        "{\"sold_price\":20.05,\"iccid\":898800000000000001,\"x\":{\"y\":{\"z\":[[],[{}]]}}}",
    };
    struct rng_seeded seeded;
    struct rng rng = testing_rng(&seeded);
    int taken = 0;
    for (int i = 0; i < 200000; i++) {
        char text[128];
        size_t n = strlen(good[i % 2]);
        memcpy(text, good[i % 2], n);
        for (uint64_t changes = rng_below(&rng, 4); changes > 0; changes--) {
            text[rng_below(&rng, n)] = bytes[rng_below(&rng, sizeof(bytes) - 1)];
        }
        taken += is_plain((struct str){text, n});
    }
    assert_in_range(taken, 50000, 199999);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_writer_sets_commas_and_escapes),
        cmocka_unit_test(bytes_that_are_not_utf8_become_replacement_characters),
        cmocka_unit_test(whatever_is_written_parses_and_says_the_same),
        cmocka_unit_test(a_buffer_that_is_too_small_only_fails),
        cmocka_unit_test(bodies_that_are_refused_say_where_and_why),
        cmocka_unit_test(messages_never_echo_the_body),
        cmocka_unit_test(depth_is_limited_before_anything_is_built),
        cmocka_unit_test(the_short_way_takes_usual_bodies_and_leaves_the_rest),
        cmocka_unit_test(the_short_way_and_jansson_agree),
        cmocka_unit_test(members_that_are_right_come_out),
        cmocka_unit_test(all_faults_of_a_body_are_said_with_their_paths),
        cmocka_unit_test(a_date_that_does_not_parse_makes_the_body_malformed),
        cmocka_unit_test(a_missing_object_has_no_members),
        cmocka_unit_test(decimals_come_out_exactly_as_written),
        cmocka_unit_test(decimals_that_are_absurd_are_left_to_money_to_refuse),
        cmocka_unit_test(strings_that_are_no_decimals_are_faults),
        cmocka_unit_test(decimals_of_random_cents_survive_the_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
