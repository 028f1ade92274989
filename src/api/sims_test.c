// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include "core/event.h"
#include "store/store_event.h"

static struct api_test t;
static struct answer a;

static int setup(void **state UNUSED) {
    api_test_open(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

#define EID "89049032000000000000000000000024"
#define PUT(target, body) api_test_call(&t, &a, 0, HTTP_PUT, target, body, NULL)

static void an_activated_sim_is_shown(void **state UNUSED) {
    GET("/v2/sims/" PSIM_ACTIVE);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "sim_type"), "PSIM");
    assert_null(answer_at(&a, "status"));
    assert_string_equal(answer_text(&a, "_metadata.links._subscriptions"), TEST_BASE_URL "/v2/subscriptions?iccid=" PSIM_ACTIVE);
    GET("/v2/sims/" ESIM_OK);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "status"), "Released");
    assert_string_equal(answer_text(&a, "_metadata.links._lpa"), "LPA:1$smdp.example.com$6C-DA326D-K86D");
}

static void what_is_no_activated_sim_is_not_found(void **state UNUSED) {
    static const char *const targets[] = {"/v2/sims/" PSIM_STOCK, "/v2/sims/" SIM_NOBODY, "/v2/sims/8944472600000510741", "/v2/sims/x",
                                          "/v2/sims/%27%20OR%201=1"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        GET(targets[i]);
        assert_problem(&a, 404, "NOT_FOUND", "iccid: ", NULL);
    }
    GET("/v2/sims/" PSIM_OTHER);
    assert_problem(&a, 403, "ACCESS_DENIED", "iccid: ", NULL);
}

static void the_list_shows_activated_sims(void **state UNUSED) {
    GET("/v2/sims");
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 3);
    assert_string_equal(answer_text(&a, "data.0.iccid"), PSIM_ACTIVE);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page_count")), 1);
    GET("/v2/sims?page_size=2&page=2");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 1);
    assert_string_equal(answer_text(&a, "data.0.iccid"), ESIM_GONE);
}

struct seen {
    int64_t n;
    struct event last;
};

static enum err_kind see(struct tx *tx, void *ctx, struct err *err) {
    struct seen *s = ctx;
    struct event *events;
    size_t n;
    enum err_kind kind = store_event_list(tx, t.partner[0].id, 0, 100, &t.arena, &events, &n, err);
    s->n = (int64_t)n;
    if (kind == ERR_NONE && n)
        s->last = events[n - 1];
    return kind;
}

static void the_eid_changes_while_released(void **state UNUSED) {
    clock_manual_advance(&t.clock_state, 5000);
    PUT("/v2/sims/" ESIM_OK, "{\"eid\":\"" EID "\"}");
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "eid"), EID);
    assert_string_equal(answer_text(&a, "last_modified"), "2026-11-23T12:00:05Z");
    struct seen s = {0};
    api_test_job(&t, see, &s);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.last.type, EVENT_SIM_EID_CHANGED);
    struct sim sim;
    struct sim_was was;
    struct err err = {0};
    assert_int_equal(event_unpack_sim(s.last.payload, &t.arena, &sim, &was, &err), ERR_NONE);
    assert_true(str_is(sim.eid, EID));
    assert_int_equal(was.past, PAST_KNOWN);
    assert_false(str_present(was.eid));

    PUT("/v2/sims/" ESIM_OK, "{\"eid\":\"" EID "\"}"); // said again: nothing has changed
    assert_answer(&a, 200);
    api_test_job(&t, see, &s);
    assert_int_equal(s.n, 1);
    GET("/v2/sims/" ESIM_OK);
    assert_string_equal(answer_text(&a, "eid"), EID);
}

static void the_eid_changes_only_where_it_may(void **state UNUSED) {
    PUT("/v2/sims/" ESIM_GONE, "{\"eid\":\"" EID "\"}");
    assert_problem(&a, 409, "CONFLICT", "eid: ", NULL);
    PUT("/v2/sims/" PSIM_ACTIVE, "{\"eid\":\"" EID "\"}");
    assert_problem(&a, 409, "CONFLICT", "eid: ", NULL);
    PUT("/v2/sims/" PSIM_OTHER, "{\"eid\":\"" EID "\"}");
    assert_answer(&a, 403);
    PUT("/v2/sims/" PSIM_STOCK, "{\"eid\":\"" EID "\"}");
    assert_answer(&a, 404);
    static const char *const bad[] = {"{}",
                                      "{\"eid\":null}",
                                      "{\"eid\":\"\"}",
                                      "{\"eid\":\"12\"}",
                                      "{\"eid\":89049032}",
                                      "{\"eid\":\"99049032000000000000000000000024\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        PUT("/v2/sims/" ESIM_OK, bad[i]);
        assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "eid: ", NULL);
    }
    PUT("/v2/sims/" ESIM_OK, "");
    assert_answer(&a, 400);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_activated_sim_is_shown),      TEST(what_is_no_activated_sim_is_not_found), TEST(the_list_shows_activated_sims),
        TEST(the_eid_changes_while_released), TEST(the_eid_changes_only_where_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
