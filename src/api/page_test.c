// SPDX-License-Identifier: Apache-2.0
#include "api/call.h"
#include "api/state.h"
#include "api/testing.h"

struct world {
    struct testing_exchange t;
    struct api api;
    struct call c;
    struct err err;
};

static void begin(struct world *w, const char *target) {
    *w = (struct world){0};
    testing_exchange_init(&w->t, HTTP_GET, target, NULL);
    w->api.base_url = STR("https://api.example/connect-api");
    w->api.origin = STR("https://api.example");
    w->c = (struct call){.api = &w->api, .x = &w->t.x, .arena = &w->t.x.arena};
}

static void end(struct world *w) {
    testing_exchange_release(&w->t);
}

static void a_page_is_the_first_ten_unless_asked_otherwise(void **state) {
    (void)state;
    struct world w;
    struct page p;
    begin(&w, "/v2/orders");
    assert_int_equal(page_parse(&w.c, &p, &w.err), ERR_NONE);
    assert_int_equal(p.number, 1);
    assert_int_equal(p.size, 10);
    end(&w);
    begin(&w, "/v2/orders?page=3&page_size=100");
    assert_int_equal(page_parse(&w.c, &p, &w.err), ERR_NONE);
    assert_int_equal(page_offset(&p), 200);
    end(&w);
}

static void wrong_pages_are_refused_both_at_once(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "/v2/orders?page=0&page_size=0",
        "/v2/orders?page=-1&page_size=101",
        "/v2/orders?page=x&page_size=1e1",
        "/v2/orders?page=1.5&page_size=%20",
        "/v2/orders?page=99999999999999999999&page_size=9223372036854775808",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct world w;
        struct page p;
        begin(&w, wrong[i]);
        assert_int_equal(page_parse(&w.c, &p, &w.err), ERR_INVALID);
        assert_int_equal(w.err.count, 2);
        assert_ptr_equal(strstr(err_message(&w.err, 0), "page: "), err_message(&w.err, 0));
        assert_ptr_equal(strstr(err_message(&w.err, 1), "page_size: "), err_message(&w.err, 1));
        end(&w);
    }
}

static void expect_metadata(const char *target, int64_t total, const char *expected) {
    struct world w;
    struct page p;
    begin(&w, target);
    assert_int_equal(page_parse(&w.c, &p, &w.err), ERR_NONE);
    p.total = total;
    struct jw out = call_json(&w.c, 200);
    jw_object(&out, NULL);
    page_metadata(&w.c, &out, &p);
    jw_end_object(&out);
    assert_string_equal(w.t.x.reply.p, expected);
    end(&w);
}

static void links_lead_to_the_neighbours(void **state) {
    (void)state;
    expect_metadata("/v2/orders", 0,
                    "{\"_metadata\":{\"page\":1,\"page_size\":10,\"page_count\":0,\"links\":{"
                    "\"_self\":\"https://api.example/connect-api/v2/orders?page=1&page_size=10\"}}}");
    expect_metadata("/connect-api/v2/orders/?page=2&page_size=2", 5,
                    "{\"_metadata\":{\"page\":2,\"page_size\":2,\"page_count\":3,\"links\":{"
                    "\"_self\":\"https://api.example/connect-api/v2/orders?page=2&page_size=2\","
                    "\"_prev\":\"https://api.example/connect-api/v2/orders?page=1&page_size=2\","
                    "\"_next\":\"https://api.example/connect-api/v2/orders?page=3&page_size=2\"}}}");
    // from beyond the end back to the last one
    expect_metadata("/admin/v1/orders?page=9&page_size=2", 3,
                    "{\"_metadata\":{\"page\":9,\"page_size\":2,\"page_count\":2,\"links\":{"
                    "\"_self\":\"https://api.example/admin/v1/orders?page=9&page_size=2\","
                    "\"_prev\":\"https://api.example/admin/v1/orders?page=2&page_size=2\"}}}");
}

static void links_keep_the_other_parameters_and_only_what_a_url_may_hold(void **state) {
    (void)state;
    expect_metadata("/v2/subscriptions?email=a%2Bb@x.example&page=1&&status=ACTIVE&page%5Fsize=1&x=\"<\\>\xc3\xa4&y=%zz&flag", 3,
                    "{\"_metadata\":{\"page\":1,\"page_size\":1,\"page_count\":3,\"links\":{"
                    "\"_self\":\"https://api.example/connect-api/v2/subscriptions?email=a%2Bb@x.example&status=ACTIVE&"
                    "x=%22%3C%5C%3E%C3%A4&y=%25zz&flag&page=1&page_size=1\","
                    "\"_next\":\"https://api.example/connect-api/v2/subscriptions?email=a%2Bb@x.example&status=ACTIVE&"
                    "x=%22%3C%5C%3E%C3%A4&y=%25zz&flag&page=2&page_size=1\"}}}");
}

static void parameters_are_checked_under_their_names(void **state) {
    (void)state;
    static const char *const words[] = {"", "ACTIVE", "EXPIRED", NULL};
    struct world w;
    begin(&w, "/v2/x?status=ACTIVE&none=&date=2026-01-31T00:00:00+02:00&email=a%40b");
    assert_int_equal(query_word(&w.c, "status", words, &w.err), 1);
    assert_int_equal(query_word(&w.c, "absent", words, &w.err), -1);
    assert_false(str_present(query_str(&w.c, "none", 10, &w.err)));
    assert_str(query_str(&w.c, "email", 10, &w.err), "a@b");
    assert_int_equal(query_date(&w.c, "date", &w.err).ms, INT64_C(1769810400000)); // the '+' came unescaped
    assert_false(wall_set(query_date(&w.c, "absent", &w.err)));
    assert_int_equal(w.err.kind, ERR_NONE);
    end(&w);

    begin(&w, "/v2/x?status=active&a=%f&b=%ff&c=%0a&d=toolong&date=2021-02-30T00:00:00Z");
    assert_int_equal(query_word(&w.c, "status", words, &w.err), -1);
    assert_string_equal(err_first(&w.err), "status: must be one of ACTIVE, EXPIRED");
    assert_int_equal(w.err.kind, ERR_INVALID);
    for (const char *name = "a\0b\0c\0d\0"; *name; name += 2)
        assert_false(str_present(query_str(&w.c, name, 3, &w.err)));
    assert_false(wall_set(query_date(&w.c, "date", &w.err)));
    assert_int_equal(w.err.count, 6);
    assert_int_equal(w.err.kind, ERR_MALFORMED);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_the_first_ten_unless_asked_otherwise),
        cmocka_unit_test(wrong_pages_are_refused_both_at_once),
        cmocka_unit_test(links_lead_to_the_neighbours),
        cmocka_unit_test(links_keep_the_other_parameters_and_only_what_a_url_may_hold),
        cmocka_unit_test(parameters_are_checked_under_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
