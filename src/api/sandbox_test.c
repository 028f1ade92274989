// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox_test.c - /v2/sandbox: who may, what is wrong with a body, two calls at once, and a clock that waits for orders. Whole stories are
 * in test/it.
 */
#include "api/api_test_support.h"

#include "core/sandbox.h"
#include "life/sandbox.h"
#include "store/store_partner.h"

static struct api_test t;
static struct answer a;

static enum err_kind make_sandbox(struct tx *tx, void *ctx, struct err *err) {
    struct api_test *test = ctx;
    struct partner p;
    enum err_kind kind = store_partner_get(tx, test->partner[1].id, &test->arena, &p, err);
    p.mode = PARTNER_SANDBOX;
    if (kind == ERR_NONE)
        kind = store_partner_update(tx, &p, err);
    return kind ? kind : sandbox_furnish(tx, &test->arena, &p, err);
}

static int setup(void **state UNUSED) {
    api_test_open(&t);
    api_test_job(&t, make_sandbox, &t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

// As the sandbox partner.
static void get(const char *target) {
    api_test_call(&t, &a, 1, HTTP_GET, target, NULL, NULL);
}
static void post(const char *target, const char *body) {
    api_test_call(&t, &a, 1, HTTP_POST, target, body, NULL);
}

static void a_live_partner_is_denied_whatever_it_sends(void **state UNUSED) {
    static const struct {
        enum http_method method;
        const char *target, *body;
    } calls[] = {
        {HTTP_GET, "/v2/sandbox/clock", NULL},
        {HTTP_POST, "/v2/sandbox/clock", "{\"advance\":\"P1D\"}"},
        {HTTP_POST, "/v2/sandbox/clock", "nonsense"},
        {HTTP_GET, "/v2/sandbox/sims", NULL},
        {HTTP_POST, "/v2/sandbox/sims", "{\"sim_type\":\"PSIM\"}"},
        {HTTP_POST, "/v2/sandbox/sims/" PSIM_ACTIVE "/usage", "{\"bytes_down\":1}"},
        {HTTP_POST, "/v2/sandbox/sims/" ESIM_OK "/download-progress", "{\"step\":\"INSTALLED\"}"},
        {HTTP_DELETE, "/v2/sandbox/data", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        api_test_call(&t, &a, 0, calls[i].method, calls[i].target, calls[i].body, NULL);
        assert_problem(&a, 403, "ACCESS_DENIED", "this is for sandbox partners", NULL);
        api_test_call(&t, &a, -1, calls[i].method, calls[i].target, calls[i].body, NULL);
        assert_answer(&a, 401);
    }
}

static void the_clock_goes_by_durations_and_to_dates(void **state UNUSED) {
    get("/v2/sandbox/clock");
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "now"), TEST_NOW);
    assert_string_equal(answer_text(&a, "real_time"), TEST_NOW);
    static const struct {
        const char *body, *now;
    } moves[] = {
        {"{\"advance\":\"10s\"}", "2026-11-23T12:00:10Z"},
        {"{\"advance\":\"30d\"}", "2026-12-23T12:00:10Z"},
        {"{\"advance\":\"PT1H30M\"}", "2026-12-23T13:30:10Z"},
        {"{\"advance\":\"P1M\"}", "2027-01-23T13:30:10Z"},
        {"{\"now\":\"2027-01-31T00:00:00Z\"}", "2027-01-31T00:00:00Z"},
        {"{\"now\":\"2027-01-31T00:00:00Z\",\"advance\":null}", "2027-01-31T00:00:00Z"}, // said again: it is so
        {"{\"advance\":\"P1M\"}", "2027-02-28T00:00:00Z"},
        {"{\"now\":\"2027-02-28T02:00:00+01:00\"}", "2027-02-28T01:00:00Z"},
        {"{\"advance\":\"PT0S\"}", "2027-02-28T01:00:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        post("/v2/sandbox/clock", moves[i].body);
        assert_answer(&a, 200);
        assert_string_equal(answer_text(&a, "now"), moves[i].now);
        assert_string_equal(answer_text(&a, "real_time"), TEST_NOW);
        get("/v2/sandbox/clock"); // and the very next call knows
        assert_string_equal(answer_text(&a, "now"), moves[i].now);
    }
    post("/v2/sandbox/clock", "{\"now\":\"2027-02-27T00:00:00Z\"}");
    assert_problem(&a, 409, "CONFLICT", "now: the sandbox's clock shows 2027-02-28T01:00:00Z and only goes forward", NULL);
    post("/v2/sandbox/clock", "{\"now\":\"2126-11-24T00:00:00Z\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "now: the sandbox's clock may be 100 years ahead", NULL);
    post("/v2/sandbox/clock", "{\"advance\":\"P9999Y\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "advance: the sandbox's clock may be 100 years ahead", NULL);
    get("/v2/sandbox/clock");
    assert_string_equal(answer_text(&a, "now"), "2027-02-28T01:00:00Z");
    assert_int_equal(json_integer_value(answer_at(&a, "ahead_seconds")), 8341200);
}

static void what_is_wrong_with_a_body_is_said(void **state UNUSED) {
    static const struct {
        const char *target, *body, *type, *message;
    } rows[] = {
        {"/v2/sandbox/clock", "{}", "INVALID_REQUEST_PARAMS", "advance: is required, unless there is now"},
        {"/v2/sandbox/clock", "{\"advance\":\"\"}", "INVALID_REQUEST_PARAMS", "advance: must be a duration"},
        {"/v2/sandbox/clock", "{\"advance\":\"-P1D\"}", "INVALID_REQUEST_PARAMS", "advance: must be a duration"},
        {"/v2/sandbox/clock", "{\"advance\":30}", "INVALID_REQUEST_PARAMS", "advance: must be"},
        {"/v2/sandbox/clock", "{\"advance\":\"P1D\",\"now\":\"2027-01-01T00:00:00Z\"}", "INVALID_REQUEST_PARAMS",
         "now: must not come together"},
        {"/v2/sandbox/clock", "{\"now\":\"2027-02-30T00:00:00Z\"}", "INVALID_HTTP_MESSAGE", "now: "},
        {"/v2/sandbox/clock", "[]", "INVALID_HTTP_MESSAGE", ""},
        {"/v2/sandbox/sims", "{}", "INVALID_REQUEST_PARAMS", "sim_type: is required"},
        {"/v2/sandbox/sims", "{\"sim_type\":\"USIM\"}", "INVALID_REQUEST_PARAMS", "sim_type: "},
        {"/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"count\":0}", "INVALID_REQUEST_PARAMS", "count: "},
        {"/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"count\":101}", "INVALID_REQUEST_PARAMS", "count: "},
        {"/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"count\":9223372036854775807}", "INVALID_REQUEST_PARAMS", "count: "},
        {"/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"behaviour\":\"moody\"}", "INVALID_REQUEST_PARAMS", "behaviour: "},
        {"/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"behaviour\":\"no_profile\"}", "INVALID_REQUEST_PARAMS",
         "behaviour: no_profile is a product's alone"},
        {"/v2/sandbox/sims", "{\"sim_type\":\"ESIM\",\"behaviour\":\"slow\"}", "INVALID_REQUEST_PARAMS",
         "behaviour: an order does not name"},
        {"/v2/sandbox/sims/" PSIM_OTHER "/usage", "{}", "INVALID_REQUEST_PARAMS", "bytes_down: "},
        {"/v2/sandbox/sims/" PSIM_OTHER "/usage", "{\"bytes_down\":-1}", "INVALID_REQUEST_PARAMS", "bytes_down: "},
        {"/v2/sandbox/sims/" PSIM_OTHER "/usage", "{\"bytes_down\":1,\"end\":\"2030-01-01T00:00:00Z\"}", "INVALID_REQUEST_PARAMS", "end: "},
        {"/v2/sandbox/sims/" PSIM_OTHER "/download-progress", "{}", "INVALID_REQUEST_PARAMS", "step: is required"},
        {"/v2/sandbox/sims/" PSIM_OTHER "/download-progress", "{\"step\":\"LOST\"}", "INVALID_REQUEST_PARAMS", "step: "},
        {"/v2/sandbox/sims/" PSIM_OTHER "/download-progress", "{\"step\":\"DELETED\",\"notification_point\":3}", "INVALID_REQUEST_PARAMS",
         "notification_point: must not come together"},
        {"/v2/sandbox/sims/" PSIM_OTHER "/download-progress", "{\"notification_point\":0}", "INVALID_REQUEST_PARAMS",
         "notification_point: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        post(rows[i].target, rows[i].body);
        assert_problem(&a, 400, rows[i].type, rows[i].message, NULL);
    }
    post("/v2/sandbox/sims/" PSIM_OTHER "/download-progress", "{\"step\":\"INSTALLED\"}");
    assert_problem(&a, 409, "CONFLICT", "", NULL);
    post("/v2/sandbox/sims/" PSIM_ACTIVE "/usage", "{\"bytes_down\":1}"); // the live partner's
    assert_problem(&a, 403, "ACCESS_DENIED", "iccid: ", NULL);
    post("/v2/sandbox/sims/x/usage", "{\"bytes_down\":1}");
    assert_problem(&a, 404, "NOT_FOUND", "iccid: ", NULL);
}

static void sims_are_made_and_listed(void **state UNUSED) {
    post("/v2/sandbox/sims", "{\"sim_type\":\"ESIM\",\"count\":3}");
    assert_answer(&a, 201);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 3);
    assert_true(luhn_holds(str_of(answer_text(&a, "data.2.iccid"))));
    assert_memory_equal(answer_text(&a, "data.2.iccid"), "899990", 6);
    assert_string_equal(answer_text(&a, "data.2.status"), "Released");
    assert_string_not_equal(answer_text(&a, "data.2.matching_id"), answer_text(&a, "data.1.matching_id"));
    assert_true(json_is_false(answer_at(&a, "data.2.activated")));

    post("/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"behaviour\":\"slow\",\"activated\":true}");
    assert_answer(&a, 201);
    assert_memory_equal(answer_text(&a, "data.0.iccid"), "899993", 6);
    assert_string_equal(answer_text(&a, "data.0.behaviour"), "slow");
    assert_true(json_is_true(answer_at(&a, "data.0.activated")));
    char target[128];
    snprintf(target, sizeof target, "/v2/sims/%s", answer_text(&a, "data.0.iccid"));
    get(target);
    assert_answer(&a, 200);

    get("/v2/sandbox/sims?sim_type=ESIM&page_size=100");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 53);
    get("/v2/sandbox/sims?page_size=2&page=35");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 2);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page_count")), 35); // 65 of the start, 4 made, 1 that the operator gave
}

static void a_record_counts_once_and_only_on_its_own_source(void **state UNUSED) {
    static const char body[] = "{\"bytes_down\":5,\"bytes_up\":1,\"record_id\":\"r1\",\"source\":\"ggsn-1\"}";
    post("/v2/sandbox/sims/" PSIM_OTHER "/usage", body);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "verdict"), "UNRATED");
    assert_int_equal(json_integer_value(answer_at(&a, "unrated_bytes")), 6);
    assert_true(json_is_false(answer_at(&a, "repeated")));
    post("/v2/sandbox/sims/" PSIM_OTHER "/usage", body);
    assert_true(json_is_true(answer_at(&a, "repeated")));
    post("/v2/sandbox/sims/" PSIM_OTHER "/usage", "{\"bytes_down\":7,\"record_id\":\"r1\"}");
    assert_problem(&a, 409, "CONFLICT", "", NULL);
    post("/v2/sandbox/sims/" PSIM_OTHER "/usage", "{\"bytes_down\":7,\"record_id\":null}");
    assert_answer(&a, 200);
    assert_int_equal(strlen(answer_text(&a, "record_id")), 36);
}

