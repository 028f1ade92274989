// SPDX-License-Identifier: Apache-2.0
#include "api/router.h"
#include "api/testing.h"

static const struct route rows[] = {
    {HTTP_GET, "/"},
    {HTTP_GET, "/v2/orders"},
    {HTTP_POST, "/v2/orders"},
    {HTTP_GET, "/v2/orders/{id}"},
    {HTTP_GET, "/v2/orders/special"},
    {HTTP_PUT, "/v2/sims/{iccid}/preferences/notifications/{type}"},
    {HTTP_DELETE, "/v2/sims/{iccid}/preferences/notifications/{type}"},
    {HTTP_GET, "/v2/sims/{iccid}/preferences"},
    {HTTP_POST, "/v2/{anything}/special"},
};

static int setup(void **state) {
    *state = router_open(rows, ARRAY_LEN(rows));
    return 0;
}

static int teardown(void **state) {
    router_close(*state);
    return 0;
}

// The row found, or -1; `params` joined by '|'.
static int find(void **state, enum http_method method, const char *path, const char *params) {
    struct arena a;
    struct router_match m;
    arena_init(&a, 1 << 16);
    router_find(*state, method, str_of(path), &a, &m);
    int row = m.route ? (int)(m.route - rows) : -1;
    if (params) {
        struct str joined = STR("");
        for (int i = 0; i < PATH_PARAMS_MAX && str_present(m.params[i]); i++)
            joined = arena_printf(&a, STR_FMT "%s" STR_FMT, STR_ARG(joined), i ? "|" : "", STR_ARG(m.params[i]));
        assert_str(joined, params);
    }
    arena_release(&a);
    return row;
}

static void paths_find_their_rows(void **state) {
    assert_int_equal(find(state, HTTP_GET, "/", ""), 0);
    assert_int_equal(find(state, HTTP_GET, "/v2/orders", ""), 1);
    assert_int_equal(find(state, HTTP_HEAD, "/v2/orders", ""), 1);
    assert_int_equal(find(state, HTTP_POST, "/v2/orders", ""), 2);
    assert_int_equal(find(state, HTTP_GET, "/v2/orders/abc", "abc"), 3);
    assert_int_equal(find(state, HTTP_PUT, "/v2/sims/89/preferences/notifications/X", "89|X"), 5);
    assert_int_equal(find(state, HTTP_DELETE, "/v2/sims/89/preferences/notifications/X", "89|X"), 6);
    assert_int_equal(find(state, HTTP_GET, "/v2/sims/89/preferences", "89"), 7);
}

static void a_literal_goes_before_a_parameter_but_does_not_hide_it(void **state) {
    assert_int_equal(find(state, HTTP_GET, "/v2/orders/special", ""), 4);
    assert_int_equal(find(state, HTTP_POST, "/v2/orders/special", "orders"), 8);
    assert_int_equal(find(state, HTTP_POST, "/v2/sims/special", "sims"), 8);
}

static void the_documented_prefix_and_a_last_slash_are_the_same(void **state) {
    assert_int_equal(find(state, HTTP_GET, "/connect-api/v2/orders", ""), 1);
    assert_int_equal(find(state, HTTP_GET, "/connect-api/v2/orders/", ""), 1);
    assert_int_equal(find(state, HTTP_GET, "/v2/orders/abc/", "abc"), 3);
    assert_int_equal(find(state, HTTP_GET, "/connect-api/connect-api/v2/orders", ""), -1);
    assert_int_equal(find(state, HTTP_GET, "/v2/orders//", ""), -1);
}

static void tricks_lead_nowhere(void **state) {
    static const char *const tricks[] = {
        "",
        "v2/orders",
        "//v2/orders",
        "/v2//orders",
        "/v2/orders/../orders",
        "/V2/orders",
        "/v2/orders/%zz",
        "/v2/orders/%",
        "/v2/orders/%4",
        "/v2/orders/%00",
        "/v2/orders/a%2fb",
        "/v2/orders/a%2Fb",
        "/v2%2forders",
        "/v2/./orders",
        "*",
        "/v2/orders;x=1",
        "/a/b/c/d/e/f/g/h/i/j/k/l/m",
    };
    for (size_t i = 0; i < ARRAY_LEN(tricks); i++)
        assert_int_equal(find(state, HTTP_GET, tricks[i], NULL), -1);
    // an escaped dot is a dot in its own segment and goes no way up
    assert_int_equal(find(state, HTTP_GET, "/v2/orders/%2e%2e", ".."), 3);
    assert_int_equal(find(state, HTTP_GET, "/v2/%2e%2e/orders", NULL), -1);
}

static void escapes_are_decoded_per_segment(void **state) {
    assert_int_equal(find(state, HTTP_GET, "/v2/%6frders/a%20b+c%3F", "a b+c?"), 3);
}

static void a_known_path_says_what_it_takes(void **state) {
    struct arena a;
    struct router_match m;
    arena_init(&a, 1 << 16);
    router_find(*state, HTTP_PATCH, STR("/v2/orders"), &a, &m);
    assert_null(m.route);
    assert_str(router_allow(m.methods, &a), "GET, HEAD, POST, OPTIONS");
    router_find(*state, HTTP_OPTIONS, STR("/v2/sims/89/preferences/notifications/X"), &a, &m);
    assert_null(m.route);
    assert_str(router_allow(m.methods, &a), "PUT, DELETE, OPTIONS");
    router_find(*state, HTTP_OTHER, STR("/v2/orders/special"), &a, &m);
    assert_null(m.route);
    assert_str(router_allow(m.methods, &a), "GET, HEAD, OPTIONS");
    router_find(*state, HTTP_GET, STR("/nowhere"), &a, &m);
    assert_int_equal(m.methods, 0);
    arena_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_find_their_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_literal_goes_before_a_parameter_but_does_not_hide_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_documented_prefix_and_a_last_slash_are_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(tricks_lead_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(escapes_are_decoded_per_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(a_known_path_says_what_it_takes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
