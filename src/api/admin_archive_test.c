// SPDX-License-Identifier: Apache-2.0
/*
 * admin_archive_test.c - orders on their way to files: in pages, and out of the store only when they are what was kept. That those leave
 * that may: store_conformance_test.c.
 */
#include "api/api_test_support.h"

#include "base/secret.h"
#include "store/store_order.h"
#include "store/store_partner.h"
#include "store/store_subscription.h"

#define LATER "2026-11-23T12:02:00Z"
#define LATER_MS 180000

static struct api_test t;
static struct answer a;

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

static void operator_call(enum http_method method, const char *target, const char *body) {
    api_test_call(&t, &a, -1, method, target, body, api_test_as_operator);
}

static enum err_kind expire(struct tx *tx, void *ctx, struct err *err) {
    const char *order = ctx;
    struct uuid id;
    struct subscription s;
    assert_true(uuid_parse(str_of(order), &id));
    enum err_kind kind = store_subscription_get(tx, id, &t.arena, &s, err);
    s.state = SUB_EXPIRED;
    s.end = SUB_END_EXPIRED_BY_CALL;
    s.expiry = tx_now(tx);
    s.next_at = WALL_NONE;
    return kind ? kind : store_subscription_update(tx, &s, err);
}

static enum err_kind spend(struct tx *tx, void *ctx, struct err *err) {
    struct uuid id;
    struct subscription s;
    assert_true(uuid_parse(str_of(ctx), &id));
    enum err_kind kind = store_subscription_get(tx, id, &t.arena, &s, err);
    s.spent_bytes++;
    return kind ? kind : store_subscription_update(tx, &s, err);
}

#define TOPUP_BODY                                                                                                                         \
    "{\"operation_type\":\"TOPUP\",\"sim_type\":\"PSIM\",\"country\":\"GB\",\"product\":{\"id\":\"" PRODUCT_BOTH                           \
    "\"},\"subscriber\":{\"sim\":{\"iccid\":\"" PSIM_ACTIVE "\"}}}"

static void ended_order(char id[UUID_TEXT]) {
    POST("/v2/orders", TOPUP_BODY);
    assert_answer(&a, 202);
    snprintf(id, UUID_TEXT, "%s", answer_text(&a, "id"));
    api_test_complete(&t, id);
    api_test_job(&t, expire, id);
    clock_manual_advance(&t.clock_state, 1000);
}

// The lines of the last answer. The last one is the cursor.
static size_t lines(struct str out[], size_t max) {
    struct str rest = buf_str(&a.body), line;
    size_t n = 0;
    while (str_present(rest) && n < max) {
        rest = str_cut(rest, '\n', &line);
        if (line.n > 0)
            out[n++] = line;
    }
    return n;
}

