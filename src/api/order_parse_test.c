// SPDX-License-Identifier: Apache-2.0
#include "api/order_parse.h"

#include "base/date.h"
#include "base/testing.h"

static struct arena arena;
static struct err err;
static struct order order;
static json_t *body;
static const struct partner partner = {.id = 7};

static int setup(void **state UNUSED) {
    arena_init(&arena, 64 * 1024);
    return 0;
}

static int teardown(void **state UNUSED) {
    json_decref(body);
    body = NULL;
    arena_release(&arena);
    return 0;
}

// As the endpoint does it: the text, the fields, the rules.
static enum err_kind parse(struct str text) {
    json_decref(body);
    body = NULL;
    arena_reset(&arena);
    err_clear(&err);
    if (json_parse_object(text, &body, &err) != ERR_NONE)
        return err.kind;
    order_parse(body, &arena, &order, &err);
    return order_rules(&order, &partner, &err);
}

#define ID "\"id\":\"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=\""
#define HEAD "\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\""
#define SIM "\"subscriber\":{\"sim\":{\"iccid\":\"8944472600000510740\"}}"
#define TOPUP(product) "{" HEAD ",\"product\":{" ID product "}," SIM "}"

static void the_documentations_order_parses(void **state UNUSED) {
    assert_int_equal(parse(STR("{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{" ID
                               ",\"sold_price\":20,\"sold_currency\":\"EUR\",\"activation_date\":\"2020-01-01T00:00:00Z\"},"
                               "\"subscriber\":{\"sim\":{\"iccid\":\"8944472600000510740\"}}}")),
                     ERR_NONE);
    assert_int_equal(order.operation, OP_TOPUP);
    assert_int_equal(order.sim_type, SIM_PSIM);
    assert_string_equal(order.country, "GB");
    assert_string_equal(order.product_public_id, "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=");
    assert_int_equal(order.sold.minor, 2000);
    assert_string_equal(order.sold.currency, "EUR");
    char date[DATE_TEXT];
    date_format(order.activation, date);
    assert_string_equal(date, "2020-01-01T00:00:00Z");
    assert_false(wall_set(order.expiration));
    char iccid[ICCID_TEXT];
    iccid_format(order.iccid, iccid);
    assert_string_equal(iccid, "8944472600000510740");
    assert_false(str_present(order.reference));
    assert_false(str_present(order.subscriber.email));
}

static void an_esim_activation_parses_with_all_its_fields(void **state UNUSED) {
    assert_int_equal(parse(STR("{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"ESIM\",\"country\":\"GB\",\"product\":{" ID "},"
                               "\"reference\":\"basket 12\",\"subscriber\":{\"email\":\"john@doe.com\",\"first_name\":\"John\","
                               "\"last_name\":\"Doe\",\"country_of_residence\":\"US\",\"language\":\"en\",\"device\":{"
                               "\"operating_system\":\"ios\",\"model\":\"iPhone\",\"id\":\"1234567\","
                               "\"eid\":\"89049032000000000000000000000024\"}}}")),
                     ERR_NONE);
    assert_int_equal(order.operation, OP_ACTIVATION);
    assert_int_equal(order.sim_type, SIM_ESIM);
    assert_int_equal(order.iccid, ICCID_NONE);
    assert_int_equal(order.sold.currency[0], 0);
    const struct subscriber *s = &order.subscriber;
    assert_true(str_is(order.reference, "basket 12"));
    assert_true(str_is(s->email, "john@doe.com"));
    assert_true(str_is(s->first_name, "John"));
    assert_true(str_is(s->last_name, "Doe"));
    assert_true(str_is(s->country_of_residence, "US"));
    assert_true(str_is(s->language, "en"));
    assert_true(str_is(s->device_os, "ios"));
    assert_true(str_is(s->device_model, "iPhone"));
    assert_true(str_is(s->device_id, "1234567"));
    assert_true(str_is(s->device_eid, "89049032000000000000000000000024"));
}

static void an_iccid_may_be_a_bare_number(void **state UNUSED) {
    assert_int_equal(parse(STR("{" HEAD ",\"product\":{" ID "},\"subscriber\":{\"sim\":{\"iccid\":8944472600000510740}}}")), ERR_NONE);
    char iccid[ICCID_TEXT];
    iccid_format(order.iccid, iccid);
    assert_string_equal(iccid, "8944472600000510740");
}

