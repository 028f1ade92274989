// SPDX-License-Identifier: Apache-2.0
/*
 * admin_usage_test.c - many records in a call: in several jobs, and one that the server trips over does not keep the others from being
 * booked. What booking does is tested in life/.
 */
#include "api/api_test_support.h"

#include "base/log.h"
#include "base/secret.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_subscription.h"

static struct api_test t;
static struct answer a;

// A subscription on PSIM_ACTIVE whose timer has come but not its date, and who is not due to begin: nothing can move it.
static enum err_kind add_stuck(struct tx *tx, void *ctx UNUSED, struct err *err) {
    struct product p;
    struct order o = {.id = tx_new_id(tx, t.partner[0].id),
                      .partner_id = t.partner[0].id,
                      .state = ORDER_COMPLETED,
                      .operation = OP_TOPUP,
                      .sim_type = SIM_PSIM,
                      .country = "GB",
                      .activation = WALL_NONE,
                      .expiration = WALL_NONE,
                      .created = tx_now(tx),
                      .finished = tx_now(tx)};
    enum err_kind kind = store_product_by_public_id(tx, o.partner_id, STR(PRODUCT_BOTH), &t.arena, &p, err);
    assert_int_equal(iccid_parse(STR(PSIM_ACTIVE), &o.iccid), ICCID_OK);
    o.product_id = p.id;
    if (!kind)
        kind = store_order_insert(tx, &o, err);
    struct subscription s = {.id = o.id,
                             .partner_id = o.partner_id,
                             .iccid = o.iccid,
                             .product_id = p.id,
                             .name = p.name,
                             .state = SUB_PENDING,
                             .created = tx_now(tx),
                             .activation = wall_plus_ms(tx_now(tx), 86400000),
                             .expiry = WALL_NONE,
                             .next_at = tx_now(tx),
                             .duration = 1,
                             .wanted_expiry = WALL_NONE,
                             .initial_bytes = 1000,
                             .balance_as_of = WALL_NONE};
    return kind ? kind : store_subscription_insert(tx, &s, err);
}

static int setup(void **state UNUSED) {
    api_test_open(&t);
    api_test_operator(&t);
    return 0;
}

static int teardown(void **state UNUSED) {
    answer_release(&a);
    api_test_close(&t);
    return 0;
}

static void report(const char *body) {
    api_test_call(&t, &a, -1, HTTP_POST, "/admin/v1/usage", body, api_test_as_operator);
    assert_int_equal(a.status, 200);
}

static int64_t count(const char *verdict) {
    return json_integer_value(json_object_get(json_object_get(a.json, "counts"), verdict));
}

// `stuck`: which of the records are for the SIM with the stuck subscription; ended by -1.
static void report_many(const char *prefix, int n, const int *stuck) {
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_add_text(&body, "{\"source\":\"s\",\"records\":[");
    for (int i = 0; i < n; i++) {
        bool is_stuck = *stuck == i;
        stuck += is_stuck;
        buf_printf(&body, "%s{\"record_id\":\"%s%d\",\"iccid\":\"%s\",\"bytes_down\":1,\"end\":\"" TEST_NOW "\"}", i ? "," : "", prefix, i,
                   is_stuck ? PSIM_ACTIVE : ESIM_OK);
    }
    buf_add_text(&body, "]}");
    assert_false(body.failed);
    report(body.p);
    buf_release(&body);
    assert_int_equal(json_array_size(json_object_get(a.json, "data")), n);
}

static const char *verdict_of(int i) {
    return json_string_value(json_object_get(json_array_get(json_object_get(a.json, "data"), (size_t)i), "verdict"));
}

static void many_records_are_booked_in_several_jobs(void **state UNUSED) {
    struct store_stats before, after;
    store_stats_get(t.store, &before);
    report_many("a", 1000, (const int[]){-1});
    store_stats_get(t.store, &after);
    assert_true(after.jobs - before.jobs >= 5);
    assert_int_equal(count("UNRATED"), 1000);
    report_many("a", 1000, (const int[]){-1});
    assert_int_equal(count("REPEATED"), 1000);
}

static void a_record_that_the_server_trips_over_is_left_out(void **state UNUSED) {
    static const int stuck[] = {0, 7, 8, 199, 200, 449, -1};
    api_test_job(&t, add_stuck, NULL);
    report_many("b", 450, stuck);
    assert_int_equal(count("FAILED"), ARRAY_LEN(stuck) - 1);
    assert_int_equal(count("UNRATED"), 450 - (int)ARRAY_LEN(stuck) + 1);
    for (size_t i = 0; stuck[i] >= 0; i++)
        assert_string_equal(verdict_of(stuck[i]), "FAILED");
    assert_string_equal(verdict_of(9), "UNRATED");
    assert_non_null(strstr(a.body.p, "its log tells more"));
    report_many("b", 450, stuck); // it is not kept: it may come again when it has been seen to
    assert_int_equal(count("FAILED"), ARRAY_LEN(stuck) - 1);
    assert_int_equal(count("REPEATED"), 450 - (int)ARRAY_LEN(stuck) + 1);
}

static void each_record_stands_for_itself(void **state UNUSED) {
    report("{\"records\":[{\"record_id\":\"c1\",\"source\":\"s\",\"iccid\":\"" ESIM_OK "\",\"bytes_up\":1,\"start\":\"" TEST_NOW "\"},"
           "{\"record_id\":\"c2\",\"iccid\":\"" ESIM_OK "\",\"bytes_up\":1,\"start\":\"" TEST_NOW "\"},"
           "{\"record_id\":\"c3\",\"source\":\"s\",\"iccid\":\"" ESIM_OK
           "\",\"imsi\":\"234200000000001\",\"bytes_up\":1,\"start\":\"" TEST_NOW "\"},"
           "{\"record_id\":\"c4\",\"source\":\"s\",\"bytes_up\":1,\"start\":\"" TEST_NOW "\"},"
           "{\"record_id\":\"c5\",\"source\":\"s\",\"msisdn\":\"0123\",\"bytes_up\":-1,\"start\":\"now\"},"
           "{\"record_id\":\"c6\",\"source\":\"s\",\"imsi\":\"234200000000001\",\"start\":\"" TEST_NOW "\"},"
           "{\"record_id\":\"c7\",\"source\":\"s\",\"imsi\":\"234200000000001\",\"bytes_up\":1},"
           "7]}");
    assert_string_equal(verdict_of(0), "UNRATED");
    static const char *const named[] = {NULL, "source", "one of", "one of", "msisdn", "bytes_up", "end", "object"};
    for (int i = 1; i < 8; i++) {
        const json_t *record = json_array_get(json_object_get(a.json, "data"), (size_t)i);
        assert_string_equal(verdict_of(i), "INVALID");
        assert_non_null(strstr(json_string_value(json_array_get(json_object_get(record, "messages"), 0)), named[i]));
    }
    const char *all = json_string_value(json_array_get(json_object_get(json_array_get(json_object_get(a.json, "data"), 4), "messages"), 0));
    assert_non_null(strstr(all, "bytes_up"));
    assert_non_null(strstr(all, "start"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_records_are_booked_in_several_jobs),
        cmocka_unit_test(each_record_stands_for_itself),
        cmocka_unit_test(a_record_that_the_server_trips_over_is_left_out),
    };
    log_threshold = LOG_ERROR + 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