// ---- calls that take their time ----

static void order_in_work(void) {
    post("/v2/orders", "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH
                       "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_OTHER "\"}}}");
    assert_answer(&a, 202);
}

static void the_clock_waits_for_orders_and_others_do_not_get_between(void **state UNUSED) {
    order_in_work();
    char id[64];
    snprintf(id, sizeof id, "%s", answer_text(&a, "id"));
    struct exchange *e = api_test_begin(&t, 1, HTTP_POST, "/v2/sandbox/clock", "{\"advance\":\"P1D\"}", NULL);
    assert_true(api_test_waits(e));
    api_turn(t.api);
    assert_true(api_test_waits(e));
    post("/v2/sandbox/clock", "{\"advance\":\"P1D\"}");
    assert_problem(&a, 409, "CONFLICT", "the sandbox's clock is being moved", NULL);
    api_test_call(&t, &a, 1, HTTP_DELETE, "/v2/sandbox/data", NULL, NULL);
    assert_problem(&a, 409, "CONFLICT", "the sandbox's clock is being moved", NULL);
    get("/v2/sandbox/clock");
    assert_string_equal(answer_text(&a, "now"), TEST_NOW);

    api_test_complete(&t, id);
    api_turn(t.api);
    assert_false(api_test_waits(e));
    api_test_end(&t, e, &a);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "now"), "2026-11-24T12:00:00Z");
    get("/v2/subscriptions?iccid=" PSIM_OTHER);
    assert_string_equal(answer_text(&a, "data.0.activation_date"), TEST_NOW);
    post("/v2/sandbox/clock", "{\"advance\":\"P1D\"}"); // the way is free again
    assert_answer(&a, 200);
}