static void sum_of(struct str line, char out[65]) {
    uint8_t sum[32];
    sha256_of(line, sum);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

static void drop(const char *before, const char *id, const char *sum, int dropped, int gone, int kept) {
    char body[512];
    snprintf(body, sizeof body, "{\"before\":\"%s\",\"orders\":[{\"id\":\"%s\",\"sha256\":\"%s\"}]}", before, id, sum);
    operator_call(HTTP_POST, "/admin/v1/archive/orders/drop", body);
    assert_answer(&a, 200);
    assert_int_equal(json_integer_value(answer_at(&a, "dropped")), dropped);
    assert_int_equal(json_integer_value(answer_at(&a, "gone")), gone);
    assert_int_equal(json_integer_value(answer_at(&a, "kept")), kept);
}

static void an_order_leaves_when_it_is_what_was_kept(void **state UNUSED) {
    char id[UUID_TEXT], sum[65], target[128];
    ended_order(id);
    clock_manual_advance(&t.clock_state, LATER_MS);
    operator_call(HTTP_GET, "/admin/v1/archive/orders?before=" LATER, NULL);
    assert_answer(&a, 200);
    assert_string_equal(a.content_type, "application/x-ndjson");
    struct str line[4] = {0};
    assert_int_equal(lines(line, 4), 2);
    assert_true(str_is(line[1], "{\"next\":null}"));
    json_error_t why;
    json_t *record = json_loadb(line[0].p, line[0].n, 0, &why);
    assert_non_null(record);
    json_t *order = json_object_get(record, "order"), *subscription = json_object_get(record, "subscription");
    assert_string_equal(json_string_value(json_object_get(order, "id")), id);
    assert_string_equal(json_string_value(json_object_get(order, "status")), "COMPLETED");
    assert_true(json_array_size(json_object_get(order, "timeline")) > 0);
    assert_string_equal(json_string_value(json_object_get(subscription, "status")), "EXPIRED");
    json_decref(record);
    sum_of(line[0], sum);

    // A late usage record: what was kept is not what there is any more.
    api_test_job(&t, spend, id);
    drop(LATER, id, sum, 0, 0, 1);
    snprintf(target, sizeof target, "/v2/orders/%s", id);
    GET(target);
    assert_answer(&a, 200);

    operator_call(HTTP_GET, "/admin/v1/archive/orders?before=" LATER, NULL);
    assert_int_equal(lines(line, 4), 2);
    sum_of(line[0], sum);
    drop("2026-11-23T12:00:00Z", id, sum, 0, 0, 1); // the same record, but it was not over then
    drop(LATER, id, sum, 1, 0, 0);
    drop(LATER, id, sum, 0, 1, 0); // again: nothing to do

    GET(target);
    assert_problem(&a, 404, "NOT_FOUND",
                   "id: there is no such order here; those of before " LATER " that have ended were archived: ask the operator", NULL);
    snprintf(target, sizeof target, "/v2/orders/%s/timeline", id);
    GET(target);
    assert_problem(&a, 404, "NOT_FOUND", "id: there is no such order here", NULL);
    char subscription_id[LONG_ID_TEXT];
    struct uuid key;
    assert_true(uuid_parse(str_of(id), &key));
    long_id_format(key, subscription_id);
    snprintf(target, sizeof target, "/v2/subscriptions/%s", subscription_id);
    GET(target);
    assert_problem(&a, 404, "NOT_FOUND", "id: there is no such subscription here", NULL);
    snprintf(target, sizeof target, "/admin/v1/orders/%s", id);
    operator_call(HTTP_GET, target, NULL);
    assert_problem(&a, 404, "NOT_FOUND", "id: there is no such order here", NULL);

    // One of later, and one of another partner's, are unknown and no more.
    struct id_gen gen;
    id_gen_init(&gen, &t.rng);
    char text[UUID_TEXT];
    uuid_format(id_next(&gen, clock_wall(&t.clock), t.partner[0].id), text);
    snprintf(target, sizeof target, "/v2/orders/%s", text);
    GET(target);
    assert_string_equal(answer_text(&a, "messages.0"), "id: there is no such order");
    uuid_format(id_next(&gen, (struct wall){1}, t.partner[1].id), text);
    snprintf(target, sizeof target, "/v2/orders/%s", text);
    GET(target);
    assert_string_equal(answer_text(&a, "messages.0"), "id: there is no such order");
}

static void pages_follow_each_other(void **state UNUSED) {
    enum { ORDERS = 7 };
    char id[ORDERS][UUID_TEXT], cursor[64] = "", target[256];
    for (int i = 0; i < ORDERS; i++)
        ended_order(id[i]);
    char open[UUID_TEXT];
    POST("/v2/orders", TOPUP_BODY);
    snprintf(open, sizeof open, "%s", answer_text(&a, "id"));
    clock_manual_advance(&t.clock_state, LATER_MS);
    int found = 0, pages = 0;
    for (; pages < 10; pages++) {
        snprintf(target, sizeof target, "/admin/v1/archive/orders?before=" LATER "&limit=3%s%s", *cursor ? "&cursor=" : "", cursor);
        operator_call(HTTP_GET, target, NULL);
        assert_answer(&a, 200);
        struct str line[5];
        size_t n = lines(line, 5);
        for (size_t i = 0; i + 1 < n; i++, found++)
            assert_non_null(memmem(line[i].p, line[i].n, id[found], strlen(id[found])));
        assert_true(n > 0);
        json_t *last = json_loadb(line[n - 1].p, line[n - 1].n, 0, NULL);
        const char *next = json_string_value(json_object_get(last, "next"));
        snprintf(cursor, sizeof cursor, "%s", next ? next : "");
        json_decref(last);
        if (!*cursor)
            break;
    }
    assert_int_equal(found, ORDERS);
    assert_true(pages >= 2);

    operator_call(HTTP_GET, "/admin/v1/archive/orders?before=" LATER "&partner=other", NULL);
    assert_answer(&a, 200);
    assert_true(str_is(buf_str(&a.body), "{\"next\":null}\n"));
}

static void what_is_asked_is_checked(void **state UNUSED) {
    operator_call(HTTP_GET, "/admin/v1/archive/orders", NULL);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "before: is required", NULL);
    operator_call(HTTP_GET, "/admin/v1/archive/orders?before=2099-01-01T00:00:00Z&cursor=x&partner=nobody", NULL);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "before: must not lie ahead", "cursor: must be", NULL);
    operator_call(HTTP_GET, "/admin/v1/archive/orders?before=2026-01-01T00:00:00Z&partner=nobody", NULL);
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "partner: there is no such partner", NULL);
    operator_call(HTTP_POST, "/admin/v1/archive/orders/drop", "{\"before\":\"2026-01-01T00:00:00Z\",\"orders\":[]}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "orders: must be 1 to 500", NULL);
    operator_call(HTTP_POST, "/admin/v1/archive/orders/drop",
                  "{\"orders\":[{\"id\":\"x\"},7,{\"id\":\"00000000-0000-7000-8000-000000000001\",\"sha256\":\"zz\"}]}");
    assert_problem(&a, 400, "INVALID_REQUEST_PARAMS", "before: is required", "orders.0: must have", "orders.1: must have",
                   "orders.2: must have", NULL);
    GET("/admin/v1/archive/orders?before=2026-01-01T00:00:00Z");
    assert_answer(&a, 401);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_order_leaves_when_it_is_what_was_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_asked_is_checked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
