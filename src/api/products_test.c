// SPDX-License-Identifier: Apache-2.0
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

static size_t count(const char *target) {
    GET(target);
    assert_answer(&a, 200);
    return json_array_size(answer_at(&a, "data"));
}

static void the_list_shows_what_this_partner_can_buy(void **state UNUSED) {
    assert_int_equal(count("/v2/products"), 2); // not the one that is off sale
    assert_string_equal(answer_text(&a, "data.0.id"), PRODUCT_BOTH);
    assert_string_equal(answer_text(&a, "data.1.id"), PRODUCT_ESIM);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page")), 1);
    assert_int_equal(json_integer_value(answer_at(&a, "_metadata.page_size")), 10);
    api_test_call(&t, &a, 1, HTTP_GET, "/connect-api/v2/products", NULL, NULL);
    assert_int_equal(json_array_size(answer_at(&a, "data")), 1);
}

static void the_list_is_filtered(void **state UNUSED) {
    assert_int_equal(count("/v2/products?sim_type=ESIM"), 2);
    assert_int_equal(count("/v2/products?sim_type=PSIM"), 1);
    assert_int_equal(count("/v2/products?footprint_code=GLOBAL"), 1);
    assert_string_equal(answer_text(&a, "data.0.id"), PRODUCT_ESIM);
    assert_int_equal(count("/v2/products?currency=EUR"), 1);
    assert_int_equal(count("/v2/products?currency=GBP"), 0);
    assert_int_equal(count("/v2/products?sim_type=PSIM&currency=USD"), 0);
    assert_int_equal(count("/v2/products?page_size=1&page=2"), 1);
    GET("/v2/products?sim_type=SIM&currency=euro");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "sim_type: ", "currency: ", NULL);
}

static void an_item_is_the_product_alone(void **state UNUSED) {
    GET("/v2/products/" PRODUCT_ESIM);
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "id"), PRODUCT_ESIM);
    assert_true(json_real_value(answer_at(&a, "price")) == 25.5);
    assert_string_equal(answer_text(&a, "price_currency"), "USD");
    assert_string_equal(answer_text(&a, "_metadata.links._self"), TEST_BASE_URL "/v2/products/" PRODUCT_ESIM);
    GET("/v2/products/kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak%3D");
    assert_answer(&a, 200);
    assert_string_equal(answer_text(&a, "id"), PRODUCT_BOTH);
    GET("/v2/products/" PRODUCT_OFF); // subscriptions may link to it
    assert_answer(&a, 200);
}

static void what_is_not_in_the_catalogue_is_not_found(void **state UNUSED) {
    static const char *const targets[] = {("/v2/products/" PRODUCT_NONE), "/v2/products/x", "/v2/products/%27;--"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        GET(targets[i]);
        assert_problem(&a, 404, "NOT_FOUND", "id: ", NULL);
    }
    api_test_call(&t, &a, 1, HTTP_GET, "/v2/products/" PRODUCT_ESIM, NULL, NULL);
    assert_answer(&a, 404);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_shows_what_this_partner_can_buy),
        cmocka_unit_test(the_list_is_filtered),
        cmocka_unit_test(an_item_is_the_product_alone),
        cmocka_unit_test(what_is_not_in_the_catalogue_is_not_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
