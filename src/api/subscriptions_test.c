// SPDX-License-Identifier: Apache-2.0
#include "api/api_test_support.h"

#include "core/event.h"
#include "store/store_event.h"

static struct api_test t;
static struct answer a;
static char id[LONG_ID_TEXT]; // of the newest subscription

static int setup(void **state UNUSED) {
    api_test_open(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

// A subscription that a completed order made; `more` goes into the product, `subscriber` into the subscriber.
static void buy(const char *iccid, const char *sim_type, const char *product, const char *more, const char *subscriber) {
    char body[1024], order[UUID_TEXT], target[128];
    snprintf(body, sizeof body,
             "{\"operation_type\":\"TOPUP\",\"sim_type\":\"%s\",\"country\":\"GB\",\"product\":{\"id\":\"%s\"%s},\"subscriber\":{%s"
             "\"sim\":{\"iccid\":\"%s\"}}}",
             sim_type, product, more, subscriber, iccid);
    POST("/v2/orders", body);
    assert_answer(&a, 202);
    assert_true(str_to_buf(str_of(answer_text(&a, "id")), order, sizeof order));
    api_test_complete(&t, order);
    snprintf(target, sizeof target, "/v2/orders/%s", order);
    GET(target);
    assert_true(str_to_buf(str_of(answer_text(&a, "output.subscription_id")), id, sizeof id));
}
#define BUY(more) buy(PSIM_ACTIVE, "PSIM", PRODUCT_BOTH, more, "")

// The address of the newest one, and of what can be done with it.
static const char *target(const char *action) {
    static char text[256];
    snprintf(text, sizeof text, "/v2/subscriptions/%s%s", id, action);
    return text;
}

static size_t count(const char *query) {
    GET(query);
    assert_answer(&a, 200);
    return json_array_size(answer_at(&a, "data"));
}

static int64_t events(enum event_type type);

static void one_is_shown_with_its_links(void **state UNUSED) {
    BUY(",\"sold_price\":\"19.90\",\"sold_currency\":\"USD\"");
    GET(target(""));
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "id"), id);
    assert_string_equal(answer_text(&a, "name"), "Europe 1 GB");
    assert_string_equal(answer_text(&a, "sim_id"), PSIM_ACTIVE);
    assert_string_equal(answer_text(&a, "product_id"), PRODUCT_BOTH);
    assert_string_equal(answer_text(&a, "status"), "ACTIVE");
    assert_string_equal(answer_text(&a, "activation_date"), TEST_NOW);
    assert_string_equal(answer_text(&a, "expiry_date"), "2026-12-23T12:00:00Z");
    assert_int_equal(json_integer_value(answer_at(&a, "initial_balance")), 1073741824);
    assert_int_equal(json_integer_value(answer_at(&a, "current_balance")), 1073741824);
    assert_int_equal(json_integer_value(answer_at(&a, "spend_balance")), 0);
    assert_int_equal(json_integer_value(answer_at(&a, "spent_balance")), 0);
    assert_string_equal(answer_text(&a, "sold_product_currency"), "USD");
    assert_true(json_real_value(answer_at(&a, "sold_product_price")) == 19.9);
    assert_null(answer_at(&a, "_metadata.links._activate"));
    assert_non_null(answer_at(&a, "_metadata.links._expire"));

    // '=' escaped, as some clients do
    char escaped[256];
    snprintf(escaped, sizeof escaped, "/connect-api/v2/subscriptions/%.43s%%3D", id);
    GET(escaped);
    assert_answer(&a, 200);
}

static void others_are_denied_and_unknown_ones_not_found(void **state UNUSED) {
    BUY("");
    static const char *const actions[] = {"", "/expire"};
    api_test_call(&t, &a, 1, HTTP_GET, target(actions[0]), NULL, NULL);
    assert_problem(&a, 403, "ACCESS_DENIED", "id: ", NULL);
    api_test_call(&t, &a, 1, HTTP_POST, target(actions[1]), NULL, NULL);
    assert_problem(&a, 403, "ACCESS_DENIED", "id: ", NULL);
    id[3] = id[3] == 'A' ? 'B' : 'A'; // mistyped
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        api_test_call(&t, &a, 0, i ? HTTP_POST : HTTP_GET, target(actions[i]), NULL, NULL);
        assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    }
    GET("/v2/subscriptions/x");
    assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
}