static void a_price_is_exact_however_it_is_written(void **state UNUSED) {
    static const struct {
        const char *text;
        int64_t minor;
    } prices[] = {{"20", 2000},        {"20.5", 2050},
                  {"20.50", 2050},     {"\"20\"", 2000},
                  {"\"20.05\"", 2005}, {"0.29", 29},
                  {"1.1", 110},        {"0", 0},
                  {"1e2", 10000},      {"\"20.500\"", 2050},
                  {"4.35", 435},       {"1234567.89", 123456789},
                  {"0.07", 7},         {"\"9999999999.99\"", 999999999999}};
    for (size_t i = 0; i < ARRAY_LEN(prices); i++) {
        char text[512];
        snprintf(text, sizeof text, TOPUP(",\"sold_currency\":\"EUR\",\"sold_price\":%s"), prices[i].text);
        if (parse(str_of(text)) != ERR_NONE)
            fail_msg("%s: %s", prices[i].text, err_first(&err));
        assert_int_equal(order.sold.minor, prices[i].minor);
    }
    assert_int_equal(parse(STR(TOPUP(",\"sold_currency\":\"JPY\",\"sold_price\":2000"))), ERR_NONE);
    assert_int_equal(order.sold.minor, 2000);
}

static void null_and_unknown_fields_count_as_absent(void **state UNUSED) {
    assert_int_equal(parse(STR("{" HEAD ",\"product\":{" ID ",\"sold_price\":null,\"sold_currency\":null,\"colour\":[{}]},"
                               "\"reference\":null,\"x\":{\"y\":[1,2]}," SIM "}")),
                     ERR_NONE);
    assert_int_equal(order.sold.currency[0], 0);
}

// What is wrong with a body, and what the client reads. `messages` are beginnings, in any order; all that come back must be listed.
static const struct bad {
    const char *body;
    enum err_kind kind;
    const char *messages[6];
} bad_bodies[] = {
    {"{}", ERR_INVALID, {"operation_type: is required", "sim_type: is required", "country: is required", "product.id: is required"}},
    {"{\"operation_type\":\"TOPUPP\"," SIM ",\"sim_type\":\"psim\",\"country\":\"gb\",\"product\":{" ID "}}",
     ERR_INVALID,
     {"operation_type: must be one of ACTIVATION", "sim_type: must be one of ESIM", "country: must be a country code"}},
    {"{\"operation_type\":7,\"sim_type\":[],\"country\":true,\"product\":\"x\",\"subscriber\":1}",
     ERR_INVALID,
     {"operation_type: must be a string", "sim_type: must be a string", "country: must be a string", "product: must be an object",
      "subscriber: must be an object"}},
    {"{" HEAD ",\"product\":{" ID "}}", ERR_INVALID, {"subscriber.sim.iccid: is required"}},
    {"{" HEAD ",\"product\":{" ID "},\"subscriber\":{\"sim\":{\"iccid\":\"8944472600000510741\"}}}",
     ERR_INVALID,
     {"subscriber.sim.iccid: "}},
    {"{" HEAD ",\"product\":{" ID "},\"subscriber\":{\"sim\":{\"iccid\":\"89444726\"}}}", ERR_INVALID, {"subscriber.sim.iccid: "}},
    {"{" HEAD ",\"product\":{" ID "},\"subscriber\":{\"sim\":{\"iccid\":-1}}}", ERR_INVALID, {"subscriber.sim.iccid: "}},
    {"{" HEAD ",\"product\":{" ID "},\"subscriber\":{\"sim\":{\"iccid\":8.9e18}}}",
     ERR_INVALID,
     {"subscriber.sim.iccid: must be a string"}},
    {"{" HEAD ",\"product\":{" ID "},\"subscriber\":{\"sim\":{\"iccid\":99999999999999999999}}}", ERR_MALFORMED, {"the body "}},
    {"{" HEAD ",\"product\":{\"id\":\"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak\"}," SIM "}", ERR_INVALID, {"product.id: must be 43 or 44"}},
    {"{" HEAD ",\"product\":{\"id\":\"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX+Ak=\"}," SIM "}", ERR_INVALID, {"product.id: must be 43 or 44"}},
    {"{" HEAD ",\"product\":{\"id\":\"wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM\"}," SIM "}", ERR_INVALID, {"product.id: must be 43 or 44"}},
    {"{" HEAD ",\"product\":{\"id\":\"'; DROP TABLE orders; --\"}," SIM "}", ERR_INVALID, {"product.id: must be 43 or 44"}},
    {TOPUP(",\"sold_price\":\"20,00\",\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: must be a decimal number"}},
    {TOPUP(",\"sold_price\":\"NaN\",\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: must be a decimal number"}},
    {TOPUP(",\"sold_price\":true,\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: must be a number"}},
    {TOPUP(",\"sold_price\":-1,\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: must not be negative"}},
    {TOPUP(",\"sold_price\":20.005,\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: must not have more decimals"}},
    {TOPUP(",\"sold_price\":0.5,\"sold_currency\":\"JPY\""), ERR_INVALID, {"product.sold_price: must not have more decimals"}},
    {TOPUP(",\"sold_price\":1e300,\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: is too large"}},
    {TOPUP(",\"sold_price\":20,\"sold_currency\":\"XYZ\""), ERR_INVALID, {"product.sold_currency: must be a currency code"}},
    {TOPUP(",\"sold_price\":20"), ERR_INVALID, {"product.sold_currency: is required"}},
    {TOPUP(",\"sold_currency\":\"EUR\""), ERR_INVALID, {"product.sold_price: is required"}},
    {TOPUP(",\"activation_date\":\"2021-02-30T00:00:00Z\""), ERR_MALFORMED, {"product.activation_date: is not a date"}},
    {TOPUP(",\"expiration_date\":\"tomorrow\""), ERR_MALFORMED, {"product.expiration_date: is not a date"}},
    {TOPUP(",\"activation_date\":1577836800"), ERR_INVALID, {"product.activation_date: must be a string"}},
    {"{\"sim_type\":\"PSIM\",\"product\":{\"activation_date\":\"2021-02-30T00:00:00Z\"}}",
     ERR_MALFORMED,
     {"operation_type: is required", "country: is required", "product.id: is required", "product.activation_date: is not a date"}},
    {"{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"ESIM\",\"country\":\"GB\",\"product\":{" ID "}," SIM "}",
     ERR_INVALID,
     {"subscriber.email: is required", "subscriber.sim.iccid: must not be given"}},
    {"{\"operation_type\":\"ACTIVATION\",\"sim_type\":\"ESIM\",\"country\":\"ZZ\",\"product\":{" ID
     "},\"subscriber\":{\"email\":\"john at doe\",\"country_of_residence\":\"USA\",\"language\":\"?\",\"device\":{\"operating_system\":"
     "\"plan9\",\"eid\":\"123\"}}}",
     ERR_INVALID,
     {"country: must be a country code", "subscriber.email: must be", "subscriber.country_of_residence: must be",
      "subscriber.language: must be", "subscriber.device.operating_system: must be", "subscriber.device.eid: must be"}},
    {"{" HEAD ",\"reference\":\"0123456789012345678901234567890123456789012345678901234567890123x\",\"product\":{" ID "}," SIM "}",
     ERR_INVALID,
     {"reference: must be at most 64"}},
    {"{" HEAD ",\"reference\":\"a\\nb\",\"product\":{" ID "}," SIM "}", ERR_INVALID, {"reference: must not hold control characters"}},
    {"", ERR_MALFORMED, {"the body "}},
    {"[]", ERR_MALFORMED, {"the body "}},
    {"{", ERR_MALFORMED, {"the body "}},
    {"{\"a\":1,\"a\":2}", ERR_MALFORMED, {"the body "}},
    {"{\"a\":\"\xff\"}", ERR_MALFORMED, {"the body "}},
};

