// SPDX-License-Identifier: Apache-2.0
#include "api/preferences.h"

#include "api/api_test_support.h"

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

#define PREFERENCES "/v2/sims/" PSIM_ACTIVE "/preferences"
#define OF(type) PREFERENCES "/notifications/" type
#define DO(method, target, body) api_test_call(&t, &a, 0, method, target, body, NULL)

static void a_webhook_is_set_replaced_and_removed(void **state UNUSED) {
    GET(PREFERENCES);
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "notifications")), 0);

    DO(HTTP_PUT, OF("USAGE_THRESHOLD"), "{\"webhook_url\":\"https://user:secret@example.com/hook?x=1\"}");
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "notifications.0.type"), "USAGE_THRESHOLD");
    assert_string_equal(answer_text(&a, "notifications.0.webhook_url"), "https://user:secret@example.com/hook?x=1");
    assert_null(answer_at(&a, "type"));
    DO(HTTP_POST, OF("SUBSCRITPION_END"), "{\"webhook_url\":\"http://example.com/end\"}"); // the documentation's misspelling
    assert_answer(&a, 200);
    DO(HTTP_PUT, OF("USAGE_THRESHOLD"), "{\"webhook_url\":\"https://example.com/other\"}");
    assert_answer(&a, 200);

    GET("/connect-api" PREFERENCES);
    assert_answer(&a, 200);
    assert_int_equal(json_array_size(answer_at(&a, "notifications")), 2);
    assert_string_equal(answer_text(&a, "notifications.0.webhook_url"), "https://example.com/other");
    assert_string_equal(answer_text(&a, "notifications.1.type"), "SUBSCRIPTION_END");

    DO(HTTP_DELETE, OF("SUBSCRIPTION_END"), NULL);
    assert_answer(&a, 204);
    assert_int_equal(a.body.n, 0);
    DO(HTTP_DELETE, OF("SUBSCRIPTION_END"), NULL);
    assert_problem(&a, 404, "NOT_FOUND", "type: ", NULL);
    GET(PREFERENCES);
    assert_int_equal(json_array_size(answer_at(&a, "notifications")), 1);
}

static void only_activated_sims_of_the_partner_have_preferences(void **state UNUSED) {
    static const struct {
        const char *iccid;
        int status;
    } rows[] = {{PSIM_STOCK, 404}, {SIM_NOBODY, 404}, {"x", 404}, {PSIM_OTHER, 403}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char target[128];
        snprintf(target, sizeof target, "/v2/sims/%s/preferences", rows[i].iccid);
        GET(target);
        assert_answer(&a, rows[i].status);
        snprintf(target, sizeof target, "/v2/sims/%s/preferences/notifications/USAGE_THRESHOLD", rows[i].iccid);
        DO(HTTP_PUT, target, "{\"webhook_url\":\"https://example.com\"}");
        assert_answer(&a, rows[i].status);
        DO(HTTP_DELETE, target, NULL);
        assert_answer(&a, rows[i].status);
    }
    DO(HTTP_PUT, OF("EVERYTHING"), "{\"webhook_url\":\"https://example.com\"}");
    assert_problem(&a, 404, "NOT_FOUND", "type: ", NULL);
}

static void a_url_must_be_one(void **state UNUSED) {
    DO(HTTP_PUT, OF("USAGE_THRESHOLD"), "{}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "webhook_url: is required", NULL);
    DO(HTTP_PUT, OF("USAGE_THRESHOLD"), "{\"webhook_url\":7}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "webhook_url: must be a string", NULL);
    DO(HTTP_PUT, OF("USAGE_THRESHOLD"), "{\"webhook_url\":\"ftp://example.com\"}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "webhook_url: must be an absolute URL", NULL);

    static const char *const private_ones[] = {"http://127.0.0.1/", "http://localhost:9000/x", "http://u:p@[::1]/"};
    for (size_t i = 0; i < ARRAY_LEN(private_ones); i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"webhook_url\":\"%s\"}", private_ones[i]);
        DO(HTTP_PUT, OF("USAGE_THRESHOLD"), body);
        assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "webhook_url: must not lead to a private", NULL);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_webhook_is_set_replaced_and_removed),
        TEST(only_activated_sims_of_the_partner_have_preferences),
        TEST(a_url_must_be_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