static void its_patience_with_orders_ends(void **state UNUSED) {
    order_in_work();
    struct exchange *e = api_test_begin(&t, 1, HTTP_POST, "/v2/sandbox/clock", "{\"advance\":\"P1D\"}", NULL);
    assert_true(api_test_waits(e));
    clock_manual_advance(&t.clock_state, 16000);
    api_turn(t.api);
    assert_false(api_test_waits(e));
    api_test_end(&t, e, &a);
    assert_problem(&a, 409, "CONFLICT", "orders are still in work", NULL);
    api_test_call(&t, &a, 1, HTTP_DELETE, "/v2/sandbox/data", NULL, NULL); // which waits for nobody
    assert_answer(&a, 204);
    post("/v2/sandbox/clock", "{\"advance\":\"P1D\"}");
    assert_answer(&a, 200);
}

static void a_refused_call_lets_go(void **state UNUSED) {
    for (int i = 0; i < 200; i++) { // more than there are places
        post("/v2/sandbox/clock", "{\"now\":\"2020-01-01T00:00:00Z\"}");
        assert_answer(&a, 409);
    }
    post("/v2/sandbox/clock", "{\"advance\":\"1d\"}");
    assert_answer(&a, 200);
}

static void afresh(void **state UNUSED) {
    order_in_work();
    api_test_complete(&t, answer_text(&a, "id"));
    post("/v2/sandbox/clock", "{\"advance\":\"P10D\"}");
    post("/v2/sandbox/sims", "{\"sim_type\":\"PSIM\",\"count\":100}");
    api_test_call(&t, &a, 1, HTTP_DELETE, "/v2/sandbox/data", NULL, NULL);
    assert_answer(&a, 204);
    get("/v2/orders");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 0);
    get("/v2/subscriptions");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 0);
    get("/v2/sandbox/clock");
    assert_string_equal(answer_text(&a, "now"), TEST_NOW);
    get("/v2/sandbox/sims?page_size=100");
    assert_int_equal(json_array_size(answer_at(&a, "data")), 66);
    get("/v2/sims/" PSIM_OTHER); // the operator's, back in stock
    assert_answer(&a, 404);
}

static void the_same_key_goes_on_and_does_not_go_twice(void **state UNUSED) {
    const struct header key[] = {{"Idempotency-Key", "k1"}, {NULL, NULL}};
    for (int i = 0; i < 2; i++) {
        api_test_call(&t, &a, 1, HTTP_POST, "/v2/sandbox/clock", "{\"advance\":\"P1D\"}", key);
        assert_answer(&a, 200);
        assert_string_equal(answer_text(&a, "now"), "2026-11-24T12:00:00Z");
    }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_live_partner_is_denied_whatever_it_sends),
        T(the_clock_goes_by_durations_and_to_dates),
        T(what_is_wrong_with_a_body_is_said),
        T(sims_are_made_and_listed),
        T(a_record_counts_once_and_only_on_its_own_source),
        T(the_clock_waits_for_orders_and_others_do_not_get_between),
        T(its_patience_with_orders_ends),
        T(a_refused_call_lets_go),
        T(afresh),
        T(the_same_key_goes_on_and_does_not_go_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