static void every_fault_of_a_body_is_named(void **state UNUSED) {
    for (size_t i = 0; i < ARRAY_LEN(bad_bodies); i++) {
        const struct bad *b = &bad_bodies[i];
        enum err_kind kind = parse(str_of(b->body));
        if (kind != b->kind)
            fail_msg("%s: kind %s, expected %s (%s)", b->body, err_kind_name(kind), err_kind_name(b->kind), err_first(&err));
        size_t expected = 0;
        while (expected < ARRAY_LEN(b->messages) && b->messages[expected])
            expected++;
        for (size_t m = 0; m < expected; m++) {
            bool said = false;
            for (unsigned j = 0; j < err.count; j++)
                said = said || str_starts(str_of(err_message(&err, j)), b->messages[m]);
            if (!said)
                fail_msg("%s: nothing says \"%s\"; first is \"%s\"", b->body, b->messages[m], err_first(&err));
        }
        if (err.count != expected)
            fail_msg("%s: %u messages, expected %zu; last is \"%s\"", b->body, err.count, expected, err_message(&err, err.count - 1));
    }
}

static void a_request_that_needs_too_much_memory_is_an_error(void **state UNUSED) {
    assert_int_equal(parse(STR(TOPUP(""))), ERR_NONE);
    struct arena small;
    arena_init(&small, 1);
    err_clear(&err);
    json_t *o = json_object_get(body, "product");
    json_object_set_new(o, "sold_price", json_integer(20));
    json_object_set_new(o, "sold_currency", json_string("EUR"));
    assert_int_equal(order_parse(body, &small, &order, &err), ERR_INTERNAL);
    arena_release(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_documentations_order_parses, setup, teardown),
        cmocka_unit_test_setup_teardown(an_esim_activation_parses_with_all_its_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(an_iccid_may_be_a_bare_number, setup, teardown),
        cmocka_unit_test_setup_teardown(a_price_is_exact_however_it_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(null_and_unknown_fields_count_as_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(every_fault_of_a_body_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_that_needs_too_much_memory_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