static void the_list_is_filtered(void **state UNUSED) {
    BUY("");
    clock_manual_advance(&t.clock_state, 10000);
    BUY(",\"activation_date\":\"2026-12-01T00:00:00Z\"");
    clock_manual_advance(&t.clock_state, 10000);
    buy(ESIM_OK, "ESIM", PRODUCT_ESIM, "", "\"email\":\"John+x@doe.com\",");

    assert_int_equal(count("/v2/subscriptions"), 3);
    assert_string_equal(answer_text(&a, "data.0.id"), id);
    assert_int_equal(count("/v2/subscriptions?iccid=" PSIM_ACTIVE), 2);
    assert_int_equal(count("/v2/subscriptions?iccid=" PSIM_ACTIVE "/"), 2);
    assert_int_equal(count("/v2/subscriptions?iccid=" PSIM_OTHER), 0);
    assert_int_equal(count("/v2/subscriptions?email=john%2Bx@doe.com"), 1);
    assert_int_equal(count("/v2/subscriptions?email=john+x@doe.com"), 1);
    assert_int_equal(count("/v2/subscriptions?email=jane@doe.com"), 0);
    assert_int_equal(count("/v2/subscriptions?product-id=" PRODUCT_BOTH), 2);
    assert_int_equal(count("/v2/subscriptions?status=PENDING"), 1);
    assert_int_equal(count("/v2/subscriptions?status=ACTIVE&iccid=" PSIM_ACTIVE), 1);
    assert_int_equal(count("/v2/subscriptions?after=2026-11-23T12:00:00Z"), 2);
    assert_int_equal(count("/v2/subscriptions?before=2026-11-23T12:00:10Z"), 1);
    api_test_call(&t, &a, 1, HTTP_GET, "/v2/subscriptions", NULL, NULL);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 0);
    GET("/v2/subscriptions?iccid=1&product-id=x&status=RUNNING&before=x");
    assert_problem(&a, 400, "INVALID_HTTP_MESSAGE", "iccid: ", "product-id: ", "status: ", "before: ", NULL);
}

static void the_first_of_a_sim_is_the_one_to_see(void **state UNUSED) {
    // made in the same second: active before waiting before finished
    BUY("");
    char expired[LONG_ID_TEXT], active[LONG_ID_TEXT];
    memcpy(expired, id, sizeof id);
    POST(target("/expire"), NULL);
    assert_answer(&a, 200);
    BUY("");
    memcpy(active, id, sizeof id);
    BUY(",\"activation_date\":\"2026-12-01T00:00:00Z\"");
    assert_int_equal(count("/v2/subscriptions?iccid=" PSIM_ACTIVE), 3);
    assert_string_equal(answer_text(&a, "data.0.id"), active);
    assert_string_equal(answer_text(&a, "data.1.id"), id);
    assert_string_equal(answer_text(&a, "data.2.id"), expired);
}

static void a_waiting_one_is_activated_and_expired(void **state UNUSED) {
    BUY(",\"activation_date\":\"2026-12-01T00:00:00Z\"");
    GET(target(""));
    assert_string_equal(answer_text(&a, "status"), "PENDING");
    assert_non_null(answer_at(&a, "_metadata.links._activate"));

    clock_manual_advance(&t.clock_state, 60000);
    POST(target("/activate"), NULL);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "status"), "ACTIVE");
    assert_string_equal(answer_text(&a, "activation_date"), "2026-11-23T12:01:00Z");
    assert_null(answer_at(&a, "_metadata.links._activate"));
    assert_int_equal(events(EVENT_SUBSCRIPTION_ACTIVATED), 1);
    POST(target("/activate"), NULL);
    assert_answer(&a, 409);
    assert_string_equal(answer_text(&a, "type"), "CONFLICT");

    POST(target("/expire"), "{}"); // a body does no harm
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "status"), "EXPIRED");
    assert_null(answer_at(&a, "_metadata.links._expire"));
    assert_int_equal(events(EVENT_SUBSCRIPTION_EXPIRED), 1);
    POST(target("/expire"), NULL);
    assert_answer(&a, 409);
    assert_int_equal(events(EVENT_SUBSCRIPTION_EXPIRED), 1);
    GET(target(""));
    assert_string_equal(answer_text(&a, "status"), "EXPIRED");
}

struct tally {
    enum event_type type;
    int64_t n;
};

static enum err_kind tally(struct tx *tx, void *ctx, struct err *err) {
    struct tally *c = ctx;
    struct event *list;
    size_t n;
    enum err_kind kind = store_event_list(tx, t.partner[0].id, 0, 100, &t.arena, &list, &n, err);
    c->n = 0;
    for (size_t i = 0; kind == ERR_NONE && i < n; i++)
        c->n += list[i].type == c->type;
    return kind;
}

static int64_t events(enum event_type type) {
    struct tally c = {.type = type};
    api_test_job(&t, tally, &c);
    return c.n;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_is_shown_with_its_links),          TEST(others_are_denied_and_unknown_ones_not_found), TEST(the_list_is_filtered),
        TEST(the_first_of_a_sim_is_the_one_to_see), TEST(a_waiting_one_is_activated_and_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
